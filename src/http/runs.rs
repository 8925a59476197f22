//! `GET /api/runs`, `GET /api/runs/{id}`.

use axum::Json;
use axum::extract::{
    Path, Query, State,
    rejection::{PathRejection, QueryRejection},
};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Viewer;
use super::{App, Problem};
use crate::run::Run;
use crate::store::Filter;

/// Runs a page, unless said, and at most.
const LIMIT: (i64, i64) = (50, 200);

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    incident_id: Option<String>,
    region: Option<String>,
    state: Option<String>,
    limit: Option<i64>,
    before: Option<String>,
}

pub(super) async fn list(
    _: Viewer,
    State(app): State<App>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let bad = |what: String| Problem::new(StatusCode::BAD_REQUEST, what);
    let Query(asked) = asked.map_err(|e| bad(e.body_text()))?;
    let limit = asked.limit.unwrap_or(LIMIT.0);
    if limit < 1 {
        return Err(bad("limit must be at least 1".into()));
    }
    let limit = limit.min(LIMIT.1);
    let state = asked.state.filter(|s| !s.is_empty()).map(|s| s.parse()).transpose().map_err(bad)?;
    let filter = Filter {
        incident_id: asked.incident_id,
        region: asked.region,
        state,
        verdict: None,
        before: asked.before,
        // One more tells whether there is a next page.
        limit: limit + 1,
    };
    let mut runs = app.store.runs(&filter).await?;
    let more = runs.len() as i64 > limit;
    runs.truncate(usize::try_from(limit).unwrap_or_default());
    let next = more.then(|| runs.last().map(|run| run.id.clone())).flatten();
    Ok(Json(json!({"runs": runs, "next": next})))
}

pub(super) async fn one(
    _: Viewer,
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Run>, Problem> {
    let Path(id) = id.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    match app.store.run(&id).await? {
        Some(run) => Ok(Json(run)),
        None => Err(Problem::new(StatusCode::NOT_FOUND, "no run has this id")),
    }
}
