//! Pages the Service Endpoint team, once an alert, ever. Runbook: "Paging the Service Endpoint team".
//!
//! Before it opens an incident it looks for its key over all statuses and dates, and for an open page of that team
//! that names the region or one of the boxes, and whether another alert of the region is at it (`another.rs`); after it,
//! it reads the page back. When that is tried, and what follows from a try, is decided in [`runbook::plan`].

mod another;
mod end;
mod join;
mod known;
mod noted;
mod open;
mod tell;
#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;

use jiff::{SignedDuration, Timestamp};

use crate::run::context::Context;
use crate::run::open_incidents::Seen;
use crate::run::steps::confirm_alert::Alert;
use crate::run::steps::find_related::find_related;
use crate::run::steps::gate as gate_input;
use outbound::error::Error;
use runbook::gate;
use runbook::plan::{HeldPage, OpenedPage, Tried};
use runbook::related::{Looked, Related};
use runbook::run::{Facts, Run};
use store::{NewDecision, PageOf, PageRecord, StoreError};

use known::Earlier;

pub use end::{end, give_up, hold, wait};
pub use tell::{tell, update_note, update_note_and_end};

/// Everything that a page is made of.
struct Subject<'a> {
    context: &'a Context,
    of: &'a PageOf,
    record: PageRecord,
    run: Run,
    /// What an earlier run found, while this one has found nothing yet.
    earlier: Option<Earlier>,
    facts: Facts,
}

/// Tries to page, once.
///
/// # Errors
/// The store.
pub async fn attempt(context: &Context, of: &PageOf) -> Result<Tried, StoreError> {
    let context = &context.first();
    // Read again for each try: the diagnosis may come meanwhile, and a person may ask for what was automatic.
    let Some(record) = context.store.page(of.incident_id()).await? else { return Err(StoreError::PageChanged) };
    let Some(run) = context.store.run(&record.run_id).await? else { return Err(StoreError::PageChanged) };
    let facts = context.store.facts(&record.run_id).await?;
    let earlier = Earlier::of(context, &run).await?;
    let subject = Subject { context, of, record, run, earlier, facts };
    match subject.another_is_at_it().await? {
        Some(another) => Ok(another),
        None => subject.join_or_open().await,
    }
}

/// Whether PagerDuty answers at all: then what goes wrong can be said.
pub async fn pagerduty_answers(context: &Context, of: &PageOf) -> bool {
    context.first().pagerduty.incident(of.incident_id()).await.is_ok()
}

impl Subject<'_> {
    /// What a failure means for the page.
    fn trouble(&self, error: Error) -> Tried {
        let why = error.to_string();
        if self.context.pagerduty.may_pass(&error) { Tried::Later(why) } else { Tried::Refused(why) }
    }

    /// What a look that failed means for the page.
    fn not_asked(&self, error: Error) -> Tried {
        match self.trouble(error) {
            Tried::Later(why) => Tried::NotAsked(why),
            refused => refused,
        }
    }

    fn held(&self, why: &str) -> Tried {
        self.held_for(vec![why.to_owned()], None)
    }

    fn held_for(&self, reasons: Vec<String>, looked: Option<Looked>) -> Tried {
        let Self { context, run, .. } = self;
        let (max_age, now) = (context.config.escalation.evidence_max_age, context.clock.now());
        let is_outdated = || run.diagnosis.as_ref().is_some_and(|d| gate::is_outdated(d, max_age, now));
        Tried::Held(HeldPage {
            unknown: reasons.len() == 1 && looked.as_ref().is_some_and(|looked| looked.found.is_err()),
            outdated: reasons.len() == 1 && gate::says_outdated(&reasons[0]) && is_outdated(),
            run_is_active: run.state.is_active(),
            reasons,
            looked,
        })
    }

    /// Since when automatic pages count, and how many there may be.
    fn limit(&self) -> (Timestamp, u32) {
        let hour_ago = self.context.clock.now() - SignedDuration::from_hours(1);
        (hour_ago, self.context.config.escalation.max_per_hour)
    }

    /// The gate once more, with what was seen right before an automatic page.
    async fn last_look(&self, alert: &Alert, seen: &Seen) -> Result<Option<Tried>, StoreError> {
        let Self { context, of, run, facts, .. } = self;
        let Some(diagnosis) = &run.diagnosis else {
            return Ok(Some(self.held("there is no diagnosis yet")));
        };
        let said = context.store.alert(of.incident_id()).await?;
        if matches!(alert, Alert::Resolved(_)) {
            return Ok(Some(self.held("the alert is resolved")));
        }
        let title = match alert {
            Alert::Open(open) => Some(open.title.as_str()),
            _ => facts.alert_title(run.incident.as_ref()),
        };
        let unconfirmed = matches!(alert, Alert::Unknown(_)) && said.as_ref().is_some_and(|a| a.resolved_at.is_some());
        let incident_id = Some(of.incident_id());
        let found = find_related(seen, &context.config, &run.region, incident_id, facts);
        let titles = found.as_ref().map(Related::titles).map_err(String::clone);
        let now = context.clock.now();
        let looked = Looked { at: now, found };
        let seen = gate_input::Seen {
            incident_id,
            title,
            said_resolved: unconfirmed,
            unreadable: false,
            related: titles.as_ref().map(Vec::as_slice).map_err(String::as_str),
            related_at: Some(now),
            // Counted where one is opened: here it may be joined yet.
            pages_this_hour: 0,
            may_join: true,
        };
        let (decision, decided) = gate_input::decide(context, run, facts, diagnosis, &seen).await?;
        // A page waits for no log.
        if let Err(error) = context.store.add_decisions(&run.id, &[NewDecision { at: now, decided }]).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "how a page was decided is not kept");
        }
        Ok(match decision {
            gate::Decision::Page => None,
            gate::Decision::Hold(reasons) | gate::Decision::Suggest(reasons) => {
                Some(self.held_for(reasons, Some(looked)))
            }
            gate::Decision::NotWanted | gate::Decision::Off => Some(self.held("the verdict asks for no page")),
        })
    }
}
