//! The records. The wire format is `spec/record.md`; an entry's bytes are its canonical JSON (RFC 8785).

use std::fmt;

use jiff::Timestamp;
use serde::de::{self, DeserializeOwned, Error as _};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The version of the record format: 1.
    pub v: u32,
    /// When it was recorded, UTC.
    pub time: Timestamp,
    /// What is recorded.
    #[serde(flatten)]
    pub record: Record,
    /// Fields that this version does not know; kept, so that the bytes and the hash survive a rewrite.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Entry {
    /// By hand: two flattened fields would both claim every member, and serde would build each value three times over.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        let (v, time) = (member(&mut members, "v")?, member(&mut members, "time")?);
        let kind = members.get("kind").and_then(Value::as_str).unwrap_or_default();
        if kind == "intent" {
            let record = Record::Intent(Intent::take(&mut members)?);
            members.remove("kind");
            return Ok(Self { v, time, record, unknown: members });
        }
        let fields = Record::fields(kind);
        let (known, unknown) =
            members.into_iter().partition(|(name, _)| name == "kind" || fields.contains(&name.as_str()));
        let record = Record::deserialize(Value::Object(known)).map_err(D::Error::custom)?;
        Ok(Self { v, time, record, unknown })
    }
}

/// Takes a member out.
fn member<T: DeserializeOwned, E: de::Error>(members: &mut Map<String, Value>, name: &'static str) -> Result<T, E> {
    let value = members.remove(name).ok_or_else(|| E::missing_field(name))?;
    T::deserialize(value).map_err(|error| E::custom(format!("{name}: {error}")))
}

/// Takes a member out that may be missing.
fn option<T: DeserializeOwned, E: de::Error>(members: &mut Map<String, Value>, name: &str) -> Result<Option<T>, E> {
    let value = members.remove(name).unwrap_or_default();
    Option::deserialize(value).map_err(|error| E::custom(format!("{name}: {error}")))
}

/// What an entry records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A decision, with everything it used. Written and durable before anything is done.
    Intent(Intent),
    /// What came of a permitted intent.
    Outcome(Outcome),
    /// A human is asked.
    Asked(Asked),
    /// A human answered.
    Answered(Answered),
    /// An ask ended without an answer.
    Expired {
        /// The ask's entry.
        ask: u64,
    },
    /// Something that an agent was not shown.
    Withheld {
        /// The agent's session.
        session: String,
        /// The server.
        server: String,
        /// The tools, resources or prompts left out of a list.
        names: Vec<String>,
        /// Why.
        because: String,
    },
    /// A user's prompt entered a session. The text is a payload.
    Prompt {
        /// The session.
        session: String,
        /// The text.
        payload: Payload,
    },
    /// Definitions of a server's tools were seen, pinned or changed.
    Tools {
        /// The server.
        server: String,
        /// Tool name and digest of the raw definition.
        pins: Vec<(String, String)>,
        /// `pinned`, `changed` or `approved`.
        status: String,
        /// Who approved them, and how he is known; empty for what was only seen.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
    },
    /// A new snapshot of policies, schema and facts took effect. Its source is stored by its digest.
    Snapshot {
        /// The snapshot id.
        snapshot: String,
        /// Who or what caused it.
        by: String,
    },
    /// A scan finished.
    Scan {
        /// Digest of the observations.
        digest: String,
        /// Counts by entity kind, and of findings by severity.
        counts: Map<String, Value>,
    },
    /// Somebody signed in to the console.
    SignIn {
        /// How.
        method: String,
        /// From where.
        from: String,
    },
    /// A client's configuration was changed by `protect` or `unprotect`.
    Configuration {
        /// The file.
        path: String,
        /// What was done.
        change: String,
        /// Digest of the bytes before.
        before: String,
        /// Digest of the bytes after.
        after: String,
        /// Who did it, and how he is known.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
    },
    /// Files that decide what agents may do came, went or were changed.
    Changed {
        /// `policy`, `mandate`, `settings`, `annotations` or `identity`.
        what: String,
        /// Which, and how.
        files: Vec<FileChange>,
        /// Who did it, and how he is known; `unknown: …` where it was only seen afterwards.
        by: String,
        /// What for, in the words of whoever did it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        because: String,
    },
    /// A breaker stopped an agent, a server or everything, or let it go on.
    Breaker {
        /// `agent NAME`, `server NAME` or `everything`.
        of: String,
        /// `opened` or `closed`.
        state: String,
        /// Who did it, and how he is known; `gateway` where a count was reached or a cool-down is over.
        by: String,
        /// Why.
        because: String,
        /// When it closes by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// A key that lets an agent in at the HTTP door for a while.
    Lease {
        /// Which, by a name that says nothing of the key.
        lease: String,
        /// The agent that it is for.
        agent: String,
        /// `made`, `used` (for the first time), `ended` or `expired`.
        state: String,
        /// Until when it holds, if nobody ends it.
        until: Timestamp,
        /// Who made or ended it, and how he is known; `gateway` for what came by itself.
        by: String,
        /// What for.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        because: String,
    },
    /// The log itself: started, recovered, sealed, key rotated.
    Log {
        /// What happened.
        event: String,
        /// Details, by name.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        details: Map<String, Value>,
    },
}

