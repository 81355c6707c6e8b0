//! A copy in object storage: complete after every push, whatever broke before; and never two histories in one place.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests, too")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use control::replica::follow::{CopyState, Follower, Plan};
use control::replica::s3::{Credentials, Place, S3};
use control::replica::{Condition, Found, Listed, Store, StoreError, probe, prune, pull, push};
use jiff::Timestamp;
use ledger::note::SignedCheckpoint;
use ledger::record::Record;
use ledger::verify::{self, Report};
use ledger::{Ledger, Options, Reader, SigningKey};
use serde_json::Map;
use tokio::net::TcpSocket;

/// What happens to one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It has no effect, and says so.
    Lost,
    /// It has its effect, and says that it failed.
    LostAnswer,
    /// Half of it is there, and it says that it failed.
    Torn,
    /// It has no effect, and this and all later ones say that they failed.
    Gone,
}

/// Storage in memory, with conditions, that breaks when it is told to.
#[derive(Debug, Default)]
struct Memory(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<String, (u64, Vec<u8>)>,
    writes: usize,
    fault: Option<(usize, Fault)>,
    gone: bool,
    ignores_conditions: bool,
}

fn broken() -> StoreError {
    StoreError::Unreachable("broken on purpose".to_owned())
}

impl Memory {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Inner {
    fn next(&mut self) -> Option<Fault> {
        self.writes += 1;
        let fault = self.fault.filter(|(at, _)| *at + 1 == self.writes).map(|(_, fault)| fault);
        self.gone |= fault == Some(Fault::Gone);
        if self.gone { Some(Fault::Gone) } else { fault }
    }

    fn set(&mut self, name: &str, bytes: Vec<u8>) {
        let version = self.writes as u64;
        self.objects.insert(name.to_owned(), (version, bytes));
    }
}

impl Store for Memory {
    async fn get(&self, name: &str) -> Result<Option<Found>, StoreError> {
        let inner = self.inner();
        if inner.gone {
            return Err(broken());
        }
        let found = inner.objects.get(name);
        Ok(found.map(|(version, bytes)| Found { version: version.to_string(), bytes: bytes.clone() }))
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, condition: Condition) -> Result<bool, StoreError> {
        // Others come between.
        tokio::task::yield_now().await;
        let mut inner = self.inner();
        let fault = inner.next();
        let there = inner.objects.get(name).map(|(version, _)| version.to_string());
        let holds = match condition {
            Condition::None => true,
            Condition::Absent => there.is_none(),
            Condition::Is(version) => there == Some(version),
        };
        if !holds && !inner.ignores_conditions {
            return if fault.is_some() { Err(broken()) } else { Ok(false) };
        }
        match fault {
            None => inner.set(name, bytes),
            Some(Fault::LostAnswer) => inner.set(name, bytes),
            Some(Fault::Torn) => inner.set(name, bytes[..bytes.len() / 2].to_vec()),
            Some(Fault::Lost | Fault::Gone) => {}
        }
        if fault.is_some() { Err(broken()) } else { Ok(true) }
    }

    async fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let inner = self.inner();
        let below = inner.objects.iter().filter(|(name, _)| name.starts_with(folder));
        Ok(below.map(|(name, (_, bytes))| Listed { name: name.clone(), size_bytes: bytes.len() as u64 }).collect())
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let mut inner = self.inner();
        let fault = inner.next();
        if !matches!(fault, Some(Fault::Lost | Fault::Gone)) {
            inner.objects.remove(name);
        }
        if fault.is_some() { Err(broken()) } else { Ok(()) }
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[3; 32]).unwrap()
}

fn open(dir: &Path) -> Ledger {
    let options = Options { segment_bytes: 16 << 10, ..Options::new(Timestamp::UNIX_EPOCH) };
    Ledger::open(dir, key(), options).unwrap().0
}

fn grow(ledger: &Ledger, count: usize, what: &str) {
    for number in 0..count {
        if number % 40 == 0 {
            let payload = ledger.put_payload("alice", format!("{what} {number}").as_bytes()).unwrap();
            let record = Record::Prompt { session: "session".to_owned(), payload };
            ledger.append(record, Timestamp::UNIX_EPOCH).unwrap();
        }
        let record = Record::Log { event: what.to_owned(), details: Map::new() };
        ledger.append(record, Timestamp::UNIX_EPOCH).unwrap();
    }
    ledger.put_object(what.as_bytes()).unwrap();
    ledger.seal().unwrap();
}

