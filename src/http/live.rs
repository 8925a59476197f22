//! `GET /api/runs/{id}/events` and the pages' own stream: server-sent events, one for each change of a run.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

use super::auth::Viewer;
use super::{App, Problem};
use crate::run::Run;

/// Streams at a time: they must leave connections for webhooks.
pub(super) const MOST_STREAMS: usize = 200;
/// How often to look for what another replica changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A line so often, so that proxies don't take the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A stream ends after this long; a browser asks again by itself. So a stream that nobody reads is let go.
const LONGEST: Duration = Duration::from_secs(3600);

/// Streams a run as the API shows it: as it is now, then at each change.
pub(super) async fn events(
    _: Viewer,
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let Path(id) = id.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    if app.store.run(&id).await?.is_none() {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no run has this id"));
    }
    stream(app, id, Box::new(|_, run| Box::pin(async move { serde_json::to_string(&run).ok() })))
}

/// What a stream makes of a run; `None` ends it.
pub(super) type Show = Box<dyn Fn(App, Run) -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// A stream of what `show` makes of a run, each time that it differs.
pub(super) fn stream(
    app: App,
    id: String,
    show: Show,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = app.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many streams are open: ask for the run itself instead")
    })?;
    let until = crate::clock::after(app.clock.now(), LONGEST);
    let start = Streaming { app, id, show, shown: String::new(), until, _place: place };
    let events = futures::stream::unfold(start, async |mut streaming| {
        let event = streaming.next().await?;
        Some((Ok(event), streaming))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Streaming {
    app: App,
    id: String,
    show: Show,
    /// What was sent last.
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
            match app.store.run(id).await {
                Ok(Some(run)) => {
                    let text = show(app.clone(), run).await?;
                    if text != *shown {
                        shown.clone_from(&text);
                        return Some(Event::default().event("run").data(text));
                    }
                }
                // Pruned meanwhile.
                Ok(None) => return None,
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
