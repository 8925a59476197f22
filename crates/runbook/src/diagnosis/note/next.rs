//! What to do next, in the runbook's order, with commands to copy: under its step what a person must still find out, at the end
//! what the service has asked already, for who wants to see it again.

use super::advice::{Target, contradicted, name, statuses, target};
use super::alike::{finding, in_focus, missing_zones};
use super::limits::Section;
use super::text::{clean, link, sentence, shell};
use super::words::{APPROVE, NEXT};
use super::{Context, PageNews, SERVICE_ENDPOINT, client};
use crate::diagnosis::{BrokenAt, Checks, Diagnosis, Finding, PodLine, Rule, VerdictKind, ZoneDiagnosis};

/// How many reasons, pages or pods are named.
const NAMED: usize = 6;
/// How many pages that explain the alert are named; the others stand with the links.
pub(super) const EXPLAINING: usize = 3;
/// How long a reason may be, that the third line has already.
pub(super) const REASON_IN_HEAD: usize = 200;

/// What the commands that follow are for. Runbook: "Determine if the private ingress is returning 200 OK".
const HOW_TO_SEE: &str = " To see it yourself (200 is fine, 404 an unhealthy zone, anything else probably konicle):";

/// The part.
pub(super) fn next(d: &Diagnosis, c: &Context<'_>) -> Section {
    let mut section = Section::new(NEXT, 21, 7);
    let mut steps = Steps { section: &mut section, number: 0 };
    related(d, c, &mut steps);
    page(d, c, &mut steps);
    by_verdict(d, c, &mut steps);
    let (disabled, open): (Vec<_>, Vec<_>) = in_focus(d).into_iter().partition(|z| finding(z) == Finding::Disabled);
    let zones: Vec<&ZoneDiagnosis> = open.into_iter().chain(disabled).collect();
    for (words, alike) in &grouped(d, &zones) {
        let found = found(alike);
        let open = (!found.is_empty()).then(|| "See what is open about it:".to_owned());
        let Some(words) = words.clone().or(open) else { continue };
        let names: Vec<String> = alike.iter().map(|zone| format!("{} ({})", name(zone), statuses(zone))).collect();
        let whither = if words == ROUTE { front_ends(alike) } else { String::new() };
        steps.step(format!("{}. {words}{whither}", names.join(", ")));
        steps.section.lines.extend(found);
        for zone in alike {
            let first = zones.first().is_some_and(|first| first.cluster == zone.cluster);
            steps.section.lines.extend(to_find_out(zone, first));
        }
    }
    // Of the first zone all that the runbook has, unless another's are to be typed anyway.
    let all_of_first = !zones.iter().any(|zone| is_open(zone));
    let again = zones.iter().enumerate().flat_map(|(n, zone)| to_see_again(zone, n == 0 && all_of_first));
    let again: Vec<String> = again.collect();
    let last = match c.resolved_at {
        None => "Nothing to watch: the alert resolves by itself when the end-to-end test gets 200 again.",
        Some(_) => "Use what is above to find the cause, for the RCA.",
    };
    let how = if again.is_empty() { "" } else { HOW_TO_SEE };
    steps.step(format!("{last}{how}"));
    section.lines.extend(again);
    section
}

/// Zones with what is to be done about them, which is said once, in the order of the first of each.
fn grouped<'a>(d: &Diagnosis, zones: &[&'a ZoneDiagnosis]) -> Vec<(Option<String>, Vec<&'a ZoneDiagnosis>)> {
    let mut groups: Vec<(Option<String>, Vec<&'a ZoneDiagnosis>)> = Vec::new();
    for zone in zones {
        let words = words(d, zone);
        match groups.iter_mut().find(|(known, _)| *known == words) {
            Some((_, alike)) => alike.push(zone),
            None => groups.push((words, vec![zone])),
        }
    }
    groups
}

struct Steps<'a> {
    section: &'a mut Section,
    number: usize,
}

impl Steps<'_> {
    fn step(&mut self, text: String) {
        self.number += 1;
        self.section.line(format!("{}. {text}", self.number));
    }
}

