//! The one clock and the one source of ids and randomness. Tests bring their own.
//!
//! Its time is *service time*: all that is stored, due, leased or old is judged by it. It never goes back, also not over a
//! restart: the store keeps how far it has come, and tells it at the start ([`Source::set`]). From then on it runs by a
//! clock that nobody can set. The machine's wall clock may be set back or forth, or right again: nothing that is due,
//! leased or old moves by that, but people are shown the time that it says ([`Source::shown`]).

mod system;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use system::{SystemClock, since_boot};

/// What tells the time, waits, and makes ids.
pub trait Source: Send + Sync + Debug {
    /// Service time.
    fn now(&self) -> Timestamp;
    /// Resolves `length` later, by this clock.
    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
    /// A new id; ids sort by the time of their making, and by the order of their making where that is the same.
    fn id(&self) -> String;
    /// A number in `0.0..1.0`, for jitter.
    fn jitter(&self) -> f64;

    /// What the machine's clock says, whoever has set it.
    fn wall(&self) -> Timestamp {
        self.now()
    }

    /// It is `now`, where the clock that people go by says `shown`.
    fn set(&self, now: Timestamp, shown: Timestamp) {
        let _ = (now, shown);
    }

    /// How far service time is ahead of the clock that people go by; zero where nobody would see the difference.
    fn ahead(&self) -> SignedDuration {
        SignedDuration::ZERO
    }

    /// A point in service time as people are shown it.
    fn shown(&self, time: Timestamp) -> Timestamp {
        time.checked_sub(self.ahead()).unwrap_or(time)
    }
}

/// A shared clock. Clones are the same clock.
pub type Clock = Arc<dyn Source>;

/// A new key of 256 bits, in hex, from the system's generator of secrets. Not of the [`Clock`]: nobody may foresee it.
pub fn new_secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}
