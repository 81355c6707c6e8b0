//! What the last scan found.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Control;
use crate::problem::Problem;
use crate::view::{FindingView, Inventory};

/// What the last scan found.
#[derive(Serialize, ToSchema)]
pub(crate) struct InventoryView {
    /// When; absent before the first scan.
    #[schema(value_type = Option<String>, format = DateTime)]
    scanned: Option<Timestamp>,
    /// What.
    inventory: Inventory,
}

/// What is worrying.
#[derive(Serialize, ToSchema)]
pub(crate) struct Findings {
    /// When the scan was; absent before the first.
    #[schema(value_type = Option<String>, format = DateTime)]
    scanned: Option<Timestamp>,
    /// The findings, worst first.
    findings: Vec<FindingView>,
}

/// Agents, servers, tools, credentials and packages.
#[utoipa::path(get, path = "/api/inventory", responses((status = 200, body = InventoryView), (status = 401, body = Problem)))]
pub(crate) async fn inventory(State(control): State<Control>) -> Json<InventoryView> {
    let scan = control.scan();
    Json(InventoryView {
        scanned: scan.as_ref().map(|scan| scan.time),
        inventory: scan.map(|scan| scan.inventory.clone()).unwrap_or_default(),
    })
}

/// What the rules concluded.
#[utoipa::path(get, path = "/api/findings", responses((status = 200, body = Findings), (status = 401, body = Problem)))]
pub(crate) async fn findings(State(control): State<Control>) -> Json<Findings> {
    let scan = control.scan();
    Json(Findings {
        scanned: scan.as_ref().map(|scan| scan.time),
        findings: scan.map(|scan| scan.findings.clone()).unwrap_or_default(),
    })
}
