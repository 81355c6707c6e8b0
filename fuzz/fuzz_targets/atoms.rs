//! What labels read out of a text and a result.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        gateway::fuzzing::atoms(text);
    }
});
