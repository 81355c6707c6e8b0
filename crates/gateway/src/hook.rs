//! Hooks of agents: their prompts, and their built-in tools before and after they run, which no MCP door sees.
//!
//! One mechanism for all agents. An agent's [`Dialect`] is one file: it turns the agent's event into an
//! [`Event`] and a [`Verdict`] into the agent's answer, and lists its built-in tools. A permit is spent by
//! letting the tool run; what the tool did comes back with the event after it. Where policy asks, the agent's
//! own prompt asks the human where there is one, and that the tool then ran is the answer; else the hook waits
//! for an approval.
//!
//! A permit answers nothing beyond the decision: whatever the agent would ask its user by itself, it still
//! asks, unless the operator wrote otherwise into the hook's command.

mod claude_code;
mod codex;
mod copilot_cli;
mod cursor;
mod dialect;
mod gemini_cli;
mod opencode;
mod running;
pub(crate) mod shell;
mod words;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::record::{Answered, Record, Scope};
use policy::{Door, ToolFacts, ToolId, Verb};
use serde_json::{Value, json};

use crate::answer;
use crate::ask::{Answer, NoAnswer, Pending};
use crate::authority::{Admitted, Asking, Authority, Errand, First, Patience, Refusal, Returned};
use crate::door::hello::{Hook, Reply};
use crate::door::unix::{self, Peer};
use crate::gateway::Shared;
use crate::hook::shell::Shell;
use crate::identity;
use crate::pipeline::{self, Act, Permit};
use crate::session::Caller;
use dialect::{Dialect, Event, Moment, Verdict};
pub(crate) use running::Hooks;
use running::{State, ToolUse};

/// Every agent whose hooks are spoken.
const DIALECTS: &[&Dialect] = &[
    &claude_code::DIALECT,
    &codex::DIALECT,
    &copilot_cli::DIALECT,
    &cursor::DIALECT,
    &gemini_cli::DIALECT,
    &opencode::DIALECT,
];

/// The agents whose hooks are spoken.
pub fn agents() -> impl Iterator<Item = &'static str> {
    DIALECTS.iter().map(|dialect| dialect.agent)
}

/// What is known of every agent's built-in tools.
pub fn built_in() -> impl Iterator<Item = ToolFacts> {
    DIALECTS.iter().flat_map(|dialect| dialect.built_in())
}

/// What an event is answered with.
struct Work<'a> {
    shared: &'a Arc<Shared>,
    peer: Peer,
    dialect: &'static Dialect,
    caller: Caller,
    event: Event,
    hook: Options,
}

/// What the operator wrote into the hook's command.
#[derive(Clone, Copy)]
struct Options {
    /// Wait here for a human where policy asks.
    wait: bool,
    /// The agent need not ask its user about what policy permits.
    skip_prompts: bool,
}

/// Answers one event.
pub(crate) async fn answer(shared: &Arc<Shared>, peer: Peer, hook: Hook) -> Reply {
    match try_answer(shared, peer, hook).await {
        Ok(output) => Reply::Done { output },
        Err(error) => Reply::Failed { error },
    }
}

async fn try_answer(shared: &Arc<Shared>, peer: Peer, hook: Hook) -> Result<Value, String> {
    let dialect = DIALECTS.iter().find(|dialect| dialect.agent == hook.agent);
    let dialect = *dialect.ok_or_else(|| format!("hooks of `{}` are not known", hook.agent))?;
    let event = (dialect.read)(&hook.event).map_err(|error| format!("the hook event cannot be read: {error}"))?;
    if shared.authority.catalogue.learn_facts(dialect.built_in()).map_err(|error| error.to_string())? {
        shared.authority.relearn().await?;
    }
    let caller = unix::caller(shared, Door::Hook, peer, dialect.agent, Some(&event.session)).await;
    let options = Options { wait: hook.wait || !dialect.can_ask, skip_prompts: hook.skip_prompts };
    let work = Work { shared, peer, dialect, caller, event, hook: options };
    let verdict = match &work.event.moment {
        Moment::Prompt(prompt) => work.prompt(prompt).await,
        Moment::Before => work.before().await,
        Moment::After { result, failed } => work.after(result, *failed).await,
    }?;
    Ok((dialect.answer)(&work.event, &verdict))
}

