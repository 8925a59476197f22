//! What is known of an alert over all its runs, by whichever of its names.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe};

use runbook::life::{Alert, Input};

use super::many;
use super::rows::{column, parse, plain, time};
use super::timed::Transaction;
use super::{AlertLease, Lease, Store, StoreError, failed};

const COLUMNS: &str = "i.incident_id AS name, a.id, a.incident_id, a.region, a.triggered_at, a.resolved_at, a.held_by, \
     a.follow_ups FROM incidents i JOIN alerts a ON a.id = i.alert_id";

/// The id of the alert with the name `$1`.
pub(super) const OF_NAME: &str = "(SELECT alert_id FROM incidents WHERE incident_id = $1)";

/// The same where that is its newest name: what PagerDuty says of one that was merged away is nothing about the alert.
const OF_NEWEST_NAME: &str = "(SELECT i.alert_id FROM incidents i JOIN alerts n ON n.id = i.alert_id \
     WHERE i.incident_id = $1 AND n.incident_id = $1)";

fn read(row: &AnyRow) -> Result<Alert, StoreError> {
    let at = |name| column::<Option<i64>>(row, name)?.map(time).transpose();
    Ok(Alert {
        id: column(row, "id")?,
        incident_id: column(row, "incident_id")?,
        region: parse("a region", &column::<String>(row, "region")?)?,
        triggered_at: at("triggered_at")?,
        resolved_at: at("resolved_at")?,
        held_by: column(row, "held_by")?,
        follow_ups: u32::try_from(column::<i64>(row, "follow_ups")?).unwrap_or(u32::MAX),
    })
}

/// What is known of the alerts with these names, by name.
pub(super) async fn alerts_in(
    tx: &mut Transaction<'static, Any>,
    names: &[&str],
) -> Result<Vec<(String, Result<Alert, StoreError>)>, StoreError> {
    let mut found = Vec::new();
    for names in many::chunks(names) {
        let sql = format!("SELECT {COLUMNS} WHERE i.incident_id IN ({})", many::places(1, names.len()));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for name in names {
            query = query.bind(*name);
        }
        for row in query.fetch_all(&mut **tx).await.map_err(failed("looking for alerts"))? {
            found.push((column(&row, "name")?, read(&row)));
        }
    }
    Ok(found)
}

