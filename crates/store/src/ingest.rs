//! One writer for all webhooks that come at one time: they share a transaction, and so a wait for the disk.
//!
//! There is a task only while something is to be written. What is decided about one event is decided in that transaction,
//! after what the events before it changed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{Any, AssertSqlSafe};
use tokio::sync::oneshot;

use runbook::life::Alert;

use super::dialect::Dialect;
use super::many::{self, Texts};
use super::new_runs::NewRuns;
use super::rows::plain;
use super::timed::Transaction;
use super::{Accepted, Follow, NewEvent, Store, StoreError, failed};

/// The most that one transaction takes: no webhook waits for long because many came before it.
const GROUP: usize = 256;
/// The most that wait: who comes then is told at once, instead of after all of PagerDuty's patience.
const WAITING: usize = 2048;
/// How long a server that others use too may take for one group. It is less than a webhook waits, so that what hangs costs
/// those that are in the group, and not those that come after.
const GROUP_TIME: Duration = Duration::from_millis(3500);

/// How long the events of a group that failed are tried one by one.
const EACH_TIME: Duration = Duration::from_secs(1);

const DOING: &str = "storing an event";

/// What follows from an event, or why nothing does.
pub type Route = Result<Follow, String>;

/// Decides what follows from an event of an incident that is, or is not, known as an alert.
pub type ByAlert = Box<dyn Fn(Option<&Alert>) -> Route + Send + Sync>;

/// How it is decided what follows from an event.
pub enum Decide {
    /// It is decided.
    So(Route),
    /// By what is known of the event's incident as an alert.
    ByAlert(ByAlert),
}

/// A webhook that waits to be stored.
struct Entry {
    id: String,
    event_type: String,
    incident_id: Option<String>,
    body: String,
    decide: Decide,
    stored: oneshot::Sender<Result<Accepted, StoreError>>,
}

impl Entry {
    /// Whose alert decides.
    fn asks_for(&self) -> Option<&str> {
        self.incident_id.as_deref().filter(|_| matches!(self.decide, Decide::ByAlert(_)))
    }
}

#[derive(Default)]
pub(super) struct Ingest {
    state: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    /// A task writes.
    writing: bool,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest").finish_non_exhaustive()
    }
}

impl Ingest {
    /// Who waits longest; where nobody does, the task ends, and the next who comes starts another.
    fn next_group(&self) -> Option<Vec<Entry>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let most = state.entries.len().min(GROUP);
            let mut group: Vec<Entry> = state.entries.drain(..most).collect();
            if group.is_empty() {
                state.writing = false;
                return None;
            }
            // Who was told 503 meanwhile sends it again.
            group.retain(|entry| !entry.stored.is_closed());
            if !group.is_empty() {
                return Some(group);
            }
        }
    }
}

impl Store {
    /// Stores an event together with what follows from it. When this returns, both are on disk.
    ///
    /// # Errors
    /// It could not be stored: nothing was.
    pub async fn accept(&self, event: NewEvent<'_>, follow: Route) -> Result<Accepted, StoreError> {
        self.accept_by(event, Decide::So(follow)).await
    }

    /// The same where it is still to be decided what follows. Whoever asks may give up: then it is stored, or not.
    ///
    /// # Errors
    /// It could not be stored: nothing was.
    pub async fn accept_by(&self, event: NewEvent<'_>, decide: Decide) -> Result<Accepted, StoreError> {
        let (stored, answer) = oneshot::channel();
        let entry = Entry {
            id: plain(event.id),
            event_type: plain(event.event_type),
            incident_id: event.incident_id.map(plain),
            body: plain(event.body),
            decide,
            stored,
        };
        let begin = {
            let mut state = self.ingest.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.entries.len() >= WAITING {
                return Err(StoreError::Slow);
            }
            state.entries.push_back(entry);
            !std::mem::replace(&mut state.writing, true)
        };
        if begin {
            tokio::spawn(self.clone().write_groups());
        }
        answer.await.unwrap_or(Err(StoreError::Slow))
    }

    async fn write_groups(self) {
        while let Some(group) = self.ingest.next_group() {
            match self.store_group(&group).await {
                Ok(accepted) => {
                    for (entry, accepted) in group.into_iter().zip(accepted) {
                        let _ = entry.stored.send(Ok(accepted));
                    }
                }
                // What one of them can't have must cost no other.
                Err(error) if group.len() > 1 && may_be_of_one(&error) => self.store_each(group, error).await,
                Err(error) => {
                    let error = Arc::new(error);
                    for entry in group {
                        let _ = entry.stored.send(Err(StoreError::Shared(error.clone())));
                    }
                }
            }
        }
    }

    /// Stores each by itself, since together they failed with `error`. A database that takes long to refuse is not asked
    /// for all of them.
    async fn store_each(&self, group: Vec<Entry>, error: StoreError) {
        tracing::debug!(error = &error as &dyn std::error::Error, "webhooks are stored one by one");
        let (begun, error) = (Instant::now(), Arc::new(error));
        for entry in group {
            let stored = match begun.elapsed() < EACH_TIME {
                true => self.store_group(std::slice::from_ref(&entry)).await,
                false => Err(StoreError::Shared(error.clone())),
            };
            let stored = stored.and_then(|mut all| all.pop().ok_or(StoreError::Slow));
            let _ = entry.stored.send(stored);
        }
    }

