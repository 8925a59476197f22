//! Old runs and events are pruned, in small batches: never what an alert that is not over needs.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe, Transaction};
use tokio_util::sync::CancellationToken;

use super::many::places;
use super::{Store, StoreError, failed};

/// Rows that are looked for at once, which keeps nobody from writing.
const FOUND: i64 = 500;
/// Longer than this no webhook is to wait for a transaction: the next takes half as much.
const LONG: Duration = Duration::from_millis(4);
/// How long others have the database to themselves after each transaction, at least, and in lengths of it. SQLite doesn't
/// queue who waits to write: they look again every 25 ms or so, and must find a gap.
const GAP: Duration = Duration::from_millis(30);
const GAPS: u32 = 4;
/// What is kept at least, however short `RETENTION` is: that an event came (PagerDuty sends it again for two days), that
/// an incident was an alert, that it was paged for.
const MEMORY: Duration = Duration::from_secs(72 * 3600);
/// How often the other clock is asked for until it is known.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The longest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Prunes what is older than `keep` until `stop`. Several replicas may do so at once.
///
/// What is pruned is gone, and a machine's clock may be wrong by years: so nothing is older than by `witness` too, another
/// clock, and nothing is pruned while that one is not known.
pub async fn retention(store: Store, keep: Duration, witness: impl Fn() -> Option<Timestamp>, stop: CancellationToken) {
    let every = (keep / 10).clamp(Duration::from_millis(100), LOOK_EVERY);
    let mut failing = false;
    loop {
        let Some(now) = witness().map(|theirs| theirs.min(store.clock.now())) else {
            tokio::select! {
                () = store.clock.sleep(ASK_AGAIN) => continue,
                () = stop.cancelled() => return,
            }
        };
        let pruned = tokio::select! {
            pruned = store.prune(now, keep) => pruned,
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
    /// Prunes everything that is older than `keep` at `now`; how many runs, alerts, short notes and events that were.
    ///
    /// # Errors
    /// The database: what was pruned before is pruned.
    pub async fn prune(&self, now: Timestamp, keep: Duration) -> Result<u64, StoreError> {
        let before = |age: Duration| {
            let age = jiff::SignedDuration::try_from(age).unwrap_or(jiff::SignedDuration::MAX);
            now.checked_sub(age).unwrap_or(Timestamp::MIN)
        };
        let (runs_before, memory_before) = (before(keep), before(keep.max(MEMORY)));
        let mut pruned = 0;
        for what in ALL {
            // Of runs alone it counts when they ended; the rest goes by what is kept at least.
            let ended_before = if what.table == "runs" { runs_before } else { memory_before };
            pruned += self.prune_all(&what, ended_before.as_millisecond(), memory_before.as_millisecond()).await?;
        }
        Ok(pruned)
    }

    /// Prunes all of one kind.
    async fn prune_all(&self, what: &Prunable, before: i64, memory_before: i64) -> Result<u64, StoreError> {
        let doing = "looking for what is old";
        let (mut pruned, mut size) = (0, 1);
        loop {
            let sql = format!("SELECT {} FROM {} WHERE {} {} LIMIT $3", what.key, what.table, what.is_old, what.order);
            let look = async {
                sqlx::query_as(AssertSqlSafe(sql))
                    .bind(before)
                    .bind(memory_before)
                    .bind(FOUND)
                    .fetch_all(&self.pool)
                    .await
                    .map_err(failed(doing))
            };
            let found: Vec<(String,)> = self.in_time(look).await?;
            let (mut gone, mut rest) = (0, found.as_slice());
            while !rest.is_empty() {
                let (batch, others) = rest.split_at(size.min(rest.len()));
                let begun = Instant::now();
                gone += self.in_time(self.prune_batch(what, batch, before, memory_before)).await?;
                let took = begun.elapsed();
                // How much a row takes along differs by a hundred times.
                size = if took > LONG { size.div_ceil(2) } else { (size + 1).min(what.batch) };
                // Webhooks first.
                tokio::time::sleep((took * GAPS).max(GAP)).await;
                rest = others;
            }
            pruned += gone;
            // Nothing is left, or what was found is needed again.
            if found.len() < FOUND as usize || gone == 0 {
                return Ok(pruned);
            }
        }
    }

    /// Prunes those of a batch that are still old: meanwhile something may have come that needs them.
    async fn prune_batch(
        &self,
        what: &Prunable,
        batch: &[(String,)],
        before: i64,
        memory_before: i64,
    ) -> Result<u64, StoreError> {
        let doing = "pruning what is old";
        let mut tx = self.write(doing).await?;
        let sql = format!(
            "SELECT {key} FROM {} WHERE {key} IN ({}) AND {}",
            what.table,
            places(3, batch.len()),
            what.is_old,
            key = what.key,
        );
        let mut still = sqlx::query_as(AssertSqlSafe(sql)).bind(before).bind(memory_before);
        for (key,) in batch {
            still = still.bind(key);
        }
        let still: Vec<(String,)> = still.fetch_all(&mut *tx).await.map_err(failed(doing))?;
        if !still.is_empty() {
            for table in what.hang_on {
                delete(&mut tx, table, "run_id", &still).await?;
            }
            delete(&mut tx, what.table, what.key, &still).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        Ok(still.len() as u64)
    }
}

async fn delete(
    tx: &mut Transaction<'static, Any>,
    table: &str,
    key: &str,
    keys: &[(String,)],
) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM {table} WHERE {key} IN ({})", places(1, keys.len()));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (key,) in keys {
        query = query.bind(key);
    }
    query.execute(&mut **tx).await.map_err(failed("pruning what is old"))?;
    Ok(())
}

/// What is pruned.
struct Prunable {
    table: &'static str,
    key: &'static str,
    /// How many one transaction takes at most.
    batch: usize,
    /// What hangs on it, by `run_id`.
    hang_on: &'static [&'static str],
    /// Of a row: it ended before $1, and nothing that counts is younger than $2. Both stand in each.
    is_old: &'static str,
    order: &'static str,
}

