//! What may happen to a note's text, and what becomes of the world then.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::super::{Doubt, Moment, Outcome};
use super::{LATE, LONG_AGO, Looker, Planted, Send, Steps, TIMES, Teller, Text, now};

impl Text {
    /// What can't wait any longer.
    pub(super) fn must_happen(&self) -> Option<(&'static str, Self)> {
        let is_up = |at: &Timestamp| *at <= now().ours;
        if self.lags_until.as_ref().is_some_and(is_up) {
            return self.shows();
        }
        if self.late.iter().any(|(_, at)| is_up(at)) {
            return self.takes_effect_late().into_iter().next();
        }
        None
    }

    /// Something is true now that was not, and somebody hears of it.
    pub(super) fn news(&self) -> Steps {
        let place = self.tellers.iter().take(self.may.tellers.into()).position(Option::is_none);
        let Some(place) = place.filter(|_| self.may.news > 0) else { return Steps::new() };
        vec![(
            "news",
            self.with(|next| {
                next.may.news -= 1;
                next.truth += 1;
                next.tellers[place] = Some(Teller::Heard);
            }),
        )]
    }

    fn applied(&mut self, text: u8) {
        if self.stands != text {
            self.stands = text;
            self.lags_until = Some(now().ours + TIMES.read_lag);
        }
    }

    fn begin(&mut self, attempt: u32, text: u8) -> Option<Send> {
        let attempt = self.write.begin_edit(attempt, now(), &TIMES).ok()?;
        self.went_back |= text < self.wanted;
        self.wanted = text;
        Some(Send { attempt, text, until: now().ours + TIMES.longest_write, is_done: false })
    }

    /// What may come of an edit that is on its way: `on` has it take effect, `ended` is what follows an answer, with
    /// whether it was done, and whether it was the newest.
    fn goes(&self, send: &Send, on: impl Fn(&mut Self, Send), ended: impl Fn(&mut Self, bool, bool)) -> Steps {
        let mut steps = Steps::new();
        let answer = |next: &mut Self, outcome: &Outcome| {
            let is_newest = next.write.edited(send.attempt, outcome, now());
            ended(next, matches!(outcome, Outcome::Done(_)), is_newest);
        };
        if send.is_done {
            steps.push(("answered", self.with(|next| answer(next, &Outcome::Done("1".to_owned())))));
        } else {
            let done = self.with(|next| {
                next.applied(send.text);
                on(next, Send { is_done: true, ..send.clone() });
            });
            steps.push(("takes effect", done));
        }
        if self.may.lost > 0 {
            for (_, mut next) in self.with(|next| next.may.lost -= 1).fates(send) {
                let outcome = Outcome::Ambiguous(String::new());
                if next.planted == Planted::LateForgotten {
                    next.write.edited(send.attempt, &Outcome::NotSent(String::new()), now());
                    ended(&mut next, false, true);
                } else {
                    answer(&mut next, &outcome);
                }
                steps.push(("answer lost", next));
            }
        }
        if self.may.failed > 0 && !send.is_done {
            let failed = self.with(|next| {
                next.may.failed -= 1;
                answer(next, &Outcome::NotSent(String::new()));
            });
            steps.push(("not sent", failed));
        }
        steps
    }

    /// What may become of an edit of which no answer comes.
    fn fates(&self, send: &Send) -> Steps {
        let mut fates = vec![("as it is", self.clone())];
        if !send.is_done && self.may.late > 0 {
            fates.push((
                "later",
                self.with(|next| {
                    next.may.late -= 1;
                    next.late.push((send.text, now().ours + LATE));
                }),
            ));
        }
        fates
    }

