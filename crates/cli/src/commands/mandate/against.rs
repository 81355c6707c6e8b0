//! A mandate beside what its agents can do and did.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};
use graph::builtin::joined;
use graph::compare::{Compared, Row, Standing, compare};
use graph::{Basis, EntityId, EntityKind, Evidence, Fact, Observation, Props, RelationKind, visible};

use super::super::estate::scanned;
use super::super::paths::joined::Reader;
use crate::home::Home;

/// Every agent that a mandate governs.
pub(super) fn compared(path: &Path, cloud: &[PathBuf], home: &Home) -> anyhow::Result<Vec<Compared>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut observations = scanned(home, &[folder.to_owned()], cloud)?.said();
    observations.extend(offered(&observations, home));
    Ok(compare(&joined(observations), &Reader::new(home)?.tools()))
}

/// The tools that the gateway has seen of these servers.
fn offered(observations: &[Observation], home: &Home) -> Vec<Observation> {
    let known = super::super::policy::read_tools(home).unwrap_or_default();
    let servers = observations.iter().filter_map(|observation| match &observation.fact {
        Fact::Entity { id, name, .. } if id.kind == EntityKind::Server => Some((id, name)),
        _ => None,
    });
    let tools = servers.flat_map(|(id, name)| {
        known.iter().filter(move |facts| facts.id.server == *name).map(move |facts| (id, facts.id.name.clone()))
    });
    tools.flat_map(|(server, tool)| offer(server, &tool)).collect()
}

fn offer(server: &EntityId, tool: &str) -> [Observation; 2] {
    let id = EntityId::new(EntityKind::Tool, format!("{}/{tool}", server.key));
    let evidence = Evidence {
        source: "the gateway's catalogue".to_owned(),
        line: None,
        connector: "gateway".to_owned(),
        basis: Basis::Collected,
    };
    let entity = Fact::Entity { id: id.clone(), name: tool.to_owned(), props: Props::new() };
    let relation = Fact::Relation { from: server.clone(), kind: RelationKind::Offers, to: id, props: Props::new() };
    [entity, relation].map(|fact| Observation { fact, evidence: evidence.clone() })
}

/// For people: one table for each agent, what it reaches, and the policy that leaves what was meant.
pub(super) fn text(compared: &[Compared]) -> String {
    let mut text = String::new();
    for one in compared {
        let _ = writeln!(text, "\n{} ({}): {}", one.client, one.agent.key, one.purpose);
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["", "MEANT", "CAN", "DID", ""]);
        for row in &one.rows {
            table.add_row(cells(row));
        }
        let _ = writeln!(text, "{table}");
        if one.rows.iter().any(|row| row.used.is_none()) {
            let _ = writeln!(
                text,
                "DID: calls of tools as the ledger has them; `?` where it has no entry, and of all else"
            );
        }
        for (kind, names) in &one.reaches {
            let shown = names.get(..names.len().min(5)).unwrap_or_default().join(", ");
            let more = names.len().saturating_sub(5);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = writeln!(text, "reaches {kind}: {shown}{more}");
        }
        let count = |wanted: Standing| one.rows.iter().filter(|row| row.standing() == wanted).count();
        let _ = writeln!(
            text,
            "{} excess, {} unused, {} absent",
            count(Standing::Excess),
            count(Standing::Unused),
            count(Standing::Absent)
        );
        if let Some(policy) = &one.policy {
            let _ = writeln!(
                text,
                "\nhelp: this policy leaves it what was meant; put it into the home's `policy/` folder\n"
            );
            policy.lines().for_each(|line| {
                let _ = writeln!(text, "    {line}");
            });
        }
    }
    visible::text(&text)
}

fn cells(row: &Row) -> [String; 5] {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let standing = match row.standing() {
        Standing::Fits => "",
        Standing::Excess => "excess: take it away, or name it in the mandate",
        Standing::Unused => "unused: strike it if it is not needed",
        Standing::Absent => "absent: nothing offers it",
        Standing::Unsaid => "the mandate says nothing",
    };
    let used = row.used.map_or_else(|| "?".to_owned(), |used| used.to_string());
    [row.what.clone(), row.meant.map_or_else(|| "-".to_owned(), yes), yes(row.granted), used, standing.to_owned()]
}
