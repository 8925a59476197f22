//! What goes by the whole run rather than by its last reading: what rejected once was not the client.

use super::{Class, ClientFinding, Evidence, Finding, MagicBox, Seen, is_well, zone_of};

/// What all that the run has seen comes to.
pub(super) struct WholeRun {
    /// Some readable box was not `1:1`, or some finding was a fault.
    pub(super) was_ill: bool,
    /// A box of the region was read.
    pub(super) has_box: bool,
    /// The client of the end-to-end test is suspected, by the path alone.
    suspected: bool,
}

impl WholeRun {
    /// pCIE or probably a CIE, and whether the client of the end-to-end test is suspected; what the client itself says counts
    /// before the path. Runbook: "If the problem was not with the healthcheck-prod cluster (the client in the end-to-end test)
    /// then this probably is a CIE".
    pub(super) fn class_and_suspicion(&self, client: Option<ClientFinding>) -> (Class, bool) {
        let class = if self.was_ill { Class::ProbablyCie } else { Class::Pcie };
        match client {
            Some(ClientFinding::ClientBroken | ClientFinding::FrontEndPath) => (Class::Pcie, true),
            Some(ClientFinding::NotClient | ClientFinding::Over) => (class, false),
            Some(ClientFinding::Unknown) | None => (class, self.suspected),
        }
    }
}

/// Goes through all that the run has seen.
pub(super) fn of(evidence: &Evidence<'_>) -> WholeRun {
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

    let mut set_aside = all().flat_map(|reading| &reading.set_aside);
    let has_box = seen.iter().any(|s| !s.boxes.is_empty()) || set_aside.any(|b| is_of_region(evidence, b));
    WholeRun { was_ill: !well || faulty, has_box, suspected: complete && well && unsuspicious }
}

fn is_of_region(evidence: &Evidence<'_>, b: &MagicBox) -> bool {
    zone_of(evidence.region, evidence.expected, &b.name).is_some()
}
