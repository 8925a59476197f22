//! `GET /`: what needs somebody, open and recent runs, each region's history.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::health::{Health, health};
use super::moment::iso;
use super::needs::{AtOnce, Need, at_once, needs};
use super::standing::{alert, paged};
use super::steps::length_of;
use super::{Looker, show, words};
use crate::http::auth::Reader;
use crate::http::{App, Problem};
use runbook::diagnosis::VerdictKind;
use runbook::run::{Run, State as RunState};
use runbook::span::between;
use runbook::words::UnknownWord;
use store::{Filter, RunSummary, UnreadableRun};

/// Runs a page.
const SHOWN: i64 = 50;
/// Runs that the regions' histories are taken from.
const LOOKED_AT: i64 = 200;
/// Runs of a region that are told in words.
const TOLD: usize = 3;
/// Runs in a region's strip.
const STRIP: usize = 24;

/// What is said of a run that the database can't show.
const UNREADABLE: &str = "Not readable";

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Asked {
    /// Runs of this region only.
    region: Option<String>,
    /// Runs in this state only.
    #[param(pattern = "^(queued|suppressed|running|done|failed|cancelled|)$")]
    state: Option<String>,
    /// Runs with a verdict of this kind only.
    #[param(pattern = "^(registry|service_endpoint|transient|mixed|inconclusive|)$")]
    verdict: Option<String>,
    /// Runs before this one only.
    before: Option<String>,
}

struct Row {
    id: String,
    region: String,
    incident: Option<(String, [String; 3])>,
    state: &'static str,
    state_tone: &'static str,
    verdict: Option<(&'static str, &'static str)>,
    paged: Option<(&'static str, &'static str)>,
    /// How the alert stands now.
    alert: Option<(&'static str, &'static str)>,
    at: String,
    /// The same for machines.
    iso: String,
    took: Option<String>,
    /// What of it can't be read in the database.
    unreadable: Option<String>,
}

/// A region's last runs, oldest first.
struct Strip {
    region: String,
    cells: Vec<Cell>,
    /// The last three, newest first: when, what was found, how long it took.
    last: Vec<Cell>,
}

#[derive(Clone)]
struct Cell {
    id: String,
    tone: &'static str,
    says: String,
}

/// A choice of a filter.
struct Choice {
    value: &'static str,
    words: &'static str,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "list.html")]
struct Page {
    looker: Looker,
    needs: Vec<Need>,
    at_once: Option<AtOnce>,
    health: Health,
    open: Vec<Row>,
    recent: Vec<Row>,
    strips: Vec<Strip>,
    region: String,
    states: Vec<Choice>,
    verdicts: Vec<Choice>,
    filtered: bool,
    next: Option<String>,
}

/// Open and recent runs, as a page.
#[utoipa::path(get, path = "/", operation_id = "list_page", tag = "pages", security(("bearer" = []), ("session" = [])), params(Asked), responses(
    (status = 200, description = "The page", content_type = "text/html", body = String),
    (status = 400, response = crate::http::answers::BadRequest),
    (status = 401, response = crate::http::answers::Unauthorized),
    (status = 503, response = crate::http::answers::Unavailable),
))]
pub(in crate::http) async fn page(
    State(app): State<App>,
    reader: Reader,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let given = |text: &Option<String>| text.clone().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
    let (region, before) = (given(&asked.region), given(&asked.before));
    let unknown = |e: UnknownWord| Problem::new(StatusCode::BAD_REQUEST, e.to_string());
    let state: Option<RunState> = given(&asked.state).map(|s| s.parse()).transpose().map_err(unknown)?;
    let verdict: Option<VerdictKind> = given(&asked.verdict).map(|s| s.parse()).transpose().map_err(unknown)?;
    let filtered = region.is_some() || state.is_some() || verdict.is_some() || before.is_some();
    let filter = Filter { region: region.clone(), state, verdict, before, limit: SHOWN + 1, ..Filter::default() };
    let mut listed = app.list_runs(&filter).await?;
    let more = listed.len() as i64 > SHOWN;
    listed.truncate(usize::try_from(SHOWN).unwrap_or_default());
    let last = listed.last().filter(|_| more).map(|run| run.as_ref().map_or_else(|u| u.id.clone(), |r| r.id.clone()));
    let (runs, unreadable) = apart(listed);
    let next = last.map(|last| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let pairs = [("region", region.as_deref()), ("state", state.map(RunState::as_str))];
        for (name, value) in pairs.into_iter().chain([("verdict", verdict.map(VerdictKind::as_str))]) {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.append_pair("before", &last).finish()
    });
    // Under a filter no history is shown.
    let all = if filtered { Vec::new() } else { app.run_summaries(LOOKED_AT).await? };
    let (mut open, recent): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.state.is_active());
    // Whatever goes on is shown first of all, however much came after it.
    let (mut older, mut older_unreadable) = (Vec::new(), Vec::new());
    if !filtered {
        for state in RunState::ALL.iter().copied().filter(|state| state.is_active()) {
            let these = app.list_runs(&Filter { state: Some(state), limit: SHOWN, ..Filter::default() }).await?;
            let (readable, spoilt) = apart(these);
            older.extend(readable);
            older_unreadable.extend(spoilt);
        }
        older.retain(|run| runs.iter().all(|shown| shown.id != run.id));
        older_unreadable.retain(|run| !unreadable.contains(run));
    }
    open.extend(&older);
    // What needs somebody is looked for further back than what is shown beside.
    let further = if more && !filtered {
        apart(app.list_runs(&Filter { limit: LOOKED_AT, ..Filter::default() }).await?).0
    } else {
        Vec::new()
    };
    let mut latest: BTreeMap<&str, &Run> = BTreeMap::new();
    if !filtered {
        latest.extend(runs.iter().chain(&older).chain(&further).map(|run| (run.id.as_str(), run)));
    }
    // An id sorts by time.
    let newest_first: Vec<&Run> = latest.into_values().rev().collect();
    show(&Page {
        looker: Looker::of(&reader, &app),
        needs: needs(&newest_first, app.clock.shown(app.clock.now())),
        at_once: at_once(&newest_first),
        health: health(&app).await,
        open: open.into_iter().map(row).chain(older_unreadable.iter().map(unreadable_row)).collect(),
        recent: recent.into_iter().map(row).chain(unreadable.iter().map(unreadable_row)).collect(),
        strips: strips(&all),
        region: region.unwrap_or_default(),
        states: choices(RunState::ALL.iter().map(|s| (s.as_str(), words::state(*s))), state.map(RunState::as_str)),
        verdicts: choices(
            VerdictKind::ALL.iter().map(|k| (k.as_str(), words::verdict_kind(*k))),
            verdict.map(VerdictKind::as_str),
        ),
        filtered,
        next,
    })
}