/// Runbook: "Determine if this issue isolated to SE endpoints".
fn related(d: &Diagnosis, c: &Context<'_>, steps: &mut Steps<'_>) {
    match c.related {
        Ok(_) if c.explaining().is_empty() => {}
        Ok(_) => {
            steps.step("Deal with these pages, and see if this alert resolves:".into());
            for page in c.explaining().iter().take(EXPLAINING) {
                steps.section.line(format!("   - {} {}", clean(&page.title, 200), link(&page.html_url)));
            }
        }
        Err(_) => steps.step(format!(
            "Look in PagerDuty for \"All Public endpoints down in {}\" and \"DOWN | Origin - reg-glob-…\": whether one is open is \
             not known. If one is, deal with it first.",
            clean(d.region.as_str(), 80)
        )),
    }
}

/// What a page waits for, and how a person approves it. What the third line says is not said again.
fn page(d: &Diagnosis, c: &Context<'_>, steps: &mut Steps<'_>) {
    let (incident_id, reasons, lead, how) = match &c.page {
        PageNews::Suggested { incident_id, reasons: [] } => {
            (incident_id, &[][..], "", "Approve the page as line 3 says, or as an operator:".to_owned())
        }
        PageNews::Suggested { incident_id, reasons } => {
            let how = format!("If you still want to page them, {APPROVE}, or as an operator:");
            (incident_id, *reasons, "   Think of this first:", how)
        }
        PageNews::Held { incident_id, reasons } => {
            let look = if contradicted(d) { "Look at the zones below first. " } else { "" };
            let how = format!("{look}To page them all the same, {APPROVE}, or as an operator:");
            (incident_id, *reasons, "   The automatic page is held:", how)
        }
        _ => return,
    };
    let is_said = reasons.first().is_some_and(|first| first.chars().count() < REASON_IN_HEAD);
    let others: Vec<&String> = reasons.iter().skip(usize::from(is_said)).take(NAMED).collect();
    steps.step(how);
    let body = serde_json::json!({ "incident_id": clean(incident_id, 60) }).to_string();
    let base = c.run_url.rsplit_once("/runs/").map_or("$PUBLIC_URL", |(base, _)| base);
    let url =
        if base.starts_with('$') { format!("{base}/escalate") } else { shell(&format!("{}/escalate", link(base))) };
    steps.section.line(format!(
        "   curl -X POST {url} -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' -d {}",
        shell(&body)
    ));
    if !others.is_empty() {
        let also = if is_said { " as line 3 says, and also" } else { "" };
        steps.section.line(lead.replacen(':', &format!("{also}:"), 1));
        steps.section.lines.extend(others.into_iter().map(|reason| format!("   - {}", sentence(reason, 250))));
    }
}

/// The runbook's step for the verdict itself.
fn by_verdict(d: &Diagnosis, c: &Context<'_>, steps: &mut Steps<'_>) {
    let zone =
        missing_zones(d).next().or(d.zones.first()).map_or_else(|| "a registry cluster of the region".into(), name);
    let run_job = format!("the Jenkins job ServiceEndpointStatus with CLUSTER={zone}");
    let job = c.job_url.map_or_else(String::new, |url| format!(" {}", link(url)));
    if matches!(target(d), Target::AllDisabled) {
        steps.step("Ask the registry squad why every zone is disabled (Slack registry-va-users).".into());
    }
    if let Some(step) = client::next(d).filter(|_| c.resolved_at.is_none() || d.client_suspected) {
        steps.step(step);
        if d.client_suspected {
            return;
        }
    } else if d.client_suspected {
        steps.step(
            "Check the healthcheck cluster (registry-healthcheck, eu-central) and its route to the front ends. \
             Everything behind them that was checked works."
                .into(),
        );
        return;
    }
    match d.verdict.kind {
        VerdictKind::Transient if d.verdict.rule == Rule::AllSeRejectingUpstreamUp => {
            steps.step(format!("Run {run_job} again. If it still shows this, page {SERVICE_ENDPOINT} (above).{job}"));
        }
        VerdictKind::Transient => {
            steps.step(format!("If the alert stays open, run {run_job} again.{job}"));
        }
        VerdictKind::Inconclusive => {
            steps.step(format!("Run {run_job}.{job}"));
            for line in [
                "   Its boxes end in :<SE>:<upstream>. SE 1 in all, or SE 0 in all and no upstream 1: probably registry.",
                "   SE 0 in all and an upstream 1: run it again; if it stays, Service Endpoint. A mix: look at :0:1 first, then :1:x.",
            ] {
                steps.section.line(line);
            }
        }
        VerdictKind::Mixed if c.resolved_at.is_some() => {}
        VerdictKind::Mixed => {
            let is_paged = matches!(c.page, PageNews::Paged { .. } | PageNews::Paging { .. });
            let lead = if is_paged {
                "Look again".to_owned()
            } else {
                format!("Look again before you page {SERVICE_ENDPOINT}")
            };
            steps.step(format!("{lead}: reply /rerun on the incident, or run {run_job}.{job}"));
        }
        VerdictKind::ServiceEndpoint | VerdictKind::Registry => {}
    }
}

