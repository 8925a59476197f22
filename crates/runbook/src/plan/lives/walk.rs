//! All at once, and deep: lives that are drawn, each to its end.

use super::{Budget, Lives, Planted, Verdict};
use crate::command::Word;
use crate::notify::lives;
use crate::search::{Walk, drawn_seed, say, walk};

/// Each step draws one of all that may happen.
const STEPS: usize = 60;

/// More of each than any search can have.
fn much(alerts: usize) -> Budget {
    Budget {
        changes: 3,
        merges: u8::from(alerts > 1),
        commands: 3,
        words: &[Word::Rerun, Word::Escalate, Word::Hold, Word::Status],
        acts: 2,
        related: 3,
        late: 1,
        twice: 2,
        crashes: 3,
        freezes: 1,
        fails: 3,
        client: 4,
        tells: Some(lives::Budget { crashes: 0, lost: 2, limits: 2, refusals: 1 }),
        verdicts: &[Verdict::Page, Verdict::MayChange, Verdict::Settled],
    }
}

fn many(lives: usize) {
    let seed = drawn_seed();
    for alerts in [1, 2] {
        let much = much(alerts);
        // As in the slices: an end that comes before its begin is forgotten, and then asked for.
        for (what, may) in [
            ("all at once", Budget { fails: 0, ..much }),
            ("all at once, unasked", Budget { late: 0, twice: 0, ..much }),
        ] {
            let what = format!("{alerts} with {what}, drawn");
            let seen = walk(&Lives::new(Planted::None, alerts, may), Walk { seed, lives, steps: STEPS });
            say(&what, &seen.unwrap_or_else(|fault| panic!("SEARCH_SEED={seed}, {what}: {fault:#?}")));
        }
    }
}

/// Contract 6, as a whole: one note a run, one page an alert, what holds a page, nothing for what is over, each command and each
/// thing told once, and an end.
#[test]
fn in_every_life_that_is_drawn_all_is_kept_at_once() {
    many(300);
}

#[test]
#[ignore = "scripts/check-release runs it"]
fn in_every_life_of_many_that_are_drawn_all_is_kept_at_once() {
    many(200_000);
}

#[test]
fn a_fault_that_is_planted_is_found_in_lives_that_are_drawn() {
    // Not another each time: a rare fault may need more lives than are drawn here.
    let seed = 7_747_630_487_706_592_700;
    for (planted, why) in [
        (Planted::NoteSentBlindly, "two notes of one run"),
        (Planted::HoldForgotten, "a person holds it"),
        (Planted::ObeyedKeptLater, "obeyed"),
    ] {
        let may = Budget { late: 0, twice: 0, ..much(1) };
        let drawn = walk(&Lives::new(planted, 1, may), Walk { seed, lives: 20_000, steps: STEPS });
        let fault = drawn.err().unwrap_or_else(|| panic!("SEARCH_SEED={seed}: {planted:?} is not found"));
        assert!(fault.why.contains(why), "SEARCH_SEED={seed}, {planted:?}: {fault:#?}");
    }
}
