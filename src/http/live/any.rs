//! `GET /api/events`: server-sent events, one for each change of any run.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
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
use outbound::shared::Shared;
use runbook::run::{Run, State as RunState};
use store::{Filter, Store, StoreError};

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
    let mut runs = watching.runs().await.map_err(|error| Problem::store(&error))?;
    watching.take(&runs);
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

/// A run, as far as streams look at it.
#[derive(Clone, Debug)]
pub(in crate::http) struct Seen {
    id: String,
    state: &'static str,
    /// Tells whether it has changed.
    digest: u64,
    goes_on: bool,
    finished_at: Option<Timestamp>,
}

impl Seen {
    /// `steps`: how many have begun and ended, of a run that goes on; it comes without them.
    fn of(run: &Run, steps: (i64, i64)) -> Self {
        let mut hasher = DefaultHasher::new();
        (serde_json::to_string(run).unwrap_or_default(), steps).hash(&mut hasher);
        Self {
            id: run.id.clone(),
            state: run.state.as_str(),
            digest: hasher.finish(),
            goes_on: run.state.is_active(),
            finished_at: run.finished_at,
        }
    }
}

/// The newest runs, and those that go on, as all streams that look at one time have them.
pub(in crate::http) type Newest = Shared<Result<Arc<Vec<Seen>>, Arc<StoreError>>>;

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
                Ok(runs) => {
                    let changes = self.take(&runs);
                    self.next.extend(changes);
                }
                Err(error) => {
                    tracing::warn!(error = &*error as &dyn std::error::Error, "a stream waits for the database");
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
                // All streams at one time: they share a look.
                () = self.app.clock.sleep(until_next(LOOK_EVERY, self.app.clock.now())) => {}
            }
        }
    }

    /// The newest runs, and those that go on or did at the last look; oldest first.
    async fn runs(&self) -> Result<Vec<Seen>, Arc<StoreError>> {
        let store = &self.app.store;
        let newest = self.app.newest.ask(|| newest(store)).await?;
        let mut runs = newest.to_vec();
        for (id, _) in self.known.iter().filter(|(_, (_, goes_on))| *goes_on) {
            if newest.iter().all(|run| run.id != *id)
                && let Some(run) = store.readable_run(id).await.map_err(Arc::new)?
            {
                runs.push(Seen::of(&Run { steps: Vec::new(), ..run }, (0, 0)));
            }
        }
        runs.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(runs)
    }

    /// Remembers what runs are like; those that are like something else than at the last look.
    fn take(&mut self, runs: &[Seen]) -> Vec<Changed> {
        let differs = runs.iter().filter(|run| {
            let now = (run.digest, run.goes_on);
            self.known.insert(run.id.clone(), now) != Some(now)
        });
        differs.map(changed).collect()
    }
}

async fn newest(store: &Store) -> Result<Arc<Vec<Seen>>, Arc<StoreError>> {
    Ok(Arc::new(look(store).await.map_err(Arc::new)?))
}

async fn look(store: &Store) -> Result<Vec<Seen>, StoreError> {
    let mut runs = store.runs(&Filter { limit: WATCHED, ..Filter::default() }).await?;
    for state in RunState::ALL.iter().copied().filter(|state| state.is_active()) {
        let those = store.runs(&Filter { limit: WATCHED, state: Some(state), ..Filter::default() }).await?;
        let others = those.into_iter().filter(|run| runs.iter().all(|known| known.id != run.id));
        runs.extend(others.collect::<Vec<_>>());
    }
    store.fill_activity(&mut runs).await?;
    let active: Vec<&str> = runs.iter().filter(|run| run.state.is_active()).map(|run| run.id.as_str()).collect();
    let steps = store.count_steps(&active).await?;
    Ok(runs.iter().map(|run| Seen::of(run, steps.get(&run.id).copied().unwrap_or_default())).collect())
}

/// How long it is from now to the next whole `step`.
fn until_next(step: Duration, now: Timestamp) -> Duration {
    let step = u64::try_from(step.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(step - u64::try_from(now.as_millisecond()).unwrap_or_default() % step)
}

fn changed(run: &Seen) -> Changed {
    Changed { id: run.id.clone(), state: run.state }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_look_at_one_time() {
        let wait = |now: &str| until_next(LOOK_EVERY, now.parse().unwrap());
        assert_eq!(wait("2026-08-20T03:00:00.250Z"), Duration::from_millis(750));
        assert_eq!(wait("2026-08-20T03:00:00.999Z"), Duration::from_millis(1));
        assert_eq!(wait("2026-08-20T03:00:01Z"), LOOK_EVERY, "not at once again");
    }
}
