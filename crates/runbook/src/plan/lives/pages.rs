//! The page of an alert: its row (`store::pages`), a try (`src/run/steps/page.rs`), and what becomes of it.

use super::climbs::MAX_AGE;
use super::given::{Found, Verdict};
use super::{Asked, Escalation, Flight, Lives, NAMES, PAGES, PageThere, Planted, REGION, Row, Wish, now};
use crate::diagnosis::RelatedPage;
use crate::gate::{self, Decision, EscalationMode, Known, says_outdated};
use crate::life::{Input, PageWatch};
use crate::plan::{Came, HeldPage, KnownPage, OpenedPage, PageEnd, PageRow, Tried};
use crate::related::{Looked, Related};
use crate::span::between;

/// How a try to page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goes {
    Well,
    /// It is opened, and its answer is lost.
    Lost,
    Refused,
    NotAsked,
}

impl Lives {
    /// The rows that need something yet, as the plan is given them.
    pub(super) fn known_pages(&self, slot: usize) -> Vec<KnownPage> {
        let rows = (0..2).filter(|name| self.names[*name] == Some(slot));
        let known = |name: usize| {
            let (state, by_hand, tried_since) = match self.rows[name].as_ref()? {
                Row::Wanted(wish) => (PageRow::Wanted, wish.by_hand, wish.tried_since),
                Row::Ended { is_told: false, .. } => (PageRow::Ended(now()), false, None),
                Row::Ended { .. } => return None,
            };
            Some(KnownPage { name: NAMES[name].to_owned(), state, by_hand, tried_since, waits_for: None })
        };
        rows.filter_map(known).collect()
    }

    /// The gate, by what was found and seen.
    pub(super) fn gate(&self, slot: usize, found: &Found, related: Option<bool>, said_resolved: bool) -> Decision {
        let open = ["All Public endpoints down in prod-us-south".to_owned()];
        let title = format!("All SE endpoints down in {REGION}");
        let is_held = self.is_held(slot) && self.planted != Planted::HoldForgotten;
        let forgets_age = self.planted == Planted::AgeForgotten;
        gate::decide(&Known {
            diagnosis: &found.diagnosis(),
            mode: EscalationMode::Auto,
            drill: false,
            has_incident: true,
            title: Some(&title),
            said_resolved,
            foreign_run: false,
            unreadable: false,
            held_by: is_held.then_some("Ann"),
            related: related.map_or(Err("PagerDuty is away"), |is_open| Ok(&open[..usize::from(is_open)])),
            related_at: Some(now()),
            region_listed: true,
            pages_this_hour: 0,
            may_join: false,
            max_per_hour: 6,
            evidence_max_age: if forgets_age { MAX_AGE * 1000 } else { MAX_AGE },
            alert_triggered_at: Some(now()),
            alert_max_age: MAX_AGE,
            now: now(),
        })
    }

    /// A try to page, by a look that has shown this.
    pub(super) fn tries(&mut self, slot: usize, name: usize, (asked, related): (Asked, bool), goes: Goes) -> Came {
        let Some(Row::Wanted(wish)) = &mut self.rows[name] else { return Came::NotDone };
        let tried = |tried| Came::Tried(tried);
        let away = || "PagerDuty is away".to_owned();
        if goes == Goes::NotAsked {
            return tried(Tried::NotAsked(away()));
        }
        wish.tried_since.get_or_insert(now());
        let (by_hand, run_id) = (wish.by_hand, wish.run_id.clone());
        let opened = |page: usize, joined| {
            let (id, html_url) = (PAGES[page].to_owned(), String::new());
            tried(Tried::Opened(OpenedPage { id, html_url, joined, problem: None }))
        };
        // First of all: what is open already can't be held back any more.
        if self.pages[name].is_some() && self.planted != Planted::PageSentBlindly {
            return opened(name, false);
        }
        if !by_hand {
            if let Some(held) =
                self.held(slot, &run_id, (asked, related)).filter(|_| self.planted != Planted::LastLookForgotten)
            {
                return tried(Tried::Held(held));
            }
            self.judge_page(slot, &run_id, (asked, related));
        }
        // One of ours for the region is joined.
        let is_open = |page: &usize| matches!(self.pages[*page], Some(PageThere::Open | PageThere::Acknowledged));
        if let Some(page) = (0..2).filter(|page| *page != name).find(is_open) {
            return opened(page, true);
        }
        if goes == Goes::Refused {
            return tried(Tried::Refused("no".to_owned()));
        }
        if self.opened[name] {
            self.fault("an alert is paged twice");
        }
        (self.pages[name], self.opened[name]) = (Some(PageThere::Open), true);
        if goes == Goes::Lost { tried(Tried::Later(away())) } else { opened(name, false) }
    }

