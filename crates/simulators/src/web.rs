//! A small HTTP server that can be watched, and behave badly: what the simulated Slack and GHE stand on.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use outbound::clock::Clock;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::tap::{Line, Tap, Tapped};

/// Longest request body that is read.
const MAX_BODY: usize = 1024 * 1024;

/// What is done with a request that has come whole.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It is answered.
    Answer(Box<Response<Body>>),
    /// The connection ends without an answer.
    Close,
    /// It is never answered.
    Hang,
}

impl Reply {
    /// An answer of JSON.
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
        Self::Answer(Box::new(response))
    }

    /// The same with a header, where its value is one.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let (Self::Answer(response), Ok(value)) = (&mut self, HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
        self
    }
}

/// Answers requests, each at once: its effect is what it does.
pub(crate) trait Answers: Send + Sync + 'static {
    /// What it is called by who watches.
    const NAME: &'static str;

    /// Answers one.
    fn answer(&self, parts: &Parts, body: &[u8]) -> Reply;

    /// How long it takes.
    fn latency(&self) -> Duration;

    /// Its clock.
    fn clock(&self) -> &Clock;

    /// While this is so, every connection ends as soon as it is there.
    fn away(&self) -> &AtomicBool;
}

#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

/// Serves until it is dropped, and all its connections with it.
pub(crate) async fn serve<A: Answers>(listener: TcpListener, tap: Tap, answers: Arc<A>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                if answers.away().load(Ordering::SeqCst) {
                    continue;
                }
                let (answers, line) = (Arc::clone(&answers), tap.line(A::NAME));
                connections.spawn(async move {
                    let socket = Tapped::new(socket, &line);
                    let service = service_fn(move |request| respond(Arc::clone(&answers), Arc::clone(&line), request));
                    // A connection that ends badly is what some faults are for.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn respond<A: Answers>(
    answers: Arc<A>,
    line: Arc<Line>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Closed> {
    let (parts, body) = request.into_parts();
    let body: Bytes = to_bytes(Body::new(body), MAX_BODY).await.map_err(|_| Closed)?;
    let latency = answers.latency();
    if !latency.is_zero() {
        answers.clock().sleep(latency).await;
    }
    line.whole();
    if answers.away().load(Ordering::SeqCst) {
        return Err(Closed);
    }
    match answers.answer(&parts, &body) {
        Reply::Answer(response) => Ok(line.answer(*response)),
        Reply::Close => Err(Closed),
        Reply::Hang => pending().await,
    }
}
