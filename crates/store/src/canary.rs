//! The canary: the reading that is taken every now and then without an alert. Its state is one row, shared by all
//! processes; that it is due is judged by the clock that they share.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::rows::{from_json, parse, plain, time, to_json};
use super::work::Claim;
use super::{Store, StoreError, WatchLease, failed};
use outbound::builds::BuildRecord;
use runbook::alert::Region;
use runbook::canary::Outcome;

/// What is known of the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// In how long the next one is due; zero: it is.
    pub due_in: Duration,
    /// When the one that goes on, or was cut off, was begun.
    pub begun: Option<Timestamp>,
    /// The region that the job was last asked for; `None`: there was none yet, or what is kept can't be a region.
    pub region: Option<Region>,
    /// What the last one came to; `None`: there was none yet.
    pub outcome: Option<Outcome>,
    /// When the last good one ended.
    pub good_at: Option<Timestamp>,
    due_at: i64,
}

/// A canary that is begun: the right to write of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryLease {
    /// When it was begun.
    pub at: Timestamp,
    claim: Claim,
}

impl CanaryLease {
    /// Of one that was begun then, for who looks after it now.
    pub fn of(lease: &WatchLease, at: Timestamp) -> Self {
        Self { at, claim: lease.claim.clone() }
    }

    /// The claim of who looks after it.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }
}

/// How many runs are active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveRuns {
    /// Those that a build serves.
    pub served: i64,
    /// Those that need another.
    pub others: i64,
}

/// due_at, begun_at, region, outcome, good_at
type Row = (i64, Option<i64>, Option<String>, Option<String>, Option<i64>);

/// What can't be read of it is as if it were not known: the next one writes it again.
fn said(error: &StoreError) {
    tracing::warn!(error = error as &dyn std::error::Error, "something of the canary can't be read");
}

impl Store {
    /// What is known of the canary; `None`: it was never planned here.
    ///
    /// # Errors
    /// The database.
    pub async fn canary(&self) -> Result<Option<Canary>, StoreError> {
        let look = async {
            sqlx::query_as("SELECT due_at, begun_at, region, outcome, good_at FROM canary WHERE id = 'one'")
                .fetch_optional(&self.pool)
                .await
                .map_err(failed("looking at the canary"))
        };
        let row: Option<Row> = self.in_time(look).await?;
        let Some((due_at, begun_at, region, outcome, good_at)) = row else { return Ok(None) };
        Ok(Some(Canary {
            due_in: Duration::from_millis(due_at.saturating_sub(self.now()).try_into().unwrap_or(0)),
            begun: begun_at.map(time).transpose()?,
            region: region.and_then(|region| region.parse().ok()),
            outcome: outcome.and_then(|outcome| parse("the outcome of a canary", &outcome).inspect_err(said).ok()),
            good_at: good_at.and_then(|at| time(at).inspect_err(said).ok()),
            due_at,
        }))
    }

    /// Makes the canary due within `interval`, where it isn't sooner already.
    ///
    /// # Errors
    /// The database.
    pub async fn plan_canary(&self, interval: Duration) -> Result<(), StoreError> {
        let doing = "planning the canary";
        let mut tx = self.write(doing).await?;
        sqlx::query(
            "INSERT INTO canary (id, due_at) VALUES ('one', $1)
             ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at WHERE canary.due_at > excluded.due_at",
        )
        .bind(self.later(interval))
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Begins the canary that was seen to be due, and makes the next one due in `interval`; `None`: somebody else has
    /// begun it.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn begin_canary(
        &self,
        lease: &WatchLease,
        seen: &Canary,
        region: &Region,
        interval: Duration,
    ) -> Result<Option<CanaryLease>, StoreError> {
        let doing = "beginning the canary";
        let mut tx = self.write_claimed(doing).await?;
        self.noting(self.check(&mut tx, &lease.claim).await)?;
        let now = self.now();
        let begun = sqlx::query(
            "UPDATE canary SET due_at = $1, begun_at = $2, region = $3, builds = '[]'
             WHERE id = 'one' AND due_at = $4 AND begun_at IS NULL",
        )
        .bind(self.later(interval))
        .bind(now)
        .bind(region.as_str())
        .bind(seen.due_at)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(if begun.rows_affected() == 1 { Some(CanaryLease::of(lease, time(now)?)) } else { None })
    }