    /// Why an automatic page must not be opened now.
    fn held(&self, slot: usize, run_id: &str, (asked, related): (Asked, bool)) -> Option<HeldPage> {
        let run = self.runs.iter().find(|run| run.id == run_id);
        let found = run.and_then(|run| run.found.as_ref());
        let of = |reasons: Vec<String>, looked: Option<Looked>| HeldPage {
            unknown: false,
            outdated: reasons.len() == 1
                && says_outdated(&reasons[0])
                && found.is_some_and(|found| between(found.at, now()) > MAX_AGE),
            run_is_active: run.is_some_and(|run| run.ended.is_none()),
            reasons,
            looked,
        };
        let Some(found) = found else { return Some(of(vec!["there is no diagnosis yet".to_owned()], None)) };
        if matches!(asked, Asked::Over(..)) {
            return Some(of(vec!["the alert is resolved".to_owned()], None));
        }
        let said = self.alerts[slot].as_ref().is_some_and(|stored| stored.alert.resolved_at.is_some());
        match self.gate(slot, found, Some(related), said && asked == Asked::Unknown) {
            Decision::Page => None,
            Decision::Hold(reasons) | Decision::Suggest(reasons) => Some(of(reasons, related.then(looked))),
            Decision::NotWanted | Decision::Off => Some(of(vec!["the verdict asks for no page".to_owned()], None)),
        }
    }

    /// What must not be paged for by itself, whatever was decided.
    fn judge_page(&mut self, slot: usize, run_id: &str, (asked, related): (Asked, bool)) {
        let found = self.runs.iter().find(|run| run.id == run_id).and_then(|run| run.found.as_ref());
        let wrong = match found {
            _ if matches!(asked, Asked::Over(..)) => "somebody is paged for what is over",
            _ if related => "somebody is paged though a bigger outage explains the alert",
            _ if self.is_held(slot) => "somebody is paged though a person holds it",
            None => "somebody is paged without a diagnosis",
            Some(found) if found.verdict != Verdict::Page => "somebody is paged whom the verdict does not name",
            Some(found) if between(found.at, now()) > MAX_AGE => "somebody is paged by evidence that is too old",
            Some(_) if self.client_says_over(run_id) => "somebody is paged though the client says that it is over",
            Some(_) => return,
        };
        self.fault(wrong);
    }

    /// Whether the test passed when the client was last asked before the run's diagnosis.
    fn client_says_over(&self, run_id: &str) -> bool {
        let run = self.runs.iter().find(|run| run.id == run_id);
        run.is_some_and(|run| run.said_last == Some(true))
    }

    /// Keeps what has become of a page, in one transaction with its watch.
    pub(super) fn end_page(&mut self, slot: usize, flight: &Flight, end: &PageEnd, name: usize) -> Came {
        let Some(Row::Wanted(wish)) = &self.rows[name] else { return Came::NotDone };
        // A person's wish of since is tried first.
        if matches!(end, PageEnd::Failed(_)) && wish.asked != flight.asked {
            return Came::NotDone;
        }
        let run_id = wish.run_id.clone();
        let page = match end {
            PageEnd::Paged(opened) => Some(place_of_page(&opened.id)),
            PageEnd::Failed(_) => None,
        };
        self.rows[name] = Some(Row::Ended { page, is_told: false });
        if let Some(page) = page {
            self.tell(slot, Input::Paged(PageWatch::new(NAMES[name], &run_id, PAGES[page], "", now())));
        }
        Came::Done
    }

