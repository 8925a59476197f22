//! Asks Jenkins and all clusters, side by side, until the verdict is sure; meanwhile it listens for the alert's end.

use std::sync::PoisonError;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::Instrument;

use super::Journey;
use crate::run::build_log::RunBuilds;
use crate::run::progress::Progress;
use crate::run::steps::confirm_alert::{Alert, confirm_alert};
use crate::run::steps::read_boxes::{ReadingRequest, read_boxes};
use crate::run::{early_words, words};
use clusters::check_zone;
use runbook::alert::Zone;
use runbook::diagnosis::verdict::wants_rerun;
use runbook::diagnosis::{Checks, Diagnosis, Earlier, Finding, Reading};
use runbook::plan::run as ladder;
use runbook::run::Trigger;
use runbook::span::{after, between};
use store::{Sight, StoreError, WantedWrite};

/// How long answers are awaited once the alert is resolved: its evidence is for the pCIE then.
const AFTER_RESOLUTION: Duration = Duration::from_secs(30);
/// How often a resolution is looked for that no change told of, and asked about again where PagerDuty didn't answer.
const LISTEN_EVERY: Duration = Duration::from_secs(5);

/// How long a re-run waits for the early word once it is due itself.
const WORD_MAY_TAKE: Duration = Duration::from_secs(5);

/// How often a run looks whether its early word is written.
const LOOK_FOR_WORD: Duration = Duration::from_secs(1);

/// Everything that was read.
pub(super) struct Gathered {
    /// The reading and its re-runs.
    pub(super) readings: Vec<Reading>,
    /// What each zone's cluster said last.
    pub(super) checks: Checked,
    /// The alert's end came before all of it was there.
    pub(super) is_cut_short: bool,
}
/// What each zone's cluster said.
pub(super) type Checked = Vec<(Zone, Checks)>;
/// When to be done by, once that is known.
pub(super) type Hurry = watch::Receiver<Option<Timestamp>>;

