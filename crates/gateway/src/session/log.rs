//! A file to which several gateways append and which all of them read: sealed records, one writer at a time.
//!
//! What was written durably is seen by whoever reads afterwards. A record that a crash cut off was never acted on, so
//! the next writer cuts it away; anything else that is not as we wrote it is an error, and what the file says is then
//! unknown. A file that grew long is replaced by one with what it amounts to. Never knows what a record means.
//!
//! ```text
//! file   = name (16 random bytes), frame*
//! frame  = length (4 bytes), check (4 bytes of SHA-256 over name, offset, length), sealed record
//! sealed = see `seal`; about the path's last part, the name and the offset, so that no record stands elsewhere
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::{digest, rand};
use rustix::fs::{FlockOperation, flock};

use crate::seal::Sealer;

const NAME_BYTES: usize = 16;
const HEAD_BYTES: usize = 8;
/// The longest file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 512 << 20;
/// A file longer than this, and than four times what it amounts to, is replaced.
const LONG_BYTES: u64 = 2 << 20;
/// How long another writer is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(1);

/// What a reader is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told<'a> {
    /// All that was told before is void; what follows says everything. If there was something before, the file was
    /// replaced, and so begins with a sum: else it is one that somebody put there.
    Anew { needs_sum: bool },
    /// The next record.
    Record(&'a [u8]),
}

/// What somebody who appends makes of what the log says.
pub(super) trait Teller {
    /// What the log says is not known any more.
    fn loses(&mut self);
    /// Takes in what is newer. An error: it is no record of ours.
    fn hears(&mut self, told: Told<'_>) -> Result<(), String>;
    /// The records to append, after everything that is newer was told.
    fn says(&mut self) -> Vec<Vec<u8>>;
    /// One record that amounts to all so far; none to keep the file however long it is.
    fn sum(&self) -> Option<Vec<u8>>;
}

/// Whether somebody may be writing while we look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Unlocked,
    Locked,
}

/// The file.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    sealer: Arc<Sealer>,
    /// Held while the file's newer part is read and told, so that everything is told once and in order.
    place: Mutex<Place>,
    /// Held while the file's lock is waited for: of one gateway one at a time looks whether it is free, first come.
    turn: tokio::sync::Mutex<()>,
}

/// How far it was read.
#[derive(Debug, Default)]
struct Place {
    name: Option<[u8; NAME_BYTES]>,
    read: u64,
    /// The file that is not as we wrote it, with its length: it is not looked at again.
    broken: Option<([u8; NAME_BYTES], u64)>,
    /// Where the file's first record ends: of a file that was replaced, what it amounts to.
    sum: u64,
    /// The file that was read last and how far, whatever was forgotten since.
    reached: Option<([u8; NAME_BYTES], u64)>,
}

impl Log {
    pub(super) fn new(path: PathBuf, sealer: Arc<Sealer>) -> Self {
        Self { path, sealer, place: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// Tells what is newer than what was told before. Costs an `open` if nothing is.
    pub(super) async fn read(&self, teller: &mut (impl Teller + Send)) -> io::Result<()> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_fresh() => return Ok(()),
            Err(error) => return Err(self.forgets(error, teller)),
        };
        if self.tell(&file, teller, Seen::Unlocked).is_ok() {
            return Ok(());
        }
        // Perhaps seen in the middle of a write: nobody writes while we hold the lock.
        let file = match self.lock().await {
            Ok(file) => file,
            Err(error) => return Err(self.forgets(error, teller)),
        };
        self.tell(&file, teller, Seen::Locked).map_err(|error| self.forgets(error, teller))
    }

    /// Tells what is newer, appends, and tells that too. `durable`: before this returns, it and all before it is on
    /// disk.
    pub(super) async fn append(&self, teller: &mut (impl Teller + Send), durable: bool) -> io::Result<()> {
        let mut file = self.lock().await?;
        if let Err(error) = self.tell(&file, teller, Seen::Locked) {
            let is_damaged = error.kind() == io::ErrorKind::InvalidData;
            let error = self.forgets(error, teller);
            // Where what it said is lost for good, all go on from that it is lost.
            let sum = teller.sum().filter(|_| is_damaged).ok_or(error)?;
            file = self.replace(&mut self.hold(), &sum)?;
        }
        let file = self.write(file, teller)?;
        if durable {
            // The lock goes with the file, after the disk has answered.
            tokio::task::spawn_blocking(move || file.sync_data()).await.map_err(io::Error::other)??;
        }
        Ok(())
    }

