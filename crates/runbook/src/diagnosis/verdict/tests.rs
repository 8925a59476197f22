use jiff::Timestamp;

use super::*;
use crate::diagnosis::{BrokenAt, Earlier, Konicle};

mod elsewhere;
mod focus;
mod sequences;
mod table;
mod whole_run;

fn region() -> Region {
    "prod-us-south".parse().expect("a region")
}

fn az(n: u32) -> Zone {
    Zone::new(format!("registry-prod-us-south-az{n}"))
}

fn expected() -> Vec<Zone> {
    region().default_zones()
}

fn named(name: &str, se: u8, upstream: i8) -> MagicBox {
    MagicBox {
        name: name.into(),
        magic_box_id: format!("us-south-dal10-container-registry-{name}-vm-d4533b5e"),
        node: "Ready".into(),
        backend_ip: "10.94.143.238".into(),
        frontend: "166.9.12.114/23".into(),
        se_status: se,
        upstream_status: upstream,
    }
}

/// A box of zone `n`.
fn of_zone(n: u32, index: u32, se: u8, upstream: i8) -> MagicBox {
    named(&format!("{}-{index}", az(n)), se, upstream)
}

fn console(boxes: Vec<MagicBox>) -> Console {
    Console { boxes, ..Console::default() }
}

/// One box a zone, zones 1 to 3.
fn three(statuses: [(u8, i8); 3]) -> Console {
    console((1..).zip(statuses).map(|(n, (se, upstream))| of_zone(n, 1, se, upstream)).collect())
}

fn reading(console: Console) -> Reading {
    Reading { build_url: None, at: Timestamp::UNIX_EPOCH, console, warnings: Vec::new(), set_aside: Vec::new() }
}

fn checks(finding: Finding) -> Checks {
    Checks {
        finding,
        konicle: Some(Konicle { ready: None, private_override: None }),
        ingress: Vec::new(),
        status: None,
        konicle_pods: Vec::new(),
        registry_pages: Vec::new(),
        warnings: Vec::new(),
        error: None,
        at: Timestamp::UNIX_EPOCH,
        context: None,
    }
}

fn diagnose_with(readings: Vec<Console>, checks: &[(Zone, Checks)]) -> Diagnosis {
    let readings: Vec<_> = readings.into_iter().map(reading).collect();
    diagnose(&Evidence {
        region: &region(),
        expected: &expected(),
        readings: &readings,
        checks,
        earlier: &Earlier::default(),
        listed: &[],
    })
}

fn diagnose_all(readings: Vec<Console>) -> Diagnosis {
    diagnose_with(readings, &[])
}

fn names_of(zones: &[Zone]) -> Vec<&str> {
    zones.iter().map(|z| z.as_str().trim_start_matches("registry-prod-us-south-")).collect()
}

#[test]
fn a_box_belongs_to_the_region_by_its_whole_name() {
    let expected = [Zone::new("dal-a"), Zone::new("dal-a-2"), Zone::new("registry-prod-us-south-az1")];
    let zone_of = |name: &str| zone_of(&region(), &expected, name).map(|z| z.as_str().to_owned());
    for (name, zone) in [
        ("dal-a-1", "dal-a"),
        ("dal-a-2", "dal-a"),
        ("dal-a-2-1", "dal-a-2"),
        ("registry-prod-us-south-az1-1", "registry-prod-us-south-az1"),
        ("registry-prod-us-south-az12-34", "registry-prod-us-south-az12"),
    ] {
        assert_eq!(zone_of(name).as_deref(), Some(zone), "{name}");
    }
    for name in [
        "",
        "dal-a",
        "dal-a-",
        "dal-a-x",
        "dal-a-1x",
        "dal-b-1",
        "xdal-a-1",
        "registry-prod-us-south-az1",
        "registry-prod-us-south-az-1",
        "registry-prod-us-south-azx-1",
        "registry-prod-us-south-az1-",
        "registry-prod-us-south-az1-+1",
        "registry-prod-us-south-az1-1-1",
        "registry-prod-us-southern-az1-1",
        "registry-prod-us-east-az1-1",
        "prod-us-south-az1-1",
        "xregistry-prod-us-south-az1-1",
    ] {
        assert_eq!(zone_of(name), None, "{name}");
    }
}

