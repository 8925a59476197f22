//! What people do in PagerDuty, and the webhooks that tell of it.

use super::{Asked, Incident, Lives, Order, PAGES, PageThere, Row, Saw, Stored, Tells, Ways, Webhook, now, way};
use crate::life::AlertPage;
use crate::plan::{Acknowledged, PageNow};

impl Lives {
    /// How an incident stands, where it was merged as the one that it was merged into.
    pub(super) fn asked(&self, name: usize) -> Asked {
        let Incident { is_open, merged, since, .. } = &self.there[name];
        match (is_open, merged) {
            (true, _) => Asked::Open(name),
            (false, Some(_)) => self.asked(1),
            (false, None) => Asked::Over(name, *since),
        }
    }

    /// Whether it is over, and the webhook that tells so is stored.
    pub(super) fn is_known_to_be_over(&self, name: usize) -> bool {
        let Asked::Over(name, _) = self.asked(name) else { return false };
        self.there[name].is_heard
    }

    pub(super) fn page_now(&self, page_id: &str) -> PageNow {
        let who = || Acknowledged { by: "Earline".to_owned(), at: now(), there: None };
        match self.pages[usize::from(page_id == PAGES[1])] {
            Some(PageThere::Open) => PageNow::Open { created_at: None, acknowledged: None },
            Some(PageThere::Acknowledged) => PageNow::Open { created_at: None, acknowledged: Some(who()) },
            Some(PageThere::Resolved) | None => PageNow::Resolved,
        }
    }