fn verified(dir: &Path) -> Report {
    let options = verify::Options { without_payloads: true, ..verify::Options::default() };
    verify::verify(dir, &key().verifying_key(), &options).unwrap()
}

/// The copy is as long as it says, and every byte holds.
async fn check<S: Store>(store: &Arc<S>, entries: u64, case: &str) {
    check_but(store, entries, case, "nothing").await;
}

/// The same, but for faults of some files.
async fn check_but<S: Store>(store: &Arc<S>, entries: u64, case: &str, files: &str) {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(pull(store, dir.path()).await.unwrap(), entries, "{case}");
    let mut report = verified(dir.path());
    report.faults.retain(|fault| !fault.file.starts_with(files));
    assert_eq!((report.faults, report.sealed), (vec![], entries), "{case}");
}

#[tokio::test]
async fn a_copy_is_whole_after_the_push_that_follows_any_fault() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    grow(&ledger, 300, "a");
    let reader = Reader::open(dir.path()).unwrap();
    let first = Arc::new(Memory::default());
    let size = push(&reader, &first).await.unwrap().entries;
    check(&first, size, "the first push").await;
    let before = first.inner().objects.clone();
    grow(&ledger, 290, "b");
    // Its threads put the last segment away: from here on every push finds the same.
    drop(ledger);
    let whole = Arc::new(Memory::default());
    whole.inner().objects.clone_from(&before);
    let longer = push(&reader, &whole).await.unwrap().entries;
    let writes = whole.inner().writes;
    assert!(writes > 8, "{writes}");
    for fault in [Fault::Lost, Fault::LostAnswer, Fault::Torn, Fault::Gone] {
        for write in 0..writes {
            let case = format!("{fault:?} at write {write} of {writes}");
            let store = Arc::new(Memory::default());
            *store.inner() = Inner { objects: before.clone(), fault: Some((write, fault)), ..Inner::default() };
            let broke = push(&reader, &store).await.is_err();
            assert!(broke, "{case}: a fault is said");
            (store.inner().gone, store.inner().fault) = (false, None);
            // Whoever reads now has the old log or the new one, whole.
            let torn =
                store.inner().objects.get("checkpoint").is_some_and(|(_, note)| SignedCheckpoint::parse(note).is_err());
            if !torn {
                let there = if store.inner().objects["checkpoint"] == before["checkpoint"] { size } else { longer };
                // An object that is half there says so by its name, and no checkpoint needs it yet.
                check_but(&store, there, &case, if fault == Fault::Torn { "objects/" } else { "nothing" }).await;
            }
            assert_eq!(push(&reader, &store).await.unwrap().entries, longer, "{case}");
            check(&store, longer, &case).await;
        }
    }
}

/// Everything in the copy, with the keys from home: payloads, too.
async fn whole<S: Store>(store: &Arc<S>, home: &Path) -> Report {
    let dir = tempfile::tempdir().unwrap();
    pull(store, dir.path()).await.unwrap();
    std::fs::create_dir(dir.path().join("subjects")).unwrap();
    for key in std::fs::read_dir(home.join("subjects")).unwrap() {
        let key = key.unwrap();
        std::fs::copy(key.path(), dir.path().join("subjects").join(key.file_name())).unwrap();
    }
    let report = verify::verify(dir.path(), &key().verifying_key(), &verify::Options::default()).unwrap();
    assert_eq!(report.faults, vec![]);
    report
}

