//! The order of the steps, as the runbook has it; nothing else.

use std::time::Duration;

use jiff::Timestamp;
use tracing::Instrument;

use crate::alert::Zone;
use crate::clock::{after, between};
use crate::config::{EscalationMode, RegionZones};
use crate::diagnosis::verdict::{diagnose, wants_rerun};
use crate::diagnosis::{Checks, Diagnosis, Evidence, Reading, note};
use crate::store::{Finish, Lease, PageState, StoreError};
use crate::upstream::cluster::check_region;

use super::build_log::RunBuilds;
use super::gate::{self, Decision, Known};
use super::note_text::{escalation_of, with_context};
use super::progress::Progress;
use super::steps::confirm_alert::{Alert, confirm_alert};
use super::steps::find_related::{Related, find_related};
use super::steps::post_note::post_note;
use super::steps::read_boxes::{ReadingRequest, no_hurry, read_boxes};
use super::tools::Tools;
use super::{AlertIncident, EscalationState, Facts, Run, Trigger};

/// A run on its way.
struct Journey<'a> {
    tools: &'a Tools,
    lease: &'a Lease,
    run: Run,
    facts: Facts,
    zones: RegionZones,
    names: Vec<Zone>,
}

/// Takes a run from trigger to note, and to the page where one is due.
///
/// # Errors
/// The store failed, or the lease is lost: the run is taken up again from its start, by whoever claims it next.
pub async fn drive(tools: &Tools, lease: &Lease) -> Result<Finish, StoreError> {
    let Some(run) = tools.store.run(lease.run_id()).await? else { return Err(StoreError::LeaseLost) };
    let facts = tools.store.facts(lease.run_id()).await?;
    let zones = tools.config.zones_of(&run.region);
    let names = zones.names();
    Journey { tools, lease, run, facts, zones, names }.walk().await
}

