//! What the commands' stories don't reach: names, and what serve needs of a report.

use super::*;

#[test]
fn the_manual_explains_every_check_and_no_other() {
    let manual = include_str!("../../docs/doctor.md");
    let rows: Vec<(&str, &str)> = manual
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|').map(|cell| cell.trim().trim_matches('`'));
            Some((cells.next()?, cells.next()?))
        })
        .collect();
    let all: Vec<(&str, &str)> =
        CHECKS.iter().flat_map(|(system, names)| names.iter().map(|name| (system.as_str(), *name))).collect();
    assert_eq!(rows, all);
}

#[test]
fn a_report_is_well_unless_something_failed() {
    let check = |state| Check::new(System::Jenkins, "job", state, "");
    assert!(Report::of(vec![check(State::Ok), check(State::Warning), check(State::Skipped)]).ok);
    let report = Report::of(vec![check(State::Ok), check(State::Failed)]);
    assert!(!report.ok && report.failed().count() == 1);
}
