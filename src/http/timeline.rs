//! `GET /api/alerts/{incident_id}/timeline`: what happened to an alert, afterwards. PagerDuty is asked for its log each time;
//! where it can't be, what the service itself knows is told.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use serde::Deserialize;
use strum::{EnumMessage, VariantArray, VariantNames};

use super::auth::Reader;
use super::{App, Problem};
use outbound::retry::by_deadline;
use runbook::diagnosis::Class;
use runbook::event::is_id;
use runbook::record::Source;
use runbook::span::after;
use runbook::timeline::{Entry, Log, LogEntry, Of, Record, Summary, Timeline, seen};
use store::{AlertRecord, OwnedSight, StoreError};

runbook::words! { Format: "format"; }

/// In which form it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub(super) enum Format {
    /// The object.
    Json,
    /// Markdown.
    Md,
    /// CSV.
    Csv,
}

/// How long PagerDuty may take for one log.
const LOG_WITHIN: Duration = Duration::from_secs(15);
/// Logs that are asked for at a time, and in all: an alert has few names and pages.
const AT_ONCE: usize = 4;
const MOST_LOGS: usize = 20;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// `json`, `md` or `csv`; without it what `Accept` asks for, else JSON.
    #[param(pattern = "^(json|md|csv)$")]
    format: Option<String>,
}

/// What happened to an alert: PagerDuty's log of it and its page, and what the service read, decided and did.
///
/// By time, then source, then text. Where PagerDuty can't be asked, `complete` is false and `missing` says what is not there.
#[utoipa::path(get, path = "/api/alerts/{incident_id}/timeline", operation_id = "timeline", tag = "alerts",
    params(("incident_id" = String, Path, description = "The incident's id; that of a merged one gives the survivor's"), Asked),
    security(("bearer" = []), ("session" = [])), responses(
    (status = 200, description = "The timeline",
        content((Timeline = "application/json"), (String = "text/markdown"), (String = "text/csv"))),
    (status = 400, response = super::answers::BadRequest),
    (status = 401, response = super::answers::Unauthorized),
    (status = 404, response = super::answers::NotFound),
    (status = 503, response = super::answers::Unavailable),
))]
pub(super) async fn one(
    _: Reader,
    State(app): State<App>,
    incident_id: Result<Path<String>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let bad = |what: String| Problem::new(StatusCode::BAD_REQUEST, what);
    let Path(incident_id) = incident_id.map_err(|e| bad(e.body_text()))?;
    let Query(asked) = asked.map_err(|e| bad(e.body_text()))?;
    let format = match asked.format {
        Some(word) => word.parse().map_err(|_| bad(format!("format {word:.40?} is none of json, md, csv")))?,
        None => accepted(&headers),
    };
    let timeline = timeline(&app, &incident_id).await?.ok_or_else(not_known)?;
    let text = |kind: &'static str, text: String| ([(header::CONTENT_TYPE, kind)], text).into_response();
    let mut response = match format {
        Format::Json => Json(timeline).into_response(),
        Format::Md => text("text/markdown; charset=utf-8", timeline.markdown()),
        Format::Csv => text("text/csv; charset=utf-8; header=present", timeline.csv()),
    };
    response.headers_mut().append(header::VARY, header::HeaderValue::from_static("accept"));
    Ok(response)
}

/// No alert has this name.
pub(super) fn not_known() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no alert with this incident id is known here")
}

/// What `Accept` likes best of what there is; JSON where it likes several the same, or none.
fn accepted(headers: &HeaderMap) -> Format {
    let ranges: Vec<(String, f32)> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.filter_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).next();
            (name, quality.filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(1.0))
        })
        .collect();
    // The closest range that names it says how much it is liked.
    let liked = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| ranges.iter().find(|(range, _)| range == name))
            .map_or(0.0, |(_, quality)| *quality)
    };
    let mut best = (Format::Json, liked(&["application/json", "application/*", "*/*"]));
    for (format, names) in
        [(Format::Md, ["text/markdown", "text/*", "*/*"]), (Format::Csv, ["text/csv", "text/*", "*/*"])]
    {
        let liked = liked(&names);
        if liked > best.1 {
            best = (format, liked);
        }
    }
    best.0
}

/// What happened to the alert with this name; `None`: no such alert is known.
pub(super) async fn timeline(app: &App, name: &str) -> Result<Option<Timeline>, StoreError> {
    if !is_id(name) {
        return Ok(None);
    }
    let Some(known) = app.store.in_time(app.store.record_of(name)).await? else { return Ok(None) };
    let mut wanted: Vec<(String, Of)> = vec![(known.incident_id.clone(), Of::Alert)];
    let more = known.names.iter().map(|name| (name, Of::Merged)).chain(known.pages.iter().map(|page| (page, Of::Page)));
    for (id, of) in more {
        if !wanted.iter().any(|(known, _)| known == id) {
            wanted.push((id.clone(), of));
        }
    }
    let logs = stream::iter(wanted.into_iter().enumerate()).map(|(n, (id, of))| log(app, id, of, n < MOST_LOGS));
    let logs: Vec<Log> = logs.buffered(AT_ONCE).collect().await;
    let summary = times(app, &known).await?;
    Ok(Some(Timeline::of(record(app, known, summary), &logs)))
}

