//! What the reconciler needs to know, and makes.

use super::{Accepted, NewRun, Store, StoreError, failed};

impl Store {
    /// Alerts that are open as far as is known.
    ///
    /// # Errors
    /// The database.
    pub async fn open_alerts(&self) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT incident_id FROM alerts WHERE resolved_at IS NULL AND alert_id = incident_id")
                .fetch_all(&self.pool)
                .await
                .map_err(failed("listing open alerts"))?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Makes a run for an alert that no webhook told of; `None` where one came meanwhile.
    ///
    /// # Errors
    /// The database.
    pub async fn start_reconciled(&self, run: &NewRun) -> Result<Option<String>, StoreError> {
        let doing = "making a run for an alert that no webhook told of";
        let mut making = self.making();
        let mut tx = self.write(doing).await?;
        let started = self.start(&mut tx, run, &mut making).await?;
        making.commit(tx, doing).await?;
        let Accepted::Run(id) = started else { return Ok(None) };
        self.tell_due();
        Ok(Some(id))
    }
}
