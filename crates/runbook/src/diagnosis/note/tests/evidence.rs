//! What the note says of the evidence where it is thin, odd, or much.

use super::super::fixtures::{self, VERDICTS};
use super::super::{Context, PageNews, write};
use crate::alert::Zone;
use crate::diagnosis::console::parse as parse_console;
use crate::diagnosis::verdict::diagnose;
use crate::diagnosis::{Class, Diagnosis, Earlier, Evidence, Finding, OtherRegion, Reading, Rule, VerdictKind};
use crate::links::Links;

fn accepting(finding: Finding) -> Diagnosis {
    let (kind, rule, variants) = VERDICTS[4];
    fixtures::uniform(kind, rule, &variants[1], finding)
}

fn note(d: &Diagnosis) -> String {
    write(d, &fixtures::context(&Links::default()))
}

/// The line of the note that begins so.
fn line<'a>(note: &'a str, start: &str) -> &'a str {
    note.lines().find(|l| l.starts_with(start)).unwrap_or_else(|| panic!("{start} in {note}"))
}

#[test]
fn a_verdict_without_words_of_its_own_has_the_runbooks() {
    for (kind, rule, variants) in VERDICTS {
        let mut d = fixtures::uniform(*kind, *rule, &variants[0], Finding::Healthy);
        let why = |d: &Diagnosis| note(d).split_once("\nWHY\n").expect("why").1.lines().next().map(str::to_owned);
        d.verdict.summary = "odd words".into();
        assert_eq!(why(&d).as_deref(), Some("Odd words."));
        d.verdict.summary = String::new();
        let expected = match rule {
            Rule::NoReading => "No Magic Box of the region could be read from the Jenkins job.",
            Rule::MixedStatus => "Some zones have SE=1, some SE=0.",
            Rule::IncompleteReading => "At least one zone is missing from the Jenkins job's output.",
            Rule::RecoveredOnRerun => "When the Jenkins job was run again, every zone had SE=1 and upstream=1.",
            Rule::AllSeAccepting => "All zones have SE=1: probably a registry problem.",
            Rule::AllSeRejectingUpstreamDown => {
                "All zones have SE=0, and none an upstream of 1: probably a registry problem."
            }
            Rule::AllSeRejectingUpstreamUp if *kind == VerdictKind::ServiceEndpoint => {
                "All zones have SE=0, and at least one an upstream of 1. The re-run showed the same."
            }
            Rule::AllSeRejectingUpstreamUp => "All zones have SE=0, and at least one an upstream of 1.",
        };
        assert_eq!(why(&d).as_deref(), Some(expected));
    }
}

#[test]
fn a_node_is_named_where_it_is_not_ready_and_where_nothing_is_said_of_it() {
    let mut d = accepting(Finding::Healthy);
    for (node, end) in [("Ready", ""), ("NotReady", ", NODE NotReady"), (" ", ", node state not given")] {
        d.zones[0].boxes[0].node = node.into();
        let text = note(&d);
        let line = line(&text, "- registry-prod-us-south-az1: SE=");
        assert!(line.ends_with(&format!("front end 166.9.12.114/23{end}")), "{line}");
    }
}

#[test]
fn what_a_cluster_did_not_say_is_not_made_up() {
    let mut d = accepting(Finding::Unknown);
    for (error, said) in [
        (None, "this service could not check the cluster. Where"),
        (Some(""), "this service could not check the cluster. Where"),
        (Some("403."), "this service could not check the cluster. Where"),
    ] {
        d.zones[0].checks.as_mut().expect("checks").error = error.map(str::to_owned);
        let text = note(&d);
        assert!(text.contains(&format!("\n- registry-prod-us-south-az1: {said}")), "{text}");
    }
    let mut d = accepting(Finding::IngressDown);
    assert!(note(&d).contains("az1: no private ingress pod is Running (2 pods: CrashLoopBackOff). "));
    d.zones[0].checks.as_mut().expect("checks").ingress.clear();
    assert!(note(&d).contains("az1: there is no private ingress pod. "));
}

