//! Every life of a run that waits for a bigger outage to end: pages open, close and open again, PagerDuty can't be asked, looks
//! show what was true when they began, a person wants it diagnosed at once, the clock goes back and forth, it is killed.

use std::time::Duration;

use jiff::Timestamp;

use super::{Next, Settings, Suppression, next};
use crate::search::{self, search};
use crate::span::{after, before, between};

const TICK: Duration = Duration::from_secs(30);
const SETTINGS: Settings = Settings { recheck: TICK, settle: Duration::from_secs(60), max: Duration::from_secs(240) };

/// A fault that is planted, which the search must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Planted {
    None,
    /// The time since they were last seen closed is enough, whether or not it is known that none is open now.
    EndedByClock,
    /// Since when they have been closed is kept, though one has opened again.
    ReopenedForgotten,
    /// Since when it waits is counted from each start again.
    BeganAgain,
    /// That it goes on is not kept before it is diagnosed.
    EndNotKept,
}

/// How often each thing may yet happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    /// A page that explains the alert opens, or the last one closes.
    changes: u8,
    fails: u8,
    crashes: u8,
    persons: u8,
    /// The clock goes a minute back, or forth.
    clock: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Worker {
    /// It looks, and this was true when it began.
    Looks(bool),
    /// It is diagnosed.
    Diagnoses,
}

/// A run, and what explains its alert.
#[derive(Clone, Debug, Hash)]
struct Waits {
    planted: Planted,
    may: Budget,
    now: Timestamp,
    is_open: bool,
    /// As it is stored.
    was: Suppression,
    due: Timestamp,
    worker: Option<Worker>,
    /// As the world knows it: since when it waits, since when every look has shown that none is open, and whether the last one has
    /// shown anything.
    waits_since: Option<Timestamp>,
    closed_since: Option<Timestamp>,
    knows: bool,
    /// Its wait was over.
    has_waited: bool,
    is_over: bool,
    wrong: Option<&'static str>,
}