    /// The next step of somebody who tells.
    pub(super) fn tells(&self, place: usize) -> Steps {
        let set = |next: &mut Self, teller| next.tellers[place] = teller;
        let Some(teller) = &self.tellers[place] else { return Steps::new() };
        let sees = |was_overtaken| Teller::Saw { attempt: self.write.attempt, was_overtaken };
        match teller {
            Teller::Heard if self.planted == Planted::TruthFirst => {
                // The attempt is seen as it is when it begins.
                let decided = Teller::Decided { attempt: u32::MAX, text: self.truth };
                vec![("finds what is true", self.with(|next| set(next, Some(decided))))]
            }
            Teller::Heard => vec![("sees what was begun", self.with(|next| set(next, Some(sees(false)))))],
            Teller::Overtaken => vec![("sees what was begun", self.with(|next| set(next, Some(sees(true)))))],
            Teller::Saw { attempt, was_overtaken } => {
                let is_known = self.write.id.is_some() || (*was_overtaken && self.write.intent.is_some());
                // What was read first is compared; whoever begins meanwhile is found by the attempt.
                if self.write.attempt == *attempt && self.wanted == self.truth && is_known {
                    return vec![("it says so", self.with(|next| set(next, None)))];
                }
                let decided = Teller::Decided { attempt: *attempt, text: self.truth };
                vec![("finds what is true", self.with(|next| set(next, Some(decided))))]
            }
            Teller::Decided { attempt, text } => {
                let attempt = if *attempt == u32::MAX { self.write.attempt } else { *attempt };
                let next = self.with(|next| {
                    let send = next.begin(attempt, *text);
                    // The task loses its claim to who begins.
                    if send.is_some() {
                        next.looker = None;
                    }
                    set(next, Some(send.map_or(Teller::Overtaken, Teller::Sends)));
                });
                vec![("begins", next)]
            }
            Teller::Sends(send) => self.goes(
                send,
                |next, send| set(next, Some(Teller::Sends(send))),
                |next, _, is_newest| {
                    set(next, (!is_newest).then_some(Teller::Overtaken));
                },
            ),
        }
    }

    pub(super) fn due_in(&self) -> Option<Duration> {
        match self.planted {
            Planted::UndoneForgotten => self.write.settle_in(now(), &TIMES),
            _ => self.write.edit_due_in(now(), &TIMES).map(|due| due.min(TIMES.longest_write)),
        }
    }

    /// The next step of the task.
    pub(super) fn looks(&self) -> Steps {
        match &self.looker {
            None if self.due_in() == Some(Duration::ZERO) || self.is_undone() => {
                let next = self.with(|next| {
                    next.write.expire(now(), &TIMES);
                    let text = next.write.may_stand().then_some(next.shown);
                    next.looker = Some(Looker::Saw { began: now(), attempt: next.write.attempt, text });
                });
                vec![("the task looks", next)]
            }
            None => Steps::new(),
            Some(Looker::Saw { began, attempt, text }) => {
                let next = self.with(|next| {
                    next.looker = if *text == Some(next.wanted) {
                        Some(Looker::Knows { began: *began, attempt: *attempt })
                    } else {
                        let send = next.begin(*attempt, next.wanted);
                        send.map(|send| Looker::Sends { began: *began, send })
                    };
                });
                vec![("the task goes on", next)]
            }
            Some(Looker::Knows { began, attempt }) => {
                let next = self.with(|next| {
                    next.looker = None;
                    next.write.expire(*began, &TIMES);
                    if next.write.attempt == *attempt {
                        next.write.looked_at_edit("1", *began, &TIMES);
                    }
                });
                vec![("the task is done", next)]
            }
            Some(Looker::Sends { began, send }) => {
                let attempt = send.attempt;
                self.goes(
                    send,
                    |next, send| next.looker = Some(Looker::Sends { began: *began, send }),
                    |next, is_done, is_newest| {
                        next.looker = (is_done && is_newest).then_some(Looker::Knows { began: *began, attempt });
                    },
                )
            }
        }
    }

    /// It was certainly not done: that is tried again, when does not matter here.
    fn is_undone(&self) -> bool {
        self.planted != Planted::UndoneForgotten
            && self.write.id.is_none()
            && self.write.intent.is_none()
            && self.write.doubt.is_none()
            && self.write.attempt > 0
    }

    /// Lists show what stands.
    pub(super) fn shows(&self) -> Option<(&'static str, Self)> {
        self.lags_until?;
        let next = self.with(|next| {
            next.shown = next.stands;
            next.lags_until = None;
        });
        Some(("it shows", next))
    }

    pub(super) fn takes_effect_late(&self) -> Steps {
        let effect = |place: usize| {
            self.with(|next| {
                let (text, _) = next.late.remove(place);
                next.applied(text);
            })
        };
        (0..self.late.len()).map(|place| ("takes effect late", effect(place))).collect()
    }