#[tokio::test]
async fn a_copy_has_every_payload_of_a_signed_entry_and_loses_what_was_pruned() {
    let (dir, archives) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = open(dir.path());
    let reader = Reader::open(dir.path()).unwrap();
    let store = Arc::new(Memory::default());
    let mut payloads = 0;
    for round in 1..=5 {
        grow(&ledger, 200, "a");
        push(&reader, &store).await.unwrap();
        payloads = whole(&store, dir.path()).await.payloads;
        assert_eq!(payloads, round * 5, "those of the running segment, too");
    }
    assert_eq!(prune(&reader, &store).await.unwrap(), 0, "nothing was pruned");
    let (statement, said) = reader.archive(512, archives.path()).unwrap();
    ledger.prune(&statement, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(prune(&reader, &store).await.unwrap(), 0, "the copy does not say so yet");
    push(&reader, &store).await.unwrap();
    assert_eq!(whole(&store, dir.path()).await.payloads, payloads, "a push removes nothing that was pruned");
    assert_eq!(prune(&reader, &store).await.unwrap(), 2 + said.payloads.len() as u64);
    assert!(!said.payloads.is_empty());
    assert!(whole(&store, dir.path()).await.payloads < payloads);
    assert_eq!(prune(&reader, &store).await.unwrap(), 0);
    grow(&ledger, 300, "b");
    push(&reader, &store).await.unwrap();
    whole(&store, dir.path()).await;
}

#[tokio::test]
async fn damage_is_not_copied_and_what_the_copy_lost_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    grow(&ledger, 600, "a");
    drop(ledger);
    let reader = Reader::open(dir.path()).unwrap();
    let first = |folder: &Path| std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let name = |path: &Path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
    let object = name(&first(&first(&dir.path().join("objects"))));
    let pack = name(&first(&dir.path().join("payloads")));
    let store = Arc::new(Memory::default());
    for name in ["tile/entries/001", "tile/0/001", pack.as_str(), object.as_str()] {
        let path = dir.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut bent = whole.clone();
        bent[70 % whole.len()] ^= 1;
        std::fs::write(&path, bent).unwrap();
        let refused = push(&reader, &store).await.unwrap_err().to_string();
        assert_eq!(refused, format!("`{name}` is missing or damaged"));
        assert!(!store.inner().objects.contains_key(name));
        std::fs::write(&path, whole).unwrap();
    }
    // The edge has only the checkpoint above it.
    let top = dir.path().join("tile/1/000.p/2");
    let whole = std::fs::read(&top).unwrap();
    std::fs::write(&top, [&whole[..63], &[whole[63] ^ 1]].concat()).unwrap();
    assert!(push(&reader, &store).await.unwrap_err().to_string().contains("is missing or damaged"));
    std::fs::write(&top, whole).unwrap();
    let entries = push(&reader, &store).await.unwrap().entries;
    check(&store, entries, "mended").await;
    assert_eq!(push(&reader, &store).await.unwrap().objects, 0);
    for name in ["tile/entries/001", "tile/1/000.p/2", pack.as_str(), object.as_str()] {
        assert!(store.inner().objects.remove(name).is_some(), "{name}");
    }
    assert_eq!(push(&reader, &store).await.unwrap().objects, 4);
    check(&store, entries, "what was removed").await;
}

#[tokio::test]
async fn a_copy_that_was_pulled_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = open(dir.path());
    grow(&ledger, 10, "a");
    let store = Arc::new(Memory::default());
    push(&Reader::open(dir.path()).unwrap(), &store).await.unwrap();
    pull(&store, &to.path().join("copy")).await.unwrap();
    for (path, mode) in [("copy", 0o700), ("copy/tile/0", 0o700), ("copy/checkpoint", 0o600)] {
        let found = std::fs::metadata(to.path().join(path)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{path}");
    }
}

#[tokio::test]
async fn of_two_writers_one_wins_and_the_other_says_why() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (open(one.path()), open(two.path()));
    grow(&first, 300, "a");
    grow(&second, 320, "b");
    let (reader_one, reader_two) = (Reader::open(one.path()).unwrap(), Reader::open(two.path()).unwrap());
    let store = Arc::new(Memory::default());
    let both = tokio::join!(push(&reader_one, &store), push(&reader_two, &store));
    let (won, lost) = match both {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        other => panic!("not one of them: {other:?}"),
    };
    assert!(matches!(lost, StoreError::Conflict(_)), "{lost}");
    check(&store, won.entries, "the winner's").await;
    // Later, too, and for a log that is only longer.
    let loser = if won.entries == reader_one.len() { &reader_two } else { &reader_one };
    assert!(push(loser, &store).await.unwrap_err().to_string().contains("another writer has this place"));
    check(&store, won.entries, "the winner's, still").await;
}