fn choices(all: impl Iterator<Item = (&'static str, &'static str)>, chosen: Option<&str>) -> Vec<Choice> {
    all.map(|(value, words)| Choice { value, words, chosen: chosen == Some(value) }).collect()
}

/// What can be shown, and what can't.
fn apart(listed: Vec<Result<Run, UnreadableRun>>) -> (Vec<Run>, Vec<UnreadableRun>) {
    let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
    for run in listed {
        match run {
            Ok(run) => runs.push(run),
            Err(run) => unreadable.push(run),
        }
    }
    (runs, unreadable)
}

fn unreadable_row(run: &UnreadableRun) -> Row {
    Row {
        id: run.id.clone(),
        region: format!("Run {}", run.id),
        incident: None,
        state: UNREADABLE,
        state_tone: "broken",
        verdict: None,
        paged: None,
        alert: None,
        at: String::new(),
        iso: String::new(),
        took: None,
        unreadable: Some(run.what.to_owned()),
    }
}

fn verdict_of(run: &Run) -> Option<(&'static str, &'static str)> {
    run.diagnosis.as_ref().map(|d| words::verdict(d.verdict.kind, d.verdict.rule))
}

fn state_tone(state: RunState) -> &'static str {
    match state {
        RunState::Failed => "broken",
        RunState::Suppressed => "affected",
        RunState::Queued | RunState::Running => "active",
        RunState::Done | RunState::Cancelled => "unknown",
    }
}

fn row(run: &Run) -> Row {
    Row {
        id: run.id.clone(),
        region: run.region.to_string(),
        incident: run.incident.as_ref().map(|i| {
            let title = words::around(&i.title, run.region.as_str()).map(ToOwned::to_owned);
            (format!("#{}", i.number), title)
        }),
        state: words::state(run.state),
        state_tone: state_tone(run.state),
        verdict: verdict_of(run),
        paged: paged(run),
        alert: alert(run),
        at: words::date(run.created_at),
        iso: iso(run.created_at),
        took: length_of(run).map(words::length),
        unreadable: (!run.unreadable.is_empty()).then(|| run.unreadable.join(", ")),
    }
}

/// Regions by name, each with its last runs.
fn strips(newest_first: &[RunSummary]) -> Vec<Strip> {
    let mut regions: BTreeMap<&str, Vec<Cell>> = BTreeMap::new();
    for run in newest_first {
        let cells = regions.entry(run.region.as_str()).or_default();
        if cells.len() < STRIP {
            let verdict = run.verdict.map(|(kind, rule)| words::verdict(kind, rule));
            let (says, tone) = verdict.unwrap_or((words::state(run.state), state_tone(run.state)));
            let took = run.finished_at.map(|end| between(run.created_at, end));
            let took = took.map(|took| format!(", took {}", words::length(took))).unwrap_or_default();
            let says = format!("{}: {says}{took}", words::date(run.created_at));
            cells.push(Cell { id: run.id.clone(), tone, says });
        }
    }
    let strip = |(region, mut cells): (&str, Vec<Cell>)| {
        let last = cells.iter().take(TOLD).cloned().collect();
        cells.reverse();
        Strip { region: region.to_owned(), cells, last }
    };
    regions.into_iter().map(strip).collect()
}
