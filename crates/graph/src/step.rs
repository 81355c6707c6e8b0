//! Steps: how whoever controls one thing gets another, on whatever platform, and on which grants.
//!
//! The platforms ([`crate::aws`], [`crate::kubernetes`]) derive the steps; [`paths`] finds what follows
//! from them and [`report`] writes it down. Nothing here knows a platform. A step is certain only if each
//! of its requirements ([`Ground`]s) is, and possible as soon as it says of anything that it is not known: a
//! condition, a resource that no inventory lists, an assumption ([`Step::settled`]). A path is what its steps are.

mod cut;
pub mod docs;
pub mod paths;
pub mod report;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::aws::Truth;

/// What is known of one kind of step, the same for all steps of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The stable id.
    pub id: &'static str,
    /// What the attacker does, as a clause: "creates a Lambda function with the role".
    pub title: &'static str,
    /// Ids in public catalogues (pathfinding.cloud, KubeHound) that this covers.
    pub catalogue: &'static [&'static str],
    /// Why it works.
    pub why: &'static str,
    /// Where it is documented.
    pub references: &'static [&'static str],
}

/// The step of a principal that already may do everything.
pub const ADMINISTRATOR: Page = Page {
    id: "administrator",
    title: "is an administrator",
    catalogue: &[],
    why: "It is allowed every action on every resource.",
    references: &[],
};

/// The step from a principal to a resource that it may use.
pub const ACCESS: Page = Page {
    id: "access",
    title: "may use the resource",
    catalogue: &[],
    why: "Its policies, or the resource's own, allow it.",
    references: &[],
};

/// The step from an administrator to somebody whom it controls.
pub const CONTROL: Page = Page {
    id: "administrator-control",
    title: "controls",
    catalogue: &[],
    why: "Whoever administers an account or a cluster acts as anybody in it.",
    references: &[],
};

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// A user, role, group or service account.
    Principal,
    /// Something that runs and can be broken into from outside: a container.
    Workload,
    /// Someone outside of what the files describe.
    Outside,
    /// A way station at which nobody starts.
    Inner,
    /// A machine of a cluster: root on it ends most boundaries.
    Host,
    /// The administrator of a domain.
    Administrator,
    /// A resource.
    Resource,
}

impl NodeKind {
    /// Whether a path may start there.
    pub fn starts(self) -> bool {
        matches!(self, Self::Principal | Self::Workload | Self::Outside)
    }

    /// Whether getting there is the end of most defences.
    pub fn is_crown(self) -> bool {
        matches!(self, Self::Administrator | Self::Host)
    }
}

/// Something that can be controlled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// A stable, unique key: an ARN, or `kubernetes/…`.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// The account or cluster whose administrator controls it.
    pub domain: Arc<str>,
    /// Where it was read.
    pub source: Arc<str>,
    /// The line there, from 1.
    pub line: Option<u32>,
}

/// The index of a grant in [`Steps::grants`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub u32);

/// The smallest unit that a person can remove: a statement of a policy, a rule of a role, a setting of a
/// pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The policy, role or object.
    pub policy: String,
    /// Its ARN, if it has one.
    pub arn: Option<String>,
    /// Which part of it, for example "statement 2 `ReadAll`".
    pub part: String,
    /// Where it was read.
    pub source: Arc<str>,
    /// The line there, from 1.
    pub line: Option<u32>,
}

impl Grant {
    /// In one line, with where it stands.
    pub fn cite(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let comma = if self.part.is_empty() { "" } else { ", " };
        format!("{}{comma}{} ({}{line})", self.policy, self.part, self.source)
    }
}

/// One requirement of a step that holds, or may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// What is claimed, for example `iam:PassRole on arn:…`.
    pub claim: String,
    /// The grants of which any one is enough; empty when none is needed.
    pub grants: Vec<GrantId>,
    /// Whether it certainly holds.
    pub truth: Truth,
    /// The conditions that stay open.
    pub open: Vec<String>,
}

/// An inventory that was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Its stable id.
    pub id: &'static str,
    /// The plural that people use.
    pub noun: &'static str,
    /// The command that lists it.
    pub listing: &'static str,
}

/// One step: whoever controls `from` (and `also`) can get `to`.
#[derive(Clone, Debug)]
pub struct Step {
    /// Index of the node that acts.
    pub from: usize,
    /// Another node that the attacker must control as well.
    pub also: Option<usize>,
    /// Index of what is gained.
    pub to: usize,
    /// How.
    pub kind: Page,
    /// Whether the step is certain.
    pub truth: Truth,
    /// All of them must hold. Shared: one need is a ground of many steps.
    pub grounds: Vec<Arc<Ground>>,
    /// The resource that it goes through.
    pub through: Option<String>,
    /// Inventories without which the step stays possible.
    pub missing: Vec<Missing>,
    /// What is taken to be so and no file shows.
    pub assuming: Vec<String>,
    /// What defeats every step of the kind and no file ever shows: an exception, and nothing that is open here.
    pub unless: Option<&'static str>,
}

