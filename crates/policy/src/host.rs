//! The host that an address leads to, as those read it who follow it. Pure.
//!
//! Browsers and the libraries made after the WHATWG URL Standard take more for an address than others do: blanks around
//! it, tabs and line breaks within, any number of slashes or backslashes, percent signs in the host. Whoever reads less
//! than they do lets such an address past.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;

/// Schemes whose addresses have a host whatever slashes stand before it.
const SPECIAL: &[&str] = &["http", "https", "ws", "wss", "ftp"];
/// A longer one is none.
const SCHEME_MAX_BYTES: usize = 32;
/// As much as is looked at of a text.
const AUTHORITY_MAX_CHARS: usize = 4_096;

/// A host as it is contacted: domain names in their ASCII form and lower case, without the dot at the end; addresses of
/// version 4 in their usual form, however they are spelled; those of version 6 without brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name; as it stands there, if it cannot be read.
    pub name: String,
    /// Whether it could be read. What cannot may be anybody's to who follows it nevertheless.
    pub is_read: bool,
}

impl Host {
    /// Reads what stands for a host, without user and port.
    pub fn of(text: &str) -> Self {
        let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Some(address) = address(text) {
            return Self { name: address.to_string(), is_read: true };
        }
        // INVARIANT: as in the URL Standard, domain to ASCII comes after percent-decoding and before addresses are told
        // from names: full-width digits and ideographic dots are digits and dots to whoever follows the address.
        let decoded = decoded(text);
        let ascii = idna::domain_to_ascii_cow(&decoded, AsciiDenyList::URL).ok();
        let name = ascii.as_deref().map(|name| name.trim_end_matches('.')).filter(|name| !name.is_empty());
        match name {
            Some(name) => {
                Self { name: address(name).map_or_else(|| name.to_owned(), |ip| ip.to_string()), is_read: true }
            }
            None => {
                // Of nothing but dots, one is left: no host is without a name.
                let name = Some(text.trim_end_matches('.')).filter(|name| !name.is_empty());
                Self { name: name.unwrap_or(".").to_lowercase(), is_read: false }
            }
        }
    }

    /// The address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }

    /// The addresses that stand in its name before another label. There are name servers that answer any such name with the
    /// address in it (`10.0.0.1.nip.example`, `app-10-0-0-1.nip.example`, `0a000001.nip.example`), and anybody may run one.
    /// Whether this name leads there nobody knows who does not ask.
    pub fn embedded(&self) -> Embedded {
        let mut found = Embedded::default();
        let has_digit = || self.name.bytes().any(|byte| byte.is_ascii_digit());
        let Some((front, _)) = self.name.rsplit_once('.').filter(|_| has_digit() && self.address().is_none()) else {
            return found;
        };
        let parts: Vec<&str> = front.split(['.', '-']).collect();
        let numbers: Vec<Option<u8>> = parts.iter().map(|part| byte(part)).collect();
        for four in numbers.windows(4) {
            if let [Some(a), Some(b), Some(c), Some(d)] = *four {
                found.spelled.push(Ipv4Addr::new(a, b, c, d).into());
            }
        }
        let dashed = front.split('.').filter(|label| label.contains('-'));
        let dashed = dashed.filter_map(|label| label.replace('-', ":").parse::<Ipv6Addr>().ok());
        found.spelled.extend(dashed.map(|address| address.to_canonical()));
        found.hex.extend(parts.iter().filter_map(|part| of_hex(part)));
        found
    }
}

/// The addresses in a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Embedded {
    /// Spelled out: four numbers, or the parts of one of version 6 with `-` between them.
    pub spelled: Vec<IpAddr>,
    /// As hex digits alone, which is how hashes look, too.
    pub hex: Vec<IpAddr>,
}

/// A number of an address as it is usually written.
fn byte(part: &str) -> Option<u8> {
    let is_usual = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    part.parse().ok().filter(|_| is_usual)
}

fn of_hex(part: &str) -> Option<IpAddr> {
    match part.len() {
        _ if !part.bytes().all(|byte| byte.is_ascii_hexdigit()) => None,
        8 => u32::from_str_radix(part, 16).ok().map(|bits| Ipv4Addr::from(bits).into()),
        32 => u128::from_str_radix(part, 16).ok().map(|bits| Ipv6Addr::from(bits).to_canonical()),
        _ => None,
    }
}

/// The host of an address. `None` if the text is no address that has one. What stands behind the host may be as long as
/// it likes.
pub fn of_url(text: &str) -> Option<Host> {
    of_authority(&behind_scheme(text)?).filter(|host| !host.contains(char::is_whitespace)).map(Host::of)
}

/// The host of an address to whoever takes a backslash before an `@` for a part of the user's name, as curl does and browsers
/// do not: `http://a\@b/` leads to `a` or to `b`. `None` if all read it alike.
pub fn of_url_otherwise(text: &str) -> Option<Host> {
    let rest = behind_scheme(text)?;
    let (user, host) = rest.split(['/', '?', '#']).next()?.rsplit_once('@')?;
    of_authority(host).filter(|_| user.contains('\\')).map(Host::of)
}

/// What stands behind the scheme of an address, from its host on.
fn behind_scheme(text: &str) -> Option<String> {
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
    Some(rest.to_owned())
}

