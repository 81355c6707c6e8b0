//! Opening: what the last process left, made whole. Ends in the same state and through the same sealing as
//! normal work.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::Arc;

use crate::OpenError;
use crate::archive;
use crate::end::{Effect, Live, Place, State};
use crate::journal::{self, HEAD, Kind, Scan};
use crate::log::{Options, Recovery};
use crate::payload::Sealed;
use crate::read::{self, JOURNAL, PAYLOADS, Stored, numbered, numbers};
use crate::record::Record;
use crate::seal::{Sealer, read_open};
use crate::storage::Storage;
use crate::tree::Hash;

/// A segment as it was found.
struct Old {
    live: Arc<Live>,
    bytes: Vec<u8>,
    scan: Scan,
}

impl Old {
    fn body(&self, found: &journal::Found) -> &[u8] {
        found.body(&self.bytes)
    }

    fn place(&self, found: &journal::Found) -> Place {
        let journal::Head { size, digest, .. } = found.head;
        Place { segment: Arc::clone(&self.live), offset: found.offset + HEAD as u64, size, digest }
    }

    fn is_unused(&self) -> bool {
        self.scan.frames.is_empty() && self.scan.bad.is_empty()
    }
}

/// Reads the journal and continues it, or, if it is torn, seals what is whole and starts a fresh one.
pub(crate) fn recover(
    storage: &Arc<dyn Storage>,
    mut sealer: Sealer,
    options: &Options,
) -> Result<(State, Sealer, Recovery), OpenError> {
    let mut old = read_segments(storage.as_ref())?;
    let sealed = sealer.size();
    let packs = numbers(storage.as_ref(), PAYLOADS)?;
    let (tail, cut) = contiguous(&old, sealed, storage.as_ref())?;
    refuse_damage(storage.as_ref(), &sealer, &old, cut)?;
    let open = open_intents(storage.as_ref(), sealed, &tail)?;
    sealer.sweep()?;
    let last = packs.last().copied().unwrap_or(0);
    let number = old.iter().map(|segment| segment.live.number).max().unwrap_or(0).max(last) + 1;
    let torn: usize = old.iter().map(|segment| segment.scan.bad.len()).sum();
    let stray = old
        .iter()
        .flat_map(|segment| &segment.scan.frames)
        .any(|found| found.head.kind == Kind::Entry && found.head.index >= cut);
    let recovery = Recovery {
        created: sealer.checkpoint.is_none() && tail.is_empty(),
        entries: cut,
        torn: torn as u64 + u64::from(stray),
        unknown: Vec::new(),
    };
    for segment in old.iter().filter(|segment| !segment.is_unused()) {
        // What we are about to build on may be in the page cache only.
        segment.live.file.sync()?;
    }
    if recovery.torn > 0 {
        let places: Vec<Place> = tail.iter().map(|(place, _)| place.clone()).collect();
        sealer.seal(&places, &open)?;
        sealer.tidy()?;
        start_afresh(storage.as_ref(), &old)?;
        old.clear();
    }
    let mut state = if recovery.torn > 0 {
        State::new(allocate(storage.as_ref(), number, options)?, number + 1, cut)
    } else {
        carry_on(storage.as_ref(), &old, (sealed, number), options)?
    };
    if recovery.torn == 0 {
        state.next = cut;
        state.durable = cut;
        state.tail = tail.into();
        state.payloads = payloads(&old);
    }
    state.open = open;
    state.checkpoint.clone_from(&sealer.checkpoint);
    Ok((state, sealer, recovery))
}

fn read_segments(storage: &dyn Storage) -> io::Result<Vec<Old>> {
    let mut old = Vec::new();
    for number in numbers(storage, JOURNAL)? {
        let path = numbered(JOURNAL, number);
        let Some(bytes) = storage.read(&path)? else { continue };
        let live = Arc::new(Live { number, file: storage.segment(&path)? });
        old.push(Old { live, scan: journal::scan(&bytes), bytes });
    }
    Ok(old)
}

/// The whole entries from `sealed` on without a gap, and the index of the first that is missing. An entry
/// whose payload did not survive was not acknowledged either: the payload was written before it.
fn contiguous(old: &[Old], sealed: u64, storage: &dyn Storage) -> io::Result<(Vec<(Place, Effect)>, u64)> {
    let kept = payloads(old);
    let mut pack: (u64, Vec<u8>) = Default::default();
    let mut whole = |record: &Record| -> io::Result<bool> {
        let Some(payload) = record.payload() else { return Ok(true) };
        let mut digest = Hash::default();
        if hex::decode_to_slice(&payload.digest, &mut digest).is_ok() && kept.contains_key(&digest) {
            return Ok(true);
        }
        // A pack may be of an earlier recovery, which did not find this payload either.
        if pack.0 != payload.segment {
            pack = (payload.segment, storage.read(&numbered(PAYLOADS, payload.segment))?.unwrap_or_default());
        }
        Ok(read::find_payload(&pack.1, &payload.digest).is_some())
    };
    let (mut tail, mut next) = (Vec::new(), sealed);
    for segment in old {
        for found in &segment.scan.frames {
            if found.head.kind != Kind::Entry || found.head.index != next {
                continue;
            }
            let effect = match Stored::parse(next, segment.body(found)) {
                Ok(stored) if !whole(&stored.entry.record)? => return Ok((tail, next)),
                Ok(stored) => Effect::of(&stored.entry.record),
                Err(_) => Effect::Neither,
            };
            tail.push((segment.place(found), effect));
            next += 1;
        }
    }
    Ok((tail, next))
}

