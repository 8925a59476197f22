//! What the reconciler needs to know.

use super::{Store, StoreError, failed};

impl Store {
    /// Alerts that are open as far as is known.
    ///
    /// # Errors
    /// The database.
    pub async fn open_alerts(&self) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT incident_id FROM alerts WHERE resolved_at IS NULL")
            .fetch_all(&self.pool)
            .await
            .map_err(failed("listing open alerts"))?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}
