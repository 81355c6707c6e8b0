//! Tiles and entry bundles of tlog-tiles.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ledger::fuzzing::bundle(data);
});