    fn write(&self, file: File, teller: &mut impl Teller) -> io::Result<File> {
        let mut place = self.hold();
        let mut at = place.read;
        // What a crash cut off.
        file.set_len(at)?;
        let mut bytes = Vec::new();
        let name = match place.name {
            Some(name) => name,
            None => {
                let name = fresh_name()?;
                bytes.extend(name);
                name
            }
        };
        let records = teller.says();
        for record in &records {
            let frame = self.frame(&name, at + bytes.len() as u64, record)?;
            bytes.extend(frame);
        }
        if let Err(error) = file.write_all_at(&bytes, at) {
            // Whatever of it is there is no frame; the next writer cuts it away if we cannot.
            drop(file.set_len(at));
            return Err(error);
        }
        at += bytes.len() as u64;
        (place.name, place.read, place.reached) = (Some(name), at, Some((name, at)));
        for record in &records {
            teller.hears(Told::Record(record)).map_err(|why| other(&why))?;
        }
        if at > LONG_BYTES.max(place.sum * 4)
            && let Some(sum) = teller.sum()
        {
            return self.replace(&mut place, &sum);
        }
        Ok(file)
    }

    /// A new file under the same path with one record. Whoever waits for the old one's lock sees that it is gone.
    fn replace(&self, place: &mut Place, sum: &[u8]) -> io::Result<File> {
        let name = fresh_name()?;
        let frame = self.frame(&name, NAME_BYTES as u64, sum)?;
        let fresh = self.path.with_extension(format!("{}.new", std::process::id()));
        let file =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        let bytes = [&name[..], &frame].concat();
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?;
        // From the first moment ours.
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(&fresh, &self.path)?;
        let end = bytes.len() as u64;
        *place = Place { name: Some(name), read: end, broken: None, sum: end, reached: Some((name, end)) };
        Ok(file)
    }

    fn frame(&self, name: &[u8; NAME_BYTES], at: u64, record: &[u8]) -> io::Result<Vec<u8>> {
        let sealed = self.sealer.seal(&self.about(name, at), record);
        let sealed = sealed.ok_or_else(|| io::Error::other("a record could not be sealed"))?;
        let length = u32::try_from(sealed.len()).map_err(|_| io::Error::other("a record is too long"))?;
        Ok([&length.to_be_bytes()[..], &check(name, at, length), &sealed].concat())
    }

