//! What holds an automatic page (note.md#what-holds-an-automatic-page), line by line, each alone and at its boundary;
//! and mode by verdict.

mod reasons;

use super::*;
use crate::alert::Zone;
use crate::diagnosis::{BrokenAt, Checks, Class, MagicBox, ReadingSummary, Rule, Verdict};

const NOW: i64 = 1_000_000;
const MINUTES: u64 = 60;

fn ago(seconds: u64) -> Timestamp {
    Timestamp::from_second(NOW - i64::try_from(seconds).unwrap()).unwrap()
}

fn checks(finding: Finding, seconds_ago: u64) -> Checks {
    Checks {
        finding,
        konicle: None,
        ingress: Vec::new(),
        status: None,
        konicle_pods: Vec::new(),
        registry_pages: Vec::new(),
        warnings: Vec::new(),
        error: None,
        at: ago(seconds_ago),
        context: None,
    }
}

/// A zone whose boxes have these upstream statuses.
fn zone(n: u32, upstream: &[i8], finding: Option<Finding>) -> ZoneDiagnosis {
    let cluster = Zone::new(format!("registry-prod-us-south-az{n}"));
    let magic_box = |(index, upstream): (usize, &i8)| MagicBox {
        name: format!("{cluster}-{index}"),
        magic_box_id: "id".into(),
        node: "Ready".into(),
        backend_ip: "10.0.0.1".into(),
        frontend: "166.9.0.1/23".into(),
        se_status: 0,
        upstream_status: *upstream,
    };
    ZoneDiagnosis {
        broken_at: BrokenAt::Unknown,
        boxes: upstream.iter().enumerate().map(magic_box).collect(),
        checks: finding.map(|finding| checks(finding, 60)),
        expected: true,
        unread: false,
        cluster,
    }
}

fn diagnosis(kind: VerdictKind, zones: Vec<ZoneDiagnosis>) -> Diagnosis {
    let reading =
        |seconds| ReadingSummary { build_url: None, at: ago(seconds), boxes: zones.len(), warnings: Vec::new() };
    Diagnosis {
        region: "prod-us-south".parse().unwrap(),
        verdict: Verdict { kind, rule: Rule::AllSeRejectingUpstreamUp, summary: String::new() },
        class: Class::ProbablyCie,
        client_suspected: false,
        client: None,
        client_times: None,
        focus: Vec::new(),
        readings: vec![reading(3600), reading(60)],
        zones,
        other_regions: Vec::new(),
        since_last_good: None,
    }
}

/// An SE problem that nothing speaks against.
fn clear() -> Diagnosis {
    let healthy = Some(Finding::Healthy);
    diagnosis(VerdictKind::ServiceEndpoint, vec![zone(1, &[1], healthy), zone(2, &[0, 1], healthy)])
}

fn known(diagnosis: &Diagnosis) -> Known<'_> {
    Known {
        diagnosis,
        mode: EscalationMode::Auto,
        drill: false,
        has_incident: true,
        title: Some(" [FIRING:1] All SE endpoints down in prod-us-south"),
        said_resolved: false,
        foreign_run: false,
        unreadable: false,
        held_by: None,
        related: Ok(&[]),
        related_at: Some(ago(60)),
        region_listed: true,
        pages_this_hour: 0,
        may_join: false,
        max_per_hour: 6,
        evidence_max_age: Duration::from_secs(10 * MINUTES),
        alert_triggered_at: Some(ago(5 * MINUTES)),
        alert_max_age: Duration::from_secs(360 * MINUTES),
        now: ago(0),
    }
}

/// The one reason there is, which holds in `auto` and is said in `suggest`.
#[track_caller]
fn held(known: &Known<'_>, words: &str) {
    let Decision::Hold(reasons) = decide(known) else { panic!("not held: {:?}", decide(known)) };
    assert!(reasons.len() == 1 && reasons[0].contains(words), "{words}: {reasons:?}");
    let suggest = Known { mode: EscalationMode::Suggest, ..known.clone() };
    assert_eq!(decide(&suggest), Decision::Suggest(reasons));
}

