//! The one clock and the one source of ids and randomness. Tests bring their own.

#[cfg(any(test, feature = "sim"))]
mod manual;
mod span;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

#[cfg(any(test, feature = "sim"))]
pub use manual::ManualClock;
pub use span::{after, between};

/// What tells the time, waits, and makes ids.
pub trait Source: Send + Sync + Debug {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;
    /// Resolves `length` later, by this clock.
    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
    /// A new id; ids sort by the time of their making.
    fn id(&self) -> String;
    /// A number in `0.0..1.0`, for jitter.
    fn jitter(&self) -> f64;
}

/// A shared clock. Clones are the same clock.
pub type Clock = Arc<dyn Source>;

/// The machine's clock and UUID v7.
#[derive(Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clock, as what everything takes.
    pub fn shared() -> Clock {
        Arc::new(Self)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
impl Source for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(length))
    }

    fn id(&self) -> String {
        Uuid::now_v7().to_string()
    }

    fn jitter(&self) -> f64 {
        rand::random()
    }
}

/// A new key of 256 bits, in hex, from the system's generator of secrets. Not of the [`Clock`]: nobody may foresee it.
pub fn new_secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}
