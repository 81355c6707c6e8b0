//! What the disk takes of one thread that writes and syncs frames of an entry's size, as many at once as there are callers.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

/// The size of a segment of the journal.
pub(super) const SEGMENT: usize = 8 << 20;

/// Frames that are written and synced together.
struct Group {
    bytes: Vec<u8>,
    callers: usize,
}

impl Group {
    fn new(callers: usize, size: usize) -> Self {
        Self { bytes: vec![7; (size + 64).next_multiple_of(8) * callers], callers }
    }

    fn hash(&self) {
        let frames = self.bytes.chunks(self.bytes.len() / self.callers);
        frames.for_each(|frame| _ = std::hint::black_box(::ledger::tree::leaf_hash(frame)));
    }
}

/// Entries per second into one segment of zeros that is overwritten again and again: no file is made, and none goes.
/// `hashes`: each entry is hashed first.
pub(crate) fn in_place(path: &Path, (callers, size): (usize, usize), time: Duration, hashes: bool) -> io::Result<f64> {
    let file = zeros(path)?;
    let group = Group::new(callers, size);
    let (start, mut entries, mut offset) = (Instant::now(), 0, 0);
    while start.elapsed() < time {
        if offset + group.bytes.len() > SEGMENT {
            offset = 0;
        }
        if hashes {
            group.hash();
        }
        file.write_all_at(&group.bytes, offset as u64)?;
        file.sync_data()?;
        offset += group.bytes.len();
        entries += callers;
    }
    Ok(entries as f64 / start.elapsed().as_secs_f64())
}

/// Entries per second one after another, as a log has them: through segments that a second thread fills with zeros ahead,
/// one at a time, and removes behind.
pub(crate) fn sequential(folder: &Path, (callers, size): (usize, usize), time: Duration) -> io::Result<f64> {
    fs::create_dir_all(folder)?;
    let name = |number: usize| -> PathBuf { folder.join(number.to_string()) };
    let (give, take) = sync_channel::<io::Result<File>>(0);
    let (full, retire) = sync_channel::<usize>(1024);
    thread::scope(|scope| {
        scope.spawn(move || {
            // Ends when nobody takes any more.
            for number in 0.. {
                for number in retire.try_iter() {
                    // One that is left over goes with the folder.
                    _ = fs::remove_file(name(number));
                }
                if give.send(zeros(&name(number))).is_err() {
                    return;
                }
            }
        });
        let ended = || io::Error::other("no segment was made");
        let (mut file, mut number) = (take.recv().map_err(|_error| ended())??, 0);
        let group = Group::new(callers, size);
        let (start, mut entries, mut offset) = (Instant::now(), 0, 0);
        while start.elapsed() < time {
            if offset + group.bytes.len() > SEGMENT {
                file = take.recv().map_err(|_error| ended())??;
                _ = full.try_send(number);
                (number, offset) = (number + 1, 0);
            }
            file.write_all_at(&group.bytes, offset as u64)?;
            file.sync_data()?;
            offset += group.bytes.len();
            entries += callers;
        }
        // The other thread must not wait for ever.
        let rate = entries as f64 / start.elapsed().as_secs_f64();
        drop(take);
        Ok(rate)
    })
}

/// A file of zeros that are on the disk.
pub(super) fn zeros(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    file.write_all_at(&vec![0; SEGMENT], 0)?;
    file.sync_all()?;
    Ok(file)
}