impl Journey<'_> {
    pub(super) async fn ask(&self) -> Result<Gathered, StoreError> {
        let already = self.resolved_at().map(|_| after(self.context.clock.now(), AFTER_RESOLUTION));
        let (hurry, hurried) = watch::channel(already);
        let asking = async {
            match &self.context.client {
                Some(client) => self.ask_the_client_too(client, hurried).await,
                None => self.ask_until_sure(hurried).await,
            }
        };
        let (readings, checks) = tokio::select! {
            gathered = asking => gathered?,
            error = self.listen(&hurry) => return Err(error),
        };
        let is_cut_short = hurry.borrow().is_some();
        Ok(Gathered { readings, checks, is_cut_short })
    }

    pub(super) async fn ask_until_sure(&self, mut hurry: Hurry) -> Result<(Vec<Reading>, Checked), StoreError> {
        let (mut readings, mut checks) = (Vec::new(), Vec::new());
        loop {
            let (reading, checked) = self.ask_everything(readings.len(), &hurry).await?;
            readings.push(reading);
            checks = checked.unwrap_or(checks);
            // "this can be a transient state, re-run the job"
            let wants = wants_rerun(&self.evidence(&readings, &checks, &Earlier::default()));
            let hurries = hurry.borrow().is_some();
            if !ladder::runs_again(readings.len(), wants, self.context.config.transient.reruns, hurries) {
                return Ok((readings, checks));
            }
            let first = (readings.len() == 1).then(|| self.diagnose(&readings, &checks).0);
            let since = readings.last().map(|reading| reading.at);
            // Waiting is no reason to stay silent, nor is a word that can't be written one to wait.
            let mut word = std::pin::pin!(self.early_word(first.as_ref()));
            let mut said = None;
            let waited = {
                let mut wait = std::pin::pin!(self.wait_before_rerun(since, &mut hurry));
                loop {
                    tokio::select! {
                        result = &mut word, if said.is_none() => said = Some(result?),
                        waited = &mut wait => break waited?,
                    }
                }
            };
            if said.is_none() {
                tokio::select! {
                    result = &mut word => result?,
                    () = self.context.clock.sleep(WORD_MAY_TAKE) => {
                        tracing::warn!("the early note is not written in time: the diagnosis goes on without it");
                    }
                }
            }
            if !waited {
                return Ok((readings, checks));
            }
        }
    }

    /// Jenkins and all clusters, side by side: wall time is the longest of them, not their sum. Clusters are asked beside
    /// the first reading, and again beside the last re-run that is allowed: what a page goes by must be fresh.
    async fn ask_everything(&self, index: usize, hurry: &Hurry) -> Result<(Reading, Option<Checked>), StoreError> {
        let suffix = if index == 0 { String::new() } else { format!("_rerun_{index}") };
        let clusters = async {
            if ladder::asks_clusters(index, self.context.config.transient.reruns) {
                self.check_clusters(&suffix, hurry.clone()).await.map(Some)
            } else {
                Ok(None)
            }
        };
        // Once the clusters have answered it only waits for Jenkins.
        let mut waits = None;
        let clusters = async {
            let checked = clusters.await;
            waits = Some(self.context.waiting.begin());
            checked
        };
        let (boxes, clusters) = tokio::join!(self.read_boxes(index, &suffix, hurry), clusters);
        drop(waits);
        Ok((boxes?, clusters?))
    }

    async fn read_boxes(&self, index: usize, suffix: &str, hurry: &Hurry) -> Result<Reading, StoreError> {
        let context = self.context;
        let step = self.begin(&format!("read_boxes{suffix}")).await?;
        let request = ReadingRequest {
            region: &self.run.region,
            expected: &self.names,
            index: u32::try_from(index).unwrap_or(u32::MAX),
            began_at: context.clock.now(),
            serves_since: Some(self.serves_since()),
            max_age: context.config.escalation.evidence_max_age,
            evidence_since: self.facts.suppressed_until,
            hurry: hurry.clone(),
            permit: &context.permit,
        };
        let builds = RunBuilds::new(context, self.lease);
        let early = self.early.lock().unwrap_or_else(PoisonError::into_inner).take();
        let run_id = self.run.id.clone();
        let progress = Progress::new(move |line| tracing::info!(run.id = run_id, "{line}"));
        let reading = read_boxes(&context.jenkins, &context.builds, request, &builds, &progress, early);
        let reading = reading.instrument(step.span.clone()).await;
        if let Some(lost) = builds.lost() {
            return Err(lost);
        }
        let error = reading.console.boxes.is_empty().then(|| match reading.warnings.as_slice() {
            [] => "the build printed no box".to_owned(),
            warnings => warnings.join("; "),
        });
        self.end_having_seen(step, error.as_deref(), Some(Sight::Reading(&reading))).await?;
        Ok(reading)
    }

    /// Since when builds that others started serve, by our clock.
    fn serves_since(&self) -> Timestamp {
        let triggered_at = self.facts.alert_triggered_at.map(|at| self.context.pagerduty.to_ours(at));
        ladder::serves_since(self.run.trigger, self.run.created_at, triggered_at, self.facts.suppressed_until)
    }

    async fn check_clusters(&self, suffix: &str, hurry: Hurry) -> Result<Checked, StoreError> {
        let context = self.context;
        let step = self.begin(&format!("check_clusters{suffix}")).await?;
        let time_is_up = |mut hurry: Hurry| async move {
            let by = match hurry.wait_for(Option::is_some).await {
                Ok(by) => *by,
                // Nobody will hurry us any more.
                Err(_) => None,
            };
            match by {
                Some(by) => context.clock.sleep(between(context.clock.now(), by)).await,
                None => std::future::pending().await,
            }
        };
        // A zone that answers is kept, whatever becomes of the others.
        let zones = self.zones.zones.iter().map(|entry| async {
            let checks = tokio::select! {
                biased;
                checks = check_zone(&context.config.cluster, &entry.zone, entry.context.as_deref(), &context.clock) => checks,
                () = time_is_up(hurry.clone()) => not_answered(context.clock.now()),
            };
            (entry.zone.clone(), checks)
        });
        let checks = join_all(zones).instrument(step.span.clone()).await;
        let errors: Vec<String> =
            checks.iter().filter_map(|(zone, c)| Some(format!("{zone}: {}", c.error.as_ref()?))).collect();
        let error = (!errors.is_empty()).then(|| errors.join("; "));
        self.end_having_seen(step, error.as_deref(), Some(Sight::Checks(&checks))).await?;
        Ok(checks)
    }

    /// Waits `TRANSIENT_WAIT` after the last reading; `false` where the alert's end cut it short.
    async fn wait_before_rerun(&self, since: Option<Timestamp>, hurry: &mut Hurry) -> Result<bool, StoreError> {
        let clock = &self.context.clock;
        let step = self.begin("wait_before_rerun").await?;
        let until = after(since.unwrap_or_else(|| clock.now()), self.context.config.transient.wait);
        let _waits = self.context.waiting.begin();
        let waited = tokio::select! {
            () = clock.sleep(between(clock.now(), until)) => true,
            Ok(_) = hurry.wait_for(Option::is_some) => false,
        };
        self.end(step, None).await?;
        Ok(waited)
    }

    /// Listens for the alert's end, and confirms it with PagerDuty; then everybody hurries. Ends only by a failure.
    async fn listen(&self, hurry: &watch::Sender<Option<Timestamp>>) -> StoreError {
        let Some(incident) = &self.run.incident else { return std::future::pending().await };
        let (store, clock) = (&self.context.store, &self.context.clock);
        loop {
            let change = store.change();
            let said = match store.suppression(&self.run.id).await {
                Ok(suppression) => suppression,
                Err(error) => return error,
            };
            if said.alert_resolved_at.is_some() && hurry.borrow().is_none() {
                match confirm_alert(&self.context.pagerduty, &incident.id).await {
                    Alert::Resolved(_) => {
                        tracing::info!("the alert is resolved: what answers within 30 s is taken");
                        hurry.send_replace(Some(after(clock.now(), AFTER_RESOLUTION)));
                        return std::future::pending().await;
                    }
                    Alert::Open(open) => {
                        if let Err(error) = store.unset_resolved(self.lease, &open.id, said.news).await {
                            return error;
                        }
                    }
                    Alert::Unknown(why) => tracing::debug!(why, "that the alert is resolved could not be confirmed"),
                }
            }
            tokio::select! {
                () = change => {}
                () = clock.sleep(LISTEN_EVERY) => {}
            }
        }
    }

    /// Wants the early word of a run whose first reading is `transient`, and waits until it is written.
    async fn early_word(&self, first: Option<&Diagnosis>) -> Result<(), StoreError> {
        let Self { context, run, .. } = self;
        let (Some(incident), Some(first)) = (&run.incident, first) else { return Ok(()) };
        // A second look that finds nothing new is to be silent.
        if run.trigger == Trigger::FollowUp {
            return Ok(());
        }
        let (store, key) = (&context.store, early_words::key(&run.id));
        let text = words::early(context, run, &self.facts, Some(first));
        let wanted = WantedWrite { key: &key, on: &incident.id, run_id: None, text: &text };
        if store.want_write(&wanted).await?.write.id.is_some() {
            return Ok(());
        }
        context.early_words.wanted.notify_one();
        loop {
            let written = context.early_words.written.notified();
            if store.recorded(&key).await?.is_none_or(|word| word.write.id.is_some()) {
                return Ok(());
            }
            tokio::select! {
                () = written => {}
                // By another process.
                () = context.clock.sleep(LOOK_FOR_WORD) => {}
            }
        }
    }
}

/// What is known of a cluster that had not answered when time was up.
fn not_answered(at: Timestamp) -> Checks {
    Checks {
        finding: Finding::Unknown,
        konicle: None,
        ingress: Vec::new(),
        status: None,
        konicle_pods: Vec::new(),
        registry_pages: Vec::new(),
        warnings: Vec::new(),
        error: Some("it had not answered within 30 s of the alert's end".into()),
        at,
        context: None,
    }
}
