//! What the user hands over by saying where it is to be found: "my account information is in this file", "her address is in
//! that folder". Values of that kind from there may complete what the user asked for, and may be used to sign in where the
//! user sends the agent. And forms: on a site that the user named, filling one in is what a change asked for there means.
//!
//! Never for payments: whoever writes a place would choose who is paid. Never to a site that the user did not name: whoever
//! wrote the link would get what is entered there.

use std::collections::BTreeSet;

use policy::{ArgumentLabel, Choice, EffectKind, Integrity, Role};
use serde_json::Value;

use super::atoms::{self, Kind as AtomKind};
use super::index::Field;
use super::request::Kind;
use super::trace::{Tracer, leaves};
use super::words::split_name;

/// Verbs of tools that sign in; two words as they stand in names.
const SIGNS_IN: &[&str] = &["login", "logon", "signin", "signon"];
/// What the fields of a form that only says who somebody is are called.
const IDENTITY: &[&str] = &[
    "account",
    "credential",
    "email",
    "id",
    "login",
    "mail",
    "name",
    "pass",
    "passwd",
    "password",
    "user",
    "username",
];
/// What such names have beside that.
const FILLING: &[&str] = &["field", "form", "input", "text", "box", "the", "your"];

impl Tracer<'_> {
    /// Whether an argument's value stands where the user said that values of its kind are to be found.
    pub(super) fn is_handed_over(&self, (pointer, role): (&str, Role), text: &str) -> bool {
        if self.tool.effects.contains(&EffectKind::Pay) {
            return false;
        }
        let is_mail = atoms::mail(text).is_some();
        let wanted = match role {
            Role::Recipient if is_mail => BTreeSet::from([Kind::Address]),
            Role::Recipient | Role::Permission | Role::Target | Role::Other => {
                let name = pointer.rsplit('/').find(|part| !part.chars().all(|c| c.is_ascii_digit()));
                Kind::named(&split_name(name.unwrap_or_default()))
            }
            _ => BTreeSet::new(),
        };
        // What one signs in with sets no password.
        let wanted: BTreeSet<Kind> =
            wanted.into_iter().filter(|kind| *kind != Kind::Account || self.is_sign_in()).collect();
        !wanted.is_empty() && self.stands_where_said(text, is_mail, |kinds| !kinds.is_disjoint(&wanted))
    }

    /// Whether a value stands at a place of which the user said that such values are there. Of addresses only one may be
    /// there, for otherwise something else chose between them.
    fn stands_where_said(&self, text: &str, is_mail: bool, fits: impl Fn(&BTreeSet<Kind>) -> bool) -> bool {
        let said = |field: &Field| {
            field.integrity <= Integrity::ThirdParty
                && !field.hidden
                && (!is_mail || field.rivals(AtomKind::Mail) == 1)
                && fits(&self.index.kinds_at(field, self.user))
        };
        let apart = self.apart.of(text);
        let seen = apart.keys().iter().filter_map(|key| self.index.get(key));
        let prose = seen.flat_map(|found| &found.prose).copied();
        // What has spaces in it is known by its words.
        let composed = self.words_of(text).and_then(|words| self.all_in_one_field(&words));
        prose.chain(composed).filter_map(|number| self.index.field(number)).any(said)
    }

    /// Whether a value that looks like an address is a name or a password which the user handed over.
    pub(super) fn is_name_handed_over(&self, text: &str) -> bool {
        let about_who = |kinds: &BTreeSet<Kind>| kinds.contains(&Kind::Account);
        !text.contains(['/', '@', ':']) && self.stands_where_said(text, false, about_who)
    }

    /// Whether the name of a form's field asks who somebody is.
    pub(super) fn asks_who(name: &str) -> bool {
        let words = split_name(name);
        words.iter().any(|word| IDENTITY.contains(&word.as_str()))
            && words.iter().all(|word| IDENTITY.contains(&word.as_str()) || FILLING.contains(&word.as_str()))
    }

    /// Whether a tool only signs in, as its name says.
    pub(super) fn is_sign_in(&self) -> bool {
        let words = split_name(&self.tool.id.name);
        let is_pair = |pair: &[String]| matches!(pair, [verb, on] if matches!(verb.as_str(), "log" | "sign") && matches!(on.as_str(), "in" | "on"));
        let harms = |effect: &EffectKind| matches!(effect, EffectKind::Pay | EffectKind::Delete | EffectKind::Share);
        !self.tool.effects.iter().any(harms)
            && (words.iter().any(|word| SIGNS_IN.contains(&word.as_str())) || words.windows(2).any(is_pair))
    }

    /// Whether a call fills in a form that asks only who somebody is.
    fn is_form_of_identity(&self, arguments: &Value, labels: &[ArgumentLabel]) -> bool {
        let mut fields = labels.iter().filter(|label| label.role == Role::Target).peekable();
        let asks_who = |label: &ArgumentLabel| {
            Self::asks_who(arguments.pointer(&label.pointer).and_then(Value::as_str).unwrap_or_default())
        };
        fields.peek().is_some() && fields.all(asks_who)
    }

    /// A form that asks only who somebody is may stand on any page of a site that the user named, if that site leads there.
    pub(super) fn accept_sign_in_page(&self, arguments: &Value, labels: &mut [ArgumentLabel]) {
        if self.reads() || !self.is_form_of_identity(arguments, labels) {
            return;
        }
        for label in labels.iter_mut().filter(|label| label.role == Role::Destination) {
            let Some(text) = arguments.pointer(&label.pointer).and_then(Value::as_str) else { continue };
            let Some(link) = atoms::link(text).filter(|link| link.is_web && self.user.names_site(&link.spelled)) else {
                continue;
            };
            let apart = self.apart.of(text);
            let prose = apart.keys().iter().filter_map(|key| self.index.get(key)).flat_map(|found| &found.prose);
            let mut fields = prose.filter_map(|number| self.index.field(*number)).peekable();
            let leads = fields.peek().is_some() && fields.all(|field| self.index.is_at_host(field, &link.spelled));
            if label.choice == Choice::Untrusted && leads {
                label.choice = Choice::Delegated;
            }
        }
    }

    /// Whether a call that no verb of the user's asks for is what he asked for all the same: to sign in with what he handed
    /// over, or to fill in a form on a site of which he wants a change.
    pub(super) fn is_asked_otherwise(&self, arguments: &Value, labels: &[ArgumentLabel]) -> bool {
        let harms = |effect: &EffectKind| matches!(effect, EffectKind::Pay | EffectKind::Delete | EffectKind::Share);
        let matters = |label: &&ArgumentLabel| !matches!(label.role, Role::Content | Role::Other | Role::Query);
        if self.tool.effects.iter().any(harms)
            || labels.iter().filter(matters).any(|label| label.choice == Choice::Untrusted)
        {
            return false;
        }
        let place = labels.iter().find(|label| label.role == Role::Destination);
        let host = place
            .filter(|label| matches!(label.choice, Choice::User | Choice::Delegated))
            .and_then(|label| atoms::link(arguments.pointer(&label.pointer)?.as_str()?))
            .filter(|link| link.is_web)
            .map(|link| link.spelled);
        match host {
            Some(host) if self.user.wants_a_change_at(&host) => true,
            Some(host) => {
                self.user.names(&host)
                    && self.is_form_of_identity(arguments, labels)
                    && self.is_all_handed_over(arguments, labels)
            }
            None => place.is_none() && self.is_sign_in() && self.is_all_handed_over(arguments, labels),
        }
    }

    /// Whether everything that is entered is the user's or was handed over.
    fn is_all_handed_over(&self, arguments: &Value, labels: &[ArgumentLabel]) -> bool {
        let is_part = |pointer: &str| {
            let of = |label: &&ArgumentLabel| label.pointer == pointer;
            labels.iter().find(of).is_some_and(|label| matches!(label.role, Role::Destination | Role::Target))
        };
        let about_who = |kinds: &BTreeSet<Kind>| kinds.contains(&Kind::Account) || kinds.contains(&Kind::Address);
        let is_theirs = |(pointer, text): &(String, String)| {
            let named = self.user.names(text) || is_part(pointer) && !self.is_sign_in();
            named || self.stands_where_said(text, atoms::mail(text).is_some(), about_who)
        };
        leaves(arguments).iter().all(is_theirs)
    }
}
