//! What is on disk: the inbox, runs, pages. The only place that names `sqlx`.
//!
//! SQLite and PostgreSQL behind one face: the SQL is the same, what differs is in [`dialect`].
//!
//! Every write of a run or a page carries the claim under which it is made ([`Lease`]), so that a worker that lost
//! its claim can't write.

mod alerts;
mod canary;
mod chores;
mod dialect;
mod examine;
mod finish;
mod good_readings;
mod health;
mod hold;
mod inbox;
mod keys;
mod lease;
mod open;
mod orders;
mod pages;
mod park;
mod reconcile;
mod retention;
mod roles;
mod rows;
mod runs;
mod short_notes;
mod steps;
mod turns;
mod types;
mod views;
mod waiting;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::Notify;

use crate::clock::Clock;
use dialect::Dialect;

pub use canary::{ActiveRuns, Canary, CanaryLease};
pub use chores::Chore;
pub use examine::{Examined, Schema, examine};
pub use health::watch_health;
pub use inbox::{Accepted, NewEvent};
pub use lease::{LEASE, Lease, PageLease};
pub use orders::{FollowedUp, Obeyed, Order};
pub use pages::{PageRecord, PageResult, PageState};
pub use park::Suppression;
pub use retention::retention;
pub use runs::{Created, Filter, Finish};
pub use short_notes::ShortNote;
pub use types::{AlertState, ChoreKind, Failure, Follow, NewChore, NewRun};

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
    /// The database did not answer in time.
    #[error("the database did not answer in time")]
    Slow,
    /// The database can't be used at all.
    #[error("{0}")]
    Unusable(String),
}

/// Maps a database error to what was being done.
fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { doing, source }
}

/// The database. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    dialect: Dialect,
    clock: Clock,
    /// How far the database's clock is ahead of ours, in milliseconds: leases are judged by one clock.
    skew: Arc<AtomicI64>,
    owner: Arc<str>,
    /// Told whenever something may have become due, so that workers need not wait for their next look.
    due: Arc<Notify>,
    /// Told whenever anything of a run or a page changed.
    changed: Arc<Notify>,
    health: Arc<health::Health>,
    /// Held for as long as this process uses the file; `None` for a database that processes share.
    _lock: Option<Arc<File>>,
}

impl Store {
    /// Closes every connection, once what they do has ended.
    pub async fn close(&self) {
        self.pool.close().await;
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
        self.pool.begin_with(self.dialect.begin()).await.map_err(failed(doing))
    }

    /// The clock that it goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn tell_due(&self) {
        self.due.notify_one();
        self.changed.notify_waiters();
    }

    fn tell_changed(&self) {
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod on_postgres;
#[cfg(test)]
impl Store {
    /// Spoils what is on disk.
    pub(crate) async fn spoil(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.pool).await.unwrap();
    }
}

#[cfg(test)]
mod tests;
