//! The page gate: everything that is known goes in; page, suggest or hold (and why) comes out. Pure.
//!
//! Its table is note.md#what-holds-an-automatic-page. It never guesses in the direction of a page: what is not known
//! holds.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray, VariantNames};

use crate::alert::{Region, is_exact};
use crate::diagnosis::client::ClientFinding;
use crate::diagnosis::{Diagnosis, Finding, VerdictKind, ZoneDiagnosis};
use crate::span::{between, show_duration};
use crate::text::{clean, is_hidden};

/// How a reason begins that is about the alert's title.
const OTHER_TITLE: &str = "the alert's title is not exactly";
/// What a reason says that is about the hour's pages.
const OUTDATED: &str = "older than EVIDENCE_MAX_AGE";
const USED_UP: &str = "automatic pages were opened in the last hour, as many as ESCALATION_MAX_PER_HOUR";
/// How much of a title is quoted.
const MAX_SHOWN: usize = 200;

crate::words! { EscalationMode: "mode"; }

/// `ESCALATION_MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum EscalationMode {
    /// Neither pages nor suggests it.
    Off,
    /// A person says yes.
    Suggest,
    /// Pages when the verdict is `service_endpoint` and the page gate lets it.
    Auto,
}

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
    /// The alert's title, as last known; `None` where there is no alert.
    pub title: Option<&'a str>,
    /// A webhook said that the alert is resolved, and PagerDuty could not be asked.
    pub said_resolved: bool,
    /// The alert carries the note of a run that this database lacks.
    pub foreign_run: bool,
    /// Something that was stored of the run can't be read.
    pub unreadable: bool,
    /// Who said `/hold`, unless it is over.
    pub held_by: Option<&'a str>,
    /// Open pages that may explain the alert, by title; an error is why it is not known.
    pub related: Result<&'a [String], &'a str>,
    /// When related pages were looked for; `None`: they were not, and that none is open is not known.
    pub related_at: Option<Timestamp>,
    /// Whether the regions file lists the region.
    pub region_listed: bool,
    /// Automatic pages opened in the last hour, over all alerts.
    pub pages_this_hour: u32,
    /// Whether there may be a page to join. Only one that is opened counts, so whether the hour's are used up is then
    /// held against it where one would be opened.
    pub may_join: bool,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        reasons.push(held_by(who));
    }
    if known.unreadable {
        reasons.push("some of what was stored of this run can't be read: it may have spoken against a page".into());
    }
    if known.foreign_run {
        reasons.push("the alert has a note of a run that is not in this database, or its notes can't be read: it may have been paged for"
                .into(),
        );
    }
    if known.said_resolved {
        reasons.push(
            "a webhook says that the alert is resolved, and this service could not confirm it with PagerDuty".into(),
        );
    }
    reasons.extend(known.title.and_then(|title| other_title(title, &known.diagnosis.region)));
    match known.related {
        Ok([]) if known.related_at.is_some() => {}
        Ok([]) => reasons.push(related_unknown("PagerDuty was not asked for it")),
        Ok(titles) => reasons.push(format!("other pages are open that may explain the alert: {}", titles.join("; "))),
        Err(why) => reasons.push(related_unknown(why)),
    }
    reasons.extend(old_evidence(known));
    reasons.extend(disabled_or_contradicting(&known.diagnosis.zones));
    reasons.extend(over(known.diagnosis));
    if !known.region_listed {
        reasons.push(format!("the regions file does not list {}", known.diagnosis.region));
    }
    let unlisted: Vec<&str> =
        known.diagnosis.zones.iter().filter(|z| !z.expected).map(|z| z.cluster.as_str()).collect();
    if !unlisted.is_empty() {
        reasons.push(format!("the regions file does not list {}, which has boxes", unlisted.join(", ")));
    }
    if !known.may_join && known.pages_this_hour >= known.max_per_hour {
        reasons.push(used_up(known.pages_this_hour));
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

fn related_unknown(why: &str) -> String {
    format!("it is not known whether a bigger outage explains the alert: {why}")
}

/// That this person holds automatic pages.
pub fn held_by(who: &str) -> String {
    format!("{who} said /hold; /escalate lifts it")
}

/// That so many automatic pages were opened in the last hour, and no more may be.
pub fn used_up(pages: u32) -> String {
    format!("{pages} {USED_UP} allows")
}

/// Whether a reason says that the hour's automatic pages are used up.
pub fn says_used_up(reason: &str) -> bool {
    reason.contains(USED_UP)
}

/// That a title is not exactly an alert's of the region, tags aside, and what it is; `None` where it is just that.
pub fn other_title(title: &str, region: &Region) -> Option<String> {
    let hidden = if title.contains(is_hidden) { ", and has characters in it that are not shown" } else { "" };
    (!is_exact(title, region)).then(|| {
        let shown = clean(title, MAX_SHOWN);
        format!("{OTHER_TITLE} \"All SE endpoints down in {region}\", it is \"{shown}\"{hidden}")
    })
}

/// Whether a reason says what the alert's title is.
pub fn says_title(reason: &str) -> bool {
    reason.starts_with(OTHER_TITLE)
}

/// Whether readings or cluster checks are too old for a page: then they are to be asked again before it is held.
pub fn is_outdated(diagnosis: &Diagnosis, max_age: Duration, now: Timestamp) -> bool {
    oldest(diagnosis).is_some_and(|(_, at)| between(at, now) > max_age)
}

/// Whether a reason says that the evidence is too old.
pub fn says_outdated(reason: &str) -> bool {
    reason.contains(OUTDATED)
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
    (age > known.evidence_max_age).then(|| format!("{what} is {} old, {OUTDATED}", show_duration(age)))
}

/// "`over` holds an automatic page": the test that opened the alert passes again.
fn over(diagnosis: &Diagnosis) -> Option<String> {
    let client = diagnosis.client.as_ref().filter(|client| client.finding == ClientFinding::Over)?;
    let at = diagnosis.client_times.as_ref().and_then(|times| client.se_at(times, &diagnosis.region));
    let at = at.map(|at| format!(" (sample of {})", at.strftime("%H:%M:%S UTC"))).unwrap_or_default();
    Some(format!("it is over: the healthcheck cluster's test of {} passes again{at}", diagnosis.region))
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
        "Jenkins and the clusters contradict each other: no zone whose boxes get 200 from the registry is healthy in its \
         own cluster"
            .into()
    })
}

#[cfg(test)]
mod tests;
