//! What to do next, where little is known; and what came before.

use super::super::fixtures::{self, RUN_URL, VERDICTS};
use super::super::{Context, MAX_NOTE, PastRun, ROOM_FOR_EDITS, commands, start_of, write};
use crate::diagnosis::{BrokenAt, Diagnosis, Finding, PodLine, RelatedPage, StatusCheck};
use crate::links::Links;

fn case(verdict: usize, finding: Finding) -> Diagnosis {
    let (kind, rule, variants) = VERDICTS[verdict];
    fixtures::uniform(kind, rule, &variants[0], finding)
}

fn note(d: &Diagnosis, change: impl Fn(&mut Context<'_>)) -> String {
    let links = Links::default();
    let mut context = fixtures::context(&links);
    change(&mut context);
    write(d, &context)
}

#[test]
fn no_zone_at_all_is_not_every_zone_disabled() {
    for verdict in 0..VERDICTS.len() {
        let mut d = case(verdict, Finding::Disabled);
        assert!(note(&d, |_| {}).contains("Ask the registry squad why every zone is disabled"));
        (d.zones, d.focus) = (vec![], vec![]);
        let text = note(&d, |_| {});
        assert!(!text.contains("disabled"), "{text}");
    }
}

#[test]
fn only_a_transient_that_stays_the_same_is_paged_for() {
    let recovered = note(&case(3, Finding::ZoneUnhealthy), |_| {});
    assert!(recovered.contains("\n1. If the alert stays open, run the Jenkins job "), "{recovered}");
    assert!(!recovered.contains("If it still shows this, page"), "{recovered}");
    let first = note(&case(6, Finding::Healthy), |_| {});
    assert!(first.contains(" again. If it still shows this, page Cloud Service Endpoint (above). https://"), "{first}");
}

#[test]
fn the_pod_to_ask_is_the_one_that_was_asked_else_a_running_one_else_any() {
    let pod = |name: &str, status: &str| PodLine {
        name: name.into(),
        status: status.into(),
        ready: "4/4".into(),
        restarts: 0,
    };
    let asked = |pod: &str| Some(StatusCheck { http_status: Some(200), pod: pod.into(), error: None });
    let both = [pod("private-a", "Pending"), pod("private-b", "Running")];
    for (ingress, status, expected) in [
        (&both[..], asked("private-c"), "private-c"),
        (&both, asked(""), "private-b"),
        (&both, None, "private-b"),
        (&both[..1], None, "private-a"),
        (&[], None, "<ingress_pod_name>"),
    ] {
        let mut d = case(4, Finding::Unknown);
        for zone in &mut d.zones {
            let checks = zone.checks.as_mut().expect("checks");
            (checks.ingress, checks.status) = (ingress.to_vec(), status.clone());
        }
        let text = note(&d, |_| {});
        assert!(text.contains(&format!(" exec -it {expected} -c nginx-ingress ")), "{expected} in {text}");
    }
}

#[test]
fn every_command_of_a_note_is_among_those_of_its_zones() {
    for verdict in 0..VERDICTS.len() {
        for finding in fixtures::FINDINGS {
            let d = case(verdict, finding);
            let all: Vec<String> = d.zones.iter().flat_map(commands).collect();
            let text = note(&d, |_| {});
            for line in text.lines().map(str::trim).filter(|line| line.starts_with("kubectl")) {
                assert!(all.iter().any(|command| command == line), "{line} in {all:?}");
            }
        }
    }
    let of = |finding| commands(&case(5, finding).zones[0]).len();
    assert_eq!((of(Finding::Disabled), of(Finding::Unknown), of(Finding::KonicleFault)), (1, 3, 4));
}

#[test]
fn nobody_begins_with_a_zone_that_is_turned_off_or_whole() {
    let mut d = case(7, Finding::Disabled);
    assert!(start_of(&d).is_none());
    let last = d.zones.iter().position(|zone| zone.cluster == d.focus[2]).expect("a zone");
    d.zones[last].checks.as_mut().expect("checks").finding = Finding::Healthy;
    assert_eq!(start_of(&d).map(|zone| &zone.cluster), Some(&d.focus[2]));
    d.zones[last].broken_at = BrokenAt::ClientOrFrontEnd;
    assert!(start_of(&d).is_none());
}

#[test]
fn an_alert_that_closed_while_it_waited_is_not_said_to_be_open() {
    let waited = |resolved: bool| {
        note(&case(5, Finding::Healthy), |c| {
            c.suppressed_for = Some(std::time::Duration::from_secs(90));
            c.resolved_at = resolved.then(|| fixtures::at("2026-08-14T03:14:35Z"));
        })
    };
    assert!(waited(true).contains("related pages. None is open now.\n"), "{}", waited(true));
    assert!(waited(false).contains("related pages. None is open now, this alert still is: "), "{}", waited(false));
}

#[test]
fn five_earlier_runs_are_named_and_the_others_counted() {
    let run = PastRun {
        took: None,
        at: fixtures::at("2026-08-14T02:40:00Z"),
        verdict: "mixed".into(),
        rule: "mixed-status".into(),
        run_url: RUN_URL.into(),
        same_incident: true,
    };
    for (runs, rest) in [(1, None), (5, None), (6, Some("- and 1 before those")), (9, Some("- and 4 before those"))] {
        let history = vec![run.clone(); runs];
        let links = Links::default();
        let text = write(&case(5, Finding::Healthy), &Context { history: &history, ..fixtures::context(&links) });
        assert_eq!(
            text.matches(" mixed, some Magic Boxes accepted connections, this alert, earlier").count(),
            runs.min(5),
            "{text}"
        );
        assert_eq!(text.lines().find(|l| l.ends_with("before those")), rest, "{text}");
    }
}

#[test]
fn the_first_alert_in_an_hour_has_nothing_before_it() {
    for flaps in [0, 1] {
        let text = note(&case(5, Finding::Healthy), |c| c.flaps_last_hour = flaps);
        assert!(!text.contains("EARLIER RUNS") && !text.contains("is not known"), "{text}");
    }
}

#[test]
fn a_new_note_leaves_room_for_what_is_added_later() {
    let warnings: Vec<String> =
        (0..900).map(|n| format!("{n} is a warning of some length, many make a long note")).collect();
    let links = Links::default();
    let d = case(7, Finding::Healthy);
    let text = write(&d, &Context { warnings: &warnings, ..fixtures::context(&links) });
    let size = text.chars().count();
    assert!(size <= MAX_NOTE - ROOM_FOR_EDITS && size > MAX_NOTE - 2 * ROOM_FOR_EDITS, "{size}");
}

/// Contract 5: links to related pages. What the third step has no room for stands with the links.
#[test]
fn every_page_that_explains_the_alert_is_linked_once() {
    let page = |n: usize| RelatedPage {
        id: format!("Q{n}"),
        title: format!("All Public endpoints down in prod-{n}"),
        html_url: format!("https://ibm.pagerduty.com/incidents/Q{n}"),
    };
    let pages: Vec<RelatedPage> = (1..=7).map(page).collect();
    let text = note(&case(7, Finding::Healthy), |c| (c.related, c.only_named) = (Ok(&*pages.clone().leak()), 1));
    let (before, links) = text.split_once("\nLINKS\n").expect("the links");
    for page in &pages {
        let (n, line) = (&page.id, format!("{} {}\n", page.title, page.html_url));
        assert_eq!(text.matches(&page.html_url).count(), 1, "{n}: {text}");
        let place = match n.as_str() {
            "Q1" | "Q2" | "Q3" => before.contains(&format!("\n   - {line}")),
            "Q7" => before.contains("\nALSO OPEN\n- All Public endpoints down in prod-7 http"),
            _ => links.contains(&format!("\n- Open page: {line}")),
        };
        assert!(place, "{n}: {text}");
    }
}
