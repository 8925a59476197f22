//! The builds that a run asked Jenkins for, and how many of ours run at a time (`JENKINS_MAX_BUILDS`).

use outbound::builds::BuildRecord;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::rows::{from_json, to_json};
use super::work::FREE;
use super::{Claim, Lease, Store, StoreError, failed};

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

    /// Whether whoever has this claim may have a build, where `most` run at a time, over all processes. It counts from then
    /// until [`Store::end_build`], or until what is claimed is over.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn want_build(&self, claim: &Claim, most: usize) -> Result<bool, StoreError> {
        let doing = "counting builds";
        let mut tx = self.write_claimed(doing).await?;
        self.noting(self.check(&mut tx, claim).await)?;
        if let Some(lock) = self.dialect.limits() {
            self.noting(sqlx::query(lock).execute(&mut *tx).await.map_err(failed(doing)))?;
        }
        // What is watched and due, and nobody takes up, is watched no longer, by other settings than before.
        let sql = format!(
            "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN key = $2 THEN 1 ELSE 0 END), 0) AS BIGINT)
             FROM work WHERE building = 1 AND (kind <> 'watch' OR due_at > $1 - 60000 OR NOT {FREE})"
        );
        let (count, ours): (i64, i64) = sqlx::query_as(AssertSqlSafe(sql))
            .bind(self.now())
            .bind(&claim.key)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(doing))?;
        // Its worker before may have died over it.
        if ours > 0 {
            return Ok(true);
        }
        if usize::try_from(count).unwrap_or(usize::MAX) >= most {
            return Ok(false);
        }
        self.set_building(&mut tx, claim, 1).await?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(true)
    }

    /// Whoever has this claim wants no build any more, and none of its own runs.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn end_build(&self, claim: &Claim) -> Result<(), StoreError> {
        let doing = "counting builds";
        let mut tx = self.write_claimed(doing).await?;
        self.noting(self.check(&mut tx, claim).await)?;
        self.set_building(&mut tx, claim, 0).await?;
        tx.commit().await.map_err(failed(doing))
    }

    /// In a transaction that has checked the claim.
    pub(super) async fn set_building(
        &self,
        tx: &mut Transaction<'static, Any>,
        claim: &Claim,
        building: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE work SET building = $1 WHERE key = $2 AND building <> $1")
            .bind(building)
            .bind(&claim.key)
            .execute(&mut **tx)
            .await
            .map_err(failed("counting builds"))?;
        Ok(())
    }
}
