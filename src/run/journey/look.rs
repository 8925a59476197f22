//! What a run learns from PagerDuty: how its alert stands, and what else is open.

use super::{FRESH, Journey};
use crate::run::open_incidents::Seen;
use crate::run::steps::confirm_alert::{Alert, confirm_alert, confirm_among};
use crate::run::steps::find_related::{find_related, owners_of};
use crate::run::steps::our_notes;
use crate::run::steps::post_note::stands_on;
use jiff::Timestamp;
use pagerduty::{Incident, Note};
use runbook::plan::run::{AlertNow, Isolated};
use runbook::related::Looked;
use runbook::run::{AlertIncident, Trigger};
use runbook::span::between;
use store::StoreError;
use tracing::Instrument;

impl Journey<'_> {
    /// "The run first asks PagerDuty for the incident."
    pub(super) async fn confirm(&mut self) -> Result<(), StoreError> {
        self.confirm_alert(if self.was_noted { "confirm_alert_again" } else { "confirm_alert" }).await?;
        if self.standing.alert == AlertNow::Resolved && !self.standing.has_asked {
            self.standing.has_asked = self.has_begun_to_ask().await?;
        }
        Ok(())
    }

    /// "Determine if this issue isolated to SE endpoints."
    pub(super) async fn isolate(&mut self) -> Result<(), StoreError> {
        self.look_for_a_lost_run().await?;
        if let Some(seen) = self.open.take() {
            self.find_related("find_related", &seen).await?;
        }
        self.standing.isolated = if self.is_suppressed().await? { Isolated::No } else { Isolated::Yes };
        Ok(())
    }

    /// Looks at what is open, by a look that begins now, and asks for the alert where that doesn't show it. Keeps what was
    /// seen; or why the run has nothing left to do and is ended in the store, where that is so.
    pub(super) async fn confirm_alert(&mut self, name: &str) -> Result<(), StoreError> {
        let (seen, over) = self.look_at_alert(name).await?;
        self.open = over.is_none().then_some(seen);
        self.standing.alert = match over {
            Some(why) => {
                self.why = why;
                AlertNow::Elsewhere
            }
            None if self.facts.resolved_at.is_some() => AlertNow::Resolved,
            None => AlertNow::Open,
        };
        Ok(())
    }

    async fn look_at_alert(&mut self, name: &str) -> Result<(Seen, Option<String>), StoreError> {
        let context = self.context;
        let look = || context.open_incidents.look(&context.pagerduty);
        let Some(incident) = self.run.incident.clone() else { return Ok((look().await, None)) };
        let step = self.begin(name).await?;
        let asked = async {
            let seen = look().await;
            let alert = confirm_among(context, &incident.id, &seen).await;
            (seen, alert)
        };
        let (seen, mut alert) = asked.instrument(step.span.clone()).await;
        let said = context.store.suppression(&self.run.id).await?;
        let said_resolved = said.alert_resolved_at;
        // It was looked before this was heard of, and lists lag behind: only what is asked since then says otherwise.
        if said_resolved.is_some() && matches!(alert, Alert::Open(_)) {
            alert = confirm_alert(&context.pagerduty, &incident.id).await;
        }
        self.resolution_heard = said_resolved;
        // A rerun of an alert that was reopened long after it was opened counts from then.
        let known = context.store.readable_alert(&incident.id).await?.and_then(|alert| alert.triggered_at);
        self.facts.alert_triggered_at = self.facts.alert_triggered_at.max(known);
        self.facts.warnings.clear();
        let (over, error) = match alert {
            Alert::Open(open) => {
                self.facts.resolved_at = None;
                if said_resolved.is_some() {
                    context.store.unset_resolved(self.lease, &open.id, said.news).await?;
                }
                (self.is_now(&incident, &open).await?, None)
            }
            Alert::Resolved(resolved) => {
                // By PagerDuty's clock, as the time when it opened: how long it took is shown.
                let now = || context.pagerduty.time().unwrap_or_else(|| context.clock.now());
                let at = resolved.last_status_change_at.unwrap_or_else(now);
                let over = self.is_now(&incident, &resolved).await?;
                self.facts.resolved_at = Some(at);
                (over, None)
            }
            Alert::Unknown(why) => {
                self.facts.warnings.push(format!("PagerDuty did not show the alert itself: {why}"));
                (None, Some(why))
            }
        };
        // A webhook's word that can't be confirmed stops the page, not the diagnosis.
        self.facts.said_resolved = said_resolved.is_some() && error.is_some();
        // What is over was ended with its steps.
        if over.is_none() {
            self.end(step, error.as_deref()).await?;
        }
        Ok((seen, over))
    }

    /// Takes over what PagerDuty shows of the alert, which may be another incident now; why the run is ended, where that one
    /// is worked on already.
    async fn is_now(&mut self, was: &AlertIncident, shown: &Incident) -> Result<Option<String>, StoreError> {
        let now = AlertIncident::from(shown);
        self.facts.title = Some(shown.title.clone());
        self.facts.alert_owners = Some(owners_of(shown));
        if now.id != was.id {
            // A note that was written before stays where it is, and is edited there: there is one a run.
            let stays = self.run.unchanged.is_some() || stands_on(self.context, self.lease, &was.id).await?;
            let at = self.merged_at(&was.id).await;
            if let Err(idle) = self.context.store.merge_alert(self.lease, &was.id, &now, stays, at).await? {
                return Ok(Some(format!("the alert was merged into the incident {}, {idle}", now.id)));
            }
            if stays {
                tracing::info!(from = was.id, into = now.id, "the alert was merged; the note is where it was");
                return Ok(None);
            }
            tracing::info!(from = was.id, into = now.id, "the alert was merged; the note goes there");
        } else {
            self.facts.alert_opened_at = shown.created_at;
            self.facts.alert_triggered_at = self.facts.alert_triggered_at.max(shown.created_at);
        }
        self.run.incident = Some(now);
        Ok(None)
    }

    /// When this incident of ours was merged into another, by our clock; `None`: PagerDuty does not say.
    async fn merged_at(&self, incident_id: &str) -> Option<Timestamp> {
        let pagerduty = &self.context.pagerduty;
        let merged = pagerduty.incident(incident_id).await.ok().flatten();
        merged.and_then(|incident| incident.last_status_change_at).map(|at| pagerduty.to_ours(at))
    }

    /// An alert may be one whose run was lost with its database: then its note is there. One that has only just opened
    /// is not asked about.
    pub(super) async fn look_for_a_lost_run(&mut self) -> Result<(), StoreError> {
        let Some(incident) = &self.run.incident else { return Ok(()) };
        let opened = self.facts.alert_opened_at.map(|at| self.context.pagerduty.to_ours(at));
        let is_fresh = self.run.trigger == Trigger::Webhook
            && opened.is_some_and(|opened| between(opened, self.run.created_at) < FRESH);
        if is_fresh {
            return Ok(());
        }
        let notes = match self.context.pagerduty.notes(&incident.id).await {
            Ok(notes) => notes,
            Err(error) => {
                self.facts.warnings.push(format!("The notes on the alert could not be read: {error}"));
                // Nobody told us of it: it may well have been worked on before, and what is not known holds a page.
                self.facts.foreign_run |= self.run.trigger == Trigger::Reconcile;
                return Ok(());
            }
        };
        let named = |note: &Note| our_notes::named_run(&note.content).map(str::to_owned);
        if notes.iter().all(|note| named(note).is_none()) {
            return Ok(());
        }
        let us = our_notes::our_user(self.context).await;
        for run_id in notes.iter().filter(|note| our_notes::may_be_by(note, us.as_deref())).filter_map(named) {
            match self.context.store.run(&run_id).await {
                Ok(None) => self.facts.foreign_run = true,
                // It is here, whatever is left of it.
                Ok(Some(_)) | Err(StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Finds related pages among what was seen.
    pub(super) async fn find_related(&mut self, name: &str, seen: &Seen) -> Result<(), StoreError> {
        let context = self.context;
        let step = self.begin(name).await?;
        let incident_id = self.run.incident.as_ref().map(|i| i.id.as_str());
        let found = find_related(seen, &context.config, &self.run.region, incident_id, &self.facts);
        let looked = Looked { at: context.clock.now(), found };
        self.run.related = looked.keep(&mut self.facts);
        self.keep_facts().await?;
        self.end(step, looked.found.err().as_deref()).await
    }
}