impl Record {
    /// The payload that it refers to.
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Intent(intent) => intent.payload.as_ref(),
            Self::Outcome(outcome) => outcome.payload.as_ref(),
            Self::Prompt { payload, .. } => Some(payload),
            _ => None,
        }
    }

    /// The members of each kind, so that all others are kept as unknown.
    pub(crate) fn fields(kind: &str) -> &'static [&'static str] {
        match kind {
            "intent" => &["action", "decision", "snapshot", "now", "session", "sequence", "uses", "payload"],
            "outcome" => &["intent", "status", "payload", "mac", "labels", "upstream", "duration_us", "size_bytes"],
            "asked" => &["intent", "binding", "groups", "expires", "summary"],
            "answered" => &["ask", "approved", "scope", "by", "binding", "nonce"],
            "expired" => &["ask"],
            "withheld" => &["session", "server", "names", "because"],
            "prompt" => &["session", "payload"],
            "tools" => &["server", "pins", "status", "by"],
            "snapshot" => &["snapshot", "by"],
            "scan" => &["digest", "counts"],
            "sign_in" => &["method", "from"],
            "configuration" => &["path", "change", "before", "after", "by"],
            "changed" => &["what", "files", "by", "because"],
            "breaker" => &["of", "state", "by", "because", "until"],
            "lease" => &["lease", "agent", "state", "until", "by", "because"],
            "log" => &["event", "details"],
            _ => &[],
        }
    }
}

/// A file that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// The file, from the home directory.
    pub path: String,
    /// SHA-256 of the bytes before, in hex; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// SHA-256 of the bytes after, in hex; absent if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A decision, with everything it used. Whoever writes one may have `action` and `decision` in types of his own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent<A = Value, D = Value> {
    /// `policy::Action`, complete.
    pub action: A,
    /// `policy::Decision`, complete.
    pub decision: D,
    /// The snapshot id that the decision was made under.
    pub snapshot: String,
    /// The time given to `decide`.
    pub now: Timestamp,
    /// The session.
    pub session: String,
    /// The call's number within its session and server, from 1, without gaps.
    pub sequence: u64,
    /// The ask whose approval this uses up, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u64>,
    /// The action, complete, if it is too large for an entry; `action` then lacks arguments, their labels and facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
}

impl Intent {
    /// Out of an entry's members; action and decision as they are.
    fn take<E: de::Error>(members: &mut Map<String, Value>) -> Result<Self, E> {
        let mut value = |name| members.remove(name).ok_or_else(|| E::missing_field(name));
        Ok(Self {
            action: value("action")?,
            decision: value("decision")?,
            snapshot: member(members, "snapshot")?,
            now: member(members, "now")?,
            session: member(members, "session")?,
            sequence: member(members, "sequence")?,
            uses: option(members, "uses")?,
            payload: option(members, "payload")?,
        })
    }

    /// Whether the decision permits, which an outcome must follow. Absence is no permit.
    pub fn permits(&self) -> bool {
        let effect = self.decision.get("effect");
        let word = effect.and_then(|effect| effect.as_str().or_else(|| effect.get("effect")?.as_str()));
        word == Some("permit")
    }
}