impl Store {
    /// What is known of the alert with this name; `None` where there is none.
    ///
    /// # Errors
    /// The database.
    pub async fn alert(&self, incident_id: &str) -> Result<Option<Alert>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} WHERE i.incident_id = $1")))
            .bind(incident_id)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("looking for an alert"))?;
        row.as_ref().map(read).transpose()
    }

    /// The same for a run that goes on without what can't be read: its page is held for that.
    ///
    /// # Errors
    /// The database.
    pub async fn readable_alert(&self, incident_id: &str) -> Result<Option<Alert>, StoreError> {
        match self.alert(incident_id).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(incident.id = incident_id, error, "what is known of an alert is left aside");
                Ok(None)
            }
            read => read,
        }
    }

    /// The alert is resolved, as PagerDuty says: its active run is told. `at` is when, by PagerDuty's clock.
    ///
    /// # Errors
    /// The database.
    pub async fn set_resolved(&self, incident_id: &str, at: Option<Timestamp>) -> Result<(), StoreError> {
        let doing = "noting that an alert is resolved";
        let mut tx = self.write(doing).await?;
        self.resolve_in(&mut tx, incident_id, at).await?;
        self.commit_due(tx, doing).await
    }

    /// The alert of this run was not resolved after all: PagerDuty shows it open, as this incident, as was asked for as of these
    /// news. Nothing is done where something has come since: it may have been resolved once more. Where it is shown as another
    /// incident, what is said of that is left alone: it was merged.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn unset_resolved(&self, lease: &Lease, incident_id: &str, news: Option<i64>) -> Result<(), StoreError> {
        let doing = "noting that an alert is open";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let own: Option<(String, i64)> = sqlx::query_as(
            "SELECT alerts.id, news FROM alerts JOIN runs ON runs.alert_id = alerts.id WHERE runs.id = $1",
        )
        .bind(lease.run_id())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if own.as_ref().map(|(_, news)| *news) != news {
            return Ok(());
        }
        sqlx::query("UPDATE runs SET alert_resolved_at = NULL WHERE id = $1")
            .bind(lease.run_id())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        let sql = format!("UPDATE alerts SET resolved_at = NULL WHERE id = {OF_NEWEST_NAME} AND id = $2");
        let opened = sqlx::query(AssertSqlSafe(sql))
            .bind(incident_id)
            .bind(own.map(|(id, _)| id))
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        if opened.rows_affected() > 0 {
            self.watch_again_in(&mut tx, incident_id).await?;
            self.news_in(&mut tx, incident_id).await?;
        }
        self.commit_due(tx, doing).await
    }

    /// The same, found by who works on the alert beside its runs and has decided so as of `version`; `false` where something has
    /// come since: it may have been resolved once more.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn unset_resolved_by(
        &self,
        lease: &AlertLease,
        incident_id: &str,
        version: i64,
    ) -> Result<bool, StoreError> {
        let doing = "noting that an alert is open";
        let mut tx = self.write(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let (_, now) = self.beside_in(&mut tx, lease.alert_id()).await?;
        if now != Some(version) {
            return Ok(false);
        }
        self.open_in(&mut tx, incident_id).await?;
        self.watch_again_in(&mut tx, incident_id).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(true)
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
        sqlx::query(AssertSqlSafe(format!(
            "UPDATE alerts SET resolved_at = $2 WHERE id = {OF_NEWEST_NAME} AND resolved_at IS NULL"
        )))
        .bind(incident_id)
        .bind(at)
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        let of_it = format!(
            "alert_resolved_at IS NULL AND state IN ('queued', 'suppressed', 'running') AND alert_id = {OF_NEWEST_NAME}"
        );
        for sql in [
            format!(
                "UPDATE work SET due_at = $2, set_at = $2 WHERE key IN (SELECT 'run/' || id FROM runs WHERE {of_it})"
            ),
            format!("UPDATE runs SET alert_resolved_at = $2 WHERE {of_it}"),
        ] {
            sqlx::query(AssertSqlSafe(sql))
                .bind(incident_id)
                .bind(now)
                .execute(&mut **tx)
                .await
                .map_err(failed(doing))?;
        }
        // Also where a run is active: its note may be on its way already, and say nothing of the end.
        let newest = format!("SELECT id FROM runs WHERE alert_id = {OF_NEWEST_NAME} ORDER BY id DESC LIMIT 1");
        let newest: Option<(String,)> = sqlx::query_as(AssertSqlSafe(newest))
            .bind(incident_id)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed(doing))?;
        if let Some((run_id,)) = newest {
            self.tell_alert_in(tx, incident_id, Input::Ended { run_id }).await?;
        }
        self.news_in(tx, incident_id).await
    }

    /// All names of the alert that has this one.
    ///
    /// # Errors
    /// The database.
    pub async fn incidents_of_alert(&self, incident_id: &str) -> Result<Vec<String>, StoreError> {
        let sql = format!("SELECT incident_id FROM incidents WHERE alert_id = {OF_NAME} ORDER BY incident_id");
        let rows: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(incident_id)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("looking for an alert's incidents"))?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// PagerDuty shows it open.
    async fn open_in(&self, tx: &mut Transaction<'static, Any>, name: &str) -> Result<(), StoreError> {
        sqlx::query(AssertSqlSafe(format!("UPDATE alerts SET resolved_at = NULL WHERE id = {OF_NEWEST_NAME}")))
            .bind(name)
            .execute(&mut **tx)
            .await
            .map_err(failed("noting that an alert is open"))?;
        self.news_in(tx, name).await
    }

    /// What is known of the alert with this name, which is locked until the transaction ends.
    pub(super) async fn alert_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        name: &str,
    ) -> Result<Option<Alert>, StoreError> {
        let doing = "looking for an alert";
        // By its row alone: what another has committed while this waited for it is seen.
        let lock = format!("SELECT id FROM alerts WHERE id = {OF_NAME}{}", self.dialect.hold());
        let _: Option<(String,)> =
            sqlx::query_as(AssertSqlSafe(lock)).bind(name).fetch_optional(&mut **tx).await.map_err(failed(doing))?;
        self.known_alert_in(tx, name).await
    }

    /// The same without a lock.
    pub(super) async fn known_alert_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        name: &str,
    ) -> Result<Option<Alert>, StoreError> {
        let doing = "looking for an alert";
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} WHERE i.incident_id = $1")))
            .bind(name)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed(doing))?;
        row.as_ref().map(read).transpose()
    }

    /// Whether what is known of the alert with this id can be read; of one that is gone there is nothing to read.
    pub(super) async fn is_readable_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        id: &str,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} WHERE a.id = $1 LIMIT 1")))
            .bind(id)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("looking for an alert"))?;
        Ok(row.is_none_or(|row| read(&row).is_ok()))
    }

    /// The incident that is the alert with this name now, whatever else of it can't be read.
    ///
    /// # Errors
    /// The database.
    pub async fn newest_name(&self, name: &str) -> Result<String, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT incident_id FROM alerts WHERE id = {OF_NAME}")))
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("looking for what an alert is called"))?;
        Ok(row.and_then(|row| column(&row, "incident_id").ok()).unwrap_or_else(|| name.to_owned()))
    }

    /// Keeps an alert that is known, as it is now.
    pub(super) async fn save_alert(&self, tx: &mut Transaction<'static, Any>, alert: &Alert) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE alerts SET incident_id = $1, triggered_at = $2, resolved_at = $3, held_by = $4, follow_ups = $5
             WHERE id = $6",
        )
        .bind(&alert.incident_id)
        .bind(alert.triggered_at.map(Timestamp::as_millisecond))
        .bind(alert.resolved_at.map(Timestamp::as_millisecond))
        .bind(alert.held_by.as_deref().map(plain))
        .bind(i64::from(alert.follow_ups))
        .bind(&alert.id)
        .execute(&mut **tx)
        .await
        .map_err(failed("keeping an alert"))?;
        self.news_in(tx, &alert.incident_id).await
    }

    /// Keeps alerts that nobody knew, each with its one name.
    pub(super) async fn new_alerts(
        &self,
        tx: &mut Transaction<'static, Any>,
        alerts: &[Alert],
    ) -> Result<(), StoreError> {
        let doing = "keeping an alert";
        for alerts in many::chunks(alerts) {
            let into = "alerts (id, incident_id, region, triggered_at)";
            let mut insert = sqlx::query(AssertSqlSafe(many::insert(into, 4, alerts.len())));
            for alert in alerts {
                let at = alert.triggered_at.map(Timestamp::as_millisecond);
                insert = insert.bind(&alert.id).bind(&alert.incident_id).bind(alert.region.as_str()).bind(at);
            }
            insert.execute(&mut **tx).await.map_err(failed(doing))?;
            let into = "incidents (incident_id, alert_id)";
            let mut insert = sqlx::query(AssertSqlSafe(many::insert(into, 2, alerts.len())));
            for alert in alerts {
                insert = insert.bind(&alert.incident_id).bind(&alert.id);
            }
            insert.execute(&mut **tx).await.map_err(failed(doing))?;
        }
        Ok(())
    }
}
