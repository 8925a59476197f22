//! Runs that are made already claimed: the process that makes a run does its work, and no transaction is needed to claim it.
//!
//! A worker says how many it can begin now ([`Taker::offer`]). So many runs at most are made its own in the transaction that
//! makes them, which renews the lease too; once that has committed they wait here for [`Taker::take`]. All others are made
//! free, for whoever claims them first. A claim that comes to nothing here is found by the next renewal of the lease, which
//! gives it back, or runs out with the lease.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Any;
use tokio::time::Instant;

use super::timed::Transaction;
use super::work::{Claim, Kind};
use super::{Lease, Store, StoreError, failed};

/// What is on its way from those who make runs to the worker.
#[derive(Debug, Default)]
pub(super) struct OnTheWay(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// A worker is there.
    is_open: bool,
    /// How many more runs it can begin now.
    room: usize,
    /// Of transactions that have not ended.
    making: HashSet<Claim>,
    made: Option<Made>,
    /// A transaction that made one failed.
    failed: bool,
}

impl OnTheWay {
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn room(&self) -> usize {
        self.state().room
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs that were made claimed.
#[derive(Debug)]
pub struct Made {
    /// The claims.
    pub runs: Vec<Lease>,
    /// When the last transaction that made one began: it has renewed the lease of this process.
    pub asked: Instant,
    /// The same by the store's clock.
    pub at: Timestamp,
}

/// A worker, for as long as it takes what is made here.
#[derive(Debug)]
pub struct Taker(Store);

impl Taker {
    /// It can begin so many more runs now. Who has none left, or can't renew its lease, offers 0.
    pub fn offer(&self, runs: usize) {
        let mut state = self.0.on_the_way.state();
        let coming = state.making.len() + state.made.as_ref().map_or(0, |made| made.runs.len());
        state.room = runs.saturating_sub(coming);
    }

    /// What was made for it since it was last asked.
    pub fn take(&self) -> Option<Made> {
        self.0.on_the_way.state().made.take()
    }

    /// Whether a claim of this process is about to be taken here: nobody works on it yet.
    pub fn awaits(&self, claim: &Claim) -> bool {
        let state = self.0.on_the_way.state();
        let is_made = |made: &Made| made.runs.iter().any(|lease| lease.claim() == claim);
        state.making.contains(claim) || state.made.as_ref().is_some_and(is_made)
    }

    /// Whether a transaction that made runs for it has failed since this was last asked: perhaps since the lease of this
    /// process can't be renewed. Until it can, runs had better be made free.
    pub fn has_failed(&self) -> bool {
        std::mem::take(&mut self.0.on_the_way.state().failed)
    }

    /// It takes nothing more. What is made already can still be taken.
    pub fn close(&self) {
        let mut state = self.0.on_the_way.state();
        (state.is_open, state.room) = (false, 0);
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        *self.0.on_the_way.state() = State::default();
    }
}

/// What one transaction makes. Dropped before [`Making::commit`], it has claimed nothing.
pub(super) struct Making<'s> {
    store: &'s Store,
    asked: Instant,
    at: Timestamp,
    runs: Vec<Lease>,
}

impl Making<'_> {
    /// Who a run with this id belongs to from its first moment, by name and attempt; nobody, where no worker here can begin
    /// it now.
    pub(super) fn owner_of(&mut self, run_id: &str) -> (Option<&str>, i64) {
        let mut state = self.store.on_the_way.state();
        if state.room == 0 {
            return (None, 0);
        }
        state.room -= 1;
        let claim = Claim { key: Kind::Run.key(run_id), attempt: 1 };
        state.making.insert(claim.clone());
        self.runs.push(Lease { run_id: run_id.to_owned(), claim, crashes: 0, spent: 0 });
        (Some(&self.store.owner), 1)
    }

    /// Commits, and hands over what was made.
    ///
    /// # Errors
    /// The database: nothing was made, as far as is known.
    pub(super) async fn commit(
        mut self,
        mut tx: Transaction<'static, Any>,
        doing: &'static str,
    ) -> Result<(), StoreError> {
        // The last that it waits for: who claims our other items at this time has locked one, and then waits for our lease.
        if !self.runs.is_empty() {
            self.store.renew_in(&mut tx).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        // A file that was deleted meanwhile has taken it along.
        self.store.in_place()?;
        for lease in self.hand_over() {
            let _ = self.store.in_time(self.store.release_run(&lease, Duration::ZERO)).await;
        }
        Ok(())
    }

    /// Leaves it to the worker; what is to be given back, since that has gone meanwhile.
    fn hand_over(&mut self) -> Vec<Lease> {
        let runs = std::mem::take(&mut self.runs);
        let mut state = self.store.on_the_way.state();
        for lease in &runs {
            state.making.remove(lease.claim());
        }
        if !state.is_open || runs.is_empty() {
            return runs;
        }
        let made = state.made.get_or_insert_with(|| Made { runs: Vec::new(), asked: self.asked, at: self.at });
        made.runs.extend(runs);
        (made.asked, made.at) = (made.asked.min(self.asked), made.at.min(self.at));
        Vec::new()
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if self.runs.is_empty() {
            return;
        }
        let mut state = self.store.on_the_way.state();
        for lease in &self.runs {
            state.making.remove(lease.claim());
        }
        (state.room, state.failed) = (0, true);
        drop(state);
        // Whether it was committed may not be known: then it is due when that lease is over.
        self.store.tell_due();
    }
}

impl Store {
    /// The worker of this process, which takes what is made here from now on: one at a time.
    pub fn taker(&self) -> Taker {
        *self.on_the_way.state() = State { is_open: true, ..State::default() };
        Taker(self.clone())
    }

    /// For a transaction that may make runs, before it begins.
    pub(super) fn making(&self) -> Making<'_> {
        Making { store: self, asked: Instant::now(), at: self.clock.now(), runs: Vec::new() }
    }
}
