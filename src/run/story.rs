//! An alert against a simulated PagerDuty account and a store on disk, for tests; time passes by hand, and where somebody
//! sleeps.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::bench;
use super::context::Context;
use crate::config::{Config, Environment};
use crate::inbox;
use outbound::clock::{Clock, Source};
use outbound::permit::Permit;
use runbook::diagnosis::verdict::diagnose;
use runbook::diagnosis::{Diagnosis, Evidence};
use runbook::life::Input;
use runbook::run::{EscalationState, Run};
use simulators::clock::ManualClock;
use simulators::pagerduty::{Opening, PagerDuty, Setup};
use store::{Accepted, AlertLease, Filter, Finish, Lease, PageResult, Store, Task};

use super::beside;
use super::tasks;

pub(super) const TITLE: &str = "All SE endpoints down in prod-us-south";
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Something that is claimed.
pub(super) enum Claimed {
    Alert(AlertLease),
    Task(Task),
}

/// An alert that PagerDuty has and the service was told of.
pub(super) struct Story {
    pub(super) context: Context,
    pub(super) pagerduty: PagerDuty,
    pub(super) clock: Arc<ManualClock>,
    pub(super) alert: String,
    _folder: TempDir,
}

impl Story {
    pub(super) async fn new() -> Self {
        Self::with(&[]).await
    }

    pub(super) async fn with(settings: &[(&'static str, &'static str)]) -> Self {
        let clock = ManualClock::hurried("2026-08-20T03:00:00Z".parse().unwrap());
        let shared: Clock = clock.clone();
        let pagerduty = PagerDuty::start(Setup::new(shared.clone())).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut all = vec![
            ("PAGERDUTY_WEBHOOK_SECRETS", "s3cret"),
            ("PAGERDUTY_API_TOKEN", "t0ken"),
            ("PAGERDUTY_FROM", Setup::FROM),
            ("JENKINS_JOB_URL", "http://127.0.0.1:9/job/ServiceEndpointStatus/"),
            ("JENKINS_USER", "robot"),
            ("JENKINS_API_TOKEN", "jt0ken"),
        ];
        all.extend_from_slice(settings);
        let mut config = Config::load(&Environment::of(all)).unwrap();
        config.pagerduty = bench::settings(&pagerduty);
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let store = Store::open(&url, shared.clone()).await.unwrap();
        let mut context = Context::new(Arc::new(config), store, shared).unwrap();
        context.permit = Permit::needless("a test");
        let alert = pagerduty.open(Opening::new(TITLE, Setup::REGISTRY)).id;
        let story = Self { context, pagerduty, clock, alert, _folder: folder };
        story.told("incident.triggered").await;
        story
    }

    /// A webhook about the alert arrives.
    pub(super) async fn told(&self, event_type: &str) -> Accepted {
        self.accept(&self.pagerduty.webhook_body(event_type, &self.alert)).await
    }

    pub(super) async fn accept(&self, body: &str) -> Accepted {
        inbox::accept(&self.context.store, &self.context.config, body.as_bytes()).await.unwrap()
    }

    /// A person writes a note on the alert, and its webhook arrives.
    pub(super) async fn writes(&self, content: &str) {
        let note = self.pagerduty.annotate(&self.alert, Setup::ENGINEER, content).unwrap();
        self.accept(&self.pagerduty.annotated_body(&self.alert, &note.id)).await;
    }

    /// The alert's runs, newest first.
    pub(super) async fn runs(&self) -> Vec<Run> {
        let filter = Filter { incident_id: Some(self.alert.clone()), limit: 20, ..Filter::default() };
        self.context.store.runs(&filter).await.unwrap()
    }

    /// The waiting run ends with a note, as a worker would have it.
    pub(super) async fn run_ends(&self) -> String {
        let lease = self.context.store.claim_run().await.unwrap().expect("a run");
        self.ends(&lease).await
    }

    pub(super) async fn ends(&self, lease: &Lease) -> String {
        let store = &self.context.store;
        let diagnosis = self.diagnosis();
        store.set_diagnosis(lease, &diagnosis, (EscalationState::None, None), &[]).await.unwrap();
        let text = format!("SE problem in prod-us-south\nDo now: look.\nNobody was paged.\n\nrun {}", lease.run_id());
        store.begin_note(lease).await.unwrap();
        let note = self.context.pagerduty.add_note(&self.context.permit, &self.alert, &text).await.unwrap();
        store.set_note(lease, &note.id, &note.content).await.unwrap();
        store.finish_run(lease, &Finish::Done).await.unwrap();
        lease.run_id().to_owned()
    }

