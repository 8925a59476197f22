//! `GET /alerts/{incident_id}/timeline`: what happened to an alert, for people; on a phone too.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::moment::iso;
use super::words::{self, Piece};
use super::{Looker, filters, show};
use crate::http::auth::Reader;
use crate::http::timeline::not_known;
use crate::http::{App, Problem};
use runbook::record::Source;
use runbook::timeline::text::moment;
use runbook::timeline::{Entry, Timeline};

/// One entry.
struct Row<'a> {
    /// The day, where it is another than that of the entry before.
    day: Option<String>,
    at: String,
    /// The same for machines.
    iso: String,
    source: &'static str,
    tone: &'static str,
    kind: String,
    text: Vec<Piece<'a>>,
    who: Option<&'a str>,
    url: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "timeline.html")]
struct Page<'a> {
    looker: Looker,
    timeline: &'a Timeline,
    region: &'a str,
    class: &'static str,
    times: Vec<(&'static str, String)>,
    rows: Vec<Row<'a>>,
    markdown: String,
}

/// What happened to an alert, as a page.
#[utoipa::path(get, path = "/alerts/{incident_id}/timeline", operation_id = "timeline_page", tag = "pages",
    params(("incident_id" = String, Path, description = "The incident's id; that of a merged one gives the survivor's")),
    security(("bearer" = []), ("session" = [])), responses(
    (status = 200, description = "The page", content_type = "text/html", body = String),
    (status = 400, response = crate::http::answers::BadRequest),
    (status = 401, response = crate::http::answers::Unauthorized),
    (status = 404, response = crate::http::answers::NotFound),
    (status = 503, response = crate::http::answers::Unavailable),
))]
pub(super) async fn page(
    State(app): State<App>,
    reader: Reader,
    incident_id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(incident_id) = incident_id.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let timeline = app.chronicle().timeline(&incident_id).await?.ok_or_else(not_known)?;
    let times = timeline.times().into_iter().filter_map(|(what, at)| Some((what, moment(at?))));
    show(&Page {
        looker: Looker::of(&reader, &app),
        region: timeline.region.as_ref().map_or("region not known", |region| region.as_str()),
        class: timeline.class.map_or("no diagnosis", |class| class.as_str()),
        times: times.collect(),
        rows: rows(&timeline.entries),
        markdown: timeline.markdown(),
        timeline: &timeline,
    })
}

fn rows(entries: &[Entry]) -> Vec<Row<'_>> {
    let mut rows = Vec::with_capacity(entries.len());
    let mut last = String::new();
    for Entry { at, source, kind, text, who, url } in entries {
        let today = at.strftime("%A, %Y-%m-%d (UTC)").to_string();
        let is_another = std::mem::replace(&mut last, today.clone()) != today;
        let (source, tone) = name(*source);
        rows.push(Row {
            day: is_another.then_some(today),
            at: words::clock(*at),
            iso: iso(*at),
            source,
            tone,
            kind: kind.replace('_', " "),
            text: words::pieces(text),
            who: who.as_deref(),
            url: url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://")),
        });
    }
    rows
}

/// For people, with the name of its colour.
fn name(source: Source) -> (&'static str, &'static str) {
    match source {
        Source::Pagerduty => ("PagerDuty", "tone-registry"),
        Source::Service => ("se-responder", "active"),
        Source::Jenkins => ("Jenkins", "unknown"),
        Source::Cluster => ("Clusters", "unknown"),
        Source::Client => ("Healthcheck", "unknown"),
        Source::Slack => ("Slack", "tone-mixed"),
        Source::Ghe => ("Issue tracker", "tone-mixed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_said_where_it_changes() {
        let entry = |at: &str| Entry {
            at: at.parse().unwrap(),
            source: Source::Pagerduty,
            kind: "exhaust_escalation_path".into(),
            text: "see https://pd.example/x".into(),
            who: None,
            url: Some("javascript:alert(1)".into()),
        };
        let entries = [entry("2026-08-20T23:59:58Z"), entry("2026-08-20T23:59:59Z"), entry("2026-08-21T00:00:00Z")];
        let rows = rows(&entries);
        let days: Vec<Option<&str>> = rows.iter().map(|row| row.day.as_deref()).collect();
        assert_eq!(days, [Some("Thursday, 2026-08-20 (UTC)"), None, Some("Friday, 2026-08-21 (UTC)")]);
        assert_eq!(
            (rows[0].kind.as_str(), rows[0].at.as_str(), rows[0].url),
            ("exhaust escalation path", "23:59:58", None)
        );
        assert!(rows[0].text.iter().any(|piece| piece.is_link));
    }
}
