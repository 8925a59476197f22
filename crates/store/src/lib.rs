//! What is on disk: the inbox, runs, pages, the queue, the ledger of writes. It knows SQL, and nothing else of the service
//! does: `sqlx` is named here only. It must not know what is decided, nor why.
//!
//! Begin with [`Store`], then `work.rs` (who works on what) and `writes.rs` (what was sent, and what came of it).
//!
//! SQLite and PostgreSQL behind one face: the SQL is the same, what differs is in [`dialect`].
//!
//! Every write of a run or a page carries the claim under which it is made ([`Lease`]), so that a worker that lost
//! its claim can't write.

mod acknowledged;
mod alerts;
mod announcements;
mod begin;
mod beside;
mod builds;
mod canary;
mod connections;
mod decisions;
mod dialect;
mod early_words;
mod edits;
mod evidence;
mod examine;
mod file;
mod finish;
#[cfg(any(test, feature = "testing"))]
mod fixtures;
mod good_readings;
mod health;
mod hold;
mod inbox;
mod ingest;
mod keys;
mod late_pages;
mod lease;
mod lists;
mod made;
mod many;
mod merging;
mod migrations;
mod new_runs;
mod notes;
mod notify;
mod old;
mod open;
mod openings;
mod orders;
mod pages;
mod park;
mod past_alerts;
mod rate_limit;
mod reading;
mod reconcile;
mod record;
mod retention;
mod rows;
mod runs;
mod sessions;
mod settling;
mod steps;
mod tasks;
mod time;
mod timed;
mod told;
mod types;
mod views;
mod waiting;
mod wanted;
mod watches;
mod way_in;
mod work;
mod writes;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::Any;
use tokio::sync::Notify;

use dialect::Dialect;
use outbound::clock::Clock;
use timed::{Pool, Transaction};

pub use begin::Created;
pub use beside::{AlertLease, AlertNow, Alerts, PageOf};
pub use canary::{ActiveRuns, Canary, CanaryLease};
pub use decisions::{Decision, NewDecision, Of};
pub use early_words::EarlyWords;
pub use edits::WantedEdit;
pub use evidence::{OwnedSight, Sight};
pub use examine::{Examined, Schema, examine, known_alerts, known_way_in};
pub use file::FileTrouble;
pub use health::watch_health;
pub use inbox::{Accepted, NewEvent};
pub use ingest::{ByAlert, Decide, Route};
pub use late_pages::LateLook;
pub use lease::{LEASE, Lease};
pub use lists::Filter;
pub use made::{Made, Taker};
pub use notify::{AlertSaid, NotifyLease, PageSaid, Said, Subject};
pub use open::patiently;
pub use openings::Reserving;
pub use pages::{PageRecord, PageResult, PageState};
pub use park::Suppression;
pub use past_alerts::{PastAlert, PastAlerts, PastRun};
pub use record::{AlertRecord, NewEntry, Seen};
pub use retention::{Keep, retention};
pub use runs::Finish;
pub use tasks::Task;
pub use timed::{Access, STORE_DURATION};
pub use types::{EventOutcome, Failure, Follow, NewRun, NewTask, TaskKind};
pub use views::{PAGE_STATE, UnreadableRun};
pub use waiting::Waiting;
pub use watches::{Watch, WatchLease};
pub use way_in::{Proved, WayIn};
pub use work::{Claim, GIVE_UPS, Kind};
pub use writes::{Recorded, Right, WantedWrite};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or refused.
    #[error("{doing} in the database failed")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The library's error.
        #[source]
        source: sqlx::Error,
    },
    /// What is stored can't be read back.
    #[error("{what} in the database can't be read")]
    Corrupt {
        /// Which value.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody else works on it now: stop, and write nothing.
    #[error("the lease is lost: somebody else works on it now")]
    LeaseLost,
    /// The claim of the alert holds, and its page is not what it was: it is gone, is another alert's, or was wanted again.
    /// Nothing of it is written.
    #[error("the page is gone, is another alert's, or was wanted again meanwhile")]
    PageChanged,
    /// The database did not answer in time.
    #[error("the database did not answer in time")]
    Slow,
    /// What went wrong for all that shared a transaction.
    #[error(transparent)]
    Shared(Arc<StoreError>),
    /// What would be written now would be lost.
    #[error("{0}")]
    File(#[from] FileTrouble),
    /// The database can't be used at all.
    #[error("{0}")]
    Unusable(String),
}

/// Maps a database error to what was being done. One that shows damage is said here, wherever it is met; a value that is none
/// of its column's kind is an error of its row.
fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| {
        if connections::is_damage(&source) {
            tracing::error!(
                doing,
                error = &source as &dyn std::error::Error,
                "THE DATABASE FILE IS DAMAGED: stop the service, put a backup in its place and start again; `doctor` reads \
                 the whole file"
            );
        }
        match source {
            source @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
                StoreError::Corrupt { what: "a value", source: source.into() }
            }
            source => StoreError::Database { doing, source },
        }
    }
}

