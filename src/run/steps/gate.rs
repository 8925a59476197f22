//! What the page gate is given: one function for both of its moments, before the note and right before the page, so that
//! nothing that holds a page can be forgotten in one of the two.

use jiff::Timestamp;

use crate::run::context::Context;
use runbook::decided::Decided;
use runbook::diagnosis::Diagnosis;
use runbook::gate::{self, Decision, Known};
use runbook::run::{Facts, Run};
use store::StoreError;

/// What differs between the two moments: how it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The alert's incident; `None`: there is none.
    pub incident_id: Option<&'a str>,
    /// Its title.
    pub title: Option<&'a str>,
    /// A webhook said that the alert is resolved, and PagerDuty could not be asked.
    pub said_resolved: bool,
    /// Something that is stored of the alert can't be read.
    pub unreadable: bool,
    /// Open pages that may explain it, or why they are not known.
    pub related: Result<&'a [String], &'a str>,
    /// When they were looked for.
    pub related_at: Option<Timestamp>,
    /// Automatic pages of the last hour.
    pub pages_this_hour: u32,
    /// Whether there may be a page to join.
    pub may_join: bool,
}

/// Asks the gate whether this run's finding pages; and how that was decided.
///
/// # Errors
/// The store.
pub async fn decide(
    context: &Context,
    run: &Run,
    facts: &Facts,
    diagnosis: &Diagnosis,
    seen: &Seen<'_>,
) -> Result<(Decision, Decided), StoreError> {
    // Last of all: somebody may say so while the rest is looked at.
    let held_by = match seen.incident_id {
        Some(incident_id) => context.store.held_by(incident_id, &context.config.command_users).await?,
        None => None,
    };
    let escalation = &context.config.escalation;
    let known = Known {
        diagnosis,
        mode: escalation.mode,
        drill: run.drill.is_some(),
        has_incident: seen.incident_id.is_some(),
        title: seen.title,
        said_resolved: seen.said_resolved,
        foreign_run: facts.foreign_run,
        unreadable: facts.unreadable || seen.unreadable,
        held_by: held_by.as_deref(),
        related: seen.related,
        related_at: seen.related_at,
        region_listed: context.config.zones_of(&run.region).listed,
        pages_this_hour: seen.pages_this_hour,
        may_join: seen.may_join,
        max_per_hour: escalation.max_per_hour,
        evidence_max_age: escalation.evidence_max_age,
        alert_triggered_at: facts.alert_triggered_at.map(|at| context.pagerduty.to_ours(at)),
        alert_max_age: escalation.alert_max_age,
        now: context.clock.now(),
    };
    let decision = gate::decide(&known);
    let by = Decided::gate(&known, &decision);
    Ok((decision, by))
}