    /// Stores a group, or nothing of it.
    async fn store_group(&self, group: &[Entry]) -> Result<Vec<Accepted>, StoreError> {
        if self.dialect == Dialect::Sqlite {
            return self.noting(self.store_events(group).await);
        }
        let storing = async {
            match self.store_events(group).await {
                // A session of a server that only read then: nothing is stored, and a new one may do it.
                Err(error) if only_reads(&error) => {
                    self.note_session(&error);
                    self.store_events(group).await
                }
                stored => stored,
            }
        };
        self.noting(tokio::time::timeout(GROUP_TIME, storing).await.unwrap_or(Err(StoreError::Slow)))
    }

    async fn store_events(&self, group: &[Entry]) -> Result<Vec<Accepted>, StoreError> {
        let making = self.making();
        let mut tx = self.write(DOING).await?;
        let mut stored = stored_before(&mut tx, group).await?;
        let mut alerts = self.alerts_of(&mut tx, group).await?;
        let mut new = NewRuns::of(making, &mut tx, group.iter().filter_map(starts)).await?;
        let (mut accepted, mut due, mut changed) = (Vec::with_capacity(group.len()), false, false);
        for entry in group {
            if !stored.insert(&entry.id) {
                accepted.push(Accepted::Duplicate);
                continue;
            }
            let by_alert;
            let route = match &entry.decide {
                Decide::So(route) => route,
                Decide::ByAlert(decide) => {
                    if changed {
                        new.flush(self, &mut tx).await?;
                        alerts = self.alerts_of(&mut tx, std::slice::from_ref(entry)).await?;
                    }
                    by_alert = decide(entry.asks_for().and_then(|id| alerts.get(id)));
                    &by_alert
                }
            };
            accepted.push(match route {
                Err(reason) => Accepted::Ignored(reason.clone()),
                Ok(follow) => {
                    (due, changed) = (true, true);
                    self.follow(&mut tx, &mut new, follow).await?
                }
            });
        }
        new.flush(self, &mut tx).await?;
        self.insert_events(&mut tx, group, &accepted).await?;
        new.making.commit(tx, DOING).await?;
        if due {
            self.tell_due();
        }
        Ok(accepted)
    }

    async fn insert_events(
        &self,
        tx: &mut Transaction<'static, Any>,
        group: &[Entry],
        accepted: &[Accepted],
    ) -> Result<(), StoreError> {
        let now = self.now();
        let rows: Vec<_> =
            group.iter().zip(accepted).filter(|(_, accepted)| **accepted != Accepted::Duplicate).collect();
        for rows in many::chunks(&rows) {
            let sql = many::insert(
                "webhooks (event_id, event_type, incident_id, received_at, outcome, reason, body)",
                7,
                rows.len(),
            );
            let mut insert = sqlx::query(AssertSqlSafe(sql));
            for (entry, accepted) in rows {
                let (outcome, reason) = match accepted {
                    Accepted::Ignored(reason) => ("ignored", Some(plain(reason))),
                    _ => ("accepted", None),
                };
                insert = insert
                    .bind(&entry.id)
                    .bind(&entry.event_type)
                    .bind(&entry.incident_id)
                    .bind(now)
                    .bind(outcome)
                    .bind(reason)
                    .bind(&entry.body);
            }
            insert.execute(&mut **tx).await.map_err(failed(DOING))?;
        }
        Ok(())
    }

    /// What is known of the alerts by which events of this group are decided. What can't be read is as if it were not known:
    /// then the title says what it is; PagerDuty would send what is refused for two days, and hold back the rest.
    async fn alerts_of(
        &self,
        tx: &mut Transaction<'static, Any>,
        group: &[Entry],
    ) -> Result<HashMap<String, Alert>, StoreError> {
        let mut found = HashMap::new();
        let asked: HashSet<&str> = group.iter().filter_map(Entry::asks_for).collect();
        for (incident_id, alert) in super::alerts::alerts_in(tx, &asked.into_iter().collect::<Vec<_>>()).await? {
            match alert {
                Ok(alert) => drop(found.insert(incident_id, alert)),
                Err(error) => tracing::error!(
                    incident.id = incident_id,
                    error = &error as &dyn std::error::Error,
                    "what is known of an alert is left aside"
                ),
            }
        }
        Ok(found)
    }
}

/// The incident of a run that an event asks for whatever is known.
fn starts(entry: &Entry) -> Option<&str> {
    match &entry.decide {
        Decide::So(Ok(Follow::Start(run))) => run.incident.as_ref().map(|incident| incident.id.as_str()),
        _ => None,
    }
}

/// Which of these events are stored already.
async fn stored_before<'g>(tx: &mut Transaction<'static, Any>, group: &'g [Entry]) -> Result<Stored<'g>, StoreError> {
    let ids: Vec<&str> = group.iter().map(|entry| entry.id.as_str()).collect();
    let sql = |places: &str| format!("SELECT event_id FROM webhooks WHERE event_id IN ({places})");
    let before: Texts = many::texts_in(tx, DOING, &ids, sql).await?;
    Ok(Stored { before, now: HashSet::new() })
}

struct Stored<'g> {
    before: Texts,
    /// Of this group.
    now: HashSet<&'g str>,
}

impl<'g> Stored<'g> {
    /// Whether it is new.
    fn insert(&mut self, id: &'g str) -> bool {
        !self.before.contains(id) && self.now.insert(id)
    }
}

/// Whether a session was refused to write at all.
fn only_reads(error: &StoreError) -> bool {
    let StoreError::Database { source: sqlx::Error::Database(refused), .. } = error else { return false };
    refused.code().as_deref() == Some("25006")
}

/// Whether one event may be the cause, and the others could be stored without it.
fn may_be_of_one(error: &StoreError) -> bool {
    matches!(error, StoreError::Corrupt { .. } | StoreError::Database { source: sqlx::Error::Database(_), .. })
        && !only_reads(error)
}
