//! One alert, over all its runs and all its names. Pure.
//!
//! An alert has an id of ours. The incidents that it is, or was, in PagerDuty are its names: the newest is where its notes go,
//! and what its page's key is made of. People merge incidents, and open again what was merged: [`Alert::merge`] and
//! [`Alert::split`] are the only functions over two alerts, and [`after_merge`] says what becomes of the runs of both.
//! lifecycle.md#a-run-begins.

mod begin;
mod beside;
mod orders;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::Region;

pub use begin::{Active, Asked, FOLLOW_UPS, Reply, Runs, Why, begin, is_owed_another};
pub use beside::{Beside, FollowUp, Input, OpenCommand, OpenPage, PageWatch, RelatedAgain, Resolution, Unreadable};
pub use orders::{AlertPage, PageChange, want_page};

/// All that is known of one alert beside its runs, its page and what is to be done for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Alert {
    /// Ours: it stays, whatever becomes of its incidents.
    pub id: String,
    /// The incident that it is now in PagerDuty: its newest name.
    pub incident_id: String,
    /// The region that it was first diagnosed for, whatever its title becomes.
    pub region: Region,
    /// When it was last triggered or reopened, by PagerDuty's clock.
    pub triggered_at: Option<Timestamp>,
    /// When it was resolved, by PagerDuty's clock; `None` where it is open, as far as is known.
    pub resolved_at: Option<Timestamp>,
    /// Who said `/hold`; `None`: nobody, or it is over.
    pub held_by: Option<String>,
    /// Follow-ups made since its last webhook or command.
    pub follow_ups: u32,
}

impl Alert {
    /// An alert that nobody knew, which is open. `at` is when it was triggered, by PagerDuty's clock.
    pub fn new(id: String, incident_id: &str, region: Region, at: Option<Timestamp>) -> Self {
        Self {
            id,
            incident_id: incident_id.to_owned(),
            region,
            triggered_at: at,
            resolved_at: None,
            held_by: None,
            follow_ups: 0,
        }
    }

    /// The incident of `other` was merged into this alert's, and all its names are this one's from now on. What people said
    /// of either holds for both: a hold, when it last began, how often it was looked at again by itself.
    pub fn merge(&mut self, other: &Self) {
        self.triggered_at = self.triggered_at.max(other.triggered_at);
        self.held_by = self.held_by.take().or_else(|| other.held_by.clone());
        self.follow_ups = self.follow_ups.max(other.follow_ups);
    }

    /// Its incident was merged into one that nobody knew: that is its newest name, and is open as far as is known.
    pub fn rename(&mut self, incident_id: &str) {
        incident_id.clone_into(&mut self.incident_id);
        self.resolved_at = None;
    }

    /// One of its names is open again, though it was merged into another: that is an alert of its own from now on, by this
    /// id.
    pub fn split(&self, id: String, incident_id: &str) -> Self {
        Self::new(id, incident_id, self.region.clone(), self.triggered_at)
    }

    /// A name was split off, and took all runs along: what is left is an alert that nobody has seen to, by its own title. What was said
    /// of the other, a hold included, is the other's. `at` is when it was triggered, by PagerDuty's clock.
    pub fn begin_anew(&mut self, region: Region, at: Option<Timestamp>) {
        self.region = region;
        self.reopen(at);
    }

    /// Its life begins again: what was said of the old one, a hold included, is over. `at` is when, by PagerDuty's clock.
    pub fn reopen(&mut self, at: Option<Timestamp>) {
        self.resolved_at = None;
        self.held_by = None;
        self.follow_ups = 0;
        self.triggered_at = at.or(self.triggered_at);
    }
}

/// The run that counts of the alert that another was merged into: the active one, or the last that has ended with its note.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Theirs {
    /// The run's id.
    pub run_id: String,
    /// When it ended; `None`: it is active.
    pub ended_at: Option<Timestamp>,
}

/// Why the run of an alert that was merged into another has nothing left to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Idle {
    /// A run of the other is active.
    Active(String),
    /// A run of the other has written its note, and was active when they were merged.
    Noted(String),
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active(run_id) => write!(f, "whose run {run_id} is active"),
            Self::Noted(run_id) => write!(f, "whose run {run_id} was active then, and has written its note"),
        }
    }
}

/// Whether the active run of an alert, made at `began`, goes on that was merged, at `at`, into one with the run `theirs`; or why
/// it has nothing left to do. Two that run at the time of the merge leave one diagnosis note, whichever ends first. All
/// times by one clock, that of the merge in whole seconds; where that is not known, only a run that is active counts.
///
/// # Errors
/// It has nothing to do, and why.
pub fn after_merge(began: Timestamp, theirs: Option<&Theirs>, at: Option<Timestamp>) -> Result<(), Idle> {
    let Some(theirs) = theirs else { return Ok(()) };
    let Some(ended) = theirs.ended_at else { return Err(Idle::Active(theirs.run_id.clone())) };
    match at {
        // One that was asked for later is to look again.
        Some(at) if began.as_second() <= at.as_second() && ended >= at => Err(Idle::Noted(theirs.run_id.clone())),
        _ => Ok(()),
    }
}
