//! What is searched in each test, and the faults that are planted.

use super::{Budget, Lives, Planted, Verdict};
use crate::command::Word;
use crate::search::{say, search_nearest};

pub(super) const NOTHING: Budget = Budget {
    changes: 0,
    merges: 0,
    commands: 0,
    words: &[],
    acts: 0,
    related: 0,
    late: 0,
    twice: 0,
    crashes: 0,
    freezes: 0,
    fails: 0,
    client: 0,
    tells: None,
    verdicts: &[Verdict::Settled],
};

/// Only what is nearer is searched whole where there are more states than so many.
const NEAR: usize = 10_000;
const WORDS: &[Word] = &[Word::Rerun, Word::Escalate, Word::Hold];

fn every_life(what: &str, alerts: usize, may: Budget, most: usize) {
    let seen =
        search_nearest(Lives::new(Planted::None, alerts, may), most).unwrap_or_else(|e| panic!("{what}: {e:#?}"));
    let all = if seen.states < most { "all" } else { "the nearest" };
    say(&format!("an alert {what}, {all}"), &seen);
    assert!(seen.states > 1000, "{what}: {seen:?}");
}

fn lives_of_one(most: usize) {
    use Verdict::{MayChange, Page};
    every_life("resolved and reopened, late", 1, Budget { changes: 3, late: 1, ..NOTHING }, most);
    every_life("resolved and reopened, twice, killed", 1, Budget { changes: 2, twice: 1, crashes: 1, ..NOTHING }, most);
    let looks_again = Budget { changes: 1, crashes: 1, fails: 1, verdicts: &[MayChange], ..NOTHING };
    every_life("followed up", 1, looks_again, most);
    every_life("related pages", 1, Budget { changes: 1, related: 2, crashes: 1, ..NOTHING }, most);
    every_life("paged", 1, Budget { changes: 2, acts: 1, crashes: 1, verdicts: &[Page], ..NOTHING }, most);
    let commanded = Budget { commands: 1, words: WORDS, changes: 1, ..NOTHING };
    every_life("commanded, killed", 1, Budget { crashes: 1, twice: 1, ..commanded }, most);
    every_life("commanded, frozen", 1, Budget { changes: 2, freezes: 1, ..commanded }, most);
    let waits = Budget { related: 2, changes: 1, ..NOTHING };
    every_life("suppressed, commanded", 1, Budget { related: 1, commands: 1, words: &[Word::Rerun], ..waits }, most);
    let ages = Budget { fails: 2, verdicts: &[Page], ..NOTHING };
    every_life("paged by evidence that ages", 1, ages, most);
    every_life(
        "the same, killed and held",
        1,
        Budget { fails: 1, crashes: 1, commands: 1, words: &[Word::Hold], ..ages },
        most,
    );
    let client = Budget { client: 2, verdicts: &[Page], ..NOTHING };
    every_life("with a client, killed", 1, Budget { crashes: 1, changes: 1, ..client }, most);
    every_life("with a client, evidence that ages", 1, Budget { fails: 1, ..client }, most);
    every_life("commanded twice", 1, Budget { commands: 2, changes: 0, fails: 1, ..commanded }, most);
    // An end that comes before its begin is forgotten: it is asked for, and PagerDuty answers.
    every_life("with all at once", 1, Budget { fails: 0, ..all_at_once(0) }, most);
    every_life("with all at once, unasked", 1, Budget { late: 0, twice: 0, ..all_at_once(0) }, most);
}

/// One of each.
fn all_at_once(merges: u8) -> Budget {
    use Verdict::{MayChange, Page};
    Budget {
        changes: 1,
        merges,
        commands: 1,
        words: WORDS,
        acts: 1,
        related: 1,
        late: 1,
        twice: 1,
        crashes: 1,
        freezes: 1,
        fails: 1,
        client: 2,
        tells: None,
        verdicts: &[Page, MayChange],
    }
}

fn lives_of_two(most: usize) {
    use Verdict::{MayChange, Page};
    let merged = Budget { merges: 1, ..NOTHING };
    every_life("merged and opened again", 2, Budget { changes: 1, crashes: 1, ..merged }, most);
    every_life("merged, paged", 2, Budget { verdicts: &[Page], ..merged }, most);
    every_life("merged, followed up", 2, Budget { verdicts: &[MayChange], ..merged }, most);
    every_life("merged, commanded", 2, Budget { commands: 1, words: WORDS, ..merged }, most);
    every_life("merged, with all at once", 2, all_at_once(1), most);
}

