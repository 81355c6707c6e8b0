//! Cloud exports, plans, templates and cluster objects, and all that follows from them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        connect::fuzzing::estate(text);
    }
});