#[tokio::test]
async fn whoever_loses_leaves_nothing_in_the_winners_way() {
    // The names of the first tiles differ: the shorter log has none that is full.
    for (ours, theirs) in [(250, 300), (300, 250), (10, 700)] {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, second) = (open(one.path()), open(two.path()));
        grow(&first, ours, "a");
        grow(&second, theirs, "b");
        let (reader_one, reader_two) = (Reader::open(one.path()).unwrap(), Reader::open(two.path()).unwrap());
        let store = Arc::new(Memory::default());
        let both = tokio::join!(push(&reader_one, &store), push(&reader_two, &store));
        let (ledger, reader) = match both {
            (Ok(_), Err(StoreError::Conflict(_))) => (&first, &reader_one),
            (Err(StoreError::Conflict(_)), Ok(_)) => (&second, &reader_two),
            other => panic!("not one of them: {other:?}"),
        };
        for _ in 0..2 {
            grow(ledger, 300, "c");
            let entries = push(reader, &store).await.unwrap().entries;
            check(&store, entries, "the winner goes on").await;
        }
    }
}

#[tokio::test]
async fn a_pack_whose_answer_was_lost_is_no_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let reader = Reader::open(dir.path()).unwrap();
    grow(&ledger, 50, "a");
    let store = Arc::new(Asked::default());
    push(&reader, &store).await.unwrap();
    // The pack of the running segment grows, and the client asks twice.
    grow(&ledger, 50, "b");
    push(&reader, &store).await.unwrap();
    assert!(*store.twice.lock().unwrap() > 1, "some were asked twice");
}

/// Every conditional replacement is done, and its answer lost: the client asks again and is refused.
#[derive(Debug, Default)]
struct Asked {
    memory: Memory,
    twice: Mutex<usize>,
}

impl Store for Asked {
    async fn get(&self, name: &str) -> Result<Option<Found>, StoreError> {
        self.memory.get(name).await
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, condition: Condition) -> Result<bool, StoreError> {
        let replaces = matches!(condition, Condition::Is(_));
        let done = self.memory.put(name, bytes, condition).await?;
        *self.twice.lock().unwrap() += usize::from(replaces && done);
        Ok(done && !replaces)
    }

    async fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        self.memory.list(folder).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.memory.delete(name).await
    }
}