impl Work<'_> {
    fn authority(&self) -> &Authority {
        &self.shared.authority
    }

    /// Whether calls of this tool are decided at an MCP door of the gateway, which knows the tool. Another server may
    /// have a name that begins like a protected one's.
    fn is_decided_elsewhere(&self) -> bool {
        let (tool, catalogue) = (&self.event.tool, &self.authority().catalogue);
        let is_its =
            |server: &str| catalogue.names(server).iter().any(|name| self.dialect.is_written(tool, (server, name)));
        !self.dialect.has(&self.event.tool) && self.caller.session.is_protected(is_its)
    }

    async fn before(&self) -> Result<Verdict, String> {
        if self.is_decided_elsewhere() {
            return Ok(Verdict::Pass);
        }
        self.dialect.can_be_judged(&self.event)?;
        let errand = self.errand();
        let what = format!("`{}`", errand.tool);
        match self.authority().first(&self.caller, errand).await {
            First::Admitted(admitted) => self.allow(admitted),
            First::Refused(refusal) => Ok(deny(&what, &refusal)),
            First::Asks(asking) if self.hook.wait => match self.authority().ask(&self.caller, *asking, Silent).await {
                Ok(admitted) => self.allow(admitted),
                Err(refusal) => Ok(deny(&what, &refusal)),
            },
            First::Asks(asking) => self.leave_to_agent(asking).await,
        }
    }

    /// The agent's own prompt asks; the ask stays open beside it.
    async fn leave_to_agent(&self, asking: Box<Asking<ToolUse>>) -> Result<Verdict, String> {
        let authority = self.authority();
        let reasons = answer::because_of(&asking.question.decision, &asking.why);
        let asked = authority.asked(&asking);
        let of = (asking.question.action.principal.agent.as_str(), asked);
        let pending = authority.asks.ask(of, &authority.journal).await.map_err(|error| error.to_string())?;
        let tool_use = asking.question.call.clone();
        self.begin(&tool_use, State::Asked(asking, pending))?;
        Ok(Verdict::Ask(format!("Bailiwick asks: {reasons}")))
    }

    fn allow(&self, admitted: Admitted<ToolUse>) -> Result<Verdict, String> {
        let Admitted { permit, tool } = admitted;
        let intent = permit.intent();
        let (tool_use, act) = spend(permit);
        self.begin(&tool_use, State::Allowed(act, tool))?;
        let vouched = self.hook.skip_prompts;
        Ok(if vouched {
            Verdict::Vouch(format!("Bailiwick permits it (ledger entry {intent})"))
        } else {
            Verdict::Pass
        })
    }

    fn begin(&self, tool_use: &ToolUse, state: State) -> Result<(), String> {
        self.shared.hooks.hands(&self.caller.session.id, &self.dialect.handed(&self.event));
        let begun = self.shared.hooks.begin(&self.caller.session.id, tool_use, state);
        begun.then_some(()).ok_or_else(|| "too many tools run at a time".to_owned())
    }

    async fn after(&self, result: &Value, failed: bool) -> Result<Verdict, String> {
        let (act, tool) = match self.shared.hooks.take(&self.caller.session.id, &self.tool_use()) {
            Some(State::Allowed(act, tool)) => (act, tool),
            Some(State::Asked(asking, pending)) => match self.answered_there(*asking, pending).await {
                Ok(Admitted { permit, tool }) => (spend(permit).1, tool),
                Err(why) => return self.strays(result, &why).await,
            },
            None if self.is_decided_elsewhere() => return Ok(Verdict::Pass),
            // Asked too long ago, or allowed before a restart: the ledger has said so already.
            None => return self.strays(result, "it is not known here").await,
        };
        let body = result.to_string();
        let returned = Returned { body: &body, is_error: failed };
        let concluded = self.authority().conclude(&self.caller, &tool, act, &returned).await;
        concluded.map(|_| Verdict::Pass).map_err(|error| error.to_string())
    }

    /// What a tool gave back counts as seen, whatever became of its call here. It ran already, so there is nothing to deny.
    async fn strays(&self, result: &Value, why: &str) -> Result<Verdict, String> {
        let seen = self.authority().strays(&self.caller, &self.errand(), (result, why)).await;
        seen.map(|()| Verdict::Pass).map_err(|error| error.to_string())
    }

    /// The tool ran although it was only asked: the human said yes at the agent's own prompt. That answer is
    /// recorded, unless one was given elsewhere before, which counts; and the call is judged again under it. Or why it is not
    /// permitted.
    async fn answered_there(&self, asking: Asking<ToolUse>, mut pending: Pending) -> Result<Admitted<ToolUse>, String> {
        let ask = pending.ask;
        let answer = match pending.answered() {
            Some(_) if pending.is_over() => return Err(NoAnswer::Expired.to_string()),
            Some(answer) => answer,
            None => self.answers_there(pending).await.map_err(|error| error.to_string())?,
        };
        if !answer.answered.approved {
            return Err(format!("{} was asked and said no (ask {ask})", answer.answered.by));
        }
        let approved = self.authority().approved(&self.caller, asking, answer).await;
        approved.map_err(|_refusal| "it was approved, and is denied as it is judged now".to_owned())
    }

    /// Records that he said yes there, and answers what counts.
    async fn answers_there(&self, pending: Pending) -> Result<Answer, NoAnswer> {
        let answered = Answered {
            ask: pending.ask,
            approved: true,
            scope: Scope::Once,
            by: format!("{} at the prompt of {}", self.caller.principal.user, self.dialect.agent),
            binding: pending.binding.clone(),
            nonce: nonce().map_err(|_| NoAnswer::Unrecorded)?,
        };
        let journal = &self.authority().journal;
        // One that is on its way from elsewhere counts, and is waited for.
        drop(journal.ledger().answer(answered, journal.now()).map_err(|_| NoAnswer::Unrecorded)?);
        pending.answer().await
    }

    async fn prompt(&self, prompt: &str) -> Result<Verdict, String> {
        let (said, notice) = words::split(prompt);
        if !notice.is_empty() {
            self.notes("the agent says them in the user's place", notice);
            // What a subagent answered may be among them.
            let message = json!({ "message": notice }).to_string();
            self.authority().overhears(&self.caller, self.dialect.agent, &message);
        }
        if said.trim().is_empty() && !notice.is_empty() {
            return Ok(Verdict::Pass);
        }
        if self.shared.hooks.were_handed(&self.caller.session.id, said) {
            // They are the model's, and have the labels that they have.
            self.notes("a call handed them on", said);
            return Ok(Verdict::Pass);
        }
        if !self.is_the_agent() {
            self.notes("another process than the agent's says them", said);
            let seen = self.authority().disowns(&self.caller, said).await;
            return seen.map(|()| Verdict::Pass).map_err(|error| error.to_string());
        }
        self.user_says(said)
    }

    /// Whether the event comes from the process from which the user's words came first, as that runs its hooks: by this
    /// program, with nothing but shells between.
    fn is_the_agent(&self) -> bool {
        let pid = self.peer.pid;
        let process = identity::agent_process(pid).or_else(|| identity::process(pid));
        (process.is_none() || runs_this_program(pid)) && self.caller.session.is_spoken_from(process)
    }

    /// Records that the user did not say it, and why.
    fn notes(&self, why: &str, words: &str) {
        tracing::info!(agent = self.dialect.agent, why, "a prompt is not the user's");
        let details = json!({ "session": self.caller.session.id, "why": why, "size_bytes": words.len() });
        let details = details.as_object().cloned().unwrap_or_default();
        self.authority().journal.note(Record::Log { event: words::NOT_THE_USERS.to_owned(), details });
    }

    fn user_says(&self, prompt: &str) -> Result<Verdict, String> {
        let session = self.caller.session.id.clone();
        let journal = &self.authority().journal;
        let subject = pipeline::subject(&self.caller.principal);
        let payload = journal.ledger().put_payload(&subject, prompt.as_bytes()).map_err(|error| error.to_string())?;
        let entry = journal.note(Record::Prompt { session, payload });
        self.caller.session.belongs_to(&self.caller.principal);
        self.caller.session.change().user_says(prompt, entry);
        Ok(Verdict::Pass)
    }

    fn errand(&self) -> Errand<ToolUse> {
        let event = &self.event;
        let tool = match &event.server {
            Some((server, name)) => ToolId { server: server.clone(), name: name.clone() },
            None => ToolId { server: self.dialect.agent.to_owned(), name: event.tool.clone() },
        };
        let arguments = if event.arguments.is_object() { event.arguments.clone() } else { json!({}) };
        Errand { call: self.tool_use(), verb: Verb::CallTool, tool, arguments, facts: self.facts(), carried: None }
    }

    fn tool_use(&self) -> ToolUse {
        ToolUse::of(&self.event)
    }

    fn facts(&self) -> BTreeMap<String, Value> {
        let event = &self.event;
        let mut facts = BTreeMap::new();
        if !event.folder.is_empty() {
            facts.insert("project".to_owned(), Value::from(event.folder.as_str()));
        }
        if let Some(command) = self.dialect.command(event) {
            let project = (!event.folder.is_empty()).then(|| Path::new(&event.folder));
            let shell = Shell::read_all([command], shell_folder(event).as_deref(), project);
            if touches_us(&shell) {
                facts.insert("self_touch".to_owned(), Value::Bool(true));
            }
            facts.insert("shell".to_owned(), shell.fact());
        } else if self.dialect.hides_command(event) {
            facts.insert("shell".to_owned(), Shell::unread().fact());
        }
        let places = self.dialect.places(event);
        if !places.is_empty() {
            facts.insert("paths".to_owned(), json!(places));
        }
        facts
    }
}

