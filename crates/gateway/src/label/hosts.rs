//! Where a value leads as it is contacted: `atoms` knows a value by how it is written, and whoever follows an address reads
//! more spellings than that. Each host and mailbox has one form here, in which it is looked up as well.
//!
//! Pure functions of text.

use std::collections::BTreeSet;

use policy::Role;
use policy::host::{self, Host};

use super::atoms::VALUE_MAX_BYTES;
use crate::hook::shell::Shell;

/// The hosts that an argument leads to.
pub(super) fn of(role: Role, text: &str) -> BTreeSet<String> {
    if role == Role::Command {
        let shell = Shell::read(text, None);
        // A program that no table knows gets its addresses as plain words.
        let words = shell.arguments.difference(&shell.texts).filter(|word| word.contains(['.', ':']));
        let words = words.filter_map(|word| host::bare(word)).filter(|host| host.address().is_some());
        return shell.hosts.iter().map(|host| Host::of(host)).chain(words).filter_map(name).collect();
    }
    let is_bare = role == Role::Destination || text.trim_start().starts_with("//");
    let bare = || Some(text).filter(|text| is_bare && text.len() <= VALUE_MAX_BYTES).and_then(host::bare);
    host::of_url(text).or_else(bare).and_then(name).into_iter().collect()
}

/// The host of what is written as a link, or with full stops of other scripts.
pub(super) fn of_token(token: &str) -> Option<String> {
    let is_foreign = || token.contains(['\u{3002}', '\u{ff0e}', '\u{ff61}']);
    // Most tokens are words.
    let host = if token.contains(':') {
        host::of_url(token)
    } else if !token.is_ascii() && is_foreign() {
        host::bare(token)
    } else {
        None
    };
    host.and_then(name)
}

/// The mailbox that mail to this address reaches in the end: behind relays (`user%host@relay`, `host!user`), and at an address
/// in any spelling.
pub(super) fn mailbox(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['<', '>']);
    if text.len() > VALUE_MAX_BYTES || text.contains(char::is_whitespace) || !text.contains(['@', '!']) {
        return None;
    }
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    let (local, at) = text.rsplit_once('@').map_or((text, None), |(local, host)| (local, Some(host)));
    // A way that leads there may stand before it: `@relay:user@host`.
    let local = local.rsplit(':').next().unwrap_or(local);
    let (user, host) = match (local.rsplit_once('!'), local.rsplit_once('%'), at) {
        (Some((hosts, user)), _, _) => (user, hosts.rsplit('!').next().unwrap_or(hosts)),
        (None, Some((user, host)), Some(_)) => (user, host),
        (None, _, Some(host)) => (local, host),
        (None, _, None) => return None,
    };
    let host = host.trim_matches(['[', ']']);
    let host = name(Host::of(host.strip_prefix("IPv6:").unwrap_or(host)))?;
    let user = user.trim_matches('"');
    (!user.is_empty()).then(|| format!("{}@{host}", user.to_lowercase()))
}

/// The name by which a host is known, if it says where it is: a bare word may be anything's.
fn name(host: Host) -> Option<String> {
    let name = host.name.strip_prefix("www.").unwrap_or(&host.name);
    let is_place = host.is_read && name.contains(['.', ':']);
    // Values are known by the letters that such a name stands for.
    let letters = || if name.contains("xn--") { idna::domain_to_unicode(name).0 } else { name.to_owned() };
    is_place.then(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_has_one_form() {
        for (text, expected) in [
            ("Audit@[203.0.113.77]", Some("audit@203.0.113.77")),
            ("audit@3405803853", Some("audit@203.0.113.77")),
            ("audit%evil.example@relay.example", Some("audit@evil.example")),
            ("relay.example!evil.example!audit", Some("audit@evil.example")),
            ("@relay.example:audit@evil.example", Some("audit@evil.example")),
            ("audit@evil\u{3002}example", Some("audit@evil.example")),
            ("well done!", None),
            ("done!", None),
            ("@ann", None),
        ] {
            assert_eq!(mailbox(text).as_deref(), expected, "{text}");
        }
    }
}
