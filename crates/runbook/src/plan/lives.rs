//! Every life of an alert, or of two that are merged and split again: people who resolve, open again, merge and write commands,
//! webhooks that are late, swapped or come twice, looks that show what was true when they began, evidence that becomes too old, a
//! client that answers early, late or never, crashes, frozen workers, others who are told. The alert, the ladder of its runs, the gate
//! and what is decided are the real ones; who works on it and what is stored do here what `src/run/beside.rs`, `src/run/journey.rs`
//! and `store` do, in the same order and with the same guards. How a page and a note are written is searched in `crate::writes`:
//! here each is one step, whose answer may be lost.

mod climbs;
mod faults;
mod given;
mod pages;
mod runs;
mod slices;
mod stored;
mod tells;
mod there;
mod time;
mod walk;
mod worker;

use std::time::Duration;

use jiff::Timestamp;

use given::{Budget, Found, Planted, Verdict};

use super::run::Standing;
use super::{Answers, PageNow, Round, What};
use crate::command::Word;
use crate::life::{Alert, Beside};
use crate::notify::lives::Elsewhere;
use crate::run::Trigger;
use crate::search::{self, Way};
use crate::suppression::Suppression;

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
    Wanted(Wish),
    /// It is open, as this one, or has failed; and whether the alert was told.
    Ended {
        page: Option<usize>,
        is_told: bool,
    },
}

/// A page that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wish {
    by_hand: bool,
    /// How often it was asked for.
    asked: u8,
    run_id: String,
    tried_since: Option<Timestamp>,
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
    /// How often the page was asked for by then.
    asked: u8,
}

/// What a look shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Saw {
    Nothing,
    Incident(Asked),
    Page(PageNow),
    Related(bool),
    /// How the alert stands, and whether pages explain it.
    Alert(Asked, bool),
}

/// How an incident stands: as which, and since when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Open(usize),
    Over(usize, Timestamp),
    Unknown,
}

/// One diagnosis, as it is stored, and who drives it.
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
    waits: Suppression,
    /// It has waited, and was to go on.
    has_waited: bool,
    is_parked: bool,
    /// When it is next worked on, where nobody does.
    due: Timestamp,
    /// Whether the client's test passed, each time that it was asked.
    client: Vec<bool>,
    found: Option<Found>,
    /// What the client had said last by then.
    said_last: Option<bool>,
    escalation: Escalation,
    page_tried_since: Option<Timestamp>,
    explained: bool,
    /// How many notes of it stand in PagerDuty, and whether one was about to be sent.
    notes: u8,
    may_stand: bool,
    /// Its note is recorded since then.
    noted_at: Option<Timestamp>,
    /// It has found nothing new, and edited an earlier run's note.
    unchanged: bool,
    /// It was active when its alert was merged.
    ran_at_merge: bool,
    climber: Option<Climber>,
}

/// What a run has decided about its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Escalation {
    None,
    Requested,
    /// For another reason than the evidence's age; for that alone.
    Held,
    Aged,
}

/// Whoever drives a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Climber {
    standing: Standing,
    was_noted: bool,
    look: Option<RunLook>,
    /// What was seen to be open by a look since which nothing was asked; `Some(None)`: that is not known.
    open: Option<Option<bool>>,
    reading: Option<Reading>,
    found: Option<Found>,
    /// It waits for a bigger outage: since when, since when none is open, and how long.
    parks: Option<(Timestamp, Option<Timestamp>, Duration)>,
    /// The end that it knows of.
    has_heard: bool,
    page_wanted: bool,
    /// Its note stands; what follows from that is not wanted yet.
    has_noted: bool,
    /// PagerDuty takes no note for now.
    rests: bool,
    retaken: u32,
}

/// Jenkins and the clusters are asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Reading {
    is_old: bool,
    /// The client has answered already.
    client: bool,
}

/// A run asks how its alert stands, and what is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RunLook {
    saw: Asked,
    related: Option<bool>,
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
    opened: [bool; 2],
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
    /// What was said on each incident, and how often a note was edited; where others are told.
    said: [Vec<String>; 2],
    edits: u8,
    told: Option<Elsewhere>,
    wrong: Option<&'static str>,
}

type Ways<'a> = Vec<Way<'a, Lives>>;

/// A step that may be taken.
fn way<'a>(name: &'static str, does: impl FnOnce(&mut Lives) + 'a) -> Way<'a, Lives> {
    (name, Box::new(does))
}

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
            opened: [false, false],
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
            said: Default::default(),
            edits: 0,
            told: may.tells.map(|may| Elsewhere::new(crate::notify::lives::Planted::None, may)),
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

impl search::Walked for Lives {
    fn ways(&self) -> Ways<'_> {
        let mut ways = self.happens();
        ways.extend(self.webhooks());
        for slot in 0..self.alerts.len() {
            ways.extend(self.works(slot));
        }
        for run in 0..self.runs.len() {
            ways.extend(self.climbs(run));
        }
        ways.extend(self.tells());
        ways.extend(self.reconciles());
        ways.extend(self.crashes());
        ways.extend(self.tick());
        ways
    }

    fn goes(&self, way: Way<'_, Self>) -> Self {
        self.with(way.1)
    }
}

impl search::World for Lives {
    fn steps(&self) -> Vec<(&'static str, Self)> {
        search::Walked::ways(self).into_iter().map(|(name, way)| (name, self.with(way))).collect()
    }

    fn broken(&self) -> Option<String> {
        let told = self.told.as_ref().and_then(Elsewhere::broken);
        self.wrong.or(told).map(str::to_owned)
    }

    fn is_at_rest(&self) -> bool {
        self.on_the_way.is_empty()
            && self.frozen.is_none()
            && self.slots().all(|(_, stored)| stored.due.is_none() && stored.worker.is_none())
            && self.runs.iter().all(|run| run.ended.is_some())
            && self.rows.iter().flatten().all(|row| matches!(row, Row::Ended { is_told: true, .. }))
            && self.reconciles().is_empty()
            && self.told.as_ref().is_none_or(|told| told.is_at_rest(&self.heard()))
    }

    fn broken_at_rest(&self) -> Option<String> {
        if let Some(order) = self.orders.iter().find(|order| order.is_stored && !order.is_answered) {
            return Some(format!("{} has no answer", order.word));
        }
        for (name, page) in self.pages.iter().enumerate() {
            let is_open = *page == Some(PageThere::Open) && matches!(self.asked(name), Asked::Open(_));
            if is_open && matches!(self.rows[name], Some(Row::Ended { page: Some(its), .. }) if its == name) {
                return Some("a page is open, and no watch is over it".to_owned());
            }
            if page.is_some() && matches!(self.rows[name], None | Some(Row::Ended { page: None, .. })) {
                return Some("a page was opened, and its row does not say so".to_owned());
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
        self.told.as_ref().and_then(|told| told.broken_at_rest(&self.heard()))
    }

    fn calm(&self) -> Self {
        let first = |ways: Ways<'_>| ways.into_iter().next().map(|(_, way)| self.with(way));
        let slots = || 0..self.alerts.len();
        first(self.calm_webhook())
            .or_else(|| slots().find_map(|slot| first(self.works(slot))))
            .or_else(|| (0..self.runs.len()).find_map(|run| first(self.climbs(run))))
            .or_else(|| first(self.tells()))
            .or_else(|| first(self.thaws()))
            .or_else(|| first(self.reconciles()))
            .or_else(|| first(self.people_come()))
            .or_else(|| first(self.tick()))
            .unwrap_or_else(|| self.clone())
    }
}
