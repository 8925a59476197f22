//! The simplest clock that tests move.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use outbound::clock::Source;
use runbook::span::after;

/// A clock that is moved by hand, and by whoever sleeps: a wait takes no time and is kept.
#[derive(Debug)]
pub struct HandClock {
    now: Mutex<Timestamp>,
    slept: Mutex<Vec<Duration>>,
}

impl HandClock {
    /// It begins at this time.
    ///
    /// # Panics
    /// That is none.
    pub fn at(now: &str) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(now.parse().expect("a time")), slept: Mutex::default() })
    }

    /// So long passes.
    pub fn pass(&self, length: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = after(*now, length);
    }

    /// How long was slept, each time.
    pub fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Source for HandClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.pass(length);
        self.slept.lock().unwrap_or_else(PoisonError::into_inner).push(length);
        Box::pin(tokio::task::yield_now())
    }

    fn id(&self) -> String {
        "an-id".to_owned()
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}