impl Step {
    /// A step that nothing stands in the way of.
    pub fn new(from: usize, to: usize, kind: Page) -> Self {
        let (grounds, missing, assuming) = (Vec::new(), Vec::new(), Vec::new());
        Self { from, also: None, to, kind, truth: Truth::Yes, grounds, through: None, missing, assuming, unless: None }
    }

    /// Whether it says of anything that it is not known.
    pub fn is_open(&self) -> bool {
        let grounds = self.grounds.iter().any(|ground| !ground.open.is_empty());
        grounds || !self.missing.is_empty() || !self.assuming.is_empty()
    }

    /// As certain as what it rests on, and never certain while something of it is open.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.truth = self.truth.and(Truth::all(self.grounds.iter().map(|ground| ground.truth)));
        if self.is_open() {
            self.truth = self.truth.and(Truth::Unknown);
        }
        self
    }
}

/// Everything that can be controlled, and how one leads to another.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// What can be controlled.
    pub nodes: Vec<Node>,
    /// What the steps rest on.
    pub grants: Vec<Grant>,
    /// Every step.
    pub steps: Vec<Step>,
    /// Nodes that are administrators as they stand.
    pub administrators: BTreeSet<usize>,
    crowns: BTreeMap<Arc<str>, usize>,
    by_key: BTreeMap<String, usize>,
    added: HashMap<Grant, GrantId>,
}

/// Why a name is not one node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Nothing has it.
    #[error("no principal `{0}` in the files")]
    Nobody(String),
    /// More than one has it.
    #[error("`{0}` is more than one principal: {1}")]
    Several(String, String),
}

impl Steps {
    /// Adds a node; one with a known key is the known one.
    pub fn add_node(&mut self, node: Node) -> usize {
        if let Some(index) = self.by_key.get(&node.key) {
            return *index;
        }
        let index = self.nodes.len();
        self.by_key.insert(node.key.clone(), index);
        self.nodes.push(node);
        index
    }

    /// Adds a grant; one that was added before is the same: a person removes it once.
    pub fn add_grant(&mut self, grant: Grant) -> GrantId {
        if let Some(id) = self.added.get(&grant) {
            return *id;
        }
        let id = GrantId(u32::try_from(self.grants.len()).unwrap_or(u32::MAX));
        self.added.insert(grant.clone(), id);
        self.grants.push(grant);
        id
    }

    /// The grant of an id.
    pub fn grant(&self, id: GrantId) -> Option<&Grant> {
        self.grants.get(usize::try_from(id.0).ok()?)
    }

    /// Adds a step, as certain as what it rests on; one that does not hold is left out.
    pub fn push(&mut self, step: Step) {
        let step = step.settled();
        if step.truth != Truth::No && step.from != step.to {
            self.steps.push(step);
        }
    }

    /// The node that stands for the administrator of an account or cluster.
    pub fn administrator(&mut self, domain: &Arc<str>) -> usize {
        if let Some(index) = self.crowns.get(domain) {
            return *index;
        }
        let node = Node {
            key: format!("administrator of {domain}"),
            name: "administrator".to_owned(),
            kind: NodeKind::Administrator,
            domain: domain.clone(),
            source: "".into(),
            line: None,
        };
        let index = self.add_node(node);
        self.crowns.insert(domain.clone(), index);
        index
    }

    /// The administrator of a domain, if something leads there.
    pub fn administrator_of(&self, domain: &str) -> Option<usize> {
        self.crowns.get(domain).copied()
    }

    /// The index of the node with this key.
    pub fn index_of(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// Finds a node by key, with its domain or without, by `user/alice`, or by a last part of a name that only one has.
    pub fn find(&self, name: &str) -> Result<usize, FindError> {
        if let Some(index) = self.index_of(name) {
            return Ok(index);
        }
        let named = |exact: bool| -> Vec<usize> {
            let nodes = self.nodes.iter().enumerate().filter(|(_, node)| node.kind != NodeKind::Administrator);
            let of_domain = |node: &Node| {
                node.key.strip_prefix(&*node.domain).and_then(|rest| rest.strip_prefix('/')) == Some(name)
            };
            let hits = nodes.filter(|(_, node)| {
                node.name == name
                    || of_domain(node)
                    || !exact && node.name.rsplit_once('/').is_some_and(|(_, last)| last == name)
            });
            hits.map(|(index, _)| index).collect()
        };
        let exact = named(true);
        let hits = if exact.is_empty() { named(false) } else { exact };
        match hits.as_slice() {
            [index] => Ok(*index),
            [] => Err(FindError::Nobody(name.to_owned())),
            many => {
                let names = many.iter().filter_map(|index| self.nodes.get(*index)).map(|node| node.key.clone());
                Err(FindError::Several(name.to_owned(), names.collect::<Vec<_>>().join(", ")))
            }
        }
    }

    /// The name of a node.
    pub fn name(&self, index: usize) -> &str {
        self.nodes.get(index).map_or("?", |node| node.name.as_str())
    }
}
