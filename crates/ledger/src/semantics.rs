//! Whether the entries of a log make sense together, whatever they hash to. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde::Deserialize;

use crate::handover::ROTATED;
use crate::record::{Payload, Scope};
use crate::verify::Report;

/// The few members of an entry that matter here; parsing only them is several times faster.
#[derive(Deserialize)]
struct Brief<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    action: BriefAction<'a>,
    #[serde(borrow, default)]
    decision: BriefDecision<'a>,
    now: Option<Timestamp>,
    #[serde(borrow, default)]
    session: Cow<'a, str>,
    #[serde(default)]
    sequence: u64,
    uses: Option<u64>,
    intent: Option<u64>,
    ask: Option<u64>,
    #[serde(default)]
    approved: bool,
    upstream: Option<u64>,
    scope: Option<Scope>,
    #[serde(borrow, default)]
    binding: Cow<'a, str>,
    expires: Option<Timestamp>,
    payload: Option<Payload>,
    #[serde(borrow, default)]
    event: Cow<'a, str>,
    details: Option<BriefDetails>,
}

#[derive(Default, Deserialize)]
struct BriefAction<'a> {
    #[serde(borrow, default)]
    tool: BriefTool<'a>,
}

#[derive(Default, Deserialize)]
struct BriefTool<'a> {
    #[serde(borrow, default)]
    server: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct BriefDecision<'a> {
    #[serde(borrow, default)]
    effect: BriefEffect<'a>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum BriefEffect<'a> {
    Word(#[serde(borrow)] Cow<'a, str>),
    Tagged {
        #[serde(borrow)]
        effect: Cow<'a, str>,
    },
}

impl Default for BriefEffect<'_> {
    fn default() -> Self {
        Self::Word(Cow::Borrowed(""))
    }
}

impl BriefDecision<'_> {
    fn permits(&self) -> bool {
        match &self.effect {
            BriefEffect::Word(word) | BriefEffect::Tagged { effect: word } => word == "permit",
        }
    }
}

#[derive(Deserialize)]
struct BriefDetails {
    key: Option<String>,
    from: Option<String>,
    calls: Option<u64>,
    sent: Option<u64>,
}

/// A permitted intent, until its outcome.
struct Permitted {
    file: String,
    /// Session and server; only where numbers are checked.
    line: Option<Line>,
}

/// Session and server.
type Line = (String, String);

struct Ask {
    binding: String,
    expires: Option<Timestamp>,
    answer: Option<Answer>,
    uses: u64,
}

struct Answer {
    approved: bool,
    scope: Option<Scope>,
}

/// What the entries refer to.
#[derive(Default)]
pub(crate) struct Used {
    /// Payload digests, each with its entry and segment.
    pub(crate) payloads: BTreeMap<String, (u64, u64)>,
    /// Ids of erased keys.
    pub(crate) erased: BTreeSet<String>,
    /// Entries that announce another key of the log, each with the old key.
    pub(crate) rotated: Vec<(u64, String)>,
}

/// Takes the entries in order.
pub(crate) struct Semantics {
    complete: bool,
    /// Somebody is writing: open intents may be in flight.
    live: bool,
    /// What was before this entry was pruned, and is taken to have been as it should.
    start: u64,
    /// The run that was under way at `start` is over: numbers count from there on.
    settled: bool,
    open: BTreeMap<u64, Permitted>,
    closed: HashSet<u64>,
    asks: HashMap<u64, Ask>,
    run: Run,
    used: Used,
}

/// A gap may close again if it was noticed so few entries before the end of a log that is being written.
const CLOSING_WITHIN: u64 = 4_096;

/// What was numbered from the log's last start on.
#[derive(Default)]
struct Run {
    calls: BTreeMap<Line, Numbers>,
    acts: BTreeMap<Line, Numbers>,
    intents: u64,
    sent: u64,
}

/// Numbers that begin at 1 and leave none out, in about their order: calls that are made side by side may be
/// recorded one before the other.
#[derive(Default)]
struct Numbers {
    /// All up to this are there.
    last: u64,
    beyond: BTreeSet<u64>,
    /// Records that have no number, because a crash or a cancellation took it.
    without: u64,
    /// The entry that left the first gap.
    noticed: u64,
}

