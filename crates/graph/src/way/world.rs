//! What cloud and cluster files describe, as observations for the joined graph: who there is, every step with all the
//! ways in which it holds, and the data that principals read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Grant, Need, WAYS, Way};
use crate::aws::evaluate::resource_patterns;
use crate::aws::policy::Effect;
use crate::aws::{Arn, Estate, Truth};
use crate::observation::{Basis, EntityId, EntityKind, Evidence, Fact, Observation, Props, RelationKind};
use crate::step::{Node, NodeKind, Step};
use crate::world::{Goal, World, reading};

const CONNECTOR: &str = "cloud";

/// Every node as an identity; every step as "acts as"; every data store that a policy names, with who reads it.
pub fn observe(world: &World) -> Vec<Observation> {
    let mut observer = Observer { world, out: Vec::new() };
    for (index, node) in world.steps.nodes.iter().enumerate() {
        observer.node(index, node);
    }
    let mut between: BTreeMap<(usize, usize), Vec<&Step>> = BTreeMap::new();
    for step in world.steps.steps.iter().filter(|step| step.from != step.to) {
        between.entry((step.from, step.to)).or_default().push(step);
    }
    for ((from, to), steps) in between {
        let ways: Vec<Way> = steps.iter().map(|step| observer.way(step)).collect();
        if let (Some(from), Some(to)) = (observer.id(from), observer.id(to)) {
            let kind = match to.kind {
                EntityKind::Store => RelationKind::Reaches,
                EntityKind::Package => RelationKind::Publishes,
                _ => RelationKind::ActsAs,
            };
            observer.relation(from, kind, to, &ways);
        }
    }
    observer.stores();
    observer.out
}

/// Whose nodes do not have an ARN for a key; their keys begin with this, or it is their domain.
const CLOUDS: &[&str] = &["kubernetes", "entra", "google", "npm", "pypi", "github"];

struct Observer<'w> {
    world: &'w World,
    out: Vec<Observation>,
}

impl Observer<'_> {
    fn id(&self, index: usize) -> Option<EntityId> {
        let node = self.world.steps.nodes.get(index)?;
        let kind = match node.kind {
            NodeKind::Resource if node.key.starts_with("pkg:") => EntityKind::Package,
            NodeKind::Resource => EntityKind::Store,
            _ => EntityKind::Identity,
        };
        Some(EntityId::new(kind, node.key.clone()))
    }

    fn entity(&mut self, id: EntityId, name: &str, props: Props, evidence: Evidence) {
        self.out.push(Observation { fact: Fact::Entity { id, name: name.to_owned(), props }, evidence });
    }

    fn node(&mut self, index: usize, node: &Node) {
        let crown = node.kind.is_crown();
        let is_of = |cloud: &&&str| {
            let rest = node.key.strip_prefix(**cloud);
            rest.is_some_and(|rest| rest.starts_with(['/', ':'])) || node.domain.as_ref() == **cloud
        };
        let cloud = *CLOUDS.iter().find(is_of).unwrap_or(&"aws");
        let word = match node.kind {
            NodeKind::Principal => "principal",
            NodeKind::Workload => "workload",
            NodeKind::Outside => "outside",
            NodeKind::Inner => "inner",
            NodeKind::Host => "host",
            NodeKind::Administrator => "administrator",
            NodeKind::Resource => "resource",
        };
        let props = props([
            ("cloud", cloud.into()),
            ("account", node.domain.as_ref().into()),
            ("role", word.into()),
            ("administrator", (crown || self.world.steps.administrators.contains(&index)).into()),
            ("outside", (node.kind == NodeKind::Outside).into()),
        ]);
        let name = if node.kind == NodeKind::Administrator { node.key.as_str() } else { node.name.as_str() };
        let (source, basis) =
            if node.source.is_empty() { (CONNECTOR, Basis::Inferred) } else { (&*node.source, Basis::Collected) };
        match self.id(index) {
            // What a package is, its own sources say: here it is only named.
            Some(id) if id.kind == EntityKind::Package => {
                self.entity(id, name, Props::new(), evidence(source, node.line, basis));
            }
            Some(id) => self.entity(id, name, props, evidence(source, node.line, basis)),
            None => {}
        }
    }

    fn way(&self, step: &Step) -> Way {
        let mut open: BTreeSet<String> = step.grounds.iter().flat_map(|ground| ground.open.iter().cloned()).collect();
        open.extend(step.missing.iter().map(|missing| format!("which {} exist ({})", missing.noun, missing.listing)));
        open.extend(step.assuming.iter().map(|assumed| format!("whether {assumed}")));
        let need = |ground: &std::sync::Arc<crate::step::Ground>| Need {
            claim: ground.claim.clone(),
            any: ground.grants.iter().filter_map(|id| self.world.steps.grant(*id)).map(grant).collect(),
        };
        Way {
            kind: step.kind.id.to_owned(),
            title: step.kind.title.to_owned(),
            certain: step.truth == Truth::Yes,
            also: step.also.and_then(|also| self.id(also)),
            needs: step.grounds.iter().map(need).collect(),
            open: open.into_iter().collect(),
        }
    }

    fn relation(&mut self, from: EntityId, kind: RelationKind, to: EntityId, ways: &[Way]) {
        let grants = ways.iter().flat_map(|way| &way.needs).flat_map(|need| &need.any);
        let places: BTreeSet<(&str, Option<u32>)> = grants.map(|grant| (grant.source.as_str(), grant.line)).collect();
        let mut evidences: Vec<Evidence> =
            places.into_iter().map(|(source, line)| evidence(source, line, Basis::Inferred)).collect();
        if evidences.is_empty() {
            evidences.push(evidence(CONNECTOR, None, Basis::Inferred));
        }
        let certain = ways.iter().any(|way| way.certain);
        let first = ways.first().map_or("", |way| way.kind.as_str());
        let props = props([
            ("kind", first.into()),
            ("truth", if certain { "yes" } else { "unknown" }.into()),
            (WAYS, json!(ways)),
        ]);
        for evidence in evidences {
            let fact = Fact::Relation { from: from.clone(), kind, to: to.clone(), props: props.clone() };
            self.out.push(Observation { fact, evidence });
        }
    }

    /// Stores are those that a resource policy or a statement names without a wildcard.
    fn stores(&mut self) {
        for (arn, place) in named_stores(&self.world.aws) {
            let Some(parsed) = Arn::parse(&arn) else { continue };
            let (action, form) = reading(&parsed);
            let id = EntityId::new(EntityKind::Store, arn.clone());
            let props = props([
                ("cloud", "aws".into()),
                ("service", parsed.service.into()),
                ("account", parsed.account.into()),
            ]);
            self.entity(id.clone(), &arn, props, place);
            let title = format!("may {action} on it");
            let target = self.world.target(&Goal::Resource { action, arn: form });
            let readers: Vec<(EntityId, Way)> = target
                .steps
                .iter()
                .filter_map(|step| Some((self.id(step.from)?, Way { title: title.clone(), ..self.way(step) })))
                .collect();
            for (reader, way) in readers {
                self.relation(reader, RelationKind::Reaches, id.clone(), &[way]);
            }
        }
    }
}

