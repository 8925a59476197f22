//! The lives of a note's text: two workers tell what is true, each when it hears of news, beside the task that sees to the
//! edits; with crashes, lost answers and edits that take effect late, in every order. At rest the newest text stands.

mod moves;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Moment, Times, Write};
use crate::search::{self, search, search_nearest};

/// Few and short, so that few different times exist; their order is that of the real ones.
const TIMES: Times = Times { read_lag: seconds(1), longest_write: seconds(1), looks: &[seconds(2), seconds(4)] };
/// How long after it was sent an edit may take effect late: with the lag, less than the last look.
const LATE: Duration = seconds(2);
/// What lies further back makes no difference.
const LONG_AGO: SignedDuration = SignedDuration::from_secs(6);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn now() -> Moment {
    Moment { ours: Timestamp::UNIX_EPOCH, theirs: None }
}

/// A fault that is planted, which the search must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Planted {
    None,
    /// It is found what is true before it is seen what was begun.
    TruthFirst,
    /// What was certainly not done is left to nobody.
    UndoneForgotten,
    /// What an edit without an answer may do late is not looked for.
    LateForgotten,
}

/// Somebody who tells what is true.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Teller {
    /// Has heard that something is true now that was not.
    Heard,
    /// Was overtaken, and looks again.
    Overtaken,
    /// Has seen what was begun.
    Saw {
        attempt: u32,
        was_overtaken: bool,
    },
    /// Has found after that what is true.
    Decided {
        attempt: u32,
        text: u8,
    },
    Sends(Send),
}

/// An edit on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Send {
    attempt: u32,
    text: u8,
    /// It ends by then, if only without an answer.
    until: Timestamp,
    /// It has taken effect, and is not answered yet.
    is_done: bool,
}

/// The task that sees to the edits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Looker {
    /// Has looked then, and seen this text; or needed no look.
    Saw {
        began: Moment,
        attempt: u32,
        text: Option<u8>,
    },
    Sends {
        began: Moment,
        send: Send,
    },
    /// What it wanted stands.
    Knows {
        began: Moment,
        attempt: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    news: u8,
    /// How many may tell at one time.
    tellers: u8,
    crashes: u8,
    lost: u8,
    late: u8,
    failed: u8,
}

/// All times are relative: it is always [`now`].
#[derive(Clone, Debug, Hash)]
struct Text {
    planted: Planted,
    write: Write,
    /// The newest text that was begun, as recorded.
    wanted: u8,
    /// What is true: a later text has a larger number.
    truth: u8,
    tellers: [Option<Teller>; 2],
    looker: Option<Looker>,
    /// What stands, and what lists show of it, for how long at most.
    stands: u8,
    shown: u8,
    lags_until: Option<Timestamp>,
    /// Those that may take effect late, and until when.
    late: Vec<(u8, Timestamp)>,
    /// An older text was begun after a newer one.
    went_back: bool,
    may: Budget,
}

type Steps = Vec<(&'static str, Text)>;

impl Text {
    fn new(planted: Planted, may: Budget) -> Self {
        Self {
            planted,
            write: Write::default(),
            wanted: 0,
            truth: 0,
            tellers: [None, None],
            looker: None,
            stands: 0,
            shown: 0,
            lags_until: None,
            late: Vec::new(),
            went_back: false,
            may,
        }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        change(&mut next);
        next
    }
}

impl search::World for Text {
    fn steps(&self) -> Steps {
        if let Some(next) = self.must_happen() {
            return vec![next];
        }
        let mut steps = self.news();
        for place in 0..self.tellers.len() {
            steps.extend(self.tells(place));
        }
        steps.extend(self.looks());
        steps.extend(self.shows());
        steps.extend(self.takes_effect_late());
        steps.extend(self.crashes());
        steps.extend(self.tick().map(|next| ("time passes", next)));
        steps.iter_mut().for_each(|(_, next)| next.forget_old_attempts());
        steps
    }

    fn broken(&self) -> Option<String> {
        self.went_back.then(|| "an older text was begun after a newer one".to_owned())
    }

    fn is_at_rest(&self) -> bool {
        self.tellers.iter().all(Option::is_none)
            && self.looker.is_none()
            && self.late.is_empty()
            && self.lags_until.is_none()
            && self.due_in().is_none()
    }

    fn broken_at_rest(&self) -> Option<String> {
        (self.stands != self.truth).then(|| format!("text {} stands, and {} is true", self.stands, self.truth))
    }

    fn calm(&self) -> Self {
        let first = |steps: Steps| steps.into_iter().next().map(|(_, next)| next);
        let told = || (0..self.tellers.len()).find_map(|place| first(self.tells(place)));
        self.must_happen()
            .map(|(_, next)| next)
            .or_else(|| self.shows().map(|(_, next)| next))
            .or_else(|| first(self.takes_effect_late()))
            .or_else(told)
            .or_else(|| first(self.looks()))
            .or_else(|| self.tick())
            .map(|mut next| {
                next.forget_old_attempts();
                next
            })
            .unwrap_or_else(|| self.clone())
    }
}

/// The world of texts has no end that is near: what is searched is each life up to some length.
fn nearest_lives(may: Budget) {
    let seen = search_nearest(Text::new(Planted::None, may), NEAR).unwrap_or_else(|fault| panic!("{fault:#?}"));
    search::say(&format!("texts, {may:?}"), &seen);
    assert!(seen.depth > 10, "{seen:?}");
}

const NEAR: usize = 20_000;

#[test]
fn in_the_nearest_lives_the_newest_text_is_left() {
    let nothing = Budget { news: 2, tellers: 2, crashes: 0, lost: 0, late: 0, failed: 0 };
    nearest_lives(Budget { failed: 1, lost: 1, ..nothing });
    nearest_lives(Budget { tellers: 1, lost: 1, late: 1, ..nothing });
    nearest_lives(Budget { crashes: 1, late: 1, ..nothing });
}

#[test]
fn a_fault_that_is_planted_in_an_edit_is_found() {
    let nothing = Budget { news: 2, tellers: 2, crashes: 0, lost: 0, late: 0, failed: 0 };
    for (planted, may) in [
        (Planted::TruthFirst, nothing),
        (Planted::UndoneForgotten, Budget { failed: 1, ..nothing }),
        (Planted::LateForgotten, Budget { lost: 1, late: 1, ..nothing }),
    ] {
        let fault = search(Text::new(planted, may)).err().unwrap_or_else(|| panic!("{planted:?} is not found"));
        println!("{planted:?}: {} after {} states: {}", fault.why, fault.states, fault.trace.join(", "));
        assert!(fault.trace.len() < 25, "{planted:?}: {fault:#?}");
    }
}
