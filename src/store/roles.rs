//! What several processes that share a database agree on: one clock for leases, and who does what is done by one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::dialect::Dialect;
use super::{Store, StoreError, failed};
use crate::clock::between;

/// A clock that is further off than this is said loudly: times in notes are by it.
const WORTH_SAYING: i64 = 2_000;
/// A clock that is set meanwhile is off for so long at most: as long as a lease.
const COMPARE_EVERY: Duration = super::LEASE;

impl Store {
    /// Learns how far the database's clock is from ours: leases, and when something is due, are judged by that one
    /// clock, whatever each machine's says. To be called at the start and every now and then. A file that one process
    /// has for itself needs no such thing.
    ///
    /// # Errors
    /// The database: what was learned before stays.
    pub async fn compare_clocks(&self) -> Result<(), StoreError> {
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        let asked = self.clock.now();
        let (theirs,): (i64,) = sqlx::query_as("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)")
            .fetch_one(&self.pool)
            .await
            .map_err(failed("asking for its time"))?;
        // It answered somewhere in between.
        let halfway = between(asked, self.clock.now()).as_millis() as i64 / 2;
        let skew = theirs - (asked.as_millisecond() + halfway);
        let before = self.skew.swap(skew, Ordering::Relaxed);
        if skew.abs() > WORTH_SAYING && before.abs() <= WORTH_SAYING {
            tracing::warn!(skew_ms = skew, "this machine's clock differs from the database's: is NTP running on both?");
        }
        Ok(())
    }

    /// Compares clocks every now and then; ends never.
    pub async fn keep_time(&self) {
        if self.dialect == Dialect::Sqlite {
            return std::future::pending().await;
        }
        loop {
            self.clock.sleep(COMPARE_EVERY).await;
            if let Err(error) = self.compare_clocks().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "the clocks could not be compared");
            }
        }
    }

    /// Now, by the clock that all processes share, in milliseconds since 1970.
    pub(super) fn lease_now(&self) -> i64 {
        self.now() + self.skew.load(Ordering::Relaxed)
    }

    /// Takes or keeps a role for so long; `false` where another process has it.
    ///
    /// # Errors
    /// The database: who has it is not known.
    pub async fn take_role(&self, name: &str, length: Duration) -> Result<bool, StoreError> {
        let doing = "taking a role";
        let mut tx = self.write_claimed(doing).await?;
        let now = self.lease_now();
        let taken = sqlx::query(
            "INSERT INTO roles (name, owner, lease_until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE
             SET owner = excluded.owner, lease_until = excluded.lease_until
             WHERE roles.owner = excluded.owner OR roles.lease_until <= $4",
        )
        .bind(name)
        .bind(&*self.owner)
        .bind(now + i64::try_from(length.as_millis()).unwrap_or(i64::MAX / 2))
        .bind(now)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(taken.rows_affected() == 1)
    }

    /// Gives a role back, where we have it: the next may take it at once.
    ///
    /// # Errors
    /// The database: then it runs out by itself.
    pub async fn leave_role(&self, name: &str) -> Result<(), StoreError> {
        let doing = "leaving a role";
        let mut tx = self.write_claimed(doing).await?;
        sqlx::query("DELETE FROM roles WHERE name = $1 AND owner = $2")
            .bind(name)
            .bind(&*self.owner)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Gives back every role that we have: this process ends.
    ///
    /// # Errors
    /// The database: then they run out by themselves.
    pub async fn leave_roles(&self) -> Result<(), StoreError> {
        let doing = "leaving all roles";
        let mut tx = self.write_claimed(doing).await?;
        sqlx::query("DELETE FROM roles WHERE owner = $1")
            .bind(&*self.owner)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }
}
