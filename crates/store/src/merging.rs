//! Incidents that are merged, and opened again: the only writes over two alerts. What follows is decided in
//! [`runbook::life`]. Whoever changes an alert takes the writers' turn first, then the items of the queue that it is about,
//! then rows: nobody waits for another in a circle.

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe};

use runbook::life::{Alert, Idle, Theirs, after_merge};
use runbook::record::EntryKind;
use runbook::run::AlertIncident;

use super::alerts::OF_NAME;
use super::record::NewEntry;
use super::rows::{plain, time, to_json};
use super::timed::Transaction;
use super::work::Kind;
use super::{AlertLease, Lease, Store, StoreError, failed};

const DOING: &str = "following a merge";

impl Store {
    /// The incident `from` of this run was merged into another, which is the alert from now on; `at` is when, by our clock,
    /// where it is known. A run that `stays` (its note stands where it was) goes on as the run of that incident. Where a run
    /// of the other makes this one idle, it is ended here, and why is given.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn merge_alert(
        &self,
        lease: &Lease,
        from: &str,
        into: &AlertIncident,
        stays: bool,
        at: Option<Timestamp>,
    ) -> Result<Result<(), Idle>, StoreError> {
        let mut tx = self.write(DOING).await?;
        self.check(&mut tx, &lease.claim).await?;
        // What has its note already is idle only where the other's run is still to write one.
        let idle = self.merge_in(&mut tx, from, into, at.filter(|_| !stays)).await?;
        if idle.is_none() && !stays {
            sqlx::query("UPDATE runs SET incident_id = $1, incident = $2, alert_resolved_at = NULL WHERE id = $3")
                .bind(&into.id)
                .bind(to_json(into)?)
                .bind(lease.run_id())
                .execute(&mut *tx)
                .await
                .map_err(failed(DOING))?;
            // What it has seen goes with it.
            sqlx::query("UPDATE evidence SET incident_id = $1 WHERE run_id = $2")
                .bind(&into.id)
                .bind(lease.run_id())
                .execute(&mut *tx)
                .await
                .map_err(failed(DOING))?;
        }
        tx.commit().await.map_err(failed(DOING))?;
        self.tell_due();
        Ok(idle.map_or(Ok(()), Err))
    }

    /// An alert without an active run was merged into another incident, which is the alert from now on. `over` is since
    /// when that one is resolved, by PagerDuty's clock; `None`: it is open.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn follow_merge(
        &self,
        lease: &AlertLease,
        from: &str,
        into: &AlertIncident,
        over: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write(DOING).await?;
        self.check(&mut tx, &lease.claim).await?;
        self.merge_in(&mut tx, from, into, None).await?;
        if over.is_some() {
            self.resolve_in(&mut tx, &into.id, over).await?;
        }
        self.commit_due(tx, DOING).await
    }

    /// `into` is the alert with the name `from` from now on. Where both are known they become one: its active run goes on,
    /// that of `from` only where the other's leaves it something to do.
    async fn merge_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        from: &str,
        into: &AlertIncident,
        at: Option<Timestamp>,
    ) -> Result<Option<Idle>, StoreError> {
        // Items first: whoever holds the run must not end it, nor write of it, until this is decided.
        if let Some(active) = self.active_run_of(tx, from).await? {
            self.lock_in(tx, Kind::Run, &active).await?;
        }
        let Some(mut alert) = self.alert_in(tx, from).await? else { return Ok(None) };
        let merged = format!("the incident {} was merged into this one", alert.incident_id);
        let merged = NewEntry::new(&into.id, EntryKind::Merged, merged);
        let Some(mut survivor) = self.alert_in(tx, &into.id).await? else {
            self.name_in(tx, &into.id, &alert.id).await?;
            alert.rename(&into.id);
            self.save_alert(tx, &alert).await?;
            self.record_in(tx, merged).await?;
            return Ok(None);
        };
        if survivor.id == alert.id {
            if survivor.incident_id != into.id {
                survivor.rename(&into.id);
                self.save_alert(tx, &survivor).await?;
            }
            return Ok(None);
        }
        let idle = self.end_idle(tx, from, &survivor, into, at).await?;
        survivor.merge(&alert);
        self.save_alert(tx, &survivor).await?;
        self.merge_beside(tx, &alert.id, &survivor.id).await?;
        for sql in [
            "UPDATE runs SET alert_id = $1 WHERE alert_id = $2",
            "UPDATE incidents SET alert_id = $1 WHERE alert_id = $2",
            "UPDATE record SET alert_id = $1 WHERE alert_id = $2",
            "UPDATE decisions SET alert_id = $1 WHERE alert_id = $2",
        ] {
            sqlx::query(sql).bind(&survivor.id).bind(&alert.id).execute(&mut **tx).await.map_err(failed(DOING))?;
        }
        self.record_in(tx, merged).await?;
        sqlx::query("DELETE FROM alerts WHERE id = $1")
            .bind(&alert.id)
            .execute(&mut **tx)
            .await
            .map_err(failed(DOING))?;
        Ok(idle)
    }

    /// Ends the active run of the alert with the name `from`, which is merged into `survivor`, where that one's leaves it
    /// nothing to do.
    async fn end_idle(
        &self,
        tx: &mut Transaction<'static, Any>,
        from: &str,
        survivor: &Alert,
        into: &AlertIncident,
        at: Option<Timestamp>,
    ) -> Result<Option<Idle>, StoreError> {
        let Some(run_id) = self.active_run_of(tx, from).await? else { return Ok(None) };
        let (began,): (i64,) = sqlx::query_as("SELECT created_at FROM runs WHERE id = $1")
            .bind(&run_id)
            .fetch_one(&mut **tx)
            .await
            .map_err(failed(DOING))?;
        let theirs = self.run_that_counts(tx, survivor).await?;
        let Err(idle) = after_merge(time(began)?, theirs.as_ref(), at) else { return Ok(None) };
        // Whoever holds it has lost it.
        self.drop_in(tx, Kind::Run, &run_id).await?;
        let now = self.now();
        sqlx::query("UPDATE runs SET state = 'cancelled', reason = $1, finished_at = $2 WHERE id = $3")
            .bind(plain(&format!("the alert was merged into the incident {}, {idle}", into.id)))
            .bind(now)
            .bind(&run_id)
            .execute(&mut **tx)
            .await
            .map_err(failed(DOING))?;
        sqlx::query("UPDATE steps SET state = 'done', finished_at = $1 WHERE run_id = $2 AND state = 'running'")
            .bind(now)
            .bind(&run_id)
            .execute(&mut **tx)
            .await
            .map_err(failed(DOING))?;
        Ok(Some(idle))
    }

    async fn active_run_of(
        &self,
        tx: &mut Transaction<'static, Any>,
        name: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql =
            format!("SELECT id FROM runs WHERE alert_id = {OF_NAME} AND state IN ('queued', 'suppressed', 'running')");
        let active: Option<(String,)> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(name).fetch_optional(&mut **tx).await.map_err(failed(DOING))?;
        Ok(active.map(|(id,)| id))
    }

    /// The active run of an alert, or the last that has ended with its note.
    async fn run_that_counts(
        &self,
        tx: &mut Transaction<'static, Any>,
        alert: &Alert,
    ) -> Result<Option<Theirs>, StoreError> {
        let row: Option<(String, Option<i64>)> = sqlx::query_as(
            "SELECT id, finished_at FROM runs WHERE alert_id = $1
             AND (finished_at IS NULL OR note_id IS NOT NULL OR unchanged_from IS NOT NULL)
             ORDER BY CASE WHEN finished_at IS NULL THEN 0 ELSE 1 END, finished_at DESC LIMIT 1",
        )
        .bind(&alert.id)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed(DOING))?;
        row.map(|(run_id, ended)| Ok(Theirs { run_id, ended_at: ended.map(time).transpose()? })).transpose()
    }

    /// One of an alert's names is open again after it was merged into another: that is an alert of its own, with the runs
    /// that are still under that name.
    pub(super) async fn split_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        alert: &Alert,
        name: &str,
    ) -> Result<Alert, StoreError> {
        let doing = "noting that an incident is an alert of its own again";
        let own = alert.split(self.clock.id(), name);
        sqlx::query("DELETE FROM incidents WHERE incident_id = $1")
            .bind(name)
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
        self.new_alerts(tx, std::slice::from_ref(&own)).await?;
        self.split_beside(tx, &alert.id, &own.id, name).await?;
        for sql in [
            "UPDATE runs SET alert_id = $1 WHERE alert_id = $2 AND incident_id = $3",
            "UPDATE record SET alert_id = $1 WHERE alert_id = $2 AND incident_id = $3",
            "UPDATE decisions SET alert_id = $1 WHERE alert_id = $2
             AND EXISTS (SELECT 1 FROM runs r WHERE r.id = decisions.run_id AND r.incident_id = $3)",
        ] {
            sqlx::query(sql)
                .bind(&own.id)
                .bind(&alert.id)
                .bind(name)
                .execute(&mut **tx)
                .await
                .map_err(failed(doing))?;
        }
        Ok(own)
    }

    async fn name_in(&self, tx: &mut Transaction<'static, Any>, name: &str, alert_id: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO incidents (incident_id, alert_id) VALUES ($1, $2)")
            .bind(name)
            .bind(alert_id)
            .execute(&mut **tx)
            .await
            .map_err(failed(DOING))?;
        Ok(())
    }
}
