//! What the reconciler needs to know, and what it leaves.

use jiff::Timestamp;

use super::rows::time;
use super::{Store, StoreError, WatchLease, failed};

impl Store {
    /// A look in PagerDuty for open alerts has succeeded now. It only reads what is there, so it counts whoever has the lease
    /// by now; `_` is the right to have looked.
    ///
    /// # Errors
    /// The database.
    pub async fn reconciled(&self, _: &WatchLease) -> Result<(), StoreError> {
        let doing = "noting a look for open alerts";
        let mut tx = self.write_claimed(doing).await?;
        sqlx::query(
            "INSERT INTO reconciled (id, at) VALUES ('one', $1)
             ON CONFLICT (id) DO UPDATE SET at = excluded.at WHERE excluded.at > reconciled.at",
        )
        .bind(self.now())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// When the last such look succeeded, in this clock's time; `None`: none has.
    pub(super) async fn reconciled_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as("SELECT at FROM reconciled WHERE id = 'one'")
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("looking when open alerts were looked for"))?;
        row.map(|(at,)| time(at)).transpose()
    }

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
