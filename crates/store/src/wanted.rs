//! Items of the queue in the hands of who has no claim to them: put in, begun again, taken out, locked, woken.

use sqlx::{Any, AssertSqlSafe};

use super::timed::Transaction;
use super::work::Kind;
use super::{Store, StoreError, failed};

impl Store {
    /// Puts an item into the queue, due at `due`; one that is there is due then, whoever holds it.
    pub(super) async fn want_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        kind: Kind,
        id: &str,
        due: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO work (key, kind, due_at, set_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (key) DO UPDATE SET due_at = excluded.due_at, set_at = excluded.set_at",
        )
        .bind(kind.key(id))
        .bind(kind.as_str())
        .bind(due)
        .bind(self.now())
        .execute(&mut **tx)
        .await
        .map_err(failed("queueing work"))?;
        Ok(())
    }

    /// The same of an item that begins again: whoever holds it loses it.
    pub(super) async fn replace_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        kind: Kind,
        id: &str,
        due: i64,
    ) -> Result<(), StoreError> {
        self.want_in(tx, kind, id, due).await?;
        sqlx::query("UPDATE work SET owner = NULL, attempt = attempt + 1 WHERE key = $1 AND owner IS NOT NULL")
            .bind(kind.key(id))
            .execute(&mut **tx)
            .await
            .map_err(failed("queueing work"))?;
        Ok(())
    }

    /// Takes an item out of the queue, whoever holds it.
    pub(super) async fn drop_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        kind: Kind,
        id: &str,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM work WHERE key = $1")
            .bind(kind.key(id))
            .execute(&mut **tx)
            .await
            .map_err(failed("taking work out of the queue"))?;
        Ok(())
    }

    /// Locks an item, where it is in the queue: before what it is about is changed by who has no claim to it.
    pub(super) async fn lock_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        kind: Kind,
        id: &str,
    ) -> Result<(), StoreError> {
        let sql = format!("SELECT attempt FROM work WHERE key = $1{}", self.dialect.hold());
        let _: Option<(i64,)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(kind.key(id))
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("locking work"))?;
        Ok(())
    }

    /// An item that is in the queue is due now.
    pub(super) async fn wake_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        kind: Kind,
        id: &str,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE work SET due_at = $1, set_at = $1 WHERE key = $2")
            .bind(self.now())
            .bind(kind.key(id))
            .execute(&mut **tx)
            .await
            .map_err(failed("waking work"))?;
        Ok(())
    }
}
