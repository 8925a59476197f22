//! Several alerts of one region at one time: one of them opens a page, the others wait for what becomes of it, and join
//! it. PagerDuty's lists show a new page only after a while: so its id is taken from our own record of it.

use std::time::Duration;

use crate::run::context::Context;
use crate::run::steps::confirm_alert::{Alert, confirm_alert};
use outbound::error::Error;
use pagerduty::Incident;
use runbook::span::{after, between};
use store::{Beginning, Opening, PageState, StoreError};

use super::{GIVE_UP_AFTER, Subject, Try};

/// How soon it is looked again what has become of the other's page, at first and at most.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const LOOK_SELDOM: Duration = Duration::from_secs(5);
/// The same where it may be open though it failed: each look is a request to PagerDuty.
const LOOK_IN_DOUBT: Duration = Duration::from_secs(30);

/// What there is before a page is opened.
pub(super) enum Start {
    /// It may be opened now.
    Begun,
    /// The hour's automatic pages are used up: so many were opened.
    UsedUp(u32),
    /// The page of another alert of the region is open: it is to be joined.
    Join(Box<Incident>),
    /// It comes to this for now.
    Not(Try),
}

/// Why a page failed that waited in vain.
pub(super) fn never_ended(incident_id: &str) -> String {
    format!(
        "the page of another alert of this region, {incident_id}, was waited for, and for 10 min it was neither open nor \
         given up: look at that alert's notes"
    )
}

impl Subject<'_> {
    /// Whether another alert of the region opens a page just now. Asks nobody but the database: fifty may wait.
    pub(super) async fn another_is_at_it(&self) -> Result<Option<Try>, StoreError> {
        // What we may have opened ourselves is looked for first of all.
        if self.record.begun_at.is_some() {
            return Ok(None);
        }
        let other = self.context.store.opening(&self.run.region, self.lease.incident_id()).await?;
        Ok(other.filter(Opening::is_under_way).map(|other| self.wait_for(other)))
    }

    /// Takes the right to open the region's page, which one alert has at a time; or finds what another has opened. By who
    /// last saw the attempt `seen` of its own, and has looked for it.
    pub(super) async fn start(&self, seen: u32) -> Result<Start, StoreError> {
        let Self { context, lease, run, record, .. } = self;
        let limit = record.asked_by.is_none().then(|| self.limit());
        let mut over = None;
        loop {
            let other = match context.store.begin_page(lease, &run.region, limit, over.as_deref(), seen).await? {
                Beginning::Begun => return Ok(Start::Begun),
                Beginning::UsedUp(pages) => return Ok(Start::UsedUp(pages)),
                Beginning::Taken(other) => other,
            };
            // Somebody was faster while we looked whether the last was over.
            if other.is_under_way() || over.is_some() {
                return Ok(Start::Not(self.wait_for(*other)));
            }
            match self.what_another_opened(&other).await {
                Ok(Some(page)) => return Ok(Start::Join(Box::new(page))),
                Ok(None) if self.is_in_doubt(&other) => {
                    return Ok(Start::Not(Try::Another { incident_id: other.incident_id, wait: LOOK_IN_DOUBT }));
                }
                Ok(None) => over = Some(other.incident_id),
                Err(error) => return Ok(Start::Not(self.not_asked(error))),
            }
        }
    }

    /// The page that another alert of the region has opened or joined; `None` where it is over, or there is none.
    async fn what_another_opened(&self, other: &Opening) -> Result<Option<Incident>, Error> {
        if let Some(id) = other.page.as_ref().and_then(|page| page.page_id.as_deref()) {
            let ended = other.page.as_ref().and_then(|page| page.finished_at);
            // What PagerDuty shows no more (404) long after it was opened is over; what is new may show late.
            if ended.is_some_and(|at| self.context.clock.now() >= after(at, GIVE_UP_AFTER))
                && matches!(self.context.pagerduty.incident(id).await, Ok(None))
            {
                return Ok(None);
            }
            return match confirm_alert(self.context, id).await {
                Alert::Open(page) => Ok(Some(*page)),
                Alert::Resolved(_) => Ok(None),
                Alert::Unknown(why) => Err(Error::malformed("asking for the region's last page", why)),
            };
        }
        // Given up or held, and it may have been opened all the same.
        let found = self.context.pagerduty.incidents_with_key(&Context::page_key(&other.incident_id)).await?;
        Ok(found.into_iter().find(Incident::is_open))
    }

    /// Whether a page that failed may yet show, since PagerDuty may have taken it. An automatic page waits for that; a
    /// person's word does not.
    fn is_in_doubt(&self, other: &Opening) -> bool {
        let now = self.context.clock.now();
        self.record.asked_by.is_none()
            && other.page.as_ref().is_some_and(|page| {
                page.state == PageState::Failed
                    && page.begun_at.is_some()
                    && page.finished_at.is_some_and(|at| now < after(at, GIVE_UP_AFTER))
            })
    }

    fn wait_for(&self, other: Opening) -> Try {
        let now = self.context.clock.now();
        let waited = between(self.record.tried_since.unwrap_or(now), now);
        Try::Another { incident_id: other.incident_id, wait: (waited / 4).clamp(LOOK_AGAIN, LOOK_SELDOM) }
    }
}
