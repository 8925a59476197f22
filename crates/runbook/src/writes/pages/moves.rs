//! What may happen to the pages of a region, and what becomes of the world then.

use std::time::Duration;

use jiff::Timestamp;

use super::super::opening::{
    Hour, Opened, Other, Own, Page, Reservation, Shown, State, ended, key_taken, looked_for, looked_late, pages_of,
    reserve, settle_in,
};
use super::super::{Moment, Next, Outcome, Settling, Write};
use super::{Came, Incident, LATE, Pages, Planted, Send, Steps, TIMES, Worker, now};

impl Pages {
    /// What can't wait any longer.
    pub(super) fn must_happen(&self) -> Option<(&'static str, Self)> {
        let is_up = |at: Timestamp| at <= now().ours;
        if self.incidents.iter().filter_map(|incident| incident.lags_until).any(is_up) {
            return self.shows().into_iter().next();
        }
        if self.late.iter().any(|(.., at)| is_up(*at)) {
            return self.opens_late().into_iter().next();
        }
        None
    }

    /// A page is wanted, automatically or by a person.
    pub(super) fn asks_for_pages(&self) -> Steps {
        let mut steps = Steps::new();
        for (place, alert) in self.alerts.iter().enumerate() {
            if alert.may_want > 0 && alert.page.is_none() {
                steps.push((
                    "wanted",
                    self.with(|next| {
                        next.alerts[place].may_want -= 1;
                        next.set(place, State::Wanted, None);
                    }),
                ));
            }
            if self.may.hands > 0 && !alert.by_hand && self.state(place) != Some(State::Paged) {
                steps.push((
                    "a person asks",
                    self.with(|next| {
                        next.may.hands -= 1;
                        next.alerts[place].by_hand = true;
                        next.alerts[place].no_news.clear();
                        next.set(place, State::Wanted, None);
                    }),
                ));
            }
        }
        steps
    }

    fn set(&mut self, alert: usize, state: State, id: Option<usize>) {
        self.alerts[alert].page = Some(Page { state, id: id.map(|id| id.to_string()), since: Timestamp::UNIX_EPOCH });
    }

    /// Nobody was paged, as far as is known: it fails, or (`None`) is held. What is known to stand does neither.
    fn end(&mut self, alert: usize, state: Option<State>) {
        self.alerts[alert].worker = None;
        let known = self.alerts[alert].write.id.as_ref().and_then(|id| id.parse().ok());
        match (state, known) {
            (Some(_), Some(id)) => self.set(alert, State::Paged, Some(id)),
            (None, Some(_)) => {}
            (Some(state), None) => self.set(alert, state, None),
            (None, None) => self.alerts[alert].page = None,
        }
        if self.planted == Planted::DoubtForgotten {
            self.alerts[alert].write.doubt = None;
            self.alerts[alert].write.intent = None;
        }
    }

    /// What a list shows of an alert's pages: an open one before a closed one.
    fn listed(&self, alert: usize) -> Option<usize> {
        let shown = || self.of(alert).filter(|(_, incident)| incident.lags_until.is_none());
        shown().find(|(_, incident)| incident.is_open).or_else(|| shown().next()).map(|(id, _)| id)
    }

