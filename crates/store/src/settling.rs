//! What is open of a write is settled by a task, whatever becomes of who wanted it.

use sqlx::Any;

use runbook::writes::key::{edited_run, is_opening};
use runbook::writes::{Moment, Times};

use super::timed::Transaction;
use super::{Kind, Recorded, Store, StoreError, TaskKind, failed};

/// What settles what is written under a key, and the id of that task.
fn settling(key: &str) -> (TaskKind, String) {
    if edited_run(key).is_some() {
        return (TaskKind::Edit, key.to_owned());
    }
    let kind = if is_opening(key) { TaskKind::Opening } else { TaskKind::Twin };
    (kind, format!("{}:{key}", kind.as_str()))
}

impl Store {
    /// There is a task while anything of it is open, from the same transaction on.
    pub(super) async fn settle_later(
        &self,
        tx: &mut Transaction<'static, Any>,
        key: &str,
        after: &Recorded,
        now: Moment,
        times: &Times,
    ) -> Result<(), StoreError> {
        let (kind, id) = settling(key);
        let (due_in, data) = match kind {
            TaskKind::Edit => (after.write.edit_due_in(now, times), ""),
            TaskKind::Opening => (self.opening_due_in(tx, after, now, times).await?, ""),
            _ => (after.write.settle_in(now, times), key),
        };
        let Some(wait) = due_in else { return self.settle_no_more(tx, key).await };
        self.replace_in(tx, Kind::Task, &id, self.in_millis(wait)).await?;
        sqlx::query(
            "INSERT INTO tasks (id, kind, incident_id, run_id, data) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (id) DO UPDATE SET incident_id = excluded.incident_id, data = excluded.data",
        )
        .bind(id)
        .bind(kind.as_str())
        .bind(after.on.clone())
        .bind(after.run_id.clone())
        .bind(data)
        .execute(&mut **tx)
        .await
        .map_err(failed("noting that a write is to be settled"))?;
        Ok(())
    }

    /// Nothing of it is open.
    pub(super) async fn settle_no_more(&self, tx: &mut Transaction<'static, Any>, key: &str) -> Result<(), StoreError> {
        let (_, id) = settling(key);
        self.drop_in(tx, Kind::Task, &id).await?;
        let query = sqlx::query("DELETE FROM tasks WHERE id = $1").bind(id);
        query.execute(&mut **tx).await.map_err(failed("noting that a write is settled"))?;
        Ok(())
    }
}