/// What to do about a zone, in the runbook's words; what was seen of it stands with the zones. `None`: nothing more than is said
/// already.
fn words(d: &Diagnosis, zone: &ZoneDiagnosis) -> Option<String> {
    Some(match (finding(zone), zone.broken_at) {
        (_, BrokenAt::Contradiction) => {
            "Look yourself before you page anybody: its box gets 200 from registry (upstream=1), its cluster says otherwise."
                .into()
        }
        (Finding::Healthy, BrokenAt::ClientOrFrontEnd) => ROUTE.into(),
        (Finding::Healthy, BrokenAt::SeTo10443) => {
            "Probably something stops SE from making requests to registry over the private network on port 10443.".into()
        }
        (Finding::Healthy, BrokenAt::MagicBox) if d.verdict.kind == VerdictKind::ServiceEndpoint => return None,
        (Finding::Healthy, BrokenAt::MagicBox) => {
            "The box gets 200 from registry and rejects connections (SE=0): that points at Service Endpoint.".into()
        }
        (Finding::Healthy, _) => "Registry answers 200 in its cluster: what its Magic Box says decides.".into(),
        (Finding::IngressDown, _) if zone.boxes.iter().any(|b| b.upstream_status == 0) => {
            "Look twice: no private ingress pod runs, and yet something answers its box (upstream=0). Bring one up, or page \
             Registry."
                .into()
        }
        (Finding::IngressDown, _) => "Work out why no private ingress pod runs and bring one up, or page Registry.".into(),
        (Finding::ZoneUnhealthy, _) => "Registry's PagerDuty should have pages about microservices down or not working in \
                                        this zone: deal with those."
            .into(),
        (Finding::KonicleFault, _) => {
            "Look for Registry's pages about konicle in this zone, or at konicle's pods in the default namespace. If you can't fix \
             it, page Registry."
                .into()
        }
        (Finding::Disabled, _) => "Skip it.".into(),
        (Finding::Unknown, _) => "Check it by hand:".into(),
    })
}

/// What is left where all behind a front end works; which front end follows.
const ROUTE: &str = "What remains is the route from registry-healthcheck to the front end";

/// ` 166.9.12.114/23, 166.9.14.114/23.`
fn front_ends(zones: &[&ZoneDiagnosis]) -> String {
    let all = zones.iter().flat_map(|zone| zone.boxes.iter().take(4)).map(|b| clean(&b.frontend, 50));
    format!(" {}.", all.collect::<Vec<_>>().join(", "))
}

