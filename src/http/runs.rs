//! `GET /api/runs`, `GET /api/runs/{id}`.

use axum::Json;
use axum::extract::{
    Path, Query, State,
    rejection::{PathRejection, QueryRejection},
};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Viewer;
use super::{App, Problem};
use runbook::run::Run;
use runbook::words::UnknownWord;
use store::{Filter, UnreadableRun};

/// Runs a page, unless said, and at most.
const LIMIT: (i64, i64) = (50, 200);

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Runs of this incident only.
    incident_id: Option<String>,
    /// Runs of this region only.
    region: Option<String>,
    /// Runs in this state only: `queued`, `suppressed`, `running`, `done`, `failed` or `cancelled`.
    #[param(pattern = "^(queued|suppressed|running|done|failed|cancelled|)$")]
    state: Option<String>,
    /// How many at most: 50 unless said; more than 200 is 200.
    #[param(minimum = 1, default = 50)]
    limit: Option<i64>,
    /// The `next` of the page before.
    before: Option<String>,
}

/// Part of the runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Listing {
    /// Newest first, without their steps.
    runs: Vec<Run>,
    /// What to give as `before` for the next page; null where this is the last.
    next: Option<String>,
    /// Those of this page of which nothing can be shown, since they can't be read in the database. Absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<Unreadable>,
}

/// A run of which nothing can be shown but that there is one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Unreadable {
    /// Its id.
    id: String,
    /// What can't be read.
    what: String,
}

/// Runs, newest first.
#[utoipa::path(get, path = "/api/runs", operation_id = "list_runs", tag = "runs", params(Asked), security(("bearer" = [])), responses(
    (status = 200, description = "A part of the run list", body = Listing),
    (status = 400, response = super::answers::BadRequest),
    (status = 401, response = super::answers::Unauthorized),
    (status = 503, response = super::answers::Unavailable),
))]
pub(super) async fn list(
    _: Viewer,
    State(app): State<App>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Listing>, Problem> {
    let bad = |what: String| Problem::new(StatusCode::BAD_REQUEST, what);
    let Query(asked) = asked.map_err(|e| bad(e.body_text()))?;
    let limit = asked.limit.unwrap_or(LIMIT.0);
    if limit < 1 {
        return Err(bad("limit must be at least 1".into()));
    }
    let limit = limit.min(LIMIT.1);
    let unknown = |e: UnknownWord| bad(e.to_string());
    // An empty value filters nothing.
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    let state = given(asked.state).map(|s| s.parse()).transpose().map_err(unknown)?;
    let filter = Filter {
        incident_id: given(asked.incident_id),
        region: given(asked.region),
        state,
        verdict: None,
        before: given(asked.before),
        // One more tells whether there is a next page.
        limit: limit + 1,
    };
    let mut runs = app.list_runs_with_activity(&filter).await?;
    let more = runs.len() as i64 > limit;
    runs.truncate(usize::try_from(limit).unwrap_or_default());
    let id = |run: &Result<Run, UnreadableRun>| run.as_ref().map_or_else(|u| u.id.clone(), |run| run.id.clone());
    let next = more.then(|| runs.last().map(id)).flatten();
    let mut listing = Listing { runs: Vec::new(), next, unreadable: Vec::new() };
    for run in runs {
        match run {
            Ok(run) => listing.runs.push(run),
            Err(UnreadableRun { id, what }) => listing.unreadable.push(Unreadable { id, what: what.to_owned() }),
        }
    }
    Ok(Json(listing))
}

/// A run with its steps.
#[utoipa::path(get, path = "/api/runs/{id}", operation_id = "get_run", tag = "runs", params(("id" = String, Path, description = "The run's id")),
    security(("bearer" = [])), responses(
    (status = 200, description = "The run", body = Run),
    (status = 400, response = super::answers::BadRequest),
    (status = 401, response = super::answers::Unauthorized),
    (status = 404, response = super::answers::NotFound),
    (status = 500, description = "It can't be read in the database", body = super::ProblemDetails,
        content_type = "application/problem+json"),
    (status = 503, response = super::answers::Unavailable),
))]
pub(super) async fn one(
    _: Viewer,
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Run>, Problem> {
    let Path(id) = id.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    match app.run(&id).await? {
        Some(run) => Ok(Json(run)),
        None => Err(Problem::new(StatusCode::NOT_FOUND, "no run has this id")),
    }
}