impl Journey<'_> {
    async fn walk(mut self) -> Result<Finish, StoreError> {
        // "Determine if this issue isolated to SE endpoints"
        if let Some(over) = self.confirm_alert().await? {
            return Ok(Finish::Cancelled(over));
        }
        self.find_related("find_related").await?;

        // "Determine if this issue is with Registry or Service Endpoint", "Debugging Registry's Private Ingress"
        let mut readings = Vec::new();
        let mut checks;
        loop {
            let reading;
            (reading, checks) = self.ask_everything(readings.len()).await?;
            readings.push(reading);
            // "this can be a transient state, re-run the job"
            let reruns_left = readings.len() <= self.tools.config.transient.reruns as usize;
            if !reruns_left || !wants_rerun(&self.evidence(&readings, &checks)) {
                break;
            }
            self.wait_before_rerun(readings.last().map(|r| r.at)).await?;
        }
        let diagnosis = diagnose(&self.evidence(&readings, &checks));

        // A page that explains the alert may have opened meanwhile.
        self.find_related("find_related_again").await?;
        let decision = self.decide(&diagnosis).await?;
        let (escalation, reason) = escalation_of(&decision, self.tools.config.escalation.mode);
        self.tools.store.set_diagnosis(self.lease, &diagnosis, escalation, reason.as_deref()).await?;
        tracing::info!(verdict = ?diagnosis.verdict.kind, rule = ?diagnosis.verdict.rule, page = ?escalation, "diagnosed");

        let Some(incident) = self.run.incident.clone() else { return Ok(Finish::Done) };
        if let Err(why) = self.post_note(&diagnosis, &incident, escalation, reason).await? {
            // Without the note nobody would know; the page, where one is due, is still opened.
            self.page(&decision, &incident).await?;
            return Ok(Finish::Failed(format!("the note was not written: {why}")));
        }
        // "If this condition persists then this is an SE problem and you should page the Service Endpoint team"
        self.page(&decision, &incident).await?;
        Ok(Finish::Done)
    }

    /// What the diagnosis is made of.
    fn evidence<'e>(&'e self, readings: &'e [Reading], checks: &'e [(Zone, Checks)]) -> Evidence<'e> {
        Evidence { region: &self.run.region, expected: &self.names, readings, checks }
    }

    async fn confirm_alert(&mut self) -> Result<Option<String>, StoreError> {
        let Some(incident) = self.run.incident.clone() else { return Ok(None) };
        let tools = self.tools;
        let step = self.begin("confirm_alert").await?;
        let alert = confirm_alert(tools, &incident.id).await;
        let (over, error) = match alert {
            Alert::Open(open) => {
                self.facts.alert_opened_at = open.created_at;
                self.facts.alert_triggered_at = self.facts.alert_triggered_at.max(open.created_at);
                // The id stays the one that everything is keyed by.
                let shown = AlertIncident { id: incident.id, ..AlertIncident::from(&*open) };
                self.run.incident = Some(shown);
                (None, None)
            }
            Alert::Over(why) => (Some(why), None),
            Alert::Unknown(why) => {
                self.facts.warnings = vec![format!("PagerDuty could not be asked for the alert itself: {why}")];
                (None, Some(why))
            }
        };
        self.end(step, error.as_deref()).await?;
        Ok(over)
    }

    async fn find_related(&mut self, name: &str) -> Result<(), StoreError> {
        let tools = self.tools;
        let step = self.begin(name).await?;
        let related = find_related(tools, &self.run.region, self.facts.alert_opened_at).await;
        let error = related.as_ref().err().cloned();
        self.facts.related_at = Some(tools.clock.now());
        self.facts.related_unknown.clone_from(&error);
        let related = related.unwrap_or_default();
        self.run.related = related.pages();
        let Related { named, other_regions, .. } = related;
        self.facts.related_only_named =
            named.into_iter().map(|(page, why)| format!("{} does not explain the alert: {why}", page.title)).collect();
        self.facts.other_regions = other_regions;
        tools.store.set_facts(self.lease, self.run.incident.as_ref(), &self.facts, &self.run.related).await?;
        self.end(step, error.as_deref()).await
    }

    /// Jenkins and all clusters, side by side: wall time is the longest of them, not their sum.
    async fn ask_everything(&self, index: usize) -> Result<(Reading, Vec<(Zone, Checks)>), StoreError> {
        let suffix = if index == 0 { String::new() } else { format!("_rerun_{index}") };
        let (boxes, clusters) = tokio::join!(self.read_boxes(index, &suffix), self.check_clusters(&suffix));
        Ok((boxes?, clusters?))
    }

    async fn read_boxes(&self, index: usize, suffix: &str) -> Result<Reading, StoreError> {
        let tools = self.tools;
        let step = self.begin(&format!("read_boxes{suffix}")).await?;
        let request = ReadingRequest {
            region: &self.run.region,
            expected: &self.names,
            index: u32::try_from(index).unwrap_or(u32::MAX),
            began_at: tools.clock.now(),
            serves_since: Some(self.serves_since()),
            max_age: tools.config.escalation.evidence_max_age,
            hurry: no_hurry(),
        };
        let builds = RunBuilds::new(tools, self.lease);
        let run_id = self.run.id.clone();
        let progress = Progress::new(move |line| tracing::info!(run.id = run_id, "{line}"));
        let reading = read_boxes(&tools.jenkins, &tools.builds, request, &builds, &progress).await;
        if let Some(lost) = builds.lost() {
            return Err(lost);
        }
        let error = reading.console.boxes.is_empty().then(|| match reading.warnings.as_slice() {
            [] => "the build printed no box".to_owned(),
            warnings => warnings.join("; "),
        });
        self.end(step, error.as_deref()).await?;
        Ok(reading)
    }

    /// Builds that others started serve since the alert began, or since somebody or something asked to look again.
    fn serves_since(&self) -> Timestamp {
        let alert = match self.run.trigger {
            Trigger::Webhook | Trigger::Reconcile => self.facts.alert_triggered_at,
            Trigger::Rerun | Trigger::Note | Trigger::RelatedResolved | Trigger::FollowUp => None,
        };
        alert.unwrap_or(self.run.created_at)
    }

    async fn check_clusters(&self, suffix: &str) -> Result<Vec<(Zone, Checks)>, StoreError> {
        let tools = self.tools;
        let step = self.begin(&format!("check_clusters{suffix}")).await?;
        let span = tracing::info_span!("run.step", step = "check_clusters");
        let checks = check_region(&tools.config.cluster, &self.zones.zones, &tools.clock).instrument(span).await;
        let errors: Vec<String> =
            checks.iter().filter_map(|(zone, c)| Some(format!("{zone}: {}", c.error.as_ref()?))).collect();
        self.end(step, (!errors.is_empty()).then(|| errors.join("; ")).as_deref()).await?;
        Ok(checks)
    }

    async fn wait_before_rerun(&self, since: Option<Timestamp>) -> Result<(), StoreError> {
        let clock = &self.tools.clock;
        let step = self.begin("wait_before_rerun").await?;
        let until = after(since.unwrap_or_else(|| clock.now()), self.tools.config.transient.wait);
        clock.sleep(between(clock.now(), until)).await;
        self.end(step, None).await
    }

    async fn decide(&self, diagnosis: &Diagnosis) -> Result<Decision, StoreError> {
        let Self { tools, run, facts, zones, .. } = self;
        let titles: Vec<String> = run.related.iter().map(|page| page.title.clone()).collect();
        let now = tools.clock.now();
        let hour_ago = now - jiff::SignedDuration::from_hours(1);
        let incident_id = run.incident.as_ref().map(|i| i.id.as_str()).unwrap_or_default();
        let escalation = &tools.config.escalation;
        Ok(gate::decide(&Known {
            diagnosis,
            mode: escalation.mode,
            has_incident: run.incident.is_some(),
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

    async fn post_note(
        &mut self,
        diagnosis: &Diagnosis,
        incident: &AlertIncident,
        escalation: EscalationState,
        reason: Option<String>,
    ) -> Result<Result<String, String>, StoreError> {
        let tools = self.tools;
        let step = self.begin("post_note").await?;
        self.run.diagnosis = Some(diagnosis.clone());
        self.run.escalation.state = escalation;
        self.run.escalation.reason = reason;
        let page = tools.store.page(&incident.id).await?;
        let mut facts = self.facts.clone();
        facts.warnings.extend(facts.related_only_named.clone());
        let now = tools.clock.now();
        let text = with_context(&tools.config, &self.run, &facts, page.as_ref(), now, |context| {
            note::write(diagnosis, context)
        });
        let written = post_note(tools, self.lease, &incident.id, &text).await?;
        self.end(step, written.as_ref().err().map(String::as_str)).await?;
        Ok(written)
    }

    /// Where the gate says so: wants the page, and waits until it is open and read back, or is not.
    async fn page(&self, decision: &Decision, incident: &AlertIncident) -> Result<(), StoreError> {
        let tools = self.tools;
        if *decision != Decision::Page || tools.config.escalation.mode != EscalationMode::Auto {
            return Ok(());
        }
        let step = self.begin("page").await?;
        tools.store.request_page(&incident.id, &self.run.id, None).await?;
        let error = loop {
            let change = tools.store.change();
            match tools.store.page(&incident.id).await? {
                Some(page) if page.state == PageState::Requested => {}
                Some(page) if page.state == PageState::Paged => break None,
                Some(page) => break Some(page.reason.unwrap_or_else(|| "nobody was paged".into())),
                None => break Some("the page is held: see the run's escalation".into()),
            }
            tokio::select! {
                () = change => {}
                () = tools.clock.sleep(Duration::from_secs(1)) => {}
            }
        };
        self.end(step, error.as_deref()).await
    }

    async fn begin(&self, name: &str) -> Result<i64, StoreError> {
        tracing::debug!(run.step = name, "step begins");
        self.tools.store.begin_step(self.lease, name).await
    }

    async fn end(&self, step: i64, error: Option<&str>) -> Result<(), StoreError> {
        if let Some(error) = error {
            tracing::warn!(error, "a step went wrong; the run goes on");
        }
        self.tools.store.end_step(self.lease, step, error).await
    }
}
