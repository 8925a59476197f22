//! What may happen to a note, and what becomes of the world then.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::super::{Doubt, Moment, Next, Outcome, Seen, Settling, Write};
use super::{LATE, LONG_AGO, Note, Planted, Run, Send, Sender, Steps, TIMES, What, now};

impl Note {
    pub(super) fn show(&mut self, id: u32) {
        self.shown.push(id);
        self.shown.sort_unstable();
    }

    /// It is written, and shown at once or with a lag.
    pub(super) fn done(&self, lags: bool) -> (Self, u32) {
        let id = self.written + 1;
        let next = self.with(|next| {
            next.written = id;
            if lags {
                next.lagging.push((id, now().ours + TIMES.read_lag));
            } else {
                next.show(id);
            }
        });
        (next, id)
    }

    /// What may become of a send of which no answer comes.
    fn fates(&self, send: Send) -> Steps {
        if send.wrote.is_some() {
            return vec![("done", self.clone())];
        }
        let mut fates =
            vec![("not done", self.clone()), ("done", self.done(false).0), ("done, shown later", self.done(true).0)];
        if self.may.late > 0 {
            fates.push((
                "done late",
                self.with(|next| {
                    next.may.late -= 1;
                    next.late.push(now().ours + LATE);
                }),
            ));
        }
        fates
    }

    /// What may become of the worker's send.
    pub(super) fn sends(&self, send: Send) -> Steps {
        self.answers(send, |next, send| next.sender = Some(Sender::Sends(send)), goes_on)
    }

    /// What may become of the send of a worker that was frozen, and wakes.
    pub(super) fn thaws(&self, send: Send) -> Steps {
        self.answers(send, |next, send| next.frozen = Some(send), |next, _| next.frozen = None)
    }

    /// The send is done, which is `written`, or ends; what follows that is `after`, with whether it is over for good.
    fn answers(&self, send: Send, written: impl Fn(&mut Self, Send), after: impl Fn(&mut Self, bool)) -> Steps {
        let mut steps = Steps::new();
        let ends = |mut next: Self, outcome: &Outcome, is_over: bool| {
            next.write.ended(send.attempt, outcome, now());
            after(&mut next, is_over);
            next
        };
        if let Some(id) = send.wrote {
            steps.push(("answered", ends(self.clone(), &Outcome::Done(id.to_string()), false)));
        } else {
            for lags in [false, true] {
                let (mut next, id) = self.done(lags);
                written(&mut next, Send { wrote: Some(id), ..send });
                steps.push(("written", next));
            }
        }
        if self.may.lost > 0 {
            for (_, next) in self.with(|next| next.may.lost -= 1).fates(send) {
                steps.push(("answer lost", ends(next, &Outcome::Ambiguous(String::new()), false)));
            }
        }
        if self.may.failed > 0 && send.wrote.is_none() {
            for (name, outcome, is_over) in [
                ("not sent", Outcome::NotSent(String::new()), false),
                ("refused", Outcome::Refused(String::new()), true),
            ] {
                steps.push((name, ends(self.with(|next| next.may.failed -= 1), &outcome, is_over)));
            }
        }
        steps
    }

    /// A worker that has the right to send it reads the record.
    pub(super) fn takes_it(&self) -> Sender {
        let mut seen = self.write.clone();
        if self.planted == Planted::CrashForgotten {
            seen.intent = None;
        }
        seen.take_over(now(), &TIMES);
        Sender::Thinks(seen)
    }

    pub(super) fn send(&self, seen: u32) -> Self {
        self.with(|next| {
            if next.planted == Planted::CrashForgotten {
                next.write.intent = None;
            }
            next.sender = match next.write.begin(seen, now(), &TIMES) {
                Ok(attempt) => {
                    let until = now().ours + TIMES.longest_write;
                    Some(Sender::Sends(Send { attempt, until, wrote: None }))
                }
                Err(_) => None,
            };
        })
    }

    pub(super) fn think(&self, seen: &Write) -> (&'static str, Self) {
        match seen.next(&TIMES) {
            Next::Stands(_) => (
                "the run knows",
                self.with(|next| {
                    next.run = Run::Written;
                    next.sender = None;
                }),
            ),
            Next::Look(_) if self.planted == Planted::SentBlindly => ("sends", self.send(seen.attempt)),
            // Of builds the newest is taken.
            Next::Look(_) => match if self.what == What::Build { self.shown.last() } else { self.shown.first() } {
                Some(id) => (
                    "finds it",
                    self.with(|next| {
                        next.write.found(&id.to_string(), now(), &TIMES);
                        next.sender = Some(next.takes_it());
                    }),
                ),
                None => (
                    "finds none",
                    self.with(|next| {
                        let mut seen = seen.clone();
                        seen.looked(now(), &Settling::default(), &TIMES);
                        if next.planted == Planted::LookedTooShortly {
                            seen.doubt = None;
                        }
                        next.sender = Some(Sender::Thinks(seen));
                    }),
                ),
            },
            Next::Send => ("sends", self.send(seen.attempt)),
        }
    }

