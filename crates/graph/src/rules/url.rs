//! As much of a URL as rules need: the scheme and where it leads.

use std::net::{IpAddr, Ipv6Addr};

/// An address with a scheme.
pub(super) struct Url<'a> {
    /// The scheme as written.
    pub(super) scheme: String,
    /// Host and port, without user information.
    pub(super) authority: &'a str,
}

impl<'a> Url<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        (!authority.is_empty()).then(|| Self { scheme: scheme.to_ascii_lowercase(), authority })
    }

    /// The host without port and brackets.
    pub(super) fn host(&self) -> &'a str {
        match self.authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((v6, _)) => v6,
            None => self.authority.split(':').next().unwrap_or(self.authority),
        }
    }

    /// Whether it leads to this machine. `0.0.0.0` does, as a client's target; a name that merely
    /// begins with `localhost` or `127.` does not.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host().trim_end_matches('.');
        let named = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
        named
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified() || is_mapped_loopback(ip))
    }
}

fn is_mapped_loopback(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if Ipv6Addr::to_ipv4_mapped(&v6).is_some_and(|v4| v4.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_loopback_counts() {
        for here in [
            "http://localhost:1/x",
            "http://127.0.0.1",
            "http://[::1]:80/",
            "http://u:p@127.9.9.9",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(Url::parse(here).unwrap().is_loopback(), "{here}");
        }
        for there in
            ["http://localhost.example", "http://127.0.0.1.example", "http://127.0.0.1@evil.example", "http://10.0.0.1"]
        {
            assert!(!Url::parse(there).unwrap().is_loopback(), "{there}");
        }
    }
}
