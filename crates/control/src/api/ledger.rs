//! The ledger: how long it is, what was last signed, whether it verifies.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Control;
use crate::ledger_view::{self, CheckpointView};
use crate::problem::Problem;
use crate::replica::follow::CopyState;
use crate::verification::Verification;

/// The state of the ledger.
#[derive(Serialize, ToSchema)]
pub(crate) struct LedgerView {
    /// How many entries are durable.
    entries: u64,
    /// Where it lies.
    folder: String,
    /// The last signed checkpoint.
    checkpoint: Option<CheckpointView>,
    /// The verification that runs, else the last one.
    verification: Option<Verification>,
    /// How the copy stands that the gateway keeps, if the settings name one.
    copy: Option<CopyState>,
}

pub(super) fn view(control: &Control) -> Result<LedgerView, Problem> {
    Ok(LedgerView {
        entries: control.ledger().len(),
        folder: control.options().ledger.display().to_string(),
        checkpoint: ledger_view::checkpoint(control.ledger()),
        verification: control.verification()?,
        copy: CopyState::read(&control.options().ledger),
    })
}

/// The state of the ledger.
#[utoipa::path(get, path = "/api/ledger", responses((status = 200, body = LedgerView), (status = 401, body = Problem)))]
pub(crate) async fn ledger(State(control): State<Control>) -> Result<Json<LedgerView>, Problem> {
    control.blocking(|control| Ok(Json(view(control)?))).await
}

/// Starts a verification of the whole ledger, or answers the one that runs.
#[utoipa::path(post, path = "/api/ledger/verify", responses((status = 202, body = Verification), (status = 401, body = Problem)))]
pub(crate) async fn verify(State(control): State<Control>) -> (StatusCode, Json<Verification>) {
    (StatusCode::ACCEPTED, Json(control.start_verification()))
}
