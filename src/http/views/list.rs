//! `GET /`: what needs somebody, open and recent runs, each region's history.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::health::{Health, health};
use super::moment::{Moment, iso};
use super::needs::{AtOnce, Need, at_once, needs};
use super::standing::{alert, paged};
use super::steps::length_of;
use super::{Looker, filters, show, words};
use crate::http::auth::{Proof, Reader};
use crate::http::{App, Problem, live as streams};
use runbook::diagnosis::VerdictKind;
use runbook::run::{Run, State as RunState};
use runbook::words::UnknownWord;
use store::{Filter, UnreadableRun};

/// Runs a page.
const SHOWN: i64 = 50;
/// Runs that are looked at for what needs somebody, and for the regions' histories.
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
    /// How long it goes on.
    since: Option<Moment>,
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
    let listed = if filtered {
        let filter = Filter { region: region.clone(), state, verdict, before, limit: SHOWN + 1, ..Filter::default() };
        app.list_runs(&filter).await?
    } else {
        // Further back than what is shown in rows: what needs somebody, and what each region's last runs were.
        app.newest_and_active(LOOKED_AT).await?
    };
    let shown = listed.len().min(SHOWN as usize);
    let last = listed[..shown].last().filter(|_| listed.len() > shown).map(id_of);
    let next = last.map(|last| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let pairs = [("region", region.as_deref()), ("state", state.map(RunState::as_str))];
        for (name, value) in pairs.into_iter().chain([("verdict", verdict.map(VerdictKind::as_str))]) {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.append_pair("before", last).finish()
    });
    let now = app.clock.shown(app.clock.now());
    let (open, recent) = rows(&listed, shown, now);
    let all: Vec<&Run> = if filtered { Vec::new() } else { listed.iter().flatten().collect() };
    show(&Page {
        looker: Looker::of(&reader, &app),
        needs: needs(&all, now),
        at_once: at_once(&all),
        health: health(&app).await,
        open,
        recent,
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

/// Which runs have changed, for the list itself: it asks for what it shows again. It ends as the API's streams do.
#[utoipa::path(get, path = "/live", operation_id = "stream_list_page", tag = "pages", security(("bearer" = []), ("session" = [])), responses(
    (status = 200, description = "Server-sent events", content_type = "text/event-stream", body = String),
    (status = 401, response = crate::http::answers::Unauthorized),
    (status = 503, response = crate::http::answers::Unavailable),
))]
pub(in crate::http) async fn live(
    State(app): State<App>,
    reader: Reader,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let session = match reader.proof {
        Proof::Session(session) => Some(session),
        Proof::Bearer | Proof::Proxy => None,
    };
    Ok(streams::any::watch(app, &headers, session, streams::alive_for_views()).await?.into_response())
}

fn choices(all: impl Iterator<Item = (&'static str, &'static str)>, chosen: Option<&str>) -> Vec<Choice> {
    all.map(|(value, words)| Choice { value, words, chosen: chosen == Some(value) }).collect()
}

fn id_of(listed: &Result<Run, UnreadableRun>) -> &str {
    match listed {
        Ok(run) => &run.id,
        Err(unreadable) => &unreadable.id,
    }
}

/// What goes on, however much came after it, and what has ended of the newest `shown`; what can't be read comes last.
fn rows(listed: &[Result<Run, UnreadableRun>], shown: usize, now: Timestamp) -> (Vec<Row>, Vec<Row>) {
    let (mut open, mut recent) = (Vec::new(), Vec::new());
    for (place, run) in listed.iter().enumerate() {
        match run {
            Ok(run) if run.state.is_active() => open.push(row(run, now)),
            Ok(run) if place < shown => recent.push(row(run, now)),
            Ok(_) | Err(_) => {}
        }
    }
    for (place, unreadable) in listed.iter().enumerate().filter_map(|(place, run)| Some((place, run.as_ref().err()?))) {
        if place < shown {
            recent.push(unreadable_row(unreadable));
        } else if place >= LOOKED_AT as usize {
            // That it goes on is why it is here.
            open.push(unreadable_row(unreadable));
        }
    }
    (open, recent)
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
        since: None,
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

fn row(run: &Run, now: Timestamp) -> Row {
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
        since: run.state.is_active().then(|| Moment::new(run.created_at, now)),
        unreadable: (!run.unreadable.is_empty()).then(|| run.unreadable.join(", ")),
    }
}

/// Regions by name, each with its last runs.
fn strips(newest_first: &[&Run]) -> Vec<Strip> {
    let mut regions: BTreeMap<&str, Vec<Cell>> = BTreeMap::new();
    for run in newest_first {
        let cells = regions.entry(run.region.as_str()).or_default();
        if cells.len() < STRIP {
            let (says, tone) = verdict_of(run).unwrap_or((words::state(run.state), state_tone(run.state)));
            let took = length_of(run).map(|took| format!(", took {}", words::length(took))).unwrap_or_default();
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
