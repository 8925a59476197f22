//! Whoever works on an alert beside its runs: `src/run/beside.rs` and `beside/actions.rs`.

use super::{Asked, Flight, Lives, NAMES, PAGES, PageThere, Planted, Saw, Steps, TICK, Then, Worker, now, place};
use crate::command::Word;
use crate::life::Reply;
use crate::plan::{Answer, Came, IncidentNow, Known, Newest, Next, PageNow, Policy, What, advance};
use crate::run::Trigger;
use crate::writes::Moment;

fn policy() -> Policy {
    Policy { ack_wait: TICK * 2, recheck: TICK, settle: TICK, command_users: Vec::new(), jitter: 0.0 }
}

/// The place of a command.
pub(super) fn order_of(key: &str) -> usize {
    key.trim_start_matches('N').parse().unwrap_or_default()
}

fn incident_now(asked: Asked) -> IncidentNow {
    match asked {
        Asked::Open(name) => IncidentNow::Open(NAMES[name].to_owned()),
        Asked::Over(name, since) => IncidentNow::Resolved(NAMES[name].to_owned(), Some(since)),
        Asked::Unknown => IncidentNow::Unknown,
    }
}

impl Lives {
    /// The next steps of who works on an alert.
    pub(super) fn works(&self, slot: usize) -> Steps {
        let Some(stored) = &self.alerts[slot] else { return Steps::new() };
        let Some(worker) = &stored.worker else {
            let is_due = stored.due.is_some_and(|due| due <= now());
            let claimed = |next: &mut Self| {
                if let Some(stored) = next.of(slot) {
                    stored.worker = Some(Worker::default());
                }
                next.thinks(slot);
            };
            return if is_due { vec![("claimed", self.with(claimed))] } else { Steps::new() };
        };
        if worker.then.is_some() {
            return vec![("saves", self.with(|next| next.saves(slot)))];
        }
        let mut steps = Steps::new();
        for flight in 0..worker.flights.len() {
            steps.extend(self.lands(slot, flight));
        }
        // It looks each second what has come meanwhile.
        if worker.is_stale {
            steps.push(("looks what has come", self.with(|next| next.thinks(slot))));
        }
        steps
    }

    fn advance(&self, slot: usize, beside: &mut crate::life::Beside, worker: &Worker) -> Next {
        let Some(stored) = &self.alerts[slot] else { return Next::default() };
        let runs = || self.runs.iter().filter(|run| run.alert == slot);
        let newest = runs().max_by_key(|run| &run.id);
        let newest = newest.map(|run| Newest { run_id: run.id.clone(), is_active: run.ended.is_none() });
        let page = self.page_of(slot);
        let keys = stored.beside.commands.iter().map(|open| open.command.key.clone());
        let answered: Vec<String> = keys.filter(|key| self.orders[order_of(key)].recorded.is_some()).collect();
        let known = Known {
            alert: &stored.alert,
            newest: newest.as_ref(),
            is_active: runs().any(|run| run.ended.is_none()),
            page: page.as_ref(),
            pages: &[],
            answered: &answered,
            related_changed_at: self.related_changed_at,
            run_url: "",
        };
        let moment = Moment { ours: now(), theirs: self.knows_their_clock.then(now) };
        advance(beside, &known, &worker.answers, &policy(), moment)
    }

    /// Looks at the alert, and decides.
    pub(super) fn thinks(&mut self, slot: usize) {
        let Some(stored) = self.of(slot) else { return };
        let Some(mut worker) = stored.worker.take() else { return };
        let (mut beside, saved) = match worker.decided.take() {
            Some(decided) if !worker.is_stale => decided,
            other => {
                if other.is_some() {
                    self.forgets(&mut worker);
                }
                let beside = self.alerts[slot].as_ref().map(|stored| stored.beside.clone()).unwrap_or_default();
                (beside.clone(), beside)
            }
        };
        worker.is_stale = false;
        let next = self.advance(slot, &mut beside, &worker);
        if self.planted == Planted::RefusalNotKept {
            beside.commands.iter_mut().for_each(|open| open.refused = None);
        }
        let is_new = |what: &What| worker.flights.iter().all(|flight| flight.what.key() != what.key());
        let new: Vec<What> = next.actions.into_iter().filter(is_new).collect();
        new.iter().for_each(|what| self.judge(slot, what));
        let has_changed = beside != saved;
        worker.decided = Some((beside, saved));
        if has_changed && new.iter().any(|what| !what.only_asks()) {
            worker.then = Some(Then::Do(new));
        } else if new.is_empty() && worker.flights.is_empty() {
            worker.then = Some(Then::Rest(next.wake_at));
        } else {
            self.begins(slot, &mut worker, new);
        }
        if let Some(stored) = self.of(slot) {
            stored.worker = Some(worker);
        }
    }

    fn forgets(&self, worker: &mut Worker) {
        if self.planted != Planted::OldLookCounts {
            worker.answers.forget_looks();
        }
    }