    /// The next step of who works on an alert's page.
    pub(super) fn works(&self, place: usize) -> Steps {
        let alert = &self.alerts[place];
        if self.state(place) != Some(State::Wanted) {
            return Steps::new();
        }
        let work = |worker: Option<Worker>| self.with(|next| next.alerts[place].worker = worker);
        match &alert.worker {
            None => self.takes_it(place),
            // Whoever waits looks again when time has passed: one that begins to look meanwhile is as good.
            Some(Worker::Waits) if self.tick().is_none() => self.takes_it(place),
            Some(Worker::Waits) => Steps::new(),
            Some(Worker::Sends(send)) => self.answers(
                place,
                *send,
                |next, send| next.alerts[place].worker = Some(Worker::Sends(send)),
                |next, ended| next.goes_on(place, ended),
            ),
            Some(Worker::Knows { id, joined }) => {
                let is_open = self.incidents[*id].is_open;
                if *joined && !is_open {
                    return vec![("it is resolved already", work(None))];
                }
                vec![(
                    "paged",
                    self.with(|next| {
                        next.set(place, State::Paged, Some(*id));
                        next.incidents[*id].told += u8::from(!joined);
                        next.alerts[place].worker = None;
                    }),
                )]
            }
            Some(Worker::LooksAt { attempt, began, looked, other }) => {
                let told = other.page_id().and_then(|id| id.parse().ok());
                let found = told.or_else(|| self.listed(1 - place)).filter(|id: &usize| self.incidents[*id].is_open);
                let worker = match found {
                    Some(id) => Worker::Knows { id, joined: true },
                    None => {
                        let looked = looked.iter().chain([&**other]).cloned().collect();
                        Worker::Looked { attempt: *attempt, began: *began, looked }
                    }
                };
                vec![("looks at the other's", work(Some(worker)))]
            }
            Some(Worker::Looked { attempt, began, looked }) => {
                let mut steps = vec![("asks", self.asks(place, *attempt, *began, looked))];
                if self.may.ends > 0 && !alert.by_hand {
                    steps.push((
                        "held",
                        self.with(|next| {
                            next.may.ends -= 1;
                            next.end(place, None);
                        }),
                    ));
                }
                steps
            }
        }
    }

    /// A worker looks for the alert's own page, and for one that it could join.
    fn takes_it(&self, place: usize) -> Steps {
        let mut steps = Steps::new();
        let taken = self.with(|next| {
            let write = &mut next.alerts[place].write;
            match next.planted {
                Planted::CrashForgotten => write.intent = None,
                _ => write.take_over(now(), &TIMES),
            }
        });
        let mut seen = taken.alerts[place].write.clone();
        let known = seen.id.as_ref().and_then(|id| id.parse().ok());
        // One that is known stands for what was closed before.
        let is_it = |id: &usize| known.is_none_or(|known| known == *id) || self.incidents[*id].is_open;
        let worker = match (self.listed(place).filter(is_it).or(known), self.listed(1 - place)) {
            (Some(id), _) => Some(Worker::Knows { id, joined: false }),
            (None, Some(id)) if self.incidents[id].is_open => Some(Worker::Knows { id, joined: true }),
            _ => {
                seen.looked(now(), &Settling::default(), &TIMES);
                let is_free = seen.next(&TIMES) == Next::Send || self.planted == Planted::SentBlindly;
                is_free.then(|| Worker::Looked { attempt: seen.attempt, began: now(), looked: Vec::new() })
            }
        };
        match worker {
            Some(worker) => steps.push((
                "takes it, and looks",
                taken.with(|next| {
                    if let Worker::Knows { id, joined: false } = worker {
                        looked_for(&mut next.alerts[place].write, Some(&id.to_string()), now(), &TIMES);
                    }
                    next.alerts[place].worker = Some(worker);
                }),
            )),
            // It is looked again and again, which changes nothing once it is taken over.
            None if taken.alerts[place].write != self.alerts[place].write => steps.push(("takes it over", taken)),
            None => {}
        }
        if self.may.ends > 0 {
            steps.push((
                "given up",
                self.with(|next| {
                    next.may.ends -= 1;
                    next.end(place, Some(State::Failed));
                }),
            ));
        }
        steps
    }

