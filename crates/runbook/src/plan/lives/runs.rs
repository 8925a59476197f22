//! A diagnosis, as it is stored; and what follows from it.

use jiff::Timestamp;

use super::{Asked, Escalation, Lives, Run, RunLook, TICK, Verdict, now};
use crate::life::{FOLLOW_UPS, Input, is_owed_another};
use crate::run::Trigger;
use crate::suppression::Suppression;

impl Run {
    pub(super) fn new(id: String, alert: usize, name: usize, trigger: Trigger) -> Self {
        Self {
            id,
            alert,
            name,
            trigger,
            began: now(),
            ended: None,
            reopened_at: None,
            said_over: false,
            saw_end: None,
            has_asked: false,
            waits: Suppression::default(),
            has_waited: false,
            is_parked: false,
            due: now(),
            client: Vec::new(),
            found: None,
            said_last: None,
            escalation: Escalation::None,
            page_tried_since: None,
            explained: false,
            notes: 0,
            may_stand: false,
            noted_at: None,
            unchanged: false,
            ran_at_merge: false,
            climber: None,
        }
    }
}

impl Lives {
    /// Whether a run has written a note of the alert since it was opened.
    pub(super) fn is_diagnosed(&self, slot: usize, name: usize) -> bool {
        let since = Some(self.there[name].since);
        self.runs.iter().any(|run| run.alert == slot && run.noted_at >= since)
    }

    /// Second looks, where its verdict may change or pages explain the alert.
    pub(super) fn looks_again_later(&mut self, at: usize) {
        let Run { alert: slot, id, found, explained, saw_end, .. } = &self.runs[at];
        let (slot, run_id, explained) = (*slot, id.clone(), *explained);
        let may_change = found.as_ref().is_some_and(|found| found.verdict == Verdict::MayChange);
        if saw_end.is_some() {
            return;
        }
        let made = self.alerts[slot].as_ref().map_or(0, |stored| stored.alert.follow_ups);
        if may_change && (made < FOLLOW_UPS || self.planted == super::Planted::FollowUpsUncounted) {
            self.tell(slot, Input::MayChange { run_id: run_id.clone(), after: TICK });
        }
        if explained {
            self.tell(slot, Input::Explained { run_id, after: TICK });
        }
    }

    /// The run ends; one whose alert was reopened is followed by another.
    pub(super) fn finish(&mut self, at: usize) {
        let Run { alert: slot, name, reopened_at, saw_end, .. } = self.runs[at];
        (self.runs[at].ended, self.runs[at].climber) = (Some(now()), None);
        let owed = |stored: &super::Stored| {
            reopened_at.is_some_and(|reopened| is_owed_another(&stored.alert, reopened, saw_end))
        };
        if self.alerts[slot].as_ref().is_some_and(owed) {
            if self.of(slot).is_some_and(|stored| stored.alert.resolved_at.take().is_some()) {
                self.watch_again(slot);
            }
            self.insert_run(name, Trigger::Webhook);
        }
    }

    /// Times of PagerDuty's events and of runs, which are only compared with each other.
    pub(super) fn event_times(&mut self) -> Vec<&mut Timestamp> {
        let mut times = Vec::new();
        for incident in &mut self.there {
            times.push(&mut incident.since);
            times.extend(&mut incident.merged);
        }
        times.extend(self.on_the_way.iter_mut().map(|webhook| &mut webhook.at));
        for run in &mut self.runs {
            times.push(&mut run.began);
            times.extend(
                run.ended.iter_mut().chain(&mut run.noted_at).chain(&mut run.reopened_at).chain(&mut run.saw_end),
            );
            let look = run.climber.as_mut().and_then(|climber| climber.look.as_mut());
            if let Some(RunLook { saw: Asked::Over(_, at), .. }) = look {
                times.push(at);
            }
        }
        for stored in self.alerts.iter_mut().flatten() {
            times.extend(stored.alert.triggered_at.iter_mut().chain(&mut stored.alert.resolved_at));
            times.extend(&mut stored.told);
            if let Some(worker) = &mut stored.worker {
                times.extend(worker.event_times());
            }
        }
        times
    }
}
