//! Every write × {failed, failed but persisted, torn, crash with unsynced writes reordered} → open again →
//! verify everything: nothing acknowledged is lost, nothing unacknowledged was claimed.
//!
//! The simulated disk keeps two states: what processes see, and what surely survives. A crash leaves the
//! surviving state plus any 64-byte pieces of the writes that nobody synced. Of a call that did not return, or returned
//! an error, it leaves whatever the call's promise allows: of files that are put any may be missing, torn, zeros or
//! whole, in any order; a file that is replaced is the old or the new one; of files that are removed any may be there.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use serde_json::json;

use crate::keyfile::Held;
use crate::log::{Ledger, Options};
use crate::note::SigningKey;
use crate::read::Reader;
use crate::record::{Intent, Outcome, Payload, Record, Status};
use crate::storage::{Segment, Storage};
use crate::verify::{self, verify_storage};

/// What happens to one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It has no effect, and says so.
    Failed,
    /// It has its effect, and says that it failed.
    FailedButPersisted,
    /// It has half of its effect, and says that it failed.
    Torn,
    /// The machine stops: this and every later write fails.
    Crash,
}

/// Which unsynced writes survive a crash.
#[derive(Clone, Copy, Debug)]
enum Unsynced {
    None,
    All,
    /// Some pieces, by this seed.
    Some(u64),
}

type Files = BTreeMap<String, Vec<u8>>;

/// What was to become of a file, and may have or not.
#[derive(Debug)]
enum Unsure {
    /// It may be missing, torn, zeros or whole.
    Put(Vec<u8>),
    /// It is as it was before, or whole.
    Replaced(Vec<u8>),
    /// It is as it was before, or gone.
    Removed,
}

#[derive(Debug, Default)]
struct Inner {
    seen: Files,
    survives: Files,
    /// Removed files, which whoever has them open still reads.
    unlinked: Files,
    /// Writes to segments since their last sync, in order.
    unsynced: Vec<(String, u64, Vec<u8>)>,
    /// Files of calls that did not end well.
    unsure: BTreeMap<String, Unsure>,
    writes: usize,
    /// What was done, to be printed when a check fails.
    trace: Vec<String>,
    fault: Option<(usize, Fault)>,
    crashed: bool,
    /// Writes whose trace begins so fail.
    refused: Option<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct Sim(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct SimSegment {
    sim: Sim,
    path: String,
}

fn broken() -> io::Error {
    io::Error::other("broken on purpose")
}

fn write_at(file: &mut Vec<u8>, bytes: &[u8], offset: u64) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    file.resize(file.len().max(end), 0);
    file[start..end].copy_from_slice(bytes);
}

impl Inner {
    /// How much of the next write happens: all, half or nothing; and whether it then says so.
    fn next(&mut self, what: &str) -> (usize, io::Result<()>) {
        self.writes += 1;
        self.trace.push(format!("{} {what}", self.writes));
        if self.crashed || self.refused.is_some_and(|start| what.starts_with(start)) {
            return (0, Err(broken()));
        }
        match self.fault.filter(|(at, _)| *at + 1 == self.writes).map(|(_, fault)| fault) {
            None => (2, Ok(())),
            Some(Fault::Failed) => (0, Err(broken())),
            Some(Fault::FailedButPersisted) => (2, Err(broken())),
            Some(Fault::Torn) => (1, Err(broken())),
            Some(Fault::Crash) => {
                self.crashed = true;
                (0, Err(broken()))
            }
        }
    }

    fn set(&mut self, path: &str, bytes: &[u8]) {
        self.unsure.remove(path);
        self.unsynced.retain(|(other, ..)| other != path);
        self.seen.insert(path.to_owned(), bytes.to_vec());
        self.survives.insert(path.to_owned(), bytes.to_vec());
    }
}

impl Sim {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn with_fault(files: Files, fault: Option<(usize, Fault)>) -> Self {
        Self(Arc::new(Mutex::new(Inner { seen: files.clone(), survives: files, fault, ..Inner::default() })))
    }

    fn writes(&self) -> usize {
        self.inner().writes
    }

