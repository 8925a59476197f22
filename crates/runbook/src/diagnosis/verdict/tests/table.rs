//! All 216 combinations of three zones, against the contract's table stated once more in other words.

use super::*;

const PAIRS: [(u8, i8); 6] = [(1, 1), (1, 0), (1, -1), (0, 1), (0, 0), (0, -1)];

fn combinations() -> impl Iterator<Item = [(u8, i8); 3]> {
    PAIRS.into_iter().flat_map(|a| PAIRS.into_iter().flat_map(move |b| PAIRS.into_iter().map(move |c| [a, b, c])))
}

/// By counting, where the code asks box by box.
fn stated(statuses: &[(u8, i8)], rerun: bool) -> (VerdictKind, Rule) {
    let accepting = statuses.iter().filter(|s| s.0 == 1).count();
    let up = statuses.iter().filter(|s| s.1 == 1).count();
    let whole = statuses.iter().filter(|s| **s == (1, 1)).count();
    let all = statuses.len();
    if accepting == all && rerun && whole == all {
        (VerdictKind::Transient, Rule::RecoveredOnRerun)
    } else if accepting == all {
        (VerdictKind::Registry, Rule::AllSeAccepting)
    } else if accepting > 0 {
        (VerdictKind::Mixed, Rule::MixedStatus)
    } else if up == 0 {
        (VerdictKind::Registry, Rule::AllSeRejectingUpstreamDown)
    } else if rerun {
        (VerdictKind::ServiceEndpoint, Rule::AllSeRejectingUpstreamUp)
    } else {
        (VerdictKind::Transient, Rule::AllSeRejectingUpstreamUp)
    }
}

#[test]
fn as_a_first_reading() {
    assert_eq!(combinations().count(), 216);
    for statuses in combinations() {
        let (kind, rule) = stated(&statuses, false);
        let seen = three(statuses);
        assert_eq!(judge(&region(), &expected(), &seen, false), rule, "{statuses:?}");
        let verdict = diagnose_all(vec![seen]).verdict;
        assert_eq!((verdict.kind, verdict.rule), (kind, rule), "{statuses:?}");
    }
}

#[test]
fn as_a_rerun_whatever_came_before() {
    for statuses in combinations() {
        let (kind, rule) = stated(&statuses, true);
        for before in [three([(0, 1); 3]), three([(1, 1); 3]), three([(1, 1), (0, 0), (0, 1)]), Console::default()] {
            let seen = three(statuses);
            assert_eq!(judge(&region(), &expected(), &seen, true), rule, "{statuses:?}");
            let verdict = diagnose_all(vec![before, seen]).verdict;
            assert_eq!((verdict.kind, verdict.rule), (kind, rule), "{statuses:?}");
        }
    }
}

#[test]
fn with_two_boxes_a_zone() {
    // The first zone's second box takes each status too: 6 × 216.
    for statuses in combinations() {
        for second in PAIRS {
            let mut seen = three(statuses);
            seen.boxes.insert(1, of_zone(1, 2, second.0, second.1));
            let all = [statuses[0], second, statuses[1], statuses[2]];
            for rerun in [false, true] {
                assert_eq!(judge(&region(), &expected(), &seen, rerun), stated(&all, rerun).1, "{all:?}");
            }
            assert!(is_complete(&region(), &expected(), &seen));
        }
    }
}

#[test]
fn with_one_zone_missing() {
    for statuses in combinations() {
        let mut seen = three(statuses);
        seen.boxes.pop();
        let rule = if statuses[0].0 == statuses[1].0 { Rule::IncompleteReading } else { Rule::MixedStatus };
        for rerun in [false, true] {
            assert_eq!(judge(&region(), &expected(), &seen, rerun), rule, "{statuses:?}");
        }
    }
}

#[test]
fn class_follows_kind_and_suspicion() {
    for statuses in combinations() {
        let diagnosis = diagnose_all(vec![three(statuses)]);
        assert_eq!(diagnosis.client_suspected, statuses == [(1, 1); 3], "{statuses:?}");
        let class = if statuses == [(1, 1); 3] { Class::Pcie } else { Class::ProbablyCie };
        assert_eq!(diagnosis.class, class, "{statuses:?}");
    }
}
