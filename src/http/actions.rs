//! `POST /rerun`, `POST /escalate`: what operators ask for.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Operator;
use super::{App, Problem, ProblemDetails};
use crate::inbox::orders::{Order, Outcome, Refused};
use runbook::alert::Region;
use runbook::life::{Reply, Why};

/// Longest `Idempotency-Key`.
const MAX_KEY: usize = 255;

/// What to diagnose: an alert again, or a region without one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(examples(json!({"incident_id": "Q1ABCDEFGHIJKL"}), json!({"region": "prod-us-south"})))]
pub(super) enum Rerun {
    Incident(RerunIncident),
    Region(RerunRegion),
}

/// An alert to diagnose again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RerunIncident {
    /// PagerDuty's id of the alert, or its `html_url`.
    incident_id: String,
}

/// A region to diagnose: nothing is posted, and related pages don't keep it waiting.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RerunRegion {
    /// The region.
    #[schema(value_type = Region)]
    region: String,
}

/// An alert to page for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"incident_id": "Q1ABCDEFGHIJKL"})))]
pub(super) struct Escalate {
    /// PagerDuty's id of the alert, or its `html_url`.
    incident_id: String,
}

/// The run that an operator asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "run_id": "01a215c0-89ac-73d8-be89-c7f1465f67aa",
    "url": "https://se-responder.example.com/runs/01a215c0-89ac-73d8-be89-c7f1465f67aa"
})))]
pub(super) struct Accepted {
    /// Its id.
    run_id: String,
    /// Its page.
    url: String,
}

fn read<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>, shape: &str) -> Result<T, Problem> {
    let body = body.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    serde_json::from_slice(&body).map_err(|e| {
        let status = if e.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, format!("the body should be {shape}: {e}"))
    })
}

/// The run that an answer is about, where what was asked for is done; once for the API and for forms.
pub(super) fn run_of(app: &App, outcome: Result<Outcome, Refused>) -> Result<String, Problem> {
    let Outcome { reply, newest } = outcome?;
    let conflict = |what: &str| Problem::new(StatusCode::CONFLICT, what);
    Err(match reply {
        Reply::Started(run_id) | Reply::SuppressionSkipped(run_id) => return Ok(run_id),
        Reply::Paging => return Ok(newest.unwrap_or_default()),
        Reply::Active(run_id) => {
            let url = app.config.page_url(&run_id);
            conflict("a run is active already").with("run_id", run_id).with("url", url)
        }
        Reply::Paged(url) => {
            conflict("the Service Endpoint team is paged already").with("page", url.unwrap_or_default())
        }
        Reply::Closed => conflict("the alert is closed: there is nobody to page for"),
        Reply::Ignored(Why::NoRun) => Problem::new(StatusCode::NOT_FOUND, "no run is known for this incident"),
        Reply::Ignored(why) => conflict(&why.to_string()),
        Reply::Kept => conflict("nothing follows"),
    })
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match &refused {
            Refused::Unknown | Refused::Elsewhere => StatusCode::NOT_FOUND,
            Refused::OfRegion | Refused::Drill => StatusCode::CONFLICT,
            Refused::NoAlert(_) | Refused::KeyTaken => StatusCode::UNPROCESSABLE_ENTITY,
            Refused::NotAsked => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Store(error) => return Self::store(error),
        };
        Self::new(status, refused.to_string())
    }
}

fn accepted(app: &App, outcome: Result<Outcome, Refused>) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let run_id = run_of(app, outcome)?;
    let url = app.config.page_url(&run_id);
    Ok((StatusCode::ACCEPTED, Json(Accepted { run_id, url })))
}

/// Diagnoses an alert again, or a region without an alert.
///
/// A suppressed run is then diagnosed at once. With an `Idempotency-Key` (of the same token or signed-in user, for 24
/// hours) a repeat is answered as the first was.
#[utoipa::path(post, path = "/rerun", tag = "actions", request_body = Rerun, security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    responses(
    (status = 202, description = "The run is made, or was", body = Accepted),
    (status = 400, response = super::answers::BadRequest),
    (status = 401, response = super::answers::Unauthorized),
    (status = 403, response = super::answers::Forbidden),
    (status = 404, response = super::answers::NotFound),
    (status = 409, description = "A run is active already: its `run_id` and `url`", body = ProblemDetails,
        content_type = "application/problem+json"),
    (status = 413, response = super::answers::TooLarge),
    (status = 422, response = super::answers::Unprocessable),
    (status = 503, response = super::answers::Unavailable),
))]
pub(super) async fn rerun(
    operator: Operator,
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let asked: Rerun = read(body, r#"{"incident_id":"Q…"} or {"region":"prod-us-south"}"#)?;
    let order = match asked {
        Rerun::Incident(asked) => Order::Incident(asked.incident_id),
        Rerun::Region(asked) => {
            let region = asked.region.parse::<Region>();
            Order::Region(region.map_err(|e| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, e.to_string()))?)
        }
    };
    let key = idempotency_key(&headers)?;
    let key = key.as_deref().map(|key| (operator.key_holder.as_str(), key));
    accepted(&app, app.orders().rerun(&operator.name, &order, key).await)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Some(key.to_owned()))
        }
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("Idempotency-Key must be 1 to {MAX_KEY} visible ASCII characters"),
        )),
    }
}

/// Pages the Service Endpoint team on a person's word: what would hold an automatic page does not hold this one.
///
/// Without a diagnosis yet it pages at once with what is known. Each alert can page them only once.
#[utoipa::path(post, path = "/escalate", tag = "actions", request_body = Escalate, security(("bearer" = [])), responses(
    (status = 202, description = "The page is being opened", body = Accepted),
    (status = 400, response = super::answers::BadRequest),
    (status = 401, response = super::answers::Unauthorized),
    (status = 403, response = super::answers::Forbidden),
    (status = 404, response = super::answers::NotFound),
    (status = 409, description = "It is paged already (`page` is its link), the alert is closed, or it is a drill", body = ProblemDetails,
        content_type = "application/problem+json"),
    (status = 413, response = super::answers::TooLarge),
    (status = 422, response = super::answers::Unprocessable),
    (status = 503, response = super::answers::Unavailable),
))]
pub(super) async fn escalate(
    operator: Operator,
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let asked: Escalate = read(body, r#"{"incident_id":"Q…"}"#)?;
    accepted(&app, app.orders().escalate(&operator.name, &asked.incident_id).await)
}
