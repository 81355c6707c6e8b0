//! Power that was handed on beside clouds and clusters: apps that people consented to, packages that others publish,
//! workflows that others start.
//!
//! Pure, and in the same shapes as [`crate::kubernetes`]: facts come in as an [`Estate`] (files are read by
//! `connect::delegation`), each [`Kind`] finds its steps. An app, a package or a role is known by its id, never by
//! its name. What no file shows (who owns a tenant, what a guard of a workflow lets through) makes a step possible,
//! and says so.

pub mod consent;
pub mod publisher;
pub mod workflow;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::aws::{self, Truth};
use crate::step::{Grant, Ground, Node, NodeKind, Page, Step, Steps};

/// Where something was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<str>,
    /// The line there, from 1.
    pub line: u32,
}

/// What the files say.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// Apps that people can consent to, by the id that consents name.
    pub apps: BTreeMap<String, consent::App>,
    /// Consents.
    pub consents: Vec<consent::Consent>,
    /// Users' names by their id.
    pub users: BTreeMap<String, String>,
    /// Ids of users and apps that administer a directory.
    pub administrators: BTreeSet<String>,
    /// Ids of the organisations whose directory it is.
    pub tenants: BTreeSet<String>,
    /// Who publishes which package.
    pub publishers: Vec<publisher::Publisher>,
    /// Jobs of workflows.
    pub jobs: Vec<workflow::Job>,
}

/// One kind of step.
pub struct Kind {
    /// What is the same for all its steps.
    pub page: Page,
    /// Finds all its steps.
    pub derive: fn(&mut Deriver<'_>),
    /// Why none of its steps is certain, if so.
    pub partial: Option<&'static str>,
    /// A file in which it exists.
    pub example: &'static str,
    /// One in which it does not, and little is different.
    pub counter_example: &'static str,
}

/// Every kind.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    [consent::KINDS, publisher::KINDS, workflow::KINDS].into_iter().flatten()
}

/// Adds every step.
pub fn derive(estate: &Estate, aws: &aws::Estate, steps: &mut Steps) {
    let mut deriver = Deriver { estate, aws, steps, page: crate::step::ACCESS };
    for kind in kinds() {
        deriver.page = kind.page;
        (kind.derive)(&mut deriver);
    }
}

/// What a kind works with.
pub struct Deriver<'a> {
    estate: &'a Estate,
    aws: &'a aws::Estate,
    steps: &'a mut Steps,
    page: Page,
}

impl Deriver<'_> {
    /// A node by its key; the first part of the key is its domain.
    fn node(&mut self, key: &str, name: &str, kind: NodeKind, place: &Place) -> usize {
        let domain = key.split(['/', ':']).next().unwrap_or_default().into();
        let (source, line) = (place.source.clone(), Some(place.line));
        self.steps.add_node(Node { key: key.to_owned(), name: name.to_owned(), kind, domain, source, line })
    }

    /// A package by its package URL: the same node for whoever publishes it.
    fn package(&mut self, package: &str, place: &Place) -> usize {
        let name = package.split_once('/').map_or(package, |(_, name)| name).replace("%40", "@");
        self.node(package, &name, NodeKind::Resource, place)
    }

    /// A setting that a person can remove, as what a step rests on.
    fn said(&mut self, policy: &str, part: &str, claim: String, place: &Place) -> Arc<Ground> {
        let (policy, part) = (policy.to_owned(), part.to_owned());
        let grant = Grant { policy, arn: None, part, source: place.source.clone(), line: Some(place.line) };
        let grants = vec![self.steps.add_grant(grant)];
        Arc::new(Ground { claim, grants, truth: Truth::Yes, open: Vec::new() })
    }

    /// Adds a step of the kind at hand. What is assumed makes it possible only.
    fn step(&mut self, from: usize, to: usize, grounds: Vec<Arc<Ground>>, assuming: Vec<String>) {
        self.steps.push(Step { grounds, assuming, ..Step::new(from, to, self.page) });
    }
}
