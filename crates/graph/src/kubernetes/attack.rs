//! From objects to steps: what each [`super::kinds::Kind`] finds, put into one set of steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::estate::{Container, Custom, Estate, Meta, Pod, Subject};
use super::evaluate::{Evaluator, Granted, Request};
use super::kinds::{self, Kind};
use crate::aws::Truth;
use crate::step::{Grant, Ground, Node, NodeKind, Page, Step, Steps};

/// The name of the cluster as a domain.
pub const DOMAIN: &str = "kubernetes";
/// What people understand by `system:unauthenticated`, and its user `system:anonymous`.
const REACHES_SERVER: &str = "whoever reaches the API server (system:unauthenticated)";
/// What they understand by `system:authenticated`.
const HAS_ACCOUNT: &str = "whoever has an account of the cluster (system:authenticated)";
/// A machine that no file names.
const ANY_MACHINE: &str = "(any)";

/// Adds every step of a linked estate.
pub fn derive(estate: &Estate, steps: &mut Steps) {
    if estate.is_empty() {
        return;
    }
    let mut deriver = Deriver::new(estate, steps);
    deriver.add_nodes();
    for kind in kinds::all() {
        deriver.derive(kind);
    }
}

/// Namespaces in which something is allowed, each with its ground.
pub type Places = Vec<(String, Arc<Ground>)>;

/// What a kind works with.
pub struct Deriver<'a> {
    /// The objects.
    pub estate: &'a Estate,
    steps: &'a mut Steps,
    evaluator: Evaluator<'a>,
    granted: Granted,
    page: Page,
    /// Everyone whom the files name, as the one that asks.
    pub subjects: Vec<(Subject, usize)>,
    /// Pod, container, node.
    pub containers: Vec<(&'a Pod, &'a Container, usize)>,
    namespaces: BTreeSet<String>,
    /// Nodes that hold everything in the cluster.
    whole: BTreeSet<usize>,
    memo: BTreeMap<(usize, String, String), Places>,
}

impl<'a> Deriver<'a> {
    fn new(estate: &'a Estate, steps: &'a mut Steps) -> Self {
        Self {
            estate,
            steps,
            evaluator: Evaluator::new(estate),
            granted: Granted::default(),
            page: crate::step::ACCESS,
            subjects: Vec::new(),
            containers: Vec::new(),
            namespaces: estate.all_namespaces(),
            whole: BTreeSet::new(),
            memo: BTreeMap::new(),
        }
    }

    fn derive(&mut self, kind: &'static Kind) {
        self.page = kind.page;
        (kind.derive)(self);
    }

    fn add_nodes(&mut self) {
        let subjects: BTreeSet<Subject> = self.estate.subjects().into_iter().map(Subject::asking).collect();
        for subject in subjects {
            let node = self.subject(&subject);
            self.subjects.push((subject, node));
        }
        for pod in &self.estate.pods {
            for container in &pod.containers {
                let several = if pod.containers.len() > 1 { format!(":{}", container.name) } else { String::new() };
                let name = format!("{}/{}/{}{several}", pod.kind, pod.meta.namespace, pod.meta.name);
                let node = self.node(&name, NodeKind::Workload, (&pod.meta.source, Some(container.line)));
                self.containers.push((pod, container, node));
            }
        }
    }

    /// A node by its name in the cluster.
    pub fn node(&mut self, name: &str, kind: NodeKind, (source, line): (&Arc<str>, Option<u32>)) -> usize {
        self.steps.add_node(Node {
            key: format!("{DOMAIN}/{name}"),
            name: name.to_owned(),
            kind,
            domain: DOMAIN.into(),
            source: source.clone(),
            line,
        })
    }

    /// The node of a subject.
    pub fn subject(&mut self, subject: &Subject) -> usize {
        let account = match subject {
            Subject::ServiceAccount(namespace, name) => {
                self.estate.accounts.iter().find(|one| one.meta.namespace == *namespace && one.meta.name == *name)
            }
            Subject::User(_) | Subject::Group(_) => None,
        };
        let names = |one: &Subject| one == subject || one.is_anonymous() && subject.is_anonymous();
        let binding = || self.estate.bindings.iter().find(|one| one.subjects.iter().any(names)).map(|one| &one.meta);
        let meta = account.map(|one| &one.meta).or_else(binding);
        let (source, line) = meta.map_or_else(|| ("".into(), None), |meta| (meta.source.clone(), Some(meta.line)));
        let (kind, name) = match subject {
            _ if subject.is_anonymous() => (NodeKind::Outside, REACHES_SERVER.to_owned()),
            _ if subject.is_everyone() => (NodeKind::Principal, HAS_ACCOUNT.to_owned()),
            Subject::Group(name) if name.starts_with("system:") => (NodeKind::Inner, subject.name()),
            _ => (NodeKind::Principal, subject.name()),
        };
        let key = format!("{DOMAIN}/{}", subject.clone().asking().name());
        self.steps.add_node(Node { key, name, kind, domain: DOMAIN.into(), source, line })
    }

