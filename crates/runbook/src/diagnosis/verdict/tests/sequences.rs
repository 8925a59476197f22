//! Readings one after another.

use super::*;

/// All SE rejecting, upstream up: the runbook's "re-run the job".
fn rejecting() -> Console {
    three([(0, 1), (0, 0), (0, 1)])
}

fn failed() -> Console {
    Console::default()
}

fn short() -> Console {
    console(vec![of_zone(1, 1, 0, 1), of_zone(2, 1, 0, 1)])
}

fn well() -> Console {
    three([(1, 1); 3])
}

fn mixed() -> Console {
    three([(1, 1), (0, 1), (0, 0)])
}

fn down() -> Console {
    three([(0, 0); 3])
}

fn accepting() -> Console {
    three([(1, 0); 3])
}

fn wants(readings: Vec<Console>) -> bool {
    let readings: Vec<_> = readings.into_iter().map(reading).collect();
    wants_rerun(&Evidence {
        region: &region(),
        expected: &expected(),
        readings: &readings,
        checks: &[],
        earlier: &Earlier::default(),
        listed: &[],
    })
}

#[test]
fn only_a_transient_state_calls_for_the_first_rerun() {
    assert!(wants(vec![rejecting()]));
    for other in [failed(), short(), well(), mixed(), down(), accepting()] {
        assert!(!wants(vec![other.clone()]), "{other:?}");
    }
    assert!(!wants(vec![]));
}

#[test]
fn a_rerun_that_persists_or_tells_nothing_is_followed_by_the_next() {
    for before in [rejecting(), failed(), well()] {
        for next in [rejecting(), failed(), short()] {
            assert!(wants(vec![before.clone(), next.clone()]), "{next:?}");
            assert!(wants(vec![before.clone(), failed(), next.clone()]), "{next:?}");
        }
        for last in [well(), mixed(), down(), accepting()] {
            assert!(!wants(vec![before.clone(), last.clone()]), "{last:?}");
        }
    }
}

#[test]
fn a_story_of_each_kind() {
    use Rule::*;
    let stories: [(Vec<Console>, VerdictKind, Rule); 10] = [
        (vec![rejecting()], VerdictKind::Transient, AllSeRejectingUpstreamUp),
        (vec![rejecting(), well()], VerdictKind::Transient, RecoveredOnRerun),
        (vec![rejecting(), rejecting()], VerdictKind::ServiceEndpoint, AllSeRejectingUpstreamUp),
        (vec![rejecting(), failed(), rejecting()], VerdictKind::ServiceEndpoint, AllSeRejectingUpstreamUp),
        (vec![failed(), rejecting()], VerdictKind::ServiceEndpoint, AllSeRejectingUpstreamUp),
        (vec![rejecting(), rejecting(), failed()], VerdictKind::Inconclusive, NoReading),
        (vec![rejecting(), rejecting(), short()], VerdictKind::Inconclusive, IncompleteReading),
        (vec![rejecting(), mixed()], VerdictKind::Mixed, MixedStatus),
        (vec![rejecting(), down()], VerdictKind::Registry, AllSeRejectingUpstreamDown),
        (vec![rejecting(), accepting()], VerdictKind::Registry, AllSeAccepting),
    ];
    for (readings, kind, rule) in stories {
        let count = readings.len();
        let diagnosis = diagnose_all(readings);
        assert_eq!((diagnosis.verdict.kind, diagnosis.verdict.rule), (kind, rule));
        assert_eq!(diagnosis.readings.len(), count);
        // Each of them rejected at some time.
        assert_eq!((diagnosis.class, diagnosis.client_suspected), (Class::ProbablyCie, false));
    }
}

/// The statuses of zone 1's first box tell which reading is shown.
fn shown(readings: Vec<Console>) -> (usize, Option<(u8, i8)>) {
    let diagnosis = diagnose_all(readings);
    let first = diagnosis.zones[0].boxes.first().map(|b| (b.se_status, b.upstream_status));
    (diagnosis.zones.iter().map(|z| z.boxes.len()).sum(), first)
}

#[test]
fn an_inconclusive_last_reading_shows_the_last_complete_one() {
    assert_eq!(shown(vec![mixed(), rejecting(), short()]), (3, Some((0, 1))));
    assert_eq!(shown(vec![mixed(), rejecting(), failed(), failed()]), (3, Some((0, 1))));
    assert_eq!(shown(vec![rejecting(), mixed(), failed()]), (3, Some((1, 1))), "mixed may be complete");
    assert_eq!(shown(vec![down(), short(), failed()]), (3, Some((0, 0))), "complete before newer");
}

#[test]
fn without_a_complete_one_the_last_with_a_box_is_shown() {
    let other = console(vec![of_zone(1, 1, 1, -1)]);
    assert_eq!(shown(vec![short(), other.clone(), failed()]), (1, Some((1, -1))));
    assert_eq!(shown(vec![other, short(), failed()]), (2, Some((0, 1))));
    assert_eq!(shown(vec![failed(), short()]), (2, Some((0, 1))));
    assert_eq!(shown(vec![failed(), failed()]), (0, None));
    let summary = diagnose_all(vec![failed(), failed()]).verdict.summary;
    assert!(!summary.contains("shown"), "there is nothing older to show: {summary}");
}

#[test]
fn a_conclusive_last_reading_is_shown_even_where_zones_are_missing() {
    let partly = console(vec![of_zone(1, 1, 1, 1), of_zone(2, 1, 0, 1)]);
    assert_eq!(shown(vec![rejecting(), partly]), (2, Some((1, 1))));
}

#[test]
fn focus_and_broken_at_follow_the_boxes_shown() {
    let checks: Vec<_> = (1..=3).map(|n| (az(n), checks(Finding::Healthy))).collect();
    let diagnosis = diagnose_with(vec![three([(0, 0), (0, -1), (0, 1)]), failed()], &checks);
    assert_eq!(names_of(&diagnosis.focus), ["az3", "az1", "az2"]);
    let broken: Vec<_> = diagnosis.zones.iter().map(|z| z.broken_at).collect();
    assert_eq!(broken, [BrokenAt::SeTo10443, BrokenAt::SeTo10443, BrokenAt::MagicBox]);
    assert_eq!(diagnosis.readings[1].boxes, 0, "the list of readings stays true");
}

#[test]
fn with_no_expected_zone_at_all_nothing_fails() {
    let readings = [reading(failed())];
    let diagnosis = diagnose(&Evidence {
        region: &region(),
        expected: &[],
        readings: &readings,
        checks: &[],
        earlier: &Earlier::default(),
        listed: &[],
    });
    assert_eq!(diagnosis.verdict.rule, Rule::NoReading);
    assert_eq!(diagnosis.zones, []);
    let readings = [reading(rejecting()), reading(failed())];
    let diagnosis = diagnose(&Evidence {
        region: &region(),
        expected: &[],
        readings: &readings,
        checks: &[],
        earlier: &Earlier::default(),
        listed: &[],
    });
    assert_eq!(diagnosis.zones.len(), 3, "an empty reading is not the last complete one");
    assert!(diagnosis.zones.iter().all(|z| !z.expected));
}