#[test]
fn a_region_does_not_take_the_boxes_of_one_whose_name_it_begins() {
    let short: Region = "prod-us".parse().expect("a region");
    assert_eq!(zone_of(&short, &short.default_zones(), "registry-prod-us-south-az1-1"), None);
    assert_eq!(zone_of(&region(), &expected(), "registry-prod-us-az1-1"), None);
    assert_eq!(judge(&short, &short.default_zones(), &three([(1, 1); 3]), false), Rule::NoReading);
}

#[test]
fn a_missing_zone_is_named() {
    for (n, missing) in [(1, "az1"), (2, "az2"), (3, "az3")] {
        let boxes = (1..=3).filter(|i| *i != n).map(|i| of_zone(i, 1, 0, 1)).collect();
        let seen = console(boxes);
        assert!(!is_complete(&region(), &expected(), &seen));
        assert_eq!(zones_read(&region(), &expected(), &seen), 2);
        let diagnosis = diagnose_all(vec![seen]);
        assert_eq!(diagnosis.verdict.rule, Rule::IncompleteReading);
        assert_eq!(diagnosis.verdict.kind, VerdictKind::Inconclusive);
        assert!(diagnosis.verdict.summary.contains(missing), "{}", diagnosis.verdict.summary);
        assert_eq!(diagnosis.readings[0].warnings, [format!("no box of registry-prod-us-south-{missing} was printed")]);
        assert_eq!(diagnosis.zones.len(), 3, "the missing zone is shown, without a box");
    }
}

#[test]
fn differing_statuses_come_before_a_missing_zone() {
    let seen = console(vec![of_zone(1, 1, 0, 1), of_zone(2, 1, 1, 1)]);
    assert_eq!(judge(&region(), &expected(), &seen, false), Rule::MixedStatus);
    assert_eq!(judge(&region(), &expected(), &seen, true), Rule::MixedStatus);
    assert!(!is_complete(&region(), &expected(), &seen));
}

#[test]
fn a_missing_zone_comes_before_recovery_and_every_other_rule() {
    for (se, upstream) in [(1, 1), (1, 0), (0, 0), (0, 1)] {
        let seen = console(vec![of_zone(1, 1, se, upstream), of_zone(2, 1, se, upstream)]);
        for rerun in [false, true] {
            assert_eq!(judge(&region(), &expected(), &seen, rerun), Rule::IncompleteReading, "{se}:{upstream}");
        }
    }
}

#[test]
fn a_box_that_cannot_be_read_makes_its_zone_missing() {
    for name in [
        "registry-prod-us-south-az2-1",
        "registry-prod-us-south-az2-2",
        "registry-prod-us-south-az2",
        "registry-prod-us-south-az2-",
        "registry-prod-us-south-az2-x",
        "us-south-dal12-container-registry-registry-prod-us-south-az2-1-vm-0",
    ] {
        let mut seen = three([(0, 1); 3]);
        seen.unreadable.push(name.into());
        assert!(!is_complete(&region(), &expected(), &seen), "{name}");
        assert_eq!(zones_read(&region(), &expected(), &seen), 2, "{name}");
        let diagnosis = diagnose_all(vec![seen]);
        assert_eq!(diagnosis.verdict.rule, Rule::IncompleteReading, "{name}");
        assert_eq!(diagnosis.readings[0].boxes, 3);
        assert_eq!(
            diagnosis.readings[0].warnings,
            ["a box of registry-prod-us-south-az2 could not be read, so the zone counts as missing"]
        );
        assert_eq!(diagnosis.zones[1].boxes.len(), 1, "its good box is still shown");
        let unread: Vec<_> = diagnosis.zones.iter().map(|z| z.unread).collect();
        assert_eq!(unread, [false, true, false], "and it is told from a zone that is whole");
    }
    for name in ["registry-prod-us-south-az22-1", "registry-prod-us-east-az2-1", "registry-prod-us-south-az", ""] {
        let mut seen = three([(0, 1); 3]);
        seen.unreadable.push(name.into());
        assert!(is_complete(&region(), &expected(), &seen), "{name}");
        assert_eq!(zones_read(&region(), &expected(), &seen), 3, "{name}");
    }
}

