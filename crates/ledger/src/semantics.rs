//! Whether the entries of a log make sense together, whatever they hash to. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::brief::{Brief, Details, Payload, Time};
use crate::cosign::Behind;
use crate::handover::ROTATED;
use crate::read::{ReadError, Stored};
use crate::record::{Record, Scope};
use crate::seal::CHECKPOINT;
use crate::verify::{Report, WentBack};

/// A permitted intent, until its outcome.
struct Permitted {
    file: Arc<str>,
    /// Only where numbers are checked.
    line: Option<Line>,
}

/// A session's calls to one server: their place in [`Run::lines`].
type Line = usize;

struct Ask {
    binding: String,
    expires: Option<Timestamp>,
    answer: Option<Answer>,
    /// The time of the entry that ended it: nobody waits for it any more.
    ended: Option<Timestamp>,
    uses: u64,
}

struct Answer {
    approved: bool,
    scope: Option<Scope>,
}

/// What the entries refer to.
#[derive(Default)]
pub(crate) struct Used {
    /// Payloads by their digests.
    pub(crate) payloads: BTreeMap<String, Reference>,
    /// Ids of erased keys.
    pub(crate) erased: BTreeSet<String>,
    /// Snapshots that took effect, each with its first entry; their sources are objects.
    pub(crate) snapshots: BTreeMap<String, u64>,
    /// Scans, each with its first entry; what they found is an object.
    pub(crate) scans: BTreeMap<String, u64>,
    /// Entries that announce another key of the log, each with the old key.
    pub(crate) rotated: Vec<(u64, String)>,
    /// Entries by which a witness has seen another history of the log, each with its name.
    pub(crate) contradicted: Vec<(u64, String)>,
}

/// How an entry refers to a payload.
pub(crate) struct Reference {
    pub(crate) entry: u64,
    pub(crate) segment: u64,
    pub(crate) subject: String,
    pub(crate) size_bytes: u64,
}

/// Takes the entries in order.
pub(crate) struct Semantics {
    complete: bool,
    /// Somebody is writing, or was when this was copied: what is not there may still come.
    live: bool,
    /// What was before this entry was pruned, and is taken to have been as it should.
    start: u64,
    /// The run that was under way at `start` is over: numbers count from there on.
    settled: bool,
    open: BTreeMap<u64, Permitted>,
    closed: Entries,
    /// Intents that do not permit.
    refused: Entries,
    asks: HashMap<u64, Ask>,
    run: Run,
    used: Used,
    /// What each witness that was asked for does not vouch for.
    pub(crate) behind: Vec<Behind>,
    /// The latest time of an entry, where gaps of a log that is being written are judged by it.
    latest: Option<Timestamp>,
    clock: Clock,
}

/// So far back an entry may be dated that is not told: times are read before entries are put in order, and clocks are
/// corrected.
const BACK_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Whether entries are dated in their order. One that is not may have been put there later, or a clock was set; which, the
/// log cannot say, so that it is told and is no fault.
#[derive(Default)]
struct Clock {
    /// The latest so far, to the second, as text: to compare that takes nothing.
    latest: Option<[u8; 19]>,
    back: Option<WentBack>,
}

impl Clock {
    fn entry(&mut self, index: u64, time: &Time<'_>) {
        let Some(second) = time.second() else { return };
        if self.latest.as_ref().is_some_and(|latest| second < latest) {
            return self.before(index, second);
        }
        self.latest = Some(*second);
    }

    fn before(&mut self, index: u64, second: &[u8; 19]) {
        let parsed = |second: &[u8; 19]| format!("{}Z", String::from_utf8_lossy(second)).parse::<Timestamp>().ok();
        let Some((latest, time)) = self.latest.as_ref().and_then(parsed).zip(parsed(second)) else { return };
        let back = latest.duration_since(time);
        if back > BACK_MAX {
            let first = WentBack { entry: index, entries: 0, seconds: 0 };
            let told = self.back.get_or_insert(first);
            told.entries += 1;
            told.seconds = told.seconds.max(back.as_secs());
        }
    }
}

