//! What is stored, one transaction a function: as `crates/store` does it.

use jiff::Timestamp;

use super::{Lives, NAMES, Order, PAGES, Planted, REGION, Row, Run, Stored, Tells, Ways, Webhook, now, place, way};
use crate::command::{Command, Word};
use crate::life::{
    Active, Alert, Asked as AskedFor, Beside, FOLLOW_UPS, Idle, Input, PageWatch, Reply, Runs, Theirs, after_merge,
    begin,
};
use crate::run::Trigger;

impl Lives {
    pub(super) fn of(&mut self, slot: usize) -> Option<&mut Stored> {
        self.alerts[slot].as_mut()
    }

    /// A webhook is stored, with what follows from it: `src/inbox/route.rs`, `store::inbox`.
    pub(super) fn comes(&mut self, webhook: Webhook) {
        let Webhook { of: name, tells, at, is_last, .. } = webhook;
        self.there[name].is_heard |= is_last;
        let known = self.names[name];
        match tells {
            Tells::Triggered => drop(self.begin(name, Trigger::Webhook, false, Some(at))),
            Tells::Reopened => drop(self.begin(name, Trigger::Webhook, true, Some(at))),
            Tells::Resolved if known.is_some_and(|slot| self.newest_name(slot) == Some(name)) => {
                self.resolve(name, at);
            }
            Tells::Command(order) => {
                if let Some(slot) = known {
                    self.orders[order].is_stored = true;
                    self.command(slot, order);
                }
            }
            Tells::Related => {
                self.related_changed_at = Some(now());
                for stored in self.alerts.iter_mut().flatten().filter(|stored| stored.beside.related_again.is_some()) {
                    stored.due = stored.due.map(|due| due.min(now()));
                }
                self.runs.iter_mut().filter(|run| run.is_parked).for_each(|run| run.due = now());
            }
            // It is of nobody that is known, or was merged into what is the alert now.
            Tells::Resolved => {}
        }
    }

    pub(super) fn newest_name(&self, slot: usize) -> Option<usize> {
        self.alerts[slot].as_ref().map(|stored| place(&stored.alert.incident_id))
    }

    fn command(&mut self, slot: usize, order: usize) {
        let Order { word, obeyed, recorded, .. } = self.orders[order];
        // One that was obeyed or answered is told of once more.
        if obeyed > 0 || recorded.is_some() {
            return;
        }
        let command = Command {
            key: format!("N{order}"),
            word,
            said: String::new(),
            user_id: String::new(),
            user: "Ann".to_owned(),
            at: Some(now()),
        };
        self.tell(slot, Input::Said(command));
    }

    /// Something is new about an alert.
    pub(super) fn tell(&mut self, slot: usize, input: Input) {
        self.a_moment_passes();
        let Some(stored) = self.of(slot) else { return };
        stored.beside.apply(input, now());
        self.changed(slot);
        self.want(slot);
    }

    /// What is under way has another version.
    pub(super) fn changed(&mut self, slot: usize) {
        let climbers = self.runs.iter_mut().filter(|run| run.alert == slot).filter_map(|run| run.climber.as_mut());
        climbers.filter_map(|climber| climber.look.as_mut()).for_each(|look| look.is_stale = true);
        let Some(worker) = self.of(slot).and_then(|stored| stored.worker.as_mut()) else { return };
        worker.is_stale = true;
        worker.flights.iter_mut().for_each(|flight| flight.is_stale = true);
    }

    fn want(&mut self, slot: usize) {
        if let Some(stored) = self.of(slot) {
            stored.due = stored.beside.due().or(stored.due);
        }
    }

