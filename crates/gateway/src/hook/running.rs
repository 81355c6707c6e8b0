//! Built-in tools that were allowed or asked and have not reported back.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use policy::ToolFacts;

use super::dialect::Event;
use super::words::Handed;
use crate::ask::Pending;
use crate::authority::Asking;
use crate::pipeline::Act;

/// The most tools that may run at a time.
const RUNNING_MAX: usize = 2_000;
/// How long a tool may run before it is taken for lost.
const RUN_MAX: Duration = Duration::from_secs(20 * 60);

/// One use of a built-in tool: what a permit for it carries, and how its result is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ToolUse {
    id: String,
}

impl ToolUse {
    /// The agent's own id, or, where it gives none, the tool with its arguments.
    pub(super) fn of(event: &Event) -> Self {
        let id = event.id.clone().unwrap_or_else(|| {
            let arguments = ledger::canonical::to_vec(&event.arguments).unwrap_or_default();
            format!("{}:{}", event.tool, hex::encode(digest::digest(&digest::SHA256, &arguments)))
        });
        Self { id }
    }
}

/// Tools that were allowed or asked and have not reported back.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// By session and tool use; the same call may run twice at a time. Held only for map work.
    running: Mutex<HashMap<(String, ToolUse), VecDeque<Running>>>,
    /// What tools handed on. Held for one look.
    handed: Mutex<Handed>,
}

#[derive(Debug)]
struct Running {
    since: Instant,
    state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Allowed(Act, Arc<ToolFacts>),
    Asked(Box<Asking<ToolUse>>, Pending),
}

impl Hooks {
    /// A tool runs from now on; false if too many do.
    pub(super) fn begin(&self, session: &str, tool_use: &ToolUse, state: State) -> bool {
        let mut running = self.hold();
        let room = running.values().map(VecDeque::len).sum::<usize>() < RUNNING_MAX;
        if room {
            let uses = running.entry((session.to_owned(), tool_use.clone())).or_default();
            uses.push_back(Running { since: Instant::now(), state });
        }
        room
    }

    /// A tool hands these texts to another agent, or to the same one for later.
    pub(super) fn hands(&self, session: &str, texts: &[&str]) {
        let mut handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        texts.iter().for_each(|text| handed.add(session, text));
    }

    /// Whether words are some that a tool of the session handed on.
    pub(super) fn were_handed(&self, session: &str, words: &str) -> bool {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).has(session, words)
    }

    /// A tool has ended.
    pub(super) fn take(&self, session: &str, tool_use: &ToolUse) -> Option<State> {
        let mut running = self.hold();
        let key = (session.to_owned(), tool_use.clone());
        let uses = running.get_mut(&key)?;
        let first = uses.pop_front();
        if uses.is_empty() {
            running.remove(&key);
        }
        first.map(|running| running.state)
    }

    /// How many acts have not reported back.
    pub(crate) fn len(&self) -> usize {
        let is_act = |running: &&Running| matches!(running.state, State::Allowed(..));
        self.hold().values().flatten().filter(is_act).count()
    }

    /// Gives up on what has been running too long: its outcome says so.
    pub(crate) fn expire(&self) {
        self.hold().retain(|_, uses| {
            uses.retain(|running| {
                let asked_in_vain = matches!(&running.state, State::Asked(_, pending) if pending.is_over());
                running.since.elapsed() < RUN_MAX && !asked_in_vain
            });
            !uses.is_empty()
        });
    }

    /// The gateway ends: nobody will hear what these came to.
    pub(crate) fn forget(&self) {
        self.hold().clear();
    }

    fn hold(&self) -> MutexGuard<'_, HashMap<(String, ToolUse), VecDeque<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