/// Whether a command may end or stop this very process, or runs its program.
pub(crate) fn touches_us(shell: &Shell) -> bool {
    shell.ends_us || shell.runs.iter().any(|file| is_this_program(file))
}

/// Whether a file that a command runs is this very program, under whatever name.
fn is_this_program(file: &str) -> bool {
    let identity = |path: &Path| path.metadata().map(|file| (file.dev(), file.ino())).ok();
    let own = std::env::current_exe().ok().and_then(|own| identity(&own));
    own.is_some() && own == identity(Path::new(file))
}

/// Whether a process runs this very program, or one of its name: there may be two of it, or a newer one in its place.
fn runs_this_program(pid: u32) -> bool {
    let running = PathBuf::from(format!("/proc/{pid}/exe"));
    let name = |program: &Path| {
        let name = program.file_name()?.to_str()?;
        Some(name.strip_suffix(" (deleted)").unwrap_or(name).to_owned())
    };
    let other = std::fs::read_link(&running).ok().and_then(|program| name(&program));
    let own = std::env::current_exe().ok().and_then(|program| name(&program));
    (other.is_some() && other == own) || is_this_program(&running.to_string_lossy())
}

/// Where a shell command starts: the folder that the call names, within the agent's.
fn shell_folder(event: &Event) -> Option<PathBuf> {
    let named = ["dir_path", "workdir", "working_directory", "cwd"].iter();
    let named = named.filter_map(|name| event.arguments.get(*name).and_then(Value::as_str)).next();
    let folder = (!event.folder.is_empty()).then(|| PathBuf::from(&event.folder));
    match (folder, named) {
        (Some(folder), Some(named)) => Some(folder.join(named)),
        (folder, named) => folder.or_else(|| named.map(PathBuf::from)),
    }
}

