//! Events of all agents' hooks.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    gateway::fuzzing::hook(data);
});
