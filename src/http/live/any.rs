//! `GET /api/events`: server-sent events, one for each change of any run.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::super::auth::Viewer;
use super::super::session::Session;
use super::super::{App, Problem, answers};
use super::{LOOK_EVERY, a_place, alive, last_event};
use runbook::run::{Run, State as RunState};
use store::{Filter, StoreError};

/// The newest runs that are watched for changes, beside those that go on.
const WATCHED: i64 = 100;
/// Changes that come close together are looked at at once.
const PACE: Duration = Duration::from_millis(100);
/// A run changes for this long after its end: its page is acknowledged, its note edited.
const CHANGES_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What is told of a run.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Changed {
    /// The run's id.
    id: String,
    /// Its state.
    #[schema(value_type = RunState)]
    state: &'static str,
}

/// Streams changes of any run. Each event is named `run`; its data is `{"id","state"}`: ask for the run itself to see
/// more. It begins with the next change; with `Last-Event-ID` with every run that may have changed since that event.
/// The stream ends after 15 minutes, or when the service stops.
#[utoipa::path(get, path = "/api/events", operation_id = "stream_runs", tag = "runs", security(("bearer" = [])), responses(
    (status = 200, description = "Server-sent events", content_type = "text/event-stream", body = String),
    (status = 401, response = answers::Unauthorized),
    (status = 503, response = answers::Unavailable),
))]
pub(in crate::http) async fn all(
    _: Viewer,
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    watch(app, &headers, None, alive()).await
}

/// The same for whoever has this session, where it goes by one: who has signed out is told nothing more.
pub(in crate::http) async fn watch(
    app: App,
    headers: &HeaderMap,
    session: Option<Session>,
    alive: KeepAlive,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Problem> {
    let place = a_place(&app)?;
    let until = runbook::span::after(app.clock.now(), app.limits.stream);
    let mut watching = Watching { app, session, known: HashMap::new(), next: VecDeque::new(), until, _place: place };
    // Before it is answered: who has the answer misses nothing from then on.
    let mut runs = watching.runs().await?;
    watching.take(&mut runs);
    if let Some(last) = last_event(headers) {
        let since = last.parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MIN);
        let since = since.checked_sub(CHANGES_FOR).unwrap_or(Timestamp::MIN);
        runs.retain(|run| run.finished_at.is_none_or(|at| at >= since));
        watching.next.extend(runs.iter().map(changed));
    }
    let events = futures::stream::unfold(watching, async |mut watching| {
        let event = watching.next().await?;
        Some((Ok(event), watching))
    });
    Ok(Sse::new(events).keep_alive(alive))
}

struct Watching {
    app: App,
    session: Option<Session>,
    /// What each run was like at the last look, and whether it went on.
    known: HashMap<String, (u64, bool)>,
    next: VecDeque<Changed>,
    until: Timestamp,
    _place: OwnedSemaphorePermit,
}

impl Watching {
    /// The next change; `None` where the stream ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(session) = &self.session
                && !session.lasts(&self.app).await
            {
                return None;
            }
            if let Some(changed) = self.next.pop_front() {
                let at = self.app.clock.now().as_millisecond().to_string();
                return Event::default().event("run").id(at).json_data(&changed).ok();
            }
            if self.app.clock.now() >= self.until {
                return None;
            }
            // Made before the look, so that no change falls between.
            let store = self.app.store.clone();
            let mut change = std::pin::pin!(store.change());
            change.as_mut().enable();
            match self.runs().await {
                Ok(mut runs) => {
                    let changes = self.take(&mut runs);
                    self.next.extend(changes);
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a stream waits for the database");
                }
            }
            if !self.next.is_empty() {
                continue;
            }
            tokio::select! {
                () = self.app.stop.cancelled() => return None,
                () = async {
                    self.app.clock.sleep(PACE).await;
                    change.await;
                } => {}
                () = self.app.clock.sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// The newest runs, and those that go on or did at the last look.
    async fn runs(&self) -> Result<Vec<Run>, StoreError> {
        let store = &self.app.store;
        let mut runs = store.runs(&Filter { limit: WATCHED, ..Filter::default() }).await?;
        for state in RunState::ALL.iter().copied().filter(|state| state.is_active()) {
            let going_on = store.runs(&Filter { state: Some(state), limit: WATCHED, ..Filter::default() }).await?;
            runs.extend(
                going_on.into_iter().filter(|run| runs.iter().all(|known| known.id != run.id)).collect::<Vec<_>>(),
            );
        }
        for (id, _) in self.known.iter().filter(|(_, (_, goes_on))| *goes_on) {
            if runs.iter().all(|run| run.id != *id)
                && let Some(run) = store.readable_run(id).await?
            {
                runs.push(Run { steps: Vec::new(), ..run });
            }
        }
        Ok(runs)
    }

    /// Remembers what runs are like; those that are like something else than at the last look, oldest first.
    fn take(&mut self, runs: &mut [Run]) -> Vec<Changed> {
        runs.sort_by(|a, b| a.id.cmp(&b.id));
        let differs = runs.iter().filter(|run| {
            let mut hasher = DefaultHasher::new();
            serde_json::to_string(run).unwrap_or_default().hash(&mut hasher);
            let now = (hasher.finish(), run.state.is_active());
            self.known.insert(run.id.clone(), now) != Some(now)
        });
        differs.map(changed).collect()
    }
}

fn changed(run: &Run) -> Changed {
    Changed { id: run.id.clone(), state: run.state.as_str() }
}
