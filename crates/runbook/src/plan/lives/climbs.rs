//! Whoever drives a run: climbs its ladder, as `src/run/journey.rs` does.

use super::given::Found;
use super::{Asked, Climber, Escalation, Lives, Planted, Reading, Row, Run, RunLook, TICK, Verdict, Ways, now, way};
use crate::gate::{Decision, says_outdated};
use crate::plan::run::{AlertNow, End, Evidence, Isolated, Note, Page, RETAKES, Rung, Standing, rung};
use crate::run::Trigger;
use crate::span::{after, between};
use crate::suppression::{self, Next, Settings};

/// `EVIDENCE_MAX_AGE`.
pub(super) const MAX_AGE: std::time::Duration = TICK.saturating_mul(2);
const WAITS: Settings = Settings { recheck: TICK, settle: TICK, max: TICK.saturating_mul(3) };

impl Climber {
    fn new(run: &Run, planted: Planted) -> Self {
        let was_noted = run.noted_at.is_some() && run.found.is_some() && planted != Planted::NotedForgotten;
        let page = match run.escalation {
            Escalation::None | Escalation::Requested => Page::Undecided,
            Escalation::Aged => Page::Held,
            Escalation::Held => Page::NotDue,
        };
        Self {
            standing: if was_noted { Standing::noted(page) } else { Standing::new(true) },
            was_noted,
            look: None,
            open: None,
            reading: None,
            found: None,
            parks: None,
            has_heard: false,
            page_wanted: false,
            has_noted: false,
            rests: false,
            retaken: 0,
        }
    }
}

