//! RBAC for one request, with its proof.
//!
//! After "Using RBAC Authorization" of the Kubernetes documentation: rules only add; a RoleBinding gives
//! its role inside its namespace, a ClusterRoleBinding everywhere; a role that no file holds is a gap.

use std::collections::BTreeMap;

use super::estate::{ACCESS_POLICY, Binding, Estate, Meta, Role, RoleRef, Rule, Subject};
use crate::aws::Truth;
use crate::step::{Grant, GrantId, Ground, Steps};

/// A question.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// For example `create`.
    pub verb: &'a str,
    /// The API group; empty for the core.
    pub group: &'a str,
    /// The resource, with its subresource behind a slash; or a path of the API server that is no resource, which begins
    /// with one.
    pub resource: &'a str,
    /// The namespace; `None` for objects of the cluster, and for all namespaces at once.
    pub namespace: Option<&'a str>,
    /// The object, if one is meant.
    pub name: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// A question about the core group.
    pub fn core(verb: &'a str, resource: &'a str, namespace: Option<&'a str>) -> Self {
        Self { verb, group: "", resource, namespace, name: None }
    }

    /// The same about one object.
    #[must_use]
    pub fn named(self, name: &'a str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// Whether it is for a path that is no resource.
    pub fn is_for_path(&self) -> bool {
        self.resource.starts_with('/')
    }

    /// The name that the API server asks RBAC about: objects that are made, or deleted together, have none in the request,
    /// whatever its body says; their subresources do.
    fn asked_name(&self) -> Option<&'a str> {
        let unnamed = ["create", "deletecollection"].contains(&self.verb) && !self.resource.contains('/');
        self.name.filter(|_| !unnamed)
    }

    /// As people read it.
    pub fn text(&self) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let name = self.name.map(|name| format!(" `{name}`")).unwrap_or_default();
        let place = self.namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
        format!("{} {}{group}{name}{place}", self.verb, self.resource)
    }
}

/// One rule that allows, through one binding. Indexes into the estate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cite {
    /// The binding.
    pub binding: usize,
    /// The role that has the rule: the bound one, or one that it aggregates.
    pub role: usize,
    /// The rule, from 0.
    pub rule: usize,
}

/// The answer to one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is allowed.
    pub verdict: Truth,
    /// What allows it.
    pub allows: Vec<Cite>,
    /// What was not in the files and could change the answer.
    pub gaps: Vec<String>,
}

/// A rule that a subject has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Only in this namespace; everywhere when `None`.
    pub namespace: Option<String>,
    /// Where it stands.
    pub cite: Cite,
}

/// Judges requests over one estate.
pub struct Evaluator<'a> {
    /// What is judged.
    pub estate: &'a Estate,
    /// For each binding the roles whose rules it gives; `None` when no file holds its role.
    roles: Vec<Option<Vec<usize>>>,
}

impl<'a> Evaluator<'a> {
    /// Prepares an estate.
    pub fn new(estate: &'a Estate) -> Self {
        let roles = estate.bindings.iter().map(|binding| bound(estate, binding)).collect();
        Self { estate, roles }
    }

    fn bindings(&self, subject: &Subject) -> impl Iterator<Item = (usize, &'a Binding, Option<&Vec<usize>>)> {
        let named = self.estate.bindings.iter().enumerate().zip(&self.roles);
        let subject = subject.clone();
        named
            .filter(move |((_, binding), _)| binding.subjects.iter().any(|one| subject.includes(one)))
            .map(|((index, binding), roles)| (index, binding, roles.as_ref()))
    }

    /// Judges one request.
    pub fn decide(&self, subject: &Subject, request: &Request<'_>) -> Answer {
        let mut answer = Answer::default();
        if *subject == Subject::Group("system:masters".to_owned()) {
            return Answer { verdict: Truth::Yes, ..answer };
        }
        for (index, binding, roles) in self.bindings(subject) {
            let place = &binding.meta.namespace;
            // A path is in no namespace, so that a RoleBinding gives none.
            if !place.is_empty() && (request.is_for_path() || request.namespace != Some(place.as_str())) {
                continue;
            }
            let Some(roles) = roles else {
                answer.gaps.push(gap(binding));
                continue;
            };
            for role in roles {
                let rules = self.estate.roles.get(*role).map(|role| role.rules.as_slice()).unwrap_or_default();
                let hits = rules.iter().enumerate().filter(|(_, rule)| allows(rule, request));
                answer.allows.extend(hits.map(|(rule, _)| Cite { binding: index, role: *role, rule }));
            }
        }
        answer.verdict = Truth::from_bool(!answer.allows.is_empty());
        answer
    }