#[track_caller]
fn paged(known: &Known<'_>) {
    assert_eq!(decide(known), Decision::Page);
}

#[test]
fn a_title_that_is_not_exactly_an_alerts_of_the_region() {
    let diagnosis = clear();
    let of = |title| Known { title, ..known(&diagnosis) };
    for title in
        [None, Some("All SE endpoints down in prod-us-south"), Some("[a] [b]All SE endpoints down in prod-us-south ")]
    {
        paged(&of(title));
    }
    for title in [
        "All SE endpoints down in prod-us-south.",
        "All SE endpoints down in prod-us-south (critical)",
        "all SE endpoints down in prod-us-south",
        "All SE endpoints down in PROD-us-south",
        // The alert of another region, and what people make of titles.
        "All SE endpoints down in prod-eu-de",
        "SE incident 42",
        "",
    ] {
        held(
            &of(Some(title)),
            &format!("the alert's title is not exactly \"All SE endpoints down in prod-us-south\", it is {title:?}"),
        );
    }
    let long = other_title(&"x\n".repeat(500), &diagnosis.region).unwrap();
    assert!(long.len() < 350 && !long.contains('\n'), "{long}");
    let unseen = other_title("All SE endpoints down in prod-us-south\u{200b}", &diagnosis.region).unwrap();
    assert!(
        unseen
            .ends_with("it is \"All SE endpoints down in prod-us-south\", and has characters in it that are not shown")
    );
}

/// lifecycle.md#the-page: `ESCALATION_MODE` decides, and only `service_endpoint` pages.
#[test]
fn mode_by_verdict() {
    for kind in [
        VerdictKind::Registry,
        VerdictKind::ServiceEndpoint,
        VerdictKind::Transient,
        VerdictKind::Mixed,
        VerdictKind::Inconclusive,
    ] {
        let diagnosis = Diagnosis { verdict: Verdict { kind, ..clear().verdict }, ..clear() };
        for (mode, wanted) in [
            (EscalationMode::Off, Decision::Off),
            (EscalationMode::Suggest, Decision::Suggest(Vec::new())),
            (EscalationMode::Auto, Decision::Page),
        ] {
            let known = Known { mode, ..known(&diagnosis) };
            let is_wanted = kind == VerdictKind::ServiceEndpoint;
            assert_eq!(decide(&known), if is_wanted { wanted } else { Decision::NotWanted }, "{mode:?} {kind:?}");
            // What holds changes nothing where no page is wanted, nor does a run without an incident page.
            let held = Known { region_listed: false, ..known.clone() };
            assert_eq!(matches!(decide(&held), Decision::Hold(_)), is_wanted && mode == EscalationMode::Auto);
            let drill = Known { drill: true, has_incident: false, ..known.clone() };
            let wanted = diagnosis.verdict.kind == VerdictKind::ServiceEndpoint;
            match decide(&drill) {
                Decision::Hold(why) => assert!(wanted && why.len() == 1 && why[0].contains("drill"), "{why:?}"),
                other => assert!(!wanted && other == Decision::NotWanted, "{other:?}"),
            }
            let no_incident = Known { has_incident: false, ..known };
            assert_eq!(decide(&no_incident), if is_wanted { Decision::Off } else { Decision::NotWanted });
        }
    }
}