/// lifecycle.md#commands, #looking-again and #the-alert-ends: each command once, three follow-ups, an end that is told.
#[test]
fn in_every_life_of_an_alert_it_ends_as_promised() {
    lives_of_one(NEAR);
}

/// lifecycle.md#a-run-begins: merged into another open incident, that is the alert from now on.
#[test]
fn in_every_life_of_two_alerts_that_are_merged_one_goes_on_for_both() {
    lives_of_two(NEAR);
}

/// Millions of states.
#[test]
#[ignore = "scripts/check-release runs it"]
fn in_every_life_whole_it_ends_as_promised() {
    lives_of_one(3_000_000);
    lives_of_two(3_000_000);
}

#[test]
fn a_fault_that_is_planted_in_a_life_is_found() {
    use Verdict::{MayChange, Page};
    let changes = Budget { changes: 3, ..NOTHING };
    let looks_again = Budget { changes: 1, verdicts: &[MayChange], ..NOTHING };
    let paged = Budget { changes: 1, verdicts: &[Page], ..NOTHING };
    let said = Budget { commands: 1, words: &[Word::Rerun], ..NOTHING };
    let merged = Budget { merges: 1, ..NOTHING };
    for (planted, alerts, may, why) in [
        (Planted::OpenUnguarded, 1, changes, "undone by what was seen before"),
        (Planted::RunOpensUnguarded, 1, changes, "undone by what was seen before"),
        (Planted::OldLookCounts, 1, looks_again, "a run is begun for what is over"),
        (Planted::LookUnderWayCounts, 1, looks_again, "a run is begun for what is over"),
        (Planted::OldLookCounts, 1, paged, "a silence is said of an alert that is over"),
        (Planted::LookUnderWayCounts, 1, Budget { changes: 1, ..said }, "obeyed on what is over"),
        (Planted::ObeyedKeptLater, 1, Budget { crashes: 1, ..said }, "obeyed twice"),
        (Planted::RefusalNotKept, 1, Budget { changes: 1, ..said }, "answered that it is not"),
        (Planted::MergeForgetsWatches, 2, Budget { verdicts: &[Page], ..merged }, "no watch"),
        (Planted::MergeForgetsCommands, 2, Budget { commands: 1, words: &[Word::Hold], ..merged }, "lost by a merge"),
        (Planted::MergeForgetsCommands, 2, Budget { commands: 1, words: &[Word::Rerun], ..merged }, "has no answer"),
        (Planted::BothGoOn, 2, merged, "two runs"),
        (Planted::FollowUpsUncounted, 1, Budget { changes: 0, ..looks_again }, "more follow-ups"),
        (Planted::NoteSentBlindly, 1, Budget { crashes: 1, ..NOTHING }, "two notes of one run"),
        (Planted::NotedForgotten, 1, Budget { crashes: 1, ..paged }, "two notes of one run"),
        (Planted::GoOnForgotten, 1, Budget { related: 3, crashes: 1, ..NOTHING }, "waits once more"),
        (Planted::PageSentBlindly, 1, Budget { changes: 0, fails: 1, ..paged }, "paged twice"),
        (Planted::LastLookForgotten, 1, paged, "paged for what is over"),
        (Planted::LastLookForgotten, 1, Budget { changes: 0, related: 1, ..paged }, "a bigger outage explains"),
        (Planted::HoldForgotten, 1, Budget { commands: 1, words: &[Word::Hold], ..paged }, "a person holds it"),
        (Planted::AgeForgotten, 1, Budget { changes: 0, fails: 1, ..paged }, "evidence that is too old"),
        (Planted::RetakesUncounted, 1, Budget { changes: 0, fails: 3, ..paged }, "taken again more often"),
        (Planted::EarlyClientCounts, 1, Budget { changes: 0, client: 2, ..paged }, "the client says"),
    ] {
        let lives = Lives::new(planted, alerts, may);
        let fault = search_nearest(lives, 200_000).err().unwrap_or_else(|| panic!("{planted:?} is not found: {why}"));
        println!("{planted:?}: {} after {} states: {}", fault.why, fault.states, fault.trace.join(", "));
        assert!(fault.why.contains(why), "{planted:?}: {fault:#?}");
    }
}