    /// A worker is gone: what it heard is heard again by the next, which begins from its start.
    pub(super) fn crashes(&self) -> Steps {
        let mut steps = Steps::new();
        if self.may.crashes == 0 {
            return steps;
        }
        let struck = self.with(|next| next.may.crashes -= 1);
        for (place, teller) in self.tellers.iter().enumerate() {
            let Some(teller) = teller else { continue };
            let gone = struck.with(|next| next.tellers[place] = Some(Teller::Heard));
            match teller {
                Teller::Sends(send) => {
                    steps.extend(gone.fates(send).into_iter().map(|(_, next)| ("killed while it sent", next)));
                }
                Teller::Heard => {}
                _ => steps.push(("killed", gone)),
            }
        }
        let gone = struck.with(|next| next.looker = None);
        match &self.looker {
            Some(Looker::Sends { send, .. }) => {
                steps.extend(gone.fates(send).into_iter().map(|(_, next)| ("the task is killed while it sent", next)));
            }
            Some(_) => steps.push(("the task is killed", gone)),
            None => {}
        }
        steps
    }

    /// To the next moment at which anything changes by itself; `None`: something has to happen before.
    pub(super) fn tick(&self) -> Option<Self> {
        // What takes no time by itself may be overtaken, however long it takes.
        let waits = |teller: &Option<Teller>| matches!(teller, None | Some(Teller::Sends(_)));
        if !self.tellers.iter().all(waits) || matches!(self.looker, Some(Looker::Saw { .. } | Looker::Knows { .. })) {
            return None;
        }
        let until = |at: Timestamp| Duration::try_from(at.duration_since(now().ours)).unwrap_or_default();
        let mut bounds: Vec<Duration> = self.late.iter().map(|(_, at)| until(*at)).collect();
        bounds.extend(self.lags_until.map(until));
        for teller in self.tellers.iter().flatten() {
            if let Teller::Sends(send) = teller {
                bounds.push(until(send.until));
            }
        }
        if let Some(Looker::Sends { send, .. }) = &self.looker {
            bounds.push(until(send.until));
        }
        if bounds.contains(&Duration::ZERO) {
            return None;
        }
        bounds.extend(self.write.settle_in(now(), &TIMES));
        let by = bounds.into_iter().filter(|length| !length.is_zero()).min()?;
        Some(self.with(|next| next.pass(by)))
    }

    /// How many there were makes no difference, so they are counted from the last few.
    pub(super) fn forget_old_attempts(&mut self) {
        let by = self.write.attempt.saturating_sub(4);
        let less =
            |attempt: &mut u32| *attempt = if *attempt == u32::MAX { *attempt } else { attempt.saturating_sub(by) };
        less(&mut self.write.attempt);
        for teller in self.tellers.iter_mut().flatten() {
            match teller {
                Teller::Saw { attempt, .. } | Teller::Decided { attempt, .. } => less(attempt),
                Teller::Sends(send) => less(&mut send.attempt),
                Teller::Heard | Teller::Overtaken => {}
            }
        }
        match &mut self.looker {
            Some(Looker::Saw { attempt, .. } | Looker::Knows { attempt, .. }) => less(attempt),
            Some(Looker::Sends { send, .. }) => less(&mut send.attempt),
            None => {}
        }
    }

    fn pass(&mut self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap();
        let back = |at: Timestamp| (at - by).max(now().ours - LONG_AGO);
        let earlier = |moment: Moment| Moment { ours: back(moment.ours), ..moment };
        self.write.intent = self.write.intent.map(back);
        if let Some(Doubt { since, looked, .. }) = &mut self.write.doubt {
            *since = earlier(*since);
            *looked = looked.map(earlier);
        }
        for teller in self.tellers.iter_mut().flatten() {
            if let Teller::Sends(send) = teller {
                send.until = back(send.until);
            }
        }
        match &mut self.looker {
            Some(Looker::Saw { began, .. } | Looker::Knows { began, .. }) => *began = earlier(*began),
            Some(Looker::Sends { began, send }) => {
                *began = earlier(*began);
                send.until = back(send.until);
            }
            None => {}
        }
        self.lags_until = self.lags_until.map(back);
        self.late.iter_mut().for_each(|(_, at)| *at = back(*at));
    }
}
