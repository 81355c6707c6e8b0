//! The findings scored by OWASP AIVSS (v0.8): a base score, raised by what an agent adds, lowered by what mitigates.
//!
//! `AARS = (10 - base) × (sum of ten factors ÷ 10) × threat multiplier`, `score = (base + AARS) × mitigation`. A base
//! from a CVSS vector would be a vulnerability's; ours is ten times the mean of a finding's dangers, and says so. A v1
//! amendment, `base + AARS × mitigation`, is proposed and given beside it.

use serde_json::{Value, json};

use super::Report;
use crate::behaviour::{self, Behaviour};
use crate::finding::{FactorName, Finding, score};
use crate::model::Graph;
use crate::observation::{EntityKind, RelationKind};

/// Every finding with its base, ten factors, mitigation and both scores.
pub fn aivss(report: &Report) -> String {
    let findings: Vec<Value> = report.findings.iter().map(|finding| scored(&report.graph, finding)).collect();
    super::pretty(
        &json!({ "method": "OWASP AIVSS v0.8", "base": "ten times the mean of the finding's dangers; no CVSS vector", "findings": findings }),
    )
}

/// What is not known counts as half.
const UNKNOWN: f64 = 0.5;

fn scored(graph: &Graph, finding: &Finding) -> Value {
    let dangers: Vec<_> = finding.factors.iter().filter(|factor| factor.name != FactorName::Control).cloned().collect();
    let base = 10.0 * score(&dangers);
    let mitigation: f64 = finding
        .factors
        .iter()
        .filter(|factor| factor.name == FactorName::Control)
        .map(|factor| 1.0 - factor.value)
        .product();
    let factors = factors(graph, finding);
    let sum: f64 = factors.iter().map(|(_, value)| value).sum();
    let threat = 1.0;
    let aars = (10.0 - base) * (sum / 10.0) * threat;
    let round = |value: f64| (value.clamp(0.0, 10.0) * 10.0).round() / 10.0;
    json!({
        "finding": finding.id,
        "rule": finding.rule,
        "base": round(base),
        "factors": factors.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>(),
        "threat_multiplier": threat,
        "aars": round(aars),
        "mitigation": (mitigation * 100.0).round() / 100.0,
        "score": round((base + aars) * mitigation),
        "score_v1_proposed": round(base + aars * mitigation),
    })
}

fn factors(graph: &Graph, finding: &Finding) -> [(&'static str, f64); 10] {
    let agents = agents(graph, finding);
    let placed: Vec<behaviour::Placed> = agents.iter().flat_map(|agent| behaviour::of_agent(graph, *agent)).collect();
    let does = |wanted: Behaviour| placed.iter().any(|placed| placed.sign.behaviour == wanted);
    let known = |is: bool| {
        if is {
            1.0
        } else if agents.is_empty() {
            UNKNOWN
        } else {
            0.0
        }
    };
    let asks = |agent: &u32| graph.entity(*agent).is_some_and(crate::rules::acts_without_asking);
    let edits = finding.rule == "agent-edits-itself";
    [
        ("autonomy of action", if agents.iter().any(asks) { 1.0 } else { UNKNOWN }),
        ("tool use", known(!placed.is_empty())),
        ("natural language interface", 1.0),
        ("contextual awareness", known(does(Behaviour::ReadsSensitive))),
        ("non-determinism", 1.0),
        ("opacity", UNKNOWN),
        ("persistence of state", if does(Behaviour::Writes) { 1.0 } else { UNKNOWN }),
        ("dynamic identity", UNKNOWN),
        ("multi-agent interaction", if agents.len() > 1 { 1.0 } else { 0.0 }),
        ("self-modification", if edits { 1.0 } else { 0.0 }),
    ]
}

/// The agents that a finding is about.
fn agents(graph: &Graph, finding: &Finding) -> Vec<u32> {
    let subjects = finding.path.iter().map(|step| &step.entity).chain([&finding.subject]);
    let mut agents: Vec<u32> = subjects
        .filter_map(|id| graph.index(id))
        .flat_map(|at| match graph.entity(at).map(|entity| entity.id.kind) {
            Some(EntityKind::Agent) => vec![at],
            Some(EntityKind::Server) => graph.sources(at, RelationKind::Uses).map(|(agent, _)| agent).collect(),
            _ => Vec::new(),
        })
        .collect();
    agents.sort_unstable();
    agents.dedup();
    agents
}
