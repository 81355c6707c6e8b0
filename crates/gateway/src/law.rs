//! The law in force: the operator's policies compiled with the tools that were seen.
//!
//! A new snapshot is stored in the ledger before the first decision is made under it, so that every
//! decision can be recomputed. What does not compile never replaces what does; if nothing ever compiled,
//! the snapshot of no policies is in force, and it denies everything.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::digest;
use ledger::record::Record;
use policy::{Bounds, Diagnostic, Snapshot, SnapshotId, Source, ToolFacts, ToolId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::breaker::Trip;
use crate::catalogue::Catalogue;
use crate::disk;
use crate::pipeline::Journal;

/// What the record says brought a snapshot: what the operator wrote, or tools.
const POLICIES: &str = "policies";
const TOOLS: &str = "tools";
/// The file in the gateway's folder that says what the linter passed last.
const PASSED: &str = "linted.json";
/// How long a call waits for the law to know its tool.
const COMPILED_WITHIN: Duration = Duration::from_secs(2);

/// What the operator wrote.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The policy files: name and text.
    pub policies: Vec<(String, String)>,
    /// The adopted mandates, and budgets.
    pub bounds: Bounds,
    /// When breakers open by themselves.
    pub trip: Trip,
}

/// The law in force. Shared by all doors.
#[derive(Debug)]
pub(crate) struct Law {
    /// What the operator wrote. Held across a compilation, so that two never overlap and the later one wins.
    rules: Mutex<Rules>,
    /// What decisions are made under. Held only to clone or swap the pointer.
    force: watch::Sender<Arc<Force>>,
    /// The file that says what the linter passed last; none in a simulation.
    passed: Option<PathBuf>,
    /// What may be compiled already for the first rules. Held only to take it.
    ahead: Mutex<Option<Ahead>>,
}

/// The law of an earlier start, compiled beside all else that a start takes. It counts only if the rules and tools that are
/// to take force are those that it was made of, and the linter passed them before.
#[derive(Debug)]
pub struct Ahead(JoinHandle<Option<Compiled>>);

/// A snapshot that has no force yet, and what it was made of.
#[derive(Debug)]
struct Compiled {
    source: Source,
    force: Force,
    diagnostics: Vec<Diagnostic>,
}

impl Ahead {
    /// Begins, for a gateway with this folder. Reads files only.
    pub fn begin(dir: PathBuf, rules: impl FnOnce() -> Option<Rules> + Send + 'static) -> io::Result<Self> {
        let compile = move || {
            let rules = rules()?;
            let tools = Catalogue::open(dir.join("tools.json")).ok()?.facts();
            let source = source(&rules, &tools);
            let force = compile(rules, tools, Snapshot::assemble).ok()?.0;
            let diagnostics = passed(&dir.join(PASSED), force.snapshot.id())?;
            Some(Compiled { source, force, diagnostics })
        };
        thread::Builder::new().name("law".to_owned()).spawn(compile).map(Self)
    }

    fn of(self, source: &Source) -> Option<Compiled> {
        self.0.join().ok().flatten().filter(|compiled| compiled.source == *source)
    }
}

/// A source that the linter passed, by the name of its snapshot: with the same source and the same program it would say the
/// same again, which takes longer than all else that a gateway does to start. Whoever could forge this file could write
/// the policies, and what the linter would have refused errs when it is evaluated, which is a Deny.
#[derive(Serialize, Deserialize)]
struct Passed {
    by: String,
    snapshot: String,
    diagnostics: Vec<Diagnostic>,
}

/// A snapshot, and the digest of what the operator wrote without the tools.
#[derive(Debug)]
pub(crate) struct Force {
    /// The snapshot.
    pub(crate) snapshot: Snapshot,
    /// SHA-256 of policy files, mandates and budgets, in hex: what an approval is bound to. The snapshot's own id changes
    /// whenever any server shows a new tool, which must not void what a human said about another.
    pub(crate) policies: String,
}

/// No snapshot could be made.
#[derive(Debug, thiserror::Error)]
pub enum LawError {
    /// The policies are refused.
    #[error("the policies are refused: {}", first(.0))]
    Refused(Vec<Diagnostic>),
    /// The ledger refused the snapshot.
    #[error("the snapshot could not be recorded: {0}")]
    Unrecorded(String),
}

fn first(diagnostics: &[Diagnostic]) -> String {
    let worst = diagnostics.iter().find(|diagnostic| diagnostic.error).or(diagnostics.first());
    worst.map_or_else(
        || "no reason given".to_owned(),
        |worst| format!("{}:{}:{}: {}", worst.file, worst.line, worst.column, worst.message),
    )
}

impl Law {
    /// No law yet: everything is denied. The folder is the gateway's own.
    pub(crate) fn none(dir: &Path, ahead: Option<Ahead>) -> Result<Self, LawError> {
        let force = compile(Rules::default(), Vec::new(), Snapshot::assemble)?.0;
        Ok(Self { passed: Some(dir.join(PASSED)), ahead: Mutex::new(ahead), ..Self::of(Arc::new(force)) })
    }