    /// Everyone but administrators, whose further steps would only repeat that they reach everything.
    pub fn actors(&self) -> Vec<(Subject, usize)> {
        let acts = |(_, node): &&(Subject, usize)| !self.whole.contains(node);
        self.subjects.iter().filter(acts).cloned().collect()
    }

    /// The administrator of the cluster.
    pub fn administrator(&mut self) -> usize {
        self.steps.administrator(&DOMAIN.into())
    }

    /// Notes that a subject holds everything, and is there as it stands. Not so whoever is anybody: that an account, or
    /// none, is enough is a path.
    pub fn holds_everything(&mut self, subject: &Subject, node: usize) {
        self.whole.insert(node);
        if !subject.is_anonymous() && !subject.is_everyone() {
            self.steps.administrators.insert(node);
        }
    }

    /// Whoever holds everything in a namespace.
    pub fn holder(&mut self, namespace: &str) -> usize {
        self.node(&holder_name(namespace), NodeKind::Inner, (&"".into(), None))
    }

    /// The same, if something leads there.
    pub fn held(&self, namespace: &str) -> Option<usize> {
        self.steps.index_of(&format!("{DOMAIN}/{}", holder_name(namespace))).filter(|holder| self.is_reached(*holder))
    }

    /// Whether some step leads there.
    pub fn is_reached(&self, node: usize) -> bool {
        self.steps.steps.iter().any(|step| step.to == node)
    }

    /// The machine that a pod runs on, and whether that is known.
    pub fn machine_of(&mut self, pod: &Pod) -> (usize, bool) {
        let only = match self.estate.machines.as_slice() {
            [one] => Some(one.meta.name.clone()),
            _ => None,
        };
        let named = pod.node.clone().or(only);
        let known = named.is_some();
        (self.machine(named.as_deref().unwrap_or(ANY_MACHINE)), known)
    }

    /// A machine by name.
    pub fn machine(&mut self, name: &str) -> usize {
        let meta = self.estate.machines.iter().find(|one| one.meta.name == name).map(|one| &one.meta);
        let (source, line) = meta.map_or_else(|| ("".into(), None), |meta| (meta.source.clone(), Some(meta.line)));
        self.node(&format!("node/{name}"), NodeKind::Host, (&source, line))
    }

    /// The node of an agent or server.
    pub fn custom(&mut self, custom: &Custom) -> usize {
        self.node(&custom.name(), custom.node_kind(), (&custom.meta.source, Some(custom.meta.line)))
    }

    /// Something of a machine that is less than all of it: its traffic, the volumes of its pods.
    pub fn part_of(&mut self, machine: usize, what: &str) -> usize {
        let name = format!("{what} on {}", self.steps.name(machine));
        self.node(&name, NodeKind::Inner, (&"".into(), None))
    }

    /// The machines that pods run on, as far as is known.
    pub fn machines_of_pods(&mut self) -> BTreeSet<usize> {
        let pods: Vec<&Pod> = self.estate.pods.iter().collect();
        pods.into_iter().map(|pod| self.machine_of(pod).0).collect()
    }

    /// Every machine: those that the files name, or the one that every cluster has.
    pub fn machines(&mut self) -> Vec<usize> {
        let names: Vec<String> = self.estate.machines.iter().map(|one| one.meta.name.clone()).collect();
        if names.is_empty() {
            return vec![self.machine(ANY_MACHINE)];
        }
        names.iter().map(|name| self.machine(name)).collect()
    }

    /// The ground that a request is allowed, if it is.
    pub fn allowed(&mut self, subject: &Subject, request: &Request<'_>) -> Option<Arc<Ground>> {
        let answer = self.evaluator.decide(subject, request);
        if answer.verdict == Truth::No {
            return None;
        }
        Some(Arc::new(self.granted.ground(&self.evaluator, self.steps, (request.text(), &answer))))
    }

    /// The first of several verbs that is allowed.
    pub fn allowed_any(&mut self, subject: &Subject, verbs: &[&str], request: Request<'_>) -> Option<Arc<Ground>> {
        verbs.iter().find_map(|verb| self.allowed(subject, &Request { verb, ..request }))
    }

    /// The secrets of a namespace: all of them, or any one whose name is known.
    pub fn secrets_in(&mut self, namespace: &str, by_name: bool) -> usize {
        self.node(&secrets_name(namespace, by_name), NodeKind::Inner, (&"".into(), None))
    }