fn plan(ledger: &Path) -> Plan {
    Plan { ledger: ledger.to_owned(), to: "s3://audit/ledger".to_owned(), every: Duration::from_secs(3600) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_kept_beside_the_writer_and_is_whole_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let store = Arc::new(Memory::default());
    store.inner().gone = true;
    let copying = Follower::start(plan(dir.path()), Arc::clone(&store), ledger.clone()).unwrap();
    grow(&ledger, 300, "a");
    let state = copying.end();
    assert!(state.error.is_some_and(|error| error.contains("does not answer")) && !state.given_up);
    assert_eq!((state.entries, state.at), (0, None), "and the log has grown all the same");
    store.inner().gone = false;
    let copying = Follower::start(plan(dir.path()), Arc::clone(&store), ledger.clone()).unwrap();
    grow(&ledger, 300, "b");
    let state = copying.end();
    assert_eq!((state.entries, state.error.as_deref()), (ledger.len(), None));
    assert_eq!(CopyState::read(dir.path()).unwrap().entries, state.entries, "for whoever asks later");
    check(&store, state.entries, "the last push").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_another_writer_has_is_given_up_and_the_log_says_so() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (open(one.path()), open(two.path()));
    grow(&first, 300, "a");
    grow(&second, 320, "b");
    let store = Arc::new(Memory::default());
    let won = Follower::start(plan(one.path()), Arc::clone(&store), first.clone()).unwrap().end();
    assert_eq!(won.error, None);
    let mut length = second.length();
    let before = second.len();
    let copying = Follower::start(plan(two.path()), Arc::clone(&store), second.clone()).unwrap();
    length.wait_for(|entries| *entries > before).await.unwrap();
    let entry = second.read(before).unwrap().entry.record;
    assert!(
        matches!(&entry, Record::Log { event, details } if event == "not copied" && details["to"] == "s3://audit/ledger")
    );
    let state = copying.end();
    assert!(state.given_up && state.error.is_some_and(|error| error.contains("another writer has this place")));
    check(&store, won.entries, "the winner's").await;
    store.inner().ignores_conditions = true;
    let third = tempfile::tempdir().unwrap();
    let ledger = open(third.path());
    let state = Follower::start(plan(third.path()), Arc::clone(&store), ledger).unwrap().end();
    assert!(state.given_up && state.error.is_some_and(|error| error.contains("ignores conditional writes")));
}

#[tokio::test]
async fn storage_without_conditions_is_refused() {
    let store = Memory::default();
    probe(&store, "one").await.unwrap();
    assert!(store.inner().objects.is_empty(), "nothing is left of the probe");
    store.inner().ignores_conditions = true;
    assert!(matches!(probe(&store, "two").await, Err(StoreError::Unconditional(_))));
}

/// A server that is killed with its owner; and its port, which nobody else is given before it listens.
struct Server(Child, u16, #[expect(dead_code, reason = "held, not read")] Option<TcpSocket>);

impl Drop for Server {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}

/// Starts a server of the tools folder; `None` if it is not there.
fn server(program: &str, args: impl Fn(u16) -> Vec<String>) -> Option<Server> {
    let tools = std::path::PathBuf::from(std::env::var_os("BAILIWICK_TEST_TOOLS")?);
    let program = if program.contains('/') {
        let libraries = std::fs::read_dir(tools.join("venv/lib")).ok()?;
        libraries.flatten().map(|entry| entry.path().join("site-packages").join(program)).find(|path| path.is_file())?
    } else {
        Some(tools.join("venv/bin").join(program)).filter(|path| path.is_file())?
    };
    let held = TcpSocket::new_v4().unwrap();
    held.set_reuseaddr(true).unwrap();
    held.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = held.local_addr().unwrap().port();
    // Elsewhere a port has one owner, whether or not he listens.
    let held = Some(held).filter(|_| cfg!(target_os = "linux"));
    let mut command = Command::new(program);
    command.args(args(port)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // What is there and does not start is a fault of the tools, not their absence.
    let server = Server(command.spawn().unwrap(), port, held);
    let start = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(180), "the server does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(server)
}

fn s3(port: u16, secret: &str) -> Arc<S3> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!("[default]\naws_access_key_id = key\naws_secret_access_key = {secret}\n");
    std::fs::write(file.path(), text).unwrap();
    let credentials = Credentials::from_file(file.path()).unwrap().unwrap();
    let endpoint = format!("http://127.0.0.1:{port}");
    let place = Place::new("s3://audit/some/ledger", Some(&endpoint), "us-east-1").unwrap();
    Arc::new(S3::new(place, credentials).unwrap())
}

#[tokio::test]
async fn a_real_server_keeps_a_copy() {
    let args = |port: u16| vec!["-H".to_owned(), "127.0.0.1".to_owned(), "-p".to_owned(), port.to_string()];
    let Some(server) = server("moto_server", args) else {
        return println!("SKIPPED: no moto_server in the test tools");
    };
    let s3 = s3(server.1, "secret");
    // The bucket is made by its owner.
    assert!(matches!(s3.get("x").await, Err(StoreError::Refused { code, .. }) if code == "NoSuchBucket"));
    owner(&server, "audit", "", "");
    keeps_a_copy(&s3).await;
}

/// The bucket's owner changes something about it.
fn owner(server: &Server, path: &str, header: &str, body: &str) {
    let script = "import sys,urllib.request as r
url,header,body = sys.argv[1:]
r.urlopen(r.Request(url, method='PUT', data=body.encode(), headers=dict([header.split(': ')] if header else [])))";
    let url = format!("http://127.0.0.1:{}/{path}", server.1);
    assert!(Command::new("python3").args(["-c", script, &url, header, body]).status().unwrap().success(), "{path}");
}

#[tokio::test]
async fn a_real_server_keeps_a_copy_under_versions_and_a_lock() {
    let args = |port: u16| vec!["-H".to_owned(), "127.0.0.1".to_owned(), "-p".to_owned(), port.to_string()];
    let Some(server) = server("moto_server", args) else {
        return println!("SKIPPED: no moto_server in the test tools");
    };
    owner(&server, "audit", "x-amz-bucket-object-lock-enabled: true", "");
    let rule = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
        <Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    owner(&server, "audit?object-lock=", "Content-Type: application/xml", rule);
    let s3 = s3(server.1, "secret");
    keeps_a_copy(&s3).await;
    // What was removed or replaced is still there, as a version that nobody can remove for a month.
    let listed = Command::new("python3")
        .args(["-c", "import sys,urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"])
        .arg(format!("http://127.0.0.1:{}/audit?versions&prefix=some/ledger/checkpoint", server.1))
        .output();
    let versions = String::from_utf8(listed.unwrap().stdout).unwrap().matches("<VersionId>").count();
    assert!(versions >= 3, "{versions} versions of the checkpoint");
}

#[tokio::test]
async fn a_real_server_that_checks_signatures_keeps_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("audit")).unwrap();
    let port = s3s_fs(dir.path()).await;
    keeps_a_copy(&s3(port, "secret")).await;
    let forged = s3(port, "guessed").get("checkpoint").await;
    assert!(matches!(&forged, Err(StoreError::Refused { status: 403, .. })), "{forged:?}");
}

