//! The builds that a run asked Jenkins for.

use outbound::builds::BuildRecord;

use super::rows::{from_json, to_json};
use super::{Lease, Store, StoreError, failed};

impl Store {
    /// The builds that a run asked for, by reading and zone.
    ///
    /// # Errors
    /// The database.
    pub async fn builds(&self, run_id: &str) -> Result<Vec<BuildRecord>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT record FROM builds WHERE run_id = $1 ORDER BY reading, zone")
            .bind(run_id)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("looking for builds"))?;
        // Without one the build is looked for in Jenkins; without a note the run would be in vain.
        let read = |(record,): &(String,)| {
            from_json("a build", record)
                .inspect_err(|error: &StoreError| {
                    tracing::error!(
                        run.id = run_id,
                        error = error as &dyn std::error::Error,
                        "a build is looked for again"
                    );
                })
                .ok()
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    /// Keeps what is known of a build that was asked for.
    ///
    /// # Errors
    /// The database, or the lease is lost: then none may be started.
    pub async fn set_build(&self, lease: &Lease, record: &BuildRecord) -> Result<(), StoreError> {
        let doing = "keeping a build";
        let mut tx = self.write_claimed(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        sqlx::query(
            "INSERT INTO builds (run_id, reading, zone, record) VALUES ($1, $2, $3, $4)
             ON CONFLICT (run_id, reading, zone) DO UPDATE SET record = excluded.record",
        )
        .bind(&lease.run_id)
        .bind(i64::from(record.reading))
        .bind(record.zone.as_str())
        .bind(to_json(record)?)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }
}
