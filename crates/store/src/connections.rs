//! Which connections may be used again.
//!
//! A session can be of no use though its connection lives: after a failover it may be that of a server that only reads, or
//! of one that never answers. What one of them shows is taken to hold for all that are open: each is replaced before it is
//! used again, instead of failing one request each.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{AnyConnection, Connection as _, Error};

use super::dialect::Dialect;
use super::{Store, StoreError};

/// How long a server may take to say that it is there. PagerDuty waits 5 s: another connection is to be made within that.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// The same for what is given back: a statement that nobody waits for any more may still be running, 4 s at most.
const RETURN_TIME: Duration = Duration::from_secs(5);
/// The longest that a statement which nobody else bounds may take: the server itself ends one after 4 s.
const STATEMENT_TIME: Duration = Duration::from_secs(8);

const SQLITE_READONLY: u32 = 8;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_NOTADB: u32 = 26;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// None that was opened before this is used again.
    good_since: Mutex<Option<Instant>>,
}

impl Connections {
    /// None that is open now is used again.
    fn replace(&self) {
        *self.good_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn may_be_used(&self, age: Duration) -> bool {
        let good_since = *self.good_since.lock().unwrap_or_else(PoisonError::into_inner);
        good_since.is_none_or(|since| age < since.elapsed())
    }

    /// Whether a connection may be handed out: it is in no transaction (a commit that a full disk refused leaves it in one
    /// for good), is not to be replaced, and its server answers.
    pub(super) async fn is_good(
        &self,
        dialect: Dialect,
        connection: &mut AnyConnection,
        age: Duration,
    ) -> Result<bool, Error> {
        if connection.is_in_transaction() || !self.may_be_used(age) {
            return Ok(false);
        }
        if dialect == Dialect::Sqlite {
            return Ok(true);
        }
        self.answers(connection, ANSWER_TIME).await
    }

    /// Whether a connection may be kept for others. One whose server never answers must not keep its place.
    pub(super) async fn may_stay(
        &self,
        dialect: Dialect,
        connection: &mut AnyConnection,
        age: Duration,
    ) -> Result<bool, Error> {
        if !self.may_be_used(age) {
            return Ok(false);
        }
        if dialect == Dialect::Sqlite {
            return Ok(true);
        }
        self.answers(connection, RETURN_TIME).await
    }

    async fn answers(&self, connection: &mut AnyConnection, within: Duration) -> Result<bool, Error> {
        let answered = tokio::time::timeout(within, connection.ping()).await.unwrap_or(Err(Error::PoolTimedOut));
        // A server that has gone has taken all with it.
        answered.inspect_err(|_| self.replace()).map(|()| true)
    }
}

impl Store {
    /// Passes a result on. One that shows that a session is of no use has all replaced.
    pub(super) fn noting<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.inspect_err(|error| self.note_session(error))
    }

    /// An error that shows that a session is of no use has all replaced.
    pub(super) fn note_session(&self, error: &StoreError) {
        let useless = match error {
            StoreError::Database { source, .. } => is_useless(self.dialect, source),
            StoreError::Slow => true,
            _ => false,
        };
        if useless {
            self.connections.replace();
        }
    }

    /// Does what nobody else bounds: a server that never answers must not keep whoever asks for good.
    ///
    /// # Errors
    /// What it fails with, or that it took too long.
    pub async fn in_time<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        if self.dialect == Dialect::Sqlite {
            // It waits for nobody, and is not to be cut off midway on a slow disk.
            return self.noting(work.await);
        }
        self.noting(tokio::time::timeout(STATEMENT_TIME, work).await.unwrap_or(Err(StoreError::Slow)))
    }
}

/// Whether an error of SQLite's says that its file is damaged, or no database.
pub(super) fn is_damage(error: &Error) -> bool {
    let Error::Database(refused) = error else { return false };
    // PostgreSQL's codes have five characters.
    let code = refused.code().filter(|code| code.len() < 5).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, SQLITE_CORRUPT | SQLITE_NOTADB))
}

/// Whether another session may do what this one refused: it only reads, its transaction is lost, or its server goes.
fn is_useless(dialect: Dialect, error: &Error) -> bool {
    match error {
        Error::Database(refused) => refused.code().is_some_and(|code| match dialect {
            // As one is that was opened while its file could not be written to; the low byte is the kind.
            Dialect::Sqlite => code.parse::<u32>().is_ok_and(|code| code & 0xff == SQLITE_READONLY),
            // Reads only; in a failed transaction; connection lost; the server goes.
            Dialect::Postgres => {
                matches!(&*code, "25006" | "25P02") || code.starts_with("08") || code.starts_with("57P")
            }
        }),
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed | Error::PoolTimedOut => true,
        _ => false,
    }
}