    /// One step of whoever settles: the first is taken, the others go, and that is recorded.
    pub(super) fn settle(&self) -> Self {
        self.with(|next| {
            let Some((began, found, removed)) = next.settling.take() else { return };
            let found = match next.what {
                What::Note => found,
                What::Build => next.write.seen_builds(&found.into_iter().map(|seen| seen.id).collect::<Vec<_>>()),
            };
            let mut settling = next.write.settle(&found, began, &TIMES);
            if next.planted == Planted::TwinLeft {
                settling.go.clear();
            }
            match (&settling.stays, removed) {
                (Some(first), _) => {
                    next.write.moved(first);
                    next.settling = Some((began, found, None));
                }
                (None, None) => {
                    next.shown.retain(|id| !settling.go.contains(&id.to_string()));
                    next.settling = Some((began, found, Some(settling)));
                }
                (None, Some(removed)) if removed == settling => next.write.looked(began, &settling, &TIMES),
                // Something has changed meanwhile: it is looked again.
                (None, Some(_)) => {}
            }
        })
    }

    /// It is looked for twins, where that is due.
    pub(super) fn look(&self) -> Option<Self> {
        if self.planted == Planted::RunForgotten && self.run == Run::Ended {
            return None;
        }
        if self.settling.is_some() || self.write.settle_in(now(), &TIMES) != Some(Duration::ZERO) {
            return None;
        }
        Some(self.with(|next| {
            next.write.expire(now(), &TIMES);
            let seen = |id: &u32| Seen { id: id.to_string(), is_home: true };
            next.settling = Some((now(), next.shown.iter().map(seen).collect(), None));
        }))
    }

    /// To the next moment at which anything changes by itself; `None`: something has to happen before.
    pub(super) fn tick(&self) -> Option<Self> {
        let until = |at: Timestamp| Duration::try_from(at.duration_since(now().ours)).unwrap_or_default();
        let mut bounds: Vec<Duration> = self.late.iter().map(|at| until(*at)).collect();
        bounds.extend(self.lagging.iter().map(|(_, at)| until(*at)));
        if let Some(Sender::Sends(send)) = &self.sender {
            bounds.push(until(send.until));
        }
        bounds.extend(self.frozen.map(|send| until(send.until)));
        if bounds.contains(&Duration::ZERO) {
            return None;
        }
        if let Some(Sender::Thinks(seen)) = &self.sender
            && let Next::Look(at) = seen.next(&TIMES)
        {
            bounds.push(until(at));
        }
        bounds.extend(self.write.settle_in(now(), &TIMES));
        let by = bounds.into_iter().filter(|length| !length.is_zero()).min()?;
        Some(self.with(|next| next.pass(by)))
    }

    pub(super) fn pass(&mut self, by: Duration) {
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
        shift(&mut self.write);
        match &mut self.sender {
            Some(Sender::Thinks(seen)) => shift(seen),
            Some(Sender::Sends(send)) => send.until = back(send.until),
            None => {}
        }
        if let Some((began, ..)) = &mut self.settling {
            *began = earlier(*began);
        }
        self.lagging.iter_mut().for_each(|(_, at)| *at = back(*at));
        self.late.iter_mut().for_each(|at| *at = back(*at));
        self.frozen = self.frozen.map(|send| Send { until: back(send.until), ..send });
        let last = *TIMES.looks.last().unwrap();
        if self.planted == Planted::EndedByClock
            && self.write.doubt.as_ref().is_some_and(|doubt| now().since(doubt.since) >= last)
        {
            self.write.doubt = None;
        }
    }

    /// What is written shows.
    pub(super) fn shows(&self) -> Steps {
        let mut steps = Steps::new();
        for place in 0..self.lagging.len() {
            steps.push((
                "it shows",
                self.with(|next| {
                    let (id, _) = next.lagging.remove(place);
                    next.show(id);
                }),
            ));
        }
        for place in 0..self.late.len() {
            steps.push((
                "it is written late",
                self.with(|next| {
                    next.late.remove(place);
                    *next = next.done(false).0;
                }),
            ));
        }
        steps
    }

    /// The worker is gone, as a whole or frozen for so long that another has its claim.
    pub(super) fn crashes(&self) -> Steps {
        let mut steps = Steps::new();
        if self.may.crashes == 0 {
            return steps;
        }
        let struck = self.with(|next| next.may.crashes -= 1);
        match self.sender {
            Some(Sender::Sends(send)) => {
                let cut_off = struck.with(|next| next.sender = None);
                steps.extend(cut_off.fates(send).into_iter().map(|(_, next)| ("killed while it sent", next)));
                if self.frozen.is_none() {
                    steps.push((
                        "frozen while it sent",
                        cut_off.with(|next| {
                            next.frozen = Some(Send { until: now().ours + LATE, ..send });
                            next.froze += 1;
                        }),
                    ));
                }
            }
            Some(Sender::Thinks(_)) => steps.push(("killed", struck.with(|next| next.sender = None))),
            None => {}
        }
        if self.settling.is_some() {
            steps.push(("killed while it settled", struck.with(|next| next.settling = None)));
        }
        steps
    }

    /// The run ends before its note is known: it was merged away, or is overdue.
    pub(super) fn cancelled(&self) -> Steps {
        if self.run != Run::Wants {
            return Steps::new();
        }
        let ended = self.with(|next| {
            next.run = Run::Ended;
            next.sender = None;
        });
        match self.sender {
            Some(Sender::Sends(send)) => {
                ended.fates(send).into_iter().map(|(_, next)| ("cancelled while it sent", next)).collect()
            }
            _ => vec![("cancelled", ended)],
        }
    }
}

/// The worker goes on with what came of its send.
fn goes_on(next: &mut Note, ends: bool) {
    next.sender = (!ends).then(|| next.takes_it());
    if ends {
        next.run = Run::Ended;
    }
}
