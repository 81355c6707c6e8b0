//! The policy evaluation logic of AWS for one request, with its proof.
//!
//! After the IAM user guide, "Policy evaluation logic": an explicit deny anywhere wins; RCPs and SCPs
//! must allow; within an account a grant of the identity's policies (inside boundary and session
//! policy) or of the resource's policy suffices, except for role trust and KMS keys, where the
//! resource's policy must take part; across accounts both sides must allow.
//!
//! Never returns a bare yes or no: an [`Answer`] lists what allowed, what denied and what is open.

mod asked;
mod index;
mod naming;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(super) use self::asked::is_limited_by_rcp;
use self::asked::{Asked, Resource, principal_context};
use self::index::Index;
use self::naming::{Naming, name, same_service};
use super::arn::Arn;
use super::condition::{Context, Value};
use super::estate::{Boundary, Estate, PolicyId, PossibleLimit, Principal, PrincipalKind, StatementId};
use super::pattern::Pattern;
use super::policy::{Choice, Effect, Named, Principals, Statement};
use super::public;
use super::truth::Truth;

/// Which kind of policy a statement came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// A policy of the principal or of one of its groups.
    Identity,
    /// The permissions boundary.
    Boundary,
    /// A session policy.
    Session,
    /// The resource's policy, or the role's trust policy.
    Resource,
    /// A service control policy.
    ServiceControl,
    /// A resource control policy.
    ResourceControl,
}

impl Layer {
    /// What people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Resource => "resource policy",
            Self::ServiceControl => "service control policy",
            Self::ResourceControl => "resource control policy",
        }
    }
}

/// A statement that took part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cite {
    /// Which one.
    pub statement: StatementId,
    /// Where it stands.
    pub layer: Layer,
    /// Whether it certainly applies to the request.
    pub truth: Truth,
}

/// The answer to one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether the request is allowed.
    pub verdict: Truth,
    /// Statements that allow it.
    pub allows: Vec<Cite>,
    /// Statements that deny it.
    pub denies: Vec<Cite>,
    /// Whether the resource's policy is enough, without a policy of the principal.
    pub by_resource: bool,
    /// Layers that would have to allow it and do not.
    pub lacks: Vec<Layer>,
    /// What is not in the files, or not documented, and could change the answer.
    pub gaps: Vec<String>,
    /// Whether a block of public access denies it.
    pub is_blocked: bool,
}

impl Answer {
    fn block(&mut self, blocked: Truth) {
        self.is_blocked = blocked == Truth::Yes;
        if blocked == Truth::Unknown {
            self.gaps.push(UNBLOCKED.to_owned());
        }
    }

    /// The verdict when what is missing from the files is counted as unknown.
    pub fn could_be(&self) -> Truth {
        if self.verdict == Truth::No && self.denies.is_empty() && !self.gaps.is_empty() {
            return Truth::Unknown;
        }
        self.verdict
    }
}

/// A question about a principal.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Index of the principal in [`Estate::principals`].
    pub principal: usize,
    /// The action; case does not matter.
    pub action: &'a str,
    /// The resource's ARN, or `*`.
    pub resource: &'a str,
    /// Condition keys of the request; those of the principal are added.
    pub context: &'a Context,
    /// Session policies passed when the session was made.
    pub session: &'a [PolicyId],
    /// Policies that the principal is given for the sake of the question.
    pub added: &'a [PolicyId],
    /// Policies that it is taken to be without.
    pub without: &'a [PolicyId],
    /// Whether the resource's own policy, which is not in the files, is known to let in the principal's account.
    pub is_brought: bool,
    /// A statement that is taken not to be there.
    pub silenced: Option<StatementId>,
}

impl<'a> Request<'a> {
    /// A request without session policies, in a given context.
    pub fn new(principal: usize, action: &'a str, resource: &'a str, context: &'a Context) -> Self {
        let (session, added, without): (&[PolicyId], &[PolicyId], &[PolicyId]) = (&[], &[], &[]);
        Self { principal, action, resource, context, session, added, without, is_brought: false, silenced: None }
    }
}

