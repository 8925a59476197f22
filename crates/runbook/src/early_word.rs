//! When a run is owed its early word: the one short note for who waits for a diagnosis that takes long. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::run::{State, Trigger};
use crate::span::after;

/// What of a run without a diagnosis decides about its early word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undiagnosed {
    /// How it stands; `None`: that can't be read.
    pub state: Option<State>,
    /// What made it; `None`: that can't be read.
    pub trigger: Option<Trigger>,
    /// When it was made.
    pub created_at: Timestamp,
    /// It has waited for a bigger outage to end, or does.
    pub waits: Option<Waits>,
    /// When it is next to be worked on.
    pub due_at: Timestamp,
    /// What is recorded of its word.
    pub word: Recorded,
}

/// How a run stands that has waited for a bigger outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// It waits, or looks whether it may go on.
    Still,
    /// It goes on, since then; `None`: it was never kept waiting.
    GoesOn(Option<Timestamp>),
}

/// What is recorded of an early word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Nothing.
    Nothing,
    /// It is wanted: the run's first reading may be transient, or it was about to be written.
    Wanted,
    /// It is written.
    Written,
}

/// When the early word of a run is due; `None`: it is owed none. `note_by` after it was made, or since its suppression ended, or
/// since somebody was to look whether it has ended; one that wants it by itself has it at once.
pub fn due_at(run: &Undiagnosed, note_by: Duration) -> Option<Timestamp> {
    // A second look is silent.
    if !run.state.is_some_and(State::is_active) || run.trigger == Some(Trigger::FollowUp) {
        return None;
    }
    let from = match (run.word, run.waits) {
        (Recorded::Written, _) => return None,
        (Recorded::Wanted, _) => return Some(run.created_at),
        (Recorded::Nothing, None) => run.created_at,
        (Recorded::Nothing, Some(Waits::GoesOn(since))) => since.unwrap_or(run.created_at),
        // It has said that it waits: its word is owed where nobody comes to look.
        (Recorded::Nothing, Some(Waits::Still)) if run.state == Some(State::Suppressed) => run.due_at,
        (Recorded::Nothing, Some(Waits::Still)) => return None,
    };
    Some(after(from, note_by))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// lifecycle.md#jenkins-and-the-clusters: `NOTE_BY`, from the begin of the run or from the end of its suppression.
    /// What it is, and after how many seconds its word is due.
    #[test]
    fn a_run_is_owed_its_early_word_from_its_begin_or_the_end_of_its_suppression() {
        let run = Undiagnosed {
            state: Some(State::Running),
            trigger: Some(Trigger::Webhook),
            created_at: at(0),
            waits: None,
            due_at: at(300),
            word: Recorded::Nothing,
        };
        let (still, goes_on) = (Some(Waits::Still), |since: i64| Some(Waits::GoesOn(Some(at(since)))));
        for (what, run, due) in [
            ("running", run, Some(90)),
            ("queued", Undiagnosed { state: Some(State::Queued), ..run }, Some(90)),
            ("over", Undiagnosed { state: Some(State::Failed), ..run }, None),
            ("unreadable", Undiagnosed { state: None, ..run }, None),
            ("a second look", Undiagnosed { trigger: Some(Trigger::FollowUp), ..run }, None),
            ("made by nobody knows what", Undiagnosed { trigger: None, ..run }, Some(90)),
            ("written", Undiagnosed { word: Recorded::Written, ..run }, None),
            ("wanted", Undiagnosed { word: Recorded::Wanted, ..run }, Some(0)),
            (
                "wanted by a second look",
                Undiagnosed { word: Recorded::Wanted, trigger: Some(Trigger::FollowUp), ..run },
                None,
            ),
            ("waits", Undiagnosed { state: Some(State::Suppressed), waits: still, ..run }, Some(390)),
            ("looks whether it may go on", Undiagnosed { waits: still, ..run }, None),
            ("looks, and wants it", Undiagnosed { waits: still, word: Recorded::Wanted, ..run }, Some(0)),
            ("goes on", Undiagnosed { waits: goes_on(50), ..run }, Some(140)),
            ("is to go on", Undiagnosed { state: Some(State::Suppressed), waits: goes_on(50), ..run }, Some(140)),
            ("was never to wait", Undiagnosed { waits: Some(Waits::GoesOn(None)), ..run }, Some(90)),
        ] {
            assert_eq!(due_at(&run, Duration::from_secs(90)), due.map(at), "{what}");
        }
    }
}
