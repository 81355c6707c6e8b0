//! What an A2A agent says of itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    gateway::fuzzing::card(data);
});