/// The database. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
    /// What writes: an SQLite file has one writer at a time, so who writes waits here for its turn, and wakes at once when
    /// it comes; SQLite itself would only look again every now and then. On a server it is the same pool.
    writers: Pool,
    dialect: Dialect,
    clock: Clock,
    /// Whether the clock was set by what the database knows of the time.
    timed: Arc<AtomicBool>,
    owner: Arc<str>,
    /// Told whenever something may have become due, so that workers need not wait for their next look.
    due: Arc<Notify>,
    /// Told whenever anything of a run or a page changed.
    changed: Arc<Notify>,
    /// The same, of what this process changed.
    changed_here: Arc<Notify>,
    /// Something was written since it was last noted how far time has come.
    written: Arc<AtomicBool>,
    /// Others are told of alerts: Slack or GHE is configured.
    tells: Arc<AtomicBool>,
    health: Arc<health::Health>,
    connections: Arc<connections::Connections>,
    /// Webhooks that wait to be stored.
    ingest: Arc<ingest::Ingest>,
    /// Runs that are made already claimed, for the worker of this process.
    on_the_way: Arc<made::OnTheWay>,
    /// The SQLite file; `None` for a server.
    file: Option<Arc<file::DatabaseFile>>,
    /// Held for as long as this process uses the file; `None` for a database that processes share.
    _lock: Option<Arc<File>>,
}

impl Store {
    /// One over these connections, of which nothing is known yet.
    fn over((pool, writers): (Pool, Pool), dialect: Dialect, clock: Clock) -> Self {
        Self {
            pool,
            writers,
            dialect,
            owner: clock.id().into(),
            clock,
            timed: Arc::default(),
            due: Arc::default(),
            changed: Arc::default(),
            changed_here: Arc::default(),
            written: Arc::default(),
            tells: Arc::default(),
            health: Arc::default(),
            connections: Arc::default(),
            ingest: Arc::default(),
            on_the_way: Arc::default(),
            file: None,
            _lock: None,
        }
    }

    /// Closes every connection, once what they do has ended.
    pub async fn close(&self) {
        self.writers.close().await;
        self.pool.close().await;
        if let Some(file) = &self.file {
            file.close().await;
        }
    }

    /// Resolves when something may have become due.
    pub async fn something_due(&self) {
        self.due.notified().await;
    }

    /// A waiter for the next change: make it before looking, await it after.
    pub fn change(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// A transaction that will write, perhaps by what it reads: such transactions take turns, over all processes that
    /// share the database. So what one has read still holds when it writes.
    async fn write(&self, doing: &'static str) -> Result<Transaction<'static, Any>, StoreError> {
        let mut tx = self.write_claimed(doing).await?;
        if let Some(turn) = self.dialect.turn() {
            sqlx::query(turn).execute(&mut *tx).await.map_err(failed(doing))?;
        }
        Ok(tx)
    }

    /// A transaction that writes what is claimed, or makes the claim, and nothing else: locking that one row is enough,
    /// and it waits for no turn.
    async fn write_claimed(&self, doing: &'static str) -> Result<Transaction<'static, Any>, StoreError> {
        self.in_place_to_write().await?;
        self.noting(self.writers.begin_with(self.dialect.begin()).await.map_err(failed(doing)))
    }

    /// Commits what may have made something due, and tells so.
    async fn commit_due(&self, tx: Transaction<'static, Any>, doing: &'static str) -> Result<(), StoreError> {
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(())
    }

    /// Commits what changed a run or a page, and tells so.
    async fn commit_changed(&self, tx: Transaction<'static, Any>, doing: &'static str) -> Result<(), StoreError> {
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(())
    }

    /// The clock that it goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// A waiter for the next change that this process makes: make it before looking, await it after.
    pub fn change_here(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed_here.notified()
    }

    fn tell_due(&self) {
        self.due.notify_one();
        self.tell_changed();
    }

    fn tell_changed(&self) {
        self.written.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
        self.changed_here.notify_waiters();
    }
}

#[cfg(test)]
mod on_postgres;
#[cfg(test)]
mod tests;
