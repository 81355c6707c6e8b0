//! Canonical JSON: reading it back gives the same bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ledger::fuzzing::canonical(data);
});