#[test]
fn only_unreadable_boxes_are_no_reading() {
    let seen = Console { unreadable: vec!["registry-prod-us-south-az1-1".into()], ..Console::default() };
    assert_eq!(judge(&region(), &expected(), &seen, false), Rule::NoReading);
    let diagnosis = diagnose_all(vec![seen]);
    assert_eq!(
        diagnosis.readings[0].warnings,
        ["no box of registry-prod-us-south-az2, registry-prod-us-south-az3 was printed; \
          a box of registry-prod-us-south-az1 could not be read, so the zone counts as missing"]
    );
}

#[test]
fn an_unlisted_zone_counts_and_is_a_warning() {
    let mut seen = three([(0, 1); 3]);
    seen.boxes.push(of_zone(4, 1, 0, 1));
    let diagnosis = diagnose_all(vec![seen.clone()]);
    assert_eq!(diagnosis.verdict.rule, Rule::AllSeRejectingUpstreamUp);
    assert_eq!(diagnosis.readings[0].boxes, 4);
    assert_eq!(
        diagnosis.readings[0].warnings,
        ["registry-prod-us-south-az4 is printed, but not among the zones expected of the region: \
          is the regions file up to date?"]
    );
    let expected: Vec<_> = diagnosis.zones.iter().map(|z| z.expected).collect();
    assert_eq!(expected, [true, true, true, false]);
    assert_eq!(names_of(&diagnosis.focus), ["az1", "az2", "az3", "az4"]);

    seen.boxes[3] = of_zone(4, 1, 1, 1);
    assert_eq!(judge(&region(), &self::expected(), &seen, false), Rule::MixedStatus);
    seen.boxes[3] = of_zone(4, 1, 0, 0);
    assert_eq!(judge(&region(), &self::expected(), &seen, false), Rule::AllSeRejectingUpstreamUp);
}

#[test]
fn an_unlisted_zone_does_not_stand_in_for_a_missing_one() {
    let seen = console(vec![of_zone(1, 1, 0, 0), of_zone(2, 1, 0, 0), of_zone(4, 1, 0, 0)]);
    assert_eq!(judge(&region(), &expected(), &seen, false), Rule::IncompleteReading);
    assert_eq!(zones_read(&region(), &expected(), &seen), 2);
}

#[test]
fn an_unlisted_zone_that_cannot_be_read_is_shown_too() {
    let mut seen = three([(1, 0); 3]);
    seen.unreadable.push("registry-prod-us-south-az10-1".into());
    seen.boxes.push(of_zone(5, 1, 1, 1));
    let diagnosis = diagnose_all(vec![seen]);
    assert_eq!(diagnosis.verdict.rule, Rule::AllSeAccepting, "only expected zones can be missing");
    let zones: Vec<_> = diagnosis.zones.iter().map(|z| (z.cluster.clone(), z.boxes.len(), z.expected)).collect();
    assert_eq!(zones[3..], [(az(10), 0, false), (az(5), 1, false)]);
    assert!(diagnosis.readings[0].warnings[0].contains("az10, registry-prod-us-south-az5 are printed"));
}

