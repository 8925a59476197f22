//! The alert is over: once that is confirmed and its run and page have ended, the page is told so, and the diagnosis note gets
//! the times for the RCA. lifecycle.md#the-alert-ends and the runbook's "It will auto-resolve when the issue is fixed".

use std::time::Duration;

use super::{Ended, IncidentNow, Look, Step, What};
use crate::life::{AlertPage, Resolution};
use crate::span::between;

/// How long PagerDuty, a run that has not ended, or a note that can't be written is waited for.
const GIVE_UP_AFTER: Duration = Duration::from_secs(6 * 3600);
/// How long PagerDuty may show an alert open that a webhook said to be resolved: its reads lag.
const LAG: Duration = Duration::from_secs(60);
/// How often to look whether the run and the page have ended.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often to ask PagerDuty again.
const ASK_EVERY: Duration = Duration::from_secs(60);

pub(super) fn step(resolution: &mut Resolution, look: &Look<'_>) -> Step {
    let (alert, now) = (look.known.alert, look.now.ours);
    // It was reopened meanwhile.
    let Some(said_at) = alert.resolved_at else { return Step::Over(Ended::Done) };
    if now < resolution.due {
        return Step::Wait(resolution.due);
    }
    let waited = between(resolution.since, now);
    if waited >= GIVE_UP_AFTER {
        return Step::Over(Ended::Lost(
            "page and note could not be told in 6 h that the alert has resolved".to_owned(),
        ));
    }
    // A run that is active follows a merge itself, and most likely says in its note that the alert is over.
    if look.known.is_active || look.known.page == Some(&AlertPage::Wanted) {
        return Step::later(&mut resolution.due, now, LOOK_EVERY);
    }
    let Some(incident) = look.answers.incident(resolution.due) else { return Step::Do(What::AskIncident) };
    let what = match incident {
        IncidentNow::Unknown => return Step::later(&mut resolution.due, now, ASK_EVERY),
        IncidentNow::Open(id) if *id == alert.incident_id && waited < LAG => {
            return Step::later(&mut resolution.due, now, LOOK_EVERY);
        }
        IncidentNow::Open(id) if *id == alert.incident_id => What::OpenAfterAll,
        // It was merged: from now on that incident is the alert, and goes on or has ended as that does.
        IncidentNow::Open(id) => What::FollowMerge { into: id.clone(), over: None },
        IncidentNow::Resolved(id, at) if *id == alert.incident_id => {
            What::TellEnd { run_id: resolution.run_id.clone(), ended: at.unwrap_or(said_at) }
        }
        IncidentNow::Resolved(id, at) => What::FollowMerge { into: id.clone(), over: Some(at.unwrap_or(said_at)) },
    };
    match look.answers.is_done(&what, resolution.due) {
        None => Step::Do(what),
        Some(true) => Step::Over(Ended::Done),
        Some(false) => Step::later(&mut resolution.due, now, ASK_EVERY),
    }
}
