//! How much waits: for `/metrics`.

use std::time::Duration;

use super::{Store, StoreError, failed};
use crate::metrics::Waiting;

impl Store {
    /// What waits now.
    ///
    /// # Errors
    /// The database.
    pub async fn waiting(&self) -> Result<Waiting, StoreError> {
        let doing = "counting what waits";
        let now = self.now();
        let mut waiting = Waiting::default();
        let states: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT state, COUNT(*), MIN(created_at) FROM runs WHERE state IN ('queued', 'suppressed', 'running')
             GROUP BY state",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed(doing))?;
        for (state, count, oldest) in states {
            match state.as_str() {
                "queued" => {
                    waiting.queued = count;
                    waiting.oldest = Duration::from_millis(now.saturating_sub(oldest).try_into().unwrap_or(0));
                }
                "suppressed" => waiting.suppressed = count,
                _ => waiting.running = count,
            }
        }
        for (query, count) in [
            (
                "SELECT COUNT(*) FROM runs WHERE state IN ('queued', 'suppressed', 'running')
                 AND due_at <= $1 AND lease_until <= $1",
                &mut waiting.due_runs,
            ),
            (
                "SELECT COUNT(*) FROM pages WHERE state = 'requested' AND due_at <= $1 AND lease_until <= $1",
                &mut waiting.due_pages,
            ),
            ("SELECT COUNT(*) FROM chores WHERE due_at <= $1 AND lease_until <= $1", &mut waiting.due_chores),
        ] {
            (*count,) =
                sqlx::query_as(query).bind(self.lease_now()).fetch_one(&self.pool).await.map_err(failed(doing))?;
        }
        if let Some(canary) = self.canary().await? {
            waiting.canary = canary.outcome;
            waiting.canary_good = canary.good_at.map_or(0, jiff::Timestamp::as_second);
        }
        Ok(waiting)
    }
}