    /// Whether an alert gets a run, and what follows.
    pub(super) fn begin(&mut self, name: usize, trigger: Trigger, reopened: bool, at: Option<Timestamp>) -> Reply {
        let run_id = format!("r{}", self.made + 1);
        let mut known = self.names[name];
        let is_apart = reopened && known.is_some_and(|slot| self.newest_name(slot) != Some(name));
        let is_its = |run: &&Run| Some(run.alert) == known && (!is_apart || run.name == name);
        let active = self.runs.iter().find(|run| is_its(run) && run.ended.is_none()).map(|run| run.id.clone());
        let last = self.runs.iter().filter(is_its).map(|run| run.id.clone()).max().filter(|_| active.is_none());
        if let Some(slot) = known.filter(|_| is_apart) {
            known = Some(self.split(slot, name));
        }
        let waits =
            |run: &Run| run.is_parked || (run.climber.is_some() && run.waits.since.is_some() && !run.waits.go_on);
        let active = active.map(|run_id| {
            let is_suppressed = self.runs.iter().any(|run| run.id == run_id && waits(run));
            Active { run_id, is_suppressed }
        });
        let runs = Runs { active, last };
        let asked = AskedFor { run_id: &run_id, trigger, reopened, at };
        let mut stored = known.and_then(|slot| self.alerts[slot].as_mut());
        let uncounted = self.planted == Planted::FollowUpsUncounted;
        let before = stored.as_ref().map(|stored| stored.alert.follow_ups);
        let reply = begin(stored.as_mut().map(|stored| &mut stored.alert), &runs, asked);
        if let Some(stored) = stored {
            if let Some(before) = before.filter(|_| uncounted) {
                stored.alert.follow_ups = before;
            }
            if reopened {
                stored.follow_ups = 0;
            }
        }
        if let Some(active) = runs.active.filter(|_| reopened)
            && let Some(run) = self.runs.iter_mut().find(|run| run.id == active.run_id)
        {
            (run.said_over, run.reopened_at) = (false, Some(at.unwrap_or(now())));
        }
        if reopened && let Some(slot) = self.names[name] {
            self.watch_again(slot);
        }
        match &reply {
            Reply::Started(_) => self.insert_run(name, trigger),
            // A person does not want it to wait for a bigger outage to end.
            Reply::SuppressionSkipped(id) | Reply::Active(id) if trigger == Trigger::Note => {
                for run in self.runs.iter_mut().filter(|run| run.id == *id) {
                    (run.waits.go_on, run.due) = (true, now());
                }
            }
            _ => {}
        }
        reply
    }

    pub(super) fn insert_run(&mut self, name: usize, trigger: Trigger) {
        let alert = self.names[name].unwrap_or_else(|| {
            let region = REGION.parse().unwrap();
            self.new_alert(|id| Alert::new(id, NAMES[name], region, Some(now())))
        });
        self.names[name] = Some(alert);
        self.made += 1;
        let run = Run::new(format!("r{}", self.made), alert, name, trigger);
        let is_follow_up = trigger == Trigger::FollowUp;
        if self.runs.iter().any(|run| run.alert == alert && run.ended.is_none()) {
            self.fault("two runs of one alert are active");
        }
        self.runs.push(run);
        if let Some(stored) = self.of(alert).filter(|_| is_follow_up) {
            stored.follow_ups += 1;
            if u32::from(stored.follow_ups) > FOLLOW_UPS {
                self.fault("more follow-ups than may be");
            }
        }
    }

    fn new_alert(&mut self, make: impl FnOnce(String) -> Alert) -> usize {
        let slot = self.alerts.iter().position(Option::is_none).unwrap();
        let alert = make(slot.to_string());
        let (beside, due, worker, follow_ups, told) = Default::default();
        self.alerts[slot] = Some(Stored { alert, beside, due, worker, follow_ups, told });
        slot
    }

    /// The alert with this newest name is resolved.
    pub(super) fn resolve(&mut self, name: usize, at: Timestamp) {
        let Some(slot) = self.names[name].filter(|slot| self.newest_name(*slot) == Some(name)) else { return };
        if let Some(stored) = self.of(slot) {
            stored.alert.resolved_at.get_or_insert(at);
        }
        let mut newest = None;
        for run in self.runs.iter_mut().filter(|run| run.alert == slot) {
            if run.ended.is_none() && !run.said_over {
                (run.said_over, run.due) = (true, now());
            }
            newest = newest.max(Some(run.id.clone()));
        }
        if let Some(run_id) = newest {
            self.tell(slot, Input::Ended { run_id });
        }
    }

    /// The alert with this newest name is open, though it was said to be resolved.
    pub(super) fn open(&mut self, name: usize) {
        if self.is_known_to_be_over(name) {
            self.fault("that it is over is undone by what was seen before it");
        }
        let slot = self.names[name].filter(|slot| self.newest_name(*slot) == Some(name));
        if let Some(stored) = slot.and_then(|slot| self.of(slot)) {
            stored.alert.resolved_at = None;
        }
        slot.into_iter().for_each(|slot| self.watch_again(slot));
    }

