//! Whether a bigger outage keeps a run waiting. Pure. Runbook: "deal with this PD first and see if this resolves".

#[cfg(test)]
mod lives;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::span::{after, between};

/// How long a bigger outage keeps a run waiting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// `SUPPRESSION_RECHECK`: ask again for related pages.
    pub recheck: Duration,
    /// `SUPPRESSION_SETTLE`: wait so long after the last one closed.
    pub settle: Duration,
    /// `SUPPRESSION_MAX`: diagnose anyway after.
    pub max: Duration,
}

/// How a run stands with the pages that explain its alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Suppression {
    /// Since when they explain it; `None`: never.
    pub since: Option<Timestamp>,
    /// Since when none of them is open; `None`: one is, as far as is known.
    pub closed_since: Option<Timestamp>,
    /// It is over, or was waived by a person: the run goes on.
    pub go_on: bool,
}

/// What a run does about the pages that explain its alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// It is diagnosed.
    GoOn,
    /// It waits.
    Park {
        /// Since when the alert is explained.
        since: Timestamp,
        /// Since when none of those pages is open; `None`: one is, or it is not known.
        closed_since: Option<Timestamp>,
        /// How long until it looks again, unless something wakes it.
        wait: Duration,
    },
}

/// Decides. `open` is whether a page that explains the alert is open; `None` where that is not known.
pub fn next(was: Suppression, open: Option<bool>, now: Timestamp, settings: &Settings) -> Next {
    let since = match (was.go_on, was.since, open) {
        (true, ..) => return Next::GoOn,
        (false, Some(since), _) => since,
        (false, None, Some(true)) => now,
        // Not known: the diagnosis goes on, the note says so, and an automatic page is held.
        (false, None, Some(false) | None) => return Next::GoOn,
    };
    let latest = after(since, settings.max);
    if now >= latest {
        return Next::GoOn;
    }
    let closed_since = match open {
        Some(true) => None,
        Some(false) => Some(was.closed_since.unwrap_or(now)),
        None => was.closed_since,
    };
    let settled = closed_since.map(|closed| after(closed, settings.settle));
    // That none is open must be known now, not only have been known once.
    if open == Some(false) && settled.is_some_and(|settled| now >= settled) {
        return Next::GoOn;
    }
    let soonest = [Some(after(now, settings.recheck)), Some(latest), settled.filter(|_| open == Some(false))];
    let wait = between(now, soonest.into_iter().flatten().min().unwrap_or(latest));
    Next::Park { since, closed_since, wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings =
        Settings { recheck: Duration::from_secs(30), settle: Duration::from_secs(120), max: Duration::from_secs(900) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn park(since: i64, closed: Option<i64>, wait: u64) -> Next {
        Next::Park { since: at(since), closed_since: closed.map(at), wait: Duration::from_secs(wait) }
    }

    fn was(since: Option<i64>, closed: Option<i64>) -> Suppression {
        Suppression { since: since.map(at), closed_since: closed.map(at), ..Suppression::default() }
    }

    #[test]
    fn a_run_waits_only_for_what_is_known_to_be_open() {
        assert_eq!(next(was(None, None), Some(true), at(0), &SETTINGS), park(0, None, 30));
        assert_eq!(next(was(None, None), Some(false), at(0), &SETTINGS), Next::GoOn);
        assert_eq!(next(was(None, None), None, at(0), &SETTINGS), Next::GoOn);
    }

    #[test]
    fn it_goes_on_once_they_have_been_closed_long_enough() {
        assert_eq!(next(was(Some(0), None), Some(false), at(60), &SETTINGS), park(0, Some(60), 30));
        assert_eq!(next(was(Some(0), Some(60)), Some(false), at(170), &SETTINGS), park(0, Some(60), 10));
        assert_eq!(next(was(Some(0), Some(60)), Some(false), at(179), &SETTINGS), park(0, Some(60), 1));
        assert_eq!(next(was(Some(0), Some(60)), Some(false), at(180), &SETTINGS), Next::GoOn);
    }

    #[test]
    fn one_that_opens_again_begins_the_wait_anew() {
        assert_eq!(next(was(Some(0), Some(60)), Some(true), at(100), &SETTINGS), park(0, None, 30));
    }

    #[test]
    fn what_is_not_known_ends_no_wait() {
        assert_eq!(next(was(Some(0), Some(60)), None, at(300), &SETTINGS), park(0, Some(60), 30));
        assert_eq!(next(was(Some(0), None), None, at(300), &SETTINGS), park(0, None, 30));
    }

    #[test]
    fn it_is_diagnosed_anyway_in_the_end_and_at_a_persons_word() {
        assert_eq!(next(was(Some(0), None), Some(true), at(890), &SETTINGS), park(0, None, 10));
        for open in [Some(true), Some(false), None] {
            assert_eq!(next(was(Some(0), None), open, at(900), &SETTINGS), Next::GoOn);
            let waived = Suppression { go_on: true, ..was(Some(0), None) };
            assert_eq!(next(waived, open, at(1), &SETTINGS), Next::GoOn);
        }
    }
}
