//! Opens the database: connects, migrates, and says in words what is wrong where it can't be used.

use std::fs::{File, TryLockError};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::MigrateError;
use sqlx::{AnyConnection, Connection as _};
use tokio::sync::Notify;
use url::Url;

use super::connections::{Connections, is_damage};
use super::dialect::Dialect;
use super::file::DatabaseFile;
use super::migrations::{MIGRATIONS, foreign};
use super::timed::{Access, Pool};
use super::{Store, StoreError, failed};
use outbound::clock::Clock;

/// How long a server is waited for at the start. Whatever restarts us asks again.
pub(super) const CONNECT_TIME: Duration = Duration::from_secs(15);
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
                keep_private(&path);
                (format!("sqlite://{}?mode=rwc", path.display()), path.display().to_string(), Some(lock))
            }
            Dialect::Postgres => (url.to_owned(), postgres_name(url)?, None),
        };
        let unusable = |e| unusable(dialect, &name, &e);
        let connections = Arc::new(Connections::default());
        // The pool would try a bad file for half a minute; a connection by itself says at once what is wrong.
        let mut first = tokio::time::timeout(CONNECT_TIME, AnyConnection::connect(&url))
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(unusable)?;
        if dialect == Dialect::Sqlite {
            // Before anything is written into it.
            look_over(&mut first, &name).await?;
            dialect.set_up(&mut first).await.map_err(unusable)?;
            // A migration that a power cut takes is only made again; whatever is written later takes it along to the disk.
            sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut first).await.map_err(unusable)?;
        }
        migrate(&mut first, dialect, &name).await?;
        if dialect == Dialect::Sqlite {
            sqlx::query("PRAGMA synchronous = FULL").execute(&mut first).await.map_err(unusable)?;
        }
        let (url, file) = if let Dialect::Sqlite = dialect {
            let path = sqlite_path(&url)?;
            let file = DatabaseFile::of(&path, first).map_err(|e| unusable(e.into()))?;
            // What is deleted meanwhile must not be made again, empty.
            (format!("sqlite://{}?mode=rw", path.display()), Some(Arc::new(file)))
        } else {
            first.close().await.map_err(unusable)?;
            (url, None)
        };
        let of = |most: u32| {
            AnyPoolOptions::new()
                .max_connections(most)
                .acquire_timeout(dialect.patience())
                // `is_good` does, and doesn't wait forever.
                .test_before_acquire(false)
                .after_connect({
                    let file = file.clone();
                    move |connection, _| {
                        let file = file.clone();
                        Box::pin(async move {
                            // Never into a file that was not migrated.
                            file.map_or(Ok(()), |file| file.look())
                                .map_err(|e| sqlx::Error::Configuration(e.into()))?;
                            dialect.set_up(connection).await
                        })
                    }
                })
                .before_acquire({
                    let connections = connections.clone();
                    move |connection, is| {
                        let connections = connections.clone();
                        Box::pin(async move { connections.is_good(dialect, connection, is.age).await })
                    }
                })
                .after_release({
                    let connections = connections.clone();
                    move |connection, is| {
                        let connections = connections.clone();
                        Box::pin(async move { connections.may_stay(dialect, connection, is.age).await })
                    }
                })
        };
        let pool = of(dialect.connections()).connect_lazy(&url).map_err(unusable)?;
        let writers = match dialect {
            Dialect::Sqlite => of(1).connect_lazy(&url).map_err(unusable)?,
            Dialect::Postgres => pool.clone(),
        };
        for pool in [&pool, &writers] {
            let connected =
                patiently(|| async { pool.acquire().await.map(drop).map_err(failed("connecting once more")) });
            connected.await.map_err(|error| match error {
                StoreError::Database { source, .. } => unusable(source),
                error => error,
            })?;
        }
        let pools = (Pool::of(pool, Access::Read), Pool::of(writers, Access::Write));
        let store = Self { connections, file, _lock: lock.map(Arc::new), ..Self::over(pools, dialect, clock) };
        match dialect {
            Dialect::Sqlite => store.free_all().await?,
            Dialect::Postgres => look_for_others(&store.changed),
        }
        patiently(|| store.in_time(store.want_forgotten_pages())).await?;
        Ok(store)
    }

    /// The file is ours alone, so whoever holds anything in it is dead.
    async fn free_all(&self) -> Result<(), StoreError> {
        for sql in ["UPDATE work SET owner = NULL WHERE owner IS NOT NULL", "DELETE FROM workers"] {
            sqlx::query(sql).execute(&self.pool).await.map_err(failed("opening it"))?;
        }
        Ok(())
    }
}

