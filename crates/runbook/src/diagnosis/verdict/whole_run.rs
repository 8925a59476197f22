//! What goes by the whole run rather than by its last reading: what rejected once was not the client.

use super::{Class, Evidence, Finding, MagicBox, Seen, is_well, zone_of};

/// pCIE or probably a CIE, and whether the client of the end-to-end test is suspected. Runbook: "If the problem was not
/// with the healthcheck-prod cluster (the client in the end-to-end test) then this probably is a CIE".
pub(super) fn class_and_suspicion(evidence: &Evidence<'_>) -> (Class, bool) {
    let Evidence { region, expected, readings, checks, earlier, .. } = *evidence;
    let all = || readings.iter().chain(&earlier.readings);
    let seen: Vec<_> = all().map(|reading| Seen::of(region, expected, &reading.console)).collect();
    let set_aside = all().flat_map(|reading| &reading.set_aside);
    let well = seen.iter().all(|s| s.all(is_well)) && set_aside.filter(|b| is_of_region(evidence, b)).all(is_well);
    let complete = !seen.is_empty() && seen.iter().all(|s| !s.boxes.is_empty() && s.missing.is_empty());

    let findings: Vec<_> = checks.iter().chain(&earlier.checks).map(|(_, checks)| checks.finding).collect();
    let faulty = findings.iter().any(|finding| match finding {
        Finding::IngressDown | Finding::ZoneUnhealthy | Finding::KonicleFault => true,
        Finding::Disabled | Finding::Unknown | Finding::Healthy => false,
    });
    let unsuspicious = findings.iter().all(|finding| matches!(finding, Finding::Healthy | Finding::Unknown));

    let class = if well && !faulty { Class::Pcie } else { Class::ProbablyCie };
    (class, complete && well && unsuspicious)
}

fn is_of_region(evidence: &Evidence<'_>, b: &MagicBox) -> bool {
    zone_of(evidence.region, evidence.expected, &b.name).is_some()
}