    /// What must not be decided, by how the world stands and what of it is stored.
    fn judge(&mut self, slot: usize, what: &What) {
        let Some(name) = self.newest_name(slot) else { return };
        let is_over = self.is_known_to_be_over(name);
        match what {
            What::Begin(_) if is_over => self.fault("a run is begun for what is over"),
            What::Obey(key) if is_over && self.orders[order_of(key)].word != Word::Status => {
                self.fault("a command is obeyed on what is over");
            }
            What::SaySilence(say) => {
                let Some(name) = (0..2).find(|name| say.key.contains(PAGES[*name])) else { return };
                if is_over {
                    self.fault("a silence is said of an alert that is over");
                }
                if self.is_page_seen[name] && self.pages[name] != Some(PageThere::Open) {
                    self.fault("a silence is said of a page that somebody has, or nobody needs");
                }
            }
            _ => {}
        }
    }

    fn begins(&mut self, slot: usize, worker: &mut Worker, new: Vec<What>) {
        let name = self.newest_name(slot).unwrap_or_default();
        for what in new {
            let saw = match &what {
                What::AskIncident => Saw::Incident(self.asked(name)),
                What::ReadPage(id) => {
                    self.is_page_seen[usize::from(id == PAGES[1])] = true;
                    Saw::Page(self.page_now(id))
                }
                What::FindRelated(_) => Saw::Related(self.is_related_open),
                _ => Saw::Nothing,
            };
            let (incident, round) = (worker.incident, worker.answers.round());
            worker.flights.push(Flight { what, began: now(), saw, incident, round, is_stale: false, is_half: false });
        }
    }

    /// Saves what is decided, where nothing has come meanwhile; then it is done.
    fn saves(&mut self, slot: usize) {
        let Some(mut worker) = self.of(slot).and_then(|stored| stored.worker.take()) else { return };
        let (Some(then), Some((beside, _))) = (worker.then.take(), worker.decided.take()) else { return };
        let kept = !worker.is_stale;
        match then {
            Then::Do(new) => {
                if kept {
                    self.changed(slot);
                    if let Some(stored) = self.of(slot) {
                        stored.beside = beside.clone();
                    }
                    worker.flights.iter_mut().for_each(|flight| flight.is_stale = true);
                    worker.decided = Some((beside.clone(), beside));
                    self.begins(slot, &mut worker, new);
                } else {
                    self.forgets(&mut worker);
                }
                if let Some(stored) = self.of(slot) {
                    stored.worker = Some(worker);
                }
                if !kept {
                    self.thinks(slot);
                }
            }
            Then::Rest(wake_at) => {
                let changed_at = self.related_changed_at;
                let Some(stored) = self.of(slot) else { return };
                if !kept {
                    stored.due = Some(now());
                    return;
                }
                let has_changed =
                    beside.related_again.as_ref().is_some_and(|it| changed_at > it.changed_at.max(Some(it.since)));
                stored.due = match wake_at {
                    _ if has_changed => Some(now()),
                    None if beside.is_empty() => None,
                    wake_at => Some(wake_at.unwrap_or(now())),
                };
                stored.beside = beside;
                self.changed(slot);
            }
        }
    }

    /// What may come of something that is asked or done.
    fn lands(&self, slot: usize, at: usize) -> Steps {
        let Some(stored) = &self.alerts[slot] else { return Steps::new() };
        let Some(flight) = stored.worker.as_ref().and_then(|worker| worker.flights.get(at)) else {
            return Steps::new();
        };
        let name = place(&stored.alert.incident_id);
        let mut steps = Steps::new();
        match &flight.what {
            What::AskIncident | What::ReadPage(_) | What::FindRelated(_) => {
                let page_id = if let What::ReadPage(id) = &flight.what { id.as_str() } else { "" };
                for saw in self.may_show(&flight.saw, name, page_id) {
                    steps.push(("an answer comes", self.with(|next| next.answered(slot, at, &saw))));
                }
                if self.may.fails > 0 {
                    let fails = |next: &mut Self| {
                        next.may.fails -= 1;
                        let saw = match &flight.saw {
                            Saw::Incident(_) => Saw::Incident(Asked::Unknown),
                            Saw::Page(_) => Saw::Page(PageNow::Unknown),
                            other => other.clone(),
                        };
                        next.answered(slot, at, &saw);
                    };
                    steps.push(("PagerDuty can't be asked", self.with(fails)));
                }
            }
            What::Answer { key, answer } if !flight.is_half => {
                let (order, obeyed) = (order_of(key), !matches!(answer, Answer::Refused(_)));
                steps.push((
                    "an answer to a command is recorded",
                    self.with(|next| {
                        next.orders[order].recorded.get_or_insert(obeyed);
                        if let Some(flight) = next.flight(slot, at) {
                            flight.is_half = true;
                        }
                    }),
                ));
            }
            What::Obey(key) if self.planted == Planted::ObeyedKeptLater && !flight.is_half => {
                let half = |next: &mut Self| {
                    next.obey(slot, key);
                    if let Some(flight) = next.flight(slot, at) {
                        flight.is_half = true;
                    }
                };
                steps.push(("a command is obeyed", self.with(half)));
            }
            what => {
                let done = self.with(|next| {
                    let came = next.does(slot, flight);
                    next.came(slot, at, came);
                });
                steps.push((name_of(what), done));
                let is_note = matches!(
                    what,
                    What::SaySilence(_) | What::Acknowledge { .. } | What::TellEnd { .. } | What::Answer { .. }
                );
                if is_note && self.may.fails > 0 {
                    let fails = |next: &mut Self| {
                        next.may.fails -= 1;
                        next.came(slot, at, Came::NotDone);
                    };
                    steps.push(("a note is not taken", self.with(fails)));
                }
            }
        }
        steps
    }

