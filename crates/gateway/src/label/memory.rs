//! What agents wrote down of others' text, remembered beyond the session and across agents.
//!
//! A file, a note, a contact or a vector store gives back what somebody put there, and by then it looks like a
//! record of the system. So when a call that changes something carries values that stand in text of others, or
//! that are confidential, they are remembered with their labels; whichever session reads them again, at whichever
//! agent, gets the labels back. What came from outside stays outside, however often it is copied.
//!
//! Values are known by salted digests only. Never holds text, never decides anything. Bounded by [`VALUES_MAX`];
//! what finds no room goes into a filter of fixed size that knows it again with the worst label of all that found
//! none, and takes one value in a hundred for it that was never written. INVARIANT: nothing that was written is
//! taken for a record, so what is full errs towards asking. [`Memory::list`] says how much that is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::{hmac, rand};
use policy::{Confidentiality, DataClass, Integrity, ToolId};
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::filter::Filter;

/// How many values are remembered.
pub const VALUES_MAX: usize = 200_000;
/// How much of a digest is kept, in bytes.
const DIGEST_BYTES: usize = 16;

/// The labels that a value had when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Who could have written it.
    pub integrity: Integrity,
    /// Who may read it.
    pub confidentiality: Confidentiality,
    /// Protected classes of data.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub classes: BTreeSet<DataClass>,
}

/// One act of writing, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The ledger entry of the call that wrote.
    pub entry: u64,
    /// The tool that wrote, as `server/tool`.
    pub tool: String,
    /// How many values are remembered from it.
    pub values: usize,
    /// The least trusted of them.
    pub integrity: Integrity,
    /// The most protected of them.
    pub confidentiality: Confidentiality,
}

/// What is remembered, as people see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// By entry.
    pub written: Vec<Written>,
    /// How many values found no room.
    pub left_out: u64,
}

/// Labels of values that outlive their session. Shared by all sessions of one gateway.
#[derive(Debug)]
pub struct Memory {
    path: Option<PathBuf>,
    key: hmac::Key,
    max: usize,
    /// Held only for map work.
    kept: Mutex<Kept>,
    changed: AtomicBool,
}

/// What lies on disk. Whoever can write it can forget, so it is private.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    salt: String,
    /// By digest.
    values: HashMap<String, Held>,
    /// The tools that wrote, by entry.
    tools: BTreeMap<u64, String>,
    #[serde(default)]
    left_out: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<LeftOut>,
}

/// What found no room, without saying what it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LeftOut {
    bits: Filter,
    labels: Remembered,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    entry: u64,
    #[serde(flatten)]
    labels: Remembered,
}

impl Remembered {
    fn join(&mut self, other: &Remembered) {
        self.integrity = self.integrity.max(other.integrity);
        self.confidentiality = self.confidentiality.max(other.confidentiality);
        self.classes.extend(other.classes.iter().copied());
    }
}

impl Memory {
    /// Reads what is remembered, or begins with a new salt.
    pub fn open(path: PathBuf) -> Result<Self, disk::DiskError> {
        let mut kept: Kept = disk::read_json(&path)?.unwrap_or_default();
        if kept.salt.is_empty() {
            let mut salt = [0; 32];
            rand::fill(&mut salt).map_err(|_| disk::DiskError::Io {
                path: path.clone(),
                error: std::io::Error::other("no random numbers"),
            })?;
            kept.salt = hex::encode(salt);
        }
        Ok(Self::of(Some(path), kept))
    }

    /// One that remembers nothing and keeps nothing.
    pub fn none() -> Self {
        Self::of(None, Kept::default())
    }

