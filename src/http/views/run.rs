//! `GET /runs/{id}`: a run for people, live while it goes on.

mod texts;

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::first::{self, First};
use super::moment::Moment;
use super::reach::{Reach, reach};
use super::standing::standing;
use super::steps::{self, Bar, Progress, length_of};
use super::words::{self, Piece};
use super::{Looker, filters, render, show};
use crate::http::auth::{Proof, Reader};
use crate::http::{App, Problem, live as streams};
use runbook::diagnosis::last_good::SinceLastGood;
use runbook::diagnosis::note;
use runbook::diagnosis::path::{Station, path};
use runbook::diagnosis::{Diagnosis, MagicBox, ZoneDiagnosis};
use runbook::run::{Run, State as RunState};
use store::Filter;
use texts::{Texts, texts};

/// Past runs by which the rest of this one is guessed.
const GUESS_BY: i64 = 20;
/// Height of a station of the drawn path.
const STATION: usize = 46;

#[derive(Debug, Deserialize)]
pub(in crate::http) struct Asked {
    /// The key of a note's link.
    key: Option<String>,
}

/// One zone.
struct ZoneView<'a> {
    zone: &'a ZoneDiagnosis,
    said: String,
    broken_at: String,
    accepts: String,
    stations: Vec<Drawn>,
    height: usize,
    boxes: Vec<BoxView<'a>>,
    /// It is the zone to begin with.
    start: bool,
    /// Its details are shown at once on a phone too.
    open: bool,
    /// What to type, as the note has it.
    commands: Vec<String>,
}

/// A station with its place in the picture.
struct Drawn {
    station: Station,
    y: usize,
    /// Where the way to the next begins and ends; `None` for the last.
    way: Option<(usize, usize)>,
}

struct BoxView<'a> {
    of: &'a MagicBox,
    se: (&'static str, &'static str),
    upstream: (&'static str, &'static str),
}

/// An earlier run of the region.
struct PastView {
    id: String,
    at: String,
    verdict: &'static str,
    tone: &'static str,
    took: String,
}

/// A reading, or a warning about it.
struct ReadingView<'a> {
    at: Option<Moment>,
    says: String,
    build_url: Option<&'a str>,
}

/// What differs from the last good reading.
struct Since<'a> {
    at: String,
    build_url: Option<&'a str>,
    changes: Vec<String>,
}

#[derive(Template)]
#[template(path = "run_body.html")]
struct Body<'a> {
    run: &'a Run,
    looker: &'a Looker,
    first: First,
    /// What the browser's tab says.
    tab: String,
    reach: Reach,
    tone: &'static str,
    state: &'static str,
    trigger: &'static str,
    title: [&'a str; 3],
    do_now: Vec<Piece<'a>>,
    was_paged: Vec<Piece<'a>>,
    /// How alert and page stand now; `None` where there is no incident.
    standing: Option<String>,
    summary: &'a str,
    rule: &'a str,
    class: &'a str,
    created: String,
    took: Option<String>,
    progress: Option<Progress>,
    zones: Vec<ZoneView<'a>>,
    since: Option<Since<'a>>,
    bars: Vec<Bar>,
    readings: Vec<ReadingView<'a>>,
    past: Vec<PastView>,
    note: Vec<Piece<'a>>,
    links: [(&'static str, &'a str); 4],
    escalation: (&'static str, &'static str),
    reasons: Vec<&'a str>,
    /// Whether a person's yes may still open the page.
    can_page: bool,
}

#[derive(Template)]
#[template(path = "run.html")]
struct Page<'a> {
    looker: &'a Looker,
    title: String,
    tone: &'static str,
    live: String,
    body: String,
}

/// Who looks: somebody signed in, or the holder of this run's link.
pub(super) fn looker(app: &App, id: &str, asked: &Asked, reader: Result<Reader, Problem>) -> Result<Looker, Problem> {
    match (reader, &asked.key, &app.config.link_key) {
        (Ok(reader), ..) => Ok(Looker::of(&reader, app)),
        (Err(_), Some(key), Some(links)) if links.opens(key, id, app.clock.now()) => {
            Ok(Looker { link_key: key.clone(), ..Looker::default() })
        }
        (Err(_), Some(_), _) => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "this link is too old, or not of this run: sign in instead"))
        }
        (Err(problem), ..) => Err(problem),
    }
}