    /// A law that was compiled before, for simulations.
    pub(crate) fn of(force: Arc<Force>) -> Self {
        Self { rules: Mutex::default(), force: watch::Sender::new(force), passed: None, ahead: Mutex::default() }
    }

    /// Another law that was compiled before takes force, for simulations.
    pub(crate) fn to(&self, force: Arc<Force>) {
        self.force.send_replace(force);
    }

    /// The law in force.
    pub(crate) fn force(&self) -> Arc<Force> {
        self.force.borrow().clone()
    }

    /// The law in force that knows a tool by this pin, or, without one, does not know it. Between a list that is taken in
    /// and the law that is made of it there is a moment, in which another call would be judged by what was.
    pub(crate) async fn force_for(&self, tool: &ToolId, pin: Option<&str>) -> Arc<Force> {
        let force = self.force();
        if force.snapshot.pin(tool) == pin {
            return force;
        }
        let mut changes = self.force.subscribe();
        let known = changes.wait_for(|force| force.snapshot.pin(tool) == pin);
        // That no such law comes is for whoever judges under this one.
        drop(tokio::time::timeout(COMPILED_WITHIN, known).await);
        self.force()
    }

    /// Whether a call waits for another law.
    #[cfg(test)]
    pub(crate) fn is_awaited(&self) -> bool {
        self.force.receiver_count() > 0
    }

    /// New rules take effect; answers what the compiler warns of. Blocks.
    pub(crate) fn enact(
        &self,
        rules: Rules,
        tools: Vec<ToolFacts>,
        journal: &Journal,
    ) -> Result<Vec<Diagnostic>, LawError> {
        let mut held = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let source = source(&rules, &tools);
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
        let diagnostics = match ahead.and_then(|ahead| ahead.of(&source)) {
            Some(Compiled { force, diagnostics, .. }) => {
                self.install((&source, force), journal, POLICIES)?;
                diagnostics
            }
            None => match self.passed.as_ref().and_then(|path| passed(path, &source.id())) {
                Some(passed) => {
                    self.swap(rules.clone(), tools, journal, (POLICIES, Snapshot::assemble))?;
                    passed
                }
                None => {
                    let diagnostics = self.swap(rules.clone(), tools, journal, (POLICIES, Snapshot::compile))?;
                    self.passes(&diagnostics);
                    diagnostics
                }
            },
        };
        *held = rules;
        Ok(diagnostics)
    }

    /// What is in force has passed the linter.
    fn passes(&self, diagnostics: &[Diagnostic]) {
        let (Some(path), Some(by)) = (&self.passed, this_program()) else { return };
        let snapshot = self.force().snapshot.id().0.clone();
        let passed = Passed { by, snapshot, diagnostics: diagnostics.to_vec() };
        if let Err(error) = disk::write_json(path, &passed) {
            tracing::warn!(%error, "the policies will be linted again at the next start");
        }
    }

    /// New tools take effect under the same policy files. Blocks.
    pub(crate) fn extend(&self, tools: impl FnOnce() -> Vec<ToolFacts>, journal: &Journal) -> Result<(), LawError> {
        let held = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: the last to extend sees the tools of all before it.
        self.swap(held.clone(), tools(), journal, (TOOLS, Snapshot::assemble)).map(|_| ())
    }

    fn swap(
        &self,
        rules: Rules,
        tools: Vec<ToolFacts>,
        journal: &Journal,
        (by, make): (&str, Make),
    ) -> Result<Vec<Diagnostic>, LawError> {
        let source = source(&rules, &tools);
        let (force, warnings) = compile(rules, tools, make)?;
        if by == TOOLS && force.snapshot.id() == self.force().snapshot.id() {
            return Ok(warnings);
        }
        self.install((&source, force), journal, by)?;
        Ok(warnings)
    }

    /// Puts in force what was compiled of a source.
    fn install(&self, (source, force): (&Source, Force), journal: &Journal, by: &str) -> Result<(), LawError> {
        let unrecorded = |error: &dyn std::fmt::Display| LawError::Unrecorded(error.to_string());
        journal.ledger().put_object(&source.canonical()).map_err(|error| unrecorded(&error))?;
        let snapshot = force.snapshot.id().0.clone();
        // Order: source, then entry, then force. A crash between them leaves a source nobody names.
        journal
            .ledger()
            .append(Record::Snapshot { snapshot, by: by.to_owned() }, journal.now())
            .map_err(|error| unrecorded(&error))?;
        self.force.send_replace(Arc::new(force));
        Ok(())
    }
}

fn source(Rules { policies, bounds, .. }: &Rules, tools: &[ToolFacts]) -> Source {
    Source { policies: policies.clone(), bounds: bounds.clone(), tools: tools.to_vec() }
}

