//! Every life of an alert, or of two that are merged and split again: people who resolve, open again, merge and write commands,
//! webhooks that are late, swapped or come twice, looks that show what was true when they began, crashes, frozen workers. The
//! alert and what is decided are the real ones; who works on it and what is stored do here what `src/run/beside.rs` and `store`
//! do, in the same order and with the same guards.

mod faults;
mod given;
mod runs;
mod slices;
mod stored;
mod there;
mod time;
mod worker;

use std::time::Duration;

use jiff::Timestamp;

use given::{Budget, Planted, Verdict};

use super::{Answers, PageNow, Round, What};
use crate::command::Word;
use crate::life::{Alert, Beside};
use crate::run::Trigger;
use crate::search;

/// How long a step in time is. The plan's shorter waits are over by then: it may look as late as it likes.
const TICK: Duration = Duration::from_secs(60);
/// By which names PagerDuty has the alerts.
const NAMES: [&str; 2] = ["Q1", "Q2"];
const PAGES: [&str; 2] = ["P1", "P2"];
const REGION: &str = "prod-us-south";

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// An alert's incident, as PagerDuty has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Incident {
    exists: bool,
    is_open: bool,
    /// Since when it is what it is.
    since: Timestamp,
    /// It was merged into the second, then.
    merged: Option<Timestamp>,
    /// The webhook of its last change is stored.
    is_heard: bool,
}

/// What a webhook tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tells {
    Triggered,
    Resolved,
    Reopened,
    Command(usize),
    Related,
}

/// A webhook on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Webhook {
    of: usize,
    tells: Tells,
    at: Timestamp,
    /// The incident has not changed since.
    is_last: bool,
    may_repeat: bool,
}

/// A person's command, as the world knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Order {
    word: Word,
    /// It came to an alert that is known.
    is_stored: bool,
    obeyed: u8,
    /// Its answer is recorded, and whether that says that it was obeyed.
    recorded: Option<bool>,
    is_answered: bool,
}

/// A page that was opened, as PagerDuty has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum PageThere {
    Open,
    Acknowledged,
    Resolved,
}

/// The row of a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Row {
    Wanted { by_hand: bool },
    Paged,
    Failed,
}

/// One alert, as it is stored, and who works on it.
#[derive(Clone, Debug, Hash)]
struct Stored {
    alert: Alert,
    beside: Beside,
    /// When its item of the queue is due; `None`: it is not in the queue.
    due: Option<Timestamp>,
    worker: Option<Worker>,
    /// Follow-ups since its last webhook or command, as the world counts them.
    follow_ups: u8,
    /// Of which end page and note tell.
    told: Option<Timestamp>,
}

/// Whoever works on an alert.
#[derive(Clone, Debug, Default, Hash)]
struct Worker {
    /// What it has decided last: what is under way, and what of that is saved.
    decided: Option<(Beside, Beside)>,
    /// Something has come since.
    is_stale: bool,
    /// What it is about to do with what it has decided.
    then: Option<Then>,
    answers: Answers,
    incident: Option<Asked>,
    flights: Vec<Flight>,
}

#[derive(Clone, Debug, Hash)]
enum Then {
    /// Saves it, then does this.
    Do(Vec<What>),
    /// Gives the alert back until then.
    Rest(Option<Timestamp>),
}

/// Something that is asked or done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Flight {
    what: What,
    began: Timestamp,
    /// How it stood then.
    saw: Saw,
    /// How the alert stood when that was last asked before.
    incident: Option<Asked>,
    round: Round,
    /// Something has come since it was decided.
    is_stale: bool,
    /// The first half of it is done.
    is_half: bool,
}

/// What a look shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Saw {
    Nothing,
    Incident(Asked),
    Page(PageNow),
    Related(bool),
}

/// How an incident stands: as which, and since when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Open(usize),
    Over(usize, Timestamp),
    Unknown,
}

/// One diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Run {
    id: String,
    /// Where its alert stands, and under which name it is.
    alert: usize,
    name: usize,
    trigger: Trigger,
    began: Timestamp,
    ended: Option<Timestamp>,
    /// The alert was reopened while it was active, then.
    reopened_at: Option<Timestamp>,
    /// A webhook said that the alert is over.
    said_over: bool,
    saw_end: Option<Timestamp>,
    /// It has begun to ask Jenkins and clusters.
    has_asked: bool,
    look: Option<RunLook>,
    verdict: Option<Verdict>,
    explained: bool,
    /// Its note stands since then.
    noted_at: Option<Timestamp>,
    /// What follows from its verdict is wanted.
    has_told: bool,
    /// It was active when its alert was merged.
    ran_at_merge: bool,
}

/// A run asks how its alert stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RunLook {
    saw: Asked,
    /// It is asked once more, since a webhook says that it is over.
    again: bool,
    is_old: bool,
    /// Something has come since it began.
    is_stale: bool,
}

