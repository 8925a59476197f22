//! Opens the database: connects, migrates, and says in words what is wrong where it can't be used.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, Connection as _};
use tokio::sync::Notify;
use url::Url;

use super::dialect::Dialect;
use super::{Store, StoreError, failed};
use crate::clock::Clock;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a server is waited for at the start. Whatever restarts us asks again.
const CONNECT_TIME: Duration = Duration::from_secs(15);
/// How often those who wait for a change look whether another process made it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a SQLite file that another process has is waited for, and how often it is tried.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_LOOK: Duration = Duration::from_millis(20);

impl Store {
    /// Opens the database of `url`, and migrates it: `sqlite://<file>`, made where there is none, or
    /// `postgres://<user>:<password>@<host>/<database>`, which several processes may share.
    ///
    /// # Errors
    /// In words, without the password: it can't be made, reached or read, is no database, was made by a newer
    /// version, or (SQLite) another process uses it.
    pub async fn open(url: &str, clock: Clock) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let dialect = Dialect::of(url);
        let (url, name, lock) = match dialect {
            Dialect::Sqlite => {
                let path = sqlite_path(url)?;
                let lock = lock_beside(&path).await?;
                (format!("sqlite://{}?mode=rwc", path.display()), path.display().to_string(), Some(lock))
            }
            Dialect::Postgres => (url.to_owned(), postgres_name(url)?, None),
        };
        let unusable = |e| unusable(dialect, &name, &e);
        // The pool would try a bad file for half a minute; a connection by itself says at once what is wrong.
        let mut first = tokio::time::timeout(CONNECT_TIME, AnyConnection::connect(&url))
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(unusable)?;
        if dialect == Dialect::Sqlite {
            // Before anything is written into it.
            refuse_damaged(&mut first, &name).await?;
            dialect.set_up(&mut first).await.map_err(unusable)?;
        }
        migrate(&mut first, dialect, &name).await?;
        first.close().await.map_err(unusable)?;
        let pool = AnyPoolOptions::new()
            .max_connections(dialect.connections())
            .acquire_timeout(dialect.patience())
            .after_connect(move |connection, _| Box::pin(dialect.set_up(connection)))
            // A commit that a full disk refused leaves its connection in a transaction for good: take another.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect(&url)
            .await
            .map_err(unusable)?;
        let store = Self {
            pool,
            dialect,
            owner: clock.id().into(),
            clock,
            skew: Arc::default(),
            due: Arc::default(),
            changed: Arc::default(),
            health: Arc::default(),
            _lock: lock.map(Arc::new),
        };
        match dialect {
            Dialect::Sqlite => store.free_all().await?,
            Dialect::Postgres => look_for_others(&store.changed),
        }
        Ok(store)
    }

    /// The file is ours alone, so every lease in it belongs to a process that is dead.
    async fn free_all(&self) -> Result<(), StoreError> {
        for sql in [
            "UPDATE runs SET lease_until = 0",
            "UPDATE pages SET lease_until = 0",
            "UPDATE chores SET lease_until = 0",
            "UPDATE roles SET lease_until = 0",
        ] {
            sqlx::query(sql).execute(&self.pool).await.map_err(failed("opening it"))?;
        }
        Ok(())
    }
}

/// Applies what is missing. On PostgreSQL under a lock of the server's, so that replicas may start at once: one
/// migrates, the others wait and find it done.
async fn migrate(connection: &mut AnyConnection, dialect: Dialect, name: &str) -> Result<(), StoreError> {
    let failed = |e: MigrateError| {
        StoreError::Unusable(match e {
            MigrateError::VersionMissing(version) => format!(
                "the database {name} was made by a newer version of se-responder (migration {version}): run that one"
            ),
            MigrateError::VersionMismatch(version) => format!(
                "the database {name} was made by another build of se-responder, whose migration {version} differs: \
                 run that one"
            ),
            e => format!("migrating the database {name} failed: {e}"),
        })
    };
    if dialect == Dialect::Postgres {
        // Another replica may be at it; one that is frozen there must be said, not waited for.
        let sql = "SET lock_timeout = '2min'";
        sqlx::query(sql).execute(&mut *connection).await.map_err(|e| failed(e.into()))?;
    }
    MIGRATIONS.run_direct(None, connection, false).await.map_err(failed)
}

/// What another process changes nobody here is told of: whoever waits for a change looks again every second. Ends with
/// the store.
fn look_for_others(changed: &Arc<Notify>) {
    let changed = Arc::downgrade(changed);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match changed.upgrade() {
                Some(changed) => changed.notify_waiters(),
                None => return,
            }
        }
    });
}

/// The database `name` could not be opened.
pub(super) fn unusable(dialect: Dialect, name: &str, error: &sqlx::Error) -> StoreError {
    let hint = match dialect {
        Dialect::Sqlite => "is it an SQLite file that this user may write?",
        Dialect::Postgres => "does it run, and may this user log in and use that database?",
    };
    StoreError::Unusable(format!("opening the database {name} failed: {error}; {hint}"))
}

/// Reads the SQLite file `name` to its end.
///
/// # Errors
/// It is damaged, or can't be read.
pub(super) async fn refuse_damaged(connection: &mut AnyConnection, name: &str) -> Result<(), StoreError> {
    let (found,): (String,) = sqlx::query_as("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await
        .map_err(|e| unusable(Dialect::Sqlite, name, &e))?;
    if found == "ok" {
        return Ok(());
    }
    Err(StoreError::Unusable(format!(
        "the database {name} is damaged, and nothing was written to it: {found}; put a backup in its place, or move it \
         away to begin anew"
    )))
}

/// What a PostgreSQL database is called in messages: never with its password.
pub(super) fn postgres_name(url: &str) -> Result<String, StoreError> {
    // The parser's error says what is wrong, not what was given.
    let parsed = Url::parse(url).map_err(|e| {
        let form = "postgres://<user>:<password>@<host>/<database>, signs in a password written as %XX";
        StoreError::Unusable(format!("DATABASE_URL can't be read: {e}; write {form}"))
    })?;
    let socket = parsed.query_pairs().find(|(name, _)| name == "host").map(|(_, host)| host.into_owned());
    let host = socket.or_else(|| parsed.host_str().map(str::to_owned)).unwrap_or_default();
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{} on {host}{port}", parsed.path().trim_start_matches('/')))
}

pub(super) fn sqlite_path(url: &str) -> Result<PathBuf, StoreError> {
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
///
/// The kernel gives a killed process's lock back a moment after that process is gone, and who restarts a service starts it
/// at once: so a lock that is held is waited for, for [`LOCK_PATIENCE`].
async fn lock_beside(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let file = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(|e| {
        StoreError::Unusable(format!(
            "opening {} failed: {e}; does the folder exist, and may this user write to it?",
            lock_path.display()
        ))
    })?;
    let mut waited = Duration::ZERO;
    let locked = loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if waited < LOCK_PATIENCE => {
                tokio::time::sleep(LOCK_LOOK).await;
                waited += LOCK_LOOK;
            }
            locked => break locked,
        }
    };
    match locked {
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