/// What the linter said of this before, if it passed it.
fn passed(path: &Path, snapshot: &SnapshotId) -> Option<Vec<Diagnostic>> {
    // That it cannot be read costs time only.
    let passed: Passed = disk::read_json(path).ok()??;
    (passed.by == this_program()? && passed.snapshot == snapshot.0).then_some(passed.diagnostics)
}

/// Another build of the program may have another linter.
fn this_program() -> Option<String> {
    let meta = std::env::current_exe().ok()?.metadata().ok()?;
    let built = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{} {} {}", env!("CARGO_PKG_VERSION"), meta.len(), built.as_nanos()))
}

/// How a snapshot is made: with the linter, or without for policies that it has seen.
pub(crate) type Make = fn(Source) -> Result<(Snapshot, Vec<Diagnostic>), Vec<Diagnostic>>;

/// What an approval is bound to of what the operator wrote; see [`Force::policies`].
pub(crate) fn digest_of(policies: &[(String, String)], bounds: &Bounds) -> Result<String, serde_json::Error> {
    let text = match bounds.is_empty() {
        true => ledger::canonical::to_vec(policies),
        false => ledger::canonical::to_vec(&(policies, bounds)),
    };
    Ok(hex::encode(digest::digest(&digest::SHA256, &text?)))
}

pub(crate) fn compile(
    Rules { policies, bounds, .. }: Rules,
    tools: Vec<ToolFacts>,
    make: Make,
) -> Result<(Force, Vec<Diagnostic>), LawError> {
    let digest = digest_of(&policies, &bounds).map_err(|error| LawError::Unrecorded(error.to_string()))?;
    let (snapshot, warnings) = make(Source { policies, bounds, tools }).map_err(LawError::Refused)?;
    Ok((Force { snapshot, policies: digest }, warnings))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use ledger::{Ledger, SigningKey};

    use super::*;
    use crate::pipeline::Clock;

    fn rules(text: &str) -> Rules {
        Rules { policies: vec![("a.cedar".to_owned(), text.to_owned())], ..Rules::default() }
    }

    #[test]
    fn what_the_linter_passed_is_not_linted_again_and_anything_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let options = ledger::Options::new(jiff::Timestamp::now());
        let (ledger, _) = Ledger::open(&dir.path().join("ledger"), SigningKey::generate().unwrap(), options).unwrap();
        let (journal, path) = (Journal::new(ledger, Clock::System), dir.path().join(PASSED));
        let enact = |text: &str| Law::none(dir.path(), None).unwrap().enact(rules(text), Vec::new(), &journal);
        let doubtful = r#"permit (principal, action == Action::"files/read", resource);"#;
        let said = enact(doubtful).unwrap();
        assert_eq!(said.len(), 1, "{said:?}");
        // What it says is taken from the file: of these policies, and in the words of then.
        let kept = std::fs::read_to_string(&path).unwrap();
        let put = |from: &str, to: &str| std::fs::write(&path, kept.replacen(from, to, 1)).unwrap();
        put(&said[0].message.replace('"', "\\\""), "as said before");
        assert_eq!(enact(doubtful).unwrap()[0].message, "as said before");
        assert!(enact(r#"permit (principal, action == Action::"nonsense", resource);"#).is_err());
        put("\"by\":\"", "\"by\":\"another ");
        assert_eq!(enact(doubtful).unwrap(), said, "another program");
        std::fs::write(&path, "x").unwrap();
        assert_eq!(enact(doubtful).unwrap(), said, "a damaged file");
    }

    #[test]
    fn what_was_compiled_ahead_counts_for_the_same_rules_and_tools_that_the_linter_passed() {
        let dir = tempfile::tempdir().unwrap();
        let options = ledger::Options::new(jiff::Timestamp::now());
        let (ledger, _) = Ledger::open(&dir.path().join("ledger"), SigningKey::generate().unwrap(), options).unwrap();
        let journal = Journal::new(ledger, Clock::System);
        let ahead = |text: &'static str| Ahead::begin(dir.path().to_owned(), move || Some(rules(text))).unwrap();
        let (one, other) = ("permit (principal, action, resource);", "forbid (principal, action, resource);");
        let enacted = |law: &Law, text: &str| {
            law.enact(rules(text), Vec::new(), &journal).unwrap();
            law.force().snapshot.id().clone()
        };
        assert!(ahead(one).of(&source(&rules(one), &[])).is_none(), "the linter has not seen it");
        let plain = enacted(&Law::none(dir.path(), None).unwrap(), one);
        assert!(ahead(one).of(&source(&rules(one), &[])).is_some());
        assert!(ahead(one).of(&source(&rules(other), &[])).is_none());
        assert_eq!(enacted(&Law::none(dir.path(), Some(ahead(one))).unwrap(), one), plain);
        let changed = enacted(&Law::none(dir.path(), Some(ahead(one))).unwrap(), other);
        assert_ne!(changed, plain, "the rules changed meanwhile");
    }
}
