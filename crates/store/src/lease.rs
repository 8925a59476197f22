//! Claims: who works on what, and until when.

use std::time::Duration;

use super::work::Claim;

/// How long a claim holds without being renewed: long enough for a slow disk, short enough that work whose worker
/// died is soon taken up.
pub const LEASE: Duration = Duration::from_secs(30);

/// The right to write a run. Made by a claim only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub(super) run_id: String,
    pub(super) claim: Claim,
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

    /// The claim itself.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The run.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// How often it was claimed: above 1, somebody began it before.
    pub fn attempt(&self) -> i64 {
        self.claim.attempt
    }
}
