//! The rule `secret-across-environments`.

use super::assess::{factor, input_trust_of_server};
use super::{Match, Rule, start};
use crate::finding::{FactorName, Step};
use crate::frameworks::Cite;
use crate::model::{Entity, Graph, Relation};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "secret-across-environments",
    title: "The same secret opens production and something else",
    why: "What is built to be broken, a test, a trial, a laptop, holds a key to what must not break. Whoever gets into \
          the one has the other.",
    fix: "Issue a credential of its own for production, and rotate the shared one.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI03"),
        Cite::Mcp("MCP01"),
        Cite::Maestro("L4"),
        Cite::Nist("AC-4"),
        Cite::Nist("SC-7"),
        Cite::Atlas("T0012"),
    ],
    fires: "agent claude uses db-prod scope=user\nclaude uses db-staging\ndb-prod holds a1b2c3 via.name=DB\ndb-staging holds a1b2c3 via.name=DB",
    silent: "agent claude uses db-prod scope=user\nclaude uses db-staging\ndb-prod holds a1b2c3 via.name=DB\ndb-staging holds d4e5f6 via.name=DB",
    check,
};

/// What a place is for, as its name says it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Environment {
    Production,
    Other,
}

fn check(graph: &Graph) -> Vec<Match> {
    graph.of_kind(EntityKind::Credential).filter_map(|(at, credential)| matched(graph, at, credential)).collect()
}

/// The join is on the secret's digest; only what each place is for is taken from its name.
fn environment(entity: &Entity) -> Option<Environment> {
    let mut words = entity.name.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    words.find_map(|word| match word.as_str() {
        "prod" | "production" | "live" | "prd" => Some(Environment::Production),
        "dev" | "development" | "test" | "testing" | "staging" | "stage" | "sandbox" | "qa" | "local" | "demo" => {
            Some(Environment::Other)
        }
        _ => None,
    })
}

fn matched(graph: &Graph, at: u32, credential: &Entity) -> Option<Match> {
    let holds = |wanted: Environment| {
        let all = graph.incoming(at).filter(|relation| relation.kind == RelationKind::Holds);
        let mut of_it = all.filter(move |held| graph.entity(held.from).and_then(environment) == Some(wanted));
        of_it.next()
    };
    let (production, other) = (holds(Environment::Production)?, holds(Environment::Other)?);
    let (here, there) = (graph.entity(production.from)?, graph.entity(other.from)?);
    Some(Match {
        subject: credential.id.clone(),
        part: String::new(),
        message: format!("one secret opens `{}` and `{}`", here.name, there.name),
        factors: vec![
            factor(FactorName::Reach, 0.9, "from the weaker environment into production"),
            factor(FactorName::Privilege, 0.8, "it opens production; which is which is concluded from the names"),
            factor(FactorName::Sensitivity, 0.9, "a credential of production"),
            input_trust_of_server(graph, other.from),
        ],
        path: vec![
            start(graph, at)?.noted("one value, known by its salted digest"),
            holder(here, production, "production, by its name"),
            holder(there, other, "not production, by its name"),
        ],
        choke_point: Some(credential.id.clone()),
        fix: format!("issue a credential of its own for `{}`, then rotate this one", here.name),
    })
}

fn holder(entity: &Entity, held: &Relation, note: &str) -> Step {
    Step {
        entity: entity.id.clone(),
        name: entity.name.clone(),
        via: None,
        note: Some(note.to_owned()),
        evidence: held.evidence.clone(),
    }
}
