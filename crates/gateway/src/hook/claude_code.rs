//! Claude Code's hooks: its prompt, and its built-in tools before and after they run.
//!
//! A permit is spent by answering `allow`; what the tool did comes back with `PostToolUse`. Where policy
//! asks, Claude Code's own prompt asks the human, and that the tool then ran is the answer.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ledger::record::{Answered, Record, Scope};
use policy::{Door, EffectKind, Role, ToolFacts, ToolId, Verb};
use serde_json::{Value, json};

use crate::answer;
use crate::ask::Pending;
use crate::authority::{Admitted, Asking, Authority, Errand, First, Patience, Refusal, Returned};
use crate::door::hello::Reply;
use crate::door::unix::{self, Peer};
use crate::gateway::Shared;
use crate::hook::shell::Shell;
use crate::pipeline::{self, Act, Permit};
use crate::session::Caller;

/// The most tools that may run at a time.
const RUNNING_MAX: usize = 2_000;
/// How long a tool may run before it is taken for lost.
const RUN_MAX: Duration = Duration::from_secs(20 * 60);
/// Built-in tools have the agent's name as server.
const SERVER: &str = "claude-code";

/// One use of a built-in tool: what a permit for it carries.
#[derive(Clone, Debug)]
pub(crate) struct ToolUse {
    id: String,
}

/// Tools that were allowed or asked and have not reported back.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// By session and tool use. Held only for map work.
    running: Mutex<HashMap<(String, String), Running>>,
}

#[derive(Debug)]
struct Running {
    since: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    Allowed(Act, Arc<ToolFacts>),
    Asked(Box<Asking<ToolUse>>, Pending),
}

impl Hooks {
    fn begin(&self, session: &str, tool_use: &str, state: State) -> bool {
        let mut running = self.hold();
        let room = running.len() < RUNNING_MAX;
        if room {
            running.insert((session.to_owned(), tool_use.to_owned()), Running { since: Instant::now(), state });
        }
        room
    }

    fn take(&self, session: &str, tool_use: &str) -> Option<State> {
        self.hold().remove(&(session.to_owned(), tool_use.to_owned())).map(|running| running.state)
    }

    /// How many acts have not reported back.
    pub(crate) fn len(&self) -> usize {
        self.hold().values().filter(|running| matches!(running.state, State::Allowed(..))).count()
    }

    /// Gives up on what has been running too long: its outcome says so.
    pub(crate) fn expire(&self) {
        self.hold().retain(|_, running| {
            let asked_in_vain = matches!(&running.state, State::Asked(_, pending) if pending.is_over());
            running.since.elapsed() < RUN_MAX && !asked_in_vain
        });
    }

    /// The gateway ends: nobody will hear what these came to.
    pub(crate) fn forget(&self) {
        self.hold().clear();
    }