/// The host of what may be one without a scheme: `host:port/path`, `//host`, an address of version 6 in brackets.
pub fn bare(text: &str) -> Option<Host> {
    let text = text.trim();
    of_authority(text.strip_prefix("//").unwrap_or(text)).map(Host::of)
}

/// What stands for the host where an authority begins.
fn of_authority(text: &str) -> Option<&str> {
    let authority = text.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.split(']').next()?,
        // An address of version 6 may stand without brackets where no port follows it.
        None if host.parse::<Ipv6Addr>().is_ok() => host,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

/// An address in any spelling that `inet_aton` takes: `2852039166`, `0xa9.0xfe.0xa9.0xfe`, `169.16689662`.
fn address(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        return Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4));
    }
    let parts: Vec<u32> = host.trim_end_matches('.').split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let high = first.iter().zip([24u32, 16, 8]).fold(0u32, |sum, (part, shift)| sum | part << shift);
    Some(IpAddr::V4(Ipv4Addr::from(high | last)))
}

fn number(part: &str) -> Option<u32> {
    if let Some(hex) = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        return if hex.is_empty() { Some(0) } else { u32::from_str_radix(hex, 16).ok() };
    }
    match part.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        _ => part.parse().ok(),
    }
}

/// What those who follow an address leave out wherever it stands.
fn is_dropped(letter: char) -> bool {
    matches!(letter, '\t' | '\r' | '\n')
}

/// What percent signs stand for.
pub(crate) fn decoded(host: &str) -> Cow<'_, [u8]> {
    let bytes = host.as_bytes();
    if !host.contains('%') {
        return Cow::Borrowed(bytes);
    }
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let escaped = pair.filter(|_| *byte == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        out.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    Cow::Owned(out)
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
            ("http://169。254。169。254/latest", "169.254.169.254"),
            ("http://１６９.254.169.254/latest", "169.254.169.254"),
            ("http://169.254.169.254%E3%80%82/", "169.254.169.254"),
            ("http://0xA9fea9fe/", "169.254.169.254"),
            ("http://[::ffff:a9fe:a9fe]/", "169.254.169.254"),
            ("http://ⓜetadata.google.internal/", "metadata.google.internal"),
            ("http://bücher.example/", "xn--bcher-kva.example"),
            ("http://my_host.example/", "my_host.example"),
        ] {
            assert_eq!(of_url(url), Some(Host { name: host.to_owned(), is_read: true }), "{url:?}");
        }
        let otherwise = |url: &str| of_url_otherwise(url).map(|host| host.name);
        assert_eq!(otherwise("http://good.example\\@169.254.169.254:80/x").as_deref(), Some("169.254.169.254"));
        for alike in ["http://good.example\\x/@evil.example", "http://a@b/", "http://a/\\@b", "a\\@b", "file://a\\@b/"]
        {
            assert_eq!(otherwise(alike), None, "{alike}");
        }
        let long = format!("https://evil.example/?d={}", "a".repeat(100_000));
        assert_eq!(of_url(&long).unwrap().name, "evil.example");
        for unreadable in
            ["http://a%20b/", "http://xn--a/", "http://\u{ad}/", "http://[::1%25eth0]/", "http://%ff/", "ws:../"]
        {
            let host = of_url(unreadable).unwrap();
            assert!(!host.is_read && !host.name.is_empty(), "{unreadable}");
        }
        for (text, host) in [("evil.example ", "evil.example"), ("//H:8/x", "h"), ("::1", "::1"), ("[::1]:80", "::1")] {
            assert_eq!(bare(text), Some(Host { name: host.to_owned(), is_read: true }), "{text:?}");
        }
        for text in
            ["file:///etc/passwd", "no url", "https: see there", "C:\\x", "note: x", "mailto:a@b.example", "://x"]
        {
            assert_eq!(of_url(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_name_may_hold_an_address() {
        let texts = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        for (name, spelled, hex) in [
            ("10.0.0.1.nip.example", &["10.0.0.1"][..], &[] as &[&str]),
            ("a.b-10-0-0-1.nip.example", &["10.0.0.1"], &[]),
            ("app-10-0-0-1-x.nip.example", &["10.0.0.1"], &[]),
            ("fd00-ec2--254.nip.example", &["fd00:ec2::254"], &[]),
            ("--ffff-a9fe-a9fe.nip.example", &["169.254.169.254"], &[]),
            ("app-A9FEA9FE.nip.example", &[], &["169.254.169.254"]),
            ("fd000ec2000000000000000000000254.nip.example", &[], &["fd00:ec2::254"]),
            ("10.0.0.1", &[], &[]),
            ("10.0.0.example", &[], &[]),
            ("a9fea9fe", &[], &[]),
            ("10-0-0-1", &[], &[]),
            ("v1.2.3.4.example", &[], &[]),
            ("1.2.3.256.example", &[], &[]),
            ("www.example.org", &[], &[]),
        ] {
            let found = Host::of(name).embedded();
            let shown = |all: Vec<IpAddr>| all.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!((shown(found.spelled), shown(found.hex)), (texts(spelled), texts(hex)), "{name}");
        }
    }
}
