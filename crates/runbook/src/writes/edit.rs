//! The protocol of a write that replaces: the text of a note. It may be sent again as often as it is wanted, since the same
//! text again changes nothing; but of two texts the older must not stay. So whoever sends says which text was the newest
//! when it decided, and a send whose fate is not known may put an older text back minutes later: it is in doubt as in
//! [`Write`], and each look that finds another text than the newest sends that again.
//!
//! [`Write::id`] is the note whose text is the newest, as far as is known.

use std::time::Duration;

use super::{Moment, NotBegun, Outcome, Settling, Times, Write, plus};

/// How soon it is tried again where it was not done.
pub const AGAIN: Duration = Duration::from_secs(5);

impl Write {
    /// Records that a text, the newest from now on, is about to be sent, by who last saw the attempt `seen`; gives its
    /// number.
    ///
    /// # Errors
    /// Somebody else has begun since, with what may be newer: it must not be sent.
    pub fn begin_edit(&mut self, seen: u32, now: Moment, times: &Times) -> Result<u32, NotBegun> {
        if self.attempt != seen {
            return Err(NotBegun::Lost);
        }
        // Whoever sends it may be alive, and send for as long as a write takes.
        if let Some(intent) = self.intent.take() {
            self.doubted(1, Moment { ours: plus(intent, times.longest_write), theirs: None });
        }
        self.id = None;
        self.attempt += 1;
        self.intent = Some(now.ours);
        Ok(self.attempt)
    }

    /// Records what came of the send with this number; whether it was the newest.
    pub fn edited(&mut self, attempt: u32, outcome: &Outcome, now: Moment) -> bool {
        let is_newest = self.attempt == attempt && self.intent.take().is_some();
        match outcome {
            Outcome::Done(id) if is_newest => self.id = Some(id.clone()),
            // It may have taken effect after the newer one did.
            Outcome::Done(_) => {
                self.id = None;
                self.doubted(0, now);
            }
            Outcome::Refused(_) | Outcome::NotSent(_) if is_newest => {}
            Outcome::Refused(_) | Outcome::NotSent(_) => self.shown(1),
            Outcome::Ambiguous(_) => self.doubted(u32::from(is_newest), now),
        }
        is_newest
    }

    /// Records a look that began then and found the newest text on the note `id`, or after which that was sent.
    pub fn looked_at_edit(&mut self, id: &str, began: Moment, times: &Times) {
        if self.intent.is_none() {
            self.id = Some(id.to_owned());
        }
        self.looked(began, &Settling::default(), times);
    }

    /// In how long it is to be looked at, or tried again; `None`: the newest text stands, and no older one may come.
    pub fn edit_due_in(&self, now: Moment, times: &Times) -> Option<Duration> {
        let is_undone = self.id.is_none() && self.intent.is_none() && self.attempt > 0;
        self.settle_in(now, times).into_iter().chain(is_undone.then_some(AGAIN)).min()
    }
}
