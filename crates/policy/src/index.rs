//! Which rules can apply to a request, found without asking Cedar.
//!
//! Cedar evaluates every policy it is given. Rules are kept by the principal that their scope names, so
//! that a decision looks at the rules for its agent and those for everyone; the slice for one agent and
//! action is made once and kept, and where the action decides the whole scope (a tool has one action and one
//! resource) only the conditions are left to ask. INVARIANT: a rule outside the slice has a scope that is false
//! for the request, so Cedar would neither have satisfied it nor have had an error in it; a test compares.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{ActionConstraint, EntityUid, PrincipalConstraint, ResourceConstraint};
use cedar_policy_core::ast::{self, EntityUID, EntityUIDEntry, Expr, ExprKind, Literal, SlotEnv, Value, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

use crate::bounds::Exceeded;
use crate::rule::Rule;
use crate::schema::Target;

/// Slices kept at most; beyond, all are forgotten and made again.
const SLICES_MAX: usize = 16_384;

/// The rules that can apply to one principal and action, in order of id.
pub(crate) type Slice = Arc<[Candidate]>;

/// The principal, if a rule names it, and the action.
type Key = (Option<EntityUID>, Arc<EntityUID>);

/// One rule with what the evaluator takes.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) rule: Rule,
    pub(crate) policy: ast::Policy,
    /// Scope and conditions. Cedar would put them together anew for each evaluation.
    condition: Expr,
    actions: ActionConstraint,
    resource: ResourceConstraint,
    /// What the conditions ask for first, `context has …`: where it is absent they are false, unasked.
    needs: Option<Bound>,
}

/// An attribute of `context` that is there only where something is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Mandate,
    Budget,
}

impl Bound {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Mandate => "mandate",
            Self::Budget => "budget",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Mandate, Self::Budget].into_iter().find(|bound| bound.as_str() == name)
    }

    fn is_in(self, exceeded: &Exceeded) -> bool {
        match self {
            Self::Mandate => exceeded.mandate.is_some(),
            Self::Budget => exceeded.budget.is_some(),
        }
    }
}

/// A rule that can apply to the requests of one slice.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) entry: Arc<Entry>,
    open: Open,
}

/// What principal, action and resource leave open of a rule.
#[derive(Clone, Debug)]
enum Open {
    /// Nothing: it is satisfied.
    Nothing,
    /// The scope holds; the conditions may not.
    Conditions(Arc<Expr>),
    /// Everything.
    Whole,
}

/// All rules of a snapshot.
#[derive(Debug)]
pub(crate) struct Index {
    /// In order of id.
    all: Vec<Arc<Entry>>,
    /// Positions in `all` of the rules for any principal, and for each principal that a scope names.
    general: Vec<usize>,
    named: HashMap<EntityUID, Vec<usize>>,
    /// Slices made so far. Holding the lock guarantees nothing but a whole map: a slice made twice is equal.
    slices: RwLock<HashMap<Key, Slice>>,
}

impl Index {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let all: Vec<_> = rules.into_iter().map(|rule| Arc::new(Entry::new(rule))).collect();
        let mut general = Vec::new();
        let mut named: HashMap<EntityUID, Vec<usize>> = HashMap::new();
        for (position, entry) in all.iter().enumerate() {
            match entry.rule.policy.principal_constraint() {
                // Agents have no parents, so `in` an agent is that agent.
                PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
                    named.entry(uid.into()).or_default().push(position);
                }
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => general.push(position),
            }
        }
        Self { all, general, named, slices: RwLock::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// All rules in order of id.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.all.iter().map(AsRef::as_ref)
    }

    /// The rules for a principal, in order of id.
    pub(crate) fn of(&self, principal: &EntityUID) -> impl Iterator<Item = &Arc<Entry>> {
        let own = self.named.get(principal).map(Vec::as_slice).unwrap_or_default();
        let mut positions: Vec<usize> = self.general.iter().chain(own).copied().collect();
        positions.sort_unstable();
        positions.into_iter().filter_map(|position| self.all.get(position))
    }

    /// The rules whose scope can match.
    pub(crate) fn slice(&self, principal: &EntityUID, target: &Target) -> Slice {
        // Agents that no rule names share the slice of everyone.
        let named = self.named.get_key_value(principal).map(|(uid, _)| uid.clone());
        let key = (named, target.action.clone());
        if let Some(slice) = self.slices.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return slice.clone();
        }
        let applicable = self.of(principal).filter(|entry| entry.can_apply(target));
        let slice: Slice = applicable.filter_map(|entry| Candidate::new(entry, principal, target)).collect();
        let mut slices = self.slices.write().unwrap_or_else(PoisonError::into_inner);
        if slices.len() >= SLICES_MAX {
            slices.clear();
        }
        slices.insert(key, slice.clone());
        slice
    }
}

impl Candidate {
    /// `None` if the scope is false for every request of the slice.
    fn new(entry: &Arc<Entry>, principal: &EntityUID, target: &Target) -> Option<Self> {
        let open = if target.is_call() { entry.open(principal, target)? } else { Open::Whole };
        Some(Self { entry: entry.clone(), open })
    }

    /// Whether the rule can be satisfied where no more than this is bounded.
    pub(crate) fn can_hold(&self, exceeded: &Exceeded) -> bool {
        self.entry.needs.is_none_or(|bound| bound.is_in(exceeded))
    }