    fn hold(&self) -> MutexGuard<'_, HashMap<(String, String), Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event, as far as it is read. Claude Code adds fields; they are not needed.
#[derive(Debug, serde::Deserialize)]
struct Event {
    hook_event_name: String,
    session_id: String,
    #[serde(default)]
    cwd: String,
    #[serde(default)]
    tool_name: String,
    #[serde(default)]
    tool_input: Value,
    #[serde(default)]
    tool_use_id: Option<String>,
    #[serde(default)]
    tool_response: Value,
    #[serde(default)]
    error: Value,
    #[serde(default)]
    prompt: String,
}

/// Answers one event.
pub(crate) async fn answer(shared: &Arc<Shared>, peer: Peer, agent: &str, event: Value, wait: bool) -> Reply {
    if agent != SERVER {
        return Reply::Failed { error: format!("hooks of `{agent}` are not known") };
    }
    let event: Event = match serde_json::from_value(event) {
        Ok(event) => event,
        Err(error) => return Reply::Failed { error: format!("the hook event cannot be read: {error}") },
    };
    let authority = &shared.authority;
    match authority.catalogue.learn_facts(built_in()) {
        Ok(false) => {}
        Ok(true) => {
            if let Err(error) = authority.relearn().await {
                return Reply::Failed { error };
            }
        }
        Err(error) => return Reply::Failed { error: error.to_string() },
    }
    let caller = unix::caller(shared, Door::Hook, peer, SERVER, Some(&event.session_id)).await;
    let output = match event.hook_event_name.as_str() {
        "PreToolUse" => before(shared, &caller, &event, wait).await,
        "PostToolUse" | "PostToolUseFailure" => after(shared, &caller, &event).await,
        "UserPromptSubmit" => prompt(authority, &caller, &event),
        other => Err(format!("hook event `{other}` is not known")),
    };
    match output {
        Ok(output) => Reply::Done { output },
        Err(error) => Reply::Failed { error },
    }
}

async fn before(shared: &Arc<Shared>, caller: &Caller, event: &Event, wait: bool) -> Result<Value, String> {
    let tool = tool_id(event);
    // Calls to a protected server are decided at its own door, with its own tools known.
    if tool.server != SERVER && caller.session.is_protected(|server| as_claude_writes(server) == tool.server) {
        return Ok(decision("allow", "decided at the MCP door"));
    }
    let what = format!("`{tool}`");
    let tool_use = ToolUse { id: event.tool_use_id.clone().unwrap_or_default() };
    let arguments = if event.tool_input.is_object() { event.tool_input.clone() } else { json!({}) };
    let errand = Errand { call: tool_use, verb: Verb::CallTool, tool, arguments, facts: facts(event) };
    let authority = &shared.authority;
    match authority.first(caller, errand).await {
        First::Admitted(admitted) => allow(shared, caller, admitted),
        First::Refused(refusal) => Ok(deny(&what, &refusal)),
        First::Asks(asking) if wait => match authority.ask(caller, *asking, Silent).await {
            Ok(admitted) => allow(shared, caller, admitted),
            Err(refusal) => Ok(deny(&what, &refusal)),
        },
        First::Asks(asking) => {
            let reasons = answer::because(&asking.question.decision);
            let asked = authority.asked(&asking);
            let pending = authority.asks.ask(asked, &authority.journal).await.map_err(|error| error.to_string())?;
            let id = asking.question.call.id.clone();
            if !shared.hooks.begin(&caller.session.id, &id, State::Asked(asking, pending)) {
                return Err("too many tools run at a time".to_owned());
            }
            Ok(decision("ask", &format!("Bailiwick asks: {reasons}")))
        }
    }
}

fn allow(shared: &Shared, caller: &Caller, admitted: Admitted<ToolUse>) -> Result<Value, String> {
    let Admitted { permit, tool } = admitted;
    let intent = permit.intent();
    let (tool_use, act) = spend(permit);
    if !shared.hooks.begin(&caller.session.id, &tool_use.id, State::Allowed(act, tool)) {
        return Err("too many tools run at a time".to_owned());
    }
    Ok(decision("allow", &format!("Bailiwick permits it (ledger entry {intent})")))
}

/// The answer `allow` is the act: from here on the tool may run.
fn spend(permit: Permit<ToolUse>) -> (ToolUse, Act) {
    permit.spend()
}

async fn after(shared: &Arc<Shared>, caller: &Caller, event: &Event) -> Result<Value, String> {
    let id = event.tool_use_id.clone().unwrap_or_default();
    let authority = &shared.authority;
    let (act, tool) = match shared.hooks.take(&caller.session.id, &id) {
        Some(State::Allowed(act, tool)) => (act, tool),
        Some(State::Asked(asking, pending)) => {
            let admitted = answered_there(authority, caller, *asking, pending).await?;
            let (_, act) = spend(admitted.permit);
            (act, admitted.tool)
        }
        // Decided at another door, or allowed before a restart: the ledger has said `unknown` already.
        None => return Ok(json!({})),
    };
    let failed = event.hook_event_name == "PostToolUseFailure"
        || event.tool_response.get("is_error") == Some(&Value::Bool(true));
    let result = if event.tool_response.is_null() { &event.error } else { &event.tool_response };
    let body = result.to_string();
    authority.conclude(caller, &tool, act, &Returned { body: &body, is_error: failed });
    Ok(json!({}))
}

/// The tool ran although it was only asked: the human said yes at Claude Code's own prompt. That answer is
/// recorded, and the call is judged again under it.
async fn answered_there(
    authority: &Authority,
    caller: &Caller,
    asking: Asking<ToolUse>,
    pending: Pending,
) -> Result<Admitted<ToolUse>, String> {
    let answered = Answered {
        ask: pending.ask,
        approved: true,
        scope: Scope::Once,
        by: format!("{} at Claude Code's own prompt", caller.principal.user),
        binding: pending.binding.clone(),
        nonce: nonce().map_err(|_| "no random bytes".to_owned())?,
    };
    authority.journal.note(Record::Answered(answered));
    let answer = pending.answer().await.map_err(|error| error.to_string())?;
    authority.approved(caller, asking, answer).await.map_err(|refusal| answer::sentence("a tool that ran", &refusal))
}

fn nonce() -> Result<String, aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

fn prompt(authority: &Authority, caller: &Caller, event: &Event) -> Result<Value, String> {
    let session = caller.session.id.clone();
    let subject = pipeline::subject(&caller.principal);
    let payload =
        authority.journal.ledger().put_payload(&subject, event.prompt.as_bytes()).map_err(|error| error.to_string())?;
    let entry = authority.journal.note(Record::Prompt { session, payload });
    caller.session.change().user_says(&event.prompt, entry);
    Ok(json!({}))
}

fn decision(effect: &str, reason: &str) -> Value {
    json!({ "hookSpecificOutput": {
        "hookEventName": "PreToolUse",
        "permissionDecision": effect,
        "permissionDecisionReason": reason,
    } })
}

fn deny(what: &str, refusal: &Refusal) -> Value {
    decision("deny", &answer::sentence(what, refusal))
}

/// `mcp__SERVER__TOOL` is a tool of that server; anything else is built in.
fn tool_id(event: &Event) -> ToolId {
    let mcp = event.tool_name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__"));
    let (server, name) = mcp.unwrap_or((SERVER, &event.tool_name));
    ToolId { server: server.to_owned(), name: name.to_owned() }
}

/// Claude Code writes server names in tool names with letters, digits, `_` and `-` only.
fn as_claude_writes(server: &str) -> String {
    server
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() || char == '_' || char == '-' { char } else { '_' })
        .collect()
}

