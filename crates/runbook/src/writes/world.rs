//! Every life of one note, and of one build's start: crashes, frozen workers, lost answers and what shows late, in every order.

mod moves;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Moment, Next, Seen, Settling, Times, Write};
use crate::search::{self, search, search_nearest};

/// Few and short, so that few different times exist; their order is that of the real ones.
const TIMES: Times = Times { read_lag: seconds(1), longest_write: seconds(2), looks: &[seconds(3), seconds(6)] };
/// How long after it was sent a note may be written late: less than the last look.
const LATE: Duration = seconds(5);
/// So many lives of a build with every fault are searched by each test run: all of them take a minute.
const NEAREST: usize = 30_000;
/// What lies further back makes no difference.
const LONG_AGO: SignedDuration = SignedDuration::from_secs(20);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn now() -> Moment {
    Moment { ours: Timestamp::UNIX_EPOCH, theirs: None }
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// A note: of two one is removed.
    Note,
    /// A build: one too many is said, and is as good as gone then. Its times have the order of a note's.
    Build,
}

/// A fault that is planted, which the search must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Planted {
    None,
    /// A note is sent again without a look.
    SentBlindly,
    /// Whoever sends looks once, however little may show by then.
    LookedTooShortly,
    /// A twin is left alone.
    TwinLeft,
    /// Nobody settles the intent of a run that was cancelled.
    RunForgotten,
    /// A doubt ends by the clock, without a look.
    EndedByClock,
    /// One that was cut off is taken for one that has not sent.
    CrashForgotten,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Run {
    /// Its note is still to be written.
    Wants,
    /// It believes that its note stands.
    Written,
    /// It ended without.
    Ended,
}

/// Whoever writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sender {
    /// With the record as it was last read, and what was seen since.
    Thinks(Write),
    Sends(Send),
}

/// A note on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Send {
    attempt: u32,
    /// It ends by then, if only without an answer.
    until: Timestamp,
    /// The note that it wrote: that is done, and not answered yet.
    wrote: Option<u32>,
}

/// How often each thing may yet go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    crashes: u8,
    lost: u8,
    late: u8,
    failed: u8,
}

/// All times are relative: it is always [`now`].
#[derive(Clone, Debug, Hash)]
struct Note {
    what: What,
    planted: Planted,
    write: Write,
    run: Run,
    sender: Option<Sender>,
    /// One that was frozen while it sent, whose claim another has, and until when what it sent may be done.
    frozen: Option<Send>,
    froze: u32,
    /// When a look for twins began, what it shows, and what was removed of that.
    settling: Option<(Moment, Vec<Seen>, Option<Settling>)>,
    /// How many were ever written, and those that stand and are shown, by their ids.
    written: u32,
    shown: Vec<u32>,
    /// Those that stand and are not shown yet, and until when that may be.
    lagging: Vec<(u32, Timestamp)>,
    /// Until when each of those may be written that were sent and are not written yet.
    late: Vec<Timestamp>,
    may: Budget,
    had_late: u8,
}

