//! One request: recorded, counted, held against PagerDuty's rules, carried out, answered, or spoilt as planned.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use futures::stream;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::Recorded;
use super::account::Account;
use super::call::{Answer, Call, Refusal};
use super::faults::{Endpoint, Fault, Planned, take};
use super::socket::Cut;
use super::{events, incidents, listings, log, notes, subscriptions};

/// The version that must be asked for.
const VERSION: &str = "application/vnd.pagerduty+json;version=2";
/// More than PagerDuty takes.
const MAX_BODY: usize = 1024 * 1024;

pub(super) type Shared = Arc<Mutex<Account>>;

pub(super) fn router(shared: Shared) -> Router {
    Router::new().fallback(handle).with_state(shared)
}

async fn handle(State(shared): State<Shared>, Extension(cut): Extension<Cut>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let away = {
        let account = shared.lock().unwrap_or_else(PoisonError::into_inner);
        (!account.latency.is_zero()).then(|| account.clock.sleep(account.latency))
    };
    if let Some(away) = away {
        away.await;
    }
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let endpoint = Endpoint::of(method, &segments);
    let query = parts.uri.query().unwrap_or_default();
    let (planned, answer, limits, date) = {
        let mut account = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let at = account.now();
        let header = |name: header::HeaderName| text(&parts.headers, &name);
        account.recorded.push(Recorded {
            at,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            accept: header(header::ACCEPT),
            authorization: header(header::AUTHORIZATION),
            content_type: header(header::CONTENT_TYPE),
            from: header(header::FROM),
            user_agent: header(header::USER_AGENT),
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        let said = format!("{path} {query} {}", String::from_utf8_lossy(&body));
        let planned = endpoint.and_then(|endpoint| take(&mut account.planned, endpoint, &said));
        let (within, limits) = account.count();
        let done =
            planned.as_ref().is_none_or(|p| p.done_first || matches!(p.fault, Fault::HalfAnswer | Fault::Late(_)));
        account.late = match &planned {
            Some(Planned {
                endpoint: Endpoint::AddNote | Endpoint::CreateIncident,
                fault: Fault::Late(seconds),
                ..
            }) => Duration::from_secs(*seconds),
            _ => Duration::ZERO,
        };
        let answer = match (endpoint, within) {
            (_, false) => Some(Err(Refusal::new(429, 2020, "Rate Limit Exceeded"))),
            (Some(endpoint), true) if done => {
                Some(carry_out(&mut account, endpoint, &parts.headers, segments, query, &body))
            }
            (Some(_), true) => None,
            (None, true) => Some(Err(Refusal::not_found())),
        };
        if method != "GET" && matches!(answer, Some(Ok(_))) {
            account.writes += 1;
        }
        if endpoint == Some(Endpoint::Incidents) && matches!(answer, Some(Ok(_))) {
            account.moves_on();
        }
        let answer =
            answer.map(|answer| answer.map(|(status, body)| (status, account.spelling.spell(body.to_string()))));
        // By its own clock, not by that of the machine that it runs on.
        let date = at.saturating_add(account.skew).unwrap_or(at);
        (planned, answer, limits, date)
    };
    let mut answer = match answer {
        Some(Ok((status, body))) => json_answer(status, body),
        Some(Err(refusal)) => refused(&refusal),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    for (name, value) in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].into_iter().zip(limits) {
        answer.headers_mut().insert(name, HeaderValue::from(value));
    }
    let mut answer = match planned {
        // PagerDuty leaves the headers out of some 429s: what is spoilt has none.
        Some(planned) => spoil(planned.fault, answer, &cut).await,
        None => answer,
    };
    // Whatever goes wrong behind it, the server in front dates its answers.
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    answer.headers_mut().extend(HeaderValue::from_str(&date).ok().map(|value| (header::DATE, value)));
    answer
}

/// A header's value; one that is sent twice is joined by a comma, and then is not what is wanted.
fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn carry_out(
    account: &mut Account,
    endpoint: Endpoint,
    headers: &HeaderMap,
    path: Vec<&str>,
    query: &str,
    body: &Bytes,
) -> Answer {
    if endpoint == Endpoint::Enqueue {
        return Ok(events::enqueue(account, headers, body));
    }
    let is_write = !matches!(
        endpoint,
        Endpoint::Incidents
            | Endpoint::Incident
            | Endpoint::Alerts
            | Endpoint::LogEntries
            | Endpoint::Notes
            | Endpoint::Services
            | Endpoint::Service
            | Endpoint::Users
            | Endpoint::Subscriptions
    );
    let user_id = gate(account, headers, is_write, endpoint != Endpoint::DeleteNote)?;
    let body = match (is_write, body.is_empty()) {
        (true, false) => serde_json::from_slice(body).map_err(|_| Refusal::input("The body is no JSON"))?,
        _ => Value::Null,
    };
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let call = Call { path, query, body, user_id };
    match endpoint {
        Endpoint::Incidents => incidents::list(account, &call),
        Endpoint::Incident => incidents::get(account, &call),
        Endpoint::Alerts => incidents::alerts(account, &call),
        Endpoint::LogEntries => log::list(account, &call),
        Endpoint::CreateIncident => incidents::create(account, &call),
        Endpoint::UpdateIncident => incidents::update(account, &call),
        Endpoint::Merge => incidents::merge(account, &call),
        Endpoint::Notes => notes::list(account, &call),
        Endpoint::AddNote => notes::add(account, &call),
        Endpoint::EditNote => notes::edit(account, &call),
        Endpoint::DeleteNote => notes::delete(account, &call),
        Endpoint::Services => listings::services(account, &call),
        Endpoint::Service => listings::service(account, &call),
        Endpoint::Users => listings::users(account, &call),
        Endpoint::Subscriptions => subscriptions::list(account, &call),
        Endpoint::Subscribe => subscriptions::create(account, &call),
        Endpoint::EnableSubscription => subscriptions::enable(account, &call),
        Endpoint::Enqueue => Err(Refusal::not_found()),
    }
}

/// The headers that PagerDuty insists on. Returns the id of the user that a write is from.
fn gate(account: &Account, headers: &HeaderMap, is_write: bool, has_body: bool) -> Result<String, Refusal> {
    let accept = text(headers, &header::ACCEPT).unwrap_or_default().replace(' ', "");
    if accept != VERSION {
        return Err(Refusal::new(406, 2014, "The Accept header must be application/vnd.pagerduty+json;version=2"));
    }
    let token = text(headers, &header::AUTHORIZATION);
    if token.as_deref().and_then(|t| t.strip_prefix("Token token=")) != Some(account.token.as_str()) {
        return Err(Refusal::new(401, 2006, "Unauthorized"));
    }
    if !is_write {
        return Ok(String::new());
    }
    let content_type = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
    if has_body && content_type.split(';').next().map(str::trim) != Some("application/json") {
        return Err(Refusal::new(415, 2001, "The Content-Type header must be application/json"));
    }
    let Some(from) = text(headers, &header::FROM).filter(|from| !from.trim().is_empty()) else {
        let message = "You must specify a user's email address in the \"From\" header to perform this action";
        return Err(Refusal::new(400, 2016, message));
    };
    if !from.contains('@') {
        return Err(Refusal::new(400, 1028, "Malformed \"From\" header"));
    }
    match account.user_by_email(from.trim()) {
        Some(user) => Ok(user.id.clone()),
        None => Err(Refusal::new(400, 1008, "Requester User Not Found")),
    }
}

fn json_answer(status: u16, body: Vec<u8>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::NO_CONTENT {
        return status.into_response();
    }
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

fn refused(refusal: &Refusal) -> Response {
    let Refusal { status, code, message, errors } = refusal;
    let body = json!({"error": {"message": message, "code": code, "errors": errors}});
    json_answer(*status, body.to_string().into_bytes())
}

/// Does to an answer what was planned.
async fn spoil(fault: Fault, answer: Response, cut: &Cut) -> Response {
    match fault {
        Fault::Status(status) => refused(&Refusal::new(status, 2000, "Internal Error")),
        Fault::RateLimited(seconds) => {
            let mut answer = refused(&Refusal::new(429, 2020, "Rate Limit Exceeded"));
            if let Some(seconds) = seconds {
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            answer
        }
        Fault::Hang => std::future::pending().await,
        Fault::Reset => {
            cut.0.cancel();
            std::future::pending().await
        }
        Fault::HalfAnswer => half(answer).await,
        Fault::Html => {
            let page = "<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>";
            (StatusCode::OK, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
        }
        Fault::Garbage => {
            (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], "{\"status\":").into_response()
        }
        Fault::NoContent => StatusCode::NO_CONTENT.into_response(),
        Fault::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Fault::Late(_) => refused(&Refusal::new(504, 2000, "Gateway Timeout")),
    }
}

/// The whole length is promised, half is sent, and then the connection ends.
async fn half(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let first = whole.slice(..whole.len() / 2);
    let sent = stream::iter([Ok::<_, std::io::Error>(first), Err(std::io::ErrorKind::ConnectionReset.into())]);
    Response::from_parts(parts, Body::from_stream(sent))
}