/// All times are relative: it is always [`now`].
#[derive(Clone, Debug, Hash)]
struct Lives {
    planted: Planted,
    may: Budget,
    there: [Incident; 2],
    on_the_way: Vec<Webhook>,
    is_related_open: bool,
    pages: [Option<PageThere>; 2],
    /// It was looked at since people last did something with it.
    is_page_seen: [bool; 2],
    orders: Vec<Order>,
    /// PagerDuty has told the time since the process began.
    knows_their_clock: bool,
    alerts: [Option<Stored>; 2],
    /// Of which alert each is a name.
    names: [Option<usize>; 2],
    runs: Vec<Run>,
    made: u8,
    rows: [Option<Row>; 2],
    related_changed_at: Option<Timestamp>,
    /// An answer that a frozen worker was about to record.
    frozen: Option<(String, bool)>,
    notes_after_merge: u8,
    wrong: Option<&'static str>,
}

type Steps = Vec<(&'static str, Lives)>;

impl Lives {
    /// One alert, or two, that were triggered just now.
    fn new(planted: Planted, alerts: usize, may: Budget) -> Self {
        let incident =
            |n: usize| Incident { exists: n < alerts, is_open: true, since: now(), merged: None, is_heard: false };
        let webhook = |of| Webhook { of, tells: Tells::Triggered, at: now(), is_last: true, may_repeat: false };
        let mut new = Self {
            planted,
            may,
            there: [incident(0), incident(1)],
            on_the_way: (0..alerts).map(webhook).collect(),
            is_related_open: false,
            pages: [None, None],
            is_page_seen: [false, false],
            orders: Vec::new(),
            knows_their_clock: false,
            alerts: [None, None],
            names: [None, None],
            runs: Vec::new(),
            made: 0,
            rows: [None, None],
            related_changed_at: None,
            frozen: None,
            notes_after_merge: 0,
            wrong: None,
        };
        new.settle();
        new
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        change(&mut next);
        next.settle();
        next
    }

    /// Something is wrong, of which the first is told.
    fn fault(&mut self, what: &'static str) {
        self.wrong.get_or_insert(what);
    }

    fn slots(&self) -> impl Iterator<Item = (usize, &Stored)> {
        self.alerts.iter().enumerate().filter_map(|(slot, stored)| Some((slot, stored.as_ref()?)))
    }
}

/// The place of an incident.
fn place(name: &str) -> usize {
    usize::from(name == NAMES[1])
}

impl search::World for Lives {
    fn steps(&self) -> Steps {
        let mut steps = self.happens();
        steps.extend(self.webhooks());
        for slot in 0..self.alerts.len() {
            steps.extend(self.works(slot));
        }
        for run in 0..self.runs.len() {
            steps.extend(self.runs_on(run));
        }
        steps.extend(self.page_steps());
        steps.extend(self.reconciles());
        steps.extend(self.crashes());
        steps.extend(self.tick().map(|next| ("time passes", next)));
        steps
    }

    fn broken(&self) -> Option<String> {
        self.wrong.map(str::to_owned)
    }

    fn is_at_rest(&self) -> bool {
        self.on_the_way.is_empty()
            && self.frozen.is_none()
            && self.slots().all(|(_, stored)| stored.due.is_none() && stored.worker.is_none())
            && self.runs.iter().all(|run| run.ended.is_some())
            && self.rows.iter().flatten().all(|row| !matches!(row, Row::Wanted { .. }))
            && self.reconciles().is_empty()
    }

    fn broken_at_rest(&self) -> Option<String> {
        if let Some(order) = self.orders.iter().find(|order| order.is_stored && !order.is_answered) {
            return Some(format!("{} has no answer", order.word));
        }
        for (name, page) in self.pages.iter().enumerate() {
            let is_open = *page == Some(PageThere::Open) && matches!(self.asked(name), Asked::Open(_));
            if is_open && self.rows[name] == Some(Row::Paged) {
                return Some("a page is open, and no watch is over it".to_owned());
            }
        }
        for (slot, stored) in self.slots() {
            let Stored { alert, beside, .. } = stored;
            if !beside.is_empty() {
                return Some(format!("it is left under way: {beside:?}"));
            }
            let name = place(&alert.incident_id);
            match (self.asked(name), alert.resolved_at) {
                (Asked::Open(_), Some(_)) => return Some("it is open, and kept as resolved".to_owned()),
                (Asked::Over(..), None) => return Some("it is over, and kept as open".to_owned()),
                (Asked::Over(_, since), Some(_)) if stored.told != Some(since) => {
                    return Some("that it is over was not told".to_owned());
                }
                (Asked::Open(name), None) if !self.is_diagnosed(slot, name) => {
                    return Some("it is open, and no run has diagnosed it since".to_owned());
                }
                _ => {}
            }
        }
        None
    }

    fn calm(&self) -> Self {
        let first = |steps: Steps| steps.into_iter().next().map(|(_, next)| next);
        let slots = || 0..self.alerts.len();
        first(self.calm_webhook())
            .or_else(|| slots().find_map(|slot| first(self.works(slot))))
            .or_else(|| (0..self.runs.len()).find_map(|run| first(self.runs_on(run))))
            .or_else(|| first(self.page_steps()))
            .or_else(|| first(self.thaws()))
            .or_else(|| first(self.reconciles()))
            .or_else(|| self.people_come())
            .or_else(|| self.tick())
            .unwrap_or_else(|| self.clone())
    }
}