/// PagerDuty's log of an incident.
async fn log(app: &App, incident_id: String, of: Of, asks: bool) -> Log {
    if !asks {
        let entries = Err(format!("not asked: it has more than {MOST_LOGS} names and pages"));
        return Log { incident_id, of, entries, left_out: 0 };
    }
    let deadline = after(app.clock.now(), LOG_WITHIN);
    let asked = app.pagerduty.log_entries(&incident_id);
    match by_deadline(&app.clock, deadline, "asking PagerDuty for the log of an incident", asked).await {
        Ok(Some(listed)) => {
            let mut left_out = listed.left_out.len();
            let mut entries = Vec::new();
            for entry in listed.entries {
                match entry.at {
                    Some(at) => entries.push(LogEntry {
                        id: entry.id,
                        kind: entry.kind,
                        at,
                        summary: entry.summary,
                        who: entry.agent.map(|agent| agent.name).filter(|name| !name.is_empty()),
                        url: Some(entry.html_url).filter(|url| !url.is_empty()),
                    }),
                    // Without a time it has no place.
                    None => left_out += 1,
                }
            }
            Log { incident_id, of, entries: Ok(entries), left_out }
        }
        Ok(None) => {
            let why = "PagerDuty knows no such incident, or shows none to PAGERDUTY_API_TOKEN".to_owned();
            Log { incident_id, of, entries: Err(why), left_out: 0 }
        }
        Err(error) => Log { incident_id, of, entries: Err(error.to_string()), left_out: 0 },
    }
}

/// The times that the service knows itself, as people are shown them. Those of the alert itself are PagerDuty's.
async fn times(app: &App, known: &AlertRecord) -> Result<Summary, StoreError> {
    let store = &app.store;
    let alert = store.in_time(store.readable_alert(&known.incident_id)).await?;
    let page = store.in_time(store.page_of_alert(&known.incident_id)).await?;
    let noted_at = store.in_time(store.first_noted_at(&known.incident_id)).await?;
    let shown = |at: Timestamp| app.clock.shown(at);
    let page = page.filter(|page| page.page_id.is_some());
    Ok(Summary {
        triggered_at: alert.as_ref().and_then(|alert| alert.triggered_at),
        noted_at: noted_at.map(shown),
        paged_at: page.as_ref().and_then(|page| page.finished_at).map(shown),
        acknowledged_at: page.and_then(|page| page.acknowledged).map(|(at, _)| shown(at)),
        resolved_at: alert.and_then(|alert| alert.resolved_at),
    })
}

/// What the service knows itself, as people are shown it.
fn record(app: &App, known: AlertRecord, summary: Summary) -> Record {
    let region = known.region.and_then(|region| region.parse().ok());
    let expected = region.as_ref().map(|region| app.config.zones_of(region).names()).unwrap_or_default();
    let class = known.classes.iter().filter_map(|class| class.parse().ok());
    let class = class.max_by_key(|class| *class == Class::ProbablyCie);
    let entries = known.entries.into_iter().filter(|entry| !entry.kind.is_in_pagerduty()).map(|entry| Entry {
        at: entry.at,
        source: entry.source,
        kind: entry.kind.to_string(),
        text: entry.text,
        who: entry.who,
        url: entry.url,
    });
    let read = known.seen.into_iter().filter_map(|look| match look.sight {
        Ok(OwnedSight::Reading(reading)) => Some(seen::reading(region.as_ref(), &expected, &reading)),
        Ok(OwnedSight::Checks(checks)) => seen::checks(&checks),
        Err(error) => Some(Entry {
            at: look.at,
            source: Source::Service,
            kind: "reading".to_owned(),
            text: format!("What run {} read then can't be read back: {error}", look.run_id),
            who: None,
            url: None,
        }),
    });
    let entries = entries.chain(read).map(|entry| Entry { at: app.clock.shown(entry.at), ..entry }).collect();
    Record { alert: known.incident_id, region, class, summary, entries }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn what_is_liked_best_is_given_and_json_where_nothing_is() {
        for (accept, format) in [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Json),
            ("text/csv", Format::Csv),
            ("TEXT/MARKDOWN", Format::Md),
            ("text/*", Format::Md),
            ("text/*;q=0.5, text/csv", Format::Csv),
            ("text/markdown;q=0.3, application/json;q=0.4, text/csv; q=0.2", Format::Json),
            ("text/markdown;charset=utf-8;q=1, */*;q=0.1", Format::Md),
            ("text/csv;q=7, text/markdown;q=0.9", Format::Csv),
            ("text/csv;q=0", Format::Json),
            ("image/png", Format::Json),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            assert_eq!(accepted(&headers), format, "{accept:?}");
        }
        assert_eq!(accepted(&HeaderMap::new()), Format::Json);
    }
}