#[test]
fn whether_the_ingress_accepts_connections_is_said_by_the_best_box_and_the_worst() {
    for (upstreams, answer) in [
        (&[1, 1][..], "yes (upstream=1)"),
        (&[0, 1], "yes (upstream=1)"),
        (&[0], "yes (upstream=0)"),
        (&[0, -1], "from some boxes only (upstream=-1)"),
        (&[-1, 1], "from some boxes only (upstream=-1)"),
        (&[-1], "no (upstream=-1)"),
        (&[], "not known, no box was read"),
    ] {
        let mut d = accepting(Finding::Healthy);
        let a_box = d.zones[0].boxes[0].clone();
        d.zones[0].boxes = upstreams
            .iter()
            .map(|upstream_status| crate::diagnosis::MagicBox { upstream_status: *upstream_status, ..a_box.clone() })
            .collect();
        let text = note(&d);
        let line = line(&text, "- registry-prod-us-south-az1: status check");
        assert!(line.ends_with(&format!(" Private ingress accepts connections: {answer}.")), "{upstreams:?}: {line}");
    }
}

#[test]
fn zones_that_have_the_same_to_say_share_a_line_four_at_most() {
    let mut d = accepting(Finding::Unknown);
    let zone = d.zones[0].clone();
    d.focus.clear();
    d.zones = (1..=7)
        .map(|n| {
            let mut zone = zone.clone();
            zone.cluster = Zone::new(format!("z{n}"));
            zone.checks.as_mut().expect("checks").error = Some(if n == 2 { "slow" } else { "403" }.into());
            zone
        })
        .collect();
    let text = note(&d);
    let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("- What the cluster says, ")).collect();
    assert_eq!(
        lines,
        [
            "- What the cluster says, z1, z3, z4, z5: 403.",
            "- What the cluster says, z2: slow.",
            "- What the cluster says, z6, z7: 403.",
        ]
    );
}

#[test]
fn a_readings_warnings_are_odd_and_those_of_an_empty_one_are_why_it_is_empty() {
    let mut d = accepting(Finding::Healthy);
    d.readings[0].warnings = vec!["a box can't be read".into()];
    let text = note(&d);
    assert!(text.contains("\nWARNINGS\n- Reading 1: a box can't be read.\n"), "{text}");
    assert!(!text.contains("NOT KNOWN"), "{text}");
    d.readings[0].boxes = 0;
    let text = note(&d);
    assert!(text.contains("\nNOT KNOWN\n- Reading 1: a box can't be read.\n"), "{text}");
    assert!(!text.contains("\nWARNINGS\n"), "{text}");
}

#[test]
fn a_class_that_what_is_shown_does_not_explain_is_explained() {
    let (kind, rule, variants) = VERDICTS[4];
    let explained = "\nCLASS: pCIE, probably a CIE. Front ends answer only from VRF accounts with routes to 166.8.0.0/14.\nWhat is shown here looks healthy, but earlier in this run ";
    let mut d = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
    (d.class, d.client_suspected) = (Class::ProbablyCie, false);
    assert!(note(&d).contains(explained), "{}", note(&d));
    // A box, or a cluster, shows it.
    let mut ill = d.clone();
    ill.zones[1].boxes[0].upstream_status = 0;
    let mut sick = d.clone();
    sick.zones[2].checks.as_mut().expect("checks").finding = Finding::ZoneUnhealthy;
    d.class = Class::Pcie;
    for shown in [ill, sick, d] {
        assert!(!note(&shown).contains("earlier in this run"), "{}", note(&shown));
    }
}

#[test]
fn one_line_says_whether_the_other_regions_of_the_reading_are_whole() {
    let mut d = accepting(Finding::Healthy);
    assert!(!note(&d).contains("In this reading"), "{}", note(&d));
    let other =
        |(region, boxes, whole): (&str, usize, usize)| OtherRegion { region: fixtures::region(region), boxes, whole };
    for (regions, said) in [
        (&[("prod-eu-de", 3, 3)][..], "In this reading the other region, prod-eu-de, is whole (3 boxes, all 1:1)."),
        (&[("prod-eu-de", 1, 0)], "In this reading the other region is not whole: prod-eu-de (0 of 1 box 1:1)."),
        (&[("prod-a", 3, 3), ("prod-b", 2, 2)], "In this reading all 2 other regions are whole (5 boxes, all 1:1)."),
        (
            &[("prod-a", 3, 3), ("prod-b", 2, 1)],
            "In this reading 1 of 2 other regions is not whole: prod-b (1 of 2 boxes 1:1).",
        ),
        (
            &[
                ("prod-a", 3, 0),
                ("prod-b", 2, 1),
                ("prod-c", 1, 0),
                ("prod-d", 1, 0),
                ("prod-e", 1, 0),
                ("prod-f", 9, 9),
            ],
            "In this reading 5 of 6 other regions are not whole: prod-a (0 of 3 boxes 1:1), prod-b (1 of 2 boxes 1:1), \
             prod-c (0 of 1 box 1:1) and 2 more.",
        ),
    ] {
        d.other_regions = regions.iter().copied().map(other).collect();
        let text = note(&d);
        assert_eq!(line(&text, "In this reading"), said);
    }
}

