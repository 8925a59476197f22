//! Tells people: the page gate's decision, the note, the page, and what is looked at again later.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tracing::Instrument;

use super::{Journey, LONGEST_PATIENCE, LONGEST_PAUSE};
use crate::metrics;
use crate::run::note_text::with_context;
use crate::run::steps::gate::{self, Seen};
use crate::run::steps::page::update_note;
use crate::run::steps::post_note::post_note;
use crate::run::steps::write::NotPosted;
use crate::run::words;
use outbound::outage::is_outage;
use runbook::decided::Decided;
use runbook::diagnosis::{Diagnosis, Finding, VerdictKind, note};
use runbook::gate::Decision;
use runbook::life::{FOLLOW_UPS, Input};
use runbook::plan::run::{Note, Page, TELL_WITHIN};
use runbook::run::{AlertIncident, EscalationState, Trigger};
use runbook::span::{after, between};
use runbook::writes::key;
use store::{PageRecord, PageState, StoreError};

/// How long the page waits for the note: notes that can't be written for hours must not cost the page.
const NOTE_FIRST: Duration = Duration::from_secs(30);
/// How long it waits at least, however long the note has been tried.
const A_MOMENT: Duration = Duration::from_secs(5);

impl Journey<'_> {
    pub(super) async fn decide(&self, diagnosis: &Diagnosis) -> Result<(Decision, Option<Decided>), StoreError> {
        let Self { context, run, facts, .. } = self;
        if self.resolved_at().is_some() {
            return Ok((Decision::NotWanted, None));
        }
        let titles: Vec<String> = run.related.iter().map(|page| page.title.clone()).collect();
        let now = context.clock.now();
        let hour_ago = now - jiff::SignedDuration::from_hours(1);
        let incident_id = run.incident.as_ref().map(|i| i.id.as_str());
        let name = incident_id.unwrap_or_default();
        // What can't be read of it may have spoken against a page.
        let unreadable = match context.store.alert(name).await {
            Err(StoreError::Corrupt { .. }) => true,
            alert => alert.map(|_| false)?,
        };
        // Counted before it is looked who opens a page: whoever is counted may be that one, and is then seen.
        let pages_this_hour = context.store.automatic_pages_since(hour_ago, name).await?;
        let (_, others) = context.store.openings(&run.region, name).await?;
        let seen = Seen {
            incident_id,
            title: facts.alert_title(run.incident.as_ref()),
            said_resolved: facts.said_resolved,
            unreadable,
            related: facts.related_unknown.as_deref().map_or(Ok(&titles), Err),
            related_at: facts.related_at,
            pages_this_hour,
            may_join: facts.page_open || others.iter().any(|other| other.may_be_joined(now)),
        };
        let (decision, by) = gate::decide(context, run, facts, diagnosis, &seen).await?;
        Ok((decision, Some(by)))
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

    /// "Note, then escalation by `ESCALATION_MODE`." Where PagerDuty can't be asked for a while, the run goes round again once it
    /// can: what was decided may be over by then.
    pub(super) async fn tell(&mut self) -> Result<(), StoreError> {
        let Some(incident) = self.run.incident.clone() else {
            self.standing.has_incident = false;
            return Ok(());
        };
        let clock = &self.context.clock;
        let give_up = *self.give_up.get_or_insert(after(clock.now(), TELL_WITHIN));
        let until = after(clock.now(), self.patience).min(give_up);
        let note = match self.post_note(&incident, until).await? {
            Err(NotPosted::NotYet(why)) if self.context.clock.now() >= give_up => {
                metrics::give_up(metrics::GivenUp::Note);
                let hours = TELL_WITHIN.as_secs() / 3600;
                self.why = format!("the note could not be written within {hours} h; last: {why}");
                Note::GivenUp
            }
            Err(NotPosted::NotYet(_)) => {
                self.wait_for_pagerduty(&incident, give_up).await;
                self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
                Note::NotYet
            }
            Err(why) => {
                self.look_again_later(&incident).await?;
                self.why = why.to_string();
                Note::Refused
            }
            Ok(()) => {
                self.look_again_later(&incident).await?;
                Note::Told
            }
        };
        self.standing.has_told(note);
        Ok(())
    }

    /// Writes the diagnosis note; a follow-up that finds nothing new edits the last one instead.
    /// What goes wrong with PagerDuty is borne until `until`.
    pub(super) async fn post_note(
        &mut self,
        incident: &AlertIncident,
        until: Timestamp,
    ) -> Result<Result<(), NotPosted>, StoreError> {
        let context = self.context;
        let step = self.begin("post_note").await?;
        // A note of its own that it has begun is its note.
        if self.run.trigger == Trigger::FollowUp
            && !self.may_have_a_note().await?
            && let Some(unchanged) = words::edit_unchanged(context, self.lease, &self.run, incident).await?
        {
            self.run.unchanged = Some(unchanged);
            // A person may have paged meanwhile: what was edited is what the note said before that.
            if context.store.page_of_alert(&incident.id).await?.is_some() {
                update_note(context, &incident.id, &self.run.id).await?;
            }
            self.end(step, None).await?;
            return Ok(Ok(()));
        }
        let Some(diagnosis) = &self.run.diagnosis else {
            return Ok(Err(NotPosted::Refused("there is no diagnosis".into())));
        };
        let past = words::past(context, &self.run).await?;
        let now = context.clock.now();
        let shown = diagnosis.clone().earlier(context.clock.ahead());
        let text_of = |page: Option<&PageRecord>| {
            with_context(&context.config, &self.run, &self.facts, &past, page, (&context.clock, now), |context| {
                note::write(&shown, context)
            })
        };
        let text = text_of(context.store.page_of_alert(&incident.id).await?.as_ref());
        // Counted over all rounds; each has a moment of its own, for a PagerDuty that has just come back.
        let first_tried = *self.note_first_tried.get_or_init(|| now);
        let note_first = NOTE_FIRST.saturating_sub(between(first_tried, now)).max(A_MOMENT);
        let mut posting =
            std::pin::pin!(post_note(context, self.lease, &incident.id, &text, until).instrument(step.span.clone()));
        let written = tokio::select! {
            written = &mut posting => written?,
            () = context.clock.sleep(note_first) => {
                self.want_page(incident).await?;
                posting.await?
            }
        };
        if let Ok(posted) = &written
            // Written before a restart, or while the page came on: what it says may be over.
            && (posted.before
                || self.page_wanted.load(Ordering::Relaxed)
                || text_of(context.store.page_of_alert(&incident.id).await?.as_ref()) != text)
        {
            self.want_page(incident).await?;
            update_note(context, &incident.id, &self.run.id).await?;
        }
        match &written {
            Ok(posted) if !posted.before => metrics::note(between(self.run.created_at, context.clock.now())),
            // What is not written yet is tried again, or given up by the caller.
            Ok(_) | Err(NotPosted::NotYet(_)) => {}
            Err(_) => metrics::give_up(metrics::GivenUp::Note),
        }
        self.end(step, written.as_ref().err().map(ToString::to_string).as_deref()).await?;
        Ok(written.map(drop))
    }

    /// Whether its own note stands, or may.
    async fn may_have_a_note(&self) -> Result<bool, StoreError> {
        let recorded = self.context.store.recorded(&key::of_note(&self.run.id)).await?;
        Ok(recorded.is_some_and(|recorded| recorded.write.may_stand()))
    }

    /// Waits until PagerDuty answers, or `give_up`.
    async fn wait_for_pagerduty(&self, incident: &AlertIncident, give_up: Timestamp) {
        let clock = &self.context.clock;
        let mut pause = Duration::from_secs(1);
        while let Err(error) = self.context.pagerduty.first().incident(&incident.id).await
            && is_outage(&error)
            && clock.now() < give_up
        {
            clock.sleep(pause.mul_f64(0.5 + clock.jitter())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Wants the page where the gate says so. Once a settling.
    async fn want_page(&self, incident: &AlertIncident) -> Result<(), StoreError> {
        let wanted = self.run.escalation.state == EscalationState::Requested;
        if wanted && !self.page_wanted.swap(true, Ordering::Relaxed) {
            let store = &self.context.store;
            // The note may stand on one that was merged away since: the key is that of what is the alert now.
            let alert = store.readable_alert(&incident.id).await?;
            let alert_id = alert.as_ref().map_or(&incident.id, |alert| &alert.incident_id);
            store.request_page(alert_id, &self.run.id, None).await?;
        }
        Ok(())
    }

    /// Second looks: after a verdict that may change by itself, and once pages that opened meanwhile have closed.
    pub(super) async fn look_again_later(&self, incident: &AlertIncident) -> Result<(), StoreError> {
        let Self { context, run, .. } = self;
        if self.resolved_at().is_some() {
            return Ok(());
        }
        let run_id = || run.id.clone();
        let kind = run.diagnosis.as_ref().map(|d| d.verdict.kind);
        if matches!(kind, Some(VerdictKind::Transient | VerdictKind::Mixed | VerdictKind::Inconclusive)) {
            let made = context.store.readable_alert(&incident.id).await?.map_or(0, |alert| alert.follow_ups);
            if made < FOLLOW_UPS {
                let input = Input::MayChange { run_id: run_id(), after: context.config.follow_up };
                context.store.tell_alert(&incident.id, input).await?;
            }
        }
        // What is only named explains nothing, but holds the page.
        let is_held = || run.escalation.state == EscalationState::Held && !self.facts.related_only_named.is_empty();
        if self.facts.explaining > 0 || is_held() {
            let input = Input::Explained { run_id: run_id(), after: context.config.suppression.recheck };
            context.store.tell_alert(&incident.id, input).await?;
        }
        Ok(())
    }

    /// "If this condition persists then this is an SE problem and you should page the Service Endpoint team."
    pub(super) async fn page(&mut self) -> Result<(), StoreError> {
        self.standing.page = match self.run.incident.clone() {
            Some(incident) if !self.opens_page(&incident).await? => Page::Held,
            _ => Page::Over,
        };
        Ok(())
    }

    /// Wants the page, and waits until it is open and read back, or has failed; `false` where it is held.
    async fn opens_page(&self, incident: &AlertIncident) -> Result<bool, StoreError> {
        let context = self.context;
        let step = self.begin("page").await?;
        self.want_page(incident).await?;
        let mut held = false;
        let error = loop {
            let change = context.store.change();
            match context.store.page_of_alert(&incident.id).await? {
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
                () = context.clock.sleep(Duration::from_secs(1)) => {}
            }
        };
        self.end(step, error.as_deref()).await?;
        Ok(!held)
    }
}