impl Numbers {
    /// Whether the number is new.
    fn add(&mut self, number: u64, entry: u64) -> bool {
        if number <= self.last || !self.beyond.insert(number) {
            return false;
        }
        while self.beyond.remove(&(self.last + 1)) {
            self.last += 1;
        }
        if self.beyond.is_empty() {
            self.noticed = entry;
        }
        true
    }

    /// Numbers that are missing, beyond those that records without one explain.
    fn missing(&self) -> Option<(u64, u64)> {
        let highest = *self.beyond.last()?;
        let missing = highest - self.last - self.beyond.len() as u64;
        (missing > self.without).then_some((self.last + 1, missing))
    }
}

impl Run {
    /// Says which calls and acts the records leave out. `before`: only gaps noticed before this entry.
    fn settle(&self, before: u64, faults: &mut Vec<String>) {
        for (numbers, what) in [(&self.calls, "call"), (&self.acts, "act")] {
            for ((session, server), numbers) in numbers.iter() {
                if let Some((first, count)) = numbers.missing().filter(|_| numbers.noticed < before) {
                    let which = if what == "call" { "was made at the door" } else { "left for the server" };
                    faults.push(format!(
                        "session `{session}`, server `{server}`: {what} {first} {which} and is not recorded ({count} missing)"
                    ));
                }
            }
        }
    }

    /// Compares with what the gateway counted by itself.
    fn total(&self, details: &BriefDetails, faults: &mut Vec<String>) {
        let counted = [("calls", details.calls, self.intents), ("acts", details.sent, self.sent)];
        for (what, said, found) in counted {
            if let Some(said) = said.filter(|said| *said != found) {
                faults.push(format!("the gateway counted {said} {what} in this run, {found} are recorded"));
            }
        }
    }
}

impl Semantics {
    pub(crate) fn new(complete: bool, live: bool, start: u64) -> Self {
        Self {
            complete,
            live,
            start,
            settled: start == 0,
            open: BTreeMap::new(),
            closed: HashSet::new(),
            asks: HashMap::new(),
            run: Run::default(),
            used: Used::default(),
        }
    }