    /// What people, and other outages, do.
    pub(super) fn happens(&self) -> Ways<'_> {
        let mut ways = Ways::new();
        for name in 0..self.there.len() {
            let incident = &self.there[name];
            if !incident.exists {
                continue;
            }
            if self.may.changes > 0 {
                let (is_open, tells, what) = match incident.is_open {
                    true => (false, Tells::Resolved, "resolved"),
                    false => (true, Tells::Reopened, "reopened"),
                };
                ways.push(way(what, move |next| {
                    next.may.changes -= 1;
                    next.change(name, is_open, None, tells);
                }));
            }
            // Where people follow the alert.
            for word in self.may.words.iter().filter(|_| self.may.commands > 0 && incident.merged.is_none()) {
                ways.push(way(word.as_str(), move |next| {
                    next.may.commands -= 1;
                    let order = Order { word: *word, is_stored: false, obeyed: 0, recorded: None, is_answered: false };
                    next.orders.push(order);
                    next.send(name, Tells::Command(next.orders.len() - 1), true);
                }));
            }
            if self.may.acts > 0 && self.pages[name] == Some(PageThere::Open) {
                for (what, page) in
                    [("page acknowledged", PageThere::Acknowledged), ("page resolved", PageThere::Resolved)]
                {
                    ways.push(way(what, move |next| {
                        next.may.acts -= 1;
                        (next.pages[name], next.is_page_seen[name]) = (Some(page), false);
                    }));
                }
            }
        }
        if self.may.merges > 0 && self.there.iter().all(|incident| incident.exists && incident.is_open) {
            ways.push(way("merged", |next| {
                next.may.merges -= 1;
                next.runs.iter_mut().for_each(|run| run.ran_at_merge = run.ended.is_none());
                next.change(0, false, Some(now()), Tells::Resolved);
            }));
        }
        if self.may.related > 0 {
            ways.push(way("a related page opens or closes", Self::toggle_related));
        }
        ways
    }

    fn toggle_related(&mut self) {
        self.may.related = self.may.related.saturating_sub(1);
        self.is_related_open = !self.is_related_open;
        self.send(0, Tells::Related, false);
    }

    fn change(&mut self, name: usize, is_open: bool, merged: Option<jiff::Timestamp>, tells: Tells) {
        self.there[name] = Incident { exists: true, is_open, since: now(), merged, is_heard: false };
        self.on_the_way.iter_mut().filter(|webhook| webhook.of == name).for_each(|webhook| webhook.is_last = false);
        self.send(name, tells, true);
    }

    fn send(&mut self, of: usize, tells: Tells, may_repeat: bool) {
        let is_last = matches!(tells, Tells::Triggered | Tells::Resolved | Tells::Reopened);
        self.on_the_way.push(Webhook { of, tells, at: now(), is_last, may_repeat });
    }

    /// The next webhook comes, or another before it, or one twice.
    pub(super) fn webhooks(&self) -> Ways<'_> {
        let mut ways = Ways::new();
        for (place, webhook) in self.on_the_way.iter().enumerate() {
            if place > 0 && self.may.late == 0 {
                break;
            }
            let come = |keeps: bool| {
                move |next: &mut Self| {
                    next.may.late -= u8::from(place > 0);
                    if keeps {
                        next.may.twice -= 1;
                        next.on_the_way[place].may_repeat = false;
                    } else {
                        next.on_the_way.remove(place);
                    }
                    next.comes(*webhook);
                }
            };
            let name = match webhook.tells {
                Tells::Triggered => "hears triggered",
                Tells::Resolved => "hears resolved",
                Tells::Reopened => "hears reopened",
                Tells::Command(_) => "hears a command",
                Tells::Related => "hears of a related page",
            };
            ways.push(way(name, come(false)));
            if self.may.twice > 0 && webhook.may_repeat {
                ways.push(way(name, come(true)));
            }
        }
        ways
    }

    pub(super) fn calm_webhook(&self) -> Ways<'_> {
        self.webhooks().into_iter().take(1).collect()
    }

    /// In calm nobody leaves a page alone for good, and a bigger outage ends.
    pub(super) fn people_come(&self) -> Ways<'_> {
        let only_waits = |stored: &Stored| {
            let beside = &stored.beside;
            beside.page_watches.iter().all(|watch| watch.said)
                && beside.pages.is_empty()
                && beside.commands.is_empty()
                && beside.follow_up.is_none()
        };
        if !self.slots().all(|(_, stored)| only_waits(stored)) {
            return Ways::new();
        }
        if let Some(name) = self.pages.iter().position(|page| *page == Some(PageThere::Open)) {
            return vec![way("page acknowledged", move |next| next.pages[name] = Some(PageThere::Acknowledged))];
        }
        let ends = self.is_related_open.then(|| way("a related page closes", Self::toggle_related));
        ends.into_iter().collect()
    }

    /// What a look may show now of how it stood when it began, and of how it stands.
    pub(super) fn may_show(&self, saw: &Saw, name: usize, page_id: &str) -> Vec<Saw> {
        let shows = match saw {
            Saw::Nothing => Saw::Nothing,
            Saw::Incident(_) => Saw::Incident(self.asked(name)),
            Saw::Page(_) => Saw::Page(self.page_now(page_id)),
            Saw::Related(_) => Saw::Related(self.is_related_open),
            Saw::Alert(..) => Saw::Alert(self.asked(name), self.is_related_open),
        };
        let mut all = vec![shows];
        if all[0] != *saw {
            all.push(saw.clone());
        }
        all
    }

    /// The page of an alert, as its rows say.
    pub(super) fn page_of(&self, slot: usize) -> Option<AlertPage> {
        let rows = || (0..2).filter(|name| self.names[*name] == Some(slot)).filter_map(|name| self.rows[name].as_ref());
        let of = |row: &Row| match row {
            Row::Wanted(_) => AlertPage::Wanted,
            Row::Ended { page: Some(_), .. } => AlertPage::Paged(None),
            Row::Ended { page: None, .. } => AlertPage::Failed(None),
        };
        let rank = |page: &AlertPage| match page {
            AlertPage::Paged(_) => 0,
            AlertPage::Wanted => 1,
            _ => 2,
        };
        rows().map(of).min_by_key(rank)
    }
}
