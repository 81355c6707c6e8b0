//! Asks, and their answers.

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Control;
use crate::asks::AnswerRequest;
use crate::guard::Caller;
use crate::problem::Problem;
use crate::view::Ask;

/// Which asks.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AskQuery {
    /// `open` (unless told) or `closed`.
    state: Option<String>,
}

/// Asks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Asks {
    /// Open ones oldest first, closed ones newest first.
    asks: Vec<Ask>,
    /// The time here, for counting down to expiry.
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
}

const CLOSED: u32 = 50;

/// Open asks, or the last closed ones.
#[utoipa::path(get, path = "/api/asks", params(AskQuery), responses((status = 200, body = Asks), (status = 401, body = Problem)))]
pub(crate) async fn asks(State(control): State<Control>, Query(query): Query<AskQuery>) -> Result<Json<Asks>, Problem> {
    let closed = query.state.as_deref() == Some("closed");
    control
        .blocking(move |control| {
            let now = Timestamp::now();
            let found = if closed { control.store().closed_asks(now, CLOSED) } else { control.store().open_asks(now) }?;
            Ok(Json(Asks { asks: found.into_iter().map(|ask| control.complete(ask, now)).collect(), now }))
        })
        .await
}

/// One ask.
#[utoipa::path(get, path = "/api/asks/{entry}", params(("entry" = u64, Path, description = "The ask's ledger entry.")),
    responses((status = 200, body = Ask), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn ask(State(control): State<Control>, Path(entry): Path<u64>) -> Result<Json<Ask>, Problem> {
    control.catch_up().await?;
    control.blocking(move |control| Ok(Json(control.ask_now(entry)?))).await
}

/// Answers an ask, once.
#[utoipa::path(post, path = "/api/asks/{entry}/answer", request_body = AnswerRequest,
    params(("entry" = u64, Path, description = "The ask's ledger entry.")),
    responses((status = 200, body = Ask), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn answer(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Path(entry): Path<u64>,
    Json(request): Json<AnswerRequest>,
) -> Result<Json<Ask>, Problem> {
    Ok(Json(control.answer(entry, request, caller).await?))
}
