//! Claims: who works on what, and until when.

use std::time::Duration;

use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::{Store, StoreError, failed};

/// How long a claim holds without being renewed: long enough for a slow disk, short enough that work whose worker
/// died is soon taken up.
pub const LEASE: Duration = Duration::from_secs(30);

/// The right to write a run. Made by a claim only; `attempt` fences off whoever claimed it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub(super) run_id: String,
    pub(super) attempt: i64,
    pub(super) crashes: i64,
    pub(super) spent: i64,
}

impl Lease {
    /// How long the run had been active when it was claimed, without the time in which the service was down.
    pub fn spent(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.spent).unwrap_or_default())
    }

    /// How many workers before neither ended it nor gave it back.
    pub fn crashes(&self) -> i64 {
        self.crashes
    }

    /// The run.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// How often it was claimed: above 1, somebody began it before.
    pub fn attempt(&self) -> i64 {
        self.attempt
    }
}

/// The right to write a page. Made by a claim only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageLease {
    pub(super) incident_id: String,
    pub(super) attempt: i64,
}

impl PageLease {
    /// The alert.
    pub fn incident_id(&self) -> &str {
        &self.incident_id
    }

    /// How often it was claimed: above 1, somebody began it before.
    pub fn attempt(&self) -> i64 {
        self.attempt
    }
}

impl Store {
    /// Runs an update whose last three parameters are an id, the owner and the attempt: the guard of every claim. It
    /// must hit one row, or the claim is lost and nothing is written.
    pub(super) async fn guarded<'q>(
        &self,
        doing: &'static str,
        query: Query<'q, Any, AnyArguments>,
        id: String,
        attempt: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_claimed(doing).await?;
        let query = query.bind(id).bind(self.owner.to_string()).bind(attempt);
        let done = query.execute(&mut *tx).await.map_err(failed(doing))?;
        if done.rows_affected() != 1 {
            return Err(StoreError::LeaseLost);
        }
        tx.commit().await.map_err(failed(doing))?;
        self.tell_changed();
        Ok(())
    }
}
