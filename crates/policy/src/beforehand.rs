//! What is decided of calls before they are made: by agent, server and tool alone, whatever they carry and whatever was seen.
//!
//! Each part of a rule is true, false or not known yet. INVARIANT: what is said to be stopped here, [`crate::decide`] does
//! not permit without an approval, whatever the rest of the action; a test compares. An error is a Deny, so that what may
//! err as well as be false counts as false for a permit, and what may err as well as be true as true for a forbid.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::{ActionConstraint, EntityUid, PrincipalConstraint, ResourceConstraint};
use cedar_policy_core::ast::{self, EntityUID, EntityUIDEntry, Expr, ExprKind, Literal, UnaryOp, Var};
use cedar_policy_core::entities::Entities;
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use graph::Graph;
use graph::guard::{self, Effect, Guard};

use crate::action::Verb;
use crate::bounds::{Mandate, Otherwise};
use crate::index::{Bound, Entry, asked, boolean};
use crate::rule::Rule;
use crate::schema::{ACTION, AGENT, EFFECTS, SERVER, TOOL, Tool, tool_name, uid, verb_name};
use crate::snapshot::Snapshot;
use crate::tool::ToolId;

/// The verbs by which an agent gets something of a server. The others show it names, or are the server's own.
const USES: [Verb; 3] = [Verb::CallTool, Verb::ReadResource, Verb::GetPrompt];

/// Notes in a graph what policies and mandates stop of what its agents could use.
pub fn guard(graph: &mut Graph, snapshot: &Snapshot) {
    guard::write(graph, |client, server, tool| Subject::new(snapshot, client, server, tool).strictest(snapshot));
}

/// Whether every call of a tool by an agent is denied, whatever it carries, and no approval could let one pass. Of many
/// policies only those are looked at that can apply to the tool; which they are is kept, as for decisions.
pub fn denied_beforehand(snapshot: &Snapshot, agent: &str, tool: &ToolId) -> bool {
    // What the snapshot does not know is denied.
    let Some(known) = snapshot.tools.get(tool) else { return true };
    let subject = Subject::new(snapshot, agent, &tool.server, Some(&tool.name));
    let slice = snapshot.rules.slice(&subject.principal, &known.target);
    let strictest = subject.strictest_of(slice.iter().map(|candidate| candidate.entry.as_ref()));
    strictest.is_some_and(|guard| guard.effect == Effect::Denies)
}

/// What is known of the calls of one tool, or of every use of a server.
struct Subject<'a> {
    principal: EntityUID,
    server: EntityUID,
    /// What the names of the server's tools, as actions and resources, begin with.
    prefix: String,
    tool: Option<Named<'a>>,
    /// What the mandates make of it, where they name neither the tool nor anything of the server.
    unmeant: Option<Effect>,
}

struct Named<'a> {
    name: &'a str,
    action: EntityUID,
    resource: EntityUID,
    /// Its groups and attributes, where the gateway knows it.
    known: Option<&'a Tool>,
}