/// The intent of an entry's bytes, and when it was recorded, with action and decision in types of the reader's own: without
/// the detour over values. `None` if it is no intent, or not of these forms, or its action lies in a payload: then
/// [`Entry`] tells.
pub fn intent<A: DeserializeOwned, D: DeserializeOwned>(entry: &[u8]) -> Option<(Timestamp, Intent<A, D>)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Intent,
    }
    #[derive(Deserialize)]
    struct Members<A, D> {
        action: A,
        decision: D,
        #[serde(rename = "kind")]
        _kind: Kind,
        snapshot: String,
        now: Timestamp,
        session: String,
        sequence: u64,
        #[serde(default)]
        uses: Option<u64>,
        #[serde(default)]
        payload: Option<de::IgnoredAny>,
        time: Timestamp,
        #[serde(rename = "v")]
        _v: u32,
    }
    // Canonical members are sorted, and no other kind has one that comes before this.
    if !entry.starts_with(b"{\"action\":") {
        return None;
    }
    let Members { action, decision, snapshot, now, session, sequence, uses, payload, time, .. } =
        serde_json::from_slice(entry).ok()?;
    let intent = Intent { action, decision, snapshot, now, session, sequence, uses, payload: None };
    payload.is_none().then_some((time, intent))
}

/// An intent whose action may lie in a payload.
#[derive(Clone, Debug, PartialEq)]
pub enum Whole {
    /// With its whole action. One that cannot be read leaves an action that is none, so that the decision counts as
    /// unreadable and never as recomputed.
    There(Intent),
    /// Somebody had the action erased, which is no fault of the record.
    Erased(Intent),
}

/// The intent with its whole action. Whoever judges or shows an action reads it by this: what is left in the entry of a
/// large call has no arguments.
pub fn whole<E: fmt::Display>(mut intent: Intent, load: impl FnOnce(&Payload) -> Result<Option<Vec<u8>>, E>) -> Whole {
    if let Some(payload) = &intent.payload {
        let action = match load(payload) {
            Ok(None) => return Whole::Erased(intent),
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        intent.action = action.unwrap_or_else(Value::String);
    }
    Whole::There(intent)
}

/// The entry of an intent that is written from its writer's own types.
#[derive(Debug)]
pub(crate) struct Written<'a, A, D> {
    time: Timestamp,
    intent: &'a Intent<A, D>,
}

impl<A: Serialize, D: Serialize> Serialize for Written<'_, A, D> {
    /// In the order of an entry's bytes, so that they need not be moved when they are written.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Intent { action, decision, snapshot, now, session, sequence, uses, payload } = self.intent;
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("action", action)?;
        members.serialize_entry("decision", decision)?;
        members.serialize_entry("kind", "intent")?;
        members.serialize_entry("now", now)?;
        if let Some(payload) = payload {
            members.serialize_entry("payload", payload)?;
        }
        members.serialize_entry("sequence", sequence)?;
        members.serialize_entry("session", session)?;
        members.serialize_entry("snapshot", snapshot)?;
        members.serialize_entry("time", &self.time)?;
        if let Some(uses) = uses {
            members.serialize_entry("uses", uses)?;
        }
        members.serialize_entry("v", &1)?;
        members.end()
    }
}

impl<'a, A: Serialize, D: Serialize> Written<'a, A, D> {
    pub(crate) fn new(intent: &'a Intent<A, D>, time: Timestamp) -> Self {
        Self { time, intent }
    }
}

/// What came of a permitted intent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The intent's entry.
    pub intent: u64,
    /// How it ended.
    pub status: Status,
    /// The result, kept outside the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    /// What stands for a result that is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Labels of the result, as `policy` defines them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub labels: Value,
    /// The act's number among those that left for this server in this session and run, from 1; absent if nothing
    /// left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<u64>,
    /// From the permit to the last byte, in microseconds.
    pub duration_us: u64,
    /// Size of the result in bytes.
    pub size_bytes: u64,
}

impl Outcome {
    /// An outcome of which nothing else is known.
    pub fn bare(intent: u64, status: Status) -> Self {
        let (payload, mac, labels, upstream) = (None, None, Value::Null, None);
        Self { intent, status, payload, mac, labels, upstream, duration_us: 0, size_bytes: 0 }
    }
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The upstream answered with a result.
    Ok,
    /// The upstream answered with an error.
    Error,
    /// The caller cancelled, or went away.
    Cancelled,
    /// The upstream did not answer in time.
    TimedOut,
    /// A crash: nobody knows.
    Unknown,
}

