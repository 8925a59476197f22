//! What is known of an alert over all its runs.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use runbook::alert::Region;
use runbook::run::AlertIncident;

use super::many;
use super::rows::{column, parse, plain, time};
use super::{AlertState, Lease, Store, StoreError, Task, failed, resolution_task};

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

/// What is known of each of these incidents that is an alert, or was merged into one.
pub(super) async fn alerts_in(
    tx: &mut Transaction<'static, Any>,
    incidents: &[&str],
) -> Result<Vec<(String, Result<AlertState, StoreError>)>, StoreError> {
    let mut found = Vec::new();
    for incidents in many::chunks(incidents) {
        let sql = format!(
            "SELECT a.incident_id, b.alert_id, b.region, b.triggered_at, b.resolved_at, b.held_by, b.follow_ups
             FROM alerts a JOIN alerts b ON b.incident_id = a.alert_id WHERE a.incident_id IN ({})",
            many::places(1, incidents.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for incident_id in incidents {
            query = query.bind(*incident_id);
        }
        for row in query.fetch_all(&mut **tx).await.map_err(failed("looking for alerts"))? {
            found.push((column(&row, "incident_id")?, read(&row)));
        }
    }
    Ok(found)
}

fn read(row: &AnyRow) -> Result<AlertState, StoreError> {
    state((
        column(row, "alert_id")?,
        column(row, "region")?,
        column(row, "triggered_at")?,
        column(row, "resolved_at")?,
        column(row, "held_by")?,
        column(row, "follow_ups")?,
    ))
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

    /// The same for a run that goes on without what can't be read: its page is held for that.
    ///
    /// # Errors
    /// The database.
    pub async fn readable_alert(&self, incident_id: &str) -> Result<Option<AlertState>, StoreError> {
        match self.alert(incident_id).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(incident.id = incident_id, error, "what is known of an alert is left aside");
                Ok(None)
            }
            read => read,
        }
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
        self.check(&mut tx, &lease.claim).await?;
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

    /// The same, found by a task.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn unset_resolved_by(&self, task: &Task, incident_id: &str) -> Result<(), StoreError> {
        let doing = "noting that an alert is open";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &task.claim).await?;
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
        // As PagerDuty says, though its clock may be ahead of ours: how long the alert took, and whether it was reopened
        // since, is told by comparing with other times of PagerDuty's.
        let at = at.map_or(now, Timestamp::as_millisecond);
        sqlx::query("UPDATE alerts SET resolved_at = $1 WHERE incident_id = $2 AND resolved_at IS NULL")
            .bind(at)
            .bind(incident_id)
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
        let of_it = "alert_resolved_at IS NULL AND state IN ('queued', 'suppressed', 'running')
             AND (incident_id = $2 OR incident_id IN (SELECT incident_id FROM alerts WHERE alert_id = $2))";
        for sql in [
            format!(
                "UPDATE work SET due_at = $1, set_at = $1 WHERE key IN (SELECT 'run/' || id FROM runs WHERE {of_it})"
            ),
            format!("UPDATE runs SET alert_resolved_at = $1 WHERE {of_it}"),
        ] {
            sqlx::query(AssertSqlSafe(sql))
                .bind(now)
                .bind(incident_id)
                .execute(&mut **tx)
                .await
                .map_err(failed(doing))?;
        }
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
            self.task_in(tx, &resolution_task(incident_id, &run_id)).await?;
        }
        Ok(())
    }

    /// All incidents that have become one alert by merges, this one among them.
    ///
    /// # Errors
    /// The database.
    pub async fn incidents_of_alert(&self, incident_id: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT incident_id FROM alerts
                   WHERE alert_id = (SELECT alert_id FROM alerts WHERE incident_id = $1) ORDER BY incident_id";
        let rows: Vec<(String,)> = sqlx::query_as(sql)
            .bind(incident_id)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("looking for an alert's incidents"))?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
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
        self.check(&mut tx, &lease.claim).await?;
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
        task: &Task,
        into: &AlertIncident,
        over: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let doing = "following a merge";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &task.claim).await?;
        self.merge_in(&mut tx, &task.incident_id, into).await?;
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
