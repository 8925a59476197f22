//! The log of a run's steps, for people.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use runbook::run::StepState;

use super::decisions::{About, NewDecision};
use super::evidence::Sight;
use super::rows::plain;
use super::{Lease, Store, StoreError, failed, many};

impl Store {
    /// How many steps of each of these runs have begun, and how many of them have ended: tells whether they have changed.
    ///
    /// # Errors
    /// The database.
    pub async fn count_steps(&self, runs: &[&str]) -> Result<HashMap<String, (i64, i64)>, StoreError> {
        let mut counted = HashMap::new();
        for runs in many::chunks(runs) {
            let sql = format!(
                "SELECT run_id, COUNT(*), COUNT(finished_at) FROM steps WHERE run_id IN ({}) GROUP BY run_id",
                many::places(1, runs.len())
            );
            let mut query = sqlx::query_as(AssertSqlSafe(sql));
            for run in runs {
                query = query.bind(*run);
            }
            let rows: Vec<(String, i64, i64)> =
                query.fetch_all(&self.pool).await.map_err(failed("counting the steps of runs"))?;
            counted.extend(rows.into_iter().map(|(run, begun, ended)| (run, (begun, ended))));
        }
        Ok(counted)
    }

    /// A step begins; gives its number.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn begin_step(&self, lease: &Lease, name: &str) -> Result<i64, StoreError> {
        let doing = "noting a step";
        let mut tx = self.write_claimed(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let (seq,): (i64,) = sqlx::query_as("SELECT COALESCE(MAX(seq), 0) + 1 FROM steps WHERE run_id = $1")
            .bind(&lease.run_id)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(doing))?;
        sqlx::query("INSERT INTO steps (run_id, seq, name, state, started_at) VALUES ($1, $2, $3, 'running', $4)")
            .bind(&lease.run_id)
            .bind(seq)
            .bind(name)
            .bind(self.now())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(seq)
    }

    /// A step ended, well or not; what it saw, and was decided up to then, is kept with its end.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn end_step(
        &self,
        lease: &Lease,
        seq: i64,
        error: Option<&str>,
        saw: Option<Sight<'_>>,
        decided: &[NewDecision],
    ) -> Result<(), StoreError> {
        let doing = "noting a step's end";
        let mut tx = self.write_claimed(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        sqlx::query("UPDATE steps SET state = $1, finished_at = $2, error = $3 WHERE run_id = $4 AND seq = $5")
            .bind(if error.is_some() { StepState::Failed } else { StepState::Done }.as_str())
            .bind(self.now())
            .bind(error.map(plain))
            .bind(&lease.run_id)
            .bind(seq)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        if let Some(sight) = saw {
            self.keep_sight(&mut tx, lease, seq, sight).await?;
        }
        self.decided_in(&mut tx, About::Run(lease.run_id()), decided).await?;
        self.commit_changed(tx, doing).await
    }
}