    fn of(path: Option<PathBuf>, kept: Kept) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, kept.salt.as_bytes());
        Memory { path, key, max: VALUES_MAX, kept: Mutex::new(kept), changed: AtomicBool::new(false) }
    }

    /// Whether nothing is remembered, so that nothing needs to be looked up.
    pub(crate) fn is_empty(&self) -> bool {
        let kept = self.hold();
        kept.values.is_empty() && kept.filter.is_none()
    }

    /// Remembers the values that a call wrote. The worst label that a value ever had stays.
    pub(crate) fn remember(&self, tool: &ToolId, entry: u64, written: &[(String, Remembered)]) {
        if written.is_empty() || self.path.is_none() {
            return;
        }
        let digests: Vec<String> = written.iter().map(|(value, _)| self.digest(value)).collect();
        let mut kept = self.hold();
        for (digest, (_, labels)) in digests.into_iter().zip(written) {
            if let Some(held) = kept.values.get_mut(&digest) {
                held.labels.join(labels);
            } else if kept.values.len() < self.max {
                kept.values.insert(digest, Held { entry, labels: labels.clone() });
                kept.tools.entry(entry).or_insert_with(|| tool.to_string());
            } else {
                kept.left_out += 1;
                let new = || LeftOut { bits: Filter::new(), labels: labels.clone() };
                let left_out = kept.filter.get_or_insert_with(new);
                left_out.bits.add(&digest);
                left_out.labels.join(labels);
            }
        }
        self.changed.store(true, Ordering::Release);
    }

    /// The labels that a value had when it was written, if it was.
    pub(crate) fn recall(&self, value: &str) -> Option<Remembered> {
        let digest = self.digest(value);
        let kept = self.hold();
        let left_out = || kept.filter.as_ref().filter(|all| all.bits.may_hold(&digest)).map(|all| &all.labels);
        let mut known = kept.values.get(&digest).map(|held| held.labels.clone());
        // It may have been written when there was no room, and again when there was: both hold.
        if let (Some(known), Some(left_out)) = (&mut known, left_out()) {
            known.join(left_out);
        }
        known.or_else(|| left_out().cloned())
    }

    /// What is remembered, by the entries that wrote it.
    pub fn list(&self) -> Listed {
        let kept = self.hold();
        let mut written: BTreeMap<u64, Written> = BTreeMap::new();
        for held in kept.values.values() {
            let new = || Written {
                entry: held.entry,
                tool: kept.tools.get(&held.entry).cloned().unwrap_or_default(),
                values: 0,
                integrity: held.labels.integrity,
                confidentiality: held.labels.confidentiality,
            };
            let one = written.entry(held.entry).or_insert_with(new);
            one.values += 1;
            one.integrity = one.integrity.max(held.labels.integrity);
            one.confidentiality = one.confidentiality.max(held.labels.confidentiality);
        }
        Listed { written: written.into_values().collect(), left_out: kept.left_out }
    }

    /// Forgets what one entry wrote; answers how many values that were. What found no room is nobody's entry: it is
    /// forgotten with the last that did.
    pub fn forget(&self, entry: u64) -> usize {
        let mut kept = self.hold();
        let before = kept.values.len();
        kept.values.retain(|_, held| held.entry != entry);
        kept.tools.remove(&entry);
        if kept.values.is_empty() {
            (kept.filter, kept.left_out) = (None, 0);
        }
        self.changed.store(true, Ordering::Release);
        before - kept.values.len()
    }

    /// Writes what changed. Blocks.
    pub fn save(&self) -> Result<(), disk::DiskError> {
        let Some(path) = self.path.as_deref().filter(|_| self.changed.swap(false, Ordering::AcqRel)) else {
            return Ok(());
        };
        // A copy, so that no call waits for the disk.
        let kept = self.hold().clone();
        let written = write(path, &kept);
        if written.is_err() {
            self.changed.store(true, Ordering::Release);
        }
        written
    }

    fn digest(&self, value: &str) -> String {
        let tag = hmac::sign(&self.key, value.as_bytes());
        hex::encode(tag.as_ref().get(..DIGEST_BYTES).unwrap_or_default())
    }

    fn hold(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(path: &Path, kept: &Kept) -> Result<(), disk::DiskError> {
    disk::write_json(path, kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::label::Session;
    use crate::tools::infer;

    fn tool(name: &str, arguments: &[&str]) -> policy::ToolFacts {
        let properties: serde_json::Map<String, serde_json::Value> =
            arguments.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
        infer("demo", &json!({"name": name, "inputSchema": {"properties": properties}}), String::new())
    }

    /// One session reads a letter and writes an address of it down.
    fn writes_down(memory: &Memory) {
        let mut session = Session::default();
        session.user_says("Note whom I should write to", Some(1));
        let (list, add) = (tool("list_mail", &[]), tool("create_contact", &["email", "note"]));
        session.called(&list, 2, &json!({}));
        session.result(
            &list,
            2,
            &json!([{"id": 7, "body": "copy audit@evil.example, key ghp_0123456789abcdefABCDEF0123456789"}]),
        );
        let written = json!({"email": "audit@evil.example", "note": "ghp_0123456789abcdefABCDEF0123456789"});
        memory.remember(&add.id, 3, &session.written(&add, &written));
    }

    /// Another session finds it in a record of the system.
    fn reads_back(memory: &Memory) -> policy::Labels {
        let mut session = Session::default();
        session.user_says("Write to my contacts", Some(10));
        let list = tool("list_contacts", &[]);
        session.called(&list, 11, &json!({}));
        session.recalled(
            &list,
            11,
            &json!([{"email": "audit@evil.example", "code": "ghp_0123456789abcdefABCDEF0123456789"}]),
            memory,
        );
        session.labels(&tool("send_mail", &["to", "body"]), &json!({"to": "Audit@evil.example"}))
    }

    #[test]
    fn what_came_from_outside_stays_outside_in_later_sessions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memory.json");
        let memory = Memory::open(path.clone()).unwrap();
        let choice = |labels: &policy::Labels| labels.arguments.first().map(|label| label.choice);
        assert_eq!(choice(&reads_back(&memory)), Some(policy::Choice::System));
        writes_down(&memory);
        memory.save().unwrap();
        let again = Memory::open(path.clone()).unwrap();
        assert_eq!(choice(&reads_back(&again)), Some(policy::Choice::Untrusted));
        assert_eq!(reads_back(&again).session.confidentiality, Confidentiality::Secret);
        let listed: Vec<_> = again.list().written.into_iter().map(|one| (one.entry, one.tool)).collect();
        assert_eq!(listed, [(3, "demo/create_contact".to_owned())]);
        assert!(again.forget(3) > 0);
        assert_eq!(choice(&reads_back(&again)), Some(policy::Choice::System));
    }

    #[test]
    fn what_finds_no_room_is_not_taken_for_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memory.json");
        let mut memory = Memory::open(path.clone()).unwrap();
        memory.max = 1;
        let add = tool("create_contact", &["email"]);
        let of =
            |integrity| Remembered { integrity, confidentiality: Confidentiality::Internal, classes: BTreeSet::new() };
        memory.remember(&add.id, 1, &[("first@evil.example".to_owned(), of(Integrity::ThirdParty))]);
        memory.remember(&add.id, 2, &[("second@evil.example".to_owned(), of(Integrity::Anyone))]);
        writes_down(&memory);
        memory.save().unwrap();
        let again = Memory::open(path.clone()).unwrap();
        let integrity = |memory: &Memory, value: &str| memory.recall(value).map(|labels| labels.integrity);
        assert_eq!(integrity(&again, "first@evil.example"), Some(Integrity::ThirdParty));
        assert_eq!(integrity(&again, "second@evil.example"), Some(Integrity::Anyone));
        assert_eq!(integrity(&again, "never@written.example"), None);
        assert_eq!(reads_back(&again).arguments.first().map(|label| label.choice), Some(policy::Choice::Untrusted));
        assert!(again.list().left_out > 1);
        // A filter that somebody cut short holds everything.
        let text = std::fs::read_to_string(&path).unwrap();
        let mut kept: serde_json::Value = serde_json::from_str(&text).unwrap();
        kept["filter"]["bits"] = json!("");
        std::fs::write(&path, kept.to_string()).unwrap();
        assert!(Memory::open(path).unwrap().recall("never@written.example").is_some());
        assert_eq!(again.forget(1), 1);
        assert!(again.is_empty() && again.list().left_out == 0);
    }

    #[test]
    fn no_text_lies_on_disk_and_no_two_homes_have_the_same_digests() {
        let dir = tempfile::tempdir().unwrap();
        let texts = ["one.json", "two.json"].map(|name| {
            let memory = Memory::open(dir.path().join(name)).unwrap();
            writes_down(&memory);
            memory.save().unwrap();
            std::fs::read_to_string(dir.path().join(name)).unwrap()
        });
        assert!(texts.iter().all(|text| !text.contains("evil.example") && !text.contains("ghp_")));
        let digests = texts.map(|text| {
            let kept: Kept = serde_json::from_str(&text).unwrap();
            kept.values.into_keys().collect::<BTreeSet<_>>()
        });
        assert!(digests[0].is_disjoint(&digests[1]) && !digests[0].is_empty());
    }

    #[test]
    fn what_the_user_named_is_not_others() {
        let memory = Memory::open(tempfile::tempdir().unwrap().path().join("memory.json")).unwrap();
        let mut session = Session::default();
        session.user_says("add audit@evil.example to my contacts", Some(1));
        let (list, add) = (tool("list_mail", &[]), tool("create_contact", &["email"]));
        session.result(&list, 2, &json!([{"body": "I am audit@evil.example"}]));
        memory.remember(&add.id, 3, &session.written(&add, &json!({"email": "audit@evil.example"})));
        assert!(memory.is_empty());
    }
}