    /// Everyone whom the files name and who may do it.
    pub fn who_can(&self, request: &Request<'_>) -> Vec<(Subject, Answer)> {
        let subjects = self.estate.subjects().into_iter();
        let answers = subjects.map(|subject| {
            let answer = self.decide(&subject, request);
            (subject, answer)
        });
        answers.filter(|(_, answer)| answer.verdict != Truth::No).collect()
    }

    /// What bindings name and no file holds, once each.
    pub fn gaps(&self) -> Vec<String> {
        let unknown = self.estate.bindings.iter().zip(&self.roles).filter(|(_, roles)| roles.is_none());
        unknown.map(|(binding, _)| gap(binding)).collect()
    }

    /// Every rule that a subject has.
    pub fn what_can(&self, subject: &Subject) -> Vec<Held> {
        let mut held = Vec::new();
        for (binding, bound, roles) in self.bindings(subject) {
            let namespace = Some(bound.meta.namespace.clone()).filter(|namespace| !namespace.is_empty());
            for role in roles.into_iter().flatten() {
                let count = self.estate.roles.get(*role).map_or(0, |role| role.rules.len());
                let cites = (0..count).map(|rule| Cite { binding, role: *role, rule });
                let is_of_paths = |rule: &Rule| rule.resources.is_empty() && !rule.urls.is_empty();
                let cites = cites.filter(|cite| namespace.is_none() || !self.rule(*cite).is_some_and(is_of_paths));
                held.extend(cites.map(|cite| Held { namespace: namespace.clone(), cite }));
            }
        }
        held
    }

    /// Every rule of every binding.
    pub(super) fn cites(&self) -> impl Iterator<Item = Cite> {
        self.roles.iter().enumerate().flat_map(move |(binding, roles)| {
            let each = move |role: &usize| {
                let count = self.estate.roles.get(*role).map_or(0, |role| role.rules.len());
                let role = *role;
                (0..count).map(move |rule| Cite { binding, role, rule })
            };
            roles.iter().flatten().flat_map(each)
        })
    }

    /// The rule of a cite.
    pub fn rule(&self, cite: Cite) -> Option<&'a Rule> {
        self.estate.roles.get(cite.role)?.rules.get(cite.rule)
    }

    /// A rule with its binding as a grant.
    pub fn grant(&self, cite: Cite) -> Option<Grant> {
        let (role, binding) = (self.estate.roles.get(cite.role)?, self.estate.bindings.get(cite.binding)?);
        let rule = role.rules.get(cite.rule)?;
        let policy = format!("{} bound by {}", role_name(role), binding_name(binding));
        let (source, line) = match rule.is_built_in() {
            false => (&role.meta.source, rule.line),
            // What a person can remove is the binding.
            true => (&binding.meta.source, binding.meta.line),
        };
        Some(Grant {
            policy,
            arn: None,
            part: format!("rule {}", cite.rule + 1),
            source: source.clone(),
            line: Some(line),
        })
    }
}

/// A rule as people read it.
pub fn rule_text(rule: &Rule) -> String {
    let groups: Vec<&str> = rule.groups.iter().map(String::as_str).filter(|group| !group.is_empty()).collect();
    let groups = if groups.is_empty() { String::new() } else { format!(" ({})", groups.join(", ")) };
    let names = if rule.names.is_empty() { String::new() } else { format!(" named {}", rule.names.join(", ")) };
    let what: Vec<&str> = rule.resources.iter().chain(&rule.urls).map(String::as_str).collect();
    format!("{} on {}{groups}{names}", rule.verbs.join(", "), what.join(", "))
}