    /// It is asked whether it may be opened.
    fn asks(&self, place: usize, attempt: u32, began: Moment, looked: &[Other]) -> Self {
        self.with(|next| {
            let alert = &next.alerts[place];
            if alert.write.attempt != attempt {
                next.alerts[place].worker = None;
                return;
            }
            let mut write = alert.write.clone();
            looked_for(&mut write, None, began, &TIMES);
            let mut own = Own { write, by_hand: alert.by_hand, holds_right: alert.holds_right, held_by: None };
            if next.planted == Planted::SentBlindly {
                own.write.doubt = None;
            }
            let other = &next.alerts[1 - place];
            let matters = other.holds_right || other.write.is_in_doubt();
            let others: Vec<Other> = (matters && next.planted != Planted::RightIgnored)
                .then(|| Other { alert: (1 - place).to_string(), write: other.write.clone(), page: other.page.clone() })
                .into_iter()
                .collect();
            let opened = Opened { automatic: other.automatic, begun_at: now().ours, write: other.write.clone() };
            let hour = Hour { opened: pages_of(&[opened], now().ours), most: next.most };
            let looked = if next.planted == Planted::OldLookCounts && !looked.is_empty() { &others } else { looked };
            let worker = match reserve(&own, &others, looked, hour, &TIMES) {
                Reservation::Reserved => {
                    let automatic = !own.by_hand;
                    let alert = &mut next.alerts[place];
                    alert.automatic = automatic || (alert.automatic && alert.write.may_stand());
                    alert.write = own.write;
                    alert.holds_right = true;
                    let Ok(attempt) = alert.write.begin(attempt, now(), &TIMES) else { return };
                    next.alerts[1 - place].holds_right = false;
                    let until = now().ours + TIMES.longest_write;
                    Some(Worker::Sends(Send { attempt, automatic, until, came: Came::Nothing }))
                }
                Reservation::HourFull(_) | Reservation::HeldBy(_) => {
                    next.end(place, None);
                    None
                }
                Reservation::WaitingFor { .. } => Some(Worker::Waits),
                Reservation::LookAt(other) => {
                    Some(Worker::LooksAt { attempt, began, looked: looked.to_vec(), other: Box::new(other) })
                }
                Reservation::LookFirst => None,
                Reservation::Stands(id) => Some(Worker::Knows { id: id.parse().unwrap(), joined: false }),
            };
            next.alerts[place].worker = worker;
        })
    }

    /// The worker goes on with what came of its send.
    fn goes_on(&mut self, place: usize, ended: Ended) {
        match ended {
            Ended::Done(id) => self.alerts[place].worker = Some(Worker::Knows { id, joined: false }),
            Ended::Over => self.end(place, Some(State::Failed)),
            Ended::Again => self.alerts[place].worker = Some(Worker::Waits),
        }
    }

    /// A page is handed in: opened, where none with its key is open, and listed at once or with a lag.
    pub(super) fn handed_in(&self, alert: usize, automatic: bool, lags: bool) -> (Self, Came) {
        if self.of(alert).any(|(_, incident)| incident.is_open) {
            return (self.clone(), Came::KeyTaken);
        }
        let lags_until = lags.then(|| now().ours + TIMES.read_lag);
        let incident = Incident { alert, automatic, is_open: true, lags_until, told: 0 };
        (self.with(|next| next.incidents.push(incident)), Came::Opened(self.incidents.len()))
    }

    /// What may become of a send of which no answer comes.
    pub(super) fn fates(&self, place: usize, send: Send) -> Steps {
        if send.came != Came::Nothing {
            return vec![("done", self.clone())];
        }
        let mut fates = vec![("not done", self.clone())];
        for lags in [false, true] {
            fates.push(("done", self.handed_in(place, send.automatic, lags).0));
        }
        if self.may.late > 0 {
            fates.push((
                "done late",
                self.with(|next| {
                    next.may.late -= 1;
                    next.alerts[place].unseen += 1;
                    next.late.push((place, send.automatic, now().ours + LATE));
                }),
            ));
        }
        fates
    }