/// Judges one request. See [`Evaluator`] for many.
pub fn decide(estate: &Estate, principal: usize, action: &str, resource: &str) -> Answer {
    Evaluator::new(estate).decide(&Request::new(principal, action, resource, &Context::default()))
}

/// Judges requests over one estate; holds what does not change between them.
pub struct Evaluator<'a> {
    /// The estate that is judged.
    pub estate: &'a Estate,
    askers: Vec<Asker<'a>>,
    /// Whether the files describe more than one account.
    several: bool,
    index: Index<'a>,
    /// What is known of a request of which nothing is asked.
    nothing: Context,
}

/// A principal with what is the same for all its requests.
struct Asker<'a> {
    principal: &'a Principal,
    account: &'a str,
    /// Its own policies and those of its groups.
    policies: Vec<PolicyId>,
    /// The condition keys that follow from who it is.
    context: Context,
}

/// Whom a trust policy may let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LetsIn {
    /// No user and no role: services and providers at most.
    Nobody,
    /// Those of accounts whose own policies allow it.
    Accounts,
    /// Somebody whom no policy of its own need allow it.
    Somebody,
}

/// What AWS's documentation leaves open.
const PAST_LIMITS: &str = "whether `*` in a resource policy names a role's session past its permissions boundary and \
                           session policies: AWS's documentation does not say";

#[derive(Clone, Copy, Default)]
struct Tally {
    allow: Truth,
    deny: Truth,
}

/// One request with everything that its statements are matched against.
struct Matching<'e> {
    asker: &'e Asker<'e>,
    asked: Rc<Asked>,
    resource: Resource<'e>,
    /// What the question says of the request.
    said: &'e Context,
    /// All that is known of the request, made when a statement asks for it.
    known: OnceCell<Context>,
    nothing: &'e Context,
    silenced: Option<StatementId>,
}

