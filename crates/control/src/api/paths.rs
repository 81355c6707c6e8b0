//! Attack paths over the last scan, and search in it.

use axum::Json;
use axum::extract::{Query, State};
use graph::paths::{Goal, Model, Place, Start};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Control;
use crate::problem::Problem;
use crate::view::paths::{PathsView, ThingView, search as found};

/// From where to where.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PathQuery {
    /// `outside` (the default), `outsiders`, `agents`, `anyone` (outside and agents), or an id.
    from: Option<String>,
    /// `jewels` (the default), `admin`, `data`, or an id.
    to: Option<String>,
}

/// What to search for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// Words that must all be in the name or id.
    text: Option<String>,
}

/// What a search found.
#[derive(Serialize, ToSchema)]
pub(crate) struct Things {
    /// The first of them, agents and data before the rest.
    things: Vec<ThingView>,
    /// How many there are.
    total: u64,
}

const TEXT_MAX: usize = 200;
const THINGS_MAX: usize = 50;

/// Every path between some starts and goals, grouped, with the grants that end them.
#[utoipa::path(get, path = "/api/paths", params(PathQuery),
    responses((status = 200, body = PathsView), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn paths(
    State(control): State<Control>,
    Query(query): Query<PathQuery>,
) -> Result<Json<PathsView>, Problem> {
    control.blocking(move |control| Ok(Json(answer(control, &query)?))).await
}

fn answer(control: &Control, query: &PathQuery) -> Result<PathsView, Problem> {
    let scan = control.scan().ok_or_else(|| {
        Problem::not_found("nothing was scanned when the console started: start `bailiwick up` without `--no-scan`")
    })?;
    let graph = &*scan.graph;
    let unknown = |error: graph::paths::UnknownName| Problem::not_found(&error.to_string());
    let starts: Vec<Place> = match query.from.as_deref().unwrap_or("outside") {
        "anyone" => [Start::Outside, Start::Agents].iter().flat_map(|start| start.places(graph)).collect(),
        from => Start::parse(graph, from).map_err(unknown)?.places(graph),
    };
    let goals = Goal::parse(graph, query.to.as_deref().unwrap_or("jewels")).map_err(unknown)?.entities(graph);
    let model = Model::new(graph);
    let found = model.find(&starts, &goals);
    Ok(PathsView::of(&model, &found, |source, line| {
        connect::hunk::File::read(std::path::Path::new(source), source)?.patch(line)
    }))
}

/// Things of the last scan by words of their name.
#[utoipa::path(get, path = "/api/search", params(SearchQuery), responses((status = 200, body = Things), (status = 401, body = Problem)))]
pub(crate) async fn search(
    State(control): State<Control>,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Things>, Problem> {
    let text: String = query.text.unwrap_or_default().chars().take(TEXT_MAX).collect();
    let work = move |control: &Control| {
        let scan = control.scan();
        let (things, total) = scan.map(|scan| found(&scan.graph, &text, THINGS_MAX)).unwrap_or_default();
        Ok(Json(Things { things, total }))
    };
    control.blocking(work).await
}
