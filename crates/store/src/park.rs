//! Suppressed runs: parked, costing nothing, until they are due.

use std::time::Duration;

use jiff::Timestamp;
use runbook::suppression;
use sqlx::{Any, AssertSqlSafe};

use super::lists::ACTIVE;
use super::rows::time;
use super::timed::Transaction;
use super::work::Kind;
use super::{Lease, Store, StoreError, failed};

/// How a run stands with what is heard of its alert meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suppression {
    /// With the pages that explain its alert.
    pub was: suppression::Suppression,
    /// When the alert was said to be resolved while the run was active.
    pub alert_resolved_at: Option<Timestamp>,
    /// As of which news of its alert that is; `None`: it has none.
    pub news: Option<i64>,
}

impl Store {
    /// How a run stands.
    ///
    /// # Errors
    /// The database.
    pub async fn suppression(&self, run_id: &str) -> Result<Suppression, StoreError> {
        type Row = (Option<i64>, Option<i64>, i64, Option<i64>, Option<i64>);
        let (since, closed, go_on, resolved, news): Row = sqlx::query_as(
            "SELECT suppressed_at, related_closed_at, go_on, alert_resolved_at,
             (SELECT news FROM alerts WHERE alerts.id = runs.alert_id) FROM runs WHERE id = $1",
        )
        .bind(run_id)
        .fetch_one(&self.pool)
        .await
        .map_err(failed("looking for a suppression"))?;
        Ok(Suppression {
            was: suppression::Suppression {
                since: since.map(time).transpose()?,
                closed_since: closed.map(time).transpose()?,
                go_on: go_on != 0,
            },
            alert_resolved_at: resolved.map(time).transpose()?,
            news,
        })
    }

    /// Parks a run until `wait` from now, or until something wakes it; gives the claim back. `heard` is the resolution
    /// that it knows of already.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn park_run(
        &self,
        lease: &Lease,
        since: Timestamp,
        closed_since: Option<Timestamp>,
        heard: Option<Timestamp>,
        wait: Duration,
    ) -> Result<(), StoreError> {
        let doing = "parking a run";
        let mut tx = self.write_claimed(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        // What was said meanwhile (resolved, go on) must not be slept over: then it is due at once. A resolution that
        // could not be confirmed is no news: asking again at once would ask without end.
        let (at_once,): (i64,) = sqlx::query_as(
            "UPDATE runs SET state = 'suppressed', suppressed_at = $1, related_closed_at = $2 WHERE id = $4
             RETURNING CASE WHEN COALESCE(alert_resolved_at, $3) <> $3 OR go_on = 1 THEN 1 ELSE 0 END",
        )
        .bind(since.as_millisecond())
        .bind(closed_since.map(Timestamp::as_millisecond))
        .bind(heard.map_or(-1, Timestamp::as_millisecond))
        .bind(lease.run_id())
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let due = if at_once == 1 { self.now() } else { self.in_millis(wait) };
        self.set_building(&mut tx, &lease.claim, 0).await?;
        self.release_in(&mut tx, &lease.claim, due).await?;
        self.commit_due(tx, doing).await
    }

    /// The suppression is over: the run goes on, also after a restart.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn end_suppression(&self, lease: &Lease) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE runs SET go_on = 1, suppression_ended_at = COALESCE(suppression_ended_at, $1)
             WHERE id = $2",
        );
        self.one_run(lease, "ending a suppression", query.bind(self.now())).await
    }

    /// A person wants a suppressed run diagnosed at once.
    pub(super) async fn skip_suppression_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        run_id: &str,
    ) -> Result<(), StoreError> {
        self.wake_in(tx, Kind::Run, run_id).await?;
        sqlx::query(
            "UPDATE runs SET go_on = 1, suppression_ended_at = COALESCE(suppression_ended_at, $1) WHERE id = $2",
        )
        .bind(self.now())
        .bind(run_id)
        .execute(&mut **tx)
        .await
        .map_err(failed("waiving a suppression"))?;
        Ok(())
    }

    /// A person asks for a diagnosis that is under way: it must not be parked after that, where it has not begun to ask
    /// yet and a page that explains the alert is found.
    pub(super) async fn not_to_wait_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        run_id: &str,
    ) -> Result<(), StoreError> {
        let doing = "having a run not wait";
        // It may have been parked since it was looked at.
        self.wake_in(tx, Kind::Run, run_id).await?;
        sqlx::query("UPDATE runs SET go_on = 1 WHERE id = $1")
            .bind(run_id)
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
        Ok(())
    }

    /// A page that may explain alerts has changed: every suppressed run, and every alert that waits for such pages, looks again.
    pub(super) async fn wake_suppressed(&self, tx: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        let doing = "waking suppressed runs";
        sqlx::query(AssertSqlSafe(format!(
            "UPDATE work SET due_at = $1, set_at = $1 WHERE due_at > $1 AND kind = 'run'
             AND key IN (SELECT 'run/' || id FROM runs WHERE state = 'suppressed' AND {ACTIVE})"
        )))
        .bind(self.now())
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        self.tell_related_changed(tx).await
    }
}