    /// What the next process finds after the machine stopped.
    fn after_crash(&self, unsynced: Unsynced) -> Files {
        let inner = self.inner();
        let mut files = inner.survives.clone();
        let mut random = match unsynced {
            Unsynced::Some(seed) => seed,
            _ => 0,
        };
        for (path, bytes) in &inner.unsure {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let choice = random >> 61;
            let becomes = match (unsynced, bytes) {
                (Unsynced::None, _) => continue,
                (Unsynced::All, Unsure::Put(bytes) | Unsure::Replaced(bytes)) => Some(bytes.clone()),
                (Unsynced::All, Unsure::Removed) => None,
                (Unsynced::Some(_), Unsure::Put(bytes)) => match choice {
                    0 | 1 => None,
                    2 => Some(bytes[..bytes.len() / 2].to_vec()),
                    3 => Some(vec![0; bytes.len()]),
                    4 => Some(Vec::new()),
                    _ => Some(bytes.clone()),
                },
                // As it was before, or as it was to be.
                (Unsynced::Some(_), _) if choice % 2 == 0 => continue,
                (Unsynced::Some(_), Unsure::Replaced(bytes)) => Some(bytes.clone()),
                (Unsynced::Some(_), Unsure::Removed) => None,
            };
            match becomes {
                Some(bytes) => _ = files.insert(path.clone(), bytes),
                None => _ = files.remove(path),
            }
        }
        for (path, offset, bytes) in &inner.unsynced {
            let Some(file) = files.get_mut(path) else { continue };
            for (piece, chunk) in bytes.chunks(64).enumerate() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let survives = match unsynced {
                    Unsynced::None => false,
                    Unsynced::All => true,
                    Unsynced::Some(_) => random >> 62 != 0,
                };
                if survives {
                    write_at(file, chunk, offset + piece as u64 * 64);
                }
            }
        }
        files
    }
}

impl Storage for Sim {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.inner().seen.get(path).cloned())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let inner = self.inner();
        let names = inner.seen.keys().filter_map(|path| path.strip_prefix(folder)?.strip_prefix('/'));
        Ok(names.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn put(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        let mut inner = self.inner();
        for (path, bytes) in files {
            let (share, result) = inner.next(&format!("put {path}"));
            if share > 0 {
                inner.set(path, &bytes[..bytes.len() * share / 2]);
            }
            if result.is_err() {
                // Nothing was synced yet, of those that went well neither.
                for (path, bytes) in files {
                    inner.survives.remove(path);
                    inner.unsure.insert(path.clone(), Unsure::Put(bytes.clone()));
                }
                return result;
            }
        }
        Ok(())
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.inner();
        let (share, result) = inner.next(&format!("replace {path}"));
        if share == 1 {
            inner.set(&format!("{path}.new"), &bytes[..bytes.len() / 2]);
        }
        if share == 2 {
            inner.set(path, bytes);
        }
        if result.is_err() && share < 2 {
            inner.unsure.insert(path.to_owned(), Unsure::Replaced(bytes.to_vec()));
        }
        result
    }

    fn remove(&self, paths: &[String]) -> io::Result<()> {
        let mut inner = self.inner();
        let (share, result) = inner.next(&format!("remove {paths:?}"));
        for path in &paths[..paths.len() * share / 2] {
            if let Some(file) = inner.seen.remove(path) {
                inner.unlinked.insert(path.clone(), file);
            }
            inner.survives.remove(path);
            inner.unsure.remove(path);
        }
        if result.is_err() {
            inner.unsure.extend(paths.iter().map(|path| (path.clone(), Unsure::Removed)));
        }
        result
    }

    fn segment(&self, path: &str) -> io::Result<Arc<dyn Segment>> {
        Ok(Arc::new(SimSegment { sim: self.clone(), path: path.to_owned() }))
    }

    fn allocate(&self, path: &str, size_bytes: u64) -> io::Result<Arc<dyn Segment>> {
        let mut inner = self.inner();
        let (share, result) = inner.next(&format!("allocate {path}"));
        if share > 0 {
            inner.set(path, &vec![0; size_bytes as usize * share / 2]);
        }
        if result.is_err() {
            inner.unsure.insert(path.to_owned(), Unsure::Put(vec![0; size_bytes as usize]));
        }
        drop(inner);
        result?;
        self.segment(path)
    }
}