    /// The builds that the canary has asked for.
    ///
    /// # Errors
    /// The database, or the canary is over.
    pub async fn canary_builds(&self, lease: &CanaryLease) -> Result<Vec<BuildRecord>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT builds FROM canary WHERE id = 'one' AND begun_at = $1")
            .bind(lease.at.as_millisecond())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("reading the canary's builds"))?;
        let (builds,) = row.ok_or(StoreError::LeaseLost)?;
        // Then they are looked for in Jenkins.
        Ok(from_json("the canary's builds", &builds).inspect_err(said).unwrap_or_default())
    }

    /// Remembers them.
    ///
    /// # Errors
    /// The database, or the canary is over.
    pub async fn set_canary_builds(&self, lease: &CanaryLease, builds: &[BuildRecord]) -> Result<(), StoreError> {
        let set = sqlx::query("UPDATE canary SET builds = $1 WHERE id = 'one' AND begun_at = $2");
        self.one_canary(lease, "remembering the canary's builds", set.bind(plain(&to_json(&builds)?)), false).await
    }

    /// Ends the canary with what it came to; `good_at` where that is good.
    ///
    /// # Errors
    /// The database, or the canary is over.
    pub async fn end_canary(
        &self,
        lease: &CanaryLease,
        outcome: Outcome,
        good_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let end = sqlx::query(
            "UPDATE canary SET begun_at = NULL, outcome = $1, good_at = COALESCE($2, good_at)
             WHERE id = 'one' AND begun_at = $3",
        );
        let end = end.bind(outcome.as_str()).bind(good_at.map(Timestamp::as_millisecond));
        self.one_canary(lease, "ending the canary", end, true).await
    }

    /// Puts the canary off, since an alert came: another one is due in `after`.
    ///
    /// # Errors
    /// The database, or the canary is over.
    pub async fn put_off_canary(&self, lease: &CanaryLease, after: Duration) -> Result<(), StoreError> {
        let put_off = sqlx::query("UPDATE canary SET begun_at = NULL, due_at = $1 WHERE id = 'one' AND begun_at = $2");
        self.one_canary(lease, "putting the canary off", put_off.bind(self.later(after)), true).await
    }

    /// Runs an update whose last parameter is when the canary was begun: one that is over by then, or that another process
    /// looks after, is written no more.
    async fn one_canary<'q>(
        &self,
        lease: &CanaryLease,
        doing: &'static str,
        query: Query<'q, Any, AnyArguments>,
        is_over: bool,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_claimed(doing).await?;
        self.noting(self.check(&mut tx, &lease.claim).await)?;
        let done = query.bind(lease.at.as_millisecond()).execute(&mut *tx).await.map_err(failed(doing))?;
        if done.rows_affected() != 1 {
            return Err(StoreError::LeaseLost);
        }
        if is_over {
            // Its build is left to a run, or was never known.
            self.set_building(&mut tx, &lease.claim, 0).await?;
        }
        tx.commit().await.map_err(failed(doing))
    }

    /// The active runs, by whether a build begun at `begun` serves them: it does those whose alert is known to have come
    /// no later. Without a build none is served.
    ///
    /// # Errors
    /// The database.
    pub async fn active_runs(&self, begun: Option<Timestamp>) -> Result<ActiveRuns, StoreError> {
        let (served, all): (i64, i64) = sqlx::query_as(
            "SELECT COALESCE(SUM(CASE WHEN r.triggered_by IN ('webhook', 'reconcile') AND r.suppressed_at IS NULL
                AND EXISTS (SELECT 1 FROM alerts a WHERE a.id = r.alert_id AND a.triggered_at <= $1)
                THEN 1 ELSE 0 END), 0), COUNT(*)
             FROM runs r WHERE r.state IN ('queued', 'suppressed', 'running')",
        )
        .bind(begun.map_or(i64::MIN, Timestamp::as_millisecond))
        .fetch_one(&self.pool)
        .await
        .map_err(failed("looking for active runs"))?;
        Ok(ActiveRuns { served, others: all - served })
    }

    fn later(&self, by: Duration) -> i64 {
        self.now().saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
    }
}