impl<'a> Subject<'a> {
    fn new(snapshot: &'a Snapshot, agent: &str, server: &str, tool: Option<&'a str>) -> Self {
        let named = |name: &'a str| {
            let id = ToolId { server: server.to_owned(), name: name.to_owned() };
            let full = tool_name(&id);
            Named { name, action: uid(&ACTION, &full), resource: uid(&TOOL, &full), known: snapshot.tools.get(&id) }
        };
        let governing = snapshot.bounds.mandates.iter().filter(|mandate| mandate.governs(agent));
        let exceeded = governing.filter(|mandate| mandate.without(server, tool).is_some());
        let effect = |mandate: &Mandate| match mandate.otherwise {
            Otherwise::Deny => Effect::Denies,
            Otherwise::Ask => Effect::Asks,
        };
        let unmeant = exceeded.map(effect).max();
        Self {
            principal: uid(&AGENT, agent),
            server: uid(&SERVER, server),
            prefix: tool_name(&ToolId { server: server.to_owned(), name: String::new() }),
            tool: tool.map(named),
            unmeant,
        }
    }

    /// The strictest that stops it.
    fn strictest(&self, snapshot: &Snapshot) -> Option<Guard> {
        self.strictest_of(snapshot.rules.of(&self.principal).map(AsRef::as_ref))
    }

    /// The strictest of these that stops it.
    fn strictest_of<'e>(&self, entries: impl Iterator<Item = &'e Entry>) -> Option<Guard> {
        let guard =
            |effect, policy| Guard { effect, tool: self.tool.as_ref().map(|tool| tool.name.to_owned()), policy };
        let mut forbidden: BTreeMap<Effect, &Rule> = BTreeMap::new();
        let mut is_permitted = false;
        let mut is_spoken_of = false;
        for entry in entries {
            let rule = &entry.rule;
            let holds = self.holds(entry);
            is_permitted |= !rule.forbids && holds != Some(false);
            is_spoken_of |= self.unmeant.is_some() && entry.speaks_of(Bound::Mandate);
            if rule.forbids && holds == Some(true) {
                let effect = if rule.ask.is_some() { Effect::Asks } else { Effect::Denies };
                forbidden.entry(effect).or_insert(rule);
            }
        }
        let forbidden = |effect| {
            let rule = forbidden.get(&effect)?;
            Some(guard(effect, Some(format!("`{}` ({}:{})", rule.id, rule.location.file, rule.location.line))))
        };
        // Where no rule says what follows from a mandate, what is outside of it is stopped all the same.
        let unmeant = |effect| {
            let unspoken = self.unmeant == Some(effect) && !is_spoken_of;
            unspoken.then(|| guard(effect, Some("`mandate`".to_owned())))
        };
        let unpermitted = || (!is_permitted).then(|| guard(Effect::Denies, None));
        let denied = forbidden(Effect::Denies).or_else(unpermitted).or_else(|| unmeant(Effect::Denies));
        denied.or_else(|| forbidden(Effect::Asks)).or_else(|| unmeant(Effect::Asks))
    }

    /// Whether a rule is satisfied.
    fn holds(&self, entry: &Entry) -> Option<bool> {
        let policy = &entry.rule.policy;
        let scope = [
            Some(self.is_principal(&policy.principal_constraint())),
            self.is_action(&policy.action_constraint()),
            self.is_resource(&policy.resource_constraint()),
        ];
        let scope = scope.into_iter().fold(Some(true), both);
        if scope == Some(false) {
            return scope;
        }
        let conditions = entry.policy.non_scope_constraints_arc();
        both(scope, conditions.map_or(Some(true), |conditions| self.truth(conditions)))
    }

    fn is_principal(&self, constraint: &PrincipalConstraint) -> bool {
        match constraint {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::Is(kind) => kind.to_string() == AGENT.to_string(),
            PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
                same(uid, &self.principal)
            }
        }
    }

    fn is_action(&self, constraint: &ActionConstraint) -> Option<bool> {
        let (uids, are_groups) = match constraint {
            ActionConstraint::Any => return Some(true),
            ActionConstraint::Eq(uid) => (std::slice::from_ref(uid), false),
            ActionConstraint::In(uids) => (uids.as_slice(), true),
        };
        if let Some(tool) = &self.tool {
            let is = |uid: &EntityUid| {
                let is_group = if are_groups { tool.is_in(uid) } else { Some(false) };
                either(Some(same(uid, &tool.action)), is_group)
            };
            return uids.iter().map(is).fold(Some(false), either);
        }
        let all = USES.iter().all(|verb| uids.iter().any(|uid| same(uid, &self::uid(&ACTION, verb_name(*verb)))));
        let never = |uid: &EntityUid| !self.may_be_use(uid);
        if all { Some(true) } else { uids.iter().all(never).then_some(false) }
    }

    /// Whether some use of the server may be this action or in this group.
    fn may_be_use(&self, action: &EntityUid) -> bool {
        let name: &str = action.id().as_ref();
        let is_effect = || EFFECTS.iter().any(|effect| effect.as_str() == name);
        let is_use = || USES.iter().any(|verb| verb_name(*verb) == name);
        if name.contains('/') { name.starts_with(&self.prefix) } else { is_effect() || is_use() }
    }

    fn is_resource(&self, constraint: &ResourceConstraint) -> Option<bool> {
        match constraint {
            ResourceConstraint::Any => Some(true),
            ResourceConstraint::Is(kind) => self.is_kind(&kind.to_string()),
            ResourceConstraint::Eq(uid) => self.is_thing(uid),
            ResourceConstraint::In(uid) => self.is_within(uid),
            ResourceConstraint::IsIn(kind, uid) => both(self.is_kind(&kind.to_string()), self.is_within(uid)),
        }
    }

    fn is_kind(&self, kind: &str) -> Option<bool> {
        self.tool.as_ref().map(|_| kind == TOOL.to_string())
    }

    fn is_within(&self, uid: &EntityUid) -> Option<bool> {
        if same(uid, &self.server) { Some(true) } else { self.is_thing(uid) }
    }

    fn is_thing(&self, uid: &EntityUid) -> Option<bool> {
        match &self.tool {
            Some(tool) => Some(same(uid, &tool.resource)),
            None => {
                let name: &str = uid.id().as_ref();
                (!name.starts_with(&self.prefix)).then_some(false)
            }
        }
    }

    /// What conditions come to.
    fn truth(&self, part: &Expr) -> Option<bool> {
        match part.expr_kind() {
            ExprKind::And { left, right } => both(self.truth(left), self.truth(right)),
            ExprKind::Or { left, right } => either(self.truth(left), self.truth(right)),
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => self.truth(arg).map(|truth| !truth),
            ExprKind::UnaryApp { op: UnaryOp::IsEmpty, arg } if self.exceeds(arg) => Some(false),
            ExprKind::HasAttr { .. } if self.unmeant.is_some() && asked(part) == Some(Bound::Mandate) => Some(true),
            ExprKind::If { test_expr, then_expr, else_expr } => match self.truth(test_expr) {
                Some(true) => self.truth(then_expr),
                Some(false) => self.truth(else_expr),
                None => None,
            },
            _ => self.value(part),
        }
    }

    /// Whether an expression is the fields of a mandate that this certainly exceeds.
    fn exceeds(&self, part: &Expr) -> bool {
        let field = self.unmeant.map(|effect| if effect == Effect::Denies { "denies" } else { "asks" });
        let ExprKind::GetAttr { expr, attr } = part.expr_kind() else { return false };
        let ExprKind::GetAttr { expr: of, attr: mandate } = expr.expr_kind() else { return false };
        let is_context = matches!(of.expr_kind(), ExprKind::Var(Var::Context));
        is_context && mandate == Bound::Mandate.as_str() && field == Some(attr.as_str())
    }

    /// The value of an expression that asks for nothing that is not known.
    fn value(&self, part: &Expr) -> Option<bool> {
        if let ExprKind::Lit(Literal::Bool(truth)) = part.expr_kind() {
            return Some(*truth);
        }
        let tool = self.tool.as_ref();
        let known = tool.and_then(|tool| tool.known);
        let is_known = |part: &Expr| match part.expr_kind() {
            ExprKind::Var(Var::Principal) => true,
            ExprKind::Var(Var::Action | Var::Resource) => known.is_some(),
            ExprKind::Var(Var::Context) | ExprKind::Unknown(_) => false,
            _ => true,
        };
        if !part.subexpressions().all(is_known) {
            return None;
        }
        let none = Entities::default();
        let named = |euid: &EntityUID| EntityUIDEntry::Known { euid: Arc::new(euid.clone()), loc: None };
        // Without a tool nothing that is evaluated reads either.
        let (action, resource) = tool.map_or((&self.server, &self.server), |tool| (&tool.action, &tool.resource));
        let context = Some(ast::Context::empty());
        let request = ast::Request::new_unchecked(named(&self.principal), named(action), named(resource), context);
        let entities = known.map_or(&none, |tool| tool.target.entities.as_ref());
        boolean(&Evaluator::new(request, entities, Extensions::all_available()), part).ok().flatten()
    }
}

impl Named<'_> {
    /// Whether the tool's action is in a group.
    fn is_in(&self, group: &EntityUid) -> Option<bool> {
        let name: &str = group.id().as_ref();
        if name == verb_name(Verb::CallTool) {
            return Some(true);
        }
        match self.known {
            Some(tool) => Some(tool.target.groups.iter().any(|own| same(group, own))),
            None => EFFECTS.iter().all(|effect| effect.as_str() != name).then_some(false),
        }
    }
}

fn same(one: &EntityUid, other: &EntityUID) -> bool {
    AsRef::<EntityUID>::as_ref(one) == other
}

/// `one && other`.
fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// `one || other`.
fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    both(one.map(|one| !one), other.map(|other| !other)).map(|neither| !neither)
}
