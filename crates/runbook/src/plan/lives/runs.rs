//! A diagnosis, as far as the alert hears of it (`src/run/journey.rs`), and its page (`src/run/steps/page.rs`).

use jiff::Timestamp;

use super::{Asked, Lives, PAGES, PageThere, Row, Run, RunLook, Steps, TICK, Verdict, now};
use crate::life::{FOLLOW_UPS, Input, PageWatch, is_owed_another};
use crate::run::Trigger;

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
            look: None,
            verdict: None,
            explained: false,
            noted_at: None,
            has_told: false,
            ran_at_merge: false,
        }
    }
}

impl Lives {
    /// Whether a run has written a note of the alert since it was opened.
    pub(super) fn is_diagnosed(&self, slot: usize, name: usize) -> bool {
        let since = Some(self.there[name].since);
        self.runs.iter().any(|run| run.alert == slot && run.noted_at >= since)
    }

    /// The next steps of a run.
    pub(super) fn runs_on(&self, at: usize) -> Steps {
        let run = &self.runs[at];
        if run.ended.is_some() {
            return Steps::new();
        }
        let Some(look) = &run.look else {
            if run.noted_at.is_some() {
                return self.after_its_note(at);
            }
            return vec![("a run looks", self.with(|next| next.looks(at, false)))];
        };
        let mut answers = vec![self.asked(run.name)];
        if answers[0] != look.saw {
            answers.push(look.saw);
        }
        let mut steps = Steps::new();
        for asked in answers {
            if run.said_over && !look.again && matches!(asked, Asked::Open(_)) {
                steps.push(("a run looks again", self.with(|next| next.looks(at, true))));
                continue;
            }
            if !run.has_asked {
                steps.push(("a run has looked", self.with(|next| next.has_looked(at, asked, None))));
                continue;
            }
            for verdict in self.may.verdicts {
                steps.push(("a run is noted", self.with(|next| next.has_looked(at, asked, Some(*verdict)))));
            }
        }
        if self.may.fails > 0 {
            let fails = |next: &mut Self| {
                next.may.fails -= 1;
                next.has_looked(at, Asked::Unknown, self.may.verdicts.first().copied());
            };
            steps.push(("a run can't ask", self.with(fails)));
        }
        steps
    }

    fn looks(&mut self, at: usize, again: bool) {
        let saw = self.asked(self.runs[at].name);
        self.runs[at].look = Some(RunLook { saw, again, is_old: false, is_stale: false });
    }

    /// It has asked for its alert: before it asks anything else, or before its note.
    fn has_looked(&mut self, at: usize, asked: Asked, verdict: Option<Verdict>) {
        let unguarded = self.planted == super::Planted::RunOpensUnguarded;
        let look = self.runs[at].look.take();
        let may_open = look.is_some_and(|look| look.again && (!look.is_stale || unguarded));
        self.knows_their_clock |= asked != Asked::Unknown;
        let shown = match asked {
            Asked::Open(name) => {
                self.runs[at].saw_end = None;
                let is_its = self.names[name] == Some(self.runs[at].alert);
                if may_open {
                    self.runs[at].said_over = false;
                }
                if may_open && (is_its || unguarded) {
                    self.open(name);
                }
                Some(name)
            }
            Asked::Over(name, since) => {
                self.runs[at].saw_end = Some(since);
                Some(name)
            }
            Asked::Unknown => None,
        };
        if let Some(into) = shown.filter(|into| *into != self.runs[at].name) {
            let (from, stays) = (self.runs[at].name, self.runs[at].noted_at.is_some());
            let merged_at = self.there[from].merged.filter(|_| !stays);
            // What is idle is ended.
            if self.merge(from, into, merged_at).is_some() {
                return;
            }
            if !stays {
                (self.runs[at].name, self.runs[at].said_over) = (into, false);
            }
        }
        let run = &mut self.runs[at];
        if !run.has_asked {
            run.has_asked = true;
            if run.saw_end.is_some() {
                self.finish(at);
            }
            return;
        }
        (run.verdict, run.noted_at, run.explained) = (verdict, Some(now()), self.is_related_open);
        if run.ran_at_merge && run.name == 1 && self.there[0].merged.is_some() {
            self.notes_after_merge += 1;
            if self.notes_after_merge > 1 {
                self.fault("two runs that ran at the merge have written notes");
            }
        }
    }

