//! Whom to page, the Magic Box IDs to give them, and how a person says yes to a page that waits for it.

use super::advice::{contradicted, name, statuses};
use super::alike::{in_focus, is_faulty};
use super::evidence::in_order;
use super::limits::Section;
use super::text::{clean, link, sentence, shell};
use super::{Context, PageNews, SERVICE_ENDPOINT};
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

/// Whom to page, and the Magic Box IDs to give them, `0:1` first.
pub(super) fn whom(d: &Diagnosis, c: &Context<'_>) -> Section {
    let mut section = Section::new("WHOM TO PAGE", 14, 9);
    let se = format!(
        "{SERVICE_ENDPOINT} in PagerDuty, or Slack #private-marketplace {}",
        link(&c.links.service_endpoint_slack)
    );
    let registry = format!(
        "Registry: escalation policy {} or Slack registry-va-users {}",
        link(&c.links.escalation_policy),
        link(&c.links.registry_slack)
    );
    if c.resolved_at.is_some() {
        section.line("Nobody now, the alert has closed. Should it come back:");
    }
    let mut ids: Vec<_> = in_order(d);
    match d.verdict.kind {
        VerdictKind::ServiceEndpoint if contradicted(d) => {
            section.line("Look first (above). Then, by what you find, one of:");
            section.line(se);
            section.line(registry);
        }
        VerdictKind::ServiceEndpoint => section.line(se),
        VerdictKind::Registry => {
            section.line(registry);
            if d.zones.iter().any(|z| owner(z) == Owner::Between) {
                section.line(format!("The break is between SE and registry, so these may be needed too: {se}"));
            }
            ids.retain(|(z, _)| owner(z) == Owner::Between);
        }
        VerdictKind::Transient if d.verdict.rule == Rule::AllSeRejectingUpstreamUp => {
            section.line("Nobody yet. If it stays:");
            section.line(se);
        }
        VerdictKind::Mixed => {
            section.line(
                "A mixed reading has no owner by itself, and one reading may be transient: look again first. Zone by zone:",
            );
            for zone in in_focus(d) {
                let whom = match owner(zone) {
                    Owner::ServiceEndpoint => "candidate for Cloud Service Endpoint",
                    Owner::Registry => "Registry",
                    Owner::Between => "Registry first; the break is between SE and registry",
                    Owner::Nobody if zone.broken_at == BrokenAt::DisabledByRegistry => {
                        "nobody, the registry squad disabled it"
                    }
                    Owner::Nobody => "nobody yet, look first",
                };
                section.line(format!("- {} ({}): {whom}", name(zone), statuses(zone)));
            }
            section.line(se);
            section.line(registry);
            ids.retain(|(z, _)| matches!(owner(z), Owner::ServiceEndpoint | Owner::Between));
        }
        VerdictKind::Transient | VerdictKind::Inconclusive => {
            section.line("Nobody on this alone. Once it is clear whose it is:");
            section.line(se);
            section.line(registry);
            ids.retain(|(_, b)| b.se_status == 0);
        }
    }
    if !ids.is_empty() {
        section.line(match d.verdict.kind {
            VerdictKind::Mixed => format!(
                "Candidates for {SERVICE_ENDPOINT} only: look again, /rerun, then /escalate if it is the same. Magic Box IDs:"
            ),
            _ => format!("Magic Box IDs for {SERVICE_ENDPOINT}:"),
        });
        for (_, b) in ids {
            section.line(format!("- {} ({}:{})", clean(&b.magic_box_id, 200), b.se_status, b.upstream_status));
        }
    }
    say_yes(c, &mut section);
    section
}

/// What a page waits for, and how a person says yes. It stands before the IDs, which may be many.
fn say_yes(c: &Context<'_>, section: &mut Section) {
    let (incident_id, reasons, lead) = match &c.page {
        PageNews::Suggested { incident_id, reasons } => (incident_id, reasons, "Think of this first:"),
        PageNews::Held { incident_id, reasons } => (incident_id, reasons, "The automatic page is held because:"),
        PageNews::Failed { reason } => {
            section.lines.insert(0, format!("The page failed: {}", sentence(reason, 300)));
            return;
        }
        _ => return,
    };
    let mut lines = Vec::new();
    if !reasons.is_empty() {
        lines.push(lead.to_owned());
        lines.extend(reasons.iter().take(6).map(|r| format!("- {}", sentence(r, 250))));
    }
    lines.push("To let this service page them, write a note on this incident that says only /escalate.".into());
    lines.push("Or, as an operator:".into());
    let body = serde_json::json!({ "incident_id": clean(incident_id, 60) }).to_string();
    let base = c.run_url.rsplit_once("/runs/").map_or("$PUBLIC_URL", |(base, _)| base);
    let url =
        if base.starts_with('$') { format!("{base}/escalate") } else { shell(&format!("{}/escalate", link(base))) };
    lines.push(format!(
        "   curl -X POST {url} -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' -d {}",
        shell(&body)
    ));
    section.lines.splice(0..0, lines);
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
