//! What to do next, in the runbook's order, with commands to copy.

use super::alike::{finding, in_focus, is_faulty, missing_zones, said};
use super::limits::Section;
use super::text::{capital, clean, link, shell};
use super::{Context, PageNews, SERVICE_ENDPOINT, client};
use crate::diagnosis::{BrokenAt, Checks, Diagnosis, Finding, Rule, VerdictKind, ZoneDiagnosis};

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
    if all.is_empty() { "unread".into() } else { all.join(" ") }
}

pub(super) fn name(zone: &ZoneDiagnosis) -> String {
    clean(zone.cluster.as_str(), 80)
}

/// What to do about a zone, in one sentence for a lock screen.
pub(super) fn now(zone: &ZoneDiagnosis) -> String {
    let zone_name = name(zone);
    match (finding(zone), zone.broken_at) {
        (_, BrokenAt::Contradiction) => {
            format!("look at {zone_name} yourself before you page anybody: its cluster contradicts Jenkins.")
        }
        (Finding::Healthy, BrokenAt::ClientOrFrontEnd) => {
            format!("{zone_name} is whole behind its front end: check the way there from the healthcheck cluster.")
        }
        (Finding::Healthy, BrokenAt::SeTo10443) => {
            format!(
                "find what stops SE from reaching registry on port 10443 in {zone_name}. Registry itself answers 200."
            )
        }
        (Finding::Healthy, BrokenAt::MagicBox) => {
            format!("page {SERVICE_ENDPOINT} about {zone_name}. Registry itself answers 200.")
        }
        (Finding::Healthy, _) => format!("{zone_name} answers 200 in its cluster; its Magic Boxes could not be read."),
        (Finding::IngressDown, _) => format!("bring up the private ingress of {zone_name}, or page Registry."),
        (Finding::ZoneUnhealthy, _) => {
            format!("{zone_name} is unhealthy (404). Deal with Registry's pages about its microservices.")
        }
        (Finding::KonicleFault, _) => {
            format!(
                "look for Registry's pages about konicle in {zone_name}, or at its pods. Can't fix it: page Registry."
            )
        }
        (Finding::Disabled, _) => format!("{zone_name} was deliberately disabled by the registry squad: next zone."),
        (Finding::Unknown, _) => match &zone.checks {
            Some(_) => format!("check {zone_name} by hand (commands below), its cluster could not be asked."),
            None => format!("check {zone_name} by hand (commands below), its cluster was not asked."),
        },
    }
}

/// What to do about a zone, in the runbook's words.
fn words(zone: &ZoneDiagnosis) -> String {
    let front_ends: Vec<String> = zone.boxes.iter().take(4).map(|b| clean(&b.frontend, 50)).collect();
    let front_ends = front_ends.join(", ");
    let said = said(zone.checks.as_ref());
    match (finding(zone), zone.broken_at) {
        (_, BrokenAt::Contradiction) => format!(
            "Its box gets 200 from registry (upstream=1), but: {said}. Both can't be true. Look yourself before you page anybody."
        ),
        (Finding::Healthy, BrokenAt::ClientOrFrontEnd) => format!(
            "Registry answers 200 and the box accepts connections. Left is the way from registry-healthcheck to the front end {front_ends}."
        ),
        (Finding::Healthy, BrokenAt::SeTo10443) => {
            "Registry answers 200 in its cluster, but not to the box. Probably something stops SE from making requests \
             to registry over the private network on port 10443."
                .into()
        }
        (Finding::Healthy, BrokenAt::MagicBox) => {
            "The box rejects connections (SE=0), registry answers it 200: that points at Service Endpoint (ID below)."
                .into()
        }
        (Finding::Healthy, _) => "Registry answers 200 in its cluster. Its Magic Boxes are not known.".into(),
        (Finding::IngressDown, _) => {
            let odd = zone.boxes.iter().any(|b| b.upstream_status == 0);
            let odd = if odd { " Yet something answers its box (upstream=0): look twice." } else { "" };
            format!("{}. Work out why and make them be up, or page Registry.{odd}", capital(&said))
        }
        (Finding::ZoneUnhealthy, _) => {
            "404: the zone is unhealthy and was automatically disabled. Registry's PagerDuty should have pages about \
             microservices down or not working in this zone: deal with those."
                .into()
        }
        (Finding::KonicleFault, _) => format!(
            "{}. Look for Registry's pages about konicle in this zone, or at konicle's pods in the default namespace. \
             If you can't fix it, page Registry.",
            capital(&said)
        ),
        (Finding::Disabled, _) => format!("{}. Skip it.", capital(&said)),
        // Why it could not be asked stands with what could not be found out.
        (Finding::Unknown, _) if zone.checks.is_some() => "Its cluster could not be asked. Check it by hand:".into(),
        (Finding::Unknown, _) => "Its cluster was not asked. Check it by hand:".into(),
    }
}