    pub(super) fn diagnosis(&self) -> Diagnosis {
        let region = "prod-us-south".parse().unwrap();
        diagnose(&Evidence {
            region: &region,
            expected: &region.default_zones(),
            readings: &[],
            checks: &[],
            earlier: &Default::default(),
            listed: &[],
        })
    }

    /// The page that is wanted is opened, or given up, and told of, as the alert's worker would have it.
    pub(super) async fn page_ends(&self, failed: Option<&str>) -> Option<String> {
        let lease = self.context.store.claim_page().await.unwrap().expect("a page that is wanted");
        let page = failed.is_none().then(|| self.pagerduty.open(Opening::new("SE page", Setup::SERVICE_ENDPOINT)));
        let url = page.as_ref().map(|page| page_url(&page.id)).unwrap_or_default();
        let page = page.map(|page| page.id);
        let result = PageResult { page: page.as_deref().map(|id| (id, url.as_str())), joined: false, reason: failed };
        let store = &self.context.store;
        store.finish_page(&lease, &result).await.unwrap();
        store.set_page_told(&lease).await.unwrap();
        store.page_rests(&lease).await.unwrap();
        page
    }

    /// Something is new about the alert.
    pub(super) async fn tell(&self, input: Input) {
        self.context.store.tell_alert(&self.alert, input).await.unwrap();
    }

    async fn claim_any(&self) -> Option<Claimed> {
        match self.context.store.claim_alert().await.unwrap() {
            Some(lease) => Some(Claimed::Alert(lease)),
            None => self.context.store.claim_task().await.unwrap().map(Claimed::Task),
        }
    }

    /// What is due, of an alert beside its runs before the rest.
    pub(super) async fn claim(&self) -> Claimed {
        self.claim_any().await.expect("something is due")
    }

    /// The task that is due.
    pub(super) async fn claim_task(&self) -> Task {
        self.context.store.claim_task().await.unwrap().expect("a task that is due")
    }

    /// Does what is due now, as a worker would; how many that were.
    pub(super) async fn work(&self) -> usize {
        let mut count = 0;
        while let Some(claimed) = self.claim_any().await {
            count += 1;
            self.does(&claimed).await;
        }
        count
    }

    /// Does it once.
    pub(super) async fn does(&self, claimed: &Claimed) {
        match claimed {
            Claimed::Alert(lease) => {
                if let Some(rest) = beside::turn(&self.context, lease).await.unwrap() {
                    rest.keep(&self.context, lease).await.unwrap();
                }
            }
            Claimed::Task(task) => {
                let done = tasks::drive(&self.context, task).await.unwrap();
                tasks::end(&self.context.store, task, &done).await.unwrap();
            }
        }
    }

    /// Works on while this time passes, in these steps.
    pub(super) async fn pass(&self, length: Duration, step: Duration) {
        let until = self.clock.now() + jiff::SignedDuration::try_from(length).unwrap();
        while self.clock.now() < until {
            self.clock.jump(step);
            self.work().await;
        }
    }

    /// Does what is due, up to the kill: its effects are there, nobody knows. Then the claim runs out.
    pub(super) async fn work_and_die(&self) {
        match self.claim().await {
            Claimed::Alert(lease) => drop(beside::turn(&self.context, &lease).await.unwrap()),
            Claimed::Task(task) => drop(tasks::drive(&self.context, &task).await.unwrap()),
        }
        self.clock.jump(store::LEASE + SECOND);
    }

    /// The first lines of the notes that this service wrote on an incident.
    pub(super) fn said_on(&self, incident_id: &str) -> Vec<String> {
        let notes = self.pagerduty.notes_of(incident_id);
        let ours = notes.into_iter().filter(|note| note.user_id == Setup::RESPONDER);
        ours.map(|note| note.content.lines().next().unwrap_or_default().to_owned()).collect()
    }

    /// Those on the alert.
    pub(super) fn said(&self) -> Vec<String> {
        self.said_on(&self.alert)
    }

    pub(super) async fn idle(&self) -> bool {
        self.clock.jump(MINUTE * 60 * 24 * 30);
        self.claim_any().await.is_none()
    }
}

pub(super) fn page_url(id: &str) -> String {
    format!("https://sim.pagerduty.com/incidents/{id}")
}

/// Exactly one of them has these words.
#[track_caller]
pub(super) fn once(said: &[String], words: &str) {
    assert_eq!(said.iter().filter(|line| line.contains(words)).count(), 1, "{words:?} once in {said:#?}");
}
