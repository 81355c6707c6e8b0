//! The rule `role-passed-to-agent-runtime`.

use super::{Match, Rule, takeover};
use crate::frameworks::Cite;
use crate::model::Graph;

pub(super) const RULE: Rule = Rule {
    id: "role-passed-to-agent-runtime",
    title: "A principal can run code as a role by making an agent runtime or interpreter",
    why: "An agent runtime, a code interpreter or an agent that is created with a role hands that role's credentials to the code \
          inside. Whoever may create one and pass the role has the role.",
    fix: "Allow `iam:PassRole` only for the roles that agents need, with `iam:PassedToService`, and who may create runtimes.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI03"),
        Cite::Agentic("ASI05"),
        Cite::Maestro("L4"),
        Cite::Nist("AC-6"),
        Cite::Nist("CM-5"),
        Cite::Atlas("T0012"),
    ],
    fires: "identity dev acts_as runner via.ways=[{\"kind\":\"agentcore-create-runtime\",\"title\":\"creates an AgentCore runtime that runs as the role\",\"certain\":true,\"needs\":[{\"claim\":\"x\",\"any\":[]}]}]\nidentity runner",
    silent: "identity dev acts_as runner via.ways=[{\"kind\":\"sts-assume-role\",\"title\":\"assumes the role\",\"certain\":true,\"needs\":[{\"claim\":\"x\",\"any\":[]}]}]\nidentity runner",
    check,
};

/// The kinds of step that are meant.
const KINDS: &[&str] = &[
    "agentcore-create-interpreter",
    "agentcore-create-runtime",
    "agentcore-create-browser",
    "agentcore-create-harness",
    "agentcore-run-command",
    "bedrock-create-agent",
    "agentcore-use-interpreter",
];

fn check(graph: &Graph) -> Vec<Match> {
    takeover::by(graph, KINDS, "the role's data and what it may change")
}
