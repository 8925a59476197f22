//! What is on disk: the inbox, runs, pages. The only place that names `sqlx`.
//!
//! Every write of a run or a page carries the claim under which it is made ([`Lease`]), so that a worker that lost
//! its claim can't write.

mod alerts;
mod chores;
mod inbox;
mod keys;
mod lease;
mod orders;
mod pages;
mod park;
mod reconcile;
mod rows;
mod runs;
mod short_notes;
mod steps;
mod types;
mod views;

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Transaction};
use tokio::sync::Notify;

use crate::clock::Clock;

pub use chores::Chore;
pub use inbox::{Accepted, NewEvent};
pub use lease::{LEASE, Lease, PageLease};
pub use orders::{FollowedUp, Obeyed, Order};
pub use pages::{PageRecord, PageResult, PageState};
pub use park::Suppression;
pub use runs::{Created, Filter, Finish};
pub use short_notes::ShortNote;
pub use types::{AlertState, ChoreKind, Follow, NewChore, NewRun};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

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
    clock: Clock,
    owner: Arc<str>,
    /// Told whenever something may have become due, so that workers need not wait for their next look.
    due: Arc<Notify>,
    /// Told whenever anything of a run or a page changed.
    changed: Arc<Notify>,
    /// Held for as long as this process uses the file.
    _lock: Arc<File>,
}

impl Store {
    /// Opens the SQLite database of `url` (`sqlite://<file>`), makes it where there is none, and migrates it.
    ///
    /// # Errors
    /// In words: the file can't be made or read, is no database, was made by a newer version, or another process
    /// uses it.
    pub async fn open(url: &str, clock: Clock) -> Result<Self, StoreError> {
        let path = sqlite_path(url)?;
        let lock = lock_beside(&path)?;
        sqlx::any::install_default_drivers();
        let doing = "opening it";
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let unusable = |e: sqlx::Error| {
            StoreError::Unusable(format!(
                "opening the database {} failed: {e}; is it an SQLite file that this user may write?",
                path.display()
            ))
        };
        // The pool would try a bad file for half a minute; a connection by itself says at once what is wrong.
        let mut first = AnyConnection::connect(&url).await.map_err(unusable)?;
        set_up(&mut first).await.map_err(unusable)?;
        first.close().await.map_err(unusable)?;
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .after_connect(|connection, _| Box::pin(set_up(connection)))
            .connect(&url)
            .await
            .map_err(unusable)?;
        MIGRATIONS.run(&pool).await.map_err(|e| {
            StoreError::Unusable(match e {
                sqlx::migrate::MigrateError::VersionMissing(version) => format!(
                    "the database {} was made by a newer version of se-responder (migration {version}): run that one",
                    path.display()
                ),
                e => format!("migrating the database {} failed: {e}", path.display()),
            })
        })?;
        let store = Self {
            pool,
            owner: clock.id().into(),
            clock,
            due: Arc::default(),
            changed: Arc::default(),
            _lock: Arc::new(lock),
        };
        // The file is ours alone, so every lease in it belongs to a process that is dead.
        for table in
            ["UPDATE runs SET lease_until = 0", "UPDATE pages SET lease_until = 0", "UPDATE chores SET lease_until = 0"]
        {
            sqlx::query(table).execute(&store.pool).await.map_err(failed(doing))?;
        }
        Ok(store)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It doesn't.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map_err(failed("a look"))?;
        Ok(())
    }

    /// Resolves when something may have become due.
    pub async fn something_due(&self) {
        self.due.notified().await;
    }

    /// A waiter for the next change: make it before looking, await it after.
    pub fn change(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// A transaction that will write. SQLite would refuse to make a writer of a reader midway.
    async fn write(&self, doing: &'static str) -> Result<Transaction<'static, Any>, StoreError> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed(doing))
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

/// What every connection begins with. A 202 means that it is on disk: synchronous stays FULL.
async fn set_up(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    for pragma in [
        // PagerDuty waits 5 s for an answer: it should hear the 503.
        "PRAGMA busy_timeout = 3000",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
    ] {
        sqlx::query(pragma).execute(&mut *connection).await?;
    }
    Ok(())
}

fn sqlite_path(url: &str) -> Result<PathBuf, StoreError> {
    let rest = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).unwrap_or_default();
    let path = rest.split('?').next().unwrap_or_default();
    if path.is_empty() || path.contains(":memory:") {
        return Err(StoreError::Unusable(format!(
            "DATABASE_URL {url:?} names no file: write sqlite://<file>; what is only in memory would be lost"
        )));
    }
    Ok(PathBuf::from(path))
}

/// One process uses a SQLite file: a second would take the first one's runs for those of a dead process.
fn lock_beside(path: &std::path::Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let file = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(|e| {
        StoreError::Unusable(format!(
            "opening {} failed: {e}; does the folder exist, and may this user write to it?",
            lock_path.display()
        ))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unusable(format!(
            "another process uses the database {}: stop it first, or give each its own DATABASE_URL",
            path.display()
        ))),
        Err(TryLockError::Error(e)) => {
            Err(StoreError::Unusable(format!("locking {} failed: {e}", lock_path.display())))
        }
    }
}

#[cfg(test)]
mod tests;
