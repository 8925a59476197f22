//! Runs that only wait, for a build or before a re-run: they cost nothing, and keep no place from those that are due.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// So many at most count as waiting: each renewal of the lease reads a row for each.
const MOST: usize = 448;

/// Counts them.
#[derive(Debug, Default)]
pub struct Waiting {
    runs: AtomicUsize,
    another: Notify,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Waits(Arc<Waiting>);

impl Waiting {
    /// From now on a run waits.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Waits {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.another.notify_one();
        Waits(Arc::clone(self))
    }

    /// How many do that need no place.
    pub fn count(&self) -> usize {
        self.runs.load(Ordering::SeqCst).min(MOST)
    }

    /// Until another one waits.
    pub async fn another(&self) {
        self.another.notified().await;
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.runs.fetch_sub(1, Ordering::SeqCst);
    }
}
