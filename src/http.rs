//! Station 1: HTTP. Who may say what, and in which form; no business rule lives here.

mod auth;
mod live;
mod pages;
mod problem;
mod runs;
mod server;
mod session;
mod webhook;
mod wishes;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::store::Store;
use crate::upstream::pagerduty::PagerDuty;

pub use auth::Tokens;
pub use problem::Problem;
pub use server::serve;

/// What requests are answered with.
#[derive(Clone, Debug)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// What is on disk.
    pub store: Store,
    /// Who may read, and who may act.
    pub tokens: Tokens,
    /// PagerDuty, for wishes about an incident.
    pub pagerduty: PagerDuty,
    /// The clock.
    pub clock: Clock,
    /// Cancelled when the service stops: what streams ends then.
    stop: CancellationToken,
    /// Places for streams.
    streams: Arc<Semaphore>,
    /// Places for sign-ins that are being slowed down.
    sign_ins: Arc<Semaphore>,
}

impl App {
    /// What requests are answered with.
    pub fn new(config: Arc<Config>, store: Store, pagerduty: PagerDuty, clock: Clock) -> Self {
        let tokens = Tokens::new(config.operator_tokens.clone(), config.viewer_tokens.clone());
        let (streams, sign_ins) = (Semaphore::new(live::MOST_STREAMS), Semaphore::new(pages::MOST_SIGN_INS));
        let (streams, sign_ins) = (Arc::new(streams), Arc::new(sign_ins));
        Self { config, store, tokens, pagerduty, clock, stop: CancellationToken::new(), streams, sign_ins }
    }

    /// The same, ending its streams when `stop` is cancelled: a stream has no end of its own that a stop could wait for.
    #[must_use]
    pub fn stopped_by(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }
}

/// The service's endpoints.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/webhooks/pagerduty", post(webhook::receive))
        .route("/rerun", post(wishes::rerun))
        .route("/escalate", post(wishes::escalate))
        .route("/api/runs", get(runs::list))
        .route("/api/runs/{id}", get(runs::one))
        .route("/api/runs/{id}/events", get(live::events))
        .route("/healthz", get(|| async { ([(header::CONTENT_TYPE, "text/plain")], "ok\n") }))
        .route("/readyz", get(ready))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address doesn't take this method")
        })
        .merge(pages::router())
        .layer(axum::middleware::from_fn(pages::dress))
        .with_state(app)
}

async fn ready(State(app): State<App>) -> Response {
    match app.store.ping().await {
        Ok(()) => ([(header::CONTENT_TYPE, "text/plain")], "ready\n").into_response(),
        Err(error) => Problem::store(&error).into_response(),
    }
}
