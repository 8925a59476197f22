//! What is known of one message, and what is done next of it: the protocol of [`crate::writes`], with edits that replace.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::span::after;
use crate::writes::{Moment, Next, NotBegun, Outcome, Settling, Times, Write};

/// The times that telling goes by: Slack and GHE show at once what they have taken, but a request whose answer was lost may
/// be taken a little later.
pub const TIMES: Times = Times { read_lag: LAG, longest_write: Duration::from_secs(30), looks: &[LAG] };
const LAG: Duration = Duration::from_secs(12);

/// For how long it is tried. Contract 9: "they are tried for 6 h".
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(6 * 3600);

/// The first and the longest wait of our own between two tries.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Whether the text that was last sent stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Edit {
    /// It does.
    #[default]
    Stands,
    /// It was about to be sent then, and what came of it is not recorded.
    Open(Timestamp),
    /// It may, or an older one: nothing is sent until then, so that no older one comes after it.
    Doubt(Timestamp),
    /// It does not: it is to be sent.
    Due,
    /// It does not, and is not sent any more.
    GivenUp,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it stands, or is given up.
    Nothing,
    /// Nothing before then.
    Wait(Timestamp),
    /// It may stand: look whether it does.
    Look,
    /// Record the intent, and send it.
    Post,
    /// Record the intent, and replace its text.
    Edit,
    /// It is not told: say so, and count it.
    GiveUp,
}

/// What is known of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Told {
    /// Its post.
    pub write: Write,
    /// The text that was last sent.
    pub text: String,
    /// Whether that stands.
    pub edit: Edit,
    /// Since when another text is tried; `None`: none is.
    pub edit_since: Option<Timestamp>,
    /// It is not told, and not tried any more.
    pub ended: bool,
    /// Tries that failed since the last that did not.
    pub tries: u32,
    /// It rests until then.
    pub rests_until: Option<Timestamp>,
    /// Of a root message: the announcement that it was first wanted with.
    pub opened_with: Option<String>,
}

impl Told {
    /// Whether nothing is left to be posted.
    pub fn is_settled(&self) -> bool {
        self.ended || self.write.id.is_some()
    }

    /// What is done next, where this is its text by now; wanted since then.
    pub fn next(&self, wanted: &str, is_edited: bool, since: Timestamp, now: Timestamp) -> Step {
        let rest = |step| match self.rests_until {
            Some(until) if now < until => Step::Wait(until),
            _ => step,
        };
        if self.ended {
            return Step::Nothing;
        }
        if self.write.id.is_none() {
            if now >= after(since, GIVE_UP_AFTER) {
                return Step::GiveUp;
            }
            return match self.write.next(&TIMES) {
                Next::Stands(_) => Step::Nothing,
                Next::Send => rest(Step::Post),
                Next::Look(shown) => match self.write.doubt.as_ref().and_then(|doubt| doubt.looked) {
                    Some(_) if now < shown => Step::Wait(shown),
                    _ => rest(Step::Look),
                },
            };
        }
        let is_sent = self.text == wanted;
        if !is_edited || (is_sent && matches!(self.edit, Edit::Stands | Edit::GivenUp)) {
            return Step::Nothing;
        }
        if self.edit_since.is_some_and(|since| now >= after(since, GIVE_UP_AFTER)) {
            return Step::GiveUp;
        }
        match self.edit {
            Edit::Doubt(until) if now < until => Step::Wait(until),
            _ => rest(Step::Edit),
        }
    }

    /// What was begun by who is gone may have been done: for whoever has the right to go on.
    pub fn take_over(&mut self, now: Timestamp) {
        self.write.take_over(Moment { ours: now, theirs: None }, &TIMES);
        if let Edit::Open(at) = self.edit {
            self.edit = Edit::Doubt(after(now.min(after(at, TIMES.longest_write)), LAG));
        }
    }

    /// It is about to be posted with this text, by who last saw the attempt `seen`; gives its number.
    ///
    /// # Errors
    /// It must not be sent.
    pub fn begin(&mut self, text: &str, seen: u32, now: Timestamp) -> Result<u32, NotBegun> {
        let attempt = self.write.begin(seen, Moment { ours: now, theirs: None }, &TIMES)?;
        text.clone_into(&mut self.text);
        Ok(attempt)
    }

    /// This is what came of the post with this number; it may be tried again after `asked`.
    pub fn ended(&mut self, attempt: u32, outcome: &Outcome, now: Timestamp, asked: Option<Duration>) {
        self.write.ended(attempt, outcome, Moment { ours: now, theirs: None });
        match outcome {
            Outcome::Done(_) => self.worked(),
            Outcome::Refused(_) => self.ended = true,
            Outcome::NotSent(_) | Outcome::Ambiguous(_) => self.failed(now, asked),
        }
    }

    /// A look that began then has found it, or that it is not there.
    pub fn looked(&mut self, found: Option<&str>, began: Timestamp) {
        let moment = Moment { ours: began, theirs: None };
        match found {
            Some(id) => {
                self.worked();
                self.write.found(id, moment, &TIMES);
                // Which of the texts that were sent it has is not known.
                self.edit = Edit::Due;
            }
            // That it can be looked for says nothing of whether it can be sent: it rests as it did.
            None => self.write.looked(moment, &Settling::default(), &TIMES),
        }
    }

    /// Its text is about to be replaced by this one.
    pub fn begin_edit(&mut self, text: &str, now: Timestamp) {
        text.clone_into(&mut self.text);
        self.edit = Edit::Open(now);
        self.edit_since.get_or_insert(now);
    }

    /// This is what came of that.
    pub fn edited(&mut self, outcome: &Outcome, now: Timestamp, asked: Option<Duration>) {
        match outcome {
            Outcome::Done(_) => {
                self.edit = Edit::Stands;
                self.edit_since = None;
                self.worked();
            }
            Outcome::Refused(_) => {
                self.edit = Edit::GivenUp;
                self.edit_since = None;
            }
            Outcome::NotSent(_) => {
                self.edit = Edit::Due;
                self.failed(now, asked);
            }
            Outcome::Ambiguous(_) => {
                self.edit = Edit::Doubt(after(now, LAG));
                self.failed(now, asked);
            }
        }
    }

    /// It is not tried any more, with this text.
    pub fn give_up(&mut self, text: &str) {
        if self.write.id.is_none() {
            self.ended = true;
        } else {
            text.clone_into(&mut self.text);
            self.edit = Edit::GivenUp;
            self.edit_since = None;
        }
    }

    /// Something else went wrong with it, a look for instance: it rests.
    pub fn failed(&mut self, now: Timestamp, asked: Option<Duration>) {
        self.tries = self.tries.saturating_add(1);
        let own = FIRST_WAIT.saturating_mul(1 << self.tries.saturating_sub(1).min(16)).min(LONGEST_WAIT);
        self.rests_until = Some(after(now, asked.map_or(own, |asked| asked.max(own))));
    }

    fn worked(&mut self) {
        self.tries = 0;
        self.rests_until = None;
    }
}