type Steps = Vec<(&'static str, Note)>;

impl Note {
    fn new(what: What, planted: Planted, may: Budget) -> Self {
        Self {
            what,
            planted,
            write: Write::default(),
            run: Run::Wants,
            sender: None,
            frozen: None,
            froze: 0,
            settling: None,
            written: 0,
            shown: Vec::new(),
            lagging: Vec::new(),
            late: Vec::new(),
            may,
            had_late: may.late,
        }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        change(&mut next);
        next
    }

    fn is_open(&self) -> bool {
        self.write.intent.is_some() || self.write.doubt.is_some() || self.frozen.is_some() || self.settling.is_some()
    }

    fn standing(&self) -> usize {
        self.shown.len() + self.lagging.len() + self.late.len()
    }
}

impl search::World for Note {
    fn steps(&self) -> Steps {
        // What is written shows before its time is over.
        if self.lagging.iter().map(|(_, at)| at).chain(&self.late).any(|at| *at <= now().ours) {
            return self.shows();
        }
        let mut steps = Steps::new();
        match &self.sender {
            None if self.run == Run::Wants => {
                steps.push(("a worker takes it", self.with(|next| next.sender = Some(next.takes_it()))))
            }
            None => {}
            Some(Sender::Thinks(seen)) => steps.push(self.think(seen)),
            Some(Sender::Sends(send)) => steps.extend(self.sends(*send)),
        }
        steps.extend(self.frozen.map(|send| self.thaws(send)).into_iter().flatten());
        if self.settling.is_some() {
            steps.push(("the look ends", self.settle()));
        }
        steps.extend(self.look().map(|next| ("it is looked for twins", next)));
        steps.extend(self.shows());
        steps.extend(self.crashes());
        steps.extend(self.cancelled());
        steps.extend(self.tick().map(|next| ("time passes", next)));
        steps
    }

    fn broken(&self) -> Option<String> {
        // Only what nobody could have seen in time has a twin.
        let late = u32::from(self.had_late - self.may.late) + self.froze;
        if self.written > 1 + late {
            return Some(format!("{} written, {late} of them late", self.written));
        }
        if self.is_open() {
            return None;
        }
        if self.standing() > 1 {
            return Some(format!("{} stand, and nobody looks", self.standing()));
        }
        if self.standing() == 1 && self.write.id.is_none() {
            return Some("one stands, and nobody knows".to_owned());
        }
        None
    }

    fn is_at_rest(&self) -> bool {
        self.run != Run::Wants
            && self.sender.is_none()
            && self.frozen.is_none()
            && self.settling.is_none()
            && self.lagging.is_empty()
            && self.late.is_empty()
            && self.look().is_none()
            && self.tick().is_none()
    }

    fn broken_at_rest(&self) -> Option<String> {
        let shown: Vec<String> = self.shown.iter().map(u32::to_string).collect();
        if self.run == Run::Written && shown.len() != 1 {
            return Some(format!("a run is done, and {} notes stand", shown.len()));
        }
        (shown.first() != self.write.id.as_ref() || shown.len() > 1)
            .then(|| format!("{:?} is known, and {shown:?} stand", self.write.id))
    }

    fn calm(&self) -> Self {
        let quiet = |steps: Steps| steps.into_iter().next().map(|(_, next)| next);
        if let Some(next) = quiet(self.shows()) {
            return next;
        }
        if self.settling.is_some() {
            return self.settle();
        }
        if let Some(next) = self.look() {
            return next;
        }
        if let Some(send) = self.frozen {
            return quiet(self.thaws(send)).unwrap_or_else(|| self.clone());
        }
        let waits = |seen: &Write| matches!(seen.next(&TIMES), Next::Look(until) if until > now().ours);
        match &self.sender {
            None if self.run == Run::Wants => {
                return self.with(|next| next.sender = Some(next.takes_it()));
            }
            Some(Sender::Sends(send)) => {
                return quiet(self.sends(*send)).unwrap_or_else(|| self.clone());
            }
            Some(Sender::Thinks(seen)) if !waits(seen) || !self.shown.is_empty() => return self.think(seen).1,
            _ => {}
        }
        self.tick().unwrap_or_else(|| self.clone())
    }
}

fn lives(what: What, planted: Planted, may: Budget) -> Result<search::Seen, search::Fault> {
    search(Note::new(what, planted, may))
}

fn every_life(what: What, may: Budget) {
    let seen = lives(what, Planted::None, may).unwrap_or_else(|fault| panic!("{fault:#?}"));
    search::say(&format!("{what:?}, {may:?}"), &seen);
    assert!(seen.states > 5_000, "{seen:?}");
}

/// lifecycle.md#crashes-clocks-replicas: killed at any instant, there is one note.
#[test]
fn in_every_life_one_note_is_left_and_known() {
    every_life(What::Note, Budget { crashes: 1, lost: 1, late: 1, failed: 0 });
    every_life(What::Note, Budget { crashes: 1, lost: 0, late: 1, failed: 1 });
}

/// lifecycle.md#crashes-clocks-replicas: killed at any instant, a build is not started twice unsaid.
#[test]
fn in_every_life_one_build_is_read_and_each_other_is_said() {
    every_life(What::Build, Budget { crashes: 1, lost: 0, late: 1, failed: 0 });
    every_life(What::Build, Budget { crashes: 0, lost: 1, late: 1, failed: 0 });
    let may = Budget { crashes: 1, lost: 1, late: 1, failed: 0 };
    let seen = search_nearest(Note::new(What::Build, Planted::None, may), NEAREST).unwrap_or_else(|e| panic!("{e:#?}"));
    search::say(&format!("the nearest of {may:?}"), &seen);
}

/// Ten million states and more: minutes and gigabytes.
#[test]
#[ignore = "scripts/check-release runs it"]
fn in_every_life_with_more_faults_one_note_is_left_and_known() {
    every_life(What::Note, Budget { crashes: 2, lost: 1, late: 2, failed: 1 });
    every_life(What::Build, Budget { crashes: 1, lost: 1, late: 1, failed: 0 });
    every_life(What::Build, Budget { crashes: 1, lost: 0, late: 1, failed: 1 });
}

#[test]
fn a_fault_that_is_planted_is_found() {
    let may = Budget { crashes: 1, lost: 1, late: 1, failed: 0 };
    for planted in [
        Planted::SentBlindly,
        Planted::LookedTooShortly,
        Planted::TwinLeft,
        Planted::RunForgotten,
        Planted::EndedByClock,
        Planted::CrashForgotten,
    ] {
        for what in [What::Note, What::Build] {
            let fault = lives(what, planted, may).err().unwrap_or_else(|| panic!("{what:?}, {planted:?} is not found"));
            println!("{what:?}, {planted:?}: {} after {} states: {}", fault.why, fault.states, fault.trace.join(", "));
            assert!(fault.trace.len() < 25, "{what:?}, {planted:?}: {fault:#?}");
        }
    }
}
