//! The host that an address leads to, as those read it who follow it. Pure.
//!
//! Browsers and the libraries made after the WHATWG URL Standard take more for an address than others do: blanks around
//! it, tabs and line breaks within, any number of slashes or backslashes, percent signs in the host. Whoever reads less
//! than they do lets such an address past.

use std::borrow::Cow;

/// Schemes whose addresses have a host whatever slashes stand before it.
const SPECIAL: &[&str] = &["http", "https", "ws", "wss", "ftp"];
/// A longer one is none.
const SCHEME_MAX_BYTES: usize = 32;
/// As much as is looked at of a text.
const AUTHORITY_MAX_CHARS: usize = 4_096;

/// The host of an address, in lower case, without port, user and the dot at its end; an address of version 6 without its
/// brackets. `None` if the text is no address that has one. What stands behind the host may be as long as it likes.
pub fn of_url(text: &str) -> Option<String> {
    let text = text.trim_matches(|letter: char| letter.is_control() || letter.is_whitespace());
    let colon = text.bytes().take(SCHEME_MAX_BYTES).position(|byte| byte == b':')?;
    let (scheme, rest) = (text.get(..colon)?, text.get(colon + 1..)?);
    let scheme: String = scheme.chars().filter(|letter| !is_dropped(*letter)).collect::<String>().to_ascii_lowercase();
    let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || scheme == "file" {
        return None;
    }
    let rest: String = rest.chars().take(AUTHORITY_MAX_CHARS).filter(|letter| !is_dropped(*letter)).collect();
    let rest = match SPECIAL.contains(&scheme.as_str()) {
        true => rest.trim_start_matches(['/', '\\']),
        false => rest.strip_prefix("//")?,
    };
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.split(']').next()?,
        None => host.split(':').next()?,
    };
    let host = decoded(host);
    let host = host.trim_end_matches('.').to_lowercase();
    (!host.is_empty() && !host.contains(char::is_whitespace)).then_some(host)
}

/// What those who follow an address leave out wherever it stands.
fn is_dropped(letter: char) -> bool {
    matches!(letter, '\t' | '\r' | '\n')
}

fn decoded(host: &str) -> Cow<'_, str> {
    if !host.contains('%') {
        return Cow::Borrowed(host);
    }
    let bytes = host.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let escaped = pair.filter(|_| *byte == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        out.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_a_browser_would_contact() {
        for (url, host) in [
            ("https://User@EXAMPLE.com:8443/a@b", "example.com"),
            ("http://good.example\\@evil.example/", "good.example"),
            ("http://[::1]:80/", "::1"),
            ("\n https://evil.example/x y z u v w", "evil.example"),
            ("http:/evil.example/", "evil.example"),
            ("http:\\\\evil.example", "evil.example"),
            ("https:evil.example?a", "evil.example"),
            ("ht\ntp://ev\til.example/", "evil.example"),
            ("http://169.254.169%2e254/", "169.254.169.254"),
            ("git+ssh://git@host.example./x", "host.example"),
        ] {
            assert_eq!(of_url(url).as_deref(), Some(host), "{url:?}");
        }
        let long = format!("https://evil.example/?d={}", "a".repeat(100_000));
        assert_eq!(of_url(&long).as_deref(), Some("evil.example"));
        for text in
            ["file:///etc/passwd", "no url", "https: see there", "C:\\x", "note: x", "mailto:a@b.example", "://x"]
        {
            assert_eq!(of_url(text), None, "{text:?}");
        }
    }
}
