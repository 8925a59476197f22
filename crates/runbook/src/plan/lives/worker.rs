//! Whoever works on an alert beside its runs: `src/run/beside.rs` and `beside/actions.rs`.

use super::pages::{Goes, place_of_page};
use super::{Asked, Flight, Lives, NAMES, PageThere, Planted, Row, Saw, TICK, Then, Ways, Worker, now, place, way};
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
    pub(super) fn works(&self, slot: usize) -> Ways<'_> {
        let Some(stored) = &self.alerts[slot] else { return Ways::new() };
        let Some(worker) = &stored.worker else {
            let is_due = stored.due.is_some_and(|due| due <= now());
            let claimed = move |next: &mut Self| {
                if let Some(stored) = next.of(slot) {
                    stored.worker = Some(Worker::default());
                }
                next.thinks(slot);
            };
            return if is_due { vec![way("claimed", claimed)] } else { Ways::new() };
        };
        if worker.then.is_some() {
            return vec![way("saves", move |next| next.saves(slot))];
        }
        let mut ways = Ways::new();
        for flight in 0..worker.flights.len() {
            ways.extend(self.lands(slot, flight));
        }
        // It looks each second what has come meanwhile.
        if worker.is_stale {
            ways.push(way("looks what has come", move |next| next.thinks(slot)));
        }
        ways
    }

    fn advance(&self, slot: usize, beside: &mut crate::life::Beside, worker: &Worker) -> Next {
        let Some(stored) = &self.alerts[slot] else { return Next::default() };
        let runs = || self.runs.iter().filter(|run| run.alert == slot);
        let newest = runs().max_by_key(|run| &run.id);
        let newest = newest.map(|run| Newest { run_id: run.id.clone(), is_active: run.ended.is_none() });
        let (page, pages) = (self.page_of(slot), self.known_pages(slot));
        let keys = stored.beside.commands.iter().map(|open| open.command.key.clone());
        let answered: Vec<String> = keys.filter(|key| self.orders[order_of(key)].recorded.is_some()).collect();
        let known = Known {
            alert: &stored.alert,
            newest: newest.as_ref(),
            is_active: runs().any(|run| run.ended.is_none()),
            page: page.as_ref(),
            pages: &pages,
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
                let Some(name) = (0..2).find(|name| say.key.contains(super::PAGES[*name])) else { return };
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
                    self.is_page_seen[place_of_page(id)] = true;
                    Saw::Page(self.page_now(id))
                }
                What::TryPage(name) => Saw::Alert(self.asked(place(name)), self.is_related_open),
                What::FindRelated(_) => Saw::Related(self.is_related_open),
                _ => Saw::Nothing,
            };
            let (incident, round) = (worker.incident, worker.answers.round());
            let asked = if let What::EndPage { name, .. } = &what { self.asked_for(place(name)) } else { 0 };
            let (is_stale, is_half) = (false, false);
            worker.flights.push(Flight { what, began: now(), saw, incident, round, is_stale, is_half, asked });
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

    /// How often the page of this name was asked for.
    fn asked_for(&self, name: usize) -> u8 {
        if let Some(Row::Wanted(wish)) = &self.rows[name] { wish.asked } else { 0 }
    }

    /// What may come of something that is asked or done.
    fn lands(&self, slot: usize, at: usize) -> Ways<'_> {
        let Some(stored) = &self.alerts[slot] else { return Ways::new() };
        let Some(flight) = stored.worker.as_ref().and_then(|worker| worker.flights.get(at)) else {
            return Ways::new();
        };
        let name = place(&stored.alert.incident_id);
        let mut ways = Ways::new();
        match &flight.what {
            What::AskIncident | What::ReadPage(_) | What::FindRelated(_) | What::AskPagerDuty(_) => {
                let page_id = if let What::ReadPage(id) = &flight.what { id.as_str() } else { "" };
                for saw in self.may_show(&flight.saw, name, page_id) {
                    ways.push(way("an answer comes", move |next| next.answered(slot, at, &saw)));
                }
                if self.may.fails > 0 && !matches!(flight.what, What::AskPagerDuty(_)) {
                    let fails = move |next: &mut Self| {
                        next.may.fails -= 1;
                        let saw = match &flight.saw {
                            Saw::Incident(_) => Saw::Incident(Asked::Unknown),
                            Saw::Page(_) => Saw::Page(PageNow::Unknown),
                            other => other.clone(),
                        };
                        next.answered(slot, at, &saw);
                    };
                    ways.push(way("PagerDuty can't be asked", fails));
                }
            }
            What::TryPage(page) => ways.extend(self.page_is_tried(slot, at, flight, place(page))),
            What::Answer { key, answer } if !flight.is_half => {
                let (order, obeyed) = (order_of(key), !matches!(answer, Answer::Refused(_)));
                ways.push(way("an answer to a command is recorded", move |next| {
                    next.orders[order].recorded.get_or_insert(obeyed);
                    if let Some(flight) = next.flight(slot, at) {
                        flight.is_half = true;
                    }
                }));
            }
            What::Obey(key) if self.planted == Planted::ObeyedKeptLater && !flight.is_half => {
                ways.push(way("a command is obeyed", move |next| {
                    next.obey(slot, key);
                    if let Some(flight) = next.flight(slot, at) {
                        flight.is_half = true;
                    }
                }));
            }
            what => {
                ways.push(way(name_of(what), move |next| {
                    let came = next.does(slot, flight);
                    next.came(slot, at, came);
                }));
                let is_note = matches!(
                    what,
                    What::SaySilence(_) | What::Acknowledge { .. } | What::TellEnd { .. } | What::Answer { .. }
                );
                if is_note && self.may.fails > 0 {
                    ways.push(way("a note is not taken", move |next| {
                        next.may.fails -= 1;
                        next.came(slot, at, Came::NotDone);
                    }));
                }
            }
        }
        ways
    }

    /// What may come of a try to page.
    fn page_is_tried<'a>(&'a self, slot: usize, at: usize, flight: &'a Flight, page: usize) -> Ways<'a> {
        let mut ways = Ways::new();
        let mut goes = |what, saw: Saw, goes: Goes| {
            ways.push(way(what, move |next| {
                next.may.fails -= u8::from(goes != Goes::Well);
                let Saw::Alert(asked, related) = saw else { return };
                let came = next.tries(slot, page, (asked, related), goes);
                next.came(slot, at, came);
            }));
        };
        for saw in self.may_show(&flight.saw, page, "") {
            goes("a page is tried", saw, Goes::Well);
        }
        if self.may.fails > 0 {
            goes("a page's answer is lost", flight.saw.clone(), Goes::Lost);
            goes("a page is refused", flight.saw.clone(), Goes::Refused);
            goes("PagerDuty can't be asked for a page", flight.saw.clone(), Goes::NotAsked);
        }
        ways
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
            Saw::Alert(..) => return,
            Saw::Nothing => Came::Done,
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
                self.edited();
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
                let is_wrong = order.recorded == Some(false) && order.obeyed > 0;
                if is_wrong {
                    self.fault("a command is obeyed, and answered that it is not");
                }
                self.says_of(slot, &format!("answer:{key}"));
            }
            What::SaySilence(say) | What::Acknowledge { say, .. } => self.says_of(slot, &say.key),
            What::EndPage { name, end } => return self.end_page(slot, flight, end, place(name)),
            What::HoldPage { name, held, starts_over } => return self.hold_page(slot, held, *starts_over, place(name)),
            What::TellPage { name, .. } => return self.tell_page(slot, place(name)),
            What::ForgetTries(name) => {
                if let Some(Row::Wanted(wish)) = &mut self.rows[place(name)] {
                    wish.tried_since = None;
                }
            }
            What::AskIncident | What::ReadPage(_) | What::FindRelated(_) | What::AskPagerDuty(_) | What::TryPage(_) => {
            }
            What::WaitForPage { .. } | What::GiveUpPage { .. } => {
                self.fault("a page waits for another's, or is given up")
            }
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
        What::EndPage { .. } => "what became of its page is kept",
        What::HoldPage { .. } => "its page is held",
        What::TellPage { .. } => "what became of its page is told",
        What::ForgetTries(_) => "the tries of its page are forgotten",
        // How two alerts of one region share the right to open a page is searched in `writes::pages`.
        What::WaitForPage { .. } | What::GiveUpPage { .. } => "its page waits, or is given up",
        What::AskIncident | What::ReadPage(_) | What::FindRelated(_) | What::AskPagerDuty(_) | What::TryPage(_) => {
            "asks"
        }
    }
}
