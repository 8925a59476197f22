//! Asks PagerDuty for the alert before anything else, and again before the note: a `triggered` may come hours after
//! its alert ended, and an alert changes while it is worked on.

use crate::run::context::Context;
use crate::run::open_incidents::Seen;
use pagerduty::{Incident, PagerDuty};
use runbook::event::is_id;

/// How many merges are followed: people merge once, rarely twice.
const MERGES: usize = 5;

/// What PagerDuty says of the alert.
#[derive(Debug)]
pub enum Alert {
    /// It is open, as PagerDuty shows it now; under another id where it was merged into another incident.
    Open(Box<Incident>),
    /// It is resolved, as PagerDuty shows it now.
    Resolved(Box<Incident>),
    /// PagerDuty can't be asked: the webhook's word counts.
    Unknown(String),
}

/// The alert as a look at open incidents shows it. One that is not among them is asked for singly: it may have ended, been
/// merged, or opened so lately that lists don't show it yet.
pub async fn confirm_among(context: &Context, id: &str, seen: &Seen) -> Alert {
    match seen.as_ref().ok().and_then(|open| open.find(id)) {
        Some(incident) => Alert::Open(Box::new(incident.clone())),
        None => confirm_alert(&context.pagerduty, id).await,
    }
}

/// Asks for the alert, and follows it where it was merged into another incident.
pub async fn confirm_alert(pagerduty: &PagerDuty, id: &str) -> Alert {
    let mut id = id.to_owned();
    for _ in 0..=MERGES {
        if !is_id(&id) {
            return Alert::Unknown(format!("{id:.64} is not an incident's id"));
        }
        match pagerduty.incident(&id).await {
            Ok(Some(incident)) if incident.is_open() => return Alert::Open(Box::new(incident)),
            Ok(Some(incident)) => match incident.merged_into.clone() {
                Some(other) if other != id => id = other,
                _ => return Alert::Resolved(Box::new(incident)),
            },
            Ok(None) => {
                return Alert::Unknown(format!("PagerDuty does not show the incident {id} to PAGERDUTY_API_TOKEN"));
            }
            Err(error) => return Alert::Unknown(error.to_string()),
        }
    }
    Alert::Unknown(format!("it was merged more than {MERGES} times, lastly into {id}"))
}