    /// Tells what of a file was not told yet, to the last record that is whole.
    fn tell(&self, file: &File, teller: &mut impl Teller, seen: Seen) -> io::Result<()> {
        let mut place = self.hold();
        let length = file.metadata()?.len();
        let mut name = [0; NAME_BYTES];
        if length < NAME_BYTES as u64 {
            return if place.read == 0 { Ok(()) } else { Err(other("it is shorter than it was")) };
        }
        file.read_exact_at(&mut name, 0)?;
        if place.broken == Some((name, length)) || length > FILE_MAX_BYTES {
            return Err(other("it is not as it was written"));
        }
        if place.name != Some(name) {
            // Opened before it was replaced, and told of the new one meanwhile: to tell all of the old one again, and then
            // all of the new one, would take the longer the more there is, and whoever waits would do the same.
            if place.name.is_some() && !is_at(file, &self.path) {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "it was replaced meanwhile"));
            }
            let needs_sum = place.reached.is_some_and(|(known, _)| known != name);
            teller.hears(Told::Anew { needs_sum }).map_err(|why| other(&why))?;
            let reached = place.reached;
            *place = Place { name: Some(name), read: NAME_BYTES as u64, reached, ..Place::default() };
        }
        let reached = place.reached.filter(|(known, _)| *known == name).map_or(0, |(_, reached)| reached);
        if length < place.read.max(reached) {
            return Err(other("it is shorter than it was"));
        }
        let mut bytes = vec![0; usize::try_from(length - place.read).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, place.read)?;
        let rest = bytes.as_slice();
        let told = self.tell_frames(&mut place, (&name, rest), teller);
        if told.is_err() && seen == Seen::Locked {
            place.broken = Some((name, length));
        }
        told
    }

    fn tell_frames(
        &self,
        place: &mut Place,
        (name, mut rest): (&[u8; NAME_BYTES], &[u8]),
        teller: &mut impl Teller,
    ) -> io::Result<()> {
        while let Some((sealed, after)) = frame_of(name, place.read, rest)? {
            let told = self.sealer.open_sealed(&self.about(name, place.read), sealed);
            let record = told.ok_or_else(|| other("a record is not as it was written"))?;
            teller.hears(Told::Record(&record)).map_err(|why| other(&why))?;
            place.read += (HEAD_BYTES + sealed.len()) as u64;
            // Where another gateway replaced the file, this is what it amounts to: not to know it would be to replace it again
            // at the next record, and the other gateway then likewise.
            if place.sum == 0 {
                place.sum = place.read;
            }
            place.reached = Some((*name, place.read));
            rest = after;
        }
        Ok(())
    }

    fn hold(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was told is void: the next look begins anew.
    fn forgets(&self, error: io::Error, teller: &mut impl Teller) -> io::Error {
        teller.loses();
        let mut place = self.hold();
        *place = Place { broken: place.broken, reached: place.reached, ..Place::default() };
        // Not fresh: that nothing is there is then no good news.
        place.read = u64::MAX;
        error
    }

    fn is_fresh(&self) -> bool {
        self.hold().read == 0
    }

    /// The file, with nobody else writing.
    async fn lock(&self) -> io::Result<File> {
        let deadline = Instant::now() + LOCK_WAIT;
        let taken = || io::Error::new(io::ErrorKind::TimedOut, "another writer holds it");
        let _turn = tokio::time::timeout(LOCK_WAIT, self.turn.lock()).await.map_err(|_| taken())?;
        loop {
            let mut options = fs::OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&self.path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_at(&file, &self.path) => return Ok(file),
                // It was replaced meanwhile.
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(LOCK_POLL).await,
                Err(error) => return Err(error.into()),
            }
            if Instant::now() > deadline {
                return Err(taken());
            }
        }
    }

    fn about(&self, name: &[u8; NAME_BYTES], at: u64) -> Vec<u8> {
        let last = self.path.file_name().unwrap_or_default();
        [&b"log "[..], last.as_encoded_bytes(), name, &at.to_be_bytes()].concat()
    }
}

/// Removes the logs of a folder that nobody wrote for so long, and answers how many. One that somebody writes stays: its
/// lock is taken first, and whoever waits for that lock sees that the file is gone and begins another. Whoever still
/// holds what it said goes on from the worst past.
pub(super) fn sweep(dir: &Path, age: Duration) -> usize {
    let is_old = |file: &File| {
        let modified = file.metadata().and_then(|meta| meta.modified()).ok();
        modified.and_then(|modified| modified.elapsed().ok()).is_some_and(|elapsed| elapsed > age)
    };
    let paths = fs::read_dir(dir).into_iter().flatten().flatten().map(|file| file.path());
    let swept = paths.filter(|path| {
        let Ok(file) = fs::OpenOptions::new().read(true).write(true).open(path) else { return false };
        // Looked at again under the lock: it may have been written while we came.
        let ours = is_old(&file) && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && is_old(&file);
        ours && is_at(&file, path) && fs::remove_file(path).is_ok()
    });
    swept.count()
}

/// The sealed record that a frame holds and what comes after it; none if it is not whole.
fn frame_of<'a>(name: &[u8; NAME_BYTES], at: u64, bytes: &'a [u8]) -> io::Result<Option<(&'a [u8], &'a [u8])>> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let Some((checked, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    // A length that somebody changed would hide what follows.
    if check(name, at, length) != *checked {
        return Err(other("a length is not as it was written"));
    }
    Ok(usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)))
}

