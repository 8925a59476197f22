//! What a run learns from PagerDuty: how its alert stands, and what else is open.

use super::{FRESH, Journey};
use crate::clock::between;
use crate::run::steps::confirm_alert::{Alert, confirm_alert};
use crate::run::steps::find_related::{Look, Looked, find_related};
use crate::run::steps::post_note::stands_on;
use crate::run::{AlertIncident, Trigger};
use crate::store::StoreError;
use crate::upstream::pagerduty::Incident;

impl Journey<'_> {
    /// Asks for the alert; why the run has nothing to do any more, where that is so.
    pub(super) async fn confirm_alert(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        let Some(incident) = self.run.incident.clone() else { return Ok(None) };
        let tools = self.tools;
        let step = self.begin(name).await?;
        let alert = confirm_alert(tools, &incident.id).await;
        let said_resolved = tools.store.suppression(&self.run.id).await?.alert_resolved_at;
        self.resolution_heard = said_resolved;
        // A rerun of an alert that was reopened long after it was opened counts from then.
        let known = tools.store.alert(&incident.id).await?.and_then(|alert| alert.triggered_at);
        self.facts.alert_triggered_at = self.facts.alert_triggered_at.max(known);
        self.facts.warnings.clear();
        let (over, error) = match alert {
            Alert::Open(open) => {
                self.facts.resolved_at = None;
                if said_resolved.is_some() {
                    tools.store.unset_resolved(self.lease, &open.id).await?;
                }
                (self.is_now(&incident, &open).await?, None)
            }
            Alert::Resolved(resolved) => {
                let at = resolved.last_status_change_at.unwrap_or_else(|| tools.clock.now());
                let over = self.is_now(&incident, &resolved).await?;
                self.facts.resolved_at = Some(at);
                (over, None)
            }
            Alert::Unknown(why) => {
                self.facts.warnings.push(format!("PagerDuty could not be asked for the alert itself: {why}"));
                (None, Some(why))
            }
        };
        // A webhook's word that can't be confirmed stops the page, not the diagnosis.
        self.facts.said_resolved = said_resolved.is_some() && error.is_some();
        self.end(step, error.as_deref()).await?;
        Ok(over)
    }

    /// Takes over what PagerDuty shows of the alert, which may be another incident now; why the run has nothing to do
    /// any more, where that one is worked on already.
    async fn is_now(&mut self, was: &AlertIncident, shown: &Incident) -> Result<Option<String>, StoreError> {
        let now = AlertIncident::from(shown);
        if now.id != was.id {
            // A note that was written before stays where it is, and is edited there: there is one a run.
            let stays = stands_on(self.tools, self.lease, &was.id).await?;
            if !self.tools.store.merge_alert(self.lease, &was.id, &now, stays).await? {
                return Ok(Some(format!("the alert was merged into the incident {}, which has a run", now.id)));
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

    /// An alert may be one whose run was lost with its database: then its note is there. One that has only just opened
    /// is not asked about.
    pub(super) async fn look_for_a_lost_run(&mut self) -> Result<(), StoreError> {
        let Some(incident) = &self.run.incident else { return Ok(()) };
        let is_fresh = self.run.trigger == Trigger::Webhook
            && self.facts.alert_opened_at.is_some_and(|opened| between(opened, self.run.created_at) < FRESH);
        if is_fresh {
            return Ok(());
        }
        let notes = match self.tools.pagerduty.notes(&incident.id).await {
            Ok(notes) => notes,
            Err(error) => {
                self.facts.warnings.push(format!("The notes on the alert could not be read: {error}"));
                // Nobody told us of it: it may well have been worked on before, and what is not known holds a page.
                self.facts.foreign_run |= self.run.trigger == Trigger::Reconcile;
                return Ok(());
            }
        };
        for run_id in notes.iter().filter_map(|n| n.content.lines().next_back()?.strip_prefix("run ")) {
            if self.tools.store.run(run_id.trim()).await?.is_none() {
                self.facts.foreign_run = true;
            }
        }
        Ok(())
    }

    pub(super) async fn find_related(&mut self, name: &str, look: Look) -> Result<(), StoreError> {
        let tools = self.tools;
        let step = self.begin(name).await?;
        let incident_id = self.run.incident.as_ref().map(|i| i.id.as_str());
        let found = find_related(tools, &self.run.region, incident_id, self.facts.alert_opened_at, look).await;
        let looked = Looked { at: tools.clock.now(), found };
        self.run.related = looked.keep(&mut self.facts);
        self.keep_facts().await?;
        self.end(step, looked.found.err().as_deref()).await
    }
}
