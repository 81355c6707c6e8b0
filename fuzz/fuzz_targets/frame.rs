//! A journal segment: whatever bytes lie there, recovery ends and keeps whole entries only.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ledger::fuzzing::frame(data);
});
