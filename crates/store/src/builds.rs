//! The builds that a run asked Jenkins for, and how many of ours run at a time (`JENKINS_MAX_BUILDS`).

use jiff::Timestamp;
use outbound::builds::BuildRecord;
use runbook::record::EntryKind;
use runbook::writes::{Moment, NotBegun, Step, Times, Write};
use sqlx::{Any, AssertSqlSafe};

use super::rows::{from_json, to_json};
use super::timed::Transaction;
use super::work::FREE;
use super::{Claim, Lease, NewEntry, Store, StoreError, Task, WantedWrite, failed};

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
        let mut records: Vec<BuildRecord> = rows.iter().filter_map(read).collect();
        for record in records.iter_mut().filter(|record| !record.is_somebodys()) {
            let start = self.recorded(&record.key(run_id)).await?;
            record.start = start.map(|start| start.write).unwrap_or_default();
        }
        Ok(records)
    }

    /// The builds that the canary has asked for, or any run that was made since then, without what is recorded of their starts.
    ///
    /// # Errors
    /// The database.
    pub async fn builds_of_all(&self, since: Timestamp) -> Result<Vec<BuildRecord>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT b.record FROM builds b JOIN runs r ON r.id = b.run_id
             WHERE r.created_at >= $1 OR r.state IN ('queued', 'suppressed', 'running')",
        )
        .bind(since.as_millisecond())
        .fetch_all(&self.pool)
        .await
        .map_err(failed("looking for the builds of all runs"))?;
        let canary: Option<(String,)> = sqlx::query_as("SELECT builds FROM canary WHERE id = 'one'")
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("looking for the canary's builds"))?;
        let of_runs = rows.iter().filter_map(|(record,)| from_json("a build", record).ok());
        let of_canary: Vec<BuildRecord> =
            canary.and_then(|(builds,)| from_json("the canary's builds", &builds).ok()).unwrap_or_default();
        Ok(of_runs.chain(of_canary).collect())
    }

    /// Says of a build that nobody reads, once, to who follows the alert `on`.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn say_twin_build(&self, task: &Task, on: &str, number: u64, what: String) -> Result<(), StoreError> {
        let doing = "saying that a build is one too many";
        let mut tx = self.write_claimed(doing).await?;
        self.check(&mut tx, &task.claim).await?;
        let key = Some(format!("twin-build:{number}"));
        self.record_in(&mut tx, NewEntry { key, ..NewEntry::new(on, EntryKind::Other, what) }).await?;
        self.commit_changed(tx, doing).await
    }

    /// Keeps what is known of a build that was asked for.
    ///
    /// # Errors
    /// The database, or the lease is lost: then none may be started.
    pub async fn set_build(&self, lease: &Lease, record: &BuildRecord) -> Result<(), StoreError> {
        let doing = "keeping a build";
        let mut tx = self.write_claimed(doing).await?;
        self.set_build_in(&mut tx, lease, record).await?;
        tx.commit().await.map_err(failed(doing))
    }

    /// The same with a step of its start, in the ledger of writes; what is recorded of that then. One that was to begin has
    /// begun where its intent is of `now`; else it was begun before, and none may be started.
    ///
    /// # Errors
    /// The database, or the lease is lost.
    pub async fn start_build(
        &self,
        lease: &Lease,
        record: &BuildRecord,
        step: &Step,
        now: Moment,
        times: &Times,
    ) -> Result<Write, StoreError> {
        let doing = "keeping the start of a build";
        let mut tx = self.write_claimed(doing).await?;
        self.set_build_in(&mut tx, lease, record).await?;
        let on: Option<(Option<String>,)> = sqlx::query_as("SELECT incident_id FROM runs WHERE id = $1")
            .bind(lease.run_id())
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
        let (key, on) = (record.key(lease.run_id()), on.and_then(|(on,)| on).unwrap_or_default());
        let wanted = WantedWrite { key: &key, on: &on, run_id: None, text: "" };
        let before = self.locked(&mut tx, &wanted).await?;
        let mut after = before.clone();
        if before.write == Write::default() && record.start != Write::default() {
            // By a version that had no such record.
            after.write = record.start.clone();
        }
        if let Err(NotBegun::Lost | NotBegun::Stands) = after.write.step(step, now, times) {
            // Whoever has the claim is the only one: it did not know what was done before. Nothing is begun.
            after.write.take_over(now, times);
            return Ok(after.write);
        }
        self.keep(&mut tx, &key, &before, &after).await?;
        self.settle_later(&mut tx, &key, &after, now, times).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.tell_due();
        Ok(after.write)
    }

    /// In a transaction that goes on: none may be started that is not kept.
    async fn set_build_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        lease: &Lease,
        record: &BuildRecord,
    ) -> Result<(), StoreError> {
        let doing = "keeping a build";
        self.check(tx, &lease.claim).await?;
        // What is recorded of its start is in the ledger.
        let record = BuildRecord { start: Write::default(), ..record.clone() };
        sqlx::query(
            "INSERT INTO builds (run_id, reading, zone, record) VALUES ($1, $2, $3, $4)
             ON CONFLICT (run_id, reading, zone) DO UPDATE SET record = excluded.record",
        )
        .bind(&lease.run_id)
        .bind(i64::from(record.reading))
        .bind(record.zone.as_str())
        .bind(to_json(&record)?)
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
        Ok(())
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

    /// A build that this claim only looks at runs: it counts among ours, however many there are, until [`Store::end_build`].
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn count_build(&self, claim: &Claim) -> Result<(), StoreError> {
        self.change_building(claim, 1).await
    }

    /// Whoever has this claim wants no build any more, and none of its own runs.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn end_build(&self, claim: &Claim) -> Result<(), StoreError> {
        self.change_building(claim, 0).await
    }

    async fn change_building(&self, claim: &Claim, building: i64) -> Result<(), StoreError> {
        let doing = "counting builds";
        let mut tx = self.write_claimed(doing).await?;
        self.noting(self.check(&mut tx, claim).await)?;
        self.set_building(&mut tx, claim, building).await?;
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