type Steps = Vec<(&'static str, Waits)>;

impl Waits {
    fn new(planted: Planted, may: Budget) -> Self {
        let now = Timestamp::UNIX_EPOCH;
        Self {
            planted,
            may,
            now,
            is_open: true,
            was: Suppression::default(),
            due: now,
            worker: None,
            waits_since: None,
            closed_since: None,
            knows: true,
            has_waited: false,
            is_over: false,
            wrong: None,
        }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        change(&mut next);
        next
    }

    fn has_looked(&mut self, open: Option<bool>) {
        let (now, wanted) = (self.now, self.was.go_on);
        self.knows = open.is_some();
        match open {
            Some(true) => self.closed_since = None,
            Some(false) => drop(self.closed_since.get_or_insert(now)),
            None => {}
        }
        let (mut was, mut seen) = (self.was, open);
        match self.planted {
            Planted::EndedByClock if open.is_none() && was.closed_since.is_some() => seen = Some(false),
            Planted::BeganAgain if was.since.is_some() => was.since = Some(now),
            _ => {}
        }
        match next(was, seen, now, &SETTINGS) {
            Next::GoOn => {
                let waited = self.waits_since.filter(|_| !wanted);
                let is_settled = self.knows && self.closed_since.is_some_and(|at| between(at, now) >= SETTINGS.settle);
                if waited.is_some_and(|since| between(since, now) < SETTINGS.max) && !is_settled {
                    self.wrong = Some("it goes on, and it is not known that they have been closed for long enough");
                }
                self.was.go_on |= waited.is_some() && self.planted != Planted::EndNotKept;
                self.worker = Some(Worker::Diagnoses);
                self.has_waited = self.waits_since.is_some();
            }
            Next::Park { since, closed_since, wait } => {
                self.waits_since.get_or_insert(since);
                if wait.is_zero() || wait > SETTINGS.recheck {
                    self.wrong = Some("it looks again at once, or too late");
                }
                if self.has_waited || wanted {
                    self.wrong = Some("it waits once more, though it was to go on");
                }
                let closed_since = match self.planted {
                    Planted::ReopenedForgotten => self.was.closed_since.or(closed_since),
                    _ => closed_since,
                };
                self.was = Suppression { since: Some(since), closed_since, ..self.was };
                (self.worker, self.due) = (None, after(now, wait));
            }
        }
    }

    fn works(&self) -> Steps {
        match self.worker {
            _ if self.is_over => Steps::new(),
            None if self.now < self.due => Steps::new(),
            None => vec![("looks", self.with(|next| next.worker = Some(Worker::Looks(next.is_open))))],
            Some(Worker::Diagnoses) => vec![("diagnosed", self.with(|next| next.is_over = true))],
            Some(Worker::Looks(saw)) => {
                let mut steps = vec![("has looked", self.with(|next| next.has_looked(Some(next.is_open))))];
                if saw != self.is_open {
                    steps.push(("has looked, late", self.with(|next| next.has_looked(Some(saw)))));
                }
                if self.may.fails > 0 {
                    let fails = |next: &mut Self| {
                        next.may.fails -= 1;
                        next.has_looked(None);
                    };
                    steps.push(("can't look", self.with(fails)));
                }
                steps
            }
        }
    }

    fn happens(&self) -> Steps {
        let mut steps = Steps::new();
        if self.may.changes > 0 {
            // Its webhook wakes who waits.
            let changes = |next: &mut Self| {
                (next.may.changes, next.is_open) = (next.may.changes - 1, !next.is_open);
                next.due = next.due.min(next.now);
            };
            steps.push((if self.is_open { "the last one closes" } else { "one opens" }, self.with(changes)));
        }
        if self.may.persons > 0 {
            let asks = |next: &mut Self| {
                next.may.persons -= 1;
                (next.was.go_on, next.due) = (true, next.due.min(next.now));
            };
            steps.push(("a person asks for it", self.with(asks)));
        }
        if self.may.crashes > 0 && self.worker.is_some() {
            let killed = |next: &mut Self| {
                (next.may.crashes, next.worker, next.due) = (next.may.crashes - 1, None, next.now);
            };
            steps.push(("killed", self.with(killed)));
        }
        if self.may.clock > 0 {
            let goes = |to: Timestamp| self.with(|next| (next.may.clock, next.now) = (next.may.clock - 1, to));
            steps.push(("the clock goes back", goes(before(self.now, TICK * 2))));
            steps.push(("the clock goes forth", goes(after(self.now, TICK * 2))));
        }
        steps
    }

    fn tick(&self) -> Option<Self> {
        let waits = self.worker.is_none() && self.now < self.due;
        waits.then(|| self.with(|next| next.now = after(next.now, TICK)))
    }
}

impl search::World for Waits {
    fn steps(&self) -> Steps {
        if self.is_over {
            return Steps::new();
        }
        let mut steps = self.works();
        steps.extend(self.happens());
        steps.extend(self.tick().map(|next| ("time passes", next)));
        steps
    }

    fn broken(&self) -> Option<String> {
        let latest = self.waits_since.map(|since| after(since, SETTINGS.max));
        if self.worker.is_none() && latest.is_some_and(|latest| self.due > latest.max(self.now)) {
            return Some("it waits longer than it may".to_owned());
        }
        self.wrong.map(str::to_owned)
    }

    fn is_at_rest(&self) -> bool {
        self.is_over
    }

    fn broken_at_rest(&self) -> Option<String> {
        None
    }

    fn calm(&self) -> Self {
        let work = self.works().into_iter().next().map(|(_, next)| next);
        work.or_else(|| self.tick()).unwrap_or_else(|| self.clone())
    }
}

const MAY: Budget = Budget { changes: 3, fails: 1, crashes: 1, persons: 1, clock: 0 };

/// lifecycle.md#a-bigger-outage-is-open: closed for `SUPPRESSION_SETTLE`, or after `SUPPRESSION_MAX`, it goes on.
#[test]
fn in_every_life_of_a_suppressed_run_it_waits_as_long_as_it_must_and_no_longer() {
    for may in [MAY, Budget { clock: 1, persons: 0, ..MAY }, Budget { changes: 4, fails: 2, persons: 0, ..MAY }] {
        let seen = search(Waits::new(Planted::None, may)).unwrap_or_else(|fault| panic!("{fault:#?}"));
        search::say(&format!("suppressed, {may:?}"), &seen);
        assert!(seen.states > 1000, "{seen:?}");
    }
}

#[test]
fn a_fault_that_is_planted_in_a_suppression_is_found() {
    for (planted, why) in [
        (Planted::EndedByClock, "not known that they have been closed"),
        (Planted::ReopenedForgotten, "not known that they have been closed"),
        (Planted::BeganAgain, "it waits longer than it may"),
        (Planted::EndNotKept, "it waits once more"),
    ] {
        let fault = search(Waits::new(planted, MAY)).err().unwrap_or_else(|| panic!("{planted:?} is not found"));
        println!("{planted:?}: {} after {} states: {}", fault.why, fault.states, fault.trace.join(", "));
        assert!(fault.why.contains(why), "{planted:?}: {fault:#?}");
    }
}