    /// Takes an automatic page back.
    pub(super) fn hold_page(&mut self, slot: usize, held: &HeldPage, starts_over: bool, name: usize) -> Came {
        let Some(Row::Wanted(wish)) = &self.rows[name] else { return Came::NotDone };
        if wish.by_hand {
            return Came::NotDone;
        }
        let (run_id, tried_since) = (wish.run_id.clone(), wish.tried_since.filter(|_| !starts_over));
        self.rows[name] = None;
        let is_explained = held.looked.as_ref().is_some_and(Looked::holds);
        let is_aged = held.reasons.iter().all(|why| says_outdated(why));
        if let Some(run) = self.runs.iter_mut().find(|run| run.id == run_id) {
            run.escalation = if is_aged { Escalation::Aged } else { Escalation::Held };
            run.explained |= is_explained;
            run.page_tried_since = tried_since;
        }
        if is_explained {
            self.tell(slot, Input::Explained { run_id, after: super::TICK });
        }
        self.page_told(slot);
        Came::Done
    }

    /// The alert is told what has become of a page.
    pub(super) fn tell_page(&mut self, slot: usize, name: usize) -> Came {
        let Some(Row::Ended { is_told, .. }) = &mut self.rows[name] else { return Came::NotDone };
        *is_told = true;
        self.page_told(slot);
        Came::Done
    }

    /// What its note said of the alert's end may just have been written over, and is said once more.
    fn page_told(&mut self, slot: usize) {
        self.edited();
        let is_over = self.alerts[slot].as_ref().is_some_and(|stored| stored.alert.resolved_at.is_some());
        let newest = self.runs.iter().filter(|run| run.alert == slot).map(|run| run.id.clone()).max();
        if let Some(run_id) = newest.filter(|_| is_over) {
            self.tell(slot, Input::Ended { run_id });
        }
    }

    /// A page is wanted for an alert: `store::pages::request_page_in`.
    pub(super) fn want_page(&mut self, slot: usize, is_person: bool, run_id: &str) {
        let rank = |name: &usize| match &self.rows[*name] {
            Some(Row::Ended { page: Some(_), .. }) => 0,
            Some(Row::Wanted(_)) => 1,
            _ => 2,
        };
        let of_alert =
            (0..2).filter(|name| self.names[*name] == Some(slot) && self.rows[*name].is_some()).min_by_key(rank);
        let Some(name) = of_alert.or(self.newest_name(slot)) else { return };
        let tried_since = self.runs.iter().find(|run| run.id == run_id).and_then(|run| run.page_tried_since);
        let wish =
            |by_hand, asked, tried_since| Row::Wanted(Wish { by_hand, asked, run_id: run_id.to_owned(), tried_since });
        self.rows[name] = Some(match &self.rows[name] {
            None => wish(is_person, 0, tried_since),
            Some(Row::Wanted(before)) if is_person => wish(true, before.asked + 1, None),
            Some(Row::Ended { page: None, .. }) if is_person => wish(true, 0, None),
            Some(_) => return,
        });
        self.tell(slot, Input::PageWanted(NAMES[name].to_owned()));
    }
}

pub(super) fn place_of_page(id: &str) -> usize {
    usize::from(id == PAGES[1])
}

/// A look that has shown a bigger outage.
fn looked() -> Looked {
    let page = RelatedPage {
        id: "R".to_owned(),
        title: "All Public endpoints down in prod-us-south".to_owned(),
        html_url: String::new(),
    };
    Looked { at: now(), found: Ok(Related { explaining: vec![page], ..Related::default() }) }
}
