//! Configurations as JSON with comments, TOML and YAML.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        connect::fuzzing::config(text);
    }
});
