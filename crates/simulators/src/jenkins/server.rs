//! The socket: connections, faults, the `Date` of a clock that may be off.

use std::fmt;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures::{StreamExt, stream};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::answers::{answer, answer_fault, place_of};
use super::fault::Fault;
use super::{Seen, Shared};
use crate::odd;
use crate::tap::{Line, Tapped};

/// Longest request body that is read.
const MAX_BODY: usize = 64 * 1024;

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
                    let line = shared.setup.tap.line("jenkins");
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
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let fault = {
        let mut state = shared.state();
        state.seen.push(Seen { method: parts.method.to_string(), path: path.clone(), query: query.clone() });
        state.next_fault(place_of(&shared, &path))
    };
    match fault {
        Some(Fault::Hang) => return std::future::pending().await,
        Some(Fault::Reset) => return Err(Closed),
        _ => {}
    }
    let body = to_bytes(Body::new(body), MAX_BODY).await.map_err(|_| Closed)?;
    let latency = shared.state().latency;
    if !latency.is_zero() {
        shared.setup.clock.sleep(latency).await;
    }
    line.whole();
    if let Some(Fault::Late(by)) = fault {
        shared.state().late_by = Some(by);
    }
    let response = match fault.and_then(answer_fault) {
        Some(refusal) => refusal,
        None => answer(&shared, &parts, &body),
    };
    let mut response = match fault {
        Some(Fault::LostAnswer | Fault::Late(_)) => return Err(Closed),
        Some(Fault::DoneThenUnavailable) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Fault::HalfAnswer) => halve(response).await,
        Some(Fault::OddEntries) => with_odd_entries(response).await,
        _ => response,
    };
    let ahead = shared.setup.skew.saturating_add(shared.state().drift);
    let date = shared.setup.clock.now().saturating_add(ahead).map_err(|_| Closed)?;
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    response.headers_mut().insert(DATE, HeaderValue::from_str(&date).map_err(|_| Closed)?);
    response.headers_mut().insert("x-jenkins", HeaderValue::from_static("2.541.1"));
    Ok(line.answer(response))
}

/// The answer with entries in its lists that are none, where it is JSON.
async fn with_odd_entries(response: Response<Body>) -> Response<Body> {
    // A piece of a console may happen to be JSON: a box of its own.
    if !response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(document) = serde_json::from_slice(&whole) else { return Response::from_parts(parts, Body::from(whole)) };
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(odd::with_odd_entries(document).to_string()))
}

/// The first half of an answer, and then nothing more.
async fn halve(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(CONTENT_LENGTH);
    let half = stream::iter([Ok::<Bytes, Closed>(whole.slice(..whole.len() / 2))]);
    // The half is on its way before the connection breaks.
    let broken = stream::once(async {
        tokio::task::yield_now().await;
        Err(Closed)
    });
    Response::from_parts(parts, Body::from_stream(half.chain(broken)))
}
