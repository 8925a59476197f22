//! `JENKINS_MAX_BUILDS`: builds of ours at a time, over all runs of all processes that share the database.

use std::sync::Arc;
use std::time::Duration;

use outbound::clock::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How often it is looked whether a build has ended that another process counts.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// First come, first served, among the runs of this process; those of others are counted in the database. Clones share it.
#[derive(Clone, Debug)]
pub struct BuildPlaces {
    here: Arc<Semaphore>,
    most: usize,
    clock: Clock,
}

/// A place among the runs of this process, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    _here: OwnedSemaphorePermit,
}

impl BuildPlaces {
    /// So many.
    pub fn new(most: usize, clock: Clock) -> Self {
        Self { here: Arc::new(Semaphore::new(most)), most, clock }
    }

    /// How many there are.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Waits for a place; calls `waits` when there is none yet. `counted` asks whether there is one among those of all
    /// processes. Dropping the future is well.
    pub async fn take<F: Future<Output = bool>>(&self, counted: impl Fn() -> F, waits: impl Fn()) -> Place {
        let here = match Arc::clone(&self.here).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                waits();
                Arc::clone(&self.here).acquire_owned().await.expect("never closed")
            }
        };
        while !counted().await {
            waits();
            self.clock.sleep(LOOK_EVERY).await;
        }
        Place { _here: here }
    }

    /// A place, where there is one now.
    pub async fn try_take<F: Future<Output = bool>>(&self, counted: impl Fn() -> F) -> Option<Place> {
        let here = Arc::clone(&self.here).try_acquire_owned().ok()?;
        counted().await.then_some(Place { _here: here })
    }
}
