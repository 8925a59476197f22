//! Who to page, and the Magic Box IDs to give them.

use super::advice::{contradicted, name, statuses};
use super::alike::{in_focus, is_faulty};
use super::evidence::in_order;
use super::limits::Section;
use super::text::{clean, link};
use super::words::WHO;
use super::{Context, SERVICE_ENDPOINT, client};
use crate::diagnosis::{BrokenAt, Diagnosis, Rule, VerdictKind, ZoneDiagnosis};

/// Who is to be called for a zone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    ServiceEndpoint,
    Registry,
    /// Registry answers 200, but not to the box: the break is between the two.
    Between,
    /// Nothing to call anybody for, or nothing certain.
    Nobody,
}

fn owner(zone: &ZoneDiagnosis) -> Owner {
    match zone.broken_at {
        BrokenAt::MagicBox => Owner::ServiceEndpoint,
        BrokenAt::SeTo10443 => Owner::Between,
        BrokenAt::PrivateIngress | BrokenAt::Zone => Owner::Registry,
        BrokenAt::ClientOrFrontEnd | BrokenAt::DisabledByRegistry | BrokenAt::Contradiction => Owner::Nobody,
        BrokenAt::Unknown if is_faulty(zone) => Owner::Registry,
        // Jenkins alone: the runbook's reading of the statuses.
        BrokenAt::Unknown if zone.boxes.iter().any(|b| (b.se_status, b.upstream_status) == (0, 1)) => {
            Owner::ServiceEndpoint
        }
        BrokenAt::Unknown if zone.boxes.iter().any(|b| b.upstream_status < 1) => Owner::Registry,
        BrokenAt::Unknown => Owner::Nobody,
    }
}

/// Who to page, and the Magic Box IDs to give them, `0:1` first.
pub(super) fn whom(d: &Diagnosis, c: &Context<'_>) -> Section {
    let mut section = Section::new(WHO, 14, 9);
    let (se, registry) = (service_endpoint(c), registry(c));
    let is_over = c.resolved_at.is_some();
    let lead = |until: &str| match until {
        _ if is_over => "Nobody now, the alert has closed. If it comes back: ".to_owned(),
        "" => String::new(),
        until => format!("Nobody yet{until}: "),
    };
    let mut ids: Vec<_> = in_order(d);
    match d.verdict.kind {
        VerdictKind::ServiceEndpoint if contradicted(d) => {
            section.line(format!("{}{se}", lead(". When you have seen which of the two is right")));
            section.line(registry);
        }
        VerdictKind::ServiceEndpoint => section.line(format!("{}{se}", lead(""))),
        VerdictKind::Registry => {
            let is_whole = d.client_suspected || client::is_over(d);
            section.line(format!("{}{registry}", lead(if is_whole { ". If the alert stays open" } else { "" })));
            if d.zones.iter().any(|z| owner(z) == Owner::Between) {
                section.line(format!("Perhaps also, since the break is between SE and registry: {se}"));
            }
            ids.retain(|(z, _)| owner(z) == Owner::Between);
        }
        VerdictKind::Transient if d.verdict.rule == Rule::AllSeRejectingUpstreamUp => {
            section.line(format!("{}{se}", lead(". If it stays")));
        }
        VerdictKind::Mixed => {
            section.line(lead(", one reading may be transient. If a second look shows the same").trim_end());
            section.lines.extend(zone_by_zone(d, &se, &registry));
            ids.retain(|(z, _)| matches!(owner(z), Owner::ServiceEndpoint | Owner::Between));
        }
        VerdictKind::Transient | VerdictKind::Inconclusive => {
            section.line(format!("{}{se}", lead(". When the owner is clear")));
            section.line(registry);
            ids.retain(|(_, b)| b.se_status == 0);
        }
    }
    section.line(match d.verdict.kind {
        _ if ids.is_empty() => "No Magic Box IDs to give.".to_owned(),
        VerdictKind::Mixed => format!(
            "Candidates for {SERVICE_ENDPOINT} only: look again, /rerun, then /escalate if it is the same. Magic Box IDs:"
        ),
        _ => format!("Magic Box IDs for {SERVICE_ENDPOINT}:"),
    });
    for (_, b) in ids {
        section.line(format!("- {} ({}:{})", clean(&b.magic_box_id, 200), b.se_status, b.upstream_status));
    }
    section
}