/// An answer that is on its way when the ask ends may be recorded after that.
const ANSWERED_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// What is approved in an ask's last moment is judged again, and so given its time, after that.
const USED_WITHIN: SignedDuration = SignedDuration::from_secs(10);
/// In a log that is being written a gap may still close that was noticed so short a time before its last entry: the gateway
/// waits ten minutes for an answer, and for a person before that.
const UNDER_WAY_MAX: SignedDuration = SignedDuration::from_mins(15);

/// What was numbered from the log's last start on.
#[derive(Default)]
struct Run {
    /// By session and server.
    known: BTreeMap<String, BTreeMap<String, Line>>,
    lines: Vec<Numbered>,
    intents: u64,
    sent: u64,
    /// It ended in order, so that nothing was under way.
    drained: bool,
}

/// The numbers of one session's calls to one server.
struct Numbered {
    session: String,
    server: String,
    calls: Numbers,
    acts: Numbers,
}

/// A set of entries, one bit each.
#[derive(Default)]
struct Entries(Vec<u64>);

impl Entries {
    fn insert(&mut self, entry: u64) {
        let word = (entry / 64) as usize;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= 1 << (entry % 64);
        }
    }

    fn contains(&self, entry: u64) -> bool {
        usize::try_from(entry / 64)
            .ok()
            .and_then(|word| self.0.get(word))
            .is_some_and(|bits| bits >> (entry % 64) & 1 == 1)
    }
}

/// Numbers that begin at 1 and leave none out, in about their order: calls that are made side by side may be
/// recorded one before the other.
#[derive(Default)]
struct Numbers {
    /// All up to this are there.
    last: u64,
    /// Those that came before their turn, each with the time of its entry.
    beyond: BTreeMap<u64, Option<Timestamp>>,
    /// Records that have no number, because a crash or a cancellation took it.
    without: u64,
}

/// Numbers that are left out.
struct Missing {
    first: u64,
    count: u64,
    /// When that was to be seen at first.
    since: Option<Timestamp>,
}

impl Numbers {
    /// Whether the number is new.
    fn add(&mut self, number: u64, time: &Time<'_>) -> bool {
        if self.beyond.is_empty() && number == self.last + 1 {
            self.last = number;
            return true;
        }
        if number <= self.last || self.beyond.contains_key(&number) {
            return false;
        }
        self.beyond.insert(number, time.get());
        while self.beyond.remove(&(self.last + 1)).is_some() {
            self.last += 1;
        }
        true
    }

    /// Numbers that are missing, beyond those that records without one explain.
    fn missing(&self) -> Option<Missing> {
        let (highest, _) = self.beyond.last_key_value()?;
        let count = highest - self.last - self.beyond.len() as u64;
        let since = self.beyond.values().flatten().min().copied();
        (count > self.without).then_some(Missing { first: self.last + 1, count, since })
    }
}

impl Run {
    fn line(&mut self, session: &str, server: &str) -> Line {
        if let Some(line) = self.known.get(session).and_then(|servers| servers.get(server)) {
            return *line;
        }
        let (session, server) = (session.to_owned(), server.to_owned());
        let line = self.lines.len();
        self.known.entry(session.clone()).or_default().insert(server.clone(), line);
        self.lines.push(Numbered { session, server, calls: Numbers::default(), acts: Numbers::default() });
        line
    }

    /// Says which calls and acts the records leave out. `before`: only gaps noticed before this time; answers how many
    /// calls are in the others.
    fn settle(&self, before: Timestamp, faults: &mut Vec<String>) -> u64 {
        let mut unjudged = 0;
        for line in &self.lines {
            let mut open = 0;
            for (numbers, act, which) in
                [(&line.calls, "call", "was made at the door"), (&line.acts, "act", "left for the server")]
            {
                let Some(Missing { first, count, since }) = numbers.missing() else { continue };
                if since.is_some_and(|since| since >= before) {
                    open = count.max(open);
                    continue;
                }
                let Numbered { session, server, .. } = line;
                faults.push(format!(
                    "session `{session}`, server `{server}`: {act} {first} {which} and is not recorded ({count} missing)"
                ));
            }
            unjudged += open;
        }
        unjudged
    }

