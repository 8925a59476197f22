//! How long the database takes: each question by itself, and each transaction, is measured. What it takes to wait for a
//! connection, and for the turn of writers, is part of it: whoever asks waits for that too.
//!
//! A pool and a transaction as sqlx has them, so that who asks need not think of it.

use std::ops::{Deref, DerefMut};
use std::task::{Poll, ready};
use std::time::Instant;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt as _, poll_fn};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{Any, AnyPool, Database, Either, Error, Execute, Executor, SqlStr};
use strum::{EnumMessage, VariantArray, VariantNames};

/// How long the database took, by `kind` and `outcome`.
pub const STORE_DURATION: &str = "se_responder_store_duration_seconds";

runbook::words! {
    Access: "kind of access";
    End: "end of a question";
}

/// What was asked of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Access {
    /// A question by itself, or several in one transaction that writes nothing.
    Read,
    /// A transaction that writes.
    Write,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
enum End {
    /// It was answered; what was written is on disk.
    Done,
    /// Nothing was written: there was nothing to write, or what was asked within it failed.
    RolledBack,
    /// It failed, or nobody waited for it any longer.
    Failed,
}

/// Measures one question, to the end of this.
#[derive(Debug)]
struct Stopwatch {
    access: Access,
    began: Instant,
    ended: End,
}

impl Stopwatch {
    /// From now on. What nobody waits for any longer has failed.
    fn begin(access: Access) -> Self {
        Self { access, began: Instant::now(), ended: End::Failed }
    }

    fn is(&mut self, ended: End) {
        self.ended = ended;
    }

    /// Goes on within a transaction. One that writes and ends without a commit has written nothing.
    fn within<DB: Database>(mut self, inner: sqlx::Transaction<'_, DB>) -> Transaction<'_, DB> {
        self.is(if self.access == Access::Read { End::Done } else { End::RolledBack });
        Transaction { inner, watch: self }
    }

    fn answered<T>(&mut self, answer: &Result<T, Error>) {
        self.is(if answer.is_ok() { End::Done } else { End::Failed });
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        let (kind, outcome) = (self.access.as_str(), self.ended.as_str());
        ::metrics::histogram!(STORE_DURATION, "kind" => kind, "outcome" => outcome).record(self.began.elapsed());
    }
}

/// A pool whose questions are measured.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pool: AnyPool,
    access: Access,
}

impl Pool {
    /// The pool, of which this is asked.
    pub(super) fn of(pool: AnyPool, access: Access) -> Self {
        Self { pool, access }
    }

    /// Begins a transaction.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, Error> {
        let watch = Stopwatch::begin(self.access);
        Ok(watch.within(self.pool.begin().await?))
    }

    /// The same, by this statement.
    pub(super) async fn begin_with(&self, statement: &'static str) -> Result<Transaction<'static, Any>, Error> {
        let watch = Stopwatch::begin(self.access);
        Ok(watch.within(self.pool.begin_with(statement).await?))
    }
}

impl Deref for Pool {
    type Target = AnyPool;

    fn deref(&self) -> &AnyPool {
        &self.pool
    }
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let mut watch = Stopwatch::begin(self.access);
        let mut rows = (&self.pool).fetch_many(query);
        let all = poll_fn(move |cx| {
            let next = ready!(rows.poll_next_unpin(cx));
            match &next {
                Some(row) => watch.answered(row),
                None => watch.is(End::Done),
            }
            Poll::Ready(next)
        });
        all.boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let mut watch = Stopwatch::begin(self.access);
        let asking = (&self.pool).fetch_optional(query);
        Box::pin(async move {
            let answer = asking.await;
            watch.answered(&answer);
            answer
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'p: 'e,
    {
        (&self.pool).prepare_with(sql, parameters)
    }
}

/// A transaction that is measured from before its begin to its end.
#[derive(Debug)]
pub(super) struct Transaction<'c, DB: Database> {
    inner: sqlx::Transaction<'c, DB>,
    watch: Stopwatch,
}

impl<DB: Database> Transaction<'_, DB> {
    /// Ends it: what was written is on disk.
    pub(super) async fn commit(self) -> Result<(), Error> {
        let Self { inner, mut watch } = self;
        let committed = inner.commit().await;
        watch.answered(&committed);
        committed
    }
}

impl<DB: Database> Deref for Transaction<'_, DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.inner
    }
}

impl<DB: Database> DerefMut for Transaction<'_, DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.inner
    }
}