/// How the Service Endpoint team is reached.
pub(super) fn service_endpoint(c: &Context<'_>) -> String {
    format!("{SERVICE_ENDPOINT} in PagerDuty, or Slack #private-marketplace {}", link(&c.links.service_endpoint_slack))
}

/// How Registry is reached.
pub(super) fn registry(c: &Context<'_>) -> String {
    format!(
        "Registry: escalation policy {} or Slack registry-va-users {}",
        link(&c.links.escalation_policy),
        link(&c.links.registry_slack)
    )
}

/// A line an owner, with the zones that are its own.
fn zone_by_zone(d: &Diagnosis, se: &str, registry: &str) -> Vec<String> {
    let zones = in_focus(d);
    let of = |is: fn(&ZoneDiagnosis) -> bool| {
        let named: Vec<String> =
            zones.iter().filter(|z| is(z)).map(|z| format!("{} ({})", name(z), statuses(z))).collect();
        (!named.is_empty()).then(|| named.join(", "))
    };
    let zones_of_registry = zones.iter().any(|z| owner(z) == Owner::Registry);
    let is_off = |z: &ZoneDiagnosis| z.broken_at == BrokenAt::DisabledByRegistry;
    [
        of(|z| owner(z) == Owner::ServiceEndpoint).map(|zones| format!("{zones}: candidate for {se}")),
        of(|z| owner(z) == Owner::Registry).map(|zones| format!("{zones}: {registry}")),
        of(|z| owner(z) == Owner::Between).map(|zones| {
            let first = if zones_of_registry { "Registry" } else { registry };
            format!("{zones}: the break is between SE and registry; first {first}")
        }),
        of(|z| owner(z) == Owner::Nobody && z.broken_at != BrokenAt::DisabledByRegistry)
            .map(|zones| format!("{zones}: nobody yet, look first")),
        of(is_off).map(|zones| format!("{zones}: nobody, the registry squad disabled it")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Finding;
    use crate::diagnosis::note::fixtures::{self, VERDICTS};

    #[test]
    fn where_the_break_is_not_known_the_cluster_and_then_the_statuses_say_whom_to_call() {
        let owner_of = |finding: Option<Finding>, statuses: &[(u8, i8)]| {
            let (kind, rule, variants) = VERDICTS[7];
            let mut zone =
                fixtures::uniform(kind, rule, &variants[0], finding.unwrap_or(Finding::Healthy)).zones.remove(0);
            zone.broken_at = BrokenAt::Unknown;
            zone.checks = zone.checks.filter(|_| finding.is_some());
            let one = zone.boxes[0].clone();
            zone.boxes = statuses
                .iter()
                .map(|&(se_status, upstream_status)| crate::diagnosis::MagicBox {
                    se_status,
                    upstream_status,
                    ..one.clone()
                })
                .collect();
            owner(&zone)
        };
        let faulty = Some(Finding::ZoneUnhealthy);
        assert!(owner_of(faulty, &[(0, 1)]) == Owner::Registry);
        assert!(owner_of(None, &[(1, 0), (0, 1)]) == Owner::ServiceEndpoint);
        assert!(owner_of(None, &[(1, 1), (1, 0)]) == Owner::Registry);
        assert!(owner_of(None, &[(1, -1)]) == Owner::Registry);
        assert!(owner_of(None, &[(1, 1)]) == Owner::Nobody);
        assert!(owner_of(None, &[]) == Owner::Nobody);
        assert!(owner_of(Some(Finding::Healthy), &[(1, 1)]) == Owner::Nobody);
    }
}