    /// What follows from its verdict, and its end once its page has ended.
    fn after_its_note(&self, at: usize) -> Steps {
        let run = &self.runs[at];
        if !run.has_told {
            return vec![("what follows is wanted", self.with(|next| next.wants_what_follows(at)))];
        }
        let waits = run.verdict == Some(Verdict::Page)
            && (0..2)
                .any(|name| self.names[name] == Some(run.alert) && matches!(self.rows[name], Some(Row::Wanted { .. })));
        if waits { Steps::new() } else { vec![("a run ends", self.with(|next| next.finish(at)))] }
    }

    fn wants_what_follows(&mut self, at: usize) {
        self.runs[at].has_told = true;
        let Run { alert: slot, id: run_id, verdict, explained, saw_end, .. } = self.runs[at].clone();
        if saw_end.is_some() {
            return;
        }
        let made = self.alerts[slot].as_ref().map_or(0, |stored| stored.alert.follow_ups);
        match verdict {
            Some(Verdict::MayChange) if made < FOLLOW_UPS || self.planted == super::Planted::FollowUpsUncounted => {
                self.tell(slot, Input::MayChange { run_id: run_id.clone(), after: TICK });
            }
            Some(Verdict::Page) if !explained && !self.is_held_by(slot) => self.want_page(slot, false),
            _ => {}
        }
        if explained {
            self.tell(slot, Input::Explained { run_id, after: TICK });
        }
    }

    fn is_held_by(&self, slot: usize) -> bool {
        self.alerts[slot].as_ref().is_some_and(|stored| stored.alert.held_by.is_some())
    }

    /// The run ends; one whose alert was reopened is followed by another.
    fn finish(&mut self, at: usize) {
        let Run { alert: slot, name, reopened_at, saw_end, .. } = self.runs[at];
        (self.runs[at].ended, self.runs[at].look) = (Some(now()), None);
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

    /// The next step of each page that is wanted.
    pub(super) fn page_steps(&self) -> Steps {
        let mut steps = Steps::new();
        for (name, row) in self.rows.iter().enumerate() {
            let Some(Row::Wanted { by_hand }) = row else { continue };
            let Some(slot) = self.names[name] else { continue };
            let is_over = matches!(self.asked(name), Asked::Over(..));
            match self.pages[name] {
                None if is_over && !by_hand => steps.push(("a page is held", self.with(|next| next.rows[name] = None))),
                None => {
                    let opened = |next: &mut Self| next.pages[name] = Some(PageThere::Open);
                    steps.push(("a page is opened", self.with(opened)));
                    if self.may.fails > 0 {
                        let fails = |next: &mut Self| {
                            next.may.fails -= 1;
                            next.rows[name] = Some(Row::Failed);
                            next.page_told(slot);
                        };
                        steps.push(("a page fails", self.with(fails)));
                    }
                }
                Some(_) => {
                    // In one transaction with its watch.
                    let is_paged = |next: &mut Self| {
                        next.rows[name] = Some(Row::Paged);
                        next.watch(slot, name);
                        next.page_told(slot);
                    };
                    steps.push(("its row says paged", self.with(is_paged)));
                }
            }
        }
        steps
    }

    fn watch(&mut self, slot: usize, name: usize) {
        let run_id =
            self.runs.iter().filter(|run| run.alert == slot).map(|run| run.id.clone()).max().unwrap_or_default();
        self.tell(slot, Input::Paged(PageWatch::new(super::NAMES[name], &run_id, PAGES[name], "", now())));
    }

    /// What its note said of the alert's end may just have been written over, and is said once more.
    fn page_told(&mut self, slot: usize) {
        let is_over = self.alerts[slot].as_ref().is_some_and(|stored| stored.alert.resolved_at.is_some());
        let newest = self.runs.iter().filter(|run| run.alert == slot).map(|run| run.id.clone()).max();
        if let Some(run_id) = newest.filter(|_| is_over) {
            self.tell(slot, Input::Ended { run_id });
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
            if let Some(RunLook { saw: Asked::Over(_, at), .. }) = &mut run.look {
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