    /// The alert is open again: its pages that nobody has taken are watched.
    pub(super) fn watch_again(&mut self, slot: usize) {
        for (name, incident) in NAMES.iter().enumerate() {
            if let (true, Some(Row::Ended { page: Some(page), .. })) =
                (self.names[name] == Some(slot), &self.rows[name])
            {
                self.tell(slot, Input::OpenAgain(PageWatch::new(incident, "r1", PAGES[*page], "", now())));
            }
        }
    }

    /// `into` is the alert with the name `from` from now on; why the active run of `from` has nothing left to do.
    pub(super) fn merge(&mut self, from: usize, into: usize, at: Option<Timestamp>) -> Option<Idle> {
        let slot = self.names[from]?;
        let Some(survivor) = self.names[into] else {
            self.names[into] = Some(slot);
            self.of(slot)?.alert.rename(NAMES[into]);
            return None;
        };
        if survivor == slot {
            if self.newest_name(slot) != Some(into) {
                self.of(slot)?.alert.rename(NAMES[into]);
            }
            return None;
        }
        let idle = self.end_idle(slot, survivor, at);
        let held = self.is_held(slot) || self.is_held(survivor);
        let mut theirs = self.alerts[slot].take()?;
        if let Some(told) = &mut self.told {
            told.merged(slot);
        }
        if let Some(worker) = theirs.worker.take() {
            self.freeze(worker);
        }
        match self.planted {
            Planted::MergeForgetsWatches => theirs.beside.page_watches.clear(),
            Planted::MergeForgetsCommands => theirs.beside.commands.clear(),
            _ => {}
        }
        let ours = self.of(survivor)?;
        ours.alert.merge(&theirs.alert);
        ours.follow_ups = ours.follow_ups.max(theirs.follow_ups);
        ours.beside.merge(theirs.beside);
        self.changed(survivor);
        self.want(survivor);
        self.runs.iter_mut().filter(|run| run.alert == slot).for_each(|run| run.alert = survivor);
        self.names.iter_mut().filter(|of| **of == Some(slot)).for_each(|of| *of = Some(survivor));
        if self.runs.iter().filter(|run| run.alert == survivor && run.ended.is_none()).count() > 1 {
            self.fault("two runs of one alert are active");
        }
        if held && !self.is_held(survivor) {
            self.fault("a hold is lost by a merge");
        }
        idle
    }

    fn end_idle(&mut self, slot: usize, survivor: usize, at: Option<Timestamp>) -> Option<Idle> {
        let counts =
            self.runs.iter().filter(|run| run.alert == survivor && (run.ended.is_none() || run.noted_at.is_some()));
        let theirs = counts.max_by_key(|run| run.ended.unwrap_or(Timestamp::MAX));
        let theirs = theirs.map(|run| Theirs { run_id: run.id.clone(), ended_at: run.ended });
        let planted = self.planted;
        let active = self.runs.iter_mut().find(|run| run.alert == slot && run.ended.is_none())?;
        let idle = after_merge(active.began, theirs.as_ref(), at).err().filter(|_| planted != Planted::BothGoOn)?;
        (active.ended, active.climber) = (Some(now()), None);
        Some(idle)
    }

    /// Whether somebody's `/hold` holds, obeyed or not yet.
    pub(super) fn is_held(&self, slot: usize) -> bool {
        self.alerts[slot].as_ref().is_some_and(|stored| {
            let mut open = stored.beside.commands.iter();
            stored.alert.held_by.is_some()
                || open.any(|it| it.command.word == Word::Hold && it.obeyed.is_none() && it.refused.is_none())
        })
    }