#[test]
fn zones_and_boxes_are_sorted_by_name() {
    let expected = [Zone::new("zulu"), Zone::new("alpha"), Zone::new("mike"), Zone::new("alpha")];
    let boxes = ["zulu-2", "registry-prod-us-south-az1-1", "zulu-1", "alpha-1", "mike-1"];
    let mut seen = console(boxes.iter().map(|name| named(name, 1, 0)).collect());
    let mut twin = named("zulu-1", 1, 0);
    twin.magic_box_id = "a".into();
    seen.boxes.push(twin);
    let diagnosis = diagnose(&Evidence {
        region: &region(),
        expected: &expected,
        readings: &[reading(seen)],
        checks: &[],
        earlier: &Earlier::default(),
        listed: &[],
    });
    let zones: Vec<_> = diagnosis.zones.iter().map(|z| z.cluster.as_str()).collect();
    assert_eq!(zones, ["alpha", "mike", "zulu", "registry-prod-us-south-az1"]);
    let focus: Vec<_> = diagnosis.focus.iter().map(Zone::as_str).collect();
    assert_eq!(focus, ["alpha", "mike", "registry-prod-us-south-az1", "zulu"], "listed or not, by name");
    let zulu: Vec<_> = diagnosis.zones[2].boxes.iter().map(|b| (b.name.as_str(), b.magic_box_id.len())).collect();
    assert_eq!(zulu[0], ("zulu-1", 1), "twins by their id");
    assert_eq!((zulu[1].0, zulu[2].0), ("zulu-1", "zulu-2"));
}

#[test]
fn other_regions_in_the_console_do_not_count() {
    let mut seen = three([(0, 1); 3]);
    seen.boxes.push(named("registry-prod-us-east-az1-1", 1, 1));
    let diagnosis = diagnose_all(vec![seen]);
    assert_eq!(diagnosis.verdict.rule, Rule::AllSeRejectingUpstreamUp);
    assert_eq!(diagnosis.readings[0].boxes, 3);
    assert_eq!(diagnosis.readings[0].warnings, [""; 0]);
}

#[test]
fn warnings_of_the_build_and_of_the_console_come_first() {
    let mut taken = reading(three([(0, 1); 3]));
    taken.warnings.push("the build failed".into());
    taken.console.warnings.push("a line that can't be read".into());
    taken.console.boxes.pop();
    taken.build_url = Some("https://jenkins/job/1/".into());
    let diagnosis = diagnose(&Evidence {
        region: &region(),
        expected: &expected(),
        readings: &[taken],
        checks: &[],
        earlier: &Earlier::default(),
        listed: &[],
    });
    assert_eq!(diagnosis.readings[0].warnings[..2], ["the build failed", "a line that can't be read"]);
    assert_eq!(diagnosis.readings[0].warnings.len(), 3);
    assert_eq!(diagnosis.readings[0].build_url.as_deref(), Some("https://jenkins/job/1/"));
}

#[test]
fn without_any_reading_there_is_still_a_diagnosis() {
    let checks = [(az(2), checks(Finding::Disabled)), (az(3), checks(Finding::Healthy))];
    let diagnosis = diagnose_with(vec![], &checks);
    assert_eq!(diagnosis.verdict.rule, Rule::NoReading);
    assert_eq!(diagnosis.verdict.kind, VerdictKind::Inconclusive);
    assert_eq!(diagnosis.readings, []);
    assert_eq!(diagnosis.class, Class::Pcie);
    assert!(!diagnosis.client_suspected);
    let zones: Vec<_> = diagnosis.zones.iter().map(|z| (z.broken_at, z.checks.is_some())).collect();
    assert_eq!(zones, [(BrokenAt::Unknown, false), (BrokenAt::DisabledByRegistry, true), (BrokenAt::Unknown, true)]);
    assert_eq!(names_of(&diagnosis.focus), ["az1", "az2", "az3"]);
}

#[test]
fn the_newest_checks_of_a_zone_count() {
    let both = [(az(1), checks(Finding::KonicleFault)), (az(1), checks(Finding::Healthy))];
    let diagnosis = diagnose_with(vec![three([(0, 0); 3])], &both);
    assert_eq!(diagnosis.zones[0].broken_at, BrokenAt::SeTo10443);
    assert_eq!(diagnosis.zones[1].checks, None);
}