/// Bytes kept outside the log: the entry holds a salted digest, so that they can be erased and every
/// proof still holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// SHA-256 over salt and bytes, in hex.
    pub digest: String,
    /// Whose data it is: the key that erases it.
    pub subject: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// The journal segment it was written to: where to look for it.
    #[serde(default)]
    pub segment: u64,
}

/// What stands for bytes that are not kept: whoever has them and the ledger's directory can tell that they are
/// the ones, until the subject is erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mac {
    /// Whose data it is.
    pub subject: String,
    /// HMAC-SHA-256 of the bytes under the subject's key, in hex.
    pub hmac: String,
}

/// A human is asked to approve an exact action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The intent whose decision was Ask.
    pub intent: u64,
    /// Digest of what the approval binds: caller, delegation chain, server, tool pin, canonical
    /// arguments and snapshot.
    pub binding: String,
    /// The ask groups.
    pub groups: Vec<String>,
    /// When the ask expires.
    pub expires: Timestamp,
    /// What the approver is shown, in one or two sentences.
    pub summary: String,
}

/// A human's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The ask's entry.
    pub ask: u64,
    /// Whether it is approved.
    pub approved: bool,
    /// For how much.
    pub scope: Scope,
    /// Who answered, and how they were known.
    pub by: String,
    /// The binding of the ask, repeated: an answer to another action is no answer.
    pub binding: String,
    /// Random, so that two answers never have the same bytes.
    pub nonce: String,
}

/// How much an answer covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This exact call, once.
    Once,
    /// The same groups, tool and security-relevant arguments for the rest of the session.
    Session,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::canonical;

    fn entry(change: impl FnOnce(&mut Map<String, Value>)) -> Vec<u8> {
        let mut members = json!({
            "action": {"verb": "call_tool", "deep": [1, {"a": null}]}, "decision": {"effect": "permit"}, "kind": "intent",
            "now": "2026-01-02T03:04:05Z", "sequence": 7, "session": "s", "snapshot": "9d1f", "time": "2026-01-02T03:04:06Z",
            "uses": 3, "v": 1, "what is new": [true],
        });
        if let Some(members) = members.as_object_mut() {
            change(members);
        }
        canonical::to_vec(&members).unwrap_or_default()
    }

    #[test]
    fn an_intent_is_the_same_by_both_ways() -> Result<(), serde_json::Error> {
        let bytes = entry(|_| ());
        let whole: Entry = serde_json::from_slice(&bytes)?;
        assert_eq!(canonical::to_vec(&whole)?, bytes, "what is unknown is kept");
        let Record::Intent(intent) = &whole.record else { panic!("{whole:?}") };
        assert_eq!(super::intent::<Value, Value>(&bytes), Some((whole.time, intent.clone())));
        Ok(())
    }

    #[test]
    fn what_is_no_plain_intent_is_left_to_the_entry() {
        #[derive(Debug, Deserialize)]
        struct Strict {
            #[serde(rename = "verb")]
            _verb: u32,
        }
        let payload = json!({"digest": "00", "subject": "user:a", "size_bytes": 1});
        let of = |bytes: Vec<u8>| super::intent::<Value, Value>(&bytes);
        assert!(of(entry(|members| _ = members.insert("payload".into(), payload))).is_none(), "it lies elsewhere");
        assert!(of(entry(|members| _ = members.insert("kind".into(), "outcome".into()))).is_none());
        assert!(of(entry(|members| _ = members.insert("kind".into(), "new".into()))).is_none());
        assert!(of(entry(|members| _ = members.remove("session"))).is_none());
        assert!(super::intent::<Strict, Value>(&entry(|_| ())).is_none(), "of another form");
    }

    #[test]
    fn an_entry_without_a_member_says_which() {
        for name in ["v", "time", "kind", "action", "decision", "now", "sequence", "session", "snapshot"] {
            let read = serde_json::from_slice::<Entry>(&entry(|members| _ = members.remove(name)));
            assert!(read.is_err_and(|error| error.to_string().contains(name)), "{name}");
        }
        let read = serde_json::from_slice::<Entry>(&entry(|members| _ = members.insert("uses".into(), "x".into())));
        assert!(read.is_err_and(|error| error.to_string().contains("uses")));
    }
}