    /// Whether the rule says what follows from exceeding a bound in this request. What another principal's, action's
    /// or resource's rule says of it is not said here.
    pub(crate) fn speaks_of(&self, bound: Bound, evaluator: &Evaluator<'_>) -> bool {
        self.entry.speaks_of(bound) && (!matches!(self.open, Open::Whole) || self.entry.is_about(evaluator))
    }

    /// Whether the rule is satisfied.
    pub(crate) fn satisfied(&self, evaluator: &Evaluator<'_>) -> Result<bool, String> {
        match &self.open {
            Open::Nothing => Ok(true),
            // What Cedar would have said of conditions that are no boolean, it says of the whole.
            Open::Conditions(conditions) => match boolean(evaluator, conditions)? {
                Some(held) => Ok(held),
                None => self.entry.satisfied(evaluator),
            },
            Open::Whole => self.entry.satisfied(evaluator),
        }
    }
}

/// `None` if the value is no boolean.
pub(crate) fn boolean(evaluator: &Evaluator<'_>, expression: &Expr) -> Result<Option<bool>, String> {
    match evaluator.interpret(expression, &SlotEnv::new()) {
        Ok(Value { value: ValueKind::Lit(Literal::Bool(held)), .. }) => Ok(Some(held)),
        Ok(_) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

impl Entry {
    fn satisfied(&self, evaluator: &Evaluator<'_>) -> Result<bool, String> {
        boolean(evaluator, &self.condition)?.ok_or_else(|| "the condition is not a boolean".to_owned())
    }

    /// What a call's principal, action and resource leave open; `None` if they are outside the scope. A part of the
    /// scope that cannot be evaluated decides nothing.
    fn open(&self, principal: &EntityUID, target: &Target) -> Option<Open> {
        let known = |euid| EntityUIDEntry::Known { euid, loc: None };
        let request = ast::Request::new_unchecked(
            known(Arc::new(principal.clone())),
            known(target.action.clone()),
            known(target.resource.clone()),
            Some(ast::Context::empty()),
        );
        let evaluator = Evaluator::new(request, &target.entities, Extensions::all_available());
        for part in &self.scope() {
            match boolean(&evaluator, part) {
                Ok(Some(true)) => {}
                Ok(Some(false)) => return None,
                Ok(None) | Err(_) => return Some(Open::Whole),
            }
        }
        Some(self.policy.non_scope_constraints_arc().cloned().map_or(Open::Nothing, Open::Conditions))
    }

    fn scope(&self) -> [Expr; 3] {
        [
            self.policy.principal_constraint().as_expr(),
            self.policy.action_constraint().as_expr(),
            self.policy.resource_constraint().as_expr(),
        ]
    }

    /// Whether its scope holds. A part that cannot be evaluated does not.
    fn is_about(&self, evaluator: &Evaluator<'_>) -> bool {
        self.scope().iter().all(|part| matches!(boolean(evaluator, part), Ok(Some(true))))
    }

    fn new(rule: Rule) -> Self {
        let policy = AsRef::<ast::Policy>::as_ref(&rule.policy).clone();
        Self {
            condition: policy.condition(),
            needs: policy.non_scope_constraints_arc().and_then(|conditions| first_need(conditions)),
            policy,
            actions: rule.policy.action_constraint(),
            resource: rule.policy.resource_constraint(),
            rule,
        }
    }

    /// Whether it says what follows from exceeding a bound: it forbids, and asks for the attribute anywhere.
    pub(crate) fn speaks_of(&self, bound: Bound) -> bool {
        self.rule.forbids && asks_anywhere(&self.condition, bound)
    }

    /// Action and resource as far as the action decides them: a tool's action has one resource, so it may
    /// be looked at here; any other verb's resource may not, since slices are kept by action.
    fn can_apply(&self, target: &Target) -> bool {
        let same = |uid: &EntityUid| AsRef::<EntityUID>::as_ref(uid) == target.action.as_ref();
        let group = |uid: &EntityUid| target.groups.iter().any(|group| group == AsRef::<EntityUID>::as_ref(uid));
        let action = match &self.actions {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => same(uid),
            ActionConstraint::In(uids) => uids.iter().any(|uid| same(uid) || group(uid)),
        };
        let resource = match &self.resource {
            ResourceConstraint::Eq(uid) if target.is_call() => {
                AsRef::<EntityUID>::as_ref(uid) == target.resource.as_ref()
            }
            _ => true,
        };
        action && resource
    }
}

/// Whether a rule that is not compiled says what follows from exceeding a bound.
pub(crate) fn speaks_of(rule: &Rule, bound: Bound) -> bool {
    rule.forbids && asks_anywhere(&AsRef::<ast::Policy>::as_ref(&rule.policy).condition(), bound)
}

fn asks_anywhere(condition: &Expr, bound: Bound) -> bool {
    condition.subexpressions().any(|part| asked(part) == Some(bound))
}

/// The attribute of `context` that an expression asks for.
pub(crate) fn asked(part: &Expr) -> Option<Bound> {
    let ExprKind::HasAttr { expr, attr } = part.expr_kind() else { return None };
    matches!(expr.expr_kind(), ExprKind::Var(ast::Var::Context)).then(|| Bound::of(attr)).flatten()
}

/// What `a && b && …` asks for before anything else.
fn first_need(conditions: &Expr) -> Option<Bound> {
    match conditions.expr_kind() {
        ExprKind::And { left, .. } => first_need(left),
        _ => asked(conditions),
    }
}