    /// Compares with what the gateway counted by itself.
    fn total(&self, details: &Details<'_>, faults: &mut Vec<String>) {
        let counted = [("calls", details.calls, self.intents), ("acts", details.sent, self.sent)];
        for (what, said, found) in counted {
            if let Some(said) = said.filter(|said| *said != found) {
                faults.push(format!("the gateway counted {said} {what} in this run, {found} are recorded"));
            }
        }
    }
}

/// An entry of a kind that is known, where more of it is to be seen than that it has what its kind has; or what is wrong with
/// it for whoever reads it whole: to show, tell or decide it again.
fn whole(index: u64, brief: &Brief<'_>, bytes: &[u8]) -> Result<Option<Record>, String> {
    if brief.v != 1 || brief.is_whole() {
        return Ok(None);
    }
    match Stored::parse(index, bytes) {
        Ok(stored) => Ok(Some(stored.entry.record)),
        Err(ReadError::Kind { .. }) => Ok(None),
        Err(ReadError::Entry { error, .. }) => Err(format!("it is no entry of its kind: {error}")),
        Err(error) => Err(error.to_string()),
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
            closed: Entries::default(),
            refused: Entries::default(),
            asks: HashMap::new(),
            run: Run::default(),
            used: Used::default(),
            behind: Vec::new(),
            latest: None,
            clock: Clock::default(),
        }
    }

    pub(crate) fn entry(&mut self, index: u64, file: &Arc<str>, bytes: &[u8], report: &mut Report) {
        report.entry_bytes += bytes.len() as u64;
        let mut faults = Vec::new();
        match Brief::read(bytes) {
            Ok(brief) => {
                match report.kinds.get_mut(brief.kind.as_ref()) {
                    Some(count) => *count += 1,
                    None => _ = report.kinds.insert(brief.kind.to_string(), 1),
                }
                self.behind.iter_mut().for_each(|behind| behind.entry(index, &brief.time));
                self.clock.entry(index, &brief.time);
                if self.live && self.complete {
                    self.latest = self.latest.max(brief.time.get());
                }
                self.check(index, file, &brief, &mut faults);
                match whole(index, &brief, bytes) {
                    Ok(Some(Record::Scan { digest, .. })) => _ = self.used.scans.entry(digest).or_insert(index),
                    Ok(_) => {}
                    Err(fault) => faults.push(fault),
                }
            }
            Err(error) => faults.push(format!("it is no entry: {error}")),
        }
        for text in faults {
            report.fault(file.as_ref(), text).entry = Some(index);
        }
    }

    fn check(&mut self, index: u64, file: &Arc<str>, brief: &Brief<'_>, faults: &mut Vec<String>) {
        if [Some(&brief.time), brief.now.as_ref()].into_iter().flatten().any(|time| !time.is_utc()) {
            faults.push("its time is not written in UTC".to_owned());
        }
        if brief.v != 1 {
            faults.push(format!("it is of version {}, which this program does not know", brief.v));
        }
        match brief.kind.as_ref() {
            "intent" => self.intent(index, file, brief, faults),
            "outcome" => self.outcome(brief, faults),
            "asked" => return self.asked(index, brief, faults),
            "answered" => self.answered(brief, faults),
            "expired" => self.expired(brief, faults),
            "snapshot" => _ = self.used.snapshots.entry(brief.snapshot.to_string()).or_insert(index),
            "log" => self.log(index, brief, faults),
            _ => {}
        }
        if let Some(Payload { digest, segment, subject, size_bytes }) = &brief.payload {
            let (segment, size_bytes) = (*segment, *size_bytes);
            if let Some(size) = brief.size_bytes.filter(|size| *size != size_bytes && brief.kind == "outcome") {
                faults.push(format!("its result has {size} bytes, and its payload {size_bytes} (record.md, rule 9)"));
            }
            let reference = Reference { entry: index, segment, subject: subject.to_string(), size_bytes };
            // Each has a salt of its own, so that no two are the same.
            if let Some(before) = self.used.payloads.insert(digest.to_string(), reference) {
                faults.push(format!("its payload is that of entry {} (record.md, rule 9)", before.entry));
            }
        }
    }

    fn intent(&mut self, index: u64, file: &Arc<str>, brief: &Brief<'_>, faults: &mut Vec<String>) {
        let numbered = self.complete && self.settled;
        let line = numbered.then(|| self.run.line(&brief.session, &brief.action.tool.server));
        if brief.decision.effect.permits {
            self.open.insert(index, Permitted { file: Arc::clone(file), line });
        } else {
            self.refused.insert(index);
        }
        if let Some(ask) = brief.uses {
            self.uses(ask, brief, faults);
        }
        let Some(numbered) = line.and_then(|line| self.run.lines.get_mut(line)) else { return };
        self.run.intents += 1;
        // A call that is decided again with its approval may keep its number.
        if !numbered.calls.add(brief.sequence, &brief.time) && brief.uses.is_none() {
            let (session, server) = (&brief.session, &brief.action.tool.server);
            faults.push(format!("session `{session}`, server `{server}`: a second call {}", brief.sequence));
        }
    }

    fn departure(&mut self, line: Line, brief: &Brief<'_>, faults: &mut Vec<String>) {
        let Some(Numbered { session, server, acts, .. }) = self.run.lines.get_mut(line) else { return };
        match brief.upstream {
            Some(number) => {
                self.run.sent += 1;
                if !acts.add(number, &brief.time) {
                    faults.push(format!("session `{session}`, server `{server}`: a second act {number}"));
                }
            }
            None => acts.without += 1,
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
        if ask.ended.is_some() {
            faults.push(format!("it uses ask {number}, which had ended without an answer"));
        }
        let now = brief.now.as_ref().and_then(Time::get);
        if ask.answer.as_ref().is_some_and(|answer| answer.scope == Some(Scope::Once))
            && ask.expires.zip(now).is_some_and(|(expires, now)| now.duration_since(expires) > USED_WITHIN)
        {
            faults.push(format!("the approval of ask {number} had expired"));
        }
        ask.uses += 1;
    }

    fn outcome(&mut self, brief: &Brief<'_>, faults: &mut Vec<String>) {
        let Some(intent) = brief.intent else { return faults.push("it is the outcome of nothing".to_owned()) };
        if let Some(permitted) = self.open.remove(&intent) {
            self.closed.insert(intent);
            if let Some(line) = permitted.line {
                self.departure(line, brief, faults);
            }
        } else if self.closed.contains(intent) {
            faults.push(format!("it is a second outcome of intent {intent}"));
        } else if intent >= self.start {
            faults.push(format!("it is the outcome of entry {intent}, which permits nothing"));
        }
    }

    fn asked(&mut self, index: u64, brief: &Brief<'_>, faults: &mut Vec<String>) {
        let is_refused = |intent: u64| intent < self.start || (intent < index && self.refused.contains(intent));
        if let Some(intent) = brief.intent.filter(|intent| !is_refused(*intent)) {
            faults
                .push(format!("it asks about entry {intent}, which is no call that was held back (record.md, rule 2)"));
        }
        let (binding, expires) = (brief.binding.to_string(), brief.expires.as_ref().and_then(Time::get));
        self.asks.insert(index, Ask { binding, expires, answer: None, ended: None, uses: 0 });
    }

    fn expired(&mut self, brief: &Brief<'_>, faults: &mut Vec<String>) {
        let number = brief.ask.unwrap_or(u64::MAX);
        let Some(ask) = self.asks.get_mut(&number) else {
            if number >= self.start {
                faults.push("it ends an entry that asks nothing (record.md, rule 2)".to_owned());
            }
            return;
        };
        if ask.ended.is_some() {
            faults.push(format!("it ends ask {number} a second time (record.md, rule 2)"));
        }
        if ask.uses > 0 {
            faults.push(format!("it ends ask {number}, whose approval was used before (record.md, rule 2)"));
        }
        ask.ended = ask.ended.or(Some(brief.time.get().unwrap_or(Timestamp::MIN)));
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
            return faults.push(format!("it is a second answer to ask {number}"));
        }
        if let Some((ended, now)) = ask.ended.zip(brief.time.get())
            && now.duration_since(ended) > ANSWERED_WITHIN
        {
            faults.push(format!("it answers ask {number}, which had ended at {ended} (record.md, rule 2)"));
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
                std::mem::take(&mut self.run).settle(Timestamp::MAX, faults);
                self.settled = true;
            }
            "drained" => {
                self.run.drained = true;
                if let Some(details) = brief.details.as_ref().filter(|_| self.complete && self.settled) {
                    self.run.total(details, faults);
                }
            }
            ROTATED => {
                let from = brief.details.as_ref().and_then(|details| details.from.as_deref());
                self.used.rotated.push((index, from.unwrap_or_default().to_owned()));
            }
            "erased" => {
                let key = brief.details.as_ref().and_then(|details| details.key.as_deref());
                self.used.erased.extend(key.map(str::to_owned));
            }
            "contradicted" => {
                let witness = brief.details.as_ref().and_then(|details| details.witness.as_deref());
                self.used.contradicted.push((index, witness.unwrap_or_default().to_owned()));
            }
            _ => {}
        }
    }

    pub(crate) fn finish(mut self, report: &mut Report) -> Used {
        let mut faults = Vec::new();
        // A crash leaves what a log that is being written has; the next start closes it. After an orderly end nothing is open,
        // in a copy neither.
        let is_under_way = !self.run.drained;
        for line in self.open.values().filter_map(|permitted| permitted.line).filter(|_| is_under_way) {
            if let Some(numbered) = self.run.lines.get_mut(line) {
                numbered.acts.without += 1;
            }
        }
        let before = self.latest.map(|latest| latest.checked_sub(UNDER_WAY_MAX).unwrap_or(Timestamp::MIN));
        report.unjudged = self.run.settle(before.unwrap_or(Timestamp::MAX), &mut faults);
        for text in faults {
            report.fault(crate::read::JOURNAL, text);
        }
        report.went_back = self.clock.back;
        for behind in &self.behind {
            if let Some(text) = behind.fault(self.start) {
                report.fault(CHECKPOINT, text).entry = Some(behind.size);
            }
        }
        for (intent, permitted) in self.open {
            if is_under_way {
                report.in_flight.push(intent);
            } else {
                let text =
                    "it was permitted and has no outcome, and the gateway ended in order after it (record.md, rule 1)";
                report.fault(permitted.file.as_ref(), text).entry = Some(intent);
            }
        }
        self.used
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::canonical;

    /// What is said of these entries, each with `v` and `time`.
    fn faults(entries: &[Value]) -> (Vec<String>, Report) {
        let (mut semantics, mut report) = (Semantics::new(false, true, 0), Report::default());
        for (index, entry) in entries.iter().enumerate() {
            let mut entry = entry.clone();
            let head = entry.as_object_mut().unwrap();
            head.entry("v").or_insert(json!(1));
            head.entry("time").or_insert(json!("2026-01-02T03:04:05Z"));
            let bytes = canonical::to_vec(&entry).unwrap();
            semantics.entry(index as u64, &Arc::from("journal"), &bytes, &mut report);
        }
        (report.faults.iter().map(|fault| fault.text.clone()).collect(), report)
    }

    #[test]
    fn an_ask_that_ended_approves_nothing_any_more() {
        let [held, asked, answered, uses, expired] = &course();
        assert_eq!(said(&[held, asked, answered, uses, uses]), [] as [&str; 0]);
        for order in [[held, asked, expired, answered, uses], [held, asked, answered, expired, uses]] {
            assert_eq!(said(&order), ["it uses ask 1, which had ended without an answer"]);
        }
    }

    #[test]
    fn what_is_approved_once_is_used_before_the_ask_expires_or_in_that_moment() {
        let [held, asked, mut answered, uses, _] = course();
        answered["scope"] = json!("once");
        let at = |now: &str| {
            let mut uses = uses.clone();
            uses["now"] = json!(now);
            said(&[&held, &asked, &answered, &uses])
        };
        assert_eq!(at("2026-01-02T04:00:10Z"), [] as [&str; 0]);
        assert_eq!(at("2026-01-02T04:00:11Z"), ["the approval of ask 1 had expired"]);
    }

    /// A call that is held back, the ask, an approval for the session, its use; and the end of the ask.
    fn course() -> [Value; 5] {
        let held = json!({"kind": "intent", "decision": {"effect": "deny"}, "action": {}, "snapshot": "p",
            "now": "2026-01-02T03:04:05Z", "session": "s", "sequence": 1});
        let mut uses = held.clone();
        uses["uses"] = json!(1);
        let asked = json!({"kind": "asked", "intent": 0, "binding": "b", "expires": "2026-01-02T04:00:00Z", "groups": [],
            "summary": "?"});
        let answered = json!({"kind": "answered", "ask": 1, "approved": true, "scope": "session", "binding": "b",
            "by": "alice", "nonce": "n"});
        [held, asked, answered, uses, json!({"kind": "expired", "ask": 1})]
    }

    fn said(entries: &[&Value]) -> Vec<String> {
        faults(&entries.iter().map(|entry| (*entry).clone()).collect::<Vec<_>>()).0
    }

    #[test]
    fn an_ask_is_about_a_call_that_was_held_back_and_ends_once() {
        let [held, asked, answered, uses, expired] = &course();
        let mut permitted = held.clone();
        permitted["decision"] = json!({"effect": {"effect": "permit"}});
        let outcome = json!({"kind": "outcome", "intent": 0, "status": "ok", "duration_us": 1, "size_bytes": 1});
        let nothing = "which is no call that was held back (record.md, rule 2)";
        assert_eq!(said(&[&permitted, asked, &outcome]), [format!("it asks about entry 0, {nothing}")]);
        let (mut itself, mut later) = (asked.clone(), asked.clone());
        (itself["intent"], later["intent"]) = (json!(1), json!(2));
        assert_eq!(said(&[held, &itself]), [format!("it asks about entry 1, {nothing}")]);
        assert_eq!(said(&[held, &later, held]), [format!("it asks about entry 2, {nothing}")]);
        assert_eq!(said(&[held, asked, expired, expired]), ["it ends ask 1 a second time (record.md, rule 2)"]);
        assert_eq!(said(&[held, expired]), ["it ends an entry that asks nothing (record.md, rule 2)"]);
        let used = "it ends ask 1, whose approval was used before (record.md, rule 2)";
        assert_eq!(said(&[held, asked, answered, uses, expired]), [used]);
        let mut late = answered.clone();
        late["time"] = json!("2026-01-02T03:05:05Z");
        assert_eq!(said(&[held, asked, expired, &late]), [] as [&str; 0], "it was on its way");
        late["time"] = json!("2026-01-02T03:05:06Z");
        assert_eq!(
            said(&[held, asked, expired, &late]),
            ["it answers ask 1, which had ended at 2026-01-02T03:04:05Z (record.md, rule 2)"]
        );
    }

    #[test]
    fn what_a_crash_left_open_is_told_and_what_an_orderly_end_did_is_a_fault() {
        let permitted = |sequence: u64| {
            json!({"kind": "intent", "decision": {"effect": {"effect": "permit"}},
                "action": {"tool": {"server": "a", "name": "b"}}, "snapshot": "p", "now": "2026-01-02T03:04:05Z",
                "session": "s", "sequence": sequence})
        };
        let outcome =
            json!({"kind": "outcome", "intent": 1, "status": "ok", "duration_us": 1, "size_bytes": 1, "upstream": 2});
        let drained = json!({"kind": "log", "event": "drained"});
        let found = |live: bool, entries: &[Value]| {
            let (mut semantics, mut report) = (Semantics::new(true, live, 0), Report::default());
            for (index, entry) in entries.iter().enumerate() {
                let mut entry = entry.clone();
                (entry["v"], entry["time"]) = (json!(1), json!("2026-01-02T03:04:05Z"));
                let bytes = canonical::to_vec(&entry).unwrap();
                semantics.entry(index as u64, &Arc::from("journal"), &bytes, &mut report);
            }
            semantics.finish(&mut report);
            (report.faults.len(), report.in_flight)
        };
        let mut entries = vec![permitted(1), permitted(2), outcome];
        assert_eq!(found(false, &entries), (0, vec![0]), "and the act that is not recorded is that call's");
        entries.push(drained);
        assert_eq!(found(false, &entries), (2, vec![]), "the call, and the act");
        assert_eq!(found(true, &entries).1, [] as [u64; 0], "nor is it under way in a copy");
    }

    #[test]
    fn a_payload_is_of_one_entry_and_of_the_size_of_its_result() {
        let payload = json!({"digest": "d", "subject": "alice", "size_bytes": 7, "segment": 1});
        let outcome = |size: u64, payload: &Value| json!({"kind": "outcome", "intent": 0, "status": "ok", "duration_us": 1, "size_bytes": size, "payload": payload});
        let permitted = json!({"kind": "intent", "decision": {"effect": "permit"}, "action": {}, "snapshot": "p",
            "now": "2026-01-02T03:04:05Z", "session": "s", "sequence": 1});
        let prompt = json!({"kind": "prompt", "session": "s", "payload": payload});
        assert_eq!(said(&[&permitted, &outcome(7, &payload)]), [] as [&str; 0]);
        let found = said(&[&permitted, &outcome(8, &payload)]);
        assert_eq!(found, ["its result has 8 bytes, and its payload 7 (record.md, rule 9)"]);
        let found = said(&[&permitted, &prompt, &outcome(7, &payload)]);
        assert_eq!(found, ["its payload is that of entry 1 (record.md, rule 9)"]);
    }

    #[test]
    fn entries_that_are_dated_before_others_in_front_of_them_are_told() {
        let told = |times: &[&str]| {
            let (mut semantics, mut report) = (Semantics::new(false, true, 0), Report::default());
            for (index, time) in times.iter().enumerate() {
                let entry = json!({"v": 1, "kind": "sign_in", "method": "m", "from": "f", "time": time});
                let bytes = canonical::to_vec(&entry).unwrap();
                semantics.entry(index as u64, &Arc::from("journal"), &bytes, &mut report);
            }
            semantics.finish(&mut report);
            assert_eq!(report.faults, []);
            report.went_back.map(|told| (told.entry, told.entries, told.seconds))
        };
        assert_eq!(told(&["2026-01-02T03:04:05.9Z", "2026-01-02T03:04:05Z", "2026-01-02T03:03:05Z"]), None);
        let times = ["2026-01-02T03:04:05Z", "2026-01-02T03:03:04Z", "2025-12-31T00:00:00.5Z", "2026-01-02T03:04:06Z"];
        assert_eq!(told(&times), Some((1, 2, 2 * 86_400 + 3 * 3_600 + 4 * 60 + 5)));
    }

    #[test]
    fn an_entry_that_nobody_could_read_is_a_fault() {
        let outcome = json!({"kind": "outcome", "intent": 9, "status": "fine", "duration_us": 0, "size_bytes": 0});
        let found = faults(&[json!({"kind": "tools", "pins": [], "status": "pinned"}), outcome]).0;
        let said = |text: &str| found.iter().filter(|fault| fault.contains(text)).count();
        assert_eq!(
            (said("no entry of its kind: missing field `server`"), said("unknown variant `fine`")),
            (1, 1),
            "{found:?}"
        );
        let elsewhere =
            json!({"v": 1, "kind": "sign_in", "method": "m", "from": "f", "time": "2026-01-02T04:04:05+01:00"});
        let (mut semantics, mut report) = (Semantics::new(false, true, 0), Report::default());
        semantics.entry(0, &Arc::from("journal"), &canonical::to_vec(&elsewhere).unwrap(), &mut report);
        let texts: Vec<_> = report.faults.iter().map(|fault| fault.text.as_str()).collect();
        assert_eq!(texts, ["its time is not written in UTC"]);
    }

    #[test]
    fn what_this_version_does_not_know_is_counted_and_another_version_is_a_fault() {
        let (found, report) = faults(&[json!({"kind": "dream"}), json!({"kind": "scan", "v": 2})]);
        assert_eq!(found, ["it is of version 2, which this program does not know"]);
        assert_eq!((report.kinds["dream"], report.kinds["scan"]), (1, 1));
        let bytes = canonical::to_vec(&json!({"kind": "dream", "time": "2026-01-02T03:04:05Z", "v": 1})).unwrap();
        let refused = crate::Stored::parse(7, &bytes);
        assert!(matches!(refused, Err(crate::ReadError::Kind { index: 7, kind }) if kind == "dream"));
    }
}
