//! Everything that the first page shows, in one answer.

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::ledger::LedgerView;
use crate::Control;
use crate::problem::Problem;
use crate::store::{CallFilter, Counts, ScanInfo};
use crate::view::{Ask, Call, FindingView};

/// The first page.
#[derive(Serialize, ToSchema)]
pub(crate) struct Overview {
    /// The last scan; absent before the first.
    scan: Option<ScanInfo>,
    /// How many findings there are, by severity, worst first.
    findings: Vec<SeverityCount>,
    /// The worst few.
    worst: Vec<FindingView>,
    /// Asks that wait.
    asks: Vec<Ask>,
    /// Calls of the last 24 hours.
    day: Counts,
    /// The last calls, newest first.
    calls: Vec<Call>,
    /// The ledger.
    ledger: LedgerView,
}

/// How many findings have a severity.
#[derive(Serialize, ToSchema)]
pub(crate) struct SeverityCount {
    severity: String,
    count: u64,
}

const WORST: usize = 5;
const LAST_CALLS: u32 = 8;

/// Everything that the first page shows.
#[utoipa::path(get, path = "/api/overview", responses((status = 200, body = Overview), (status = 401, body = Problem)))]
pub(crate) async fn overview(State(control): State<Control>) -> Result<Json<Overview>, Problem> {
    control.blocking(|control| Ok(Json(build(control)?))).await
}

fn build(control: &Control) -> Result<Overview, Problem> {
    let now = Timestamp::now();
    let scan = control.scan();
    let findings = scan.as_deref().map_or(&[] as &[FindingView], |scan| &scan.findings);
    let asks = control.store().open_asks(now)?;
    Ok(Overview {
        scan: scan.as_deref().map(crate::StoredScan::info),
        findings: by_severity(findings),
        worst: findings.iter().take(WORST).cloned().collect(),
        asks: asks.into_iter().map(|ask| control.complete(ask, now)).collect(),
        day: control.store().counts(now - SignedDuration::from_hours(24))?,
        calls: control.store().calls(&CallFilter::default(), None, LAST_CALLS)?,
        ledger: super::ledger::view(control)?,
    })
}

fn by_severity(findings: &[FindingView]) -> Vec<SeverityCount> {
    ["critical", "high", "medium", "low", "info"]
        .into_iter()
        .map(|severity| SeverityCount {
            severity: severity.to_owned(),
            count: findings.iter().filter(|finding| finding.severity == severity).count() as u64,
        })
        .collect()
}