#[test]
fn summaries_name_the_evidence() {
    let say = |readings| diagnose_all(readings).verdict.summary;
    let short = console(vec![of_zone(1, 1, 0, 1), of_zone(1, 2, 0, 1)]);
    let all = [
        say(vec![]),
        say(vec![three([(1, 1), (0, 1), (0, 0)])]),
        say(vec![short.clone()]),
        say(vec![three([(1, 0); 3])]),
        say(vec![three([(0, 0), (0, -1), (0, 0)])]),
        say(vec![three([(0, 1), (0, -1), (0, 0)])]),
        say(vec![three([(0, 1); 3]), three([(1, 1); 3])]),
        say(vec![three([(0, 1); 3]), three([(0, 1); 3]), three([(0, 1), (0, 1), (0, 0)])]),
        say(vec![three([(0, 1); 3]), short.clone()]),
        say(vec![three([(0, 1); 3]), three([(0, 1); 3]), Console::default()]),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    No Magic Box of prod-us-south could be read from Jenkins, so the runbook's rules can't be applied.
    SE statuses differ: of 3 boxes of 3 zones, 1 has SE status 1 and 2 have SE status 0; focus on zones with :0:1 first, then on 1:x.
    The reading shows 2 boxes of 1 zone, but registry-prod-us-south-az2, registry-prod-us-south-az3 are missing or incomplete.
    All 3 boxes of 3 zones have SE status 1, so this is probably a registry problem.
    All 3 boxes of 3 zones have SE status 0 and upstream status 0 or -1, so this is probably a registry problem.
    All 3 boxes of 3 zones have SE status 0, but 1 has upstream status 1: this can be a transient state.
    In re-run 1 all 3 boxes of 3 zones have SE status 1 and upstream status 1 again.
    In re-run 2 all 3 boxes of 3 zones have SE status 0, but 2 have upstream status 1: it persists, so this is an SE problem.
    The reading shows 2 boxes of 1 zone, but registry-prod-us-south-az2, registry-prod-us-south-az3 are missing or incomplete; the statuses shown are those of the first reading.
    No Magic Box of prod-us-south could be read from Jenkins, so the runbook's rules can't be applied; the statuses shown are those of re-run 1.
    ");
}

#[test]
fn one_box_is_not_all_boxes() {
    let expected = [az(1)];
    let readings = [reading(console(vec![of_zone(1, 1, 1, 0)]))];
    let diagnosis = diagnose(&Evidence {
        region: &region(),
        expected: &expected,
        readings: &readings,
        checks: &[],
        earlier: &Earlier::default(),
        listed: &[],
    });
    assert_eq!(diagnosis.verdict.summary, "The only box has SE status 1, so this is probably a registry problem.");
}

#[test]
fn a_sentence_is_bounded_whatever_the_names() {
    let expected: Vec<_> = (0..50).map(|i| Zone::new(format!("{i:02}{}", "é".repeat(200)))).collect();
    let readings = [reading(console(vec![of_zone(1, 1, 1, 1)]))];
    let diagnosis = diagnose(&Evidence {
        region: &region(),
        expected: &expected,
        readings: &readings,
        checks: &[],
        earlier: &Earlier::default(),
        listed: &[],
    });
    assert_eq!(diagnosis.verdict.summary.chars().count(), 601);
    assert!(diagnosis.readings[0].warnings.iter().all(|w| w.chars().count() <= 601));
    let expected: Vec<_> = (0..7).map(|i| Zone::new(format!("zone{i}"))).collect();
    let diagnosis = diagnose(&Evidence {
        region: &region(),
        expected: &expected,
        readings: &[],
        checks: &[],
        earlier: &Earlier::default(),
        listed: &[],
    });
    assert_eq!(diagnosis.zones.len(), 7);
    let diagnosis = diagnose(&Evidence {
        region: &region(),
        expected: &expected,
        readings: &readings,
        checks: &[],
        earlier: &Earlier::default(),
        listed: &[],
    });
    assert!(diagnosis.verdict.summary.contains("zone5 and 1 more are missing"), "{}", diagnosis.verdict.summary);
}

#[test]
fn expected_zones_that_a_console_does_not_show_whole_are_named() {
    let mut shown = console(vec![of_zone(1, 1, 1, 1), of_zone(3, 1, 1, 1)]);
    assert_eq!(missing_zones(&region(), &expected(), &shown), [az(2)]);
    shown.unreadable.push(format!("{}-2", az(3)));
    assert_eq!(missing_zones(&region(), &expected(), &shown), [az(2), az(3)]);
    assert_eq!(missing_zones(&region(), &expected(), &three([(1, 1); 3])), []);
}
