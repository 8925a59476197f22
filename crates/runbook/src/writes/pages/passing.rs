//! What passes by itself: time, workers that are gone, what shows late, people who close a page.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::super::opening::{Other, State};
use super::super::{Doubt, Moment, Next, Write};
use super::{Incident, LATE, LONG_AGO, Pages, Planted, Send, Steps, TIMES, Worker, now};

impl Pages {
    /// The worker is gone, as a whole or frozen for so long that another has its claim.
    pub(super) fn crashes(&self, place: usize) -> Steps {
        let mut steps = Steps::new();
        if self.may.crashes == 0 {
            return steps;
        }
        let struck = self.with(|next| next.may.crashes -= 1);
        let gone = struck.with(|next| next.alerts[place].worker = None);
        match &self.alerts[place].worker {
            Some(Worker::Sends(send)) => {
                let fates = gone.fates(place, *send).into_iter();
                steps.extend(fates.map(|(_, next)| ("killed while it sent", next)));
                if self.alerts[place].frozen.is_none() {
                    steps.push((
                        "frozen while it sent",
                        gone.with(|next| {
                            next.alerts[place].frozen = Some(Send { until: now().ours + LATE, ..*send });
                            next.alerts[place].unseen += 1;
                        }),
                    ));
                }
            }
            Some(Worker::Waits) | None => {}
            Some(_) => steps.push(("killed", gone)),
        }
        if self.alerts[place].look.is_some() {
            steps.push(("killed while it looked", struck.with(|next| next.alerts[place].look = None)));
        }
        steps
    }

    /// What was opened is listed.
    pub(super) fn shows(&self) -> Steps {
        let lags = |(id, incident): (usize, &Incident)| incident.lags_until.map(|_| id);
        let lagging = self.incidents.iter().enumerate().filter_map(lags);
        lagging.map(|id| ("it shows", self.with(|next| next.incidents[id].lags_until = None))).collect()
    }

    pub(super) fn opens_late(&self) -> Steps {
        let opens = |place: usize| {
            let taken = |next: &mut Self| next.late.remove(place);
            let mut next = self.clone();
            let (alert, automatic, _) = taken(&mut next);
            next.handed_in(alert, automatic, false).0
        };
        (0..self.late.len()).map(|place| ("it is opened late", opens(place))).collect()
    }

    /// People resolve a page.
    pub(super) fn closed(&self) -> Steps {
        if self.may.closed == 0 {
            return Steps::new();
        }
        let open = self.incidents.iter().enumerate().filter(|(_, incident)| incident.is_open);
        let close = |id: usize| {
            self.with(|next| {
                next.may.closed -= 1;
                next.incidents[id].is_open = false;
            })
        };
        open.map(|(id, _)| ("resolved by hand", close(id))).collect()
    }

    /// To the next moment at which anything changes by itself; `None`: something has to happen before.
    pub(super) fn tick(&self) -> Option<Self> {
        // What takes no time by itself may be overtaken, however long it takes.
        let takes_time = |worker: &Worker| matches!(worker, Worker::Sends(_) | Worker::Waits);
        let is_idle = |alert: &super::Alert| alert.worker.as_ref().is_none_or(takes_time) && alert.look.is_none();
        if !self.alerts.iter().all(is_idle) {
            return None;
        }
        let until = |at: Timestamp| Duration::try_from(at.duration_since(now().ours)).unwrap_or_default();
        let mut bounds: Vec<Duration> = self.late.iter().map(|(.., at)| until(*at)).collect();
        bounds.extend(self.incidents.iter().filter_map(|incident| incident.lags_until).map(until));
        for alert in &self.alerts {
            if let Some(Worker::Sends(send)) = &alert.worker {
                bounds.push(until(send.until));
            }
            bounds.extend(alert.frozen.map(|send| until(send.until)));
        }
        if bounds.contains(&Duration::ZERO) {
            return None;
        }
        for (place, alert) in self.alerts.iter().enumerate() {
            if self.state(place) == Some(State::Wanted)
                && let Next::Look(at) = alert.write.next(&TIMES)
            {
                bounds.push(until(at));
            }
            bounds.extend(self.settle_in(place));
        }
        let by = bounds.into_iter().filter(|length| !length.is_zero()).min()?;
        Some(self.with(|next| next.pass(by)))
    }

    /// What comes of each step after that world.
    pub(super) fn follows(&mut self, before: &Self) {
        for (alert, before) in self.alerts.iter_mut().zip(&before.alerts) {
            // Who looks for what shows late loses its claim by what is recorded of it.
            let is_ended = alert.page.as_ref().is_some_and(|page| page.state != State::Wanted);
            if alert.write != before.write || (is_ended && alert.page != before.page) {
                alert.look = None;
            }
        }
        self.forget_old_attempts();
    }

    /// How many there were makes no difference, so they are counted from the last few.
    fn forget_old_attempts(&mut self) {
        let by: Vec<u32> = self.alerts.iter().map(|alert| alert.write.attempt.saturating_sub(3)).collect();
        for (place, alert) in self.alerts.iter_mut().enumerate() {
            let less = |attempt: &mut u32| *attempt = attempt.saturating_sub(by[place]);
            let theirs = |other: &mut Other| {
                other.write.attempt = other.write.attempt.saturating_sub(by[1 - place]).max(other.write.attempt.min(1));
            };
            less(&mut alert.write.attempt);
            alert.frozen.iter_mut().for_each(|send| less(&mut send.attempt));
            match &mut alert.worker {
                Some(Worker::Sends(send)) => less(&mut send.attempt),
                Some(Worker::Looked { attempt, looked, .. }) => {
                    less(attempt);
                    looked.iter_mut().for_each(theirs);
                }
                Some(Worker::LooksAt { attempt, looked, other, .. }) => {
                    less(attempt);
                    looked.iter_mut().chain([&mut **other]).for_each(theirs);
                }
                Some(Worker::Knows { .. } | Worker::Waits) | None => {}
            }
        }
    }

    fn pass(&mut self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap();
        let back = |at: Timestamp| (at - by).max(now().ours - LONG_AGO);
        let earlier = |moment: Moment| Moment { ours: back(moment.ours), ..moment };
        let shift = |write: &mut Write| {
            write.intent = write.intent.map(back);
            if let Some(Doubt { since, looked, .. }) = &mut write.doubt {
                *since = earlier(*since);
                *looked = looked.map(earlier);
            }
        };
        let last = *TIMES.looks.last().unwrap();
        for alert in &mut self.alerts {
            shift(&mut alert.write);
            if let Some(Worker::Sends(send)) = &mut alert.worker {
                send.until = back(send.until);
            }
            // Whoever waits looks again.
            if alert.worker == Some(Worker::Waits) {
                alert.worker = None;
            }
            alert.frozen = alert.frozen.map(|send| Send { until: back(send.until), ..send });
            if self.planted == Planted::EndedByClock
                && alert.write.doubt.as_ref().is_some_and(|doubt| now().since(doubt.since) >= last)
            {
                alert.write.doubt = None;
            }
        }
        for incident in &mut self.incidents {
            incident.lags_until = incident.lags_until.map(back);
        }
        self.late.iter_mut().for_each(|(.., at)| *at = back(*at));
    }
}
