//! What is done for an alert beside its runs: one pure function says what to ask, what to do and when to wake.
//!
//! [`advance`] takes what is under way ([`Beside`]), what is known of the alert and what came of what it wanted before. It keeps in
//! `Beside` what is decided; whoever works on the alert saves that before it does anything. Advancing twice is advancing once. One
//! file a concern, each a function from its state to its next step. [`run`] is the ladder that a run itself climbs.

mod commands;
#[cfg(test)]
mod lives;
mod looking_again;
mod page;
mod page_watch;
mod resolution;
pub mod run;
#[cfg(test)]
mod tests;
mod what;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::life::{Alert, AlertPage, Beside};
use crate::span::after;
use crate::writes::Moment;

pub use crate::command::Refusal;
pub use commands::Answer;
pub use page::{GIVE_UP_AFTER, HeldPage, KnownPage, LOOK_IN_DOUBT, LOUD_FOR, OpenedPage, PageEnd, PageRow, Tried};
pub use what::{Say, What};

/// The key of telling that the alert is over.
const TELL_END: &str = "end";

/// What is known of an alert.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// Its newest run; `None`: none is known.
    pub newest: Option<&'a Newest>,
    /// Whether any run is active.
    pub is_active: bool,
    /// Its page; `None`: none was wanted.
    pub page: Option<&'a AlertPage>,
    /// Its pages that are wanted, or of whose end is to be told, under all of its names.
    pub pages: &'a [KnownPage],
    /// The keys of commands whose answer was about to be given.
    pub answered: &'a [String],
    /// When a page that may explain alerts was last opened or closed, as far as was heard.
    pub related_changed_at: Option<Timestamp>,
    /// The link of its newest run, as notes have it; empty without one.
    pub run_url: &'a str,
}

/// The newest run of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Newest {
    /// Its id.
    pub run_id: String,
    /// It has not ended.
    pub is_active: bool,
}

/// The settings that it goes by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// `PAGE_ACK_WAIT`.
    pub ack_wait: Duration,
    /// `SUPPRESSION_RECHECK`.
    pub recheck: Duration,
    /// `SUPPRESSION_SETTLE`.
    pub settle: Duration,
    /// `COMMAND_USERS`; empty: anyone.
    pub command_users: Vec<String>,
    /// Between 0 and 1: many that try at a time don't try again at one time.
    pub jitter: f64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Came {
    /// How the alert stands.
    Incident(IncidentNow),
    /// How a page stands.
    Page(PageNow),
    /// Whether pages explain the alert; `None`: that is not known.
    Explained(Option<bool>),
    /// What a try to page came to.
    Tried(Tried),
    /// It is done.
    Done,
    /// It is not done, and may be tried again.
    NotDone,
    /// Something stored can't be read, without which it can't be done, and why: trying again would not help.
    Unreadable(String),
}

impl Came {
    /// Whether it came of something that was done, or tried: what has come meanwhile does not undo that. But that the alert is
    /// over is told once more where that is said again, be it in the same instant: the note was written over.
    fn outlives_news(&self, key: &str) -> bool {
        matches!(self, Self::Done | Self::NotDone | Self::Tried(_)) && key != TELL_END
    }
}

/// How the alert stands in PagerDuty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IncidentNow {
    /// It is open, as this incident: another one where it was merged.
    Open(String),
    /// It is over, as this incident; since when, by PagerDuty's clock.
    Resolved(String, Option<Timestamp>),
    /// PagerDuty can't be asked.
    Unknown,
}

impl IncidentNow {
    /// Whether the alert is over; where PagerDuty can't be asked, by what is stored.
    pub fn is_over(&self, alert: &Alert) -> bool {
        match self {
            Self::Open(_) => false,
            Self::Resolved(..) => true,
            Self::Unknown => alert.resolved_at.is_some(),
        }
    }
}

/// How a page stands in PagerDuty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PageNow {
    /// It is open.
    Open {
        /// Since when, by PagerDuty's clock.
        created_at: Option<Timestamp>,
        /// Who has it; `None`: nobody.
        acknowledged: Option<Acknowledged>,
    },
    /// Nobody works on it any more.
    Resolved,
    /// PagerDuty can't be asked.
    Unknown,
}

/// Who has a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Who.
    pub by: String,
    /// Since when, by our clock.
    pub at: Timestamp,
    /// By PagerDuty's.
    pub there: Option<Timestamp>,
}

/// What came of what was wanted, while somebody works on the alert. It need not be kept: what was asked is asked again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answers(Vec<(String, Timestamp, Came)>, Round);

/// As of which news something was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Round(u32);

impl Answers {
    /// What is asked now is asked as of this.
    pub fn round(&self) -> Round {
        self.1
    }

