use super::*;

const TIMES: &Times = &Times::PAGERDUTY;

fn at(second: i64) -> Moment {
    Moment { ours: Timestamp::from_second(second).unwrap(), theirs: None }
}

/// One was sent before, and nobody knows what came of it.
fn in_doubt() -> Write {
    let mut write = Write::default();
    let first = write.begin(0, at(0), TIMES).unwrap();
    write.ended(first, &Outcome::Ambiguous("no answer".into()), at(1));
    write
}

fn sends(write: &Write) -> u32 {
    write.doubt.as_ref().map_or(0, |doubt| doubt.sends)
}

#[test]
fn a_note_that_a_look_shows_before_its_answer_is_recorded_settles_no_other() {
    let mut write = in_doubt();
    let second = write.begin(1, at(20), TIMES).unwrap();
    write.moved("N2");
    write.ended(second, &Outcome::Done("N2".into()), at(21));
    assert_eq!((write.id.as_deref(), sends(&write)), (Some("N2"), 1), "the first may show yet");
}

#[test]
fn a_note_that_a_look_has_counted_is_not_counted_by_its_late_answer_too() {
    let mut write = in_doubt();
    let second = write.begin(1, at(20), TIMES).unwrap();
    write.found("N1", at(30), TIMES);
    assert_eq!(sends(&write), 1, "of two one is known");
    write.ended(second, &Outcome::Done("N1".into()), at(31));
    assert_eq!((write.id.as_deref(), sends(&write)), (Some("N1"), 1));
}
