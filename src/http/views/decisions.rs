//! `GET /runs/{id}/decisions`: what was known when, and what was decided by it, step by step. Its links need no script.

use std::collections::HashMap;

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::run::{Asked, looker};
use super::{Looker, filters, show, words};
use crate::http::auth::Reader;
use crate::http::{App, Problem};
use runbook::decided::Decided;
use runbook::text::bound;
use store::{Decision, Of};

/// The most facts that a view shows of one decision.
const MOST_FACTS: usize = 600;
/// How much of one fact it shows.
const MOST_SHOWN: usize = 300;
/// Decisions in one view of the list.
const A_VIEW: i64 = 200;
/// How many decisions before one are looked at for the last of its kind.
const LOOKED_BACK: i64 = 50;
/// What of a decision is its outcome, and no fact that it was decided by.
const OUTCOMES: [&str; 9] = ["what", "reply", "next", "rung", "found", "decision", "after", "actions", "wake_at"];

#[derive(Debug, Deserialize)]
pub(super) struct From {
    /// How many are left out.
    from: Option<u32>,
}

#[derive(Template)]
#[template(path = "decisions.html")]
struct ListPage<'a> {
    looker: &'a Looker,
    run_id: &'a str,
    lines: Vec<Line>,
    count: i64,
    /// Where the view before and the next begin.
    before: Option<i64>,
    next: Option<i64>,
}

/// One decision in the list.
struct Line {
    place: i64,
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
    count: i64,
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

fn line(place: i64, run_id: &str, decision: &Decision) -> Line {
    let elsewhere = decision.run_id.as_deref() != Some(run_id);
    let (what, decided, otherwise) = match &decision.decided {
        Ok(decided) => (decided.what(), decided.said(), decided.again().err().map(|otherwise| otherwise.is)),
        Err(error) => ("unknown", format!("this version can't read it: {error}"), None),
    };
    let at = words::date(decision.at);
    Line { place, at, what, decided: bound(&decided, 2 * MOST_SHOWN), otherwise, elsewhere }
}

/// All that a decision was made by, each fact by its name, in the order in which it is kept.
fn facts_of(decided: &Decided) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    if let Ok(Value::Object(members)) = serde_json::to_value(decided) {
        for (name, value) in members.iter().filter(|(name, _)| !OUTCOMES.contains(&name.as_str())) {
            flatten(name, value, &mut facts);
        }
    }
    facts
}

fn flatten(name: &str, value: &Value, facts: &mut Vec<(String, String)>) {
    let shown = match value {
        Value::Object(members) => match (members.len(), members.get("secs"), members.get("nanos")) {
            (2, Some(seconds), Some(_)) => format!("{seconds} s"),
            (0, ..) => "none".to_owned(),
            _ => {
                return members.iter().for_each(|(member, value)| flatten(&format!("{name}.{member}"), value, facts));
            }
        },
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::Array(values) => {
            let each = values.iter().enumerate();
            return each.for_each(|(n, value)| flatten(&format!("{name} {}", n + 1), value, facts));
        }
        Value::String(text) => bound(text, MOST_SHOWN),
        Value::Null => "none".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
    };
    facts.push((name.to_owned(), shown));
}

/// What somebody may see: all of the alert, or of the run whose link they have only that.
fn of<'a>(looker: &Looker, run_id: &'a str) -> Of<'a> {
    if looker.link_key.is_empty() { Of::AlertOf(run_id) } else { Of::Run(run_id) }
}

fn bad(rejection: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, rejection.to_string())
}

async fn decisions(app: &App, of: Of<'_>, from: i64, most: i64) -> Result<Vec<Decision>, Problem> {
    let found = app.store.in_time(app.store.decisions(of, from, most)).await?;
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no run has this id"))
}

/// What was decided about a run and its alert, in order.
#[utoipa::path(get, path = "/runs/{id}/decisions", operation_id = "decisions_page", tag = "pages", security((), ("bearer" = []), ("session" = [])), params(
    ("id" = String, Path, description = "The run's id"),
    ("key" = Option<String>, Query, description = "The key of a note's link, for this run alone"),
    ("from" = Option<u32>, Query, description = "How many are left out at the beginning"),
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
    from: Result<Query<From>, QueryRejection>,
    reader: Result<Reader, Problem>,
) -> Result<Response, Problem> {
    let (Path(id), Query(asked), Query(from)) = (id.map_err(bad)?, asked.map_err(bad)?, from.map_err(bad)?);
    let looker = looker(&app, &id, &asked, reader)?;
    // As the API's description has it: a number of 32 bits with a sign.
    let from = i32::try_from(from.from.unwrap_or_default()).map_err(bad)?;
    let (of, from) = (of(&looker, &id), i64::from(from));
    let decisions = decisions(&app, of, from, A_VIEW).await?;
    let count = app.store.in_time(app.store.count_decisions(of)).await?;
    let lines = (from + 1..).zip(&decisions).map(|(place, decision)| line(place, &id, decision)).collect();
    let before = (from > 0).then(|| (from - A_VIEW).max(0));
    let next = Some(from + A_VIEW).filter(|next| *next < count);
    show(&ListPage { looker: &looker, run_id: &id, lines, count, before, next })
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
    let (of, place) = (of(&looker, &id), i64::from(place));
    let from = (place - LOOKED_BACK).max(0);
    let mut decisions = decisions(&app, of, from, (place - from).max(1)).await?;
    let count = app.store.in_time(app.store.count_decisions(of)).await?;
    let Some(decision) = decisions.pop().filter(|_| (1..=count).contains(&place)) else {
        let why = format!("this run has {count} decisions, and none with the number {place}");
        return Err(Problem::new(StatusCode::NOT_FOUND, why));
    };
    let mut facts = Vec::new();
    if let Ok(decided) = &decision.decided {
        let same_kind = |other: &&Decided| std::mem::discriminant(*other) == std::mem::discriminant(decided);
        let before = decisions.iter().rev().filter_map(|d| d.decided.as_ref().ok()).find(same_kind);
        let before: Option<HashMap<String, String>> = before.map(|before| facts_of(before).into_iter().collect());
        for (name, value) in facts_of(decided) {
            let is_new = before.as_ref().is_some_and(|before| before.get(&name) != Some(&value));
            facts.push(Fact { name, value, is_new });
        }
    }
    let more = facts.len().saturating_sub(MOST_FACTS);
    facts.truncate(MOST_FACTS);
    show(&StepPage { looker: &looker, run_id: &id, line: line(place, &id, &decision), count, facts, more })
}