/// A run as a page, live while it goes on.
#[utoipa::path(get, path = "/runs/{id}", operation_id = "run_page", tag = "pages", security((), ("bearer" = []), ("session" = [])), params(
    ("id" = String, Path, description = "The run's id"),
    ("key" = Option<String>, Query, description = "The key of a note's link, for this run alone"),
), responses(
    (status = 200, description = "The page", content_type = "text/html", body = String),
    (status = 400, response = crate::http::answers::BadRequest),
    (status = 401, response = crate::http::answers::Unauthorized),
    (status = 404, response = crate::http::answers::NotFound),
    (status = 503, response = crate::http::answers::Unavailable),
))]
pub(in crate::http) async fn page(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
    reader: Result<Reader, Problem>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let Query(asked) = asked.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let looker = looker(&app, &id, &asked, reader)?;
    let run = the_run(&app, &id).await?;
    let body = body(&app, &run, &looker).await?;
    let live = match asked.key.filter(|_| looker.name.is_none()) {
        Some(key) => format!("/runs/{id}/live?key={key}"),
        None => format!("/runs/{id}/live"),
    };
    let title = first::tab(&run);
    show(&Page { looker: &looker, title, tone: tone(&run), live, body })
}

/// The page's body, as it is now and then at each change: for the page itself. It ends as the API's streams do.
#[utoipa::path(get, path = "/runs/{id}/live", operation_id = "stream_run_page", tag = "pages",
    security((), ("bearer" = []), ("session" = [])), params(
    ("id" = String, Path, description = "The run's id"),
    ("key" = Option<String>, Query, description = "The key of a note's link, for this run alone"),
), responses(
    (status = 200, description = "Server-sent events", content_type = "text/event-stream", body = String),
    (status = 400, response = crate::http::answers::BadRequest),
    (status = 401, response = crate::http::answers::Unauthorized),
    (status = 404, response = crate::http::answers::NotFound),
    (status = 503, response = crate::http::answers::Unavailable),
))]
pub(super) async fn live(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
    reader: Result<Reader, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let Query(asked) = asked.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let session = match reader.as_ref().map(|reader| &reader.proof) {
        Ok(Proof::Session(session)) => Some(session.clone()),
        _ => None,
    };
    let looker = looker(&app, &id, &asked, reader)?;
    the_run(&app, &id).await?;
    let show: streams::Show = Box::new(move |app, run| {
        let (looker, session) = (looker.clone(), session.clone());
        Box::pin(async move {
            // Who has signed out sees nothing more.
            if let Some(session) = session
                && !session.lasts(&app).await
            {
                return None;
            }
            body(&app, &run, &looker).await.ok()
        })
    });
    Ok(streams::stream(app, id, &headers, show, streams::alive_for_views())?.into_response())
}

async fn the_run(app: &App, id: &str) -> Result<Run, Problem> {
    app.run(id).await?.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no run has this id"))
}

async fn body(app: &App, run: &Run, looker: &Looker) -> Result<String, Problem> {
    let now = app.clock.shown(app.clock.now());
    let past = app
        .runs(&Filter {
            region: Some(run.region.to_string()),
            before: Some(run.id.clone()),
            limit: GUESS_BY,
            ..Filter::default()
        })
        .await?;
    let Texts { head, note, page, sent } = texts(app, run, looker).await?;
    let reach = reach(run, &head, sent, &app.config.run_url(&run.id));
    let [title, do_now, was_paged] = head;
    let links = &app.config.regions.links;
    let diagnosis = run.diagnosis.as_ref();
    let body = Body {
        run,
        looker,
        first: first::first(run, now),
        tab: first::tab(run),
        reach,
        tone: tone(run),
        state: words::state(run.state),
        trigger: words::trigger(run.trigger),
        title: words::around(&title, run.region.as_str()),
        do_now: words::pieces(&do_now),
        was_paged: words::pieces(&was_paged),
        standing: standing(run),
        summary: diagnosis.map(|d| d.verdict.summary.as_str()).unwrap_or_default(),
        rule: diagnosis.map(|d| d.verdict.rule.as_str()).unwrap_or_default(),
        class: diagnosis.map(|d| d.class.as_str()).unwrap_or_default(),
        created: words::date(run.created_at),
        took: length_of(run).map(words::length),
        progress: run.state.is_active().then(|| steps::progress(run, &past, now)),
        zones: diagnosis.map(zones).unwrap_or_default(),
        since: diagnosis.and_then(|d| d.since_last_good.as_ref()).map(since),
        bars: steps::bars(run, now),
        readings: diagnosis.map(|d| readings(d, now)).unwrap_or_default(),
        past: past.iter().filter_map(past_view).take(3).collect(),
        note: note.as_deref().map(words::pieces).unwrap_or_default(),
        links: [
            ("Service Endpoint, Slack #private-marketplace", links.service_endpoint_slack.as_str()),
            ("Registry, Slack registry-va-users", links.registry_slack.as_str()),
            ("Registry's escalation policy", links.escalation_policy.as_str()),
            ("Issues with the runbook or this alert", links.issue_tracker.as_str()),
        ],
        escalation: page,
        reasons: run.escalation.reason.as_deref().map(|r| r.lines().collect()).unwrap_or_default(),
        can_page: run.may_be_paged_for(),
    };
    render(&body).map_err(|error| {
        tracing::error!(error = %error, "a view could not be made: this is a bug");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this view could not be made; the log says why")
    })
}

