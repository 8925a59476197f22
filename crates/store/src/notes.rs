//! Diagnosis notes: that a run has edited one instead of writing its own, and when an alert's first was written.

use jiff::Timestamp;

use runbook::run::Unchanged;

use super::rows::time;
use super::{Lease, Store, StoreError, failed};

/// The step of a run that writes its note.
const WRITES_NOTE: &str = "post_note";

impl Store {
    /// The run has found nothing new: it has edited the note of an earlier run, or that is under way.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn set_unchanged(&self, lease: &Lease, unchanged: &Unchanged) -> Result<(), StoreError> {
        let doing = "keeping that nothing new was found";
        let mut tx = self.write_claimed(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        sqlx::query("UPDATE runs SET unchanged_from = $1, unchanged_at = $2 WHERE id = $3")
            .bind(&unchanged.run_id)
            .bind(unchanged.at.as_millisecond())
            .bind(lease.run_id())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        self.commit_changed(tx, doing).await
    }

    /// When the first diagnosis note of the alert with this name was written; `None`: none was, or its run is pruned.
    ///
    /// # Errors
    /// The database.
    pub async fn first_noted_at(&self, incident_id: &str) -> Result<Option<Timestamp>, StoreError> {
        // CROSS JOIN: SQLite keeps that order, and reads no more than is of this alert.
        let (at,): (Option<i64>,) = sqlx::query_as(
            "SELECT MIN(s.finished_at) FROM incidents i CROSS JOIN runs r CROSS JOIN steps s
             WHERE i.incident_id = $1 AND r.alert_id = i.alert_id AND r.note_id IS NOT NULL
             AND s.run_id = r.id AND s.name = $2 AND s.state = 'done'",
        )
        .bind(incident_id)
        .bind(WRITES_NOTE)
        .fetch_one(&self.pool)
        .await
        .map_err(failed("looking for the first note"))?;
        at.map(time).transpose()
    }
}
