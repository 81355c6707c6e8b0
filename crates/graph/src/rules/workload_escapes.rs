//! The rule `workload-escapes`.

use super::assess::factor;
use super::by_path::{named, steps};
use super::{Match, Rule};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::EntityKind;
use crate::paths::{Model, Place};

pub(super) const RULE: Rule = Rule {
    id: "workload-escapes",
    title: "A workload of a cluster can get root on a node or administer the cluster",
    why: "Whoever breaks into the container, an agent's or an MCP server's, has the machine below it or the whole cluster, \
          and with it every other workload's secrets.",
    fix: "Take the setting or the role rule of the path away: host mounts, privileged containers, `pods/exec`, `escalate`.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI05"),
        Cite::Agentic("ASI03"),
        Cite::Maestro("L4"),
        Cite::Nist("AC-6"),
        Cite::Nist("SC-39"),
    ],
    fires: "identity pod cloud=kubernetes role=workload\npod acts_as node\nidentity node cloud=kubernetes role=host administrator=true",
    silent: "identity pod cloud=kubernetes role=workload\npod acts_as sa\nidentity sa cloud=kubernetes role=principal\nidentity node cloud=kubernetes role=host administrator=true",
    check,
};

fn in_cluster(entity: &Entity) -> bool {
    entity.text("cloud") == Some("kubernetes")
}

fn check(graph: &Graph) -> Vec<Match> {
    let of =
        |wanted: fn(&Entity) -> bool| graph.of_kind(EntityKind::Identity).filter(move |(_, entity)| wanted(entity));
    let starts: Vec<Place> = of(|entity| in_cluster(entity) && entity.text("role") == Some("workload"))
        .map(|(at, _)| Place::Entity(at))
        .collect();
    let goals: Vec<u32> =
        of(|entity| in_cluster(entity) && entity.flag("administrator") == Some(true)).map(|(at, _)| at).collect();
    if starts.is_empty() || goals.is_empty() {
        return Vec::new();
    }
    let model = Model::new(graph);
    let mut paths = model.pairs(&starts, &goals);
    paths.sort_by_key(|path| (path.from, !path.certain, path.steps.len(), path.to));
    paths.dedup_by_key(|path| path.from);
    let matched = |path: &crate::paths::Path| {
        let Place::Entity(from) = path.from else { return None };
        let known = if path.certain { 1.0 } else { 0.7 };
        Some(Match {
            subject: graph.entity(from)?.id.clone(),
            part: String::new(),
            message: format!("whoever breaks into `{}` gets `{}`", named(graph, from), named(graph, path.to)),
            factors: vec![
                factor(FactorName::Reach, 0.7 * known, "whoever runs code in the container"),
                factor(FactorName::Privilege, 1.0, "a node or the cluster"),
                factor(FactorName::Sensitivity, 0.9, "every other workload's secrets"),
                factor(FactorName::InputTrust, 0.7, "who directs the workload is not known"),
            ],
            path: steps(graph, &model, path),
            choke_point: None,
            fix: "take a step of the path away: the pod's setting or the role's rule that the path names".to_owned(),
        })
    };
    paths.iter().filter_map(matched).collect()
}
