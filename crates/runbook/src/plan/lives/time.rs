//! How time passes: what has become of no importance is made alike, so that there are few states.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Asked, Elsewhere, Flight, Lives, Row, Run, Saw, TICK, Then, Ways, Worker, now, way};
use crate::command::MAX_AGE;
use crate::life::Beside;
use crate::plan::{Came, IncidentNow, Round, What};
use crate::span::{after, before, between};

/// No more than this lies between what is still told apart.
const LONG_AGO: u32 = 3;
/// What comes, comes no sooner than so long after what was before.
const MOMENT: Duration = Duration::from_millis(1);

impl Lives {
    /// A minute passes, where nothing that is asked has taken longer than that.
    pub(super) fn tick(&self) -> Ways<'_> {
        let is_late = |flight: &Flight| flight.began <= before(now(), TICK);
        let mut waits = self.slots().filter_map(|(_, stored)| stored.due).any(|due| due > now());
        for (_, stored) in self.slots() {
            if let Some(worker) = &stored.worker {
                if worker.flights.iter().any(is_late) {
                    return Ways::new();
                }
                waits |= !worker.flights.is_empty();
            }
        }
        for run in self.runs.iter().filter(|run| run.ended.is_none()) {
            waits |= run.is_parked && run.due > now();
            let Some(climber) = &run.climber else { continue };
            let asks_for_long = climber.look.as_ref().is_some_and(|look| look.is_old)
                || climber.reading.as_ref().is_some_and(|reading| reading.is_old);
            if asks_for_long {
                return Ways::new();
            }
            waits |= climber.rests || climber.reading.is_some();
        }
        if self.told.as_ref().is_some_and(Elsewhere::is_busy) {
            return Ways::new();
        }
        waits |= self.told.as_ref().is_some_and(|told| told.wakes_in(&self.heard()).is_some());
        if waits { vec![way("time passes", Self::pass)] } else { Ways::new() }
    }

    fn pass(&mut self) {
        for climber in self.runs.iter_mut().filter_map(|run| run.climber.as_mut()) {
            climber.look.iter_mut().for_each(|look| look.is_old = true);
            climber.reading.iter_mut().for_each(|reading| reading.is_old = true);
        }
        self.shift(TICK);
        if let Some(told) = &mut self.told {
            told.pass(TICK);
        }
    }

    /// Something comes: what was begun before is older than that.
    pub(super) fn a_moment_passes(&mut self) {
        self.shift(MOMENT);
    }

    fn shift(&mut self, by: Duration) {
        let back = |at: Timestamp| before(at, by);
        self.related_changed_at = self.related_changed_at.map(back);
        self.runs.iter_mut().flat_map(times_of).for_each(|at| *at = back(*at));
        self.rows.iter_mut().filter_map(tried_since).for_each(|at| *at = back(*at));
        for stored in self.alerts.iter_mut().flatten() {
            stored.due = stored.due.map(back);
            our_times(&mut stored.beside).into_iter().for_each(|at| *at = back(*at));
            if let Some(worker) = &mut stored.worker {
                worker.our_times().into_iter().for_each(|at| *at = back(*at));
            }
        }
    }

    /// Makes alike what makes no difference.
    pub(super) fn settle(&mut self) {
        self.forget_old_runs();
        let mut times: Vec<Timestamp> = self.event_times().into_iter().map(|at| *at).collect();
        times.sort_unstable();
        times.dedup();
        let rank = |at: Timestamp| {
            let later = times.len() - times.partition_point(|other| *other <= at);
            now() - SignedDuration::from_secs(i64::try_from(later).unwrap() + 1)
        };
        self.event_times().into_iter().for_each(|at| *at = rank(*at));
        let oldest = before(now(), TICK * LONG_AGO);
        let newest_change = self.related_changed_at;
        let whole = |at: Timestamp| {
            let ago = (between(at, now()) + TICK / 2).as_secs() / TICK.as_secs();
            before(now(), TICK * u32::try_from(ago).unwrap_or(u32::MAX).min(LONG_AGO))
        };
        for run in &mut self.runs {
            run.due = if run.climber.is_none() && run.ended.is_none() { soon(run.due) } else { now() };
            times_of(run).into_iter().filter(|at| **at < now()).for_each(|at| *at = whole(*at));
            if run.ended.is_some() {
                // Of what has ended this counts no more.
                (run.waits, run.page_tried_since, run.said_over) = (Default::default(), None, false);
            }
        }
        self.rows.iter_mut().filter_map(tried_since).for_each(|at| *at = whole(*at));
        for stored in self.alerts.iter_mut().flatten() {
            stored.due = stored.due.map(soon);
            let mut begun: Vec<Timestamp> = Vec::new();
            if let Some(worker) = &mut stored.worker {
                worker.answers.0.retain(|(_, began, _)| *began >= oldest);
                let round = worker.answers.1;
                worker.flights.iter_mut().for_each(|flight| flight.round = Round(u32::from(flight.round == round)));
                worker.answers.1 = Round(1);
                begun = worker.begun().into_iter().map(|began| *began).collect();
                begun.sort_unstable();
                begun.dedup();
                worker.begun().into_iter().for_each(|began| *began = alike(*began, &begun));
                if let Some(Then::Rest(Some(at))) = &mut worker.then {
                    *at = soon(*at);
                }
                if let Some((beside, saved)) = &mut worker.decided {
                    age(beside, &begun, newest_change);
                    age(saved, &begun, newest_change);
                }
            }
            age(&mut stored.beside, &begun, newest_change);
        }
        let waits = self.slots().any(|(_, stored)| stored.beside.related_again.is_some() || stored.worker.is_some());
        self.related_changed_at = newest_change.filter(|_| waits).map(|at| at.max(oldest));
    }

    /// Of the runs that have ended only those count that are the newest of their alert or name, or have written its last note.
    fn forget_old_runs(&mut self) {
        let runs = self.runs.clone();
        self.runs.retain(|run| {
            let newer =
                || runs.iter().filter(|other| other.alert == run.alert && other.name == run.name && other.id > run.id);
            run.ended.is_none()
                || newer().next().is_none()
                || (run.noted_at.is_some() && !newer().any(|other| other.noted_at.is_some()))
        });
    }
}