    pub(crate) fn entry(&mut self, index: u64, file: &str, bytes: &[u8], report: &mut Report) {
        report.entry_bytes += bytes.len() as u64;
        let mut faults = Vec::new();
        match serde_json::from_slice::<Brief<'_>>(bytes) {
            Ok(brief) => {
                match report.kinds.get_mut(brief.kind.as_ref()) {
                    Some(count) => *count += 1,
                    None => _ = report.kinds.insert(brief.kind.to_string(), 1),
                }
                self.check(index, file, brief, &mut faults);
            }
            Err(error) => faults.push(format!("it is no entry: {error}")),
        }
        for text in faults {
            report.fault(file, text).entry = Some(index);
        }
    }

    fn check(&mut self, index: u64, file: &str, brief: Brief<'_>, faults: &mut Vec<String>) {
        match brief.kind.as_ref() {
            "intent" => self.intent(index, file, &brief, faults),
            "outcome" => self.outcome(index, &brief, faults),
            "asked" => {
                let (binding, expires) = (brief.binding.into_owned(), brief.expires);
                self.asks.insert(index, Ask { binding, expires, answer: None, uses: 0 });
                return;
            }
            "answered" => self.answered(&brief, faults),
            "log" => self.log(index, &brief, faults),
            _ => {}
        }
        if let Some(Payload { digest, segment, .. }) = brief.payload {
            self.used.payloads.insert(digest, (index, segment));
        }
    }

    fn intent(&mut self, index: u64, file: &str, brief: &Brief<'_>, faults: &mut Vec<String>) {
        let line = (self.complete && self.settled)
            .then(|| (brief.session.clone().into_owned(), brief.action.tool.server.clone().into_owned()));
        if brief.decision.permits() {
            self.open.insert(index, Permitted { file: file.to_owned(), line: line.clone() });
        }
        if let Some(ask) = brief.uses {
            self.uses(ask, brief, faults);
        }
        let Some(line) = line else { return };
        self.run.intents += 1;
        let is_new = self.run.calls.entry(line).or_default().add(brief.sequence, index);
        // A call that is decided again with its approval may keep its number.
        if !is_new && brief.uses.is_none() {
            let (session, server) = (&brief.session, &brief.action.tool.server);
            faults.push(format!("session `{session}`, server `{server}`: a second call {}", brief.sequence));
        }
    }

    fn departure(&mut self, index: u64, line: Line, number: Option<u64>, faults: &mut Vec<String>) {
        let (session, server) = line.clone();
        let numbers = self.run.acts.entry(line).or_default();
        match number {
            Some(number) => {
                self.run.sent += 1;
                if !numbers.add(number, index) {
                    faults.push(format!("session `{session}`, server `{server}`: a second act {number}"));
                }
            }
            None => numbers.without += 1,
        }
    }

    fn uses(&mut self, number: u64, brief: &Brief<'_>, faults: &mut Vec<String>) {
        let Some(ask) = self.asks.get_mut(&number) else {
            if number < self.start {
                return;
            }
            return faults.push(format!("it uses an approval of entry {number}, which asks nothing"));
        };
        match &ask.answer {
            Some(Answer { approved: true, scope }) => {
                if *scope != Some(Scope::Session) && ask.uses > 0 {
                    faults.push(format!("the approval of ask {number} is used a second time"));
                }
            }
            Some(_) => faults.push(format!("it uses ask {number}, which was refused")),
            None => faults.push(format!("it uses ask {number}, which was not answered yet")),
        }
        if ask.answer.as_ref().is_some_and(|answer| answer.scope == Some(Scope::Once))
            && ask.expires.zip(brief.now).is_some_and(|(expires, now)| now > expires)
        {
            faults.push(format!("the approval of ask {number} had expired"));
        }
        ask.uses += 1;
    }

    fn outcome(&mut self, index: u64, brief: &Brief<'_>, faults: &mut Vec<String>) {
        let Some(intent) = brief.intent else { return faults.push("it is the outcome of nothing".to_owned()) };
        if let Some(permitted) = self.open.remove(&intent) {
            self.closed.insert(intent);
            if let Some(line) = permitted.line {
                self.departure(index, line, brief.upstream, faults);
            }
        } else if self.closed.contains(&intent) {
            faults.push(format!("it is a second outcome of intent {intent}"));
        } else if intent >= self.start {
            faults.push(format!("it is the outcome of entry {intent}, which permits nothing"));
        }
    }

    fn answered(&mut self, brief: &Brief<'_>, faults: &mut Vec<String>) {
        let number = brief.ask.unwrap_or(u64::MAX);
        let Some(ask) = self.asks.get_mut(&number) else {
            if number < self.start {
                return;
            }
            return faults.push("it answers an entry that asks nothing".to_owned());
        };
        if ask.answer.is_some() {
            faults.push(format!("it is a second answer to ask {number}"));
        }
        if brief.binding != ask.binding {
            faults.push(format!("it binds another action than ask {number}: `{}`, `{}`", brief.binding, ask.binding));
            return;
        }
        ask.answer = Some(Answer { approved: brief.approved, scope: brief.scope });
    }

    fn log(&mut self, index: u64, brief: &Brief<'_>, faults: &mut Vec<String>) {
        match brief.event.as_ref() {
            // A new process: whatever was open is nobody's any more, and recovery closed it before this.
            "started" | "recovered" => {
                for (intent, _) in std::mem::take(&mut self.open) {
                    faults.push(format!("intent {intent} was permitted before this start and has no outcome"));
                }
                std::mem::take(&mut self.run).settle(u64::MAX, faults);
                self.settled = true;
            }
            "drained" => {
                if let Some(details) = brief.details.as_ref().filter(|_| self.complete && self.settled) {
                    self.run.total(details, faults);
                }
            }
            ROTATED => {
                let from = brief.details.as_ref().and_then(|details| details.from.clone());
                self.used.rotated.push((index, from.unwrap_or_default()));
            }
            "erased" => self.used.erased.extend(brief.details.as_ref().and_then(|details| details.key.clone())),
            _ => {}
        }
    }

    pub(crate) fn finish(self, report: &mut Report) -> Used {
        let mut faults = Vec::new();
        let before = if self.live { report.entries.saturating_sub(CLOSING_WITHIN) } else { u64::MAX };
        self.run.settle(before, &mut faults);
        for text in faults {
            report.fault(crate::read::JOURNAL, text);
        }
        for (intent, permitted) in self.open {
            if self.live {
                report.in_flight.push(intent);
            } else {
                let text = "it was permitted and has no outcome; the next start will say `unknown`";
                report.fault(permitted.file, text).entry = Some(intent);
            }
        }
        self.used
    }
}
