//! What policy judges: principal, verb, tool, resource, arguments, labels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::label::Labels;
use crate::tool::ToolId;

/// The agent, the human or workload it acts for, the session, and the evidence for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The agent's stable name, for example `claude-code`.
    pub agent: String,
    /// On whose behalf.
    pub user: String,
    /// The session at the door.
    pub session: String,
    /// The delegation chain, outermost first; empty when the agent acts for the user directly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegation: Vec<String>,
    /// What each part rests on, for example `uid` or `program` with path and digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<String, serde_json::Value>,
}

/// The door that a call came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// MCP over standard input and output.
    McpStdio,
    /// MCP over Streamable HTTP.
    McpHttp,
    /// An agent's hook for its built-in tools.
    Hook,
    /// A2A: to another agent.
    A2a,
}

/// What is done at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Call a tool.
    CallTool,
    /// See a tool in a list.
    ListTool,
    /// Read an MCP resource.
    ReadResource,
    /// Get an MCP prompt.
    GetPrompt,
    /// Let a server sample the client's model.
    Sample,
    /// Let a server ask the user.
    Elicit,
    /// Let a server know the folders that the client works in.
    ListRoots,
}

/// One action, complete: everything that [`crate::decide`] looks at besides the snapshot and the time.
/// It is stored in the ledger as it is, so that the decision can be recomputed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Who.
    pub principal: Principal,
    /// Through which door.
    pub door: Door,
    /// What is done.
    pub verb: Verb,
    /// To which tool; for resources and prompts the tool part is their URI or name.
    pub tool: ToolId,
    /// The canonical arguments, a JSON object.
    pub arguments: serde_json::Value,
    /// Their labels.
    pub labels: Labels,
    /// Further facts read for this decision (parsed shell command, graph reach, budgets), by name.
    /// Policies see them as `context.facts`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, serde_json::Value>,
    /// The approval that lifts asks on exactly this action, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approved>,
}

/// A human's answer that applies to an action, as [`crate::decide`] sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// The ledger entry of the answer.
    pub entry: u64,
    /// The ask groups it lifts.
    pub groups: Vec<String>,
}