/// To let the tool run is the act: from here on it may.
fn spend(permit: Permit<ToolUse>) -> (ToolUse, Act) {
    permit.spend()
}

fn nonce() -> Result<String, aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

fn deny(what: &str, refusal: &Refusal) -> Verdict {
    Verdict::Deny(answer::sentence(what, refusal))
}

/// Waits without a word.
struct Silent;

impl Patience for Silent {
    async fn waits(&mut self, _seconds: u64, _ask: u64) {}
}

/// Reads one event as every agent's.
#[cfg(fuzzing)]
pub(crate) fn read_all(event: &Value) {
    for dialect in DIALECTS {
        if let Ok(event) = (dialect.read)(event) {
            let _ = (dialect.answer)(&event, &Verdict::Deny("no".to_owned()));
            let _ = dialect.can_be_judged(&event);
            let _ = (dialect.command(&event), dialect.hides_command(&event), dialect.places(&event));
            let mut handed = words::Handed::default();
            dialect.handed(&event).into_iter().for_each(|text| handed.add(&event.session, text));
            if let Moment::Prompt(prompt) = &event.moment {
                let (said, notice) = words::split(prompt);
                assert_eq!(said.len() + notice.len(), prompt.len(), "a word is lost");
                let _ = handed.has(&event.session, said);
            }
            let _ = ToolUse::of(&event);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
