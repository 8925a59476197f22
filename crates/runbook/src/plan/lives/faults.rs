//! How workers are cut off.

use super::worker::order_of;
use super::{Lives, Steps, Worker, now};
use crate::plan::{Answer, What};

impl Lives {
    /// The worker is gone, or frozen: of what it was about to do, only that an answer is recorded needs no claim.
    pub(super) fn freeze(&mut self, worker: Worker) {
        let answers = worker.flights.into_iter().filter(|flight| !flight.is_half);
        self.frozen = answers.filter_map(|flight| answer_of(&flight.what)).next().or(self.frozen.take());
    }

    /// What a frozen worker was about to do is done, or never.
    pub(super) fn thaws(&self) -> Steps {
        let Some((key, obeyed)) = &self.frozen else { return Steps::new() };
        let gone = self.with(|next| next.frozen = None);
        vec![
            ("a frozen worker is killed", gone.clone()),
            (
                "a frozen worker records an answer",
                gone.with(|next| {
                    next.orders[order_of(key)].recorded.get_or_insert(*obeyed);
                }),
            ),
        ]
    }

    /// The process dies; or who works on an alert freezes, and another has its claim.
    pub(super) fn crashes(&self) -> Steps {
        let mut steps = self.thaws();
        if self.may.crashes > 0 && self.is_busy() {
            steps.push((
                "killed",
                self.with(|next| {
                    next.may.crashes -= 1;
                    next.knows_their_clock = false;
                    next.frozen = None;
                    for stored in next.alerts.iter_mut().flatten().filter(|stored| stored.worker.is_some()) {
                        (stored.worker, stored.due) = (None, Some(now()));
                    }
                    for run in next.runs.iter_mut().filter(|run| run.ended.is_none()) {
                        (run.look, run.has_told) = (None, false);
                    }
                }),
            ));
        }
        for (slot, stored) in self.slots().filter(|_| self.may.freezes > 0) {
            if stored.worker.is_some() {
                let freezes = |next: &mut Self| {
                    next.may.freezes -= 1;
                    let Some(stored) = next.of(slot) else { return };
                    stored.due = Some(now());
                    if let Some(worker) = stored.worker.take() {
                        next.freeze(worker);
                    }
                };
                steps.push(("frozen", self.with(freezes)));
            }
        }
        steps
    }

    fn is_busy(&self) -> bool {
        self.slots().any(|(_, stored)| stored.worker.is_some())
            || self.runs.iter().any(|run| run.look.is_some() || (run.ended.is_none() && run.has_told))
    }
}

fn answer_of(what: &What) -> Option<(String, bool)> {
    match what {
        What::Answer { key, answer } => Some((key.clone(), !matches!(answer, Answer::Refused(_)))),
        _ => None,
    }
}
