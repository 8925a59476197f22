//! The socket, who asks, and the answers.

use std::fmt;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use axum::response::{Html, IntoResponse};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::form_urlencoded;

use super::promql::{Sample, evaluate};
use super::{Fault, PREFIX, Seen, Shared};
use crate::tap::{Line, Tapped};

const MAX_BODY: usize = 64 * 1024;
/// Its parameters: whoever sends another means something else than it would do.
const PARAMETERS: [&str; 5] = ["query", "time", "timeout", "limit", "lookback_delta"];

/// The connection is to be closed without an answer.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

/// Serves until it is dropped, and all its connections with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let line = shared.tap.line("prometheus");
                    let socket = Tapped::new(socket, &line);
                    let service = service_fn(move |request| respond(Arc::clone(&shared), Arc::clone(&line), request));
                    // A connection that ends badly is what some faults are for.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn respond(shared: Arc<Shared>, line: Arc<Line>, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), MAX_BODY).await.map_err(|_| Closed)?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    pairs.extend(form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned());
    let is_form = |kind: &HeaderValue| kind == "application/x-www-form-urlencoded";
    if parts.method == Method::POST && parts.headers.get(CONTENT_TYPE).is_some_and(is_form) {
        pairs.extend(form_urlencoded::parse(&body).into_owned());
    }
    line.whole();
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let query = pairs.iter().find(|(name, _)| name == "query").map(|(_, value)| value.clone());
    let fault = {
        let mut state = shared.state();
        state.seen.push(Seen {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: query.clone().unwrap_or_default(),
            authorization: authorization.clone(),
        });
        state.fault.clone()
    };
    match &fault {
        Some(Fault::Away) => return Err(Closed),
        Some(Fault::Silent) => return std::future::pending().await,
        Some(Fault::Slow(length)) => tokio::time::sleep(*length).await,
        _ => {}
    }
    let answer = match refused(&shared, &parts.method, parts.uri.path(), authorization.as_deref(), &pairs) {
        Some(refusal) => refusal,
        None => answer(&shared, &query.unwrap_or_default(), fault.as_ref()),
    };
    Ok(line.answer(answer))
}

/// What the real one, or the proxy before it, would refuse.
fn refused(
    shared: &Shared,
    method: &Method,
    path: &str,
    authorization: Option<&str>,
    pairs: &[(String, String)],
) -> Option<Response<Body>> {
    if authorization != Some(format!("Bearer {}", shared.token).as_str()) {
        return Some((StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response());
    }
    if path != format!("{PREFIX}/api/v1/query") {
        return Some((StatusCode::NOT_FOUND, "404 page not found\n").into_response());
    }
    if !matches!(*method, Method::GET | Method::POST) {
        return Some(StatusCode::METHOD_NOT_ALLOWED.into_response());
    }
    let unknown = pairs.iter().find(|(name, _)| !PARAMETERS.contains(&name.as_str()));
    unknown.map(|(name, _)| bad_data(&format!("the parameter {name:?} is not one of an instant query")))
}

fn bad_data(why: &str) -> Response<Body> {
    json_answer(StatusCode::BAD_REQUEST, &json!({"status": "error", "errorType": "bad_data", "error": why}))
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Body> {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn answer(shared: &Shared, query: &str, fault: Option<&Fault>) -> Response<Body> {
    match fault {
        Some(Fault::Status(code)) => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return (status, "no healthy upstream").into_response();
        }
        Some(Fault::HtmlPage) => {
            return Html("<!DOCTYPE html><html><body>Please sign in</body></html>").into_response();
        }
        Some(Fault::SentElsewhere(port)) => {
            let location = format!("http://127.0.0.1:{port}/");
            return (StatusCode::FOUND, [(LOCATION, location)]).into_response();
        }
        Some(Fault::ErrorIn200) => {
            let body =
                json!({"status": "error", "errorType": "timeout", "error": "query timed out in expression evaluation"});
            return json_answer(StatusCode::OK, &body);
        }
        _ => {}
    }
    let now = shared.clock.now();
    let at = now.as_millisecond() as f64 / 1000.0;
    if fault == Some(&Fault::Scalar) {
        let body = json!({"status": "success", "data": {"resultType": "scalar", "result": [at, "1"]}});
        return json_answer(StatusCode::OK, &body);
    }
    let samples = match evaluate(query, &shared.state().series, now) {
        Ok(samples) => samples,
        Err(why) => return bad_data(&why),
    };
    let entry = |(labels, value): Sample| json!({"metric": labels, "value": [at, value]});
    let mut result: Vec<Value> = samples.into_iter().map(entry).collect();
    if fault == Some(&Fault::OddEntries) {
        result.insert(0, Value::Null);
        result.push(json!(7));
    }
    let mut body = json!({"status": "success", "data": {"resultType": "vector", "result": result}});
    if let Some(Fault::Warning(warning)) = fault {
        body["warnings"] = json!([warning]);
    }
    json_answer(StatusCode::OK, &body)
}
