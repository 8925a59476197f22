//! Tells people: the page gate's decision, the note, the page, and what is looked at again later.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::{Journey, LONGEST_PAUSE};
use crate::clock::between;
use crate::diagnosis::{Diagnosis, Finding, VerdictKind, note};
use crate::metrics;
use crate::run::chores::related_resolved_chore;
use crate::run::gate::{self, Decision, Known};
use crate::run::note_text::with_context;
use crate::run::steps::page::retell;
use crate::run::steps::post_note::{NotPosted, post_note};
use crate::run::{AlertIncident, EscalationState, Trigger, words};
use crate::store::{ChoreKind, NewChore, PageRecord, PageState, StoreError};
use crate::upstream::outage::is_outage;

/// Follow-ups of one alert at most, counted from its last webhook or command.
const FOLLOW_UPS: u32 = 3;
/// How long the page waits for the note: notes that can't be written for hours must not cost the page.
const NOTE_FIRST: Duration = Duration::from_secs(30);
/// How long it waits at least, however long the note has been tried.
const A_MOMENT: Duration = Duration::from_secs(5);

impl Journey<'_> {
    pub(super) async fn decide(&self, diagnosis: &Diagnosis) -> Result<Decision, StoreError> {
        let Self { tools, run, facts, zones, .. } = self;
        if self.resolved_at().is_some() {
            return Ok(Decision::NotWanted);
        }
        let titles: Vec<String> = run.related.iter().map(|page| page.title.clone()).collect();
        let now = tools.clock.now();
        let hour_ago = now - jiff::SignedDuration::from_hours(1);
        let incident_id = run.incident.as_ref().map(|i| i.id.as_str()).unwrap_or_default();
        let alert = tools.store.alert(incident_id).await?;
        let escalation = &tools.config.escalation;
        Ok(gate::decide(&Known {
            diagnosis,
            mode: escalation.mode,
            drill: run.drill.is_some(),
            has_incident: run.incident.is_some(),
            said_resolved: facts.said_resolved,
            foreign_run: facts.foreign_run,
            held_by: alert.as_ref().and_then(|alert| alert.held_by.as_deref()),
            related: facts.related_unknown.as_deref().map_or(Ok(&titles), Err),
            related_at: facts.related_at,
            region_listed: zones.listed,
            pages_this_hour: tools.store.automatic_pages_since(hour_ago, incident_id).await?,
            max_per_hour: escalation.max_per_hour,
            evidence_max_age: escalation.evidence_max_age,
            alert_triggered_at: facts.alert_triggered_at,
            alert_max_age: escalation.alert_max_age,
            now,
        }))
    }

    /// Links open incidents of the alert's own service beside the findings that they may explain. Runbook: "there
    /// should be one or more pages in Registry's PD", "Look for PDs in registry about konicle in this zone".
    pub(super) fn name_registry_pages(&self, diagnosis: &mut Diagnosis) {
        for zone in &mut diagnosis.zones {
            let Some(checks) = &mut zone.checks else { continue };
            if matches!(checks.finding, Finding::ZoneUnhealthy | Finding::KonicleFault) {
                let of_zone = self.facts.registry_pages.iter().filter(|(name, _)| *name == zone.cluster);
                checks.registry_pages = of_zone.map(|(_, page)| page.clone()).collect();
            }
        }
    }

    /// Writes the diagnosis note; a follow-up that finds nothing new edits the last one instead.
    /// What goes wrong with PagerDuty is borne until `until`.
    pub(super) async fn post_note(
        &self,
        incident: &AlertIncident,
        until: Timestamp,
    ) -> Result<Result<(), NotPosted>, StoreError> {
        let tools = self.tools;
        let step = self.begin("post_note").await?;
        if self.run.trigger == Trigger::FollowUp && words::edit_unchanged(tools, &self.run, incident).await? {
            // A person may have paged meanwhile: what was edited is what the note said before that.
            if tools.store.page_of_alert(&incident.id).await?.is_some() {
                retell(tools, &incident.id, &self.run.id).await?;
            }
            self.end(step, None).await?;
            return Ok(Ok(()));
        }
        let Some(diagnosis) = &self.run.diagnosis else {
            return Ok(Err(NotPosted::Refused("there is no diagnosis".into())));
        };
        let past = words::past(tools, &self.run).await?;
        let now = tools.clock.now();
        let text_of = |page: Option<&PageRecord>| {
            with_context(&tools.config, &self.run, &self.facts, &past, page, now, |context| {
                note::write(diagnosis, context)
            })
        };
        let text = text_of(tools.store.page_of_alert(&incident.id).await?.as_ref());
        // Counted over all rounds; each has a moment of its own, for a PagerDuty that has just come back.
        let first_tried = *self.note_first_tried.get_or_init(|| now);
        let note_first = NOTE_FIRST.saturating_sub(between(first_tried, now)).max(A_MOMENT);
        let mut posting = std::pin::pin!(post_note(tools, self.lease, &incident.id, &text, until));
        let written = tokio::select! {
            written = &mut posting => written?,
            () = tools.clock.sleep(note_first) => {
                self.want_page(incident).await?;
                posting.await?
            }
        };
        if let Ok(posted) = &written
            // Written before a restart, or while the page came on: what it says may be over.
            && (posted.before
                || self.page_wanted.load(Ordering::Relaxed)
                || text_of(tools.store.page_of_alert(&incident.id).await?.as_ref()) != text)
        {
            self.want_page(incident).await?;
            retell(tools, &incident.id, &self.run.id).await?;
        }
        match &written {
            Ok(posted) if !posted.before => metrics::note(between(self.run.created_at, tools.clock.now())),
            // What is not written yet is tried again, or given up by the caller.
            Ok(_) | Err(NotPosted::NotYet(_)) => {}
            Err(_) => metrics::give_up("note"),
        }
        self.end(step, written.as_ref().err().map(ToString::to_string).as_deref()).await?;
        Ok(written.map(drop))
    }

    /// Waits until PagerDuty answers, or `give_up`.
    pub(super) async fn wait_for_pagerduty(&self, incident: &AlertIncident, give_up: Timestamp) {
        let clock = &self.tools.clock;
        let mut pause = Duration::from_secs(1);
        while let Err(error) = self.tools.pagerduty.first().incident(&incident.id).await
            && is_outage(&error)
            && clock.now() < give_up
        {
            clock.sleep(pause.mul_f64(0.5 + clock.jitter())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Wants the page where the gate says so. Once: what was held since is not asked for again.
    async fn want_page(&self, incident: &AlertIncident) -> Result<(), StoreError> {
        let wanted = self.run.escalation.state == EscalationState::Requested;
        if wanted && !self.page_wanted.swap(true, Ordering::Relaxed) {
            let store = &self.tools.store;
            // The note may stand on one that was merged away since: the key is that of what is the alert now.
            let alert = store.alert(&incident.id).await?;
            let alert_id = alert.as_ref().map_or(&incident.id, |alert| &alert.alert_id);
            store.request_page(alert_id, &self.run.id, None).await?;
        }
        Ok(())
    }

    /// Second looks: after a verdict that may change by itself, and once pages that opened meanwhile have closed.
    pub(super) async fn look_again_later(&self, incident: &AlertIncident) -> Result<(), StoreError> {
        let Self { tools, run, .. } = self;
        if self.resolved_at().is_some() {
            return Ok(());
        }
        let chore = |kind, after| NewChore {
            kind,
            incident_id: incident.id.clone(),
            run_id: Some(run.id.clone()),
            mark: String::new(),
            data: String::new(),
            after,
        };
        let kind = run.diagnosis.as_ref().map(|d| d.verdict.kind);
        if matches!(kind, Some(VerdictKind::Transient | VerdictKind::Inconclusive)) {
            let made = tools.store.alert(&incident.id).await?.map_or(0, |alert| alert.follow_ups);
            if made < FOLLOW_UPS {
                tools.store.add_chore(&chore(ChoreKind::FollowUp, tools.config.follow_up)).await?;
            }
        }
        if self.facts.explaining > 0 {
            tools.store.add_chore(&related_resolved_chore(tools, &incident.id, &run.id)).await?;
        }
        Ok(())
    }

    /// Wants the page, and waits until it is open and read back, or has failed; `false` where it is held.
    pub(super) async fn page(&self, incident: &AlertIncident) -> Result<bool, StoreError> {
        let tools = self.tools;
        let step = self.begin("page").await?;
        self.want_page(incident).await?;
        let mut held = false;
        let error = loop {
            let change = tools.store.change();
            match tools.store.page_of_alert(&incident.id).await? {
                Some(page) if page.state == PageState::Requested => {}
                Some(page) if page.state == PageState::Paged => break None,
                Some(page) => break Some(page.reason.unwrap_or_else(|| "nobody was paged".into())),
                None => {
                    held = true;
                    break Some("the page is held: see the run's escalation".into());
                }
            }
            tokio::select! {
                () = change => {}
                () = tools.clock.sleep(Duration::from_secs(1)) => {}
            }
        };
        self.end(step, error.as_deref()).await?;
        Ok(!held)
    }
}