    /// The same, if something leads there.
    pub fn read_secrets_in(&self, namespace: &str, by_name: bool) -> Option<usize> {
        self.steps.index_of(&format!("{DOMAIN}/{}", secrets_name(namespace, by_name)))
    }

    /// The namespaces in which one of the verbs is allowed, each with its ground.
    pub fn places(&mut self, subject: &Subject, verbs: &[&str], request: Request<'_>) -> Places {
        let who = self.subject(subject);
        let key =
            (who, verbs.join(","), format!("{}/{}/{}", request.group, request.resource, request.name.unwrap_or("")));
        if let Some(known) = self.memo.get(&key) {
            return known.clone();
        }
        let mut places = Vec::new();
        for namespace in self.namespaces.clone() {
            let request = Request { namespace: Some(&namespace), ..request };
            if let Some(ground) = self.allowed_any(subject, verbs, request) {
                places.push((namespace, ground));
            }
        }
        self.memo.insert(key, places.clone());
        places
    }

    /// The names to which rules for a verb and resource are limited.
    pub fn names(&self, subject: &Subject, verb: &str, resource: &str) -> BTreeSet<String> {
        let held = self.evaluator.what_can(subject);
        let rules = held.iter().filter_map(|held| self.evaluator.rule(held.cite));
        let speaks = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
        rules
            .filter(|rule| speaks(&rule.verbs, verb) && speaks(&rule.resources, resource))
            .flat_map(|rule| rule.names.iter().cloned())
            .collect()
    }

    /// A setting of an object as a ground.
    pub fn setting(&mut self, meta: &Meta, (policy, part): (String, String), line: u32) -> Arc<Ground> {
        let claim = part.clone();
        let grant = Grant { policy, arn: None, part, source: meta.source.clone(), line: Some(line) };
        let grants = vec![self.steps.add_grant(grant)];
        Arc::new(Ground { claim, grants, truth: Truth::Yes, open: Vec::new() })
    }

    /// A setting of a pod as a ground.
    pub fn pod_setting(&mut self, pod: &Pod, part: impl Into<String>, line: u32) -> Arc<Ground> {
        let policy = format!("{} {}/{}", pod.kind, pod.meta.namespace, pod.meta.name);
        self.setting(&pod.meta, (policy, part.into()), line)
    }

    /// Adds a step of the kind at work.
    pub fn push(&mut self, from: usize, to: usize, grounds: Vec<Arc<Ground>>) {
        let step = Step { grounds, ..Step::new(from, to, self.page) };
        self.steps.push(step);
    }

    /// Adds a step that holds only if something is so that no file shows.
    pub fn push_possible(&mut self, (from, to): (usize, usize), grounds: Vec<Arc<Ground>>, assuming: &str) {
        let assuming = vec![assuming.to_owned()];
        let step = Step { grounds, assuming, ..Step::new(from, to, self.page) };
        self.steps.push(step);
    }

    /// Adds a step that holds unless something that no file shows forbids it.
    pub fn push_unless(&mut self, (from, to): (usize, usize), grounds: Vec<Arc<Ground>>, unless: &'static str) {
        let step = Step { grounds, unless: Some(unless), ..Step::new(from, to, self.page) };
        self.steps.push(step);
    }

    /// The nodes of a namespace's service accounts.
    pub fn accounts_in(&self, namespace: &str) -> Vec<(String, usize)> {
        let of = |(subject, node): &(Subject, usize)| match subject {
            Subject::ServiceAccount(place, name) if place == namespace => Some((name.clone(), *node)),
            _ => None,
        };
        self.subjects.iter().filter_map(of).collect()
    }

    /// The containers of a namespace, each with its pod's name.
    pub fn containers_in(&self, namespace: &str) -> Vec<(String, usize)> {
        let here = self.containers.iter().filter(|(pod, ..)| pod.meta.namespace == namespace);
        here.map(|(pod, _, node)| (pod.meta.name.clone(), *node)).collect()
    }

    /// Whether pod security keeps pods of a namespace from the host: its label forbids what reaches it.
    pub fn is_secured(&self, namespace: &str) -> bool {
        let meta = self.estate.namespaces.iter().find(|meta| meta.name == namespace);
        let level = meta.and_then(|meta| meta.labels.get("pod-security.kubernetes.io/enforce"));
        level.is_some_and(|level| level == "baseline" || level == "restricted")
    }
}

fn holder_name(namespace: &str) -> String {
    format!("everything in namespace {namespace}")
}

fn secrets_name(namespace: &str, by_name: bool) -> String {
    format!("{} in namespace {namespace}", if by_name { "any secret by name" } else { "all secrets" })
}
