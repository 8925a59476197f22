//! Diagnoses as the runbook's own example would give them: `prod-us-south`, three zones, one Magic Box each.

use jiff::Timestamp;

use super::{Context, PageNews};
use crate::alert::{Region, Zone};
use crate::diagnosis::verdict::diagnose;
use crate::diagnosis::{
    BrokenAt, Checks, Class, Console, Diagnosis, Earlier, Evidence, Finding, Konicle, MagicBox, PodLine, Reading,
    ReadingSummary, RelatedPage, Rule, StatusCheck, Verdict, VerdictKind, ZoneDiagnosis,
};
use crate::links::Links;

/// A verdict, its rule, and the boxes of three zones that lead to it (`None` is a missing zone), some ways each.
pub(super) type Case = (VerdictKind, Rule, &'static [[Option<Status>; 3]]);

/// A box's SE and upstream status.
pub(super) type Status = (u8, i8);

pub(super) const RUN: &str = "0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42";
pub(super) const RUN_URL: &str = "https://se-responder.example.com/runs/0198a5c2-7d1e-7bb0-9c55-3f0d5c1e8a42";
pub(super) const JOB: &str =
    "https://alchemy-containers-jenkins.swg-devops.com/job/Containers-Registry/job/ServiceEndpointStatus/";
pub(super) const ALERT_TITLE: &str = "All SE endpoints down in prod-us-south";
pub(super) const ALERT_URL: &str = "https://ibm.pagerduty.com/incidents/Q1ALERT";

/// Every kind with every rule that leads to it.
pub(super) const VERDICTS: &[Case] = &[
    (VerdictKind::Inconclusive, Rule::NoReading, &[[None; 3]]),
    (
        VerdictKind::Mixed,
        Rule::MixedStatus,
        &[
            [Some((0, 1)), Some((1, 0)), Some((1, 1))],
            [Some((0, 0)), Some((1, -1)), Some((0, -1))],
            [Some((1, 1)), Some((0, 0)), None],
        ],
    ),
    (
        VerdictKind::Inconclusive,
        Rule::IncompleteReading,
        &[
            [Some((0, 1)), Some((0, 0)), None],
            [Some((0, 1)), Some((0, 1)), Some((0, 1))],
            [Some((1, -1)), None, None],
            [Some((1, 1)), Some((1, 1)), None],
        ],
    ),
    (VerdictKind::Transient, Rule::RecoveredOnRerun, &[[Some((1, 1)); 3]]),
    (
        VerdictKind::Registry,
        Rule::AllSeAccepting,
        &[[Some((1, 1)); 3], [Some((1, 0)); 3], [Some((1, -1)), Some((1, 0)), Some((1, 1))]],
    ),
    (
        VerdictKind::Registry,
        Rule::AllSeRejectingUpstreamDown,
        &[[Some((0, -1)); 3], [Some((0, 0)), Some((0, -1)), Some((0, 0))]],
    ),
    (
        VerdictKind::Transient,
        Rule::AllSeRejectingUpstreamUp,
        &[[Some((0, 1)); 3], [Some((0, 1)), Some((0, 0)), Some((0, -1))]],
    ),
    (
        VerdictKind::ServiceEndpoint,
        Rule::AllSeRejectingUpstreamUp,
        &[[Some((0, 1)); 3], [Some((0, -1)), Some((0, 1)), Some((0, 0))]],
    ),
];

pub(super) const FINDINGS: [Finding; 6] = [
    Finding::Disabled,
    Finding::Unknown,
    Finding::IngressDown,
    Finding::Healthy,
    Finding::ZoneUnhealthy,
    Finding::KonicleFault,
];

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(super) fn zone(n: usize) -> Zone {
    Zone::new(format!("registry-prod-us-south-az{}", n + 1))
}

/// One diagnosis: boxes and findings by zone. Focus, `broken_at`, class and `client_suspected` as the contract has
/// them.
pub(super) fn diagnosis(
    kind: VerdictKind,
    rule: Rule,
    boxes: &[Option<Status>; 3],
    findings: [Option<Finding>; 3],
) -> Diagnosis {
    let zones: Vec<ZoneDiagnosis> = (0..3)
        .map(|n| ZoneDiagnosis {
            cluster: zone(n),
            broken_at: broken_at(boxes[n], findings[n]),
            boxes: boxes[n].map(|status| magic_box(n, status)).into_iter().collect(),
            checks: findings[n].map(|finding| checks(n, finding)),
            expected: true,
            unread: false,
        })
        .collect();
    let rank = |status: Option<Status>| match status {
        Some((0, 1)) => (0, -1),
        Some((1, upstream)) => (1, -upstream),
        Some((_, upstream)) => (2, -upstream),
        None => (3, 0),
    };
    let mut order: Vec<usize> = vec![0, 1, 2];
    order.sort_by_key(|n| rank(boxes[*n]));
    // What recovered had rejected before.
    let well = boxes.iter().flatten().all(|b| *b == (1, 1)) && rule != Rule::RecoveredOnRerun;
    let client_suspected = well
        && boxes.iter().all(Option::is_some)
        && findings.iter().all(|f| matches!(f, None | Some(Finding::Healthy | Finding::Unknown)));
    let faulty = findings
        .iter()
        .any(|f| matches!(f, Some(Finding::IngressDown | Finding::ZoneUnhealthy | Finding::KonicleFault)));
    let class = if well && !faulty { Class::Pcie } else { Class::ProbablyCie };
    let count = boxes.iter().flatten().count();
    let failed = matches!(rule, Rule::NoReading) || (rule == Rule::IncompleteReading && count == 3);
    let mut readings = vec![reading(4211, "2026-08-14T03:13:40Z", count)];
    if rule == Rule::NoReading {
        readings[0].warnings = vec!["build 4211 ended FAILURE and printed no box".into()];
    }
    if rule == Rule::RecoveredOnRerun || (kind, rule) == (VerdictKind::ServiceEndpoint, Rule::AllSeRejectingUpstreamUp)
    {
        readings.push(reading(4212, "2026-08-14T03:15:05Z", count));
    } else if failed && count > 0 {
        readings.push(reading(4212, "2026-08-14T03:15:05Z", 2));
    }
    Diagnosis {
        region: region("prod-us-south"),
        verdict: verdict(kind, rule, boxes, &readings),
        class,
        client_suspected,
        client: None,
        client_times: None,
        focus: order.into_iter().map(zone).collect(),
        zones,
        readings,
        other_regions: vec![],
        since_last_good: None,
    }
}

/// A diagnosis whose zones all have the same finding.
pub(super) fn uniform(kind: VerdictKind, rule: Rule, boxes: &[Option<Status>; 3], finding: Finding) -> Diagnosis {
    diagnosis(kind, rule, boxes, [Some(finding); 3])
}

pub(super) fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

fn reading(build: u32, ended: &str, boxes: usize) -> ReadingSummary {
    ReadingSummary { build_url: Some(format!("{JOB}{build}/")), at: at(ended), boxes, warnings: vec![] }
}

/// The words that the verdict has in production, of readings that show these boxes: the last of `readings` of them has no third
/// zone where that is why it decides nothing.
fn verdict(kind: VerdictKind, rule: Rule, boxes: &[Option<Status>; 3], summaries: &[ReadingSummary]) -> Verdict {
    let region = region("prod-us-south");
    let expected = [0, 1, 2].map(zone);
    let reading = |n: usize, summary: &ReadingSummary| {
        let is_last = n + 1 == summaries.len();
        let mut boxes: Vec<MagicBox> =
            (0..3).filter_map(|n| boxes[n].map(|status| magic_box(n, status))).take(summary.boxes).collect();
        if rule == Rule::RecoveredOnRerun && !is_last {
            boxes.iter_mut().for_each(|b| b.se_status = 0);
        }
        let console = Console { boxes, ..Console::default() };
        Reading {
            build_url: summary.build_url.clone(),
            at: summary.at,
            console,
            warnings: summary.warnings.clone(),
            set_aside: vec![],
        }
    };
    let readings: Vec<Reading> = summaries.iter().enumerate().map(|(n, summary)| reading(n, summary)).collect();
    let earlier = Earlier::default();
    let (readings, checks, listed) = (&readings[..], &[][..], &[][..]);
    let evidence = Evidence { region: &region, expected: &expected, readings, checks, earlier: &earlier, listed };
    let verdict = diagnose(&evidence).verdict;
    assert_eq!((verdict.kind, verdict.rule), (kind, rule), "{boxes:?}");
    verdict
}

fn magic_box(n: usize, (se_status, upstream_status): Status) -> MagicBox {
    let (site, id) = [("dal10", "d4533b5e"), ("dal12", "0c9be1f7"), ("dal13", "77aa02d3")][n];
    let name = format!("registry-prod-us-south-az{}-1", n + 1);
    MagicBox {
        magic_box_id: format!("us-south-{site}-container-registry-{name}-vm-{id}"),
        name,
        node: if n == 2 { "NotReady".into() } else { "Ready".into() },
        backend_ip: format!("10.94.143.{}", 238 + n),
        frontend: format!("166.9.{}.114/23", 12 + 2 * n),
        se_status,
        upstream_status,
    }
}

fn pod(name: &str, status: &str, ready: &str) -> PodLine {
    PodLine { name: name.into(), status: status.into(), ready: ready.into(), restarts: 3 }
}

fn checks(n: usize, finding: Finding) -> Checks {
    let names = [
        "private-cr386b5d5d469f49eeb991164e1b848a4a-alb1-74b7f95d595lqsr",
        "private-cr386b5d5d469f49eeb991164e1b848a4a-alb1-74b7f95d597xtp8",
    ];
    let running = if finding == Finding::IngressDown { ("CrashLoopBackOff", "3/4") } else { ("Running", "4/4") };
    let known = finding != Finding::Unknown;
    let asked = !matches!(finding, Finding::Disabled | Finding::Unknown | Finding::IngressDown);
    let status = match finding {
        Finding::Healthy => (Some(200), None),
        Finding::ZoneUnhealthy => (Some(404), None),
        _ if n == 1 => (None, Some("connection refused".to_owned())),
        _ => (Some(503), None),
    };
    let ready = if finding == Finding::Disabled { "false" } else { "true" };
    Checks {
        finding,
        konicle: known.then(|| Konicle { ready: Some(ready.into()), private_override: Some("true".into()) }),
        ingress: if known { names.map(|name| pod(name, running.0, running.1)).into() } else { vec![] },
        status: asked.then(|| StatusCheck { http_status: status.0, pod: names[0].into(), error: status.1 }),
        konicle_pods: if finding == Finding::KonicleFault {
            vec![pod("konicle-6c5d8f7b9d-x2x7k", "CrashLoopBackOff", "0/1")]
        } else {
            vec![]
        },
        registry_pages: vec![],
        warnings: vec![],
        error: (!known).then(|| "listing pods in kube-system: 403 Forbidden, the right to list pods is missing".into()),
        at: at("2026-08-14T03:12:55Z"),
        context: Some(format!("registry-prod-us-south-az{}/c1234abcd", n + 1)),
    }
}

/// `zones[].broken_at`, lifecycle.md#where-the-path-is-broken.
fn broken_at(status: Option<Status>, finding: Option<Finding>) -> BrokenAt {
    match (status, finding.unwrap_or(Finding::Unknown)) {
        (_, Finding::Disabled) => BrokenAt::DisabledByRegistry,
        (Some((1, 1)), Finding::Healthy) => BrokenAt::ClientOrFrontEnd,
        (Some((_, 1)), Finding::Healthy) => BrokenAt::MagicBox,
        (Some(_), Finding::Healthy) => BrokenAt::SeTo10443,
        (Some((_, -1)), Finding::IngressDown) => BrokenAt::PrivateIngress,
        (Some((_, 1)), Finding::IngressDown | Finding::ZoneUnhealthy | Finding::KonicleFault) => {
            BrokenAt::Contradiction
        }
        (Some(_), Finding::ZoneUnhealthy | Finding::KonicleFault) => BrokenAt::Zone,
        _ => BrokenAt::Unknown,
    }
}

pub(super) fn related() -> Vec<RelatedPage> {
    let page = |id: &str, title: &str| RelatedPage {
        id: id.into(),
        title: title.into(),
        html_url: format!("https://ibm.pagerduty.com/incidents/{id}"),
    };
    vec![
        page("Q2PUBLIC", "All Public endpoints down in prod-us-south"),
        page(
            "Q3ORIGIN",
            "DOWN | Origin - reg-glob-us-south-endpoint-01 | Pool - reg-glob | Response code mismatch error",
        ),
    ]
}

pub(super) fn context(links: &Links) -> Context<'_> {
    Context {
        run_id: RUN,
        run_url: RUN_URL,
        job_url: Some(JOB),
        links,
        region_listed: true,
        alert_opened_at: Some(at("2026-08-14T03:12:05Z")),
        resolved_at: None,
        related: Ok(&[]),
        only_named: 0,
        related_at: Some(at("2026-08-14T03:15:06Z")),
        looks_again_at: None,
        other_regions: &[],
        at_once: &[],
        suppressed_by: &[],
        suppressed_for: None,
        history: &[],
        flaps_last_hour: 0,
        page: PageNews::NotWanted,
        warnings: &[],
        now: at("2026-08-14T03:15:07Z"),
    }
}

/// The page's news that the verdict asks for when nothing is held.
pub(super) fn usual_news(kind: VerdictKind) -> PageNews<'static> {
    if kind == VerdictKind::ServiceEndpoint {
        PageNews::Suggested { incident_id: "Q1ALERT", reasons: &[] }
    } else {
        PageNews::NotWanted
    }
}