const DATA: [&str; 4] = ["s3", "secretsmanager", "dynamodb", "sqs"];

fn named_stores(estate: &Estate) -> BTreeMap<String, Evidence> {
    let mut found = BTreeMap::new();
    for (arn, policy) in &estate.resource_policies {
        let source = estate.policy(*policy).map_or(CONNECTOR, |policy| &policy.source);
        if let Some(store) = store_of(arn) {
            found.entry(store).or_insert_with(|| evidence(source, None, Basis::Collected));
        }
    }
    for policy in &estate.policies {
        for statement in policy.document.statements.iter().filter(|statement| statement.effect == Effect::Allow) {
            for store in resource_patterns(statement).into_iter().filter_map(store_of) {
                found.entry(store).or_insert_with(|| evidence(&policy.source, statement.line, Basis::Inferred));
            }
        }
    }
    found
}

/// The store that a resource's ARN speaks of; `None` where it is a pattern, or no data.
fn store_of(text: &str) -> Option<String> {
    let arn = Arn::parse(text)?;
    let name = if arn.service == "s3" { arn.resource.split('/').next()? } else { arn.resource };
    let is_data = match arn.service {
        "bedrock" => name.starts_with("knowledge-base/"),
        "ssm" => name.starts_with("parameter/"),
        service => DATA.contains(&service),
    };
    let whole = [arn.partition, arn.region, arn.account, name].iter().all(|part| !part.contains(['*', '?', '$']));
    (is_data && whole && !name.is_empty()).then(|| Arn { resource: name, ..arn }.to_string())
}

fn grant(grant: &crate::step::Grant) -> Grant {
    let name = if grant.part.is_empty() { grant.policy.clone() } else { format!("{}, {}", grant.policy, grant.part) };
    Grant { source: grant.source.to_string(), line: grant.line, name }
}

fn evidence(source: &str, line: Option<u32>, basis: Basis) -> Evidence {
    Evidence { source: source.to_owned(), line, connector: CONNECTOR.to_owned(), basis }
}

fn props<const N: usize>(pairs: [(&str, serde_json::Value); N]) -> Props {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
