//! Class and suspicion go by all that the run has seen, not by its last reading alone.

use super::*;

const WELL: [(u8, i8); 3] = [(1, 1); 3];
const ILL: [(u8, i8); 5] = [(1, 0), (1, -1), (0, 1), (0, 0), (0, -1)];
const FINDINGS: [Finding; 6] = [
    Finding::Disabled,
    Finding::Unknown,
    Finding::IngressDown,
    Finding::Healthy,
    Finding::ZoneUnhealthy,
    Finding::KonicleFault,
];

fn well() -> Reading {
    reading(three(WELL))
}

fn concluded(readings: &[Reading], checks: &[(Zone, Checks)], earlier: &Earlier) -> (Class, bool) {
    let (region, expected) = (region(), expected());
    let d = diagnose(&Evidence { region: &region, expected: &expected, readings, checks, earlier, listed: &[] });
    (d.class, d.client_suspected)
}

/// All `1:1` and healthy now, after this.
fn after(earlier: &Earlier) -> (Class, bool) {
    let healthy: Vec<_> = (1..=3).map(|n| (az(n), checks(Finding::Healthy))).collect();
    concluded(&[well()], &healthy, earlier)
}

fn read_before(console: Console) -> Earlier {
    Earlier { readings: vec![reading(console)], ..Earlier::default() }
}

#[test]
fn what_once_rejected_was_not_the_client() {
    assert_eq!(after(&Earlier::default()), (Class::Pcie, true));
    for ill in ILL {
        for at in 0..3 {
            let mut statuses = WELL;
            statuses[at] = ill;
            let once = three(statuses);
            let none = Earlier::default();
            for readings in [vec![once.clone(), three(WELL)], vec![three(WELL), once.clone(), three(WELL)]] {
                let readings: Vec<_> = readings.into_iter().map(reading).collect();
                assert_eq!(concluded(&readings, &[], &none), (Class::ProbablyCie, false), "a re-run of {statuses:?}");
            }
            // Before a restart, or before it was taken again.
            assert_eq!(after(&read_before(once.clone())), (Class::ProbablyCie, false), "{statuses:?}");
            // A build that was read and did not count, since another showed more zones.
            let set_aside = Reading { set_aside: once.boxes, ..well() };
            assert_eq!(
                concluded(std::slice::from_ref(&set_aside), &[], &none),
                (Class::ProbablyCie, false),
                "{statuses:?}"
            );
            let before = Earlier { readings: vec![set_aside], ..Earlier::default() };
            assert_eq!(after(&before), (Class::ProbablyCie, false), "{statuses:?}");
        }
        let mut unlisted = three(WELL);
        unlisted.boxes.push(of_zone(7, 1, ill.0, ill.1));
        assert_eq!(after(&read_before(unlisted)), (Class::ProbablyCie, false), "a zone that nobody lists: {ill:?}");
        let mut elsewhere = three(WELL);
        elsewhere.boxes.push(named("registry-prod-us-east-az1-1", ill.0, ill.1));
        let set_aside = elsewhere.boxes.clone();
        let before = Earlier { readings: vec![Reading { set_aside, ..reading(elsewhere) }], ..Earlier::default() };
        assert_eq!(after(&before), (Class::Pcie, true), "another region says nothing of this one");
    }
}

#[test]
fn a_reading_that_does_not_show_every_zone_suspects_nobody_and_accuses_nobody() {
    let mut unreadable = three(WELL);
    unreadable.unreadable.push("registry-prod-us-south-az2-2".into());
    for holes in [Console::default(), console(vec![of_zone(1, 1, 1, 1), of_zone(2, 1, 1, 1)]), unreadable] {
        assert_eq!(after(&read_before(holes.clone())), (Class::Pcie, false), "{holes:?}");
        let none = Earlier::default();
        for readings in [vec![holes.clone(), three(WELL)], vec![three(WELL), holes.clone()]] {
            let readings: Vec<_> = readings.into_iter().map(reading).collect();
            assert_eq!(concluded(&readings, &[], &none), (Class::Pcie, false), "{readings:?}");
        }
    }
    // A build that failed without a box, beside one that shows all: that is one reading.
    let twice = Reading { warnings: vec!["the first build failed".into()], ..well() };
    assert_eq!(concluded(&[twice], &[], &Earlier::default()), (Class::Pcie, true));
    assert_eq!(concluded(&[], &[], &Earlier::default()), (Class::Pcie, false), "nothing was read");
}

#[test]
fn a_finding_of_the_first_checks_counts_as_one_of_the_last() {
    for finding in FINDINGS {
        let expected = match finding {
            Finding::Healthy | Finding::Unknown => (Class::Pcie, true),
            Finding::Disabled => (Class::Pcie, false),
            Finding::IngressDown | Finding::ZoneUnhealthy | Finding::KonicleFault => (Class::ProbablyCie, false),
        };
        for n in 1..=3 {
            let once = (az(n), checks(finding));
            let earlier = Earlier { checks: vec![once.clone()], ..Earlier::default() };
            assert_eq!(after(&earlier), expected, "the first: {finding:?}");
            assert_eq!(concluded(&[well()], &[once], &Earlier::default()), expected, "the last: {finding:?}");
        }
    }
}

#[test]
fn a_verdict_that_is_not_sure_says_what_was_seen_all_the_same() {
    let none = Earlier::default();
    let sick = [(az(1), checks(Finding::KonicleFault))];
    assert_eq!(concluded(&[reading(Console::default())], &sick, &none), (Class::ProbablyCie, false));
    let readings = [reading(three([(0, 1); 3])), reading(Console::default())];
    assert_eq!(concluded(&readings, &[], &none), (Class::ProbablyCie, false), "the first reading rejected");
    let short = [reading(console(vec![of_zone(1, 1, 0, 1)]))];
    assert_eq!(concluded(&short, &[], &none), (Class::ProbablyCie, false));
}

