//! How workers are cut off.

use std::time::Duration;

use super::worker::order_of;
use super::{Lives, Ways, Worker, now, way};
use crate::plan::run::{Rung, rung};
use crate::plan::{Answer, What};

impl Lives {
    /// The worker is gone, or frozen: of what it was about to do, only that an answer is recorded needs no claim.
    pub(super) fn freeze(&mut self, worker: Worker) {
        let answers = worker.flights.into_iter().filter(|flight| !flight.is_half);
        self.frozen = answers.filter_map(|flight| answer_of(&flight.what)).next().or(self.frozen.take());
    }

    /// What a frozen worker was about to do is done, or never.
    pub(super) fn thaws(&self) -> Ways<'_> {
        let Some((key, obeyed)) = &self.frozen else { return Ways::new() };
        vec![
            way("a frozen worker is killed", |next| next.frozen = None),
            way("a frozen worker records an answer", move |next| {
                next.frozen = None;
                next.orders[order_of(key)].recorded.get_or_insert(*obeyed);
            }),
        ]
    }

    /// The process dies; or who works on an alert freezes, and another has its claim.
    pub(super) fn crashes(&self) -> Ways<'_> {
        let mut ways = self.thaws();
        if self.may.crashes > 0 && self.is_busy() {
            ways.push(way("killed", Self::dies));
            // A note that was on its way stands, and nobody has recorded that.
            for at in (0..self.runs.len()).filter(|at| self.is_at_its_note(*at)) {
                ways.push(way("killed, its note is on its way", move |next| {
                    let run = &mut next.runs[at];
                    run.may_stand = true;
                    run.notes = run.notes.max(1);
                    next.dies();
                }));
            }
        }
        for (slot, stored) in self.slots().filter(|_| self.may.freezes > 0) {
            if stored.worker.is_some() {
                ways.push(way("frozen", move |next| {
                    next.may.freezes -= 1;
                    let Some(stored) = next.of(slot) else { return };
                    stored.due = Some(now());
                    if let Some(worker) = stored.worker.take() {
                        next.freeze(worker);
                    }
                }));
            }
        }
        ways
    }

    fn dies(&mut self) {
        self.may.crashes -= 1;
        self.knows_their_clock = false;
        self.frozen = None;
        for stored in self.alerts.iter_mut().flatten().filter(|stored| stored.worker.is_some()) {
            (stored.worker, stored.due) = (None, Some(now()));
        }
        for run in self.runs.iter_mut().filter(|run| run.climber.is_some()) {
            (run.climber, run.due) = (None, now());
        }
        if let Some(told) = &mut self.told {
            told.dies();
            told.pass(Duration::ZERO);
        }
    }

    fn is_at_its_note(&self, at: usize) -> bool {
        let run = &self.runs[at];
        let is_at_it = |climber: &super::Climber| {
            let asks = climber.look.is_some() || climber.reading.is_some() || climber.parks.is_some();
            !asks && !climber.has_noted && rung(&climber.standing) == Rung::Tell
        };
        !run.unchanged && run.trigger != crate::run::Trigger::FollowUp && run.climber.as_ref().is_some_and(is_at_it)
    }

    fn is_busy(&self) -> bool {
        self.slots().any(|(_, stored)| stored.worker.is_some()) || self.runs.iter().any(|run| run.climber.is_some())
    }
}

fn answer_of(what: &What) -> Option<(String, bool)> {
    match what {
        What::Answer { key, answer } => Some((key.clone(), !matches!(answer, Answer::Refused(_)))),
        _ => None,
    }
}