fn facts(event: &Event) -> BTreeMap<String, Value> {
    let mut facts = BTreeMap::new();
    if !event.cwd.is_empty() {
        facts.insert("project".to_owned(), Value::from(event.cwd.as_str()));
    }
    if event.tool_name == "Bash"
        && let Some(command) = event.tool_input.get("command").and_then(Value::as_str)
    {
        let folder = (!event.cwd.is_empty()).then(|| Path::new(&event.cwd));
        facts.insert("shell".to_owned(), Shell::read(command, folder).fact());
    }
    facts
}

/// Waits without a word.
struct Silent;

impl Patience for Silent {
    async fn waits(&mut self, _seconds: u64, _ask: u64) {}
}

/// Name, effects, whether undone easily, whether it reaches the world, and the roles of arguments.
type BuiltIn = (&'static str, &'static [EffectKind], bool, bool, &'static [(&'static str, Role)]);

const BUILT_IN: &[BuiltIn] = {
    use EffectKind::{Execute, Read, Send, Write};
    use Role::{Command, Content, Destination, Path, Query, Target};
    &[
        ("Bash", &[Execute], false, true, &[("/command", Command), ("/description", Content)]),
        ("BashOutput", &[Read], true, false, &[("/bash_id", Target)]),
        ("TaskOutput", &[Read], true, false, &[("/task_id", Target)]),
        ("KillShell", &[Read], true, false, &[("/shell_id", Target)]),
        ("TaskStop", &[Read], true, false, &[("/task_id", Target)]),
        ("Read", &[Read], true, false, &[("/file_path", Path)]),
        ("NotebookRead", &[Read], true, false, &[("/notebook_path", Path)]),
        ("LS", &[Read], true, false, &[("/path", Path)]),
        ("Glob", &[Read], true, false, &[("/pattern", Query), ("/path", Path)]),
        ("Grep", &[Read], true, false, &[("/pattern", Query), ("/path", Path)]),
        ("LSP", &[Read], true, false, &[("/filePath", Path)]),
        ("Edit", &[Write], true, false, &[("/file_path", Path), ("/old_string", Content), ("/new_string", Content)]),
        (
            "MultiEdit",
            &[Write],
            true,
            false,
            &[("/file_path", Path), ("/edits/*/old_string", Content), ("/edits/*/new_string", Content)],
        ),
        ("Write", &[Write], true, false, &[("/file_path", Path), ("/content", Content)]),
        ("NotebookEdit", &[Write], true, false, &[("/notebook_path", Path), ("/new_source", Content)]),
        ("WebFetch", &[Read, Send], false, true, &[("/url", Destination), ("/prompt", Content)]),
        ("WebSearch", &[Read, Send], false, true, &[("/query", Query)]),
        ("Task", &[Read], true, false, &[("/prompt", Content), ("/description", Content)]),
        ("Agent", &[Read], true, false, &[("/prompt", Content), ("/description", Content)]),
        ("Skill", &[Read], true, false, &[("/skill", Target), ("/args", Content)]),
        ("SlashCommand", &[Read], true, false, &[("/command", Content)]),
        ("TodoWrite", &[Read], true, false, &[]),
        ("TaskCreate", &[Read], true, false, &[]),
        ("TaskUpdate", &[Read], true, false, &[]),
        ("TaskList", &[Read], true, false, &[]),
        ("TaskGet", &[Read], true, false, &[]),
        ("ToolSearch", &[Read], true, false, &[("/query", Query)]),
        ("AskUserQuestion", &[Read], true, false, &[]),
        ("EnterPlanMode", &[Read], true, false, &[]),
        ("ExitPlanMode", &[Read], true, false, &[]),
        ("ListMcpResourcesTool", &[Read], true, false, &[]),
        ("ReadMcpResourceTool", &[Read], true, false, &[("/uri", Target)]),
    ]
};

/// What is known of the built-in tools. A tool that is not here is unknown, and so denied.
fn built_in() -> Vec<ToolFacts> {
    let facts = |(name, effects, reversible, open_world, roles): &BuiltIn| {
        let string = json!({ "type": "string" });
        let top = roles.iter().filter_map(|(pointer, _)| pointer.strip_prefix('/')).filter(|name| !name.contains('/'));
        let properties: serde_json::Map<String, Value> = top.map(|name| (name.to_owned(), string.clone())).collect();
        ToolFacts {
            id: ToolId { server: SERVER.to_owned(), name: (*name).to_owned() },
            input_schema: json!({ "type": "object", "properties": properties }),
            effects: effects.iter().copied().collect(),
            reversible: *reversible,
            open_world: *open_world,
            roles: roles.iter().map(|(pointer, role)| ((*pointer).to_owned(), *role)).collect(),
            pin: "built-in".to_owned(),
        }
    };
    BUILT_IN.iter().map(facts).collect()
}
