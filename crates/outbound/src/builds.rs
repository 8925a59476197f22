//! The builds that a run has started, as it remembers them: what the outside can't take back.

use std::future::{Future, ready};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use runbook::alert::Zone;
use runbook::writes::key::of_build;
use runbook::writes::{Moment, Step, Times, Write};

/// One build that a run wants, wanted, or has. One a reading and zone; a later record of the same two replaces it, and
/// a later record of a reading makes those of its re-runs void.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// Which reading it is for: 0 the first, n the n-th re-run.
    pub reading: u32,
    /// What CLUSTER is set to; empty for a build that the run did not ask for, but takes its reading from.
    pub zone: Zone,
    /// When it was last asked for; written before the request is sent.
    pub asked_at: Timestamp,
    /// Its queue item; `None` where none is known: the request may or may not have arrived.
    pub queue_id: Option<u64>,
    /// Its number; `None` while it waits.
    pub number: Option<u64>,
    /// Whether somebody else may wait for it too, so that it is not ours to stop.
    pub shared: bool,
    /// When we were done with it; `None` while we are not.
    pub ended_at: Option<Timestamp>,
    /// Why it served nothing; `None` where it did, or may yet.
    pub failed: Option<String>,
    /// The highest number of a build that was there already when this one was wanted: it has a higher one. `None`
    /// where that wasn't known.
    #[serde(default)]
    pub above: Option<u64>,
    /// How many were asked for before it for the same reading and zone, and became too old to count.
    #[serde(default)]
    pub nth: u32,
    /// What is recorded of its start. A run has that in the ledger of writes, and here only while it works on it.
    #[serde(default, skip_serializing_if = "is_new")]
    pub start: Write,
}

fn is_new(write: &Write) -> bool {
    *write == Write::default()
}

impl BuildRecord {
    /// Nothing is known yet of a build for this reading, wanted now.
    pub fn wanted(reading: u32, zone: Zone, asked_at: Timestamp, above: Option<u64>) -> Self {
        Self {
            reading,
            zone,
            asked_at,
            queue_id: None,
            number: None,
            shared: false,
            ended_at: None,
            failed: None,
            above,
            nth: 0,
            start: Write::default(),
        }
    }

    /// Somebody else's build, or another run's, from which this reading is taken.
    pub fn of_somebody(reading: u32, number: u64, now: Timestamp, above: Option<u64>) -> Self {
        let zone = Zone::new(String::new());
        Self { number: Some(number), shared: true, ..Self::wanted(reading, zone, now, above) }
    }

    /// Whether it is known which build it is, or will be.
    pub fn is_known(&self) -> bool {
        self.queue_id.is_some() || self.number.is_some()
    }

    /// What is known of its start where nothing is recorded of that, by a version that had no such record.
    pub fn start_by_itself(&self) -> Write {
        let id = self.name();
        // One that has ended without either was refused, or given up.
        let intent = (id.is_none() && self.ended_at.is_none()).then_some(self.asked_at);
        Write { attempt: 1, intent, doubt: None, id }
    }

    /// The key of its start in the ledger of writes, for this run.
    pub fn key(&self, run_id: &str) -> String {
        of_build(run_id, self.reading, self.zone.as_str(), self.nth)
    }

    /// What its start is called in the record of that, once it is known.
    pub fn name(&self) -> Option<String> {
        let item = self.queue_id.map(|id| format!("item {id}"));
        item.or_else(|| self.number.map(|number| format!("build {number}")))
    }

    /// Whether the run did not ask for the build.
    pub fn is_somebodys(&self) -> bool {
        self.zone.as_str().is_empty()
    }
}

/// Why a run could not remember or be asked.
pub type LogError = Box<dyn std::error::Error + Send + Sync>;

/// What a run remembers of its builds, over restarts.
pub trait BuildLog: Sync {
    /// Every record, the newest of each reading and zone.
    fn known(&self) -> impl Future<Output = Result<Vec<BuildRecord>, LogError>> + Send;

    /// Remembers a record; returns when it is safe.
    fn record(&self, record: &BuildRecord) -> impl Future<Output = Result<(), LogError>> + Send;

    /// The same, with a step of its start; what is recorded of that then. Nothing is started that can't be remembered.
    fn step(
        &self,
        record: &BuildRecord,
        step: &Step,
        now: Moment,
        times: &Times,
    ) -> impl Future<Output = Result<Write, LogError>> + Send {
        async move {
            let mut record = record.clone();
            // Nobody else records anything of it.
            record.start.step(step, now, times).map_err(|why| format!("it must not be asked for: {why:?}"))?;
            self.record(&record).await?;
            Ok(record.start)
        }
    }

    /// Whether a build of ours may be asked for, where `most` run at a time. It counts from then until
    /// [`BuildLog::end_build`].
    fn want_build(&self, most: usize) -> impl Future<Output = Result<bool, LogError>> + Send;

    /// None is wanted any more.
    fn end_build(&self) -> impl Future<Output = Result<(), LogError>> + Send;
}

/// Remembers until the process ends: for `diagnose`, and for readings that no run asks for.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<Vec<BuildRecord>>);

impl InMemory {
    /// Remembers these already.
    pub fn with(records: Vec<BuildRecord>) -> Self {
        Self(Mutex::new(records))
    }

    /// All that is remembered.
    pub fn records(&self) -> Vec<BuildRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl BuildLog for InMemory {
    fn known(&self) -> impl Future<Output = Result<Vec<BuildRecord>, LogError>> + Send {
        ready(Ok(self.records()))
    }

    fn record(&self, record: &BuildRecord) -> impl Future<Output = Result<(), LogError>> + Send {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.retain(|old| (old.reading, &old.zone) != (record.reading, &record.zone));
        records.push(record.clone());
        ready(Ok(()))
    }

    /// There is nobody else to count.
    fn want_build(&self, _: usize) -> impl Future<Output = Result<bool, LogError>> + Send {
        ready(Ok(true))
    }

    fn end_build(&self) -> impl Future<Output = Result<(), LogError>> + Send {
        ready(Ok(()))
    }
}
