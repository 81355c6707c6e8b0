//! Scans: the newest few, as the console shows them.

use std::sync::Arc;

use graph::Graph;
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Store, StoreError, millisecond};
use crate::view::{FindingView, Inventory};

/// How many scans are kept.
const SCANS_MAX: u32 = 20;

/// One scan, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredScan {
    /// When it finished.
    pub time: Timestamp,
    /// What it found.
    pub inventory: Inventory,
    /// What is worrying, worst first.
    pub findings: Vec<FindingView>,
    /// Everything that was seen, joined.
    pub graph: Arc<Graph>,
}

/// When a scan finished and what it counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScanInfo {
    /// When it finished.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Agents found.
    pub agents: u64,
    /// Servers found.
    pub servers: u64,
    /// Tools seen.
    pub tools: u64,
    /// Credentials found.
    pub credentials: u64,
    /// Packages found.
    pub packages: u64,
    /// Sources that could not be read.
    pub unread: u64,
}

impl StoredScan {
    /// What is kept of a report.
    pub fn of(report: &graph::export::Report, time: Timestamp) -> Self {
        let findings = report.findings.iter().map(FindingView::of).collect();
        Self { time, inventory: Inventory::of(report), findings, graph: Arc::new(report.graph.clone()) }
    }

    /// Its counts.
    pub fn info(&self) -> ScanInfo {
        let inventory = &self.inventory;
        let of_agents: usize = inventory.agents.iter().map(|agent| agent.tools.len()).sum();
        let of_servers: usize = inventory.servers.iter().map(|server| server.tools.len()).sum();
        ScanInfo {
            time: self.time,
            agents: inventory.agents.len() as u64,
            servers: inventory.servers.len() as u64,
            tools: (of_agents + of_servers) as u64,
            credentials: inventory.credentials.len() as u64,
            packages: inventory.packages.len() as u64,
            unread: inventory.unread.len() as u64,
        }
    }
}

impl Store {
    /// Keeps a scan, and of the older ones the newest few.
    pub fn put_scan(&self, scan: &StoredScan) -> Result<(), StoreError> {
        let inventory = serde_json::to_string(&scan.inventory)?;
        let findings = serde_json::to_string(&scan.findings)?;
        let graph = serde_json::to_string(&*scan.graph)?;
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        transaction.execute(
            "INSERT INTO scan (time_ms, inventory, findings, graph) VALUES (?1, ?2, ?3, ?4)",
            params![millisecond(scan.time), inventory, findings, graph],
        )?;
        transaction
            .execute("DELETE FROM scan WHERE id NOT IN (SELECT id FROM scan ORDER BY id DESC LIMIT ?1)", [SCANS_MAX])?;
        transaction.commit()?;
        Ok(())
    }

    /// The newest scan.
    pub fn last_scan(&self) -> Result<Option<StoredScan>, StoreError> {
        self.scan_before(0)
    }

    /// The scan that is this many older than the newest.
    pub fn scan_before(&self, age: u32) -> Result<Option<StoredScan>, StoreError> {
        let found: Option<(i64, String, String, String)> = self
            .lock()
            .query_row(
                "SELECT time_ms, inventory, findings, graph FROM scan ORDER BY id DESC LIMIT 1 OFFSET ?1",
                [age],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .optional()?;
        let Some((time, inventory, findings, graph)) = found else { return Ok(None) };
        let graph = if graph.is_empty() { Graph::default() } else { serde_json::from_str(&graph)? };
        Ok(Some(StoredScan {
            time: Timestamp::from_millisecond(time).unwrap_or_default(),
            inventory: serde_json::from_str(&inventory)?,
            findings: serde_json::from_str(&findings)?,
            graph: Arc::new(graph),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_scan_is_found_and_old_ones_are_dropped() {
        let store = Store::in_memory().unwrap();
        assert_eq!(store.last_scan().unwrap(), None);
        for second in 0..30 {
            let time = Timestamp::from_second(second).unwrap();
            store
                .put_scan(&StoredScan {
                    time,
                    inventory: Inventory::default(),
                    findings: Vec::new(),
                    graph: Arc::default(),
                })
                .unwrap();
        }
        assert_eq!(store.last_scan().unwrap().unwrap().time, Timestamp::from_second(29).unwrap());
        assert_eq!(store.scan_before(1).unwrap().unwrap().time, Timestamp::from_second(28).unwrap());
        let kept: u32 = store.lock().query_row("SELECT count(*) FROM scan", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, SCANS_MAX);
    }
}