fn tone(run: &Run) -> &'static str {
    match (&run.diagnosis, run.state) {
        (Some(d), _) => words::verdict(d.verdict.kind, d.verdict.rule).1,
        (None, RunState::Failed) => "failed",
        (None, _) => "none",
    }
}

/// The zones in the order in which to look at them.
fn zones(diagnosis: &Diagnosis) -> Vec<ZoneView<'_>> {
    let start = note::start_of(diagnosis).map(|zone| &zone.cluster);
    note::in_focus(diagnosis)
        .into_iter()
        .enumerate()
        .map(|(place, zone)| {
            let [said, broken_at, accepts] = note::of_zone(zone);
            let stations = path(zone);
            let last = stations.len() - 1;
            let height = stations.len() * STATION;
            let stations = stations
                .into_iter()
                .enumerate()
                .map(|(n, station)| {
                    let y = n * STATION + STATION / 2;
                    Drawn { station, y, way: (n < last).then_some((y + 12, y + STATION - 12)) }
                })
                .collect();
            let boxes = zone.boxes.iter().map(box_view).collect();
            let (start, commands) = (start == Some(&zone.cluster), note::commands(zone));
            let open = place == 0;
            ZoneView { zone, said, broken_at, accepts, stations, height, boxes, start, open, commands }
        })
        .collect()
}

fn box_view(of: &MagicBox) -> BoxView<'_> {
    BoxView {
        of,
        se: if of.se_status == 1 { ("accepts connections", "whole") } else { ("rejects connections", "broken") },
        upstream: match of.upstream_status {
            1 => ("answers 200", "whole"),
            0 => ("answers, not 200", "affected"),
            _ => ("no answer", "broken"),
        },
    }
}

fn readings(diagnosis: &Diagnosis, now: jiff::Timestamp) -> Vec<ReadingView<'_>> {
    let mut rows = Vec::new();
    for (n, reading) in diagnosis.readings.iter().enumerate() {
        let name = if n == 0 { "First reading".to_owned() } else { format!("Re-run {n}") };
        let says = format!("{name}: {} {}", reading.boxes, if reading.boxes == 1 { "box" } else { "boxes" });
        let build_url = reading.build_url.as_deref().filter(|url| url.starts_with("http"));
        rows.push(ReadingView { at: Some(Moment::new(reading.at, now)), says, build_url });
        let warning = |says: &String| ReadingView { at: None, says: says.clone(), build_url: None };
        rows.extend(reading.warnings.iter().map(warning));
    }
    rows
}

fn since(found: &SinceLastGood) -> Since<'_> {
    Since {
        at: words::date(found.at),
        build_url: found.build_url.as_deref().filter(|url| url.starts_with("http")),
        changes: note::changes(found),
    }
}

fn past_view(run: &Run) -> Option<PastView> {
    let d = run.diagnosis.as_ref()?;
    let (verdict, tone) = words::verdict(d.verdict.kind, d.verdict.rule);
    Some(PastView {
        id: run.id.clone(),
        at: words::date(run.created_at),
        verdict,
        tone,
        took: length_of(run).map(words::length).unwrap_or_else(|| "goes on".into()),
    })
}