/// In this order: runs; alerts that are over and have nothing left, then their short notes and what was done about them; events, then
/// the memory that what they told to do was done; sessions that would have ended long ago.
const ALL: [Prunable; 8] = [
    // Runs that nothing needs: not the newest of an alert that is not over (or was not before $1); no page hangs on it
    // that may yet count (it is not ended and told of, is younger than $2, or its alert is not over); nothing under way; no key that
    // makes a repeated request answer as the first did.
    Prunable {
        table: "runs",
        key: "id",
        batch: 20,
        hang_on: &["pages", "idempotency_keys", "steps", "builds", "evidence", "writes"],
        is_old: "finished_at < $1 AND state IN ('done', 'failed', 'cancelled')
            AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.id = runs.alert_id
                AND (a.resolved_at IS NULL OR a.resolved_at >= $1)
                AND runs.id = (SELECT MAX(r.id) FROM runs r WHERE r.alert_id = runs.alert_id
                    AND r.incident_id = runs.incident_id))
            AND NOT EXISTS (SELECT 1 FROM pages p WHERE p.run_id = runs.id
                AND (p.state NOT IN ('paged', 'failed') OR p.told = 0 OR p.requested_at >= $2
                    OR EXISTS (SELECT 1 FROM incidents i JOIN alerts a ON a.id = i.alert_id
                        WHERE i.incident_id = p.incident_id AND (a.resolved_at IS NULL OR a.resolved_at >= $2))))
            AND NOT EXISTS (SELECT 1 FROM tasks c WHERE c.run_id = runs.id)
            AND NOT EXISTS (SELECT 1 FROM work w WHERE w.key = 'alert/' || runs.alert_id)
            AND NOT EXISTS (SELECT 1 FROM idempotency_keys k WHERE k.run_id = runs.id AND k.created_at >= $2)",
        order: "ORDER BY finished_at",
    },
    Prunable {
        // With their names.
        table: "alerts",
        key: "id",
        batch: 100,
        hang_on: &[],
        is_old: "$1 <= $2 AND resolved_at < $2 AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.alert_id = alerts.id)
            AND NOT EXISTS (SELECT 1 FROM incidents i JOIN pages p ON p.incident_id = i.incident_id
                WHERE i.alert_id = alerts.id)
            AND NOT EXISTS (SELECT 1 FROM work w WHERE w.key = 'alert/' || alerts.id)
            AND NOT EXISTS (SELECT 1 FROM incidents i JOIN tasks c ON c.incident_id = i.incident_id
                WHERE i.alert_id = alerts.id)",
        order: "",
    },
    Prunable {
        table: "writes",
        key: "key",
        batch: 100,
        hang_on: &[],
        is_old: "run_id IS NULL AND COALESCE(begun_at, 0) < $1 AND COALESCE(begun_at, 0) < $2
            AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.incident_id = writes.incident_id)",
        order: "",
    },
    Prunable {
        table: "openings",
        key: "incident_id",
        batch: 100,
        hang_on: &[],
        is_old: "begun_at < $1 AND begun_at < $2
            AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.incident_id = openings.incident_id)",
        order: "",
    },
    Prunable {
        table: "activity",
        key: "id",
        batch: 100,
        hang_on: &[],
        is_old: "at < $1 AND at < $2 AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.incident_id = activity.incident_id)",
        order: "",
    },
    Prunable {
        table: "webhooks",
        key: "event_id",
        batch: 100,
        hang_on: &[],
        is_old: "received_at < $1 AND received_at < $2",
        order: "ORDER BY received_at",
    },
    // `/hold` and `/status` made no run with which they would go: they go with the event that told of them. An operator's
    // key may be the same text, and is none of these.
    Prunable {
        table: "idempotency_keys",
        key: "CASE WHEN who = 'note:' AND run_id = '' THEN key END",
        batch: 100,
        hang_on: &[],
        is_old: "who = 'note:' AND run_id = '' AND created_at < $1 AND created_at < $2
            AND NOT EXISTS (SELECT 1 FROM webhooks e WHERE e.event_id = idempotency_keys.key)",
        order: "ORDER BY created_at",
    },
    Prunable {
        table: "ended_sessions",
        key: "id",
        batch: 100,
        hang_on: &[],
        is_old: "ends_at < $1 AND ends_at < $2",
        order: "ORDER BY ends_at",
    },
];
