//! Signed notes, checkpoints and proofs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ledger::fuzzing::note(data);
});
