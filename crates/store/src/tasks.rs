//! What is seen to after a write that is in doubt, claimed and written like a run.

use std::time::Duration;

use sqlx::Any;

use super::timed::Transaction;
use super::work::{Claim, Kind};
use super::{NewTask, Store, StoreError, TaskKind, failed};

impl NewTask {
    fn id(&self) -> String {
        format!("{}:{}:{}", self.kind.as_str(), self.incident_id, self.mark)
    }
}

/// A claimed task: the right to do it.
#[derive(Clone, Debug)]
pub struct Task {
    pub(super) claim: Claim,
    /// What there is to do.
    pub kind: TaskKind,
    /// Its alert.
    pub incident_id: String,
    /// The run that it follows from.
    pub run_id: Option<String>,
    /// What it needs, as JSON.
    pub data: String,
}

impl Task {
    /// The claim itself.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// How often it was claimed.
    pub fn attempt(&self) -> i64 {
        self.claim.attempt
    }
}

/// kind, incident_id, run_id, data
type Row = (String, String, Option<String>, String);

impl Store {
    /// Adds a task; one that is there already for the same (kind, alert, mark) is replaced.
    ///
    /// # Errors
    /// The database.
    pub async fn add_task(&self, task: &NewTask) -> Result<(), StoreError> {
        let mut tx = self.write("adding a task").await?;
        self.task_in(&mut tx, task).await?;
        self.commit_due(tx, "adding a task").await
    }

    pub(super) async fn task_in(&self, tx: &mut Transaction<'static, Any>, task: &NewTask) -> Result<(), StoreError> {
        self.replace_in(tx, Kind::Task, &task.id(), self.in_millis(task.after)).await?;
        sqlx::query(
            "INSERT INTO tasks (id, kind, incident_id, run_id, data) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (id) DO UPDATE SET run_id = excluded.run_id, data = excluded.data",
        )
        .bind(task.id())
        .bind(task.kind.as_str())
        .bind(&task.incident_id)
        .bind(&task.run_id)
        .bind(&task.data)
        .execute(&mut **tx)
        .await
        .map_err(failed("adding a task"))?;
        Ok(())
    }

    /// Claims a task that is due.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_task(&self) -> Result<Option<Task>, StoreError> {
        let doing = "claiming a task";
        loop {
            let mut tx = self.write_claimed(doing).await?;
            let Some(claim) = self.claim_in(&mut tx, Kind::Task).await? else { return Ok(None) };
            let row: Option<Row> = sqlx::query_as("SELECT kind, incident_id, run_id, data FROM tasks WHERE id = $1")
                .bind(claim.id())
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?;
            let known = row.and_then(|(kind, incident_id, run_id, data)| {
                Some((kind.parse::<TaskKind>().ok()?, incident_id, run_id, data))
            });
            // One that only a newer version knows must keep nobody from the others.
            let Some((kind, incident_id, run_id, data)) = known else {
                self.leave_alone(tx, &claim).await?;
                continue;
            };
            tx.commit().await.map_err(failed(doing))?;
            return Ok(Some(Task { claim, kind, incident_id, run_id, data }));
        }
    }

    /// Puts it off, with what it needs then.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn put_off_task(&self, task: &Task, data: &str, wait: Duration) -> Result<(), StoreError> {
        let doing = "putting a task off";
        let mut tx = self.write_claimed(doing).await?;
        self.release_in(&mut tx, &task.claim, self.in_millis(wait)).await?;
        sqlx::query("UPDATE tasks SET data = $1 WHERE id = $2")
            .bind(data)
            .bind(task.claim.id())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        self.commit_due(tx, doing).await
    }

    /// It is done, or has become pointless.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn finish_task(&self, task: &Task) -> Result<(), StoreError> {
        let doing = "ending a task";
        let mut tx = self.write_claimed(doing).await?;
        self.end_task_in(&mut tx, task).await?;
        self.commit_changed(tx, doing).await
    }

    pub(super) async fn end_task_in(&self, tx: &mut Transaction<'static, Any>, task: &Task) -> Result<(), StoreError> {
        self.end_in(tx, &task.claim).await?;
        sqlx::query("DELETE FROM tasks WHERE id = $1")
            .bind(task.claim.id())
            .execute(&mut **tx)
            .await
            .map_err(failed("ending a task"))?;
        Ok(())
    }
}
