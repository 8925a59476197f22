//! `GET /runs/{id}/decisions`: what was known when, and what was decided by it, step by step. Its links need no script.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::run::{Asked, looker};
use super::{Looker, show};
use crate::http::auth::Reader;
use crate::http::{App, Problem};
use runbook::decided::Decided;
use runbook::text::bound;
use store::Decision;

/// The most facts that a view shows of one decision.
const MOST_FACTS: usize = 600;
/// How much of one fact it shows.
const MOST_SHOWN: usize = 300;
/// What of a decision is its outcome, and no fact that it was decided by.
const OUTCOMES: [&str; 7] = ["what", "reply", "rung", "found", "decision", "after", "actions"];

#[derive(Template)]
#[template(path = "decisions.html")]
struct ListPage<'a> {
    looker: &'a Looker,
    run_id: &'a str,
    lines: Vec<Line>,
}

/// One decision in the list.
struct Line {
    place: usize,
    at: String,
    what: &'static str,
    decided: String,
    /// What today's rules say of it, where that is another thing.
    otherwise: Option<String>,
    /// It is about another run of the alert, or beside all of them.
    elsewhere: bool,
}

#[derive(Template)]
#[template(path = "decision.html")]
struct StepPage<'a> {
    looker: &'a Looker,
    run_id: &'a str,
    line: Line,
    count: usize,
    facts: Vec<Fact>,
    more: usize,
}

/// Something that was known.
struct Fact {
    name: String,
    value: String,
    /// The decision of this kind before it was not made by this.
    is_new: bool,
}

fn line(place: usize, run_id: &str, decision: &Decision) -> Line {
    let elsewhere = decision.run_id.as_deref() != Some(run_id);
    let (what, decided, otherwise) = match &decision.decided {
        Ok(decided) => (decided.what(), decided.said(), decided.again().err().map(|otherwise| otherwise.is)),
        Err(error) => ("unknown", format!("this version can't read it: {error}"), None),
    };
    let at = decision.at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    Line { place, at, what, decided: bound(&decided, 2 * MOST_SHOWN), otherwise, elsewhere }
}

/// All that a decision was made by, each fact by its name.
fn facts_of(decided: &Decided) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    if let Ok(Value::Object(members)) = serde_json::to_value(decided) {
        for (name, value) in members.iter().filter(|(name, _)| !OUTCOMES.contains(&name.as_str())) {
            flatten(name, value, &mut facts);
        }
    }
    facts
}

fn flatten(name: &str, value: &Value, facts: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(member, value)| flatten(&format!("{name}.{member}"), value, facts));
        }
        Value::Array(values) if !values.is_empty() => {
            values.iter().enumerate().for_each(|(n, value)| flatten(&format!("{name} {}", n + 1), value, facts));
        }
        Value::String(text) => drop(facts.insert(name.to_owned(), bound(text, MOST_SHOWN))),
        Value::Null => drop(facts.insert(name.to_owned(), "none".to_owned())),
        Value::Bool(yes) => drop(facts.insert(name.to_owned(), if *yes { "yes" } else { "no" }.to_owned())),
        Value::Number(_) => drop(facts.insert(name.to_owned(), value.to_string())),
        Value::Object(_) | Value::Array(_) => drop(facts.insert(name.to_owned(), "none".to_owned())),
    }
}

fn bad(rejection: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, rejection.to_string())
}

async fn decisions(app: &App, run_id: &str) -> Result<Vec<Decision>, Problem> {
    let found = app.store.in_time(app.store.decisions(run_id)).await?;
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("no run {run_id:?} is known")))
}

/// What was decided about a run and its alert, in order.
#[utoipa::path(get, path = "/runs/{id}/decisions", operation_id = "decisions_page", tag = "pages", security((), ("bearer" = []), ("session" = [])), params(
    ("id" = String, Path, description = "The run's id"),
    ("key" = Option<String>, Query, description = "The key of a note's link, for this run alone"),
), responses(
    (status = 200, description = "The page", content_type = "text/html", body = String),
    (status = 400, response = crate::http::answers::BadRequest),
    (status = 401, response = crate::http::answers::Unauthorized),
    (status = 404, response = crate::http::answers::NotFound),
    (status = 503, response = crate::http::answers::Unavailable),
))]
pub(super) async fn list(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
    reader: Result<Reader, Problem>,
) -> Result<Response, Problem> {
    let (Path(id), Query(asked)) = (id.map_err(bad)?, asked.map_err(bad)?);
    let looker = looker(&app, &id, &asked, reader)?;
    let decisions = decisions(&app, &id).await?;
    let lines = decisions.iter().enumerate().map(|(n, decision)| line(n + 1, &id, decision)).collect();
    show(&ListPage { looker: &looker, run_id: &id, lines })
}

/// One of them, with all that was known then.
#[utoipa::path(get, path = "/runs/{id}/decisions/{place}", operation_id = "decision_page", tag = "pages", security((), ("bearer" = []), ("session" = [])), params(
    ("id" = String, Path, description = "The run's id"),
    ("place" = u32, Path, description = "Which one, from 1", minimum = 1),
    ("key" = Option<String>, Query, description = "The key of a note's link, for this run alone"),
), responses(
    (status = 200, description = "The page", content_type = "text/html", body = String),
    (status = 400, response = crate::http::answers::BadRequest),
    (status = 401, response = crate::http::answers::Unauthorized),
    (status = 404, response = crate::http::answers::NotFound),
    (status = 503, response = crate::http::answers::Unavailable),
))]
pub(super) async fn step(
    State(app): State<App>,
    path: Result<Path<(String, u32)>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
    reader: Result<Reader, Problem>,
) -> Result<Response, Problem> {
    let (Path((id, place)), Query(asked)) = (path.map_err(bad)?, asked.map_err(bad)?);
    let looker = looker(&app, &id, &asked, reader)?;
    let decisions = decisions(&app, &id).await?;
    let at = usize::try_from(place).unwrap_or_default();
    let Some(decision) = at.checked_sub(1).and_then(|n| decisions.get(n)) else {
        let why = format!("run {id:?} has {} decisions, and none with the number {place}", decisions.len());
        return Err(Problem::new(StatusCode::NOT_FOUND, why));
    };
    let mut facts = Vec::new();
    if let Ok(decided) = &decision.decided {
        let same_kind = |other: &&Decided| std::mem::discriminant(*other) == std::mem::discriminant(decided);
        let before = decisions[..at - 1].iter().rev().filter_map(|d| d.decided.as_ref().ok()).find(same_kind);
        let before = before.map(facts_of);
        for (name, value) in facts_of(decided) {
            let is_new = before.as_ref().is_some_and(|before| before.get(&name) != Some(&value));
            facts.push(Fact { name, value, is_new });
        }
    }
    let more = facts.len().saturating_sub(MOST_FACTS);
    facts.truncate(MOST_FACTS);
    show(&StepPage { looker: &looker, run_id: &id, line: line(at, &id, decision), count: decisions.len(), facts, more })
}