impl Segment for SimSegment {
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.sim.inner();
        let kind = String::from_utf8_lossy(&bytes[..4]);
        let what =
            format!("{kind} {} at {offset} of {}", u64::from_le_bytes(bytes[8..16].try_into().unwrap()), self.path);
        let (share, result) = inner.next(&what);
        let bytes = &bytes[..bytes.len() * share / 2];
        if let Some(file) = inner.seen.get_mut(&self.path) {
            write_at(file, bytes, offset);
            inner.unsynced.push((self.path.clone(), offset, bytes.to_vec()));
        }
        result
    }

    fn read(&self, offset: u64, size_bytes: usize) -> io::Result<Vec<u8>> {
        let inner = self.sim.inner();
        let file = inner.seen.get(&self.path).or_else(|| inner.unlinked.get(&self.path));
        let bytes = file.and_then(|file| file.get(offset as usize..offset as usize + size_bytes));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.sim.inner();
        let (share, result) = inner.next(&format!("sync {}", self.path));
        // Torn: the later half of the writes reached the disk, the earlier did not.
        let all: Vec<_> = inner.unsynced.extract_if(.., |(path, ..)| *path == self.path).collect();
        let (lost, kept) = all.split_at(all.len() * (2 - share) / 2);
        for (path, offset, bytes) in kept {
            if let Some(file) = inner.survives.get_mut(path) {
                write_at(file, bytes, *offset);
            }
        }
        inner.unsynced.extend(lost.iter().cloned());
        result
    }
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[5; 32]).unwrap()
}

fn open(sim: &Sim) -> Result<Ledger, crate::OpenError> {
    let options = Options { segment_bytes: 4096, ..Options::new(now()) };
    Ledger::with_storage(Arc::new(sim.clone()), key(), options, Held::default()).map(|(ledger, _)| ledger)
}

/// What a workload was promised.
#[derive(Default)]
struct Promised {
    entries: Vec<(u64, Record)>,
    payloads: Vec<(Payload, Vec<u8>)>,
}

fn intent(sequence: u64) -> Record {
    Record::Intent(Intent {
        action: json!({"tool": {"server": "s"}, "arguments": "x".repeat(300)}),
        decision: json!({"effect": {"effect": "permit"}}),
        snapshot: "s1".to_owned(),
        now: now(),
        session: "session".to_owned(),
        sequence,
        uses: None,
        payload: None,
    })
}

/// Calls as the gateway makes them, until something fails.
fn work(ledger: &Ledger, from: u64, promised: &mut Promised) -> Result<(), Box<dyn std::error::Error>> {
    for sequence in from..from + 9 {
        let record = intent(sequence);
        let append = match &record {
            Record::Intent(intent) if sequence % 3 > 0 => ledger.intend(intent, true, now())?,
            _ => ledger.append(record.clone(), now())?,
        };
        let receipt = append.wait()?;
        promised.entries.push((receipt.index(), record));
        let bytes = format!("result {sequence}").into_bytes();
        let payload = ledger.put_payload("alice", &bytes)?;
        let outcome = Outcome {
            payload: Some(payload.clone()),
            duration_us: 1,
            size_bytes: bytes.len() as u64,
            ..Outcome::bare(receipt.index(), Status::Ok)
        };
        let append = ledger.append(Record::Outcome(outcome.clone()), now())?;
        if sequence % 2 == 0 {
            let receipt = append.wait()?;
            promised.entries.push((receipt.index(), Record::Outcome(outcome)));
            promised.payloads.push((payload, bytes));
        }
        if sequence % 4 == 0 {
            ledger.seal()?;
        }
    }
    Ok(())
}

/// Opens what is left, and checks all that was promised and everything else.
fn check(files: Files, promised: &Promised, case: &str) -> Files {
    let sim = Sim::with_fault(files, None);
    let ledger = open(&sim).unwrap_or_else(|error| panic!("{case}: {error}"));
    for (index, record) in &promised.entries {
        let found = ledger.read(*index).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(found.entry.record, *record, "{case}: entry {index}");
    }
    for (payload, bytes) in &promised.payloads {
        let found = ledger.payload(payload).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(found.as_ref(), Some(bytes), "{case}");
    }
    assert!(ledger.open_intents().is_empty(), "{case}");
    drop(ledger);
    let report =
        verify_storage(Arc::new(sim.clone()), &key().verifying_key(), &verify::Options::default(), false).unwrap();
    let wrong: Vec<String> = report.faults.iter().map(ToString::to_string).filter(|text| !harmless(text)).collect();
    assert_eq!(wrong, Vec::<String>::new(), "{case}");
    assert_eq!(Reader::with_storage(Arc::new(sim.clone())).unwrap().len(), report.sealed, "{case}: closing seals");
    sim.after_crash(Unsynced::None)
}

