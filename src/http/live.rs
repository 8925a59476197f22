//! `GET /api/runs/{id}/events` and the views' own stream: server-sent events, one for each change of a run. Its id tells
//! what was sent, so that who comes back with it (`Last-Event-ID`) gets what has changed since.

pub(super) mod any;

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::auth::Viewer;
use super::{App, Problem};
use runbook::run::Run;
use store::StoreError;

/// Streams at a time: they must leave connections for webhooks.
pub(super) const MOST_STREAMS: usize = 200;
/// How often to look for what another replica changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A line so often, so that proxies don't take the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams a run: as it is now, then at each change. Each event is named `run`; its data is the run as
/// `GET /api/runs/{id}` shows it. The stream stays open when the run has ended, since its page may still change; it ends
/// after 15 minutes, or when the service stops: come back with `Last-Event-ID`, and what has changed since is sent.
#[utoipa::path(get, path = "/api/runs/{id}/events", operation_id = "stream_run", tag = "runs",
    params(("id" = String, Path, description = "The run's id")), security(("bearer" = [])), responses(
    (status = 200, description = "Server-sent events", content_type = "text/event-stream", body = String),
    (status = 400, response = super::answers::BadRequest),
    (status = 401, response = super::answers::Unauthorized),
    (status = 404, response = super::answers::NotFound),
    (status = 503, response = super::answers::Unavailable),
))]
pub(super) async fn events(
    _: Viewer,
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let Path(id) = id.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    if app.store.run(&id).await?.is_none() {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no run has this id"));
    }
    let show: Show = Box::new(|_, run| Box::pin(async move { serde_json::to_string(&run).ok() }));
    stream(app, id, &headers, show, alive())
}

/// What a stream makes of a run; `None` ends it.
pub(super) type Show = Box<dyn Fn(App, Run) -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// The id of the last event that a client got, where it comes back.
fn last_event(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty())
}

fn a_place(app: &App) -> Result<OwnedSemaphorePermit, Problem> {
    app.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many streams are open: ask for the run itself instead")
    })
}

/// A stream of what `show` makes of a run, each time that it differs from what was sent last, on this stream or on the
/// one before.
pub(super) fn stream(
    app: App,
    id: String,
    headers: &HeaderMap,
    show: Show,
    alive: KeepAlive,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Problem> {
    let place = a_place(&app)?;
    let shown = last_event(headers).unwrap_or_default().to_owned();
    let until = runbook::span::after(app.clock.now(), app.limits.stream);
    let start = Streaming { app, id, show, shown, until, _place: place };
    let events = futures::stream::unfold(start, async |mut streaming| {
        let event = streaming.next().await?;
        Some((Ok(event), streaming))
    });
    Ok(Sse::new(events).keep_alive(alive))
}

/// A line now and then that no client is told of.
fn alive() -> KeepAlive {
    KeepAlive::new().interval(KEEP_ALIVE)
}

/// The same for our own views, which are told of it: so they see that a connection is dead where nothing else says so.
pub(super) fn alive_for_views() -> KeepAlive {
    alive().event(Event::default().event("alive").data("1"))
}

struct Streaming {
    app: App,
    id: String,
    show: Show,
    /// The id of what was sent last.
    shown: String,
    until: jiff::Timestamp,
    _place: OwnedSemaphorePermit,
}

impl Streaming {
    /// The next change; `None` where the stream ends.
    async fn next(&mut self) -> Option<Event> {
        let Self { app, id, show, shown, until, .. } = self;
        while app.clock.now() < *until {
            // Made before the look, so that no change falls between.
            let change = app.store.change();
            match app.run(id).await {
                Ok(Some(run)) => {
                    let text = show(app.clone(), run).await?;
                    let digest = hex::encode(&Sha256::digest(&text)[..12]);
                    if digest != *shown {
                        shown.clone_from(&digest);
                        return Some(Event::default().event("run").id(digest).data(text));
                    }
                }
                // Pruned meanwhile.
                Ok(None) => return None,
                // Nor would the next look show it.
                Err(StoreError::Corrupt { .. }) => return None,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a stream waits for the database");
                }
            }
            tokio::select! {
                () = app.stop.cancelled() => return None,
                () = change => {}
                () = app.clock.sleep(LOOK_EVERY) => {}
            }
        }
        None
    }
}
