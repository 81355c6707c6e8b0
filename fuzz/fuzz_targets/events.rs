//! Server-sent events, in pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    gateway::fuzzing::events(data);
});
