//! A shell command: no text panics or takes long, and what is not understood is not called parsed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        gateway::fuzzing::shell(text);
    }
});