/// The pages and pods that the steps of zones are about: each page once.
fn found(zones: &[&ZoneDiagnosis]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for zone in zones {
        let Some(checks) = &zone.checks else { continue };
        for page in checks.registry_pages.iter().take(NAMED) {
            let line = format!("   - open: {} {}", clean(&page.title, 160), link(&page.html_url));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    for zone in zones {
        let Some(checks) = &zone.checks else { continue };
        let pods = match checks.finding {
            Finding::IngressDown => &checks.ingress,
            Finding::KonicleFault => &checks.konicle_pods,
            _ => continue,
        };
        let shown: Vec<String> = pods.iter().take(4).map(pod_line).collect();
        if !shown.is_empty() {
            let whose = if zones.len() > 1 { format!(" ({})", name(zone)) } else { String::new() };
            lines.push(format!("   - pod {}{whose}", shown.join("; ")));
        }
    }
    lines
}

fn pod_line(pod: &PodLine) -> String {
    format!("{}: {}, {} ready", clean(&pod.name, 80), clean(&pod.status, 40), clean(&pod.ready, 12))
}

/// Whether a person must look where the service could not, or found what can't be.
fn is_open(zone: &ZoneDiagnosis) -> bool {
    finding(zone) == Finding::Unknown || zone.broken_at == BrokenAt::Contradiction
}

/// Commands for what a person must still find out.
fn to_find_out(zone: &ZoneDiagnosis, first: bool) -> Vec<String> {
    let kubectl = kubectl(zone);
    let finding = finding(zone);
    let mut lines = Vec::new();
    if finding == Finding::Disabled {
        // Only where there is no other zone to look at: to see that it is so.
        lines.extend(first.then(|| format!("{kubectl} get cm konicle -o yaml")));
        return lines;
    }
    if finding == Finding::Unknown {
        lines.push(format!("{kubectl} get cm konicle -o yaml"));
    }
    if is_open(zone) || finding == Finding::IngressDown {
        lines.push(format!("{kubectl} -n kube-system get po"));
    }
    if is_open(zone) {
        lines.push(curl(zone));
    }
    if finding == Finding::KonicleFault {
        lines.push(format!("{kubectl} get po -n default | grep konicle"));
    }
    lines
}

/// Commands that show what the service has asked already; of the first zone all that the runbook has.
fn to_see_again(zone: &ZoneDiagnosis, first: bool) -> Vec<String> {
    let kubectl = kubectl(zone);
    match finding(zone) {
        Finding::Disabled => Vec::new(),
        _ if is_open(zone) => Vec::new(),
        Finding::IngressDown => first.then(|| format!("{kubectl} get cm konicle -o yaml")).into_iter().collect(),
        // That it does not answer 200 is known.
        Finding::KonicleFault if !first => Vec::new(),
        _ => {
            let mut lines = Vec::new();
            if first {
                lines.push(format!("{kubectl} get cm konicle -o yaml"));
                lines.push(format!("{kubectl} -n kube-system get po"));
            }
            lines.push(curl(zone));
            lines
        }
    }
}

/// Every command that the runbook has for a zone, in its order, each ready to be typed.
pub fn commands(zone: &ZoneDiagnosis) -> Vec<String> {
    let kubectl = kubectl(zone);
    let mut lines = vec![format!("{kubectl} get cm konicle -o yaml")];
    // One that was turned off is looked at no further.
    if finding(zone) != Finding::Disabled {
        lines.extend([format!("{kubectl} -n kube-system get po"), curl(zone)]);
    }
    if finding(zone) == Finding::KonicleFault {
        lines.push(format!("{kubectl} get po -n default | grep konicle"));
    }
    lines.iter().map(|line| line.trim().to_owned()).collect()
}

fn kubectl(zone: &ZoneDiagnosis) -> String {
    format!("   kubectl --context {}", context(zone))
}

fn curl(zone: &ZoneDiagnosis) -> String {
    let (kubectl, pod) = (kubectl(zone), pod(zone.checks.as_ref()));
    format!("{kubectl} -n kube-system exec -it {pod} -c nginx-ingress -- curl -D- http://localhost:10443/status")
}

/// The kubeconfig context; where there is none, a word that no shell takes for one.
fn context(zone: &ZoneDiagnosis) -> String {
    match zone.checks.as_ref().and_then(|c| c.context.as_deref()) {
        Some(context) => shell(context),
        None => format!("<context of {}>", name(zone)),
    }
}

/// The pod to ask: the one that was asked, else a Running one, else any; the runbook's word where none is known.
fn pod(checks: Option<&Checks>) -> String {
    let known = checks.and_then(|c| {
        let running = c.ingress.iter().find(|p| p.status == "Running").or(c.ingress.first());
        c.status.as_ref().map(|s| s.pod.as_str()).filter(|p| !p.is_empty()).or(running.map(|p| p.name.as_str()))
    });
    known.map_or_else(|| "<ingress_pod_name>".into(), shell)
}
