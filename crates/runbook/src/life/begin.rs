//! Whether an alert, or a region, gets a run: lifecycle.md#a-run-begins, once for webhooks, people, and what the service does
//! by itself. One run is active at a time.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Alert;
use crate::run::Trigger;

/// Follow-ups of one alert at most, counted from its last webhook or command.
pub const FOLLOW_UPS: u32 = 3;

/// What asks for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The id that the run would get.
    pub run_id: &'a str,
    /// As what it is shown.
    pub trigger: Trigger,
    /// The alert is open again after it was over; only a webhook and the reconciler say so.
    pub reopened: bool,
    /// When it was triggered or reopened, by PagerDuty's clock; `None`: that is not said.
    pub at: Option<Timestamp>,
}

/// The runs of an alert, or of a region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// The active one.
    pub active: Option<Active>,
    /// The last that has ended; `None`: there was none, or it is pruned.
    pub last: Option<String>,
}

/// An active run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Active {
    /// Its id.
    pub run_id: String,
    /// It waits for a bigger outage to end.
    pub is_suppressed: bool,
}

/// What becomes of what somebody asks for. One enum for all who ask: the web makes a status of it, a command by note a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// A run is made: this one.
    Started(String),
    /// This one was suppressed, and is diagnosed at once.
    SuppressionSkipped(String),
    /// This one is active. A person's word keeps it from being suppressed.
    Active(String),
    /// The page is wanted.
    Paging,
    /// It is open already, with its link where that is known.
    Paged(Option<String>),
    /// The alert is closed: there is nobody to page for.
    Closed,
    /// It is kept.
    Kept,
    /// Nothing follows.
    Ignored(Why),
}

/// Why nothing follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A run is active; where the alert was reopened it is followed by another.
    Active(String),
    /// This run was made for it.
    HadRun(String),
    /// The same, and it is pruned since.
    HadPrunedRun,
    /// There were as many follow-ups as may be.
    EnoughFollowUps,
    /// The alert has had no run yet.
    NoRun,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active(run_id) => write!(f, "run {run_id} is active for this incident"),
            Self::HadRun(run_id) => write!(f, "this incident has a run already: {run_id}"),
            Self::HadPrunedRun => f.write_str("this incident had a run, which is pruned since (RETENTION)"),
            Self::NoRun => f.write_str("no run is known for this alert: write /rerun first"),
            Self::EnoughFollowUps => {
                write!(f, "it was looked at again {FOLLOW_UPS} times; a person or a webhook may ask for more")
            }
        }
    }
}

/// Whether an alert gets a run; `None` is one that nobody knew, or a region. What is said of the alert by it being asked is
/// kept in it.
pub fn begin(alert: Option<&mut Alert>, runs: &Runs, asked: Asked<'_>) -> Reply {
    // An open alert keeps its newest run: without any it lost it to a name that was split off.
    let is_over = alert.as_ref().is_some_and(|alert| alert.resolved_at.is_some());
    let mut enough = false;
    if let Some(alert) = alert {
        if asked.reopened {
            alert.reopen(asked.at);
        }
        match asked.trigger {
            Trigger::FollowUp if runs.active.is_some() => {}
            Trigger::FollowUp if alert.follow_ups >= FOLLOW_UPS => enough = true,
            Trigger::FollowUp => alert.follow_ups += 1,
            // A command by note has reset the count already, whatever it asks for.
            Trigger::Webhook | Trigger::Reconcile | Trigger::Rerun | Trigger::Note | Trigger::RelatedResolved => {}
        }
    }
    match (asked.trigger, &runs.active, &runs.last) {
        (Trigger::Webhook | Trigger::Reconcile, Some(active), _) => Reply::Ignored(Why::Active(active.run_id.clone())),
        (Trigger::Webhook | Trigger::Reconcile, None, Some(last)) if !asked.reopened => {
            Reply::Ignored(Why::HadRun(last.clone()))
        }
        (Trigger::Webhook | Trigger::Reconcile, None, None) if !asked.reopened && is_over => {
            Reply::Ignored(Why::HadPrunedRun)
        }
        // A person who asks again doesn't want to wait for a bigger outage to end.
        (Trigger::Rerun | Trigger::Note, Some(active), _) if active.is_suppressed => {
            Reply::SuppressionSkipped(active.run_id.clone())
        }
        (_, Some(active), _) => Reply::Active(active.run_id.clone()),
        _ if enough => Reply::Ignored(Why::EnoughFollowUps),
        _ => Reply::Started(asked.run_id.to_owned()),
    }
}

/// Whether an alert that was reopened at `reopened`, while a run was active, is owed another now that the run ends, which
/// last saw it resolved at `resolved`. It is, unless it has ended once more: webhooks may come in another order than what they
/// tell of. All by PagerDuty's clock, whose times may be whole seconds.
pub fn is_owed_another(alert: &Alert, reopened: Timestamp, resolved: Option<Timestamp>) -> bool {
    let ended = alert.resolved_at.max(resolved);
    ended.is_none_or(|ended| reopened.as_second() >= ended.as_second())
}
