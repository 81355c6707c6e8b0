//! What the fuzz targets call. Built for them alone (`cfg(fuzzing)`); each panics where a parser breaks its word.

use crate::note::SignedCheckpoint;
use crate::{Stored, canonical, journal, note, tile};

/// Canonical JSON read back and written again is the same bytes.
pub fn canonical(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    let Ok(once) = canonical::to_vec(&value) else { return };
    let again: serde_json::Value = serde_json::from_slice(&once).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(canonical::to_vec(&again).ok().as_deref(), Some(&*once), "not a fixed point");
}

/// Recovery of a segment ends, and its frames lie inside it, in order.
pub fn frame(data: &[u8]) {
    let scan = journal::scan(data);
    let mut end = 0;
    for found in &scan.frames {
        assert!(found.offset >= end, "frames overlap");
        end = found.offset + 1;
    }
    let _ = Stored::parse(0, data);
}

/// Notes and checkpoints.
pub fn note(data: &[u8]) {
    if let Ok(checkpoint) = SignedCheckpoint::parse(data) {
        let text = checkpoint.text().to_owned();
        let again = SignedCheckpoint::parse(data).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.text(), text);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = note::Signature::parse(text);
        let _ = crate::witness::Request::parse(text);
    }
}

/// Entry bundles: what is read is written back as it was.
pub fn bundle(data: &[u8]) {
    let _ = tile::split_hashes(data);
    let entries: Vec<_> = tile::entries(data).collect();
    if entries.iter().all(Option::is_some) {
        let mut again = Vec::new();
        entries.into_iter().flatten().for_each(|entry| tile::push_entry(&mut again, entry));
        assert_eq!(again, data);
    }
}