/// What to do next.
pub(super) fn next(d: &Diagnosis, c: &Context<'_>) -> Section {
    let mut section = Section::new("NEXT", 12, 7);
    let mut steps = Steps { section: &mut section, number: 0 };
    related(d, c, &mut steps);
    by_verdict(d, c, &mut steps);
    let zones = in_focus(d);
    let (disabled, open): (Vec<_>, Vec<_>) = zones.into_iter().partition(|z| finding(z) == Finding::Disabled);
    let mut before = String::new();
    for (n, zone) in open.iter().chain(&disabled).enumerate() {
        let words = words(zone);
        let shown = if words == before { "The same." } else { &words };
        steps.step(format!("{} ({}). {shown}", name(zone), statuses(zone)));
        for line in details(zone, n == 0) {
            steps.section.line(line);
        }
        before = words;
    }
    steps.step(match c.resolved_at {
        None => "Nothing to watch: the alert resolves by itself when the end-to-end test gets 200 again.".into(),
        Some(_) => "The alert has closed. What is above is for finding the cause, for the RCA.".into(),
    });
    section
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
        Ok(_) => steps.step("Deal with the pages named at the top, and see if this alert resolves.".into()),
        Err(_) => steps.step(format!(
            "Look in PagerDuty for \"All Public endpoints down in {}\" and \"DOWN | Origin - reg-glob-…\": whether one is open \
             could not be found out. If one is, deal with it first.",
            clean(d.region.as_str(), 80)
        )),
    }
}

/// The runbook's step for the verdict itself.
fn by_verdict(d: &Diagnosis, c: &Context<'_>, steps: &mut Steps<'_>) {
    let zone =
        missing_zones(d).next().or(d.zones.first()).map_or_else(|| "a registry cluster of the region".into(), name);
    let run_job = format!("the Jenkins job ServiceEndpointStatus with CLUSTER={zone}");
    let job = c.job_url.map(|url| format!("   {}", link(url)));
    if matches!(target(d), Target::AllDisabled) {
        steps.step("Ask the registry squad why every zone is disabled (Slack registry-va-users, below).".into());
    }
    if let Some(step) = client::next(d).filter(|_| c.resolved_at.is_none() || d.client_suspected) {
        steps.step(step);
        if d.client_suspected {
            return;
        }
    } else if d.client_suspected {
        steps.step(
            "Look at the healthcheck cluster (registry-healthcheck, eu-central) and its way to the front ends. \
             Everything that was looked at behind them is whole."
                .into(),
        );
        return;
    }
    match d.verdict.kind {
        VerdictKind::ServiceEndpoint if contradicted(d) => {
            steps
                .step(format!("Look at the zones below. Page {SERVICE_ENDPOINT} only if registry really answers 200."));
        }
        VerdictKind::ServiceEndpoint => {
            if !matches!(c.page, PageNews::Paged { .. } | PageNews::Paging { .. }) && c.resolved_at.is_none() {
                steps.step(format!("Page {SERVICE_ENDPOINT} (below). Give them the Magic Box IDs."));
            }
        }
        VerdictKind::Transient if d.verdict.rule == Rule::AllSeRejectingUpstreamUp => {
            steps.step(format!("Run {run_job} again. If it still shows this, page {SERVICE_ENDPOINT} (below)."));
            steps.section.lines.extend(job);
        }
        VerdictKind::Transient => {
            steps.step(format!("If the alert stays open, run {run_job} again."));
            steps.section.lines.extend(job);
        }
        VerdictKind::Inconclusive => {
            steps.step(format!("Run {run_job}."));
            steps.section.lines.extend(job);
            for line in [
                "   Its boxes end in :<SE>:<upstream>. In this region:",
                "   - SE is 1 in all: probably registry.",
                "   - SE is 0 in all, upstream 0 or -1 in all: probably registry.",
                "   - SE is 0 in all, upstream 1 in one or more: run it again; if it stays, Service Endpoint.",
                "   - a mix: look at :0:1 first, then :1:x, then the others.",
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
            steps.step(format!(
                "{lead}: reply /rerun on the incident, or run {run_job}. One reading \
                 may be transient."
            ));
            steps.section.lines.extend(job);
        }
        VerdictKind::Registry => {}
    }
}

/// Pods, pages and commands for one zone. The first zone gets every command of the runbook, the others those that
/// their finding calls for.
fn details(zone: &ZoneDiagnosis, first: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let finding = finding(zone);
    let checks = zone.checks.as_ref();
    for page in checks.iter().flat_map(|c| &c.registry_pages).take(5) {
        lines.push(format!("   - open: {} {}", clean(&page.title, 160), link(&page.html_url)));
    }
    let pods = match finding {
        Finding::IngressDown => checks.map(|c| &c.ingress),
        Finding::KonicleFault => checks.map(|c| &c.konicle_pods),
        _ => None,
    };
    for pod in pods.into_iter().flatten().take(4) {
        let (pod, status, ready) = (clean(&pod.name, 80), clean(&pod.status, 40), clean(&pod.ready, 12));
        lines.push(format!("   - pod {pod}: {status}, {ready} ready"));
    }
    let kubectl = format!("   kubectl --context {}", context(zone));
    if finding == Finding::Disabled {
        // Only where there is no other zone to look at: to see that it is so.
        lines.extend(first.then(|| format!("{kubectl} get cm konicle -o yaml")));
        return lines;
    }
    let by_hand = first || finding == Finding::Unknown || zone.broken_at == BrokenAt::Contradiction;
    if by_hand {
        lines.push(format!("{kubectl} get cm konicle -o yaml"));
    }
    if by_hand || finding == Finding::IngressDown {
        lines.push(format!("{kubectl} -n kube-system get po"));
    }
    if by_hand || finding != Finding::IngressDown {
        if finding == Finding::IngressDown {
            lines.push("   Once one is Running:".into());
        }
        lines.push(format!(
            "{kubectl} -n kube-system exec -it {} -c nginx-ingress -- curl -D- http://localhost:10443/status",
            pod(checks)
        ));
        if first {
            lines.push("   curl's answer: 200 is fine, 404 an unhealthy zone, anything else probably konicle.".into());
        }
    }
    if finding == Finding::KonicleFault {
        lines.push(format!("{kubectl} get po -n default | grep konicle"));
    }
    lines
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