impl Lives {
    /// The next steps of a run.
    pub(super) fn climbs(&self, at: usize) -> Ways<'_> {
        let run = &self.runs[at];
        let Some(climber) = &run.climber else {
            let is_due = run.ended.is_none() && run.due <= now();
            let taken_up = move |next: &mut Self| {
                next.runs[at].climber = Some(Climber::new(&next.runs[at], next.planted));
                next.runs[at].is_parked = false;
                next.climb(at);
            };
            return if is_due { vec![way("a run is taken up", taken_up)] } else { Ways::new() };
        };
        if let Some(look) = &climber.look {
            return self.look_shows(at, look);
        }
        if let Some(reading) = &climber.reading {
            return self.reads(at, reading);
        }
        if climber.parks.is_some() {
            return vec![way("a run is suppressed", move |next| next.parks(at))];
        }
        match rung(&climber.standing) {
            Rung::Tell => self.is_told(at, climber),
            Rung::Page => self.awaits_its_page(at, climber),
            Rung::Ended(end) => vec![way("a run ends", move |next| next.ends(at, end))],
            // Taken as soon as it stands there.
            Rung::Confirm | Rung::Isolate | Rung::Suppressed | Rung::Read | Rung::Settle => Ways::new(),
        }
    }

    pub(super) fn climber(&mut self, at: usize) -> Option<&mut Climber> {
        self.runs[at].climber.as_mut()
    }

    /// Climbs as far as nothing is asked, and begins to ask.
    fn climb(&mut self, at: usize) {
        loop {
            let age = self.age(at);
            let planted = self.planted;
            let Run { climber: Some(climber), has_asked, .. } = &mut self.runs[at] else { return };
            if climber.standing.evidence != Evidence::Missing {
                climber.standing.evidence = age;
            }
            match rung(&climber.standing) {
                Rung::Isolate => self.isolates(at),
                Rung::Read => {
                    *has_asked = true;
                    if climber.standing.evidence != Evidence::Missing {
                        climber.retaken += 1;
                        if climber.retaken > RETAKES {
                            self.fault("evidence is taken again more often than may be");
                            return;
                        }
                        if planted == Planted::RetakesUncounted {
                            climber.standing.retakes = 0;
                        }
                        if matches!(climber.standing.note, Note::Untried) {
                            self.fault("a note waits for evidence that is taken again");
                            return;
                        }
                    }
                    climber.open = None;
                    climber.reading = Some(Reading { is_old: false, client: false });
                    return;
                }
                Rung::Settle if climber.open.is_some() => self.settles(at),
                Rung::Confirm | Rung::Settle => return self.looks(at, false),
                Rung::Suppressed | Rung::Tell | Rung::Page | Rung::Ended(_) => return,
            }
        }
    }

    fn age(&self, at: usize) -> Evidence {
        let run = &self.runs[at];
        let found = run.climber.as_ref().and_then(|climber| climber.found.as_ref()).or(run.found.as_ref());
        let is_at_stake = |found: &&Found| found.verdict == Verdict::Page && run.saw_end.is_none();
        match found.filter(is_at_stake) {
            Some(found) if between(found.at, now()) > MAX_AGE => Evidence::Outdated,
            _ => Evidence::Fresh,
        }
    }

    fn looks(&mut self, at: usize, again: bool) {
        let (saw, is_open) = (self.asked(self.runs[at].name), self.is_related_open);
        let Some(climber) = self.climber(at) else { return };
        // What is open was seen by the look before.
        let related = climber.look.take().filter(|_| again).map_or(Some(is_open), |look| look.related);
        climber.look = Some(RunLook { saw, related, again, is_old: false, is_stale: false });
    }

    fn look_shows(&self, at: usize, look: &RunLook) -> Ways<'_> {
        let run = &self.runs[at];
        let is_open = if look.again { look.related } else { Some(self.is_related_open) };
        let mut shows = vec![(self.asked(run.name), is_open)];
        if shows[0] != (look.saw, look.related) {
            shows.push((look.saw, look.related));
        }
        let mut ways = Ways::new();
        for (asked, related) in shows {
            if run.said_over && !look.again && matches!(asked, Asked::Open(_)) {
                let again = move |next: &mut Self| {
                    next.climber(at).and_then(|it| it.look.as_mut()).into_iter().for_each(|it| it.related = related);
                    next.looks(at, true);
                };
                ways.push(way("a run looks again", again));
                continue;
            }
            ways.push(way("a run has looked", move |next| next.has_looked(at, asked, related)));
        }
        if self.may.fails > 0 {
            let fails = move |next: &mut Self| {
                next.may.fails -= 1;
                next.has_looked(at, Asked::Unknown, None);
            };
            ways.push(way("a run can't ask", fails));
        }
        ways
    }

    /// It has asked for its alert, and for what is open.
    fn has_looked(&mut self, at: usize, asked: Asked, related: Option<bool>) {
        let unguarded = self.planted == Planted::RunOpensUnguarded;
        let look = self.climber(at).and_then(|climber| climber.look.take());
        let may_open = look.is_some_and(|look| look.again && (!look.is_stale || unguarded));
        self.knows_their_clock |= asked != Asked::Unknown;
        let has_heard = self.runs[at].said_over;
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
            let run = &self.runs[at];
            let (from, stays) = (run.name, run.unchanged || run.noted_at.is_some() || run.may_stand);
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
        let Some(climber) = &mut run.climber else { return };
        climber.standing.alert = if run.saw_end.is_some() { AlertNow::Resolved } else { AlertNow::Open };
        climber.standing.has_asked |= run.saw_end.is_some() && run.has_asked;
        (climber.open, climber.has_heard) = (Some(related), has_heard);
        self.climb(at);
    }

    /// Whether it waits for a bigger outage to end.
    fn isolates(&mut self, at: usize) {
        let run = &mut self.runs[at];
        let Some(climber) = &mut run.climber else { return };
        let open = climber.open.take().unwrap_or_default();
        run.explained = open == Some(true);
        match suppression::next(run.waits, open, now(), &WAITS) {
            Next::GoOn => {
                run.has_waited |= run.waits.since.is_some();
                run.waits.go_on |= run.waits.since.is_some() && self.planted != Planted::GoOnForgotten;
                climber.standing.isolated = Isolated::Yes;
            }
            Next::Park { since, closed_since, wait } => {
                climber.standing.isolated = Isolated::No;
                climber.parks = Some((since, closed_since, wait));
                let is_over = run.saw_end.is_some();
                if is_over {
                    self.fault("a run waits for a bigger outage, though its alert is over");
                }
            }
        }
    }

    fn parks(&mut self, at: usize) {
        let run = &mut self.runs[at];
        let (name, key) = (run.name, format!("suppressed:{}", run.id));
        let Some(climber) = run.climber.take() else { return };
        let Some((since, closed_since, wait)) = climber.parks else { return };
        if run.has_waited {
            self.fault("a run waits once more, though it was to go on");
            return;
        }
        run.waits = suppression::Suppression { since: Some(since), closed_since, ..run.waits };
        run.is_parked = true;
        let at_once = (run.said_over && !climber.has_heard) || run.waits.go_on;
        run.due = if at_once { now() } else { after(now(), wait) };
        self.says(name, &key);
    }

    /// What Jenkins, the clusters and the client may say.
    fn reads(&self, at: usize, reading: &Reading) -> Ways<'_> {
        let mut ways = Ways::new();
        let run = &self.runs[at];
        for verdict in self.may.verdicts {
            ways.push(way("a run has read", move |next| next.has_read(at, Some(*verdict), None)));
            // "The later answer counts": it comes within two seconds, or not at all.
            for is_up in [true, false].into_iter().filter(|_| self.may.client > 0) {
                let late = move |next: &mut Self| next.has_read(at, Some(*verdict), Some(is_up));
                ways.push(way(if is_up { "has read; the client's test passes" } else { "has read; it fails" }, late));
            }
        }
        for is_up in [true, false].into_iter().filter(|_| self.may.client > 0 && !reading.client) {
            let early = move |next: &mut Self| {
                next.may.client -= 1;
                next.runs[at].answers(is_up);
                next.climber(at).and_then(|it| it.reading.as_mut()).into_iter().for_each(|it| it.client = true);
            };
            ways.push(way(if is_up { "the client's test passes" } else { "the client's test fails" }, early));
        }
        if self.may.fails > 0 && run.climber.as_ref().is_some_and(|it| it.standing.evidence != Evidence::Missing) {
            ways.push(way("it can't be read again", move |next| {
                next.may.fails -= 1;
                next.has_read(at, None, None);
            }));
        }
        ways
    }

    fn has_read(&mut self, at: usize, verdict: Option<Verdict>, client: Option<bool>) {
        let is_asked = self.may.client > 0 || !self.runs[at].client.is_empty();
        if let Some(is_up) = client {
            self.may.client -= 1;
            self.runs[at].answers(is_up);
        }
        let is_cut_short = self.runs[at].said_over && matches!(self.asked(self.runs[at].name), Asked::Over(..));
        let mut said = self.runs[at].client.clone();
        if self.planted == Planted::EarlyClientCounts {
            said.reverse();
        }
        let run = &mut self.runs[at];
        let Some(climber) = &mut run.climber else { return };
        climber.reading = None;
        let again = climber.standing.evidence != Evidence::Missing;
        if let Some(verdict) = verdict.filter(|_| !again || !is_cut_short) {
            climber.found = Some(Found { verdict, client: is_asked.then_some(said), at: now() });
            run.said_last = run.client.last().copied();
        }
        let age = self.age(at);
        if let Some(climber) = self.climber(at) {
            climber.standing.has_read(age);
        }
        self.climb(at);
    }

    /// What is open is known: the gate decides, and both are kept.
    fn settles(&mut self, at: usize) {
        let run = &mut self.runs[at];
        let Some(climber) = &mut run.climber else { return };
        // What was held since it was wanted may be wanted again.
        climber.page_wanted = false;
        let related = climber.open.take().flatten();
        run.explained = related == Some(true);
        let found = climber.found.clone();
        if found.is_none() {
            self.looks_again_later(at);
        }
        let run = &self.runs[at];
        let Some(found) = found.or_else(|| run.found.clone()) else {
            self.climber(at).into_iter().for_each(|climber| climber.standing.evidence = Evidence::Missing);
            return;
        };
        let said_resolved =
            run.said_over && run.climber.as_ref().is_some_and(|it| it.has_heard) && run.saw_end.is_none();
        let decision = match run.saw_end {
            Some(_) => Decision::NotWanted,
            None => self.gate(run.alert, &found, related, said_resolved),
        };
        let (page, escalation) = match decision {
            Decision::Page => (Page::Due, Escalation::Requested),
            Decision::Hold(why) if why.iter().all(|why| says_outdated(why)) => (Page::Held, Escalation::Aged),
            Decision::Hold(_) => (Page::NotDue, Escalation::Held),
            Decision::NotWanted | Decision::Off | Decision::Suggest(_) => (Page::NotDue, Escalation::None),
        };
        let run = &mut self.runs[at];
        (run.found, run.escalation) = (Some(found), escalation);
        if let Some(climber) = &mut run.climber {
            climber.standing.has_settled(page);
        }
    }

    /// Its note is written, or not yet.
    fn is_told(&self, at: usize, climber: &Climber) -> Ways<'_> {
        if climber.has_noted {
            return vec![way("what follows is wanted", move |next| {
                next.looks_again_later(at);
                let Some(climber) = next.climber(at) else { return };
                climber.has_noted = false;
                climber.standing.has_told(Note::Told);
                next.climb(at);
            })];
        }
        if climber.rests {
            return vec![way("PagerDuty takes notes again", move |next| {
                let Some(climber) = next.climber(at) else { return };
                climber.rests = false;
                climber.standing.has_told(Note::NotYet);
                next.climb(at);
            })];
        }
        let mut ways = vec![way("a run is noted", move |next| next.notes(at))];
        if self.may.fails > 0 {
            ways.push(way("a run can't be noted", move |next| {
                next.may.fails -= 1;
                next.climber(at).into_iter().for_each(|climber| climber.rests = true);
            }));
            if climber.standing.page == Page::Due && !climber.page_wanted {
                ways.push(way("its page is wanted before its note", move |next| {
                    next.may.fails -= 1;
                    next.wants_its_page(at);
                }));
            }
        }
        ways
    }

    fn notes(&mut self, at: usize) {
        let run = &self.runs[at];
        let slot = run.alert;
        let is_same = |other: &&Run| {
            let of = |run: &Run| run.found.as_ref().map(|found| (found.verdict, found.client.clone()));
            other.alert == slot
                && other.id != run.id
                && other.noted_at.is_some()
                && of(other) == of(run)
                && other.explained == run.explained
        };
        let last = self.runs.iter().filter(|other| other.alert == slot && other.id != run.id).max_by_key(|run| &run.id);
        let nothing_new = run.trigger == Trigger::FollowUp && !run.may_stand && last.filter(is_same).is_some();
        let (name, key) = (run.name, format!("note:{}", run.id));
        let blindly = self.planted == Planted::NoteSentBlindly;
        let run = &mut self.runs[at];
        if run.noted_at.is_none() {
            run.unchanged = nothing_new;
        }
        let is_new = !run.unchanged && (run.notes == 0 || blindly || self.planted == Planted::NotedForgotten);
        (run.notes, run.may_stand) = (run.notes + u8::from(is_new), run.may_stand || is_new);
        let is_first = run.noted_at.is_none();
        run.noted_at = Some(now());
        let (has_two, is_its_first) = (run.notes > 1, run.ran_at_merge && is_first);
        let is_at_merge = is_its_first && run.name == 1 && self.there[0].merged.is_some();
        if let Some(climber) = self.climber(at) {
            climber.has_noted = true;
        }
        if has_two {
            self.fault("two notes of one run");
        }
        if is_new {
            self.says(name, &key);
        } else {
            self.edited();
        }
        if is_at_merge {
            self.notes_after_merge += 1;
            if self.notes_after_merge > 1 {
                self.fault("two runs that ran at the merge have written notes");
            }
        }
    }

    fn wants_its_page(&mut self, at: usize) {
        let (slot, run_id) = (self.runs[at].alert, self.runs[at].id.clone());
        let Some(climber) = self.climber(at) else { return };
        climber.page_wanted = true;
        self.want_page(slot, false, &run_id);
    }

    fn awaits_its_page(&self, at: usize, climber: &Climber) -> Ways<'_> {
        if !climber.page_wanted {
            return vec![way("its page is wanted", move |next| next.wants_its_page(at))];
        }
        let slot = self.runs[at].alert;
        let rows = || (0..2).filter(|name| self.names[*name] == Some(slot)).filter_map(|name| self.rows[name].as_ref());
        // An open one before a wanted one before one that failed.
        let is_open = rows().any(|row| matches!(row, Row::Ended { page: Some(_), .. }));
        if !is_open && rows().any(|row| matches!(row, Row::Wanted(_))) {
            return Ways::new();
        }
        let page = if rows().next().is_some() { Page::Over } else { Page::Held };
        vec![way(if page == Page::Over { "its page has ended" } else { "its page is held" }, move |next| {
            let Some(climber) = next.climber(at) else { return };
            climber.standing.page = page;
            next.climb(at);
        })]
    }

    fn ends(&mut self, at: usize, end: End) {
        let was_noted = self.runs[at].climber.as_ref().is_some_and(|it| it.was_noted && !it.standing.is_settled);
        if end == End::Done && was_noted {
            self.looks_again_later(at);
        }
        self.finish(at);
    }
}

impl Run {
    /// Of what the client says the last two count.
    fn answers(&mut self, is_up: bool) {
        self.client.push(is_up);
        if self.client.len() > 2 {
            self.client.remove(0);
        }
    }
}
