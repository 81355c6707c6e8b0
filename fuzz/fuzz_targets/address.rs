//! Hosts of addresses, and patterns as a shell expands them.

#![no_main]

use policy::{glob, host};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(host) = host::of_url(text) {
        assert!(!host.name.is_empty() && !host.name.contains(char::is_whitespace), "a host that is none");
        assert_eq!(host.name, host.name.to_lowercase());
        let held = host.embedded();
        assert!(held.spelled.len() + held.hex.len() <= host.name.len(), "more addresses than letters");
    }
    let (pattern, name) = text.split_once('\n').unwrap_or((text, "id_rsa"));
    let _ = glob::is_pattern(pattern);
    let _ = glob::matches(pattern, name);
    let steps = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (path, folder) = (steps(pattern), steps(name));
    let (path, folder): (Vec<&str>, Vec<&str>) =
        (path.iter().map(String::as_str).collect(), folder.iter().map(String::as_str).collect());
    let _ = glob::is_within(&path, &folder);
    let _ = glob::is_above(&path, &folder);
});
