//! What is old is pruned, in small batches: whole alerts that are over, runs that an alert which goes on has left behind, events.
//! Never what an alert that is not over needs. What is kept of either, and when it goes, is in `old.rs`.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use super::many::places;
use super::old::{ALL, Age, Old};
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
/// How long an operator's `Idempotency-Key` is kept.
const KEYS: Duration = Duration::from_secs(24 * 3600);
/// How often the other clock is asked for until it is known.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The longest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// How long what is over is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// `RETENTION`.
    pub runs: Duration,
    /// `EVIDENCE_RETENTION`; what a run that is kept has seen is kept with it.
    pub evidence: Duration,
}

/// All of it for as long.
impl From<Duration> for Keep {
    fn from(keep: Duration) -> Self {
        Self { runs: keep, evidence: keep }
    }
}

/// Prunes what is older than `keep` until `stop`. Several replicas may do so at once.
///
/// What is pruned is gone, and a machine's clock may be wrong by years: so nothing is older than by `witness` too, another
/// clock, and nothing is pruned while that one is not known.
pub async fn retention(store: Store, keep: Keep, witness: impl Fn() -> Option<Timestamp>, stop: CancellationToken) {
    let Keep { runs, .. } = keep;
    let every = (runs / 10).clamp(Duration::from_millis(100), LOOK_EVERY);
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
                tracing::info!(rows, "what is older than RETENTION or EVIDENCE_RETENTION is pruned");
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
    /// Prunes everything that is older than `keep` at `now`; how many runs, alerts and events that were, and rows that nobody's
    /// alert takes along.
    ///
    /// # Errors
    /// The database: what was pruned before is pruned.
    pub async fn prune(&self, now: Timestamp, keep: impl Into<Keep>) -> Result<u64, StoreError> {
        let Keep { runs, evidence } = keep.into();
        let before = |age: Age| {
            let age = match age {
                Age::Kept => runs,
                Age::Remembered => runs.max(MEMORY),
                Age::Evidence => evidence.max(runs).max(MEMORY),
                Age::Key => KEYS,
            };
            let age = jiff::SignedDuration::try_from(age).unwrap_or(jiff::SignedDuration::MAX);
            now.checked_sub(age).unwrap_or(Timestamp::MIN).as_millisecond()
        };
        // There are few, since whoever uses one clears them too.
        self.in_time(self.forget_keys(before(Age::Key))).await?;
        let mut pruned = 0;
        for what in ALL {
            let ages: Vec<i64> = what.ages.iter().map(|age| before(*age)).collect();
            pruned += self.prune_all(&what, &ages).await?;
        }
        Ok(pruned)
    }

    async fn forget_keys(&self, before: i64) -> Result<(), StoreError> {
        let doing = "forgetting old Idempotency-Keys";
        let mut tx = self.write(doing).await?;
        sqlx::query("DELETE FROM idempotency_keys WHERE created_at < $1 AND who <> 'note:'")
            .bind(before)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Prunes all of one kind.
    async fn prune_all(&self, what: &Old, ages: &[i64]) -> Result<u64, StoreError> {
        let doing = "looking for what is old";
        let (mut pruned, mut size) = (0, 1);
        loop {
            let Old { table, key, is_old, order, .. } = what;
            let sql = format!("SELECT {key} FROM {table} WHERE {is_old} {order} LIMIT ${}", ages.len() + 1);
            let look = async {
                let mut query = sqlx::query_as(AssertSqlSafe(sql));
                for before in ages {
                    query = query.bind(*before);
                }
                query.bind(FOUND).fetch_all(&self.pool).await.map_err(failed(doing))
            };
            let found: Vec<(String,)> = self.in_time(look).await?;
            let (mut gone, mut rest) = (0, found.as_slice());
            while !rest.is_empty() {
                let (batch, others) = rest.split_at(size.min(rest.len()));
                let begun = Instant::now();
                gone += self.in_time(self.prune_batch(what, batch, ages)).await?;
                let took = begun.elapsed();
                // How much a row takes along differs by a hundred times.
                size = if took > LONG { size.div_ceil(2) } else { (size + 1).min(what.batch) };
                // Webhooks first.
                tokio::time::sleep((took * GAPS).max(GAP)).await;
                rest = others;
            }
            pruned += gone;
            // Nothing is left, or what was found is needed again. An alert with many runs goes in parts, and is found again.
            if gone == 0 {
                return Ok(pruned);
            }
        }
    }

    /// Prunes those of a batch that are still old: meanwhile something may have come that needs them.
    async fn prune_batch(&self, what: &Old, batch: &[(String,)], ages: &[i64]) -> Result<u64, StoreError> {
        let doing = "pruning what is old";
        let mut tx = self.write(doing).await?;
        let sql = format!(
            "SELECT {key} FROM {} WHERE {key} IN ({}) AND {}",
            what.table,
            places(ages.len() + 1, batch.len()),
            what.is_old,
            key = what.key,
        );
        let mut still = sqlx::query_as(AssertSqlSafe(sql));
        for before in ages {
            still = still.bind(*before);
        }
        for (key,) in batch {
            still = still.bind(key);
        }
        let still: Vec<(String,)> = still.fetch_all(&mut *tx).await.map_err(failed(doing))?;
        let still: Vec<&str> = still.iter().map(|(key,)| key.as_str()).collect();
        let gone = what.delete(&mut tx, &still).await?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(gone)
    }
}
