//! Whose data a session has: the subjects of the ledger's payloads, which an erasure names. Pure.

use std::collections::BTreeSet;

use policy::Principal;
use serde::{Deserialize, Serialize};

use crate::pipeline;

/// The most subjects of one session that are told apart; usually there is one.
const SUBJECTS_MAX: usize = 64;

/// Their names. `None`: nobody knows them all, so there may be data of anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Subjects(Option<BTreeSet<String>>);

impl Subjects {
    /// Of a session that has nothing yet.
    pub(super) fn nobodys() -> Self {
        Self(Some(BTreeSet::new()))
    }

    /// Of one that was kept before subjects were.
    pub(super) fn anybodys() -> Self {
        Self(None)
    }

    /// Whoever this is acts in the session. Says whether that is new.
    pub(super) fn add(&mut self, principal: &Principal) -> bool {
        let Some(subjects) = &mut self.0 else { return false };
        let is_it = |subject: &String| {
            let user = subject.strip_prefix(&*principal.agent).and_then(|rest| rest.strip_prefix(" for "));
            user == Some(&*principal.user)
        };
        if subjects.iter().any(is_it) {
            return false;
        }
        if subjects.len() < SUBJECTS_MAX {
            subjects.insert(pipeline::subject(principal));
        } else {
            self.0 = None;
        }
        true
    }

    /// Whether there may be data of this one.
    pub(super) fn may_hold(&self, subject: &str) -> bool {
        self.0.as_ref().is_none_or(|subjects| subjects.contains(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_too_many_is_taken_for_anybodys() {
        let principal = |agent: &str, user: &str| Principal {
            agent: agent.to_owned(),
            user: user.to_owned(),
            session: "s".to_owned(),
            delegation: Vec::new(),
            evidence: [].into(),
        };
        let mut subjects = Subjects::nobodys();
        assert!(!subjects.may_hold("codex for ada"));
        assert!(subjects.add(&principal("codex", "ada")) && !subjects.add(&principal("codex", "ada")));
        assert!(subjects.may_hold("codex for ada") && !subjects.may_hold("codex for ann"));
        for number in 1..SUBJECTS_MAX {
            assert!(subjects.add(&principal("codex", &number.to_string())));
        }
        assert!(!subjects.may_hold("codex for ann"));
        assert!(subjects.add(&principal("codex", "one more")) && subjects.may_hold("codex for ann"));
        assert!(!subjects.add(&principal("codex", "another")));
        assert!(Subjects::anybodys().may_hold("anybody"));
    }
}
