//! Several alerts of one region at one time: one of them opens a page, the others wait for what becomes of it, and join
//! it. PagerDuty's lists show a new page only after a while: so its id is taken from our own record of it.

use crate::run::context::Context;
use crate::run::steps::confirm_alert::{Alert, confirm_alert};
use outbound::error::Error;
use pagerduty::Incident;
use runbook::gate;
use runbook::plan::{GIVE_UP_AFTER, Tried};
use runbook::span::after;
use runbook::writes::Moment;
use runbook::writes::opening::{Other, Page, Reservation};
use store::{Reserving, StoreError};

use super::Subject;

/// What there is before a page is opened.
pub(super) enum Start {
    /// It may be opened now: that is recorded as of then.
    Begun(Moment),
    /// The hour's automatic pages are used up: so many were opened.
    UsedUp(u32),
    /// The page of another alert of the region is open: it is to be joined.
    Join(Box<Incident>),
    /// It comes to this for now.
    Not(Tried),
}

impl Subject<'_> {
    /// Whether another alert of the region opens a page just now. Asks nobody but the database: fifty may wait.
    pub(super) async fn another_is_at_it(&self) -> Result<Option<Tried>, StoreError> {
        let (own, others) = self.context.store.openings(&self.run.region, self.of.incident_id()).await?;
        // What we may have opened ourselves is looked for first of all.
        if own.write.may_stand() {
            return Ok(None);
        }
        let ahead = others.into_iter().find(|other| other.is_ahead_of(&own));
        Ok(ahead.map(|other| Tried::Another { alert: other.alert, doubt: false }))
    }

    /// Takes the right to open the region's page, which one alert has at a time; or finds what another has opened. By who
    /// last saw the attempt `seen` of its own, and has looked for it in a look that began then.
    pub(super) async fn start(&self, seen: u32, began: Moment) -> Result<Start, StoreError> {
        let Self { context, of, run, .. } = self;
        let times = context.page_times();
        let mut looked = Vec::new();
        loop {
            let now = context.moment(context.clock.now());
            let by = Reserving {
                region: &run.region,
                seen,
                began,
                looked: &looked,
                hour: self.limit(),
                command_users: &context.config.command_users,
                now,
                times: &times,
            };
            let other = match context.store.reserve_page(of, &by).await? {
                Reservation::Reserved => return Ok(Start::Begun(now)),
                Reservation::HourFull(pages) => return Ok(Start::UsedUp(pages)),
                Reservation::HeldBy(who) => return Ok(Start::Not(self.held(&gate::held_by(&who)))),
                Reservation::WaitingFor { alert, doubt } => return Ok(Start::Not(Tried::Another { alert, doubt })),
                // A worker before us was heard of meanwhile.
                Reservation::LookFirst | Reservation::Stands(_) => {
                    let got = "what was sent before may be open, and is looked for first";
                    return Ok(Start::Not(self.later("opening the page", got.to_owned())));
                }
                Reservation::LookAt(other) => other,
            };
            match self.what_another_opened(&other).await {
                Ok(Some(page)) => return Ok(Start::Join(Box::new(page))),
                Ok(None) => looked.push(other),
                Err(error) => return Ok(Start::Not(self.not_asked(error))),
            }
        }
    }

    /// The page that another alert of the region has opened or joined; `None` where it is over, or there is none.
    async fn what_another_opened(&self, other: &Other) -> Result<Option<Incident>, Error> {
        if let Some(id) = other.page_id() {
            // What PagerDuty shows no more (404) long after it was opened is over; what is new may show late.
            let is_old = |page: &Page| self.context.clock.now() >= after(page.since, GIVE_UP_AFTER);
            if other.page.as_ref().is_some_and(is_old) && matches!(self.context.pagerduty.incident(id).await, Ok(None))
            {
                return Ok(None);
            }
            return match confirm_alert(&self.context.pagerduty, id).await {
                // What was merged into an alert is no page to anybody.
                Alert::Open(page) if page.id != id && self.is_an_alert(&page.id).await => Ok(None),
                Alert::Open(page) => Ok(Some(*page)),
                Alert::Resolved(_) => Ok(None),
                Alert::Unknown(why) => Err(Error::malformed("asking for the region's last page", why)),
            };
        }
        // Given up or held, and it may have been opened all the same.
        let found = self.context.pagerduty.incidents_with_key(&Context::page_key(&other.alert)).await?;
        Ok(found.into_iter().find(Incident::is_open))
    }
}