/// Of a run, by our clock.
fn times_of(run: &mut Run) -> Vec<&mut Timestamp> {
    let mut times = vec![&mut run.due];
    times.extend(run.waits.since.iter_mut().chain(&mut run.waits.closed_since).chain(&mut run.page_tried_since));
    times.extend(run.found.iter_mut().map(|found| &mut found.at));
    if let Some(climber) = &mut run.climber {
        times.extend(climber.found.iter_mut().map(|found| &mut found.at));
        if let Some((since, closed, _)) = &mut climber.parks {
            times.push(since);
            times.extend(closed);
        }
    }
    times
}

fn tried_since(row: &mut Option<Row>) -> Option<&mut Timestamp> {
    match row {
        Some(Row::Wanted(wish)) => wish.tried_since.as_mut(),
        _ => None,
    }
}

/// All times by our clock.
fn our_times(beside: &mut Beside) -> Vec<&mut Timestamp> {
    let mut times = Vec::new();
    times.extend(beside.follow_up.iter_mut().map(|it| &mut it.due));
    if let Some(it) = &mut beside.related_again {
        times.extend([&mut it.since, &mut it.due]);
        times.extend(it.closed_since.iter_mut().chain(&mut it.changed_at));
    }
    for it in &mut beside.page_watches {
        times.extend([&mut it.since, &mut it.due]);
        times.extend(&mut it.since_there);
    }
    for it in &mut beside.pages {
        times.push(&mut it.due);
        times.extend(it.began.iter_mut().chain(&mut it.since).chain(&mut it.not_asked_since));
    }
    times.extend(beside.resolution.iter_mut().flat_map(|it| [&mut it.since, &mut it.due]));
    for it in &mut beside.commands {
        times.push(&mut it.due);
        times.extend(it.obeyed.iter_mut().map(|(_, at)| at));
        times.extend(it.refused_since.iter_mut().chain(&mut it.command.at));
    }
    times
}

/// Of what is to come, the second; of what is due, that it is.
fn soon(at: Timestamp) -> Timestamp {
    let wait = between(now(), at).as_millis().div_ceil(1000);
    after(now(), Duration::from_secs(u64::try_from(wait).unwrap()))
}

