//! Where to start, and what to do about a zone.

use super::SERVICE_ENDPOINT;
use super::alike::{finding, in_focus, is_faulty};
use super::text::clean;
use crate::diagnosis::{BrokenAt, Diagnosis, Finding, ZoneDiagnosis};

/// Where to start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// The first zone of the focus that is not disabled.
    Zone(&'a ZoneDiagnosis),
    /// The registry squad turned off every zone.
    AllDisabled,
    /// There is no zone.
    None,
}

/// Runbook: "Select a zone to debug first"; "this zone has been deliberately disabled by the registry squad, go back
/// to step 1 and pick the next zone".
pub(super) fn target(d: &Diagnosis) -> Target<'_> {
    match in_focus(d).into_iter().find(|z| finding(z) != Finding::Disabled) {
        Some(zone) => Target::Zone(zone),
        None if d.zones.is_empty() => Target::None,
        None => Target::AllDisabled,
    }
}

/// Registry answers the boxes, says Jenkins; but no zone where it does is in order, say the clusters.
pub(super) fn contradicted(d: &Diagnosis) -> bool {
    let mut answered = d.zones.iter().filter(|z| z.boxes.iter().any(|b| b.upstream_status == 1)).peekable();
    answered.peek().is_some() && answered.all(|z| finding(z) == Finding::Disabled || is_faulty(z))
}

/// `0:1`, or what its boxes say where they differ.
pub(super) fn statuses(zone: &ZoneDiagnosis) -> String {
    let mut all: Vec<String> = zone.boxes.iter().map(|b| format!("{}:{}", b.se_status, b.upstream_status)).collect();
    all.dedup();
    all.truncate(6);
    if all.is_empty() { "no reading".into() } else { all.join(" ") }
}

pub(super) fn name(zone: &ZoneDiagnosis) -> String {
    clean(zone.cluster.as_str(), 80)
}

/// What to do about a zone, in one sentence for a lock screen: what to do first, then why.
pub(super) fn now(zone: &ZoneDiagnosis) -> String {
    let zone_name = name(zone);
    match (finding(zone), zone.broken_at) {
        (_, BrokenAt::Contradiction) => {
            format!("look at {zone_name} yourself before you page anybody: its cluster contradicts Jenkins.")
        }
        (Finding::Healthy, BrokenAt::ClientOrFrontEnd) => format!(
            "check the route from the healthcheck cluster to the front end of {zone_name}: everything behind it works."
        ),
        (Finding::Healthy, BrokenAt::SeTo10443) => format!(
            "find what stops SE from reaching registry on port 10443 in {zone_name}. Registry itself answers 200."
        ),
        (Finding::Healthy, BrokenAt::MagicBox) => {
            format!("page {SERVICE_ENDPOINT} about {zone_name}. Registry itself answers 200.")
        }
        (Finding::Healthy, _) => {
            format!("read the Magic Boxes of {zone_name} by the Jenkins job: its cluster answers 200.")
        }
        (Finding::IngressDown, _) => format!("bring up the private ingress of {zone_name}, or page Registry."),
        (Finding::ZoneUnhealthy, _) => match page(zone) {
            Some(title) => format!("deal with {title}: {zone_name} is unhealthy (404)."),
            None => {
                format!("look for Registry's pages about microservices in {zone_name}: the zone is unhealthy (404).")
            }
        },
        (Finding::KonicleFault, _) => match page(zone) {
            Some(title) => format!("deal with {title}: konicle fails in {zone_name}."),
            None => format!(
                "look for Registry's pages about konicle in {zone_name}, or at its pods. If you can't fix it, page Registry."
            ),
        },
        (Finding::Disabled, _) => format!("skip {zone_name}: the registry squad disabled it deliberately."),
        (Finding::Unknown, _) => match &zone.checks {
            Some(_) => format!("check {zone_name} by hand (commands below), this service could not check its cluster."),
            None => format!("check {zone_name} by hand (commands below), its cluster was not checked."),
        },
    }
}

/// Registry's own open page about a zone. Runbook: "deal with that/those pages".
fn page(zone: &ZoneDiagnosis) -> Option<String> {
    let (first, others) = zone.checks.as_ref()?.registry_pages.split_first()?;
    let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    Some(format!("Registry's page \"{}\"{more}", clean(&first.title, 140)))
}