    /// This came of what was begun then, as of these news. A look that was under way when something came says nothing of that: it
    /// is asked again.
    pub fn came_of(&mut self, round: Round, key: String, began: Timestamp, came: Came) {
        if round == self.1 || came.outlives_news(&key) {
            self.came(key, began, came);
        }
    }

    /// This came of what was begun then.
    pub fn came(&mut self, key: String, began: Timestamp, came: Came) {
        self.0.retain(|(other, ..)| *other != key);
        self.0.push((key, began, came));
    }

    /// What came of it, where it was begun no earlier; with when.
    fn of(&self, what: &What, since: Timestamp) -> Option<(Timestamp, &Came)> {
        let key = what.key();
        let found = self.0.iter().find(|(other, began, _)| *other == key && *began >= since);
        found.map(|(_, began, came)| (*began, came))
    }

    /// Something has come. Forgets how things stood, and what could not be read: it is to be asked again.
    pub fn forget_looks(&mut self) {
        self.1 = Round(self.1.0.wrapping_add(1));
        self.0.retain(|(key, _, came)| came.outlives_news(key));
    }

    /// Why what is stored for it can't be read.
    fn why_unreadable(&self, what: &What) -> Option<&str> {
        let key = what.key();
        self.0.iter().find_map(|(other, _, came)| match came {
            Came::Unreadable(why) if *other == key => Some(why.as_str()),
            _ => None,
        })
    }

    fn incident(&self, since: Timestamp) -> Option<&IncidentNow> {
        match self.of(&What::AskIncident, since) {
            Some((_, Came::Incident(now))) => Some(now),
            _ => None,
        }
    }

    /// Whether it is done; `None`: it was not tried since.
    fn is_done(&self, what: &What, since: Timestamp) -> Option<bool> {
        self.of(what, since).map(|(_, came)| *came == Came::Done)
    }
}

/// What is to be done now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// This, all at once.
    pub actions: Vec<What>,
    /// When to look again; `None`: not by itself.
    pub wake_at: Option<Timestamp>,
    /// What has come to its end.
    pub ended: Vec<Ended>,
}

/// How a concern came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is done, or has become pointless.
    Done,
    /// It is left, which is worth a line.
    Left(&'static str),
    /// It is given up, which somebody must see.
    Lost(String),
}

/// What one concern does next.
enum Step {
    Do(What),
    Wait(Timestamp),
    Over(Ended),
}

impl Step {
    /// Looks again in so long.
    fn later(due: &mut Timestamp, now: Timestamp, wait: Duration) -> Self {
        *due = after(now, wait);
        Self::Wait(*due)
    }
}

/// What all concerns look at.
struct Look<'a> {
    known: &'a Known<'a>,
    answers: &'a Answers,
    policy: &'a Policy,
    now: Moment,
}

/// Says what to do, and keeps what is decided.
pub fn advance(beside: &mut Beside, known: &Known<'_>, answers: &Answers, policy: &Policy, now: Moment) -> Next {
    let look = &Look { known, answers, policy, now };
    let mut next = Next::default();
    beside.commands.retain_mut(|open| next.goes_on(commands::step(open, look), look));
    beside.follow_up.take_if(|it| !next.goes_on(looking_again::follow_up(it, look), look));
    beside.related_again.take_if(|it| !next.goes_on(looking_again::related_again(it, look), look));
    page::take_up(&mut beside.pages, known.pages, now.ours);
    beside.pages.retain_mut(|open| {
        let row = known.pages.iter().find(|row| row.name == open.name);
        row.is_some_and(|row| next.goes_on(page::step(open, row, look), look))
    });
    beside.page_watches.retain_mut(|watch| next.goes_on(page_watch::step(watch, look), look));
    beside.resolution.take_if(|it| !next.goes_on(resolution::step(it, look), look));
    next
}

impl Next {
    /// Whether the concern goes on.
    fn goes_on(&mut self, step: Step, look: &Look<'_>) -> bool {
        match step {
            Step::Do(what) if look.answers.why_unreadable(&what).is_some() => {
                self.ended.push(Ended::Lost(format!("what is stored for it can't be read ({})", what.key())));
                return false;
            }
            Step::Do(what) => {
                let key = what.key();
                // People's commands are obeyed in the order in which they were given.
                let obeys = |other: &What| matches!(other, What::Obey(_));
                let waits = obeys(&what) && self.actions.iter().any(obeys);
                if !waits && self.actions.iter().all(|other| other.key() != key) {
                    self.actions.push(what);
                }
            }
            Step::Wait(until) => self.wake_at = Some(self.wake_at.map_or(until, |at| at.min(until))),
            Step::Over(ended) => {
                self.ended.push(ended);
                return false;
            }
        }
        true
    }
}