    /// The send is done, which is `written`, or ends; what follows that is `after`.
    fn answers(
        &self,
        place: usize,
        send: Send,
        written: impl Fn(&mut Self, Send),
        after: impl Fn(&mut Self, Ended),
    ) -> Steps {
        let mut steps = Steps::new();
        let ends = |mut next: Self, outcome: &Outcome, what: Ended| {
            let moved_back = next.planted == Planted::MovedBack;
            let alert = &mut next.alerts[place];
            let no_news = if moved_back { &[] } else { &alert.no_news[..] };
            ended(&mut alert.write, no_news, send.attempt, outcome, now());
            after(&mut next, what);
            next
        };
        let unknown = Outcome::Ambiguous(String::new());
        match send.came {
            Came::Opened(id) => {
                steps.push(("answered", ends(self.clone(), &Outcome::Done(id.to_string()), Ended::Done(id))));
            }
            Came::KeyTaken => {
                let outcome = key_taken(&self.alerts[place].before(&send));
                steps.push(("its key is taken", ends(self.clone(), &outcome, Ended::Again)));
            }
            Came::Nothing => {
                for lags in [false, true] {
                    let (mut next, came) = self.handed_in(place, send.automatic, lags);
                    written(&mut next, Send { came, ..send });
                    steps.push(("handed in", next));
                }
            }
        }
        if self.may.lost > 0 {
            for (_, next) in self.with(|next| next.may.lost -= 1).fates(place, send) {
                steps.push(("answer lost", ends(next, &unknown, Ended::Again)));
            }
        }
        if self.may.failed > 0 && send.came == Came::Nothing {
            for (name, outcome, what) in [
                ("not sent", Outcome::NotSent(String::new()), Ended::Again),
                ("refused", Outcome::Refused(String::new()), Ended::Over),
            ] {
                steps.push((name, ends(self.with(|next| next.may.failed -= 1), &outcome, what)));
            }
        }
        steps
    }

    /// What may become of the send of a worker that was frozen, and wakes.
    pub(super) fn thaws(&self, place: usize) -> Steps {
        let Some(send) = self.alerts[place].frozen else { return Steps::new() };
        self.answers(
            place,
            send,
            |next, send| next.alerts[place].frozen = Some(send),
            |next, _| next.alerts[place].frozen = None,
        )
    }

    pub(super) fn settle_in(&self, place: usize) -> Option<Duration> {
        let alert = &self.alerts[place];
        if self.planted == Planted::ToldOnce && !alert.no_news.is_empty() {
            return alert.write.settle_in(now(), &TIMES);
        }
        settle_in(&alert.write, alert.page.as_ref(), &alert.no_news, now(), &TIMES)
    }

    /// The task that looks for what shows late.
    pub(super) fn looks(&self, place: usize) -> Steps {
        let alert = &self.alerts[place];
        let Some((began, shown)) = &alert.look else {
            if self.settle_in(place) != Some(Duration::ZERO) {
                return Steps::new();
            }
            // One that is known is asked for by its id where no list shows it yet.
            let known = alert.write.id.as_deref();
            let is_shown = |(id, incident): &(usize, &Incident)| {
                incident.lags_until.is_none() || known == Some(id.to_string().as_str())
            };
            let shown = |(id, incident): (usize, &Incident)| Shown { id: id.to_string(), is_open: incident.is_open };
            let look = Some((now(), self.of(place).filter(is_shown).map(shown).collect()));
            return vec![("it is looked for", self.with(|next| next.alerts[place].look = look))];
        };
        let next = self.with(|next| {
            let alert = &mut next.alerts[place];
            alert.look = None;
            if next.planted == Planted::CrashForgotten {
                alert.write.intent = None;
            }
            let late = looked_late(&mut alert.write, alert.page.as_ref(), &alert.no_news, shown, *began, &TIMES);
            let was_told = next.planted == Planted::ToldOnce && !alert.no_news.is_empty();
            if next.planted != Planted::ToldForgotten {
                alert.no_news.extend(late.no_news);
            }
            if late.is_news && !was_told {
                next.set(place, State::Wanted, None);
            }
        });
        vec![("the look ends", next)]
    }
}

impl super::Alert {
    /// What is recorded, but for this send.
    fn before(&self, send: &Send) -> Write {
        let is_its = self.write.attempt == send.attempt;
        Write { intent: self.write.intent.filter(|_| !is_its), ..self.write.clone() }
    }
}

/// How a send ended.
#[derive(Clone, Copy)]
enum Ended {
    Done(usize),
    /// Asking again changes nothing.
    Over,
    Again,
}
