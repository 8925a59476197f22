//! What a person's word changes of an alert: lifecycle.md#commands, and the same for operators.

use super::{Alert, Reply, Why};
use serde::{Deserialize, Serialize};

/// What has become of an alert's page.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AlertPage {
    /// It is wanted.
    Wanted,
    /// It is open, with its link where that is known.
    Paged(Option<String>),
    /// Nobody was paged, and why.
    Failed(Option<String>),
    /// That can't be read.
    Unreadable,
}

/// What asking for a page changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageChange {
    /// Nothing: an alert has one page, ever.
    Stays,
    /// There was none: one is wanted.
    New,
    /// The one there is is wanted from now on at a person's word, in the name of the newest run. Also an automatic one that is
    /// still wanted, whose gate may yet hold it.
    Again,
}

/// What it changes that somebody, or by itself a run, wants a page of an alert whose page is this.
pub fn want_page(page: Option<&AlertPage>, by_hand: bool) -> PageChange {
    match (page, by_hand) {
        (None, _) => PageChange::New,
        (Some(AlertPage::Paged(_)), _) | (Some(_), false) => PageChange::Stays,
        (Some(AlertPage::Wanted | AlertPage::Failed(_) | AlertPage::Unreadable), true) => PageChange::Again,
    }
}

impl Alert {
    /// Somebody is to be paged, at a person's word: a hold is over, and what would hold an automatic page does not hold this
    /// one. What failed, or can't be read, is tried again. `is_closed`: PagerDuty shows the alert closed.
    pub fn escalate(&mut self, page: Option<&AlertPage>, is_closed: bool, has_run: bool) -> Reply {
        if !has_run {
            return Reply::Ignored(Why::NoRun);
        }
        if let Some(AlertPage::Paged(url)) = page {
            self.held_by = None;
            return Reply::Paged(url.clone());
        }
        if is_closed {
            return Reply::Closed;
        }
        self.held_by = None;
        Reply::Paging
    }

    /// No automatic page from now on, at the word of `who`.
    pub fn hold(&mut self, who: &str) -> Reply {
        self.held_by = Some(who.to_owned());
        Reply::Kept
    }

    /// A person has said something: follow-ups are counted again from then on.
    pub fn commanded(&mut self) {
        self.follow_ups = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Alert {
        let mut alert = Alert::new("A".to_owned(), "Q1", "prod-us-south".parse().unwrap(), None);
        alert.hold("Earline");
        alert
    }

    /// lifecycle.md#the-page and #commands: a person pages in each mode and ends a hold; an alert has one page, ever.
    /// Page, closed, has a run: the reply, and whether the hold stays.
    #[test]
    fn a_person_pages_whatever_holds_but_not_twice_nor_for_what_is_closed() {
        let url = || Some("https://example.pagerduty.com/incidents/P".to_owned());
        let failed = AlertPage::Failed(None);
        for (page, is_closed, has_run, reply, holds) in [
            (None, false, true, Reply::Paging, false),
            (None, true, true, Reply::Closed, true),
            (None, false, false, Reply::Ignored(Why::NoRun), true),
            (Some(AlertPage::Wanted), false, true, Reply::Paging, false),
            (Some(failed.clone()), false, true, Reply::Paging, false),
            (Some(AlertPage::Unreadable), false, true, Reply::Paging, false),
            (Some(failed), true, true, Reply::Closed, true),
            (Some(AlertPage::Paged(url())), false, true, Reply::Paged(url()), false),
            (Some(AlertPage::Paged(None)), true, true, Reply::Paged(None), false),
        ] {
            let mut alert = alert();
            assert_eq!(alert.escalate(page.as_ref(), is_closed, has_run), reply, "{page:?} {is_closed}");
            assert_eq!(alert.held_by.is_some(), holds, "{page:?} {is_closed}");
        }
    }

    /// lifecycle.md#commands: `/hold` holds automatic pages.
    #[test]
    fn an_alert_has_one_page_and_only_a_person_wants_again_what_is_not_open() {
        for (page, by_itself, by_hand) in [
            (None, PageChange::New, PageChange::New),
            (Some(AlertPage::Wanted), PageChange::Stays, PageChange::Again),
            (Some(AlertPage::Failed(None)), PageChange::Stays, PageChange::Again),
            (Some(AlertPage::Unreadable), PageChange::Stays, PageChange::Again),
            (Some(AlertPage::Paged(None)), PageChange::Stays, PageChange::Stays),
        ] {
            assert_eq!(want_page(page.as_ref(), false), by_itself, "{page:?}");
            assert_eq!(want_page(page.as_ref(), true), by_hand, "{page:?}");
        }
    }

    #[test]
    fn a_hold_is_kept_with_who_said_it() {
        let mut alert = alert();
        assert_eq!(alert.hold("Olivia"), Reply::Kept);
        assert_eq!(alert.held_by.as_deref(), Some("Olivia"));
    }
}