impl<'a> Evaluator<'a> {
    /// Prepares an estate.
    pub fn new(estate: &'a Estate) -> Self {
        let asker = |principal: &'a Principal| Asker {
            principal,
            account: principal.account(),
            policies: identity_policies(estate, principal),
            context: principal_context(estate, principal),
        };
        let askers: Vec<Asker<'a>> = estate.principals.iter().map(asker).collect();
        let is_insider = |one: &&Asker<'_>| matches!(one.principal.kind, PrincipalKind::User | PrincipalKind::Role);
        let mut accounts = askers.iter().filter(is_insider).map(|one| one.account);
        let several = accounts.next().is_some_and(|first| accounts.any(|other| other != first));
        Self { estate, askers, several, index: Index::new(estate), nothing: Context::default() }
    }

    /// The principal's own policies and those of its groups.
    pub fn identity(&self, principal: usize) -> &[PolicyId] {
        self.askers.get(principal).map(|asker| asker.policies.as_slice()).unwrap_or_default()
    }

    /// The statements of the principal's policies that speak of an action.
    pub fn speaking(&self, principal: usize, action: &str) -> Vec<&'a Statement> {
        let asked = self.index.asked(action);
        let ids = self.identity(principal).iter().flat_map(|policy| asked.of(*policy));
        ids.filter_map(|id| self.estate.statement(*id)).collect()
    }

    /// Whether some policy of the principal allows the action on something: a cheap first test.
    pub fn may_try(&self, principal: usize, action: &str) -> bool {
        self.speaks(principal, action, |statement| statement.effect == Effect::Allow)
    }

    /// Whether the principal's policies have a statement of this kind that speaks of an action.
    fn speaks(&self, principal: usize, action: &str, is: impl Fn(&Statement) -> bool) -> bool {
        let asked = self.index.asked(action);
        let mut ids = self.identity(principal).iter().flat_map(|policy| asked.of(*policy));
        ids.any(|id| self.estate.statement(*id).is_some_and(&is))
    }

    /// Whether something beside a resource's policy may deny the action: a cheap first test.
    pub fn may_be_denied(&self, principal: usize, action: &str) -> bool {
        let Some(who) = self.estate.principals.get(principal) else { return true };
        let organisation = [&self.estate.scps, &self.estate.rcps];
        who.boundary != Boundary::None
            || organisation.into_iter().any(|policies| !policies.is_empty())
            || self.speaks(principal, action, |statement| statement.effect == Effect::Deny)
    }

    /// Whom a role's trust policy may let in: a cheap first test.
    pub fn lets_in(&self, role: usize) -> LetsIn {
        let Some(trust) = self.estate.principals.get(role).and_then(|role| role.trust) else { return LetsIn::Nobody };
        let is_account = |text: &str| match Arn::parse(text) {
            Some(arn) => arn.resource == "root",
            None => text.bytes().all(|byte| byte.is_ascii_digit()),
        };
        let one = |named: &Named| match named {
            Named::Anyone => LetsIn::Somebody,
            Named::Aws(text) if is_account(text) => LetsIn::Accounts,
            Named::Aws(_) => LetsIn::Somebody,
            Named::Service(_) | Named::Federated(_) | Named::Canonical(_) => LetsIn::Nobody,
        };
        let allows = self.estate.statements(trust).filter(|(_, statement)| statement.effect == Effect::Allow);
        let each = allows.map(|(_, statement)| match &statement.principals {
            Some(Principals::Of(list)) => list.iter().map(one).max().unwrap_or(LetsIn::Nobody),
            Some(Principals::Except(_)) => LetsIn::Somebody,
            None => LetsIn::Nobody,
        });
        each.max().unwrap_or(LetsIn::Nobody)
    }

    /// Whether the answer is the same for every resource of the principal's account that has no policy of its own:
    /// all that speaks of the action speaks of everything, and without conditions.
    pub fn is_same_everywhere(&self, principal: usize, action: &str) -> bool {
        let Some(asker) = self.askers.get(principal) else { return false };
        let asked = self.index.asked(action);
        let limited = asked.limited_by_rcp || asked.has_resource_policy || asked.is_of("kms:");
        if limited || asker.principal.boundary != Boundary::None || self.estate.scps.contains_key(asker.account) {
            return false;
        }
        let everywhere = |statement: &Statement| {
            let all =
                matches!(&statement.resources, Some(Choice::Of(patterns)) if patterns.iter().any(Pattern::is_any));
            all && statement.conditions.is_empty()
        };
        !self.speaks(principal, action, |statement| !everywhere(statement))
    }

    /// The condition keys that follow from who the principal is.
    pub fn context(&self, principal: usize) -> Context {
        self.askers.get(principal).map(|asker| asker.context.clone()).unwrap_or_default()
    }

    /// Judges one request.
    pub fn decide(&self, request: &Request<'_>) -> Answer {
        let Some(asker) = self.askers.get(request.principal) else { return Answer::default() };
        let asked = self.index.asked(request.action);
        let matching = self.matching(asker, asked, (request.resource, request.context));
        self.judge(&Matching { silenced: request.silenced, ..matching }, request)
    }

    fn matching<'m>(
        &'m self,
        asker: &'m Asker<'a>,
        asked: Rc<Asked>,
        (resource, said): (&'m str, &'m Context),
    ) -> Matching<'m> {
        let (resource, known) = (Resource::new(resource), OnceCell::new());
        Matching { asker, asked, resource, said, known, nothing: &self.nothing, silenced: None }
    }

    /// A request for a role by somebody who is no principal of the files, of whom all is known that can be.
    fn outsider<'m>(&'m self, role: usize, action: &str, known: Context) -> Option<Matching<'m>> {
        let asker = self.askers.get(role)?;
        let matching = self.matching(asker, self.index.asked(action), (&asker.principal.arn, &self.nothing));
        Some(Matching { known: known.into(), ..matching })
    }

    fn judge(&self, matching: &Matching<'_>, request: &Request<'_>) -> Answer {
        let mut answer = Answer::default();
        let principal = matching.asker.principal;
        let own = self.identity(request.principal);
        let mut identity = if request.without.is_empty() {
            self.tally(own, Layer::Identity, matching, &mut answer)
        } else {
            let kept: Vec<PolicyId> = own.iter().copied().filter(|one| !request.without.contains(one)).collect();
            self.tally(&kept, Layer::Identity, matching, &mut answer)
        };
        if !request.added.is_empty() {
            let added = self.tally(request.added, Layer::Identity, matching, &mut answer);
            identity = Tally { allow: identity.allow.or(added.allow), deny: identity.deny.or(added.deny) };
        }
        let boundary = self.boundary(matching, &mut answer);
        let session = match request.session {
            [] => Tally { allow: Truth::Yes, deny: Truth::No },
            policies => self.tally(policies, Layer::Session, matching, &mut answer),
        };
        let (naming, resource_deny, strict) = match request.is_brought {
            true => (Naming { account: Truth::Yes, ..Naming::default() }, Truth::No, false),
            false => self.resource_side(matching, &mut answer),
        };
        let resource_account = matching.resource.account().unwrap_or_else(|| matching.owner());
        let scp = self.organisation(&self.estate.scps, Layer::ServiceControl, matching, &mut answer);
        let rcp = self.organisation(&self.estate.rcps, Layer::ResourceControl, matching, &mut answer);
        let may_deny = self.may_deny(matching);

        let limit = boundary.allow.and(session.allow);
        let own = identity.allow.and(limit);
        let (direct_limit, limit_of_all) = match principal.kind {
            PrincipalKind::User => (Truth::Yes, Truth::Yes),
            // A session that is named is not limited, a role is; which of the two `*` names is not documented.
            _ => (limit, limit.or(Truth::Unknown)),
        };
        let named = naming.session.or(naming.direct.and(direct_limit)).or(naming.anyone.and(limit_of_all));
        let outside = resource_account != matching.asker.account;
        let across = own.and(naming.somehow());
        let blocked = match outside && across != Truth::No {
            true => self.is_blocked(&matching.resource, Some(resource_account)),
            false => Truth::No,
        };
        let across = across.and(blocked.negate());
        let within = if strict { named.or(naming.account.and(own)) } else { named.or(own) };
        let access = match outside {
            true => across,
            // Whose it is decides, and no file says whose it is.
            false if across != within && self.has_no_owner(matching) => {
                answer
                    .gaps
                    .push(format!("which of the accounts `{}` belongs to is not in the files", matching.resource.text));
                Truth::Unknown
            }
            false => within,
        };
        answer.block(blocked);
        answer.by_resource = strict && named >= access && named != Truth::No;
        let deny = Truth::any([identity.deny, boundary.deny, session.deny, resource_deny, scp.deny, rcp.deny]);
        answer.verdict = deny.negate().and(access).and(scp.allow).and(rcp.allow);
        if answer.verdict != Truth::No && !may_deny.is_empty() {
            answer.verdict = Truth::Unknown;
            answer.gaps.extend(may_deny);
        }
        if answer.verdict == Truth::Unknown && naming.anyone != Truth::No && limit_of_all == Truth::Unknown {
            answer.gaps.push(PAST_LIMITS.to_owned());
        }
        if answer.verdict == Truth::No {
            let resource_allow = naming.somehow();
            let lacking = [
                (Layer::Identity, identity.allow, true),
                (Layer::Boundary, boundary.allow, true),
                (Layer::Session, session.allow, true),
                (Layer::Resource, resource_allow, strict || outside),
                (Layer::ServiceControl, scp.allow, true),
                (Layer::ResourceControl, rcp.allow, true),
            ];
            let lacks = lacking.into_iter().filter(|(_, allow, needed)| *needed && *allow == Truth::No);
            answer.lacks = lacks.map(|(layer, _, _)| layer).collect();
        }
        self.unread(matching.asker, &mut answer);
        answer
    }

    /// What applies to the principal and could not be read may deny; AWS's own policies only allow.
    fn unread(&self, asker: &Asker<'_>, answer: &mut Answer) {
        let principal = asker.principal;
        let groups = principal.member_of.iter().filter_map(|group| self.estate.principals.get(*group));
        let of_all = std::iter::once(principal).chain(groups);
        let documents = of_all.flat_map(|one| one.unread.iter().map(move |arn| (arn, one.short())));
        let mut may_deny = false;
        for (arn, whose) in documents {
            may_deny |= !arn.contains(":iam::aws:");
            answer.gaps.push(format!("the document of `{arn}`, attached to `{whose}`, is not in the files"));
        }
        if self.estate.unread_limits.contains(asker.account) {
            may_deny = true;
            answer.gaps.push(format!("a policy of the organisation for account {} could not be read", asker.account));
        }
        if may_deny && answer.verdict == Truth::Yes {
            answer.verdict = Truth::Unknown;
        }
    }

    /// Whether a name of S3, which has no account in it, may be of any of several accounts.
    fn has_no_owner(&self, matching: &Matching<'_>) -> bool {
        let unnamed = matching.resource.arn.is_some_and(|arn| arn.service == "s3" && arn.account.is_empty());
        self.several && unnamed && !matches!(matching.said.get(OWNER), Value::Known(_))
    }

    fn boundary(&self, matching: &Matching<'_>, answer: &mut Answer) -> Tally {
        match &matching.asker.principal.boundary {
            Boundary::None => Tally { allow: Truth::Yes, deny: Truth::No },
            Boundary::Policy(policy) => self.tally(&[*policy], Layer::Boundary, matching, answer),
            Boundary::Unread(arn) => {
                answer.gaps.push(boundary_unread(arn));
                Tally { allow: Truth::Unknown, deny: Truth::No }
            }
        }
    }

    /// Every level of the organisation must allow; an account without levels is not limited.
    fn organisation(
        &self,
        levels: &BTreeMap<String, Vec<Vec<PolicyId>>>,
        layer: Layer,
        matching: &Matching<'_>,
        answer: &mut Answer,
    ) -> Tally {
        let free = Tally { allow: Truth::Yes, deny: Truth::No };
        if levels.is_empty() {
            return free;
        }
        let Some(account) = matching.limited(layer) else { return free };
        self.levels_of(matching.asker.principal, account, levels).iter().fold(free, |total, policies| {
            let level = self.tally(policies, layer, matching, answer);
            Tally { allow: total.allow.and(level.allow), deny: total.deny.or(level.deny) }
        })
    }

    /// What is not in the files of policies of the organisation that would deny the request.
    fn may_deny(&self, matching: &Matching<'_>) -> Vec<String> {
        let mut gaps = Vec::new();
        if self.estate.possible_limits.is_empty() {
            return gaps;
        }
        for layer in [Layer::ServiceControl, Layer::ResourceControl] {
            let Some(account) = matching.limited(layer) else { continue };
            let of_layer = self.possible_limits(matching.asker.principal, account).iter();
            for limit in of_layer.filter(|limit| limit.is_of_resources == (layer == Layer::ResourceControl)) {
                let statements = matching.asked.of(limit.policy).iter().filter_map(|id| self.estate.statement(*id));
                let mut denies = statements.filter(|statement| statement.effect == Effect::Deny);
                if denies.any(|statement| matching.applies(statement) != Truth::No) {
                    gaps.push(limit.gap.clone());
                }
            }
        }
        gaps
    }

    fn possible_limits(&self, principal: &Principal, account: &str) -> &[PossibleLimit] {
        let limits = self.estate.possible_limits.get(account).filter(|_| !self.is_exempt(principal, account));
        limits.map_or(&[], Vec::as_slice)
    }

    /// What may limit a principal, at resources of his own account.
    pub(super) fn possible(&self, principal: usize) -> &[PossibleLimit] {
        self.askers.get(principal).map_or(&[], |asker| self.possible_limits(asker.principal, asker.account))
    }

    /// Whether no policy of an organisation limits a principal of an account.
    fn is_exempt(&self, principal: &Principal, account: &str) -> bool {
        principal.is_service_linked() || self.estate.management_account.as_deref() == Some(account)
    }

    /// The levels of an organisation's policies that limit a principal, at resources of his own account; each must allow.
    pub(super) fn levels(&self, principal: usize, layer: Layer) -> &[Vec<PolicyId>] {
        let levels = if layer == Layer::ResourceControl { &self.estate.rcps } else { &self.estate.scps };
        self.askers.get(principal).map_or(&[], |asker| self.levels_of(asker.principal, asker.account, levels))
    }

    fn levels_of<'l>(
        &self,
        principal: &Principal,
        account: &str,
        levels: &'l BTreeMap<String, Vec<Vec<PolicyId>>>,
    ) -> &'l [Vec<PolicyId>] {
        levels.get(account).filter(|_| !self.is_exempt(principal, account)).map_or(&[], Vec::as_slice)
    }

    /// What may limit a principal and is not in the files.
    pub(super) fn unread_limits(&self, principal: usize) -> Vec<String> {
        let Some(asker) = self.askers.get(principal) else { return Vec::new() };
        let mut answer = Answer::default();
        self.unread(asker, &mut answer);
        if let Boundary::Unread(arn) = &asker.principal.boundary {
            answer.gaps.push(boundary_unread(arn));
        }
        answer.gaps
    }

    fn tally(&self, policies: &[PolicyId], layer: Layer, matching: &Matching<'_>, answer: &mut Answer) -> Tally {
        let mut tally = Tally::default();
        for policy in policies {
            for id in matching.asked.of(*policy).iter().filter(|id| matching.silenced != Some(**id)) {
                let Some(statement) = self.estate.statement(*id) else { continue };
                let truth = matching.applies(statement);
                if truth == Truth::No {
                    continue;
                }
                let cite = Cite { statement: *id, layer, truth };
                match statement.effect {
                    Effect::Allow => {
                        tally.allow = tally.allow.or(truth);
                        // What an RCP or SCP allows grants nothing; only its absence would matter.
                        answer.allows.push(cite);
                    }
                    Effect::Deny => {
                        tally.deny = tally.deny.or(truth);
                        answer.denies.push(cite);
                    }
                }
            }
        }
        tally
    }

    /// How the resource's policy names the principal, whether it denies, and whether it must take part.
    fn resource_side(&self, matching: &Matching<'_>, answer: &mut Answer) -> (Naming, Truth, bool) {
        let (asked, resource) = (&matching.asked, &matching.resource);
        let assume = asked.assumes();
        let strict = assume || asked.is_of("kms:");
        let policy = if assume { self.trust_of(resource.text) } else { self.policy_of(resource) };
        let Some(policy) = policy else {
            let outside = resource.account().is_some_and(|account| account != matching.asker.account);
            if strict || outside || asked.has_resource_policy {
                answer.gaps.push(format!("the resource policy of `{}` is not in the files", resource.text));
            }
            return (Naming::default(), Truth::No, strict && assume);
        };
        let mut naming = Naming::default();
        let mut deny = Truth::No;
        for id in asked.of(policy).iter().copied().filter(|id| matching.silenced != Some(*id)) {
            let Some(statement) = self.estate.statement(id) else { continue };
            let Some(principals) = &statement.principals else { continue };
            let applies = matching.applies(statement);
            if applies == Truth::No {
                continue;
            }
            let named = name(principals, statement.effect, matching.asker.principal);
            let truth = named.somehow().and(applies);
            if truth == Truth::No {
                continue;
            }
            let cite = Cite { statement: id, layer: Layer::Resource, truth };
            match statement.effect {
                Effect::Allow => {
                    naming.direct = naming.direct.or(named.direct.and(applies));
                    naming.anyone = naming.anyone.or(named.anyone.and(applies));
                    naming.session = naming.session.or(named.session.and(applies));
                    naming.account = naming.account.or(named.account.and(applies));
                    answer.allows.push(cite);
                }
                Effect::Deny => {
                    deny = deny.or(truth);
                    answer.denies.push(cite);
                }
            }
        }
        (naming, deny, strict)
    }

    fn trust_of(&self, role: &str) -> Option<PolicyId> {
        self.estate.principals.get(self.estate.index_of(role)?)?.trust
    }

    fn policy_of(&self, resource: &Resource<'_>) -> Option<PolicyId> {
        let policies = &self.estate.resource_policies;
        policies.get(resource.text).or_else(|| policies.get(resource.container())).copied()
    }

    /// Whether the trust policy of a role, or a resource control policy of its account, denies an action to somebody
    /// from outside of the files, whom `is` knows by the names of policies.
    pub fn keeps_out(&self, role: usize, action: &str, is: impl Fn(&Named) -> bool, context: &Context) -> Truth {
        let Some(matching) = self.outsider(role, action, context.clone()) else { return Truth::Unknown };
        let Asker { principal, account, .. } = *matching.asker;
        let of_rcps = match self.estate.rcps.get(account).filter(|_| matching.asked.limited_by_rcp) {
            Some(levels) if self.estate.management_account.as_deref() != Some(account) => levels.as_slice(),
            _ => &[],
        };
        let policies = principal.trust.into_iter().chain(of_rcps.iter().flatten().copied());
        let denied = policies.flat_map(|policy| matching.asked.of(policy)).filter_map(|id| {
            let statement = self.estate.statement(*id).filter(|one| one.effect == Effect::Deny)?;
            let meant = match &statement.principals {
                Some(Principals::Of(list)) => list.iter().any(|one| *one == Named::Anyone || is(one)),
                Some(Principals::Except(list)) => !list.iter().any(&is),
                None => true,
            };
            Some(if meant { matching.applies(statement) } else { Truth::No })
        });
        Truth::any(denied)
    }

    /// The resource's own policy in so far as it decides on an action: of a role, its trust policy.
    pub fn policy_for(&self, action: &str, resource: &str) -> Option<PolicyId> {
        if self.index.asked(action).assumes() {
            self.trust_of(resource)
        } else {
            self.policy_of(&Resource::new(resource))
        }
    }

    /// What the policy of a resource of an account lets somebody from outside of the files do, whom `is` knows by the names
    /// of policies. Nothing but that policy can allow it; resource control policies can deny it.
    pub fn decide_outsider(
        &self,
        (resource, account): (&str, &str),
        action: &str,
        is: impl Fn(&Named) -> bool,
        context: &Context,
    ) -> Answer {
        let asked = self.index.asked(action);
        let own = self.policy_for(action, resource);
        let resource = Resource::new(resource);
        let levels = self.estate.rcps.get(account).filter(|_| asked.limited_by_rcp).into_iter().flatten();
        let of_levels = levels.flatten().map(|policy| (*policy, Layer::ResourceControl));
        let mut answer = Answer { by_resource: true, ..Answer::default() };
        let (mut allow, mut deny) = (Truth::No, Truth::No);
        for (policy, layer) in own.map(|policy| (policy, Layer::Resource)).into_iter().chain(of_levels) {
            for id in asked.of(policy).iter().copied() {
                let Some(statement) = self.estate.statement(id) else { continue };
                let is_deny = statement.effect == Effect::Deny;
                let named = match &statement.principals {
                    Some(Principals::Of(list)) => list.iter().any(|one| is(one) || is_deny && *one == Named::Anyone),
                    Some(Principals::Except(list)) => !list.iter().any(&is),
                    None => is_deny,
                };
                if !named || layer == Layer::ResourceControl && !is_deny {
                    continue;
                }
                let truth = statement.has_resource(resource.text, context).and(statement.conditions_hold(context));
                if truth == Truth::No {
                    continue;
                }
                let cite = Cite { statement: id, layer, truth };
                match statement.effect {
                    Effect::Allow => {
                        allow = allow.or(truth);
                        answer.allows.push(cite);
                    }
                    Effect::Deny => {
                        deny = deny.or(truth);
                        answer.denies.push(cite);
                    }
                }
            }
        }
        let whose = resource.account().or((!self.several).then_some(account));
        let blocked = if allow == Truth::No { Truth::No } else { self.is_blocked(&resource, whose) };
        answer.verdict = allow.and(deny.negate()).and(blocked.negate());
        answer.block(blocked);
        answer
    }

    /// Whether a block of public access keeps out who is not of a bucket's account.
    fn is_blocked(&self, resource: &Resource<'_>, account: Option<&str>) -> Truth {
        let is_bucket = resource.arn.is_some_and(|arn| arn.service == "s3" && arn.account.is_empty());
        let policy = self.policy_of(resource).filter(|_| is_bucket);
        policy.map_or(Truth::No, |policy| public::is_blocked(self.estate, policy, resource.container(), account))
    }

    /// Whether a service may assume a role on behalf of someone in the role's account.
    pub fn trusts_service(&self, role: usize, service: &str) -> (Truth, Option<StatementId>) {
        let Some(principal) = self.estate.principals.get(role) else { return (Truth::No, None) };
        let Some(trust) = principal.trust else { return (Truth::No, None) };
        let context = Context::default()
            .with("aws:SourceAccount", Value::one(principal.account()))
            .with("aws:PrincipalIsAWSService", Value::one("true"))
            .with("sts:ExternalId", Value::Absent);
        // Identity pools hand out tokens of their own, as providers do.
        let federates = service == "cognito-identity.amazonaws.com";
        let action = if federates { "sts:assumerolewithwebidentity" } else { "sts:assumerole" };
        let Some(matching) = self.outsider(role, action, context) else { return (Truth::No, None) };
        let names = |named: &Named| match named {
            Named::Service(name) => same_service(name, service),
            Named::Federated(name) => federates && name == service,
            Named::Anyone | Named::Aws(_) | Named::Canonical(_) => false,
        };
        let (mut best, mut denied) = ((Truth::No, None), Truth::No);
        for id in matching.asked.of(trust).iter().copied() {
            let Some(statement) = self.estate.statement(id) else { continue };
            let named = match &statement.principals {
                Some(Principals::Of(list)) => list
                    .iter()
                    .any(|one| names(one) || matches!(one, Named::Anyone) && statement.effect == Effect::Deny),
                Some(Principals::Except(list)) => !list.iter().any(names),
                None => false,
            };
            let truth = if named { matching.applies(statement) } else { Truth::No };
            match statement.effect {
                Effect::Allow if truth > best.0 => best = (truth, Some(id)),
                Effect::Allow => {}
                Effect::Deny => denied = denied.or(truth),
            }
        }
        (best.0.and(denied.negate()), best.1)
    }
}

