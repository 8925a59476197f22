//! Reckoning with times. Pure.

use std::time::Duration;

use jiff::Timestamp;

/// `length` after `time`, at most the end of time.
pub fn after(time: Timestamp, length: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(length).ok().and_then(|d| time.checked_add(d).ok()).unwrap_or(Timestamp::MAX)
}

/// How long from `from` to `to`; nothing where it is not later.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