    /// One of an alert's names is an alert of its own again. Where a run is what told of the merge, its note stays where it was, and so
    /// does the run: an incident that nobody had heard of before that merge is left without one, and gets its own.
    fn split(&mut self, slot: usize, name: usize) -> usize {
        let merged = self.alerts[slot].as_ref().map(|stored| stored.alert.clone()).unwrap();
        let own = self.new_alert(|id| merged.split(id, NAMES[name]));
        self.names[name] = Some(own);
        let beside = self.of(slot).map(|stored| stored.beside.split(NAMES[name])).unwrap_or_default();
        if beside != Beside::default() {
            self.changed(slot);
            if let Some(stored) = self.of(own) {
                stored.beside = beside;
            }
            self.want(own);
        }
        let of_name = |run: &&mut Run| run.alert == slot && run.name == name;
        self.runs.iter_mut().filter(of_name).for_each(|run| run.alert = own);
        own
    }

    /// Does what a command asks for: `store::orders::obey`.
    pub(super) fn obey(&mut self, slot: usize, key: &str) {
        let planted = self.planted == Planted::ObeyedKeptLater;
        let Some(stored) = self.of(slot) else { return };
        let is_it = |open: &crate::life::OpenCommand| {
            open.command.key == key && open.obeyed.is_none() && open.refused.is_none()
        };
        let Some(place) = stored.beside.commands.iter().position(is_it) else { return };
        let is_hold = |open: &&crate::life::OpenCommand| open.command.word == Word::Hold && open.obeyed.is_some();
        let held_since = stored.beside.commands[place..].iter().find(is_hold).map(|open| open.command.user.clone());
        let (word, who) =
            (stored.beside.commands[place].command.word, stored.beside.commands[place].command.user.clone());
        stored.alert.commanded();
        stored.follow_ups = 0;
        let name = super::place(&stored.alert.incident_id);
        let reply = match word {
            Word::Hold => stored.alert.hold(&who),
            Word::Rerun => self.begin(name, Trigger::Note, false, None),
            Word::Escalate => {
                let page = self.page_of(slot);
                let has_run = self.runs.iter().any(|run| run.alert == slot);
                let Some(stored) = self.of(slot) else { return };
                let reply = stored.alert.escalate(page.as_ref(), false, has_run);
                if let Some(who) = held_since {
                    stored.alert.hold(&who);
                }
                let newest = self.runs.iter().filter(|run| run.alert == slot).map(|run| run.id.clone()).max();
                if let Some(run_id) = newest.filter(|_| reply == Reply::Paging) {
                    self.want_page(slot, true, &run_id);
                }
                reply
            }
            Word::Status | Word::Unknown => Reply::Kept,
        };
        let order = &mut self.orders[super::worker::order_of(key)];
        order.obeyed += 1;
        if order.obeyed > 1 {
            self.fault("a command is obeyed twice");
        }
        if planted {
            return;
        }
        self.keep_obeyed(slot, key, reply);
    }

    /// That a command was obeyed is kept with it.
    pub(super) fn keep_obeyed(&mut self, slot: usize, key: &str, reply: Reply) {
        let Some(stored) = self.of(slot) else { return };
        for open in stored.beside.commands.iter_mut().filter(|open| open.command.key == key) {
            open.obeyed = Some((reply.clone(), now()));
        }
        self.changed(slot);
    }

    /// Looks in PagerDuty for what no webhook told of: `src/inbox/reconcile.rs`.
    pub(super) fn reconciles(&self) -> Ways<'_> {
        // What is younger has a webhook on its way.
        if self.on_the_way.iter().any(|webhook| webhook.is_last) {
            return Ways::new();
        }
        let mut ways = Ways::new();
        for name in 0..2 {
            let Some(slot) = self.names[name] else { continue };
            let Some(stored) = &self.alerts[slot] else { continue };
            if self.newest_name(slot) != Some(name) {
                continue;
            }
            let super::Incident { is_open, since, .. } = self.there[name];
            match stored.alert.resolved_at {
                None if !is_open => ways.push(way("reconciled: over", move |next| next.resolve(name, since))),
                None if !self.runs.iter().any(|run| run.alert == slot) => {
                    let missing = move |next: &mut Self| drop(next.begin(name, Trigger::Reconcile, false, Some(since)));
                    ways.push(way("reconciled: without a run", missing));
                }
                Some(resolved) if is_open && since >= resolved => {
                    let again = move |next: &mut Self| drop(next.begin(name, Trigger::Reconcile, true, Some(since)));
                    ways.push(way("reconciled: open again", again));
                }
                _ => {}
            }
        }
        ways
    }
}