/// What is not known where neither a bucket's block of public access nor its account's is among the files.
const UNBLOCKED: &str = "whether the bucket, or its account, blocks public access";

/// The condition key that says whose a resource is.
const OWNER: &str = "aws:resourceaccount";

impl Matching<'_> {
    /// Whose a resource is taken to be that has no account in its name.
    fn owner(&self) -> &str {
        match self.said.get(OWNER) {
            Value::Known(values) => values.first().map_or("", String::as_str),
            _ => self.asker.account,
        }
    }

    /// The account whose policies of the organisation, of this layer, limit the request.
    fn limited(&self, layer: Layer) -> Option<&str> {
        match layer {
            Layer::ResourceControl if !self.asked.limited_by_rcp => None,
            Layer::ResourceControl => Some(self.resource.account().unwrap_or(self.asker.account)),
            _ => Some(self.asker.account),
        }
    }

    /// Whether the resource and conditions of a statement that speaks of the action cover the request.
    fn applies(&self, statement: &Statement) -> Truth {
        let context = if statement.asks_context() { self.known.get_or_init(|| self.know()) } else { self.nothing };
        let resource = statement.has_resource(self.resource.text, context);
        if resource == Truth::No { Truth::No } else { resource.and(statement.conditions_hold(context)) }
    }

    fn know(&self) -> Context {
        let mut context = self.asker.context.clone();
        self.asked.tell(&mut context, self.resource.arn.as_ref());
        context.extend(self.said);
        context
    }
}

fn boundary_unread(arn: &str) -> String {
    format!("the permissions boundary `{arn}` is not in the files")
}

fn identity_policies(estate: &Estate, principal: &Principal) -> Vec<PolicyId> {
    let groups = principal.member_of.iter().filter_map(|group| estate.principals.get(*group));
    let mut policies = principal.identity.clone();
    for policy in groups.flat_map(|group| group.identity.iter().copied()) {
        // What a user has twice, itself and through a group, is one grant.
        if !policies.contains(&policy) {
            policies.push(policy);
        }
    }
    policies
}

/// The patterns of a statement's resources, for finding a resource that it covers.
pub(crate) fn resource_patterns(statement: &Statement) -> Vec<&str> {
    match &statement.resources {
        Some(Choice::Of(patterns)) => patterns.iter().map(Pattern::as_str).collect(),
        Some(Choice::Except(_)) | None => vec!["*"],
    }
}
