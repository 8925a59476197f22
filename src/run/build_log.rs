//! The builds of a run, remembered in the store.

use std::sync::{Mutex, PoisonError};

use store::{Lease, StoreError};

use super::context::Context;
use outbound::builds::{BuildLog, BuildRecord, LogError};
use runbook::writes::{Moment, Step, Times, Write};

/// What a run remembers of its builds, over restarts.
#[derive(Debug)]
pub struct RunBuilds<'a> {
    context: &'a Context,
    lease: &'a Lease,
    lost: Mutex<Option<StoreError>>,
}

impl<'a> RunBuilds<'a> {
    /// The builds of the run of this lease.
    pub fn new(context: &'a Context, lease: &'a Lease) -> Self {
        Self { context, lease, lost: Mutex::new(None) }
    }

    /// The store's failure, where one kept a build from being remembered: the run can't go on.
    pub fn lost(&self) -> Option<StoreError> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, error: StoreError) -> LogError {
        let text = error.to_string();
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        text.into()
    }
}

impl BuildLog for RunBuilds<'_> {
    async fn known(&self) -> Result<Vec<BuildRecord>, LogError> {
        // Old ones too: what ended too long ago to be evidence is told apart by its end, and what runs yet must not be
        // started again, however long ago it was asked for.
        self.context.store.builds(self.lease.run_id()).await.map_err(|e| self.keep(e))
    }

    async fn record(&self, record: &BuildRecord) -> Result<(), LogError> {
        self.context.store.set_build(self.lease, record).await.map_err(|e| self.keep(e))
    }

    async fn step(&self, record: &BuildRecord, step: &Step, now: Moment, times: &Times) -> Result<Write, LogError> {
        self.context.store.start_build(self.lease, record, step, now, times).await.map_err(|e| self.keep(e))
    }

    // That it could not be counted costs a wait, not the run.
    async fn want_build(&self, most: usize) -> Result<bool, LogError> {
        let store = &self.context.store;
        Ok(store.in_time(store.want_build(self.lease.claim(), most)).await?)
    }

    async fn end_build(&self) -> Result<(), LogError> {
        let store = &self.context.store;
        Ok(store.in_time(store.end_build(self.lease.claim())).await?)
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::run::bench::Bench;
    use outbound::clock::Source;
    use runbook::alert::Zone;

    #[tokio::test]
    async fn a_build_is_known_however_long_ago_it_was_asked_for() {
        let bench = Bench::new().await;
        let lease = bench.run().await;
        let builds = RunBuilds::new(&bench.context, &lease);
        let record = BuildRecord {
            queue_id: Some(7),
            ..BuildRecord::wanted(0, Zone::new("registry-prod-us-south-az1"), bench.clock.now(), Some(3))
        };
        builds.record(&record).await.unwrap();
        bench.clock.jump(Duration::from_hours(2));
        assert_eq!(builds.known().await.unwrap(), [record]);
    }
}
