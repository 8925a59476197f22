//! Readings become a verdict.

use super::{Diagnosis, Evidence};

/// Whether another re-run may change the verdict, were one allowed.
pub fn wants_rerun(_evidence: &Evidence<'_>) -> bool {
    false
}

/// The diagnosis of all evidence.
pub fn diagnose(_evidence: &Evidence<'_>) -> Diagnosis {
    std::process::abort()
}