    fn flight(&mut self, slot: usize, at: usize) -> Option<&mut Flight> {
        self.of(slot)?.worker.as_mut()?.flights.get_mut(at)
    }

    fn answered(&mut self, slot: usize, at: usize, saw: &Saw) {
        self.knows_their_clock |= !matches!(saw, Saw::Incident(Asked::Unknown) | Saw::Page(PageNow::Unknown));
        let came = match saw {
            Saw::Incident(asked) => {
                if let Some(worker) = self.of(slot).and_then(|stored| stored.worker.as_mut()) {
                    worker.incident = Some(*asked);
                }
                Came::Incident(incident_now(*asked))
            }
            Saw::Page(page) => Came::Page(page.clone()),
            Saw::Related(is_open) => Came::Explained(Some(*is_open)),
            Saw::Nothing => return,
        };
        self.came(slot, at, came);
    }

    /// What came of it is taken in, and it is decided again.
    fn came(&mut self, slot: usize, at: usize, came: Came) {
        let planted = self.planted;
        let Some(worker) = self.of(slot).and_then(|stored| stored.worker.as_mut()) else { return };
        let flight = worker.flights.remove(at);
        let round = if planted == Planted::LookUnderWayCounts { worker.answers.round() } else { flight.round };
        worker.answers.came_of(round, flight.what.key(), flight.began, came);
        self.thinks(slot);
    }

    /// Does it.
    fn does(&mut self, slot: usize, flight: &Flight) -> Came {
        match &flight.what {
            What::Begin(trigger) => {
                let Some(name) = self.newest_name(slot) else { return Came::Done };
                self.begin(name, *trigger, false, None);
            }
            What::TellEnd { ended, .. } => {
                let Some(Asked::Over(..)) = flight.incident else { return Came::NotDone };
                if let Some(stored) = self.of(slot) {
                    stored.told = Some(*ended);
                }
            }
            What::OpenAfterAll => {
                if flight.is_stale && self.planted != Planted::OpenUnguarded {
                    return Came::NotDone;
                }
                if let Some(name) = self.newest_name(slot) {
                    self.open(name);
                }
            }
            What::FollowMerge { into, over } => {
                let Some(Asked::Open(_) | Asked::Over(..)) = flight.incident else { return Came::NotDone };
                let (Some(from), into) = (self.newest_name(slot), place(into)) else { return Came::Done };
                self.merge(from, into, None);
                if let Some(over) = over {
                    self.resolve(into, *over);
                }
            }
            What::Obey(key) if self.planted == Planted::ObeyedKeptLater => self.keep_obeyed(slot, key, Reply::Kept),
            What::Obey(key) => self.obey(slot, key),
            What::Answer { key, .. } => {
                let order = &mut self.orders[order_of(key)];
                order.is_answered = true;
                if order.recorded == Some(false) && order.obeyed > 0 {
                    self.fault("a command is obeyed, and answered that it is not");
                }
            }
            What::SaySilence(_) | What::Acknowledge { .. } => {}
            What::AskIncident | What::ReadPage(_) | What::FindRelated(_) => {}
            other => self.fault(page_is_elsewhere(other)),
        }
        Came::Done
    }
}

fn name_of(what: &What) -> &'static str {
    match what {
        What::Begin(Trigger::FollowUp) => "a follow-up is begun",
        What::Begin(_) => "a run is begun",
        What::SaySilence(_) => "its silence is said",
        What::Acknowledge { .. } => "who has the page is said",
        What::TellEnd { .. } => "its end is told",
        What::OpenAfterAll => "kept as open after all",
        What::FollowMerge { .. } => "its merge is followed",
        What::Obey(_) => "a command is obeyed",
        What::Answer { .. } => "a command is answered",
        What::AskIncident | What::ReadPage(_) | What::FindRelated(_) => "asks",
        other => page_is_elsewhere(other),
    }
}

/// How a page is opened is searched in `writes::pages`: here it only stands, or does not.
fn page_is_elsewhere(_: &What) -> &'static str {
    "a page is tried, though none is wanted here"
}