/// Of when something was begun, only the order counts, and how many minutes ago it was.
fn alike(began: Timestamp, begun: &[Timestamp]) -> Timestamp {
    let minutes = |at: Timestamp| u32::try_from(between(at, now()).as_secs() / TICK.as_secs()).unwrap();
    let later = begun.iter().filter(|at| **at > began && minutes(**at) == minutes(began)).count();
    let is_now = u32::from(began < now() && minutes(began) == 0 && !begun.contains(&now()));
    before(now(), TICK * minutes(began) + MOMENT * (u32::try_from(later).unwrap() + is_now))
}

fn age(beside: &mut Beside, begun: &[Timestamp], changed: Option<Timestamp>) {
    let oldest = before(now(), TICK * LONG_AGO);
    // Of what is due only that matters which answers began since.
    let due = |due: Timestamp| match begun.iter().find(|began| **began >= due) {
        Some(began) if due <= now() => alike(*began, begun),
        _ => soon(due),
    };
    let minutes = |at: &mut Timestamp| {
        let ago = (between(*at, now()) + TICK / 2).as_secs() / TICK.as_secs();
        *at = before(now(), TICK * u32::try_from(ago).unwrap_or(u32::MAX).min(LONG_AGO));
    };
    let clamp = |at: &mut Timestamp| *at = (*at).max(oldest);
    beside.follow_up.iter_mut().for_each(|it| it.due = due(it.due));
    if let Some(it) = &mut beside.related_again {
        it.due = due(it.due);
        clamp(&mut it.since);
        it.closed_since.iter_mut().for_each(clamp);
        it.changed_at =
            it.changed_at.filter(|at| changed.is_some_and(|changed| *at >= changed)).map(|at| at.max(oldest));
    }
    for it in &mut beside.page_watches {
        it.due = due(it.due);
        minutes(&mut it.since);
        it.since_there.iter_mut().for_each(minutes);
    }
    for it in &mut beside.pages {
        it.due = due(it.due);
        it.began.iter_mut().chain(&mut it.since).chain(&mut it.not_asked_since).for_each(minutes);
    }
    if let Some(it) = &mut beside.resolution {
        it.due = due(it.due);
        minutes(&mut it.since);
    }
    for it in &mut beside.commands {
        it.due = due(it.due);
        it.obeyed.iter_mut().for_each(|(_, at)| minutes(at));
        it.refused_since.iter_mut().for_each(minutes);
        it.command.at.iter_mut().filter(|at| after(**at, MAX_AGE) >= now()).for_each(minutes);
    }
}

impl Worker {
    /// When all that is asked or done was begun.
    fn begun(&mut self) -> Vec<&mut Timestamp> {
        let answers = self.answers.0.iter_mut().map(|(_, began, _)| began);
        self.flights.iter_mut().map(|flight| &mut flight.began).chain(answers).collect()
    }

    fn our_times(&mut self) -> Vec<&mut Timestamp> {
        let answers = self.answers.0.iter_mut().map(|(_, began, _)| began);
        let mut times: Vec<_> = self.flights.iter_mut().map(|flight| &mut flight.began).chain(answers).collect();
        if let Some((beside, saved)) = &mut self.decided {
            times.extend(our_times(beside));
            times.extend(our_times(saved));
        }
        if let Some(Then::Rest(Some(at))) = &mut self.then {
            times.push(at);
        }
        times
    }

    pub(super) fn event_times(&mut self) -> Vec<&mut Timestamp> {
        let mut times = Vec::new();
        times.extend(self.incident.iter_mut().filter_map(asked));
        for flight in &mut self.flights {
            times.extend(event_time(&mut flight.what));
            times.extend(flight.incident.iter_mut().filter_map(asked));
            if let Saw::Incident(saw) | Saw::Alert(saw, _) = &mut flight.saw {
                times.extend(asked(saw));
            }
        }
        for (.., came) in &mut self.answers.0 {
            if let Came::Incident(IncidentNow::Resolved(_, at)) = came {
                times.extend(at);
            }
        }
        if let Some(Then::Do(whats)) = &mut self.then {
            times.extend(whats.iter_mut().filter_map(event_time));
        }
        times
    }
}

fn asked(asked: &mut Asked) -> Option<&mut Timestamp> {
    match asked {
        Asked::Over(_, at) => Some(at),
        Asked::Open(_) | Asked::Unknown => None,
    }
}

fn event_time(what: &mut What) -> Option<&mut Timestamp> {
    match what {
        What::TellEnd { ended, .. } => Some(ended),
        What::FollowMerge { over, .. } => over.as_mut(),
        _ => None,
    }
}
