//! What is known of an alert over all its runs.

use jiff::Timestamp;
use sqlx::{Any, Transaction};

use crate::alert::Region;
use crate::run::AlertIncident;
use crate::run::chores::resolution_chore;

use super::rows::{parse, plain, time};
use super::{AlertState, Chore, Lease, Store, StoreError, failed};

type Row = (String, String, Option<i64>, Option<i64>, Option<String>, i64);

const SELECT: &str = "SELECT alert_id, region, triggered_at, resolved_at, held_by, follow_ups FROM alerts \
     WHERE incident_id = (SELECT alert_id FROM alerts WHERE incident_id = $1)";

fn state(row: Row) -> Result<AlertState, StoreError> {
    let (alert_id, region, triggered_at, resolved_at, held_by, follow_ups) = row;
    Ok(AlertState {
        alert_id,
        region: parse("a region", &region)?,
        triggered_at: triggered_at.map(time).transpose()?,
        resolved_at: resolved_at.map(time).transpose()?,
        held_by,
        follow_ups: u32::try_from(follow_ups).unwrap_or(u32::MAX),
    })
}

impl Store {
    /// What is known of an incident that is an alert, or was merged into one; `None` where it never was.
    ///
    /// # Errors
    /// The database.
    pub async fn alert(&self, incident_id: &str) -> Result<Option<AlertState>, StoreError> {
        let row: Option<Row> = sqlx::query_as(SELECT)
            .bind(incident_id)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("looking for an alert"))?;
        row.map(state).transpose()
    }

    /// Holds automatic pages of an alert (`who` said `/hold`), or no longer.
    ///
    /// # Errors
    /// The database.
    pub async fn set_hold(&self, incident_id: &str, who: Option<&str>) -> Result<(), StoreError> {
        let doing = "holding an alert's pages";
        let mut tx = self.write(doing).await?;
        sqlx::query("UPDATE alerts SET held_by = $1 WHERE incident_id = $2")
            .bind(who.map(plain))
            .bind(incident_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(())
    }

    /// The alert is resolved, as PagerDuty says: its active run is told. `at` is when, by PagerDuty's clock.
    ///
    /// # Errors
    /// The database.
    pub async fn set_resolved(&self, incident_id: &str, at: Option<Timestamp>) -> Result<(), StoreError> {
        let doing = "noting that an alert is resolved";
        let mut tx = self.write(doing).await?;
        self.resolve_in(&mut tx, incident_id, at).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(())
    }

    /// It was not resolved after all: PagerDuty shows it open.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn unset_resolved(&self, lease: &Lease, incident_id: &str) -> Result<(), StoreError> {
        let doing = "noting that an alert is open";
        let mut tx = self.write(doing).await?;
        self.check_lease(&mut tx, lease).await?;
        sqlx::query("UPDATE runs SET alert_resolved_at = NULL WHERE id = $1")
            .bind(lease.run_id())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        sqlx::query("UPDATE alerts SET resolved_at = NULL WHERE incident_id = $1")
            .bind(incident_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// The same, found by a chore.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn unset_resolved_by(&self, chore: &Chore, incident_id: &str) -> Result<(), StoreError> {
        let doing = "noting that an alert is open";
        let mut tx = self.write(doing).await?;
        self.check_chore(&mut tx, chore).await?;
        sqlx::query("UPDATE alerts SET resolved_at = NULL WHERE incident_id = $1")
            .bind(incident_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    pub(super) async fn resolve_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident_id: &str,
        at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let doing = "noting that an alert is resolved";
        let now = self.now();
        // Never later than it is here: whether the alert was reopened since is told by comparing with this.
        let at = at.map_or(now, |at| at.as_millisecond().min(now));
        sqlx::query("UPDATE alerts SET resolved_at = $1 WHERE incident_id = $2 AND resolved_at IS NULL")
            .bind(at)
            .bind(incident_id)
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
        sqlx::query(
            "UPDATE runs SET alert_resolved_at = $1, due_at = $2 WHERE alert_resolved_at IS NULL
             AND (incident_id = $3 OR incident_id IN (SELECT incident_id FROM alerts WHERE alert_id = $3))
             AND state IN ('queued', 'suppressed', 'running')",
        )
        .bind(now)
        .bind(self.lease_now())
        .bind(incident_id)
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        // Also where a run is active: its note may be on its way already, and say nothing of the end.
        let newest: Option<(String,)> = sqlx::query_as(
            "SELECT id FROM runs WHERE incident_id = $1
             OR incident_id IN (SELECT incident_id FROM alerts WHERE alert_id = $1) ORDER BY id DESC LIMIT 1",
        )
        .bind(incident_id)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed(doing))?;
        if let Some((run_id,)) = newest {
            self.chore_in(tx, &resolution_chore(incident_id, &run_id)).await?;
        }
        Ok(())
    }

    /// Whether this incident ever was an alert, as far as is remembered.
    pub(super) async fn is_alert_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident_id: &str,
    ) -> Result<bool, StoreError> {
        let known: Option<(String,)> = sqlx::query_as("SELECT incident_id FROM alerts WHERE incident_id = $1")
            .bind(incident_id)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("looking for an alert"))?;
        Ok(known.is_some())
    }

    /// Notes an alert's (new) life: it is open, and nothing holds it. `at` is when it was triggered or reopened.
    pub(super) async fn alert_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        incident: &AlertIncident,
        region: &Region,
        at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO alerts (incident_id, alert_id, region, triggered_at) VALUES ($1, $1, $2, $3)
             ON CONFLICT (incident_id) DO UPDATE SET triggered_at = COALESCE(excluded.triggered_at, alerts.triggered_at)",
        )
        .bind(&incident.id)
        .bind(region.as_str())
        .bind(at.map(Timestamp::as_millisecond))
        .execute(&mut **tx)
        .await
        .map_err(failed("keeping an alert"))?;
        Ok(())
    }

    /// The run's incident was merged into another, which is the alert from now on; `false` where that one has an
    /// active run already, so that this one has nothing to do. A run that `stays` (its note stands where it was) is
    /// ended as the run of that incident.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn merge_alert(
        &self,
        lease: &Lease,
        from: &str,
        into: &AlertIncident,
        stays: bool,
    ) -> Result<bool, StoreError> {
        let doing = "following a merge";
        let mut tx = self.write(doing).await?;
        self.check_lease(&mut tx, lease).await?;
        self.merge_in(&mut tx, from, into).await?;
        if stays {
            tx.commit().await.map_err(failed(doing))?;
            self.tell_changed();
            return Ok(true);
        }
        let active: Option<(String,)> = sqlx::query_as(
            "SELECT id FROM runs WHERE incident_id = $1 AND state IN ('queued', 'suppressed', 'running') AND id <> $2",
        )
        .bind(&into.id)
        .bind(lease.run_id())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if active.is_none() {
            sqlx::query("UPDATE runs SET incident_id = $1, incident = $2, alert_resolved_at = NULL WHERE id = $3")
                .bind(&into.id)
                .bind(super::rows::to_json(into)?)
                .bind(lease.run_id())
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(active.is_none())
    }

    /// An alert that nobody works on was merged into another incident, which is the alert from now on. `over` is since
    /// when that one is resolved, by PagerDuty's clock; `None`: it is open.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn follow_merge(
        &self,
        chore: &Chore,
        into: &AlertIncident,
        over: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let doing = "following a merge";
        let mut tx = self.write(doing).await?;
        self.check_chore(&mut tx, chore).await?;
        self.merge_in(&mut tx, &chore.incident_id, into).await?;
        if over.is_some() {
            self.resolve_in(&mut tx, &into.id, over).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(())
    }

    /// `into` is the alert from now on, of `from` and of whatever was merged into that. A `/hold` goes with it.
    async fn merge_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        from: &str,
        into: &AlertIncident,
    ) -> Result<(), StoreError> {
        let doing = "following a merge";
        let row: Option<Row> =
            sqlx::query_as(SELECT).bind(from).fetch_optional(&mut **tx).await.map_err(failed(doing))?;
        let Some(old) = row.map(state).transpose()? else { return Ok(()) };
        self.alert_in(tx, into, &old.region, None).await?;
        let triggered = old.triggered_at.map(Timestamp::as_millisecond);
        sqlx::query(
            "UPDATE alerts SET held_by = COALESCE(held_by, $1),
             triggered_at = CASE WHEN triggered_at >= $2 THEN triggered_at ELSE COALESCE($2, triggered_at) END,
             follow_ups = CASE WHEN follow_ups >= $3 THEN follow_ups ELSE $3 END WHERE incident_id = $4",
        )
        .bind(&old.held_by)
        .bind(triggered)
        .bind(i64::from(old.follow_ups))
        .bind(&into.id)
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        sqlx::query("UPDATE alerts SET alert_id = $1 WHERE alert_id = $2")
            .bind(&into.id)
            // Not `from`: a run whose note stands there follows each further merge from there.
            .bind(&old.alert_id)
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
        Ok(())
    }
}
