//! `GET /api/alerts/{incident_id}/timeline`: what happened to an alert, afterwards.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use strum::{EnumMessage, VariantArray, VariantNames};

use super::auth::Reader;
use super::{App, Problem};
use runbook::timeline::Timeline;

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
        Some(word) => word.parse().map_err(|_| bad(format!("format {word:.40?} is not one of json, md, csv")))?,
        None => accepted(&headers),
    };
    let timeline = app.chronicle().timeline(&incident_id).await?.ok_or_else(not_known)?;
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
            let range = range.to_ascii_lowercase();
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_owned();
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
