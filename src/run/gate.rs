//! The page gate: everything that is known goes in; page, suggest or hold (and why) comes out. Pure.
//!
//! Contract 6.5 is its table. It never guesses in the direction of a page: what is not known holds.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::between;
use crate::config::{EscalationMode, show_duration};
use crate::diagnosis::{Diagnosis, Finding, VerdictKind, ZoneDiagnosis};

/// What is known when a page is decided on.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The diagnosis.
    pub diagnosis: &'a Diagnosis,
    /// `ESCALATION_MODE`.
    pub mode: EscalationMode,
    /// Whether this is a drill: nobody is paged, whatever is found.
    pub drill: bool,
    /// Whether there is an incident to page for.
    pub has_incident: bool,
    /// A webhook said that the alert is resolved, and PagerDuty could not be asked.
    pub said_resolved: bool,
    /// The alert carries the note of a run that this database lacks.
    pub foreign_run: bool,
    /// Who said `/hold`, unless it is over.
    pub held_by: Option<&'a str>,
    /// Open pages that may explain the alert, by title; an error is why it is not known.
    pub related: Result<&'a [String], &'a str>,
    /// When related pages were looked for.
    pub related_at: Option<Timestamp>,
    /// Whether the regions file lists the region.
    pub region_listed: bool,
    /// Automatic pages opened in the last hour, over all alerts.
    pub pages_this_hour: u32,
    /// `ESCALATION_MAX_PER_HOUR`.
    pub max_per_hour: u32,
    /// `EVIDENCE_MAX_AGE`.
    pub evidence_max_age: Duration,
    /// When the alert was last triggered or reopened; `None` where it is not known.
    pub alert_triggered_at: Option<Timestamp>,
    /// `RECONCILE_MAX_AGE`.
    pub alert_max_age: Duration,
    /// The time of the decision.
    pub now: Timestamp,
}

/// What the gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The verdict asks for no page.
    NotWanted,
    /// A page would be wanted, but nobody asks for it here: the mode is `off`, or there is no incident.
    Off,
    /// A person is to say yes; what an automatic page would have been held for.
    Suggest(Vec<String>),
    /// An automatic page is held back, and why.
    Hold(Vec<String>),
    /// The Service Endpoint team is paged.
    Page,
}

/// Decides. Runbook: "If this condition persists then this is an SE problem and you should page the Service Endpoint
/// team"; only `service_endpoint` ever does.
pub fn decide(known: &Known<'_>) -> Decision {
    if known.diagnosis.verdict.kind != VerdictKind::ServiceEndpoint {
        return Decision::NotWanted;
    }
    if known.drill {
        return Decision::Hold(vec!["this is a drill: nobody is paged, and nothing is written in PagerDuty".into()]);
    }
    if !known.has_incident || known.mode == EscalationMode::Off {
        return Decision::Off;
    }
    let reasons = holds(known);
    match known.mode {
        EscalationMode::Suggest | EscalationMode::Off => Decision::Suggest(reasons),
        EscalationMode::Auto if reasons.is_empty() => Decision::Page,
        EscalationMode::Auto => Decision::Hold(reasons),
    }
}

/// Everything that speaks against an automatic page, each in words.
pub fn holds(known: &Known<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(who) = known.held_by {
        reasons.push(format!("{who} said /hold; /escalate lifts it"));
    }
    if known.foreign_run {
        reasons.push("the alert has a note of a run that is not in this database, or its notes can't be read: it may have been paged for"
                .into(),
        );
    }
    if known.said_resolved {
        reasons.push("a webhook says that the alert is resolved, and PagerDuty can't be asked".into());
    }
    match known.related {
        Ok([]) => {}
        Ok(titles) => reasons.push(format!("other pages are open that may explain the alert: {}", titles.join("; "))),
        Err(why) => reasons.push(format!("it is not known whether a bigger outage explains the alert: {why}")),
    }
    reasons.extend(old_evidence(known));
    reasons.extend(disabled_or_contradicting(&known.diagnosis.zones));
    if !known.region_listed {
        reasons.push(format!("the regions file does not list {}", known.diagnosis.region));
    }
    let unlisted: Vec<&str> =
        known.diagnosis.zones.iter().filter(|z| !z.expected).map(|z| z.cluster.as_str()).collect();
    if !unlisted.is_empty() {
        reasons.push(format!("the regions file does not list {}, which has boxes", unlisted.join(", ")));
    }
    if known.pages_this_hour >= known.max_per_hour {
        reasons.push(format!(
            "{} automatic pages were opened in the last hour, as many as ESCALATION_MAX_PER_HOUR allows",
            known.pages_this_hour
        ));
    }
    match known.alert_triggered_at {
        Some(at) if between(at, known.now) <= known.alert_max_age => {}
        Some(at) => reasons.push(format!(
            "the alert was last triggered {} ago, longer than RECONCILE_MAX_AGE",
            show_duration(between(at, known.now))
        )),
        None => reasons.push("it is not known when the alert was last triggered".into()),
    }
    reasons
}

/// Whether readings or cluster checks are too old for a page: then they are to be asked again before it is held.
pub fn is_outdated(diagnosis: &Diagnosis, max_age: Duration, now: Timestamp) -> bool {
    oldest(diagnosis).is_some_and(|(_, at)| between(at, now) > max_age)
}

/// The oldest piece of evidence of a diagnosis, and when it was taken.
fn oldest(diagnosis: &Diagnosis) -> Option<(&'static str, Timestamp)> {
    let readings = diagnosis.readings.last().map(|r| ("the Jenkins reading", r.at));
    let checks = diagnosis.zones.iter().filter_map(|z| z.checks.as_ref()).map(|c| ("a cluster check", c.at));
    readings.into_iter().chain(checks).min_by_key(|(_, at)| *at)
}

fn old_evidence(known: &Known<'_>) -> Option<String> {
    let related = known.related_at.map(|at| ("the look for related pages", at));
    let (what, at) = oldest(known.diagnosis).into_iter().chain(related).min_by_key(|(_, at)| *at)?;
    let age = between(at, known.now);
    (age > known.evidence_max_age).then(|| format!("{what} is {} old, older than EVIDENCE_MAX_AGE", show_duration(age)))
}

/// Zones that the registry squad turned off say nothing against the Service Endpoint team, and neither do those whose
/// cluster contradicts a Magic Box that gets 200 from it.
fn disabled_or_contradicting(zones: &[ZoneDiagnosis]) -> Option<String> {
    let finding = |z: &ZoneDiagnosis| z.checks.as_ref().map(|c| c.finding);
    if !zones.is_empty() && zones.iter().all(|z| finding(z) == Some(Finding::Disabled)) {
        return Some("every zone is disabled by the registry squad".into());
    }
    let mut with_upstream =
        zones.iter().filter(|z| z.boxes.iter().any(|b| b.upstream_status == 1)).map(finding).peekable();
    with_upstream.peek()?;
    let against = |f: Option<Finding>| {
        matches!(f, Some(Finding::Disabled | Finding::IngressDown | Finding::ZoneUnhealthy | Finding::KonicleFault))
    };
    with_upstream.all(against).then(|| {
        "Jenkins and the clusters contradict each other: no zone whose boxes get 200 from the registry is well in its \
         own cluster"
            .into()
    })
}

#[cfg(test)]
mod tests;
