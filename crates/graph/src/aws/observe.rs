//! Principals, their steps and what runs as them, as observations for the joined graph.

use super::attack::Derived;
use super::estate::{PrincipalKind, StatementId};
use super::truth::Truth;
use crate::observation::{Basis, EntityId, EntityKind, Evidence, Fact, Observation, Props, RelationKind};

const CONNECTOR: &str = "aws";

/// Every principal as an identity, and every step as "acts as" with its kind, certainty and proof.
/// Administrators carry `administrator: true`; a step that only may exist carries `truth: unknown`.
pub fn observe(derived: &Derived) -> Vec<Observation> {
    let mut observations = Vec::new();
    for (index, principal) in derived.estate.principals.iter().enumerate() {
        if principal.kind == PrincipalKind::Group || derived.joined.contains_key(&index) {
            continue;
        }
        let props = Props::from([
            ("cloud".to_owned(), "aws".into()),
            ("account".to_owned(), principal.account().into()),
            ("administrator".to_owned(), derived.administrators.contains(&index).into()),
        ]);
        let fact = Fact::Entity { id: identity(&principal.arn), name: principal.short().to_owned(), props };
        let evidence = evidence(&principal.source, principal.line, Basis::Collected);
        observations.push(Observation { fact, evidence });
    }
    for edge in &derived.edges {
        let arn = |index: usize| derived.estate.principals.get(index).map(|one| one.arn.clone());
        let (Some(from), Some(to)) = (arn(edge.from), arn(edge.to)) else { continue };
        if from == to || edge.also.is_some() {
            continue;
        }
        let props = Props::from([
            ("kind".to_owned(), edge.kind.id.into()),
            ("truth".to_owned(), if edge.truth == Truth::Yes { "yes" } else { "unknown" }.into()),
        ]);
        let first = edge.grounds.iter().flat_map(|ground| &ground.statements).next();
        let evidence =
            first.and_then(|id| cited(derived, *id)).unwrap_or_else(|| evidence(CONNECTOR, None, Basis::Inferred));
        let fact = Fact::Relation { from: identity(&from), kind: RelationKind::ActsAs, to: identity(&to), props };
        observations.push(Observation { fact, evidence });
    }
    observations
}

fn cited(derived: &Derived, id: StatementId) -> Option<Evidence> {
    let line = derived.estate.statement(id)?.line;
    Some(evidence(&derived.estate.policy(id.policy)?.source, line, Basis::Inferred))
}

fn evidence(source: &str, line: Option<u32>, basis: Basis) -> Evidence {
    Evidence { source: source.to_owned(), line, connector: CONNECTOR.to_owned(), basis }
}

fn identity(arn: &str) -> EntityId {
    EntityId::new(EntityKind::Identity, arn)
}