/// The contract's two sentences once more, in other words, over every pair of readings and every pair of findings.
#[test]
fn every_story_of_two_readings_and_two_checks() {
    let consoles = || ILL.map(|ill| three([(1, 1), ill, (1, 1)])).into_iter().chain([three(WELL), Console::default()]);
    let mut stories = 0;
    for (first, last) in consoles().flat_map(|first| consoles().map(move |last| (first.clone(), last))) {
        for (then, now) in FINDINGS.into_iter().flat_map(|then| FINDINGS.map(|now| (then, now))) {
            let statuses: Vec<_> =
                first.boxes.iter().chain(&last.boxes).map(|b| (b.se_status, b.upstream_status)).collect();
            let seen_ill = statuses.iter().any(|s| *s != (1, 1))
                || [then, now]
                    .iter()
                    .any(|f| [Finding::IngressDown, Finding::ZoneUnhealthy, Finding::KonicleFault].contains(f));
            let suspected = !seen_ill && statuses.len() == 6 && ![then, now].contains(&Finding::Disabled);
            let earlier = Earlier { checks: vec![(az(2), checks(then))], ..Earlier::default() };
            let readings = [reading(first.clone()), reading(last.clone())];
            let class = if seen_ill { Class::ProbablyCie } else { Class::Pcie };
            assert_eq!(concluded(&readings, &[(az(2), checks(now))], &earlier), (class, suspected), "{readings:?}");
            stories += 1;
        }
    }
    assert_eq!(stories, 49 * 36);
}

#[test]
fn the_client_is_suspected_only_where_nothing_speaks_against_it() {
    let with = |statuses, findings: [Option<Finding>; 3]| {
        let checks: Vec<_> = (1..).zip(findings).filter_map(|(n, finding)| Some((az(n), checks(finding?)))).collect();
        diagnose_with(vec![three(statuses)], &checks)
    };
    let well = [(1, 1); 3];
    let healthy = Some(Finding::Healthy);
    for findings in [[None; 3], [healthy; 3], [healthy, Some(Finding::Unknown), None], [Some(Finding::Unknown); 3]] {
        let diagnosis = with(well, findings);
        assert!(diagnosis.client_suspected, "{findings:?}");
        assert_eq!(diagnosis.class, Class::Pcie);
        assert_eq!(diagnosis.verdict.kind, VerdictKind::Registry, "the verdict stays the runbook's");
        assert_eq!(diagnosis.verdict.rule, Rule::AllSeAccepting);
    }
    for finding in [Finding::Disabled, Finding::IngressDown, Finding::ZoneUnhealthy, Finding::KonicleFault] {
        for at in 0..3 {
            let mut findings = [healthy; 3];
            findings[at] = Some(finding);
            let diagnosis = with(well, findings);
            assert!(!diagnosis.client_suspected, "{findings:?}");
            let class = if finding == Finding::Disabled { Class::Pcie } else { Class::ProbablyCie };
            assert_eq!(diagnosis.class, class, "{findings:?}");
        }
    }
    for bad in [(1, 0), (1, -1), (0, 1), (0, 0), (0, -1)] {
        for at in 0..3 {
            let mut statuses = well;
            statuses[at] = bad;
            assert!(!with(statuses, [healthy; 3]).client_suspected, "{statuses:?}");
        }
    }
    assert!(!diagnose_all(vec![Console::default()]).client_suspected, "there must be a box");
}

#[test]
fn an_unlisted_zones_finding_speaks_too() {
    let mut seen = three([(1, 1); 3]);
    seen.boxes.push(of_zone(4, 1, 1, 1));
    let off = [(az(4), checks(Finding::Disabled))];
    assert!(!diagnose_with(vec![seen.clone()], &off).client_suspected);
    seen.boxes.pop();
    assert!(!diagnose_with(vec![seen], &off).client_suspected, "shown or not");
}

/// lifecycle.md#the-verdict: what is taken again, being too old for a page, is a re-run of what was read before.
#[test]
fn recovered_when_it_is_taken_again_it_is_transient_and_not_registrys() {
    let (region, expected) = (region(), expected());
    let rejecting = three([(0, 1); 3]);
    for (taken_again, rule, kind) in
        [(false, Rule::AllSeAccepting, VerdictKind::Registry), (true, Rule::RecoveredOnRerun, VerdictKind::Transient)]
    {
        let earlier = Earlier { taken_again, ..read_before(rejecting.clone()) };
        let readings = [well()];
        let d = diagnose(&Evidence {
            region: &region,
            expected: &expected,
            readings: &readings,
            checks: &[],
            earlier: &earlier,
            listed: &[],
        });
        assert_eq!((d.verdict.rule, d.verdict.kind), (rule, kind), "{}", d.verdict.summary);
        assert!(!d.verdict.summary.contains("re-run 0"), "{}", d.verdict.summary);
        // One that rejects all the same is read once more by itself before anybody is paged.
        let persists = [reading(rejecting.clone())];
        let d = diagnose(&Evidence {
            region: &region,
            expected: &expected,
            readings: &persists,
            checks: &[],
            earlier: &earlier,
            listed: &[],
        });
        assert_eq!(d.verdict.kind, VerdictKind::Transient, "{}", d.verdict.summary);
    }
}