/// Tiles of a seal that never got its checkpoint stay until a later one covers or replaces them; and the
/// promise about payloads is only for those whose entry was durable.
fn harmless(fault: &str) -> bool {
    fault.contains("nothing that was signed covers this file")
}

fn run(files: Files, fault: Option<(usize, Fault)>) -> (Sim, Promised) {
    let sim = Sim::with_fault(files, fault);
    let mut promised = Promised::default();
    if let Ok(ledger) = open(&sim) {
        _ = work(&ledger, 1, &mut promised);
    }
    (sim, promised)
}

#[test]
fn without_a_fault() {
    let (sim, promised) = run(Files::new(), None);
    assert_eq!(promised.entries.len(), 13);
    check(sim.after_crash(Unsynced::None), &promised, "no fault");
    assert!(sim.writes() > 60, "{} writes", sim.writes());
}

fn every_write(before: &Files, fault: Fault) {
    let writes = run(before.clone(), None).0.writes() + 5;
    for write in 0..writes {
        let (sim, promised) = run(before.clone(), Some((write, fault)));
        for unsynced in
            [Unsynced::None, Unsynced::All, Unsynced::Some(write as u64), Unsynced::Some(7_777 + write as u64)]
        {
            let trace = sim.inner().trace.join("\n");
            let case = format!("{fault:?} at write {write} of {writes}, {unsynced:?} of the unsynced\n{trace}\n");
            check(sim.after_crash(unsynced), &promised, &case);
        }
    }
}

/// A log that has something of everything already, and ended in a crash with a torn tail.
fn crashed_log() -> Files {
    let (sim, _) = run(Files::new(), None);
    let (sim, _) = run(sim.after_crash(Unsynced::None), Some((40, Fault::Crash)));
    sim.after_crash(Unsynced::Some(3))
}

#[test]
fn every_write_failed() {
    every_write(&Files::new(), Fault::Failed);
    every_write(&crashed_log(), Fault::Failed);
}

#[test]
fn every_write_failed_but_persisted() {
    every_write(&Files::new(), Fault::FailedButPersisted);
    every_write(&crashed_log(), Fault::FailedButPersisted);
}

#[test]
fn every_write_torn() {
    every_write(&Files::new(), Fault::Torn);
    every_write(&crashed_log(), Fault::Torn);
}

#[test]
fn a_crash_at_every_write() {
    every_write(&Files::new(), Fault::Crash);
    every_write(&crashed_log(), Fault::Crash);
}

#[test]
fn a_bit_lost_from_what_was_durable_is_no_torn_tail() {
    let sim = Sim::default();
    let ledger = open(&sim).unwrap();
    let first = ledger.append(intent(1), now()).unwrap().wait().unwrap();
    ledger.append(intent(2), now()).unwrap().wait().unwrap();
    let mut files = sim.after_crash(Unsynced::All);
    drop(ledger);
    assert_eq!(first.index(), 1);
    let segment = files.get_mut("journal/00000001").unwrap();
    let place = segment.windows(8).position(|bytes| bytes == b"xxxxxxxx").unwrap();
    segment[place] ^= 1;
    let refused = open(&Sim::with_fault(files, None)).unwrap_err();
    assert!(matches!(refused, crate::OpenError::Damaged(_)), "{refused}");
}