/// A torn tail was promised to nobody. Anything else that is missing was.
fn refuse_damage(storage: &dyn Storage, sealer: &Sealer, old: &[Old], cut: u64) -> Result<(), OpenError> {
    let frames = || old.iter().flat_map(|segment| &segment.scan.frames);
    if let Some(found) = frames().find(|found| found.head.durable > cut) {
        let durable = found.head.durable;
        return Err(OpenError::Damaged(format!(
            "entry {cut} was durable ({durable} were), and is gone from the journal"
        )));
    }
    let tiles = || Ok::<_, io::Error>(!storage.list("tile/0")?.is_empty() || !storage.list("tile/0/000.p")?.is_empty());
    if sealer.checkpoint.is_none() && cut == 0 && tiles()? {
        return Err(OpenError::Damaged("there are tiles, but no checkpoint".to_owned()));
    }
    Ok(())
}

/// Permitted intents without outcome: those of the last seal, brought up to date.
fn open_intents(storage: &dyn Storage, sealed: u64, tail: &[(Place, Effect)]) -> Result<BTreeSet<u64>, OpenError> {
    // Ahead of the checkpoint if a crash came between the two; then the tail still holds the entries.
    let (mut size, mut open) = read_open(storage)?.unwrap_or_default();
    if size > sealed + tail.len() as u64 {
        (size, open) = Default::default();
    }
    // What was pruned had an outcome.
    size = size.max(archive::start(storage)?);
    while size < sealed {
        for bytes in read::sealed_chunk(storage, size, sealed)? {
            Effect::of(&Stored::parse(size, &bytes)?.entry.record).apply(size, &mut open);
            size += 1;
        }
    }
    for (index, (_, effect)) in (sealed..).zip(tail).filter(|(index, _)| *index >= size) {
        effect.apply(index, &mut open);
    }
    Ok(open)
}

/// Copies the payloads of a journal segment to their permanent place, frame by frame. What lies there already stays: a
/// crash may have kept a pack and lost the end of the segment that it was made of.
pub(crate) fn retire(storage: &dyn Storage, number: u64) -> io::Result<()> {
    let Some(segment) = storage.read(&numbered(JOURNAL, number))? else { return Ok(()) };
    let frames = journal::scan(&segment).frames.into_iter().filter(|found| found.head.kind == Kind::Payload);
    let frame = |found: journal::Found| {
        let start = found.offset as usize;
        let frame = segment.get(start..start + journal::frame_size(found.head.size as usize));
        (found.head.digest, frame.unwrap_or_default().to_vec())
    };
    pack(storage, number, frames.map(frame))
}

/// Adds payload frames of a segment, each with its body's leaf hash, to the segment's pack.
pub(crate) fn pack(
    storage: &dyn Storage,
    number: u64,
    frames: impl IntoIterator<Item = (Hash, Vec<u8>)>,
) -> io::Result<()> {
    let mut pack = storage.read(&numbered(PAYLOADS, number))?.unwrap_or_default();
    let there: HashSet<Hash> = journal::scan(&pack).frames.iter().map(|found| found.head.digest).collect();
    let before = pack.len();
    for (digest, frame) in frames {
        if !there.contains(&digest) {
            pack.extend_from_slice(&frame);
        }
    }
    if pack.len() == before {
        return Ok(());
    }
    // Whole or not there: `verify` may be reading.
    storage.replace(&numbered(PAYLOADS, number), &pack)
}

/// Keeps the payloads of the old segments, then removes them. Durable before the first new frame: a stale
/// frame must never stand behind a new one.
fn start_afresh(storage: &dyn Storage, old: &[Old]) -> io::Result<()> {
    for segment in old {
        retire(storage, segment.live.number)?;
    }
    let paths: Vec<String> = old.iter().map(|segment| numbered(JOURNAL, segment.live.number)).collect();
    storage.remove(&paths)
}

fn allocate(storage: &dyn Storage, number: u64, options: &Options) -> io::Result<Arc<Live>> {
    let file = storage.allocate(&numbered(JOURNAL, number), options.segment_bytes)?;
    Ok(Arc::new(Live { number, file }))
}

/// The journal as it was: its last used segment is the current one, an unused one is the spare.
fn carry_on(
    storage: &dyn Storage,
    old: &[Old],
    (sealed, number): (u64, u64),
    options: &Options,
) -> Result<State, OpenError> {
    let (unused, used): (Vec<&Old>, Vec<&Old>) = old.iter().partition(|segment| segment.is_unused());
    let newest = used.last().map_or(0, |segment| segment.live.number);
    let mut unused = unused.into_iter().filter(|segment| segment.live.number > newest);
    let (current, number) = match used.last().copied().or_else(|| unused.next()) {
        Some(segment) => (Arc::clone(&segment.live), number),
        None => (allocate(storage, number, options)?, number + 1),
    };
    let mut state = State::new(current, number, sealed);
    state.position = used.last().map_or(0, |segment| segment.scan.end);
    state.spare = unused.next().map(|segment| Arc::clone(&segment.live));
    let mut end = sealed;
    for segment in used.iter().take(used.len().saturating_sub(1)) {
        let mut entries = segment.scan.frames.iter().filter(|found| found.head.kind == Kind::Entry);
        end = entries.next_back().map_or(end, |found| found.head.index + 1);
        state.closed.push((Arc::clone(&segment.live), end));
    }
    Ok(state)
}

fn payloads(old: &[Old]) -> HashMap<Hash, Place> {
    let sealed = |segment: &Old, found: &journal::Found| {
        Some((*Sealed::parse(segment.body(found))?.digest, segment.place(found)))
    };
    old.iter()
        .flat_map(|segment| segment.scan.frames.iter().map(move |found| (segment, found)))
        .filter(|(_, found)| found.head.kind == Kind::Payload)
        .filter_map(|(segment, found)| sealed(segment, found))
        .collect()
}