pub(crate) fn role_name(role: &Role) -> String {
    match role.meta.namespace.as_str() {
        "" => cluster_role_name(&role.meta.name),
        namespace => format!("Role {namespace}/{}", role.meta.name),
    }
}

fn cluster_role_name(name: &str) -> String {
    match name.strip_prefix(ACCESS_POLICY) {
        Some(policy) => format!("EKS access policy {policy}"),
        None => format!("ClusterRole {name}"),
    }
}

pub(super) fn binding_name(binding: &Binding) -> String {
    let Meta { namespace, name, .. } = &binding.meta;
    let is_access = matches!(&binding.role, RoleRef::ClusterRole(role) if role.starts_with(ACCESS_POLICY));
    match (is_access, namespace.as_str()) {
        (true, "") => format!("the access of {name}"),
        (true, namespace) => format!("the access of {name} to namespace {namespace}"),
        (false, "") => format!("ClusterRoleBinding {name}"),
        (false, namespace) => format!("RoleBinding {namespace}/{name}"),
    }
}

fn gap(binding: &Binding) -> String {
    let role = match &binding.role {
        RoleRef::Role(name) => format!("Role {}/{name}", binding.meta.namespace),
        RoleRef::ClusterRole(name) => cluster_role_name(name),
    };
    format!("the {role}, which {} binds, is not in the files", binding_name(binding))
}

/// The roles whose rules a binding gives: the one it names, and those that it aggregates.
fn bound(estate: &Estate, binding: &Binding) -> Option<Vec<usize>> {
    let (namespace, name) = match &binding.role {
        RoleRef::Role(name) => (binding.meta.namespace.as_str(), name),
        RoleRef::ClusterRole(name) => ("", name),
    };
    let role = estate.roles.iter().position(|role| role.meta.namespace == namespace && role.meta.name == *name)?;
    Some(aggregated(estate, role))
}

/// A role with all that it aggregates, and that these aggregate.
pub(super) fn aggregated(estate: &Estate, role: usize) -> Vec<usize> {
    let mut roles = vec![role];
    let mut next = 0;
    while let Some(own) = roles.get(next).copied() {
        next += 1;
        let aggregates = estate.roles.get(own).map(|role| role.aggregates.as_slice()).unwrap_or_default();
        for (index, other) in estate.roles.iter().enumerate() {
            let selected = aggregates.iter().any(|selector| selector.selects(&other.meta.labels));
            if other.meta.namespace.is_empty() && selected && !roles.contains(&index) {
                roles.push(index);
            }
        }
    }
    roles
}

pub(super) fn allows(rule: &Rule, request: &Request<'_>) -> bool {
    let has = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
    if request.is_for_path() {
        return has(&rule.verbs, request.verb) && rule.urls.iter().any(|url| covers(url, request.resource));
    }
    let subresource = request.resource.split_once('/').map(|(_, below)| format!("*/{below}"));
    let resource =
        has(&rule.resources, request.resource) || subresource.is_some_and(|below| rule.resources.contains(&below));
    let named =
        rule.names.is_empty() || request.asked_name().is_some_and(|name| rule.names.iter().any(|one| one == name));
    has(&rule.verbs, request.verb) && has(&rule.groups, request.group) && resource && named
}

/// Whether a rule's path is a path, or the beginning of it before a star.
fn covers(url: &str, path: &str) -> bool {
    url == path || url.strip_suffix('*').is_some_and(|beginning| path.starts_with(beginning))
}

/// Cites as grants, each made once.
#[derive(Default)]
pub(super) struct Granted(BTreeMap<Cite, GrantId>);

impl Granted {
    /// An answer that allows as a ground.
    pub(super) fn ground(
        &mut self,
        evaluator: &Evaluator<'_>,
        steps: &mut Steps,
        (claim, answer): (String, &Answer),
    ) -> Ground {
        let grants = answer.allows.iter().filter_map(|cite| {
            if let Some(id) = self.0.get(cite) {
                return Some(*id);
            }
            let id = steps.add_grant(evaluator.grant(*cite)?);
            self.0.insert(*cite, id);
            Some(id)
        });
        Ground { claim, grants: grants.collect(), truth: answer.verdict, open: Vec::new() }
    }
}