#[test]
fn a_tile_is_written_once() {
    let sim = Sim::default();
    let ledger = open(&sim).unwrap();
    for count in [250, 20, 20, 230, 20] {
        for _ in 0..count {
            ledger.append(Record::Log { event: "test".to_owned(), details: serde_json::Map::new() }, now()).unwrap();
        }
        ledger.seal().unwrap();
    }
    drop(ledger);
    let trace = sim.inner().trace.clone();
    let mut puts: Vec<_> =
        trace.iter().filter_map(|line| line.split_once(" put tile/")).map(|(_, path)| path).collect();
    assert!(puts.contains(&"1/000.p/1") && puts.contains(&"1/000.p/2"), "{puts:?}");
    puts.sort_unstable();
    let twice: Vec<_> = puts.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn a_sync_makes_nothing_durable_that_another_thread_failed_to_write() {
    let sim = Sim::with_fault(Files::new(), None);
    let ledger = open(&sim).unwrap();
    let mut promised = Promised::default();
    work(&ledger, 1, &mut promised).unwrap();
    ledger.seal().unwrap();
    let durable = ledger.len();
    sim.inner().refused = Some("bwE1");
    let append = ledger.append(intent(99), now()).unwrap();
    ledger.sync_what_another_writes();
    assert_eq!(ledger.len(), durable);
    assert!(append.wait().is_err());
    drop(ledger);
    sim.inner().refused = None;
    check(sim.after_crash(Unsynced::None), &promised, "a failed write of another thread");
}

fn next_key() -> SigningKey {
    SigningKey::from_seed(&[6; 32]).unwrap().named(key().name()).unwrap()
}

/// Calls, a rotation of the key, calls; until something fails.
fn rotate(sim: &Sim, promised: &mut Promised) -> Result<(), Box<dyn std::error::Error>> {
    let ledger = open(sim)?;
    work(&ledger, 1, promised)?;
    ledger.hand_over(next_key(), now())?;
    work(&ledger, 20, promised)
}

/// Opens with whichever key signed last and finishes the rotation, as `KeyFile` does.
fn finish_rotation(files: Files, promised: &Promised, case: &str) {
    let sim = Sim::with_fault(files, None);
    let note = sim.inner().seen.get("checkpoint").cloned().unwrap_or_default();
    let by_next = crate::note::SignedCheckpoint::open(&note, &next_key().verifying_key()).is_ok();
    let options = Options { segment_bytes: 4096, ..Options::new(now()) };
    let key_now = if by_next { next_key() } else { key() };
    let opened = Ledger::with_storage(Arc::new(sim.clone()), key_now, options, Held::default());
    let (ledger, _) = opened.unwrap_or_else(|error| panic!("{case}: {error}"));
    ledger.hand_over(next_key(), now()).unwrap_or_else(|error| panic!("{case}: {error}"));
    for (index, record) in &promised.entries {
        assert_eq!(ledger.read(*index).unwrap().entry.record, *record, "{case}: entry {index}");
    }
    drop(ledger);
    let verified = verify_storage(Arc::new(sim), &key().verifying_key(), &verify::Options::default(), false).unwrap();
    let wrong: Vec<String> = verified.faults.iter().map(ToString::to_string).filter(|text| !harmless(text)).collect();
    assert_eq!((wrong, verified.keys.len()), (Vec::new(), 2), "{case}");
}

#[test]
fn a_rotation_broken_at_every_write_is_finished() {
    let whole = Sim::with_fault(Files::new(), None);
    rotate(&whole, &mut Promised::default()).unwrap();
    for fault in [Fault::Failed, Fault::FailedButPersisted, Fault::Torn, Fault::Crash] {
        for write in 0..whole.writes() + 5 {
            let (sim, mut promised) = (Sim::with_fault(Files::new(), Some((write, fault))), Promised::default());
            _ = rotate(&sim, &mut promised);
            for unsynced in [Unsynced::None, Unsynced::All, Unsynced::Some(write as u64)] {
                let case = format!("{fault:?} at write {write}, {unsynced:?}\n{}", sim.inner().trace.join("\n"));
                finish_rotation(sim.after_crash(unsynced), &promised, &case);
            }
        }
    }
}

/// Calls, an erasure that is tried twice, then the same subject again; until something fails. What was to be erased.
fn erase(sim: &Sim, promised: &mut Promised, erased: &mut bool) -> Result<Payload, Box<dyn std::error::Error>> {
    let keep = |ledger: &Ledger, bytes: &[u8]| -> Result<Payload, Box<dyn std::error::Error>> {
        let payload = ledger.put_payload("bob", bytes)?;
        let record = Record::Prompt { session: "session".to_owned(), payload: payload.clone() };
        ledger.append(record, now())?.wait()?;
        Ok(payload)
    };
    let ledger = open(sim)?;
    let payload = keep(&ledger, b"to be erased")?;
    let done = ledger.erase("bob", now()).or_else(|_| ledger.erase("bob", now()));
    *erased = done.is_ok();
    if let Ok(again) = done.map_err(Into::into).and_then(|_| keep(&ledger, b"to be kept")) {
        promised.payloads.push((again, b"to be kept".to_vec()));
        _ = work(&ledger, 1, promised);
    }
    Ok(payload)
}

#[test]
fn an_erasure_broken_at_every_write_is_finished_or_never_began() {
    let whole = Sim::with_fault(Files::new(), None);
    erase(&whole, &mut Promised::default(), &mut false).unwrap();
    let begins = whole.inner().trace.iter().position(|line| line.contains(".erasing")).unwrap();
    let mut finished = 0;
    for fault in [Fault::Failed, Fault::FailedButPersisted, Fault::Torn, Fault::Crash] {
        for write in begins.saturating_sub(3)..begins + 12 {
            let (sim, mut promised) = (Sim::with_fault(Files::new(), Some((write, fault))), Promised::default());
            let mut erased = false;
            let Ok(payload) = erase(&sim, &mut promised, &mut erased) else { continue };
            for unsynced in [Unsynced::None, Unsynced::All, Unsynced::Some(write as u64)] {
                let case = format!("{fault:?} at write {write}, {unsynced:?}\n{}", sim.inner().trace.join("\n"));
                let left = Sim::with_fault(check(sim.after_crash(unsynced), &promised, &case), None);
                assert!(!left.inner().seen.keys().any(|path| path.ends_with(".erasing")), "{case}");
                let ledger = open(&left).unwrap();
                let subjects = ledger.range(0..ledger.len()).filter_map(|stored| match stored.unwrap().entry.record {
                    Record::Log { event, details } if event == "erased" => Some(details["subject"].clone()),
                    _ => None,
                });
                let subjects: Vec<_> = subjects.collect();
                assert!(subjects.iter().all(|subject| subject == "bob"), "{case}: {subjects:?}");
                let is_gone = ledger.payload(&payload).unwrap().is_none();
                assert_eq!(is_gone, erased || !subjects.is_empty(), "{case}");
                finished += usize::from(is_gone && !erased);
            }
        }
    }
    assert!(finished > 5, "{finished} were finished by the next start");
}

/// Calls, then the oldest are pruned, then calls; until something fails.
fn prune(sim: &Sim, folder: &std::path::Path, promised: &mut Promised) -> Result<(), Box<dyn std::error::Error>> {
    let ledger = open(sim)?;
    for _ in 0..300 {
        ledger.append(Record::Log { event: "test".to_owned(), details: serde_json::Map::new() }, now())?;
    }
    ledger.seal()?;
    let (statement, _) = Reader::with_storage(Arc::new(sim.clone()))?.archive(256, folder)?;
    ledger.prune(&statement, now())?;
    work(&ledger, 1, promised)
}

#[test]
fn a_prune_broken_at_every_write_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Sim::with_fault(Files::new(), None);
    prune(&whole, folder.path(), &mut Promised::default()).unwrap();
    let begins = whole.inner().trace.iter().position(|line| line.contains("replace pruned")).unwrap();
    for fault in [Fault::Failed, Fault::FailedButPersisted, Fault::Torn, Fault::Crash] {
        for write in begins.saturating_sub(12)..begins + 12 {
            let (folder, mut promised) = (tempfile::tempdir().unwrap(), Promised::default());
            let sim = Sim::with_fault(Files::new(), Some((write, fault)));
            _ = prune(&sim, folder.path(), &mut promised);
            for unsynced in [Unsynced::None, Unsynced::All, Unsynced::Some(write as u64)] {
                let case = format!("{fault:?} at write {write}, {unsynced:?}");
                let left = check(sim.after_crash(unsynced), &promised, &case);
                // Whatever was left of it can be done again, with the same archive if there is one.
                let again = Sim::with_fault(left, None);
                let ledger = open(&again).unwrap();
                let made = std::fs::read_dir(folder.path()).unwrap().flatten().map(|file| file.path());
                let made = { made }.find(|path| path.extension().is_some_and(|end| end == "json"));
                if let Some(statement) = made {
                    ledger.prune(&statement, now()).unwrap_or_else(|error| panic!("{case}: {error}"));
                    assert!(!again.inner().seen.contains_key("tile/entries/000"), "{case}");
                }
                drop(ledger);
                check(again.after_crash(Unsynced::None), &promised, &case);
            }
        }
    }
}
