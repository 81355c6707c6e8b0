//! The rule `cluster-identity-in-cloud`.

use super::assess::factor;
use super::{Match, Rule, start, step, takeover};
use crate::finding::{FactorName, Step};
use crate::frameworks::Cite;
use crate::model::{Graph, Relation};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "cluster-identity-in-cloud",
    title: "A cluster's identity acts as a cloud role that reads data",
    why: "Whoever can run a pod with the service account, or break into one, has the role and the data behind it.",
    fix: "Let the trust policy name the one service account and namespace, and the role read only what that workload is for.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI03"),
        Cite::Maestro("L4"),
        Cite::Nist("AC-3"),
        Cite::Nist("IA-9"),
        Cite::Atlas("T0012"),
    ],
    fires: "identity kube-sa cloud=kubernetes\nkube-sa acts_as reader\nidentity reader cloud=aws\nreader reaches store customers",
    silent: "identity ci cloud=aws\nci acts_as reader\nidentity reader cloud=aws\nreader reaches store customers",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    takeover::acting(graph).filter_map(|relation| matched(graph, relation)).collect()
}

fn matched(graph: &Graph, relation: &Relation) -> Option<Match> {
    let (from, to) = (graph.entity(relation.from)?, graph.entity(relation.to)?);
    if from.text("cloud") != Some("kubernetes") || to.text("cloud").is_none_or(|cloud| cloud == "kubernetes") {
        return None;
    }
    // A token that somebody may ask for is its account's, of which the same is told.
    if from.text("role") == Some("inner") {
        return None;
    }
    let mut stores =
        graph.targets(relation.to, RelationKind::Reaches).filter(|(_, entity)| entity.id.kind == EntityKind::Store);
    let (store_at, store) = stores.next()?;
    let more = stores.count();
    let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let certain = relation.text("truth") != Some("unknown");
    let path: Vec<Step> = [
        start(graph, relation.from)?,
        step(graph, relation.from, RelationKind::ActsAs, relation.to)?,
        step(graph, relation.to, RelationKind::Reaches, store_at)?,
    ]
    .into();
    Some(Match {
        subject: from.id.clone(),
        part: to.id.key.clone(),
        message: format!("`{}` acts as `{}`, which reads `{}`{and_more}", from.name, to.name, store.name),
        factors: vec![
            factor(FactorName::Reach, if certain { 0.7 } else { 0.5 }, "whoever runs or enters a pod with the account"),
            factor(FactorName::Privilege, 0.7, format!("what `{}` may do", to.name)),
            factor(FactorName::Sensitivity, 0.8, format!("`{}`{and_more}", store.name)),
            factor(FactorName::InputTrust, 0.6, "who directs the workload is not known"),
        ],
        path,
        choke_point: Some(to.id.clone()),
        fix: format!(
            "let `{}` trust no service account beside those of this workload, and read only what it is for",
            to.name
        ),
    })
}
