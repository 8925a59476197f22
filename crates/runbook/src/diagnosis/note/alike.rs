//! What several parts of a note say, or go by, alike.

use super::Context;
use super::client::is_over;
use super::text::{bound, clean, count};
use crate::diagnosis::{Checks, Diagnosis, Finding, Rule, VerdictKind, ZoneDiagnosis};

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
    let names: Vec<String> = c.other_regions.iter().take(3).map(|r| bound(r.as_str(), 40)).collect();
    match (c.other_regions.len(), c.related) {
        (0, Err(_)) => "Whether other regions alert is not known.".into(),
        (0, Ok(_)) => "No other region alerts now.".into(),
        (1, _) => format!("1 other region alerts now: {}.", names.join(", ")),
        (n, _) if n > names.len() => format!("{n} other regions alert now: {}, ….", names.join(", ")),
        (n, _) => format!("{n} other regions alert now: {}.", names.join(", ")),
    }
}

/// The zone's finding; unknown where its cluster was not asked.
pub(super) fn finding(zone: &ZoneDiagnosis) -> Finding {
    zone.checks.as_ref().map_or(Finding::Unknown, |c| c.finding)
}

/// Whether its cluster shows something to fix.
pub(super) fn is_faulty(zone: &ZoneDiagnosis) -> bool {
    matches!(finding(zone), Finding::IngressDown | Finding::ZoneUnhealthy | Finding::KonicleFault)
}

/// The rule as the API writes it.
pub(super) fn rule_name(rule: Rule) -> String {
    serde_json::to_value(rule).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The zones in the order of the focus; those that are not in it come last.
pub(super) fn in_focus(d: &Diagnosis) -> Vec<&ZoneDiagnosis> {
    let mut zones: Vec<_> = d.zones.iter().collect();
    zones.sort_by_key(|z| d.focus.iter().position(|f| *f == z.cluster).unwrap_or(usize::MAX));
    zones
}

/// What the cluster said, in a few words, without a full stop.
pub(super) fn said(checks: Option<&Checks>) -> String {
    let Some(checks) = checks else { return "cluster was not asked".into() };
    match checks.finding {
        Finding::Disabled => format!("deliberately disabled by the registry squad{}", switches(checks)),
        Finding::Unknown => match checks.error.as_deref().map(|e| clean(e, 120)) {
            Some(error) if !error.is_empty() => {
                format!("cluster could not be asked: {}", error.trim_end_matches('.'))
            }
            _ => "cluster could not be asked".into(),
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
