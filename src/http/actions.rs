//! `POST /rerun`, `POST /escalate`: what operators ask for.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Operator;
use super::incident::Named;
use super::{App, Problem, ProblemDetails};
use crate::inbox::route::alert_region;
use pagerduty::Incident;
use runbook::alert::Region;
use runbook::life::Reply;
use runbook::run::{AlertIncident, Trigger};
use store::{Created, NewRun, PageState};

/// Longest `Idempotency-Key`.
const MAX_KEY: usize = 255;
/// How long PagerDuty may take to say what an incident is that somebody wants run again. Without that nothing is run.
const RERUN_ASKS: Duration = Duration::from_secs(10);
/// How long it may take to say whether the alert is over that somebody wants to page for. Without that it is paged for.
const ESCALATE_ASKS: Duration = Duration::from_secs(5);

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

fn unprocessable(what: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, what)
}

fn accepted(app: &App, run_id: &str) -> (StatusCode, Json<Accepted>) {
    (StatusCode::ACCEPTED, Json(Accepted { run_id: run_id.to_owned(), url: app.config.page_url(run_id) }))
}

/// Diagnoses an alert again, or a region without an alert.
///
/// A suppressed run is then diagnosed at once. With an `Idempotency-Key` (of the same token, for 24 hours) a repeat is
/// answered as the first was.
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
    let hash = match &asked {
        Rerun::Incident(asked) => format!("incident {}", asked.incident_id),
        Rerun::Region(asked) => format!("region {}", asked.region),
    };
    let key = idempotency_key(&headers)?;
    // A repeat is answered as the first was, whatever PagerDuty says by now.
    if let Some(key) = &key {
        match app.store.created_before(&operator.name, key, &hash).await? {
            Some(Created::Before(run_id)) => return Ok(accepted(&app, &run_id)),
            Some(_) => return Err(key_taken()),
            None => {}
        }
    }
    let run = match asked {
        Rerun::Incident(asked) => {
            let (incident, region) = alert(&app, &asked.incident_id).await?;
            NewRun { incident: Some(incident), region, trigger: Trigger::Rerun, reopened: false, alert_at: None }
        }
        Rerun::Region(asked) => {
            let region: Region = asked.region.parse().map_err(|e| unprocessable(format!("{e}")))?;
            NewRun { incident: None, region, trigger: Trigger::Rerun, reopened: false, alert_at: None }
        }
    };
    let keyed = key.as_deref().map(|key| (operator.name.as_str(), key, hash.as_str()));
    again(&app, &operator.name, &run, keyed).await.map(|run_id| accepted(&app, &run_id))
}

/// Makes the alert of an incident's run again, at the word of `who`; gives the run.
pub(super) async fn rerun_incident(app: &App, who: &str, incident_id: &str) -> Result<String, Problem> {
    let (incident, region) = alert(app, incident_id).await?;
    let run = NewRun { incident: Some(incident), region, trigger: Trigger::Rerun, reopened: false, alert_at: None };
    again(app, who, &run, None).await
}

/// Diagnoses a region without an incident, at the word of `who`; gives the run.
pub(super) async fn rerun_region(app: &App, who: &str, region: Region) -> Result<String, Problem> {
    let run = NewRun { incident: None, region, trigger: Trigger::Rerun, reopened: false, alert_at: None };
    again(app, who, &run, None).await
}

async fn again(app: &App, who: &str, run: &NewRun, keyed: Option<(&str, &str, &str)>) -> Result<String, Problem> {
    match app.store.create_run(run, keyed).await? {
        Created::Now(Reply::Started(run_id)) => {
            tracing::info!(run.id = run_id, operator = who, region = %run.region, "a rerun is asked for");
            Ok(run_id)
        }
        Created::Now(Reply::SuppressionSkipped(run_id)) => {
            tracing::info!(run.id = run_id, operator = who, "a suppressed run is diagnosed at a person's word");
            Ok(run_id)
        }
        Created::Before(run_id) => Ok(run_id),
        Created::KeyTaken => Err(key_taken()),
        Created::Now(Reply::Active(run_id)) => {
            let url = app.config.page_url(&run_id);
            Err(Problem::new(StatusCode::CONFLICT, "a run is active already").with("run_id", run_id).with("url", url))
        }
        Created::Now(Reply::Ignored(why)) => Err(Problem::new(StatusCode::CONFLICT, why.to_string())),
        // A run is begun by none of these.
        Created::Now(Reply::Paging | Reply::Paged(_) | Reply::Closed | Reply::Kept) => {
            Err(Problem::new(StatusCode::CONFLICT, "nothing follows"))
        }
    }
}

