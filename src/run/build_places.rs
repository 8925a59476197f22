//! `JENKINS_MAX_BUILDS`: builds of ours at a time, over all runs of all processes that share the database.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use store::{LEASE, Store, StoreError};

/// How often a place that another process has is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long giving one back may take: else its lease runs out by itself.
const LEAVE_TIME: Duration = Duration::from_secs(5);

/// The places. Clones share them.
#[derive(Clone, Debug)]
pub struct BuildPlaces {
    /// First come, first served, among the runs of this process.
    here: Arc<Semaphore>,
    most: usize,
    /// Where other processes may be: each place is a role in it.
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    /// The numbers of those that this process has, or is giving back.
    ours: Mutex<BTreeSet<usize>>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    /// There until it is dropped.
    here: Option<OwnedSemaphorePermit>,
    shared: Option<SharedPlace>,
}

#[derive(Debug)]
struct SharedPlace {
    number: Number,
    /// Renews it.
    keeper: AbortOnDropHandle<()>,
}

/// A number among `ours`.
#[derive(Debug)]
struct Number(Arc<Shared>, usize);

impl BuildPlaces {
    /// So many; shared by all who use the `store`, where there is one.
    pub fn new(most: usize, store: Option<Store>) -> Self {
        let shared = store.map(|store| Arc::new(Shared { store, ours: Mutex::default() }));
        Self { here: Arc::new(Semaphore::new(most)), most, shared }
    }

    /// How many there are.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Waits for a place; calls `waits` once, when there is none yet. Dropping the future is well.
    pub async fn take(&self, waits: impl FnOnce()) -> Place {
        let mut waits = Some(waits);
        let mut say = || waits.take().map_or((), |waits| waits());
        let here = match Arc::clone(&self.here).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                say();
                Arc::clone(&self.here).acquire_owned().await.expect("never closed")
            }
        };
        let Some(shared) = &self.shared else { return Place { here: Some(here), shared: None } };
        loop {
            match shared.take_one(self.most).await {
                Some(place) => return Place { here: Some(here), shared: Some(place) },
                None => say(),
            }
            shared.store.clock().sleep(LOOK_EVERY).await;
        }
    }

    /// A place, where there is one now.
    pub async fn try_take(&self) -> Option<Place> {
        let here = Arc::clone(&self.here).try_acquire_owned().ok()?;
        let shared = match &self.shared {
            Some(shared) => Some(shared.take_one(self.most).await?),
            None => None,
        };
        Some(Place { here: Some(here), shared })
    }
}

impl Shared {
    fn ours(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_one(self: &Arc<Self>, most: usize) -> Option<SharedPlace> {
        for n in 1..=most {
            if !self.ours().insert(n) {
                continue;
            }
            let number = Number(Arc::clone(self), n);
            match self.store.take_role(&number.name(), LEASE).await {
                Ok(true) => {
                    let (store, name) = (self.store.clone(), number.name());
                    let keeper = AbortOnDropHandle::new(tokio::spawn(async move { keep(&store, &name).await }));
                    return Some(SharedPlace { number, keeper });
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "no place for a build could be taken");
                    return None;
                }
            }
        }
        None
    }
}

/// Renews a place until it is given back. One that is lost is not missed: its build runs all the same.
async fn keep(store: &Store, name: &str) {
    loop {
        store.clock().sleep(LEASE / 4).await;
        match store.take_role(name, LEASE).await {
            Ok(true) => {}
            Ok(false) => return tracing::warn!(name, "a build goes on though another process has its place now"),
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "a place could not be renewed"),
        }
    }
}

impl Number {
    fn name(&self) -> String {
        format!("build/{}", self.1)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        let Self(shared, n) = self;
        shared.ours().remove(n);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (Some(here), Some(SharedPlace { number, keeper })) = (self.here.take(), self.shared.take()) else { return };
        drop(keeper);
        // Without a runtime the process ends: the lease runs out by itself.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let leaving = tokio::time::timeout(LEAVE_TIME, number.0.store.leave_role(&number.name())).await;
            if let Err(error) = leaving.unwrap_or(Err(StoreError::Slow)) {
                tracing::debug!(error = &error as &dyn std::error::Error, "a place could not be given back");
            }
            // Only now: whoever waits for it here finds it free there.
            drop((number, here));
        });
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use outbound::clock::SystemClock;
    use simulators::postgres::Postgres;

    /// Two processes on a database of their own.
    async fn two() -> [BuildPlaces; 2] {
        let url = Postgres::shared().database().unwrap();
        let mut both = Vec::new();
        for _ in 0..2 {
            both.push(BuildPlaces::new(2, Some(Store::open(&url, SystemClock::shared()).await.unwrap())));
        }
        both.try_into().unwrap()
    }

    #[tokio::test]
    async fn processes_that_share_a_database_share_their_places() {
        let [one, other] = two().await;
        let never = || panic!("there is a place");
        let (first, second) = (one.take(never).await, other.take(never).await);
        let waits = AtomicUsize::new(0);
        let wait = || _ = waits.fetch_add(1, Ordering::Relaxed);
        let third = {
            let mut third = std::pin::pin!(one.take(wait));
            while waits.load(Ordering::Relaxed) == 0 {
                tokio::select! {
                    _ = &mut third => panic!("both are taken"),
                    () = tokio::time::sleep(Duration::from_millis(10)) => {}
                }
            }
            // One that is given back goes to who waits, in whichever process.
            drop(second);
            third.await
        };
        assert!(other.try_take().await.is_none(), "both are taken again");
        // What is given back serves two at once, in either process.
        drop((first, third));
        let (one, other) = (one.take(|| ()).await, other.take(|| ()).await);
        drop((one, other));
    }
}
