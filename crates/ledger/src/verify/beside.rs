//! What lies beside the tree: payloads with their keys, and objects.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;

use zeroize::Zeroizing;

use super::Report;
use crate::journal;
use crate::payload::{ERASING, SUBJECTS, Sealed, SubjectKey, key_path};
use crate::read::{OBJECTS, PAYLOADS, ReadError, numbered};
use crate::semantics::{Reference, Used};
use crate::storage::Storage;
use crate::tree::sha256;

/// The subjects' keys by id, each with its file.
fn subject_keys(storage: &dyn Storage, report: &mut Report) -> io::Result<HashMap<[u8; 16], (String, SubjectKey)>> {
    let mut keys = HashMap::new();
    for name in storage.list_whole(SUBJECTS)?.iter().filter(|name| !name.ends_with(ERASING)) {
        let path = format!("{SUBJECTS}/{name}");
        let bytes = storage.read(&path)?.map(Zeroizing::new).unwrap_or_default();
        match SubjectKey::parse(&bytes) {
            Some(key) => _ = keys.insert(key.id, (path, key)),
            None => _ = report.fault(path, "the key was changed; what it encrypts is lost"),
        }
    }
    Ok(keys)
}

/// Keys that are recorded as erased and still here: what they encrypt can be read.
pub(super) fn erasures(storage: &dyn Storage, used: &Used, live: bool, report: &mut Report) -> io::Result<()> {
    for name in &storage.list_whole(SUBJECTS)? {
        // In a live log its writer is about to remove what is being erased.
        if live && name.ends_with(ERASING) {
            continue;
        }
        let path = format!("{SUBJECTS}/{name}");
        let bytes = storage.read(&path)?.map(Zeroizing::new).unwrap_or_default();
        let id = SubjectKey::parse_erasing(&bytes).map(|(key, _)| hex::encode(key.id));
        if id.is_some_and(|id| used.erased.contains(&id)) {
            let text = "the key is recorded as erased and still here; what is only half done the next start finishes";
            report.fault(path, text);
        }
    }
    Ok(())
}

/// Every payload: whole, decrypting to its digest, or erased on record; and every reference to one.
pub(super) fn payloads(
    storage: &dyn Storage,
    used: &Used,
    mut bodies: Vec<(String, u64, Vec<u8>)>,
    report: &mut Report,
) -> Result<(), ReadError> {
    let keys = subject_keys(storage, report)?;
    for name in &storage.list_whole(PAYLOADS)? {
        let path = format!("{PAYLOADS}/{name}");
        let bytes = storage.read(&path)?.unwrap_or_default();
        let scan = journal::scan(&bytes);
        for offset in &scan.bad {
            report.fault(path.as_str(), "bytes that are no whole payload: changed").offset = Some(*offset);
        }
        for found in &scan.frames {
            let body = found.body(&bytes);
            bodies.push((path.clone(), found.offset, body.to_vec()));
        }
    }
    let (mut there, mut exchanged) = (BTreeSet::new(), BTreeSet::new());
    for (path, offset, body) in &bodies {
        let Some(sealed) = Sealed::parse(body) else {
            report.fault(path.as_str(), "no payload").offset = Some(*offset);
            continue;
        };
        let digest = hex::encode(sealed.digest);
        let reference = used.payloads.get(&digest);
        match keys.get(sealed.key_id) {
            Some((file, key)) => match key.open(sealed).map(Zeroizing::new) {
                None => report.fault(path.as_str(), "the payload was changed").offset = Some(*offset),
                Some(bytes) => {
                    report.payloads += 1;
                    let size = bytes.len() as u64;
                    if let Some(Reference { entry, size_bytes, .. }) = reference.filter(|told| told.size_bytes != size)
                    {
                        let text = format!("the payload has {size} bytes, and its entry says {size_bytes}");
                        report.fault(path.as_str(), text).entry = Some(*entry);
                    }
                    // Erasing one of them would destroy the payloads of the other.
                    let other = reference.filter(|reference| key_path(&reference.subject) != *file);
                    exchanged.extend(other.map(|reference| (file.as_str(), reference.subject.as_str())));
                }
            },
            None if used.erased.contains(&hex::encode(sealed.key_id)) => report.erased += 1,
            // The entry that says so may have been pruned, with all that refer to it.
            None if report.pruned.is_some() && reference.is_none() => report.erased += 1,
            None => {
                report.fault(path.as_str(), "its key is gone, and no entry says that it was erased").offset =
                    Some(*offset);
            }
        }
        let number = path.rsplit_once('/').and_then(|(_, number)| number.parse::<u64>().ok());
        there.insert((digest, number));
    }
    for (file, subject) in exchanged {
        report.fault(file, format!("the key in it is that of `{subject}`, and its name is not: files were exchanged"));
    }
    for (digest, Reference { entry, segment, .. }) in &used.payloads {
        if !there.contains(&(digest.clone(), Some(*segment))) {
            // Whoever reads the entry looks there and nowhere else.
            report.fault(numbered(PAYLOADS, *segment), format!("payload `{digest}` is missing")).entry = Some(*entry);
        }
    }
    Ok(())
}

/// Every object has the digest that is its name, and the sources of the policies in force and what scans found are there.
pub(super) fn objects(storage: &dyn Storage, used: &Used, report: &mut Report) -> io::Result<()> {
    let mut there = HashSet::new();
    for prefix in 0..=u8::MAX {
        let folder = format!("{OBJECTS}/{prefix:02x}");
        for name in storage.list_whole(&folder)? {
            let path = format!("{folder}/{name}");
            let bytes = storage.read(&path)?.unwrap_or_default();
            if hex::encode(sha256(&bytes)) == name {
                report.objects += 1;
            } else {
                report.fault(path, "it does not have the digest that is its name");
            }
            there.insert(name);
        }
    }
    for (snapshot, entry) in used.snapshots.iter().filter(|(snapshot, _)| !there.contains(*snapshot)) {
        let text = format!("the source of snapshot `{snapshot}` is missing: nothing shows what its decisions rest on");
        report.fault(OBJECTS, text).entry = Some(*entry);
    }
    for (scan, entry) in used.scans.iter().filter(|(scan, _)| !there.contains(*scan)) {
        let text = format!("what the scan `{scan}` found is missing (record.md, rule 6)");
        report.fault(OBJECTS, text).entry = Some(*entry);
    }
    Ok(())
}