/// Serves the folder's folders as buckets, to whoever signs with `key` and `secret`, until the runtime ends. Its port.
async fn s3s_fs(dir: &std::path::Path) -> u16 {
    let mut service = s3s::service::S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir).unwrap());
    service.set_auth(s3s::auth::SimpleAuth::from_single("key", "secret"));
    let service = service.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(hyper_util::rt::TokioIo::new(socket), service.clone()));
        }
    });
    port
}

/// A log that grows is whole in the copy after each push, and another log is refused.
async fn keeps_a_copy(s3: &Arc<S3>) {
    probe(s3.as_ref(), "one").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let reader = Reader::open(dir.path()).unwrap();
    for what in ["a", "b", "c"] {
        grow(&ledger, 300, what);
        let pushed = push(&reader, s3).await.unwrap();
        assert!(pushed.objects > 3, "{pushed:?}");
        check(s3, pushed.entries, what).await;
        // A pack of payloads may come a moment after its entries were sealed; then there is nothing new.
        let mut rounds = 0;
        while push(&reader, s3).await.unwrap().objects > 0 {
            rounds += 1;
            assert!(rounds < 5, "there is always something new");
        }
    }
    let other = tempfile::tempdir().unwrap();
    let second = open(other.path());
    grow(&second, 2_000, "x");
    let refused = push(&Reader::open(other.path()).unwrap(), s3).await.unwrap_err();
    assert!(refused.to_string().contains("another history"), "{refused}");
}

#[tokio::test]
async fn a_real_server_that_ignores_conditions_is_refused_and_one_checks_signatures() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("audit")).unwrap();
    let args = |port: u16| {
        let words = ["serve", "s3", "--addr", &format!("127.0.0.1:{port}"), "--auth-key", "key,secret"];
        let mut words: Vec<String> = words.iter().map(ToString::to_string).collect();
        words.push(dir.path().display().to_string());
        words
    };
    let Some(server) = server("rclone_api/bin/rclone", args) else {
        return println!("SKIPPED: no rclone in the test tools");
    };
    let good = s3(server.1, "secret");
    good.put("plain", b"1".to_vec(), Condition::None).await.unwrap();
    assert_eq!(good.get("plain").await.unwrap().unwrap().bytes, b"1");
    assert_eq!(good.get("absent").await.unwrap(), None);
    assert_eq!(good.list("").await.unwrap().len(), 1);
    assert!(matches!(probe(good.as_ref(), "one").await, Err(StoreError::Unconditional(_))));
    let forged = s3(server.1, "guessed").get("plain").await;
    assert!(matches!(&forged, Err(StoreError::Refused { status: 403, .. })), "{forged:?}");
}
