//! How the policies of resources name whoever asks.

use crate::aws::arn::Arn;
use crate::aws::estate::{Principal, PrincipalKind};
use crate::aws::policy::{Effect, Named, Principals};
use crate::aws::truth::Truth;

/// How a resource policy names a principal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Naming {
    /// By its own ARN or id.
    pub(super) direct: Truth,
    /// As everyone.
    pub(super) anyone: Truth,
    /// By the ARN of its session.
    pub(super) session: Truth,
    /// By its account, which then decides for itself.
    pub(super) account: Truth,
}

impl Naming {
    /// In any of the ways.
    pub(super) fn somehow(self) -> Truth {
        self.direct.or(self.anyone).or(self.session).or(self.account)
    }
}

/// Services may be written with a region (`lambda.eu-west-1.amazonaws.com`).
pub(super) fn same_service(written: &str, service: &str) -> bool {
    let written = written.strip_suffix(".cn").unwrap_or(written);
    if written == service {
        return true;
    }
    let bare = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    written.ends_with(".amazonaws.com")
        && service.matches('.').count() == 2
        && written.matches('.').count() == 3
        && bare(written) == bare(service)
}

/// In which ways a `Principal` or `NotPrincipal` names somebody.
pub(super) fn name(principals: &Principals, effect: Effect, principal: &Principal) -> Naming {
    match principals {
        Principals::Of(list) => {
            list.iter().map(|named| name_one(named, principal)).fold(Naming::default(), |total, one| Naming {
                direct: total.direct.or(one.direct),
                anyone: total.anyone.or(one.anyone),
                session: total.session.or(one.session),
                account: total.account.or(one.account),
            })
        }
        Principals::Except(list) => {
            let named = name(&Principals::Of(list.clone()), effect, principal);
            let named = Naming { direct: named.direct.or(named.anyone), ..named };
            // A deny with `NotPrincipal` spares a principal only if its account is named as well.
            let spared = match effect {
                // A role also by its session, whose name is made up when it is assumed.
                Effect::Deny if principal.kind == PrincipalKind::Role => named.direct.and(Truth::Unknown),
                Effect::Deny => named.direct.and(named.account).or(named.direct.and(Truth::Unknown)),
                Effect::Allow => named.direct.or(named.session).or(named.account),
            };
            Naming { direct: spared.negate(), ..Naming::default() }
        }
    }
}

fn name_one(named: &Named, principal: &Principal) -> Naming {
    let direct = Naming { direct: Truth::Yes, ..Naming::default() };
    match named {
        Named::Anyone => Naming { anyone: Truth::Yes, ..Naming::default() },
        Named::Aws(text) if *text == principal.arn => direct,
        Named::Aws(text) if !principal.unique_id.is_empty() && *text == principal.unique_id => direct,
        Named::Aws(text) if names_account(text, principal.account()) => {
            Naming { account: Truth::Yes, ..Naming::default() }
        }
        Named::Aws(text) if names_session(text, principal) => Naming { session: Truth::Unknown, ..Naming::default() },
        Named::Federated(text) if principal.kind == PrincipalKind::Federated && *text == principal.arn => direct,
        Named::Aws(_) | Named::Service(_) | Named::Federated(_) | Named::Canonical(_) => Naming::default(),
    }
}

fn names_account(text: &str, account: &str) -> bool {
    let is_root = || {
        text.ends_with(":root") && Arn::parse(text).is_some_and(|arn| arn.account == account && arn.resource == "root")
    };
    !account.is_empty() && (text == account || is_root())
}

/// The session's name is chosen by whoever assumes the role, so this is never certain.
fn names_session(text: &str, principal: &Principal) -> bool {
    if principal.kind != PrincipalKind::Role || text.ends_with(":root") {
        return false;
    }
    let (Some(session), Some(own)) = (Arn::parse(text), Arn::parse(&principal.arn)) else { return false };
    let Some(rest) = session.resource.strip_prefix("assumed-role/") else { return false };
    session.account == own.account && rest.split('/').next() == Some(own.name())
}
