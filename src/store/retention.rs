//! Old runs and events are pruned, in small batches: never what an alert that is not over needs.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Store, StoreError, failed};

/// Rows that one transaction takes: others must not wait for it.
const BATCH: i64 = 50;
/// What is kept at least, however short `RETENTION` is: that an event came (PagerDuty sends it again for two days), that
/// an incident was an alert, that it was paged for.
const MEMORY: Duration = Duration::from_secs(72 * 3600);
/// The longest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Prunes what is older than `keep` until `stop`. Several replicas may do so at once.
pub async fn retention(store: Store, keep: Duration, stop: CancellationToken) {
    let every = (keep / 10).clamp(Duration::from_millis(100), LOOK_EVERY);
    let mut failing = false;
    loop {
        let pruned = tokio::select! {
            pruned = store.prune(keep) => pruned,
            () = stop.cancelled() => return,
        };
        match pruned {
            Ok(0) => failing = false,
            Ok(rows) => {
                failing = false;
                tracing::info!(rows, "what is older than RETENTION is pruned");
            }
            Err(error) if failing => tracing::debug!(error = &error as &dyn std::error::Error, "nothing is pruned yet"),
            Err(error) => {
                failing = true;
                tracing::warn!(error = &error as &dyn std::error::Error, "old runs and events can't be pruned now");
            }
        }
        tokio::select! {
            () = store.clock.sleep(every.mul_f64(0.5 + store.clock.jitter() / 2.0)) => {}
            () = stop.cancelled() => return,
        }
    }
}

impl Store {
    /// Prunes everything that is older than `keep`; how many runs, alerts, short notes and events that were.
    ///
    /// # Errors
    /// The database: what was pruned before is pruned.
    pub async fn prune(&self, keep: Duration) -> Result<u64, StoreError> {
        let before = |age: Duration| {
            let age = jiff::SignedDuration::try_from(age).unwrap_or(jiff::SignedDuration::MAX);
            self.clock.now().checked_sub(age).unwrap_or(Timestamp::MIN)
        };
        let (runs_before, memory_before) = (before(keep), before(keep.max(MEMORY)));
        let mut pruned = 0;
        loop {
            let mut batch = self.prune_runs(runs_before, memory_before).await?;
            for sql in REST {
                batch += self.prune_rest(sql, memory_before).await?;
            }
            pruned += batch;
            if batch == 0 {
                return Ok(pruned);
            }
            // Webhooks first.
            tokio::task::yield_now().await;
        }
    }

    async fn prune_runs(&self, before: Timestamp, memory_before: Timestamp) -> Result<u64, StoreError> {
        let doing = "pruning old runs";
        let mut tx = self.write(doing).await?;
        let ids: Vec<(String,)> = sqlx::query_as(OLD_RUNS)
            .bind(before.as_millisecond())
            .bind(memory_before.as_millisecond())
            .bind(BATCH)
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(doing))?;
        for (id,) in &ids {
            for sql in [
                "DELETE FROM pages WHERE run_id = $1",
                "DELETE FROM idempotency_keys WHERE run_id = $1",
                "DELETE FROM steps WHERE run_id = $1",
                "DELETE FROM builds WHERE run_id = $1",
                "DELETE FROM runs WHERE id = $1",
            ] {
                sqlx::query(sql).bind(id).execute(&mut *tx).await.map_err(failed(doing))?;
            }
        }
        tx.commit().await.map_err(failed(doing))?;
        Ok(ids.len() as u64)
    }

    async fn prune_rest(&self, sql: &'static str, before: Timestamp) -> Result<u64, StoreError> {
        let doing = "pruning what is old";
        let mut tx = self.write(doing).await?;
        let query = sqlx::query(sql).bind(before.as_millisecond()).bind(BATCH);
        let done = query.execute(&mut *tx).await.map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(done.rows_affected())
    }
}

/// Runs that nothing needs: ended before $1; not the newest of an alert that is not over (or was not before $1); no
/// page hangs on it that may yet count (it is not ended and told of, is younger than $2, or its alert is not over); no
/// chore; no key that makes a repeated wish answer as the first did.
const OLD_RUNS: &str = "SELECT id FROM runs
    WHERE finished_at < $1 AND state IN ('done', 'failed', 'cancelled')
    AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.incident_id = runs.incident_id
        AND (a.resolved_at IS NULL OR a.resolved_at >= $1)
        AND runs.id = (SELECT MAX(r.id) FROM runs r WHERE r.incident_id = runs.incident_id))
    AND NOT EXISTS (SELECT 1 FROM pages p WHERE p.run_id = runs.id
        AND (p.state = 'requested' OR p.told = 0 OR p.requested_at >= $2 OR EXISTS (SELECT 1 FROM alerts a
            WHERE a.incident_id = p.incident_id AND (a.resolved_at IS NULL OR a.resolved_at >= $2))))
    AND NOT EXISTS (SELECT 1 FROM chores c WHERE c.run_id = runs.id)
    AND NOT EXISTS (SELECT 1 FROM idempotency_keys k WHERE k.run_id = runs.id AND k.created_at >= $2)
    ORDER BY finished_at LIMIT $3";

/// Everything else, in this order: alerts that are over and have nothing left, then their short notes; events.
const REST: [&str; 3] = [
    "DELETE FROM alerts WHERE incident_id IN (SELECT incident_id FROM alerts
        WHERE NOT EXISTS (SELECT 1 FROM alerts b WHERE b.incident_id = alerts.alert_id
            AND (b.resolved_at IS NULL OR b.resolved_at >= $1))
        AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.incident_id IN (alerts.incident_id, alerts.alert_id))
        AND NOT EXISTS (SELECT 1 FROM pages p WHERE p.incident_id IN (alerts.incident_id, alerts.alert_id))
        AND NOT EXISTS (SELECT 1 FROM chores c WHERE c.incident_id IN (alerts.incident_id, alerts.alert_id))
        LIMIT $2)",
    "DELETE FROM short_notes WHERE key IN (SELECT key FROM short_notes WHERE begun_at < $1
        AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.incident_id = short_notes.incident_id) LIMIT $2)",
    "DELETE FROM events WHERE event_id IN (SELECT event_id FROM events WHERE received_at < $1
        ORDER BY received_at LIMIT $2)",
];
