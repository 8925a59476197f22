//! What several parts of a note say, or go by, alike.

use super::Context;
use super::client::is_over;
use super::text::{bound, clean, count};
use crate::alert::Region;
use crate::diagnosis::{Checks, Diagnosis, Finding, Rule, VerdictKind, ZoneDiagnosis};
use crate::related::AT_ONCE;

/// How many regions that alert a line names.
const NAMED: usize = 3;

/// Expected zones of which no box was read, or not every one.
pub(super) fn missing_zones(d: &Diagnosis) -> impl Iterator<Item = &ZoneDiagnosis> {
    d.zones.iter().filter(|z| z.expected && (z.boxes.is_empty() || z.unread))
}

/// The last reading failed or has holes, and the boxes are those of an earlier, complete one.
pub(super) fn from_earlier_reading(d: &Diagnosis) -> bool {
    d.verdict.kind == VerdictKind::Inconclusive
        && d.zones.iter().any(|z| !z.boxes.is_empty())
        && (d.verdict.rule == Rule::NoReading || missing_zones(d).next().is_none())
}

/// Whether the second line is about the client: what has closed, and what else is open, come before it.
pub(super) fn speaks_of_client(d: &Diagnosis, c: &Context<'_>) -> bool {
    (d.client_suspected || is_over(d)) && c.resolved_at.is_none() && c.explaining().is_empty()
}

/// How many other regions alert now: one is a region's trouble, many are the client's.
pub(super) fn other_regions(c: &Context<'_>) -> String {
    match (c.other_regions, c.related) {
        ([], Err(_)) => "Whether other regions alert is not known.".into(),
        ([], Ok(_)) => "No other region alerts now.".into(),
        (all, _) => {
            let (near, far): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|region| c.at_once.contains(region));
            let cause = match near.len() {
                0 => String::new(),
                n if n == all.len() => format!(" ({})", one_cause()),
                n => format!(" ({n} of them {})", one_cause()),
            };
            let in_order = [near, far].concat();
            format!("{} now{cause}: {}.", regions_alert(all.len(), "other"), names(&in_order))
        }
    }
}

/// The fourth line, where other regions alert within five minutes and the second line does not say so.
pub(super) fn at_once(d: &Diagnosis, c: &Context<'_>) -> Option<String> {
    let all = c.at_once;
    let is_said = all.is_empty() || speaks_of_client(d, c);
    (!is_said).then(|| format!("{} {}: {}.", regions_alert(all.len(), "other"), one_cause(), names(all)))
}

/// What regions that fail at once point at.
fn one_cause() -> String {
    format!("within {} min of this one, likely one cause", AT_ONCE.as_secs() / 60)
}

/// The other regions that alert, and of which neither the second line nor the fourth tells.
pub(super) fn not_at_once(d: &Diagnosis, c: &Context<'_>) -> Option<String> {
    let rest: Vec<Region> = c.other_regions.iter().filter(|r| !c.at_once.contains(r)).cloned().collect();
    let is_said = rest.is_empty() || speaks_of_client(d, c);
    let other = if c.at_once.is_empty() { "other" } else { "more" };
    (!is_said).then(|| {
        format!("{} now, from another time than this one: {}.", regions_alert(rest.len(), other), names(&rest))
    })
}

/// `1 other region alerts`, `2 other regions alert`.
fn regions_alert(n: usize, other: &str) -> String {
    if n == 1 { format!("1 {other} region alerts") } else { format!("{n} {other} regions alert") }
}

/// Some of the regions by name.
fn names(regions: &[Region]) -> String {
    let names: Vec<String> = regions.iter().take(NAMED).map(|r| bound(r.as_str(), 40)).collect();
    let more = if regions.len() > names.len() { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

/// The zone's finding; unknown where its cluster was not checked.
pub(super) fn finding(zone: &ZoneDiagnosis) -> Finding {
    zone.checks.as_ref().map_or(Finding::Unknown, |c| c.finding)
}

/// Whether its cluster shows something to fix.
pub(super) fn is_faulty(zone: &ZoneDiagnosis) -> bool {
    matches!(finding(zone), Finding::IngressDown | Finding::ZoneUnhealthy | Finding::KonicleFault)
}

/// The zones in the order of the focus; those that are not in it come last.
pub fn in_focus(d: &Diagnosis) -> Vec<&ZoneDiagnosis> {
    let mut zones: Vec<_> = d.zones.iter().collect();
    zones.sort_by_key(|z| d.focus.iter().position(|f| *f == z.cluster).unwrap_or(usize::MAX));
    zones
}

/// What the cluster said, in a few words, without a full stop.
pub(super) fn said(checks: Option<&Checks>) -> String {
    let Some(checks) = checks else { return "the cluster was not checked".into() };
    match checks.finding {
        Finding::Disabled => format!("deliberately disabled by the registry squad{}", switches(checks)),
        Finding::Unknown => match checks.error.as_deref().map(|e| clean(e, 120)) {
            Some(error) if !error.is_empty() => {
                format!("this service could not check the cluster: {}", error.trim_end_matches('.'))
            }
            _ => "this service could not check the cluster".into(),
        },
        Finding::IngressDown if checks.ingress.is_empty() => "there is no private ingress pod".into(),
        Finding::IngressDown => {
            format!("no private ingress pod is Running ({})", pods(checks))
        }
        Finding::Healthy => "status check 200 OK, healthy".into(),
        Finding::ZoneUnhealthy => "status check 404, unhealthy and automatically disabled".into(),
        Finding::KonicleFault => format!("{}, probably konicle", status(checks)),
    }
}

/// The same, without why the cluster could not be checked: that stands with what is not known.
pub(super) fn said_in_short(checks: Option<&Checks>) -> String {
    match checks {
        Some(checks) if checks.finding == Finding::Unknown => "this service could not check the cluster".into(),
        checks => said(checks),
    }
}

/// Which of konicle's switches is off.
fn switches(checks: &Checks) -> String {
    let Some(konicle) = &checks.konicle else { return String::new() };
    let off = |name: &str, value: &Option<String>| {
        value.as_deref().filter(|v| v.trim().eq_ignore_ascii_case("false")).map(|_| format!("{name}: false"))
    };
    let off: Vec<String> = [off("ready", &konicle.ready), off("private-override", &konicle.private_override)]
        .into_iter()
        .flatten()
        .collect();
    if off.is_empty() { String::new() } else { format!(" (konicle: {})", off.join(", ")) }
}

/// How many private ingress pods are in which state: `2 pods: CrashLoopBackOff, Pending`.
fn pods(checks: &Checks) -> String {
    let mut states: Vec<String> = checks.ingress.iter().take(20).map(|p| clean(&p.status, 40)).collect();
    states.dedup();
    states.truncate(4);
    format!("{}: {}", count(checks.ingress.len(), "pod", "pods"), states.join(", "))
}

/// What the status check answered.
fn status(checks: &Checks) -> String {
    match &checks.status {
        Some(check) => match (check.http_status, &check.error) {
            (Some(code), _) => format!("status check {code}"),
            (None, Some(error)) => format!("status check failed ({})", clean(error, 200)),
            (None, None) => "status check failed".into(),
        },
        None => "no status check".into(),
    }
}