#[test]
fn related_pages_open_or_unknown() {
    let diagnosis = clear();
    let titles = ["All Public endpoints down in prod-us-south".to_owned(), "DOWN".to_owned()];
    held(&Known { related: Ok(&titles), ..known(&diagnosis) }, "All Public endpoints down in prod-us-south; DOWN");
    held(&Known { related: Err("PagerDuty is away"), ..known(&diagnosis) }, "PagerDuty is away");
    // What was never asked is no answer.
    let never = Known { related_at: None, ..known(&diagnosis) };
    held(&never, "not known whether a bigger outage explains the alert: PagerDuty was not asked");
    held(&Known { related: Ok(&titles), ..never.clone() }, "All Public endpoints down in prod-us-south; DOWN");
    held(&Known { related: Err("PagerDuty is away"), ..never }, "PagerDuty is away");
}

#[test]
fn a_persons_hold_and_a_resolution_that_cannot_be_confirmed() {
    let diagnosis = clear();
    held(&Known { held_by: Some("Ann"), ..known(&diagnosis) }, "Ann said /hold");
    held(&Known { said_resolved: true, ..known(&diagnosis) }, "resolved");
    held(&Known { foreign_run: true, ..known(&diagnosis) }, "not in this database");
    held(&Known { unreadable: true, ..known(&diagnosis) }, "can't be read");
}

#[test]
fn evidence_is_too_old_once_it_is_older_than_evidence_max_age() {
    let limit = 10 * MINUTES;
    let with = |reading: u64, check: u64| {
        let mut diagnosis = clear();
        diagnosis.readings[1].at = ago(reading);
        diagnosis.zones[1].checks = Some(checks(Finding::Healthy, check));
        diagnosis
    };
    paged(&known(&with(limit, limit)));
    held(&known(&with(limit + 1, limit)), "the Jenkins reading is 10 min 1 s old");
    held(&known(&with(limit, limit + 1)), "a cluster check is 10 min 1 s old");
    // The oldest is named.
    held(&known(&with(limit + 1, limit + 2)), "a cluster check is 10 min 2 s old");
    let fresh = clear();
    paged(&Known { related_at: Some(ago(limit)), ..known(&fresh) });
    held(&Known { related_at: Some(ago(limit + 1)), ..known(&fresh) }, "the look for related pages is 10 min 1 s old");
    // Of several readings the last counts; clusters may not have been asked.
    let mut unasked = with(limit, 0);
    for zone in &mut unasked.zones {
        zone.checks = None;
    }
    paged(&known(&unasked));
    // A clock that was set back makes nothing old.
    let ahead = ago(0) + jiff::SignedDuration::from_secs(50);
    paged(&Known { related_at: Some(ahead), ..known(&fresh) });
}

#[test]
fn a_reading_or_a_check_that_is_too_old_is_to_be_asked_for_again() {
    let limit = Duration::from_secs(10 * MINUTES);
    let mut diagnosis = clear();
    assert!(!is_outdated(&diagnosis, limit, ago(0)));
    diagnosis.readings[1].at = ago(10 * MINUTES);
    assert!(!is_outdated(&diagnosis, limit, ago(0)));
    diagnosis.readings[1].at = ago(10 * MINUTES + 1);
    assert!(is_outdated(&diagnosis, limit, ago(0)));
    diagnosis.readings[1].at = ago(0);
    diagnosis.zones[1].checks = Some(checks(Finding::Healthy, 10 * MINUTES + 1));
    assert!(is_outdated(&diagnosis, limit, ago(0)));
}

#[test]
fn every_zone_disabled() {
    let disabled = Some(Finding::Disabled);
    let of = |zones| diagnosis(VerdictKind::ServiceEndpoint, zones);
    held(&known(&of(vec![zone(1, &[1], disabled), zone(2, &[0], disabled)])), "every zone is disabled");
    // Also where none of them has an upstream of 1.
    held(&known(&of(vec![zone(1, &[0], disabled), zone(2, &[0], disabled)])), "every zone is disabled");
    paged(&known(&of(vec![zone(1, &[1], Some(Finding::Healthy)), zone(2, &[0], disabled)])));
    paged(&known(&of(Vec::new())));
}

