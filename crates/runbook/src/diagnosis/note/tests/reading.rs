//! The notes themselves, to be read: at least one a verdict and one a finding.

use jiff::Timestamp;

use super::super::fixtures::{self, Status, VERDICTS};
use super::super::{Context, PageNews, write};
use crate::alert::Region;
use crate::diagnosis::Finding::{self, *};
use crate::diagnosis::{Diagnosis, Rule};
use crate::links::Links;

fn case(verdict: usize, boxes: usize, findings: [Finding; 3]) -> Diagnosis {
    let (kind, rule, variants) = VERDICTS[verdict];
    fixtures::diagnosis(kind, rule, &variants[boxes], findings.map(Some))
}

/// At least one note a verdict and one a finding, each by its name.
pub(super) fn notes() -> Vec<(&'static str, String)> {
    let links = Links::default();
    let mut all = Vec::new();
    let mut show = |name: &'static str, d: &Diagnosis, change: &dyn Fn(&mut Context<'_>)| {
        let mut context = fixtures::context(&links);
        context.page = fixtures::usual_news(d.verdict.kind);
        change(&mut context);
        all.push((name, write(d, &context)));
    };
    show("inconclusive_no_reading_unhealthy", &case(0, 0, [ZoneUnhealthy, Unknown, Healthy]), &|_| {});
    show("inconclusive_incomplete", &case(2, 0, [Healthy, Healthy, IngressDown]), &|_| {});
    show("inconclusive_after_a_complete_reading", &case(2, 1, [Healthy; 3]), &|_| {});
    show("mixed", &case(1, 0, [Healthy, KonicleFault, Disabled]), &|c| c.region_listed = false);
    show("transient_recovered", &case(3, 0, [Healthy; 3]), &|c| {
        c.looks_again_at = Some(fixtures::at("2026-08-14T03:25:06Z"));
    });
    show("transient_no_rerun", &case(6, 1, [Healthy, Unknown, IngressDown]), &|_| {});
    show("registry_client_suspected", &case(4, 0, [Healthy, Unknown, Healthy]), &|_| {});
    show("registry_port_10443", &case(4, 1, [Disabled, Healthy, Healthy]), &|_| {});
    show("registry_ingress_down", &case(5, 0, [IngressDown; 3]), &|_| {});
    show("registry_konicle", &case(5, 1, [KonicleFault, KonicleFault, ZoneUnhealthy]), &|_| {});
    show("registry_all_disabled", &case(5, 0, [Disabled; 3]), &|_| {});
    show("service_endpoint_suggested", &case(7, 0, [Healthy; 3]), &|_| {});
    let reasons = ["the clusters contradict Jenkins in every zone that Jenkins says is answered".to_owned()];
    show("service_endpoint_held_contradiction", &case(7, 0, [KonicleFault, IngressDown, Disabled]), &|c| {
        // Leaked: a snapshot's context may borrow for as long as it likes.
        c.page = PageNews::Held { incident_id: "Q1ALERT", reasons: Box::leak(Box::new(reasons.clone())) };
    });
    show("service_endpoint_paged", &case(7, 1, [Unknown, Healthy, Healthy]), &|c| {
        let html_url = "https://ibm.pagerduty.com/incidents/Q9PAGE";
        c.page = PageNews::Paged { html_url, joined: false, problem: None, asked_by: None };
    });
    show("related_pages_open", &case(7, 0, [Healthy; 3]), &|c| {
        c.related = Ok(Box::leak(fixtures::related().into_boxed_slice()));
    });
    show("resolved", &case(5, 0, [IngressDown; 3]), &|c| {
        c.resolved_at = Some(fixtures::at("2026-08-14T03:14:35Z"));
    });
    show("clusters_not_asked", &without_clusters(case(5, 0, [Healthy; 3])), &|c| {
        (c.related, c.related_at) = (Err("PagerDuty: 503 Service Unavailable"), None::<Timestamp>);
    });
    let others: &[Region] = Box::leak(Box::new(["prod-eu-de", "prod-us-east"].map(fixtures::region)));
    show("other_regions_at_once", &case(7, 0, [Healthy; 3]), &|c| (c.other_regions, c.at_once) = (others, others));
    show("client_over", &super::client::over(), &|_| {});
    all
}

#[test]
fn notes_to_read() {
    for (name, note) in notes() {
        insta::assert_snapshot!(name, note);
    }
}

fn without_clusters(mut d: Diagnosis) -> Diagnosis {
    for zone in &mut d.zones {
        zone.checks = None;
        zone.broken_at = crate::diagnosis::BrokenAt::Unknown;
    }
    d
}

#[test]
fn a_very_long_region_still_fits_and_the_verdict_stays() {
    let links = Links::default();
    for (kind, rule, variants) in VERDICTS {
        let mut d = fixtures::uniform(*kind, *rule, &variants[0], Healthy);
        d.region = fixtures::region(&"a-very-long-region-".repeat(20));
        for resolved in [None, Some(Timestamp::MAX)] {
            let note = write(&d, &Context { resolved_at: resolved, ..fixtures::context(&links) });
            let first = note.lines().next().unwrap_or_default();
            assert!(first.chars().count() <= 120, "{first}");
            assert!(first.contains(" in a-very-long-region-a-very-l"), "{first}");
        }
    }
}

#[test]
fn a_zone_with_a_box_that_could_not_be_read_is_said_to_be_missing_not_its_reading_to_be_old() {
    let links = Links::default();
    // Each zone shows a box, and one of the second zone's could not be read.
    let mut d = case(2, 1, [Healthy; 3]);
    d.zones[1].unread = true;
    let note = write(&d, &fixtures::context(&links));
    assert!(note.starts_with("INCONCLUSIVE in prod-us-south: 1 of 3 zones missing\n"), "{note}");
    assert!(note.contains("\nDo now: run the Jenkins job yourself with CLUSTER=registry-prod-us-south-az2."), "{note}");
    assert!(note.contains("\n- Magic Boxes of registry-prod-us-south-az2: one could not be read.\n"), "{note}");
    assert!(!note.contains("earlier reading") && !note.contains("reading failed"), "{note}");
    // Where it is a zone that nobody expects, nothing is missing.
    d.zones[1].expected = false;
    let note = write(&d, &fixtures::context(&links));
    assert!(note.starts_with("INCONCLUSIVE in prod-us-south: the last Jenkins reading failed\n"), "{note}");
}

#[test]
fn the_order_of_the_boxes_is_the_runbooks() {
    let statuses: [Option<Status>; 3] = [Some((0, 0)), Some((1, -1)), Some((0, 1))];
    let (kind, rule, _) = VERDICTS[1];
    assert_eq!(rule, Rule::MixedStatus);
    let d = fixtures::uniform(kind, rule, &statuses, Healthy);
    let links = Links::default();
    let note = write(&d, &fixtures::context(&links));
    let at = |words: &str| note.find(words).unwrap_or_else(|| panic!("{words} in {note}"));
    assert!(at("SE=0 upstream=1") < at("SE=1 upstream=-1"));
    assert!(at("SE=1 upstream=-1") < at("SE=0 upstream=0"));
    assert!(at("az3 (0:1). ") < at("az2 (1:-1), registry-prod-us-south-az1 (0:0). "));
}