/// Does something that the start needs, and does it again for [`CONNECT_TIME`] where a busy server gives no answer in time:
/// nobody waits for one of ours yet, and to end here would only be to begin again.
///
/// # Errors
/// What it failed with last, or with what time doesn't mend.
pub async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let began = Instant::now();
    loop {
        let error = match ask().await {
            Err(error) if began.elapsed() < CONNECT_TIME && may_pass(&error) => error,
            done => return done,
        };
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the database is slow at the start: it is asked again"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether time may mend it: the server is there, and was too busy for us.
fn may_pass(error: &StoreError) -> bool {
    match error {
        StoreError::Slow => true,
        StoreError::Database { source: sqlx::Error::PoolTimedOut, .. } => true,
        // It ended a statement that took too long, or waited too long for a lock; or two waited for each other.
        StoreError::Database { source: sqlx::Error::Database(refused), .. } => {
            refused.code().is_some_and(|code| matches!(&*code, "57014" | "55P03" | "40P01" | "40001"))
        }
        _ => false,
    }
}

/// Applies what is missing. On PostgreSQL under a lock of the server's, so that replicas may start at once: one
/// migrates, the others wait and find it done.
async fn migrate(connection: &mut AnyConnection, dialect: Dialect, name: &str) -> Result<(), StoreError> {
    let failed = |e: MigrateError| {
        StoreError::Unusable(match e {
            MigrateError::VersionMissing(version) => format!("the database {name} {}", foreign(version)),
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
    let began = Instant::now();
    loop {
        match MIGRATIONS.run_direct(None, &mut *connection, false).await {
            // A process of an older version holds what comes later, and waits for what we hold. Nothing of it was done.
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _))
                if began.elapsed() < CONNECT_TIME && is_deadlock(&error) =>
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "another process is in the way of a migration"
                );
                tokio::time::sleep(LOOK_EVERY).await;
            }
            done => return done.map_err(failed),
        }
    }
}

fn is_deadlock(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|refused| refused.code()).is_some_and(|code| code == "40P01")
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

/// By which URL a database is opened that is there and is not made, and what it is called; or the file that is missing.
pub(super) fn existing(url: &str, dialect: Dialect) -> Result<Result<(String, String), PathBuf>, StoreError> {
    match dialect {
        Dialect::Sqlite => {
            let path = sqlite_path(url)?;
            if !path.try_exists().unwrap_or(true) {
                return Ok(Err(path));
            }
            let name = path.display().to_string();
            // Not `ro`: who reads beside a writer must write into the index of its log.
            Ok(Ok((format!("sqlite://{name}?mode=rw"), name)))
        }
        Dialect::Postgres => Ok(Ok((url.to_owned(), postgres_name(url)?))),
    }
}

/// The database `name` could not be opened.
pub(super) fn unusable(dialect: Dialect, name: &str, error: &sqlx::Error) -> StoreError {
    let hint = match dialect {
        Dialect::Sqlite => "is it an SQLite file that this user may write?",
        Dialect::Postgres => "does it run, and may this user log in and use that database?",
    };
    StoreError::Unusable(format!("opening the database {name} failed: {error}; {hint}"))
}

/// Looks whether the SQLite file `name` is a database whose tables can be read: the first and the last row of each. How long
/// that takes does not depend on how much is in it; [`read_whole`] finds the rest.
///
/// # Errors
/// It isn't, or can't be read.
async fn look_over(connection: &mut AnyConnection, name: &str) -> Result<(), StoreError> {
    let broken = |e: sqlx::Error| match is_damage(&e) {
        true => damaged(name, &e.to_string()),
        false => unusable(Dialect::Sqlite, name, &e),
    };
    // The format of its own catalogue is checked by reading it.
    let tables: Vec<(String,)> = sqlx::query_as("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0")
        .fetch_all(&mut *connection)
        .await
        .map_err(broken)?;
    for (table,) in tables {
        let table = table.replace('"', "\"\"");
        for order in ["ASC", "DESC"] {
            let sql = format!("SELECT rowid FROM \"{table}\" NOT INDEXED ORDER BY rowid {order} LIMIT 1");
            let _: Option<(i64,)> =
                sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_optional(&mut *connection).await.map_err(broken)?;
        }
    }
    Ok(())
}

/// Reads the SQLite file `name` to its end.
///
/// # Errors
/// It is damaged, or can't be read.
pub(super) async fn read_whole(connection: &mut AnyConnection, name: &str) -> Result<(), StoreError> {
    let (found,): (String,) = sqlx::query_as("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await
        .map_err(|e| unusable(Dialect::Sqlite, name, &e))?;
    if found == "ok" { Ok(()) } else { Err(damaged(name, &found)) }
}

fn damaged(name: &str, found: &str) -> StoreError {
    StoreError::Unusable(format!(
        "the database {name} is damaged, and nothing was written to it: {found}; put a backup in its place, or move it \
         away to start with an empty one"
    ))
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

/// A SQLite file that is to be made is made here, for this user alone: it holds incidents, notes and the key of our links.
/// SQLite gives the files beside it the same mode. One that is there already is left as it is.
fn keep_private(path: &Path) {
    match path.metadata() {
        Ok(known) if known.permissions().mode() & 0o077 != 0 => tracing::warn!(
            mode = format!("{:o}", known.permissions().mode() & 0o777),
            "other users of this machine can read the database {}: chmod 600 it, and what lies beside it",
            path.display()
        ),
        Ok(_) => {}
        // Where this fails, whoever opens it says why.
        Err(_) => drop(File::options().create(true).truncate(false).write(true).mode(0o600).open(path)),
    }
}

/// One process uses a SQLite file: a second would take the first one's runs for those of a dead process.
///
/// The kernel gives a killed process's lock back a moment after that process is gone, and who restarts a service starts it
/// at once: so a lock that is held is waited for, for [`LOCK_PATIENCE`].
async fn lock_beside(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&lock_path).map_err(|e| {
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