fn check(name: &[u8; NAME_BYTES], at: u64, length: u32) -> [u8; 4] {
    let all = [&name[..], &at.to_be_bytes(), &length.to_be_bytes()].concat();
    let digest = digest::digest(&digest::SHA256, &all);
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

fn fresh_name() -> io::Result<[u8; NAME_BYTES]> {
    let mut name = [0; NAME_BYTES];
    rand::fill(&mut name).map_err(|_| other("no random numbers"))?;
    Ok(name)
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (held.dev(), held.ino()) == (there.dev(), there.ino())
}

fn other(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Counts how often it was told anew, keeps the records, and says one.
    #[derive(Default)]
    struct Counting {
        anew: usize,
        heard: Vec<Vec<u8>>,
        says: Option<Vec<u8>>,
    }

    impl Teller for Counting {
        fn loses(&mut self) {
            self.heard.clear();
        }

        fn hears(&mut self, told: Told<'_>) -> Result<(), String> {
            match told {
                Told::Anew { .. } => {
                    self.anew += 1;
                    self.heard.clear();
                }
                Told::Record(record) => self.heard.push(record.to_vec()),
            }
            Ok(())
        }

        fn says(&mut self) -> Vec<Vec<u8>> {
            self.says.take().into_iter().collect()
        }

        fn sum(&self) -> Option<Vec<u8>> {
            Some(self.heard.concat())
        }
    }

    #[tokio::test]
    async fn a_file_that_was_replaced_while_it_was_open_is_not_told_again() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Arc::new(Sealer::open(&folder.path().join("key")).unwrap());
        let log = Log::new(folder.path().join("a.log"), sealer);
        let mut teller = Counting { says: Some(b"one".to_vec()), ..Counting::default() };
        log.append(&mut teller, false).await.unwrap();
        let old = File::open(&log.path).unwrap();
        drop(log.replace(&mut log.hold(), b"one").unwrap());
        teller.says = Some(b"two".to_vec());
        log.append(&mut teller, false).await.unwrap();
        let (anew, heard) = (teller.anew, teller.heard.clone());
        let stale = log.tell(&old, &mut teller, Seen::Unlocked).unwrap_err();
        assert_eq!(stale.kind(), io::ErrorKind::WouldBlock);
        assert_eq!((teller.anew, &teller.heard), (anew, &heard), "nothing of the old file was told");
        log.read(&mut teller).await.unwrap();
        assert_eq!((teller.anew, teller.heard), (anew, heard), "and what was told stays told");
    }

    #[tokio::test]
    async fn what_amounts_to_much_is_not_replaced_by_each_gateway_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Arc::new(Sealer::open(&folder.path().join("key")).unwrap());
        let [one, other] = [(); 2].map(|()| Log::new(folder.path().join("a.log"), sealer.clone()));
        let (mut first, mut second) = (Counting::default(), Counting::default());
        let name = || {
            let mut name = [0; NAME_BYTES];
            File::open(&one.path).unwrap().read_exact_at(&mut name, 0).unwrap();
            name
        };
        let mut long = vec![b'a'; usize::try_from(LONG_BYTES).unwrap()];
        long.extend(b"bcd");
        first.says = Some(b"begin".to_vec());
        one.append(&mut first, false).await.unwrap();
        let began = name();
        first.says = Some(long);
        one.append(&mut first, false).await.unwrap();
        let replaced = name();
        assert_ne!(replaced, began, "it grew long");
        for _ in 0..3 {
            for (log, teller) in [(&other, &mut second), (&one, &mut first)] {
                teller.says = Some(b"short".to_vec());
                log.append(teller, false).await.unwrap();
                assert_eq!(name(), replaced);
            }
        }
    }

    /// Who has the file's lock keeps it until the disk has answered, so that all others wait meanwhile. If each of them
    /// looked by itself whether it is free, whoever looked at the right moment would come next.
    #[tokio::test]
    async fn of_one_gateway_all_who_wait_get_their_turn() {
        const WRITERS: u8 = 64;
        let folder = tempfile::tempdir().unwrap();
        let sealer = Arc::new(Sealer::open(&folder.path().join("key")).unwrap());
        let log = Arc::new(Log::new(folder.path().join("a.log"), sealer));
        let writers = (0..WRITERS).map(|number| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut teller = Counting { says: Some(vec![number]), ..Counting::default() };
                log.append(&mut teller, true).await
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap().unwrap();
        }
        let mut teller = Counting::default();
        let fresh = Log::new(log.path.clone(), log.sealer.clone());
        fresh.read(&mut teller).await.unwrap();
        let in_turn: Vec<Vec<u8>> = (0..WRITERS).map(|number| vec![number]).collect();
        assert_eq!(teller.heard, in_turn, "first come, first served");
    }
}