#[test]
fn no_zone_with_an_upstream_of_1_is_well_in_its_cluster() {
    let of = |zones| diagnosis(VerdictKind::ServiceEndpoint, zones);
    for (finding, against) in [
        (Some(Finding::Disabled), true),
        (Some(Finding::IngressDown), true),
        (Some(Finding::ZoneUnhealthy), true),
        (Some(Finding::KonicleFault), true),
        (Some(Finding::Healthy), false),
        (Some(Finding::Unknown), false),
        (None, false),
    ] {
        // What the other zone's cluster says doesn't count: its upstream is not 1.
        let one = of(vec![zone(1, &[0, 1], finding), zone(2, &[0, -1], Some(Finding::Healthy))]);
        if against {
            held(&known(&one), "contradict each other");
        } else {
            paged(&known(&one));
        }
        // One that is well suffices.
        paged(&known(&of(vec![zone(1, &[1], finding), zone(2, &[1], Some(Finding::Healthy))])));
        let two = of(vec![zone(1, &[1], finding), zone(2, &[1], Some(Finding::IngressDown))]);
        assert_eq!(matches!(decide(&known(&two)), Decision::Hold(_)), against, "{finding:?}");
    }
    paged(&known(&of(vec![zone(1, &[0], Some(Finding::IngressDown))])));
}

#[test]
fn region_or_zone_not_in_the_regions_file() {
    let diagnosis = clear();
    held(&Known { region_listed: false, ..known(&diagnosis) }, "does not list prod-us-south");
    let mut unlisted = clear();
    unlisted.zones[1].expected = false;
    held(&known(&unlisted), "does not list registry-prod-us-south-az2, which has boxes");
}

#[test]
fn the_hours_pages_are_used_up() {
    let diagnosis = clear();
    paged(&Known { pages_this_hour: 5, ..known(&diagnosis) });
    held(&Known { pages_this_hour: 6, ..known(&diagnosis) }, "6 automatic pages");
    held(&Known { pages_this_hour: 7, ..known(&diagnosis) }, "7 automatic pages");
    held(&Known { max_per_hour: 0, ..known(&diagnosis) }, "ESCALATION_MAX_PER_HOUR");
    // Joining is no opening.
    paged(&Known { pages_this_hour: 6, may_join: true, ..known(&diagnosis) });
}

#[test]
fn the_alert_is_older_than_reconcile_max_age_or_of_unknown_age() {
    let diagnosis = clear();
    let limit = 360 * MINUTES;
    paged(&Known { alert_triggered_at: Some(ago(limit)), ..known(&diagnosis) });
    held(&Known { alert_triggered_at: Some(ago(limit + 1)), ..known(&diagnosis) }, "6 h ago, longer than");
    held(&Known { alert_triggered_at: None, ..known(&diagnosis) }, "not known when");
}

#[test]
fn all_reasons_are_told_at_once() {
    let diagnosis = diagnosis(VerdictKind::ServiceEndpoint, vec![zone(1, &[1], Some(Finding::Disabled))]);
    let all = Known {
        said_resolved: true,
        foreign_run: true,
        held_by: Some("Ann"),
        related: Err("away"),
        related_at: Some(ago(3600)),
        region_listed: false,
        pages_this_hour: 6,
        alert_triggered_at: None,
        ..known(&diagnosis)
    };
    assert_eq!(holds(&all).len(), 9, "{:?}", holds(&all));
}

/// Who only waits for its evidence to be taken again goes by that.
#[test]
fn old_evidence_is_said_to_be_outdated_and_nothing_else_is() {
    let diagnosis = clear();
    let reasons = holds(&Known { evidence_max_age: Duration::ZERO, held_by: Some("Ann"), ..known(&diagnosis) });
    let said: Vec<bool> = reasons.iter().map(|reason| says_outdated(reason)).collect();
    assert_eq!(said, [false, true], "{reasons:?}");
    assert!(!says_outdated(&used_up(6)));
}
