//! The builds that a run has started, as it remembers them: what the outside can't take back.

use std::future::{Future, ready};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::Zone;

/// One build that a run wants, wanted, or has. One a reading and zone; a later record of the same two replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// Which reading it is for: 0 the first, n the n-th re-run.
    pub reading: u32,
    /// What CLUSTER is set to.
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
}

/// Why a run could not remember or be asked.
pub type LogError = Box<dyn std::error::Error + Send + Sync>;

/// What a run remembers of its builds, over restarts.
pub trait BuildLog: Sync {
    /// Every record, the newest of each reading and zone.
    fn known(&self) -> impl Future<Output = Result<Vec<BuildRecord>, LogError>> + Send;

    /// Remembers a record; returns when it is safe. Nothing is started that can't be remembered.
    fn record(&self, record: &BuildRecord) -> impl Future<Output = Result<(), LogError>> + Send;
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
}
