//! A JSON-RPC message: whatever is read strictly is read once, and its bytes pass unchanged.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    gateway::fuzzing::envelope(data);
});