#[test]
fn magic_boxes_of_a_mixed_reading_are_candidates_and_nobody_is_sent_to_page_for_them() {
    let links = Links::default();
    for (n, (kind, rule, variants)) in VERDICTS.iter().enumerate().filter(|(_, case)| case.0 == VerdictKind::Mixed) {
        assert_eq!(*rule, Rule::MixedStatus, "{n}");
        for (boxes, finding) in variants.iter().flat_map(|boxes| fixtures::FINDINGS.map(|f| (boxes, f))) {
            let text = note(&fixtures::uniform(*kind, *rule, boxes, finding));
            let head: String = text.lines().take(3).collect();
            assert!(!head.contains("age Cloud Service Endpoint"), "{head}");
            assert!(text.lines().nth(2).is_some_and(|line| line.contains("one reading may be transient")), "{head}");
            assert!(!text.contains("Magic Box IDs for Cloud Service Endpoint:"), "{text}");
            let ids = text.lines().skip_while(|line| !line.starts_with("Candidates for Cloud Service Endpoint only"));
            assert_eq!(
                ids.count() > 0,
                text.contains("/escalate if it is the same. Magic Box IDs:\n- us-south-"),
                "{text}"
            );
        }
    }
    // Somebody has paged all the same.
    let (kind, rule, variants) = VERDICTS[1];
    let d = fixtures::uniform(kind, rule, &variants[0], Finding::Healthy);
    for problem in [None, Some("nobody is assigned")] {
        let page = PageNews::Paged { html_url: "https://x/Q9", joined: false, problem, asked_by: Some("Ann") };
        let text = write(&d, &Context { page, ..fixtures::context(&links) });
        assert!(!text.lines().nth(1).is_some_and(|line| line.contains("/escalate")), "{text}");
    }
}

/// From the boxes that Jenkins printed to the note: the fixtures are not what says it.
#[test]
fn what_persists_in_a_re_run_is_said_to_persist() {
    let region = fixtures::region("prod-us-south");
    let expected = [0, 1, 2].map(fixtures::zone);
    let console = |se: u8| {
        let print = |zone: &Zone| {
            format!("[\n\"{zone}-1\",\n\"vm-{zone}\",\n\"Ready\",\n\"10.94.143.238:{se}:1\",\n\"166.9.12.114/23\"\n]\n")
        };
        parse_console(expected.iter().map(print).collect::<String>().as_bytes())
    };
    let reading = |minute: u8, se: u8| Reading {
        build_url: None,
        at: fixtures::at(&format!("2026-08-14T03:{minute}:00Z")),
        console: console(se),
        warnings: vec![],
        set_aside: vec![],
    };
    let note_of = |readings: &[Reading]| {
        let earlier = Earlier::default();
        let (region, expected, checks, listed) = (&region, &expected[..], &[][..], &[][..]);
        note(&diagnose(&Evidence { region, expected, readings, checks, earlier: &earlier, listed }))
    };
    let both = note_of(&[reading(13, 0), reading(15, 0)]);
    assert!(both.starts_with("SERVICE ENDPOINT problem in prod-us-south: "), "{both}");
    assert!(
        both.contains(
            "\nWHY\nIn re-run 1 all 3 boxes of 3 zones have SE status 0, but 3 have upstream status 1: it persists, so this is an \
             SE problem.\n"
        ),
        "{both}"
    );
    assert!(both.contains("\n- 03:15:00 Jenkins re-run 1: 3 boxes\n"), "{both}");
    let one = note_of(&[reading(13, 0)]);
    assert!(one.contains(": this can be a transient state.\n") && !one.contains("re-run 1"), "{one}");
    let over = note_of(&[reading(13, 0), reading(15, 1)]);
    assert!(over.contains("In re-run 1 ") && !over.contains("it persists"), "{over}");
}
