//! Clocks that tests move by hand.

mod hand;
mod manual;

pub use hand::HandClock;
pub use manual::ManualClock;

/// When tests by these clocks begin.
pub const NOW: &str = "2026-08-20T03:00:00Z";
