//! Stops: agents, servers or everything.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Control;
use crate::guard::Caller;
use crate::problem::Problem;
use crate::stops::{Stop, StopRequest};

/// What is stopped.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stops {
    /// Each, by name.
    stops: Vec<Stop>,
}

/// What is stopped.
#[utoipa::path(get, path = "/api/stops", responses((status = 200, body = Stops), (status = 401, body = Problem)))]
pub(crate) async fn stops(State(control): State<Control>) -> Result<Json<Stops>, Problem> {
    control.blocking(|control| Ok(Json(Stops { stops: control.stopped() }))).await
}

/// Stops an agent, a server or everything, or lets it go on.
#[utoipa::path(post, path = "/api/stops", request_body = StopRequest,
    responses((status = 200, body = Stops), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn set_stop(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<StopRequest>,
) -> Result<Json<Stops>, Problem> {
    control.blocking(move |control| Ok(Json(Stops { stops: control.set_stop(request, caller)? }))).await
}
