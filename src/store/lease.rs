//! Claims: who works on what, and until when.

use std::time::Duration;

/// How long a claim holds without being renewed: long enough for a slow disk, short enough that work whose worker
/// died is soon taken up.
pub const LEASE: Duration = Duration::from_secs(30);

/// The right to write a run. Made by a claim only; `attempt` fences off whoever claimed it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub(super) run_id: String,
    pub(super) attempt: i64,
    pub(super) crashes: i64,
}

impl Lease {
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
