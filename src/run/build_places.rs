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
        loop {
            let here = match Arc::clone(&self.here).try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => {
                    waits();
                    Arc::clone(&self.here).acquire_owned().await.expect("never closed")
                }
            };
            if counted().await {
                return Place { _here: here };
            }
            // What is counted may be a run of this process, which died over its build and needs the place here to go on.
            drop(here);
            waits();
            self.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// A place, where there is one now.
    pub async fn try_take<F: Future<Output = bool>>(&self, counted: impl Fn() -> F) -> Option<Place> {
        let here = Arc::clone(&self.here).try_acquire_owned().ok()?;
        counted().await.then_some(Place { _here: here })
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, Ordering};

    use outbound::clock::SystemClock;

    use super::*;

    /// A run whose worker died is counted already, and needs a place here to pick its build up.
    #[tokio::test]
    async fn who_waits_for_what_is_counted_elsewhere_keeps_no_place_here() {
        let places = BuildPlaces::new(1, SystemClock::shared());
        let waits = AtomicBool::new(false);
        let mut other = pin!(places.take(|| ready(false), || waits.store(true, Ordering::Relaxed)));
        let counted = async {
            while !waits.load(Ordering::Relaxed) {
                tokio::task::yield_now().await;
            }
            places.take(|| ready(true), || ()).await
        };
        let both = async {
            tokio::select! {
                _ = &mut other => panic!("nothing has ended"),
                place = counted => drop(place),
            }
        };
        tokio::time::timeout(Duration::from_secs(60), both).await.expect("a place for who is counted");
    }
}
