//! The diagnosis note that a run has edited instead of writing its own.

use runbook::run::Unchanged;

use super::{Lease, Store, StoreError, failed};

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
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(())
    }
}