fn key_taken() -> Problem {
    unprocessable("this Idempotency-Key was used for another body: take a new one for another request")
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

/// What PagerDuty shows of an incident, or why it can't be asked within this time: somebody waits for an answer.
async fn ask_within(time: Duration, app: &App, id: &str) -> Result<Option<Incident>, String> {
    match tokio::time::timeout(time, app.pagerduty.incident(id)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("PagerDuty did not answer within {} s", time.as_secs())),
    }
}

fn elsewhere() -> Problem {
    let what = "this address is not of the PagerDuty account that this service asks: check its host, or give the incident's id";
    Problem::new(StatusCode::NOT_FOUND, what)
}

/// The incident as PagerDuty has it, where it is an alert that is handled here.
async fn alert(app: &App, named: &str) -> Result<(AlertIncident, Region), Problem> {
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "PagerDuty does not know this incident");
    let named = Named::read(named).ok_or_else(unknown)?;
    let incident = match ask_within(RERUN_ASKS, app, &named.id).await {
        Ok(Some(incident)) if !named.is_of_account(&incident.html_url) => return Err(elsewhere()),
        Ok(Some(incident)) => incident,
        Ok(None) => return Err(unknown()),
        Err(error) => {
            tracing::warn!(error, "a rerun could not be made");
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "PagerDuty can't be asked for this incident now: try again in a few seconds",
            ));
        }
    };
    let remembered = app.store.alert(&incident.id).await?.map(|alert| alert.region);
    let Incident { title, incident_key, service, .. } = &incident;
    let service = service.as_ref().map(|s| (s.id.as_str(), s.name.as_str())).unwrap_or_default();
    let region = alert_region(title, incident_key.as_deref(), service, &app.config, remembered)
        .map_err(|why| unprocessable(format!("the incident is no alert that is handled here: {why}")))?;
    Ok((AlertIncident::from(&incident), region))
}

/// Pages the Service Endpoint team on a person's word: what would hold an automatic page does not hold this one.
///
/// Without a diagnosis yet it pages at once with what is known. There is one page an alert, ever.
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
    escalate_incident(&app, &operator.name, &asked.incident_id).await.map(|run_id| accepted(&app, &run_id))
}

/// Whether PagerDuty shows the alert closed.
async fn is_closed(app: &App, alert: &str) -> bool {
    match ask_within(ESCALATE_ASKS, app, alert).await {
        Ok(incident) => incident.is_some_and(|incident| !incident.is_open()),
        Err(error) => {
            tracing::warn!(error, "whether the alert is open could not be asked; it is paged for");
            false
        }
    }
}

/// Pages for an incident's alert at the word of `who`; gives its newest run.
pub(super) async fn escalate_incident(app: &App, who: &str, named: &str) -> Result<String, Problem> {
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "no run is known for this incident");
    let named = Named::read(named).ok_or_else(unknown)?;
    let Some(run) = app.store.newest_run(&named.id).await? else {
        return Err(match app.store.is_drill(&named.id).await? {
            true => Problem::new(StatusCode::CONFLICT, "this is a drill, which never pages"),
            false => unknown(),
        });
    };
    if run.incident.as_ref().is_some_and(|incident| !named.is_of_account(&incident.html_url)) {
        return Err(elsewhere());
    }
    let incident_id = named.id.as_str();
    // A person who wants a page gets it also while PagerDuty can't be asked; that the alert is over must be known.
    // An incident that was merged into another is closed by that; the alert is the other one.
    let alert = app.store.alert(incident_id).await?.map_or_else(|| incident_id.to_owned(), |alert| alert.incident_id);
    // Where there is a page already that is the answer, whatever PagerDuty says of the alert.
    let is_paged = app.store.page_of_alert(&alert).await?.is_some_and(|page| page.state == PageState::Paged);
    let is_closed = !is_paged && is_closed(app, &alert).await;
    match app.store.escalate(&alert, who, is_closed).await? {
        (Reply::Paging, run_id) => {
            tracing::info!(incident.id = incident_id, operator = who, "a person asks for the page");
            Ok(run_id.unwrap_or(run.id))
        }
        (Reply::Paged(url), _) => {
            let problem = Problem::new(StatusCode::CONFLICT, "the Service Endpoint team is paged already");
            Err(problem.with("page", url.unwrap_or_default()))
        }
        (Reply::Closed, _) => {
            Err(Problem::new(StatusCode::CONFLICT, "the alert is closed: there is nobody to page for"))
        }
        (_, _) => Err(unknown()),
    }
}
