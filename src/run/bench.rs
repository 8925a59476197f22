//! What the tests of steps stand on: a store on disk, a simulated PagerDuty, and a clock that every wait moves on.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::config::{Config, Environment};
use crate::run::context::Context;
use jenkins::Jenkins;
use outbound::clock::Source;
use outbound::permit::Permit;
use pagerduty::PagerDutySettings;
use runbook::diagnosis::verdict::diagnose;
use runbook::diagnosis::{Checks, Console, Diagnosis, Earlier, Evidence, Finding, MagicBox, Reading};
use runbook::life::{Reply, Why};
use runbook::run::{AlertIncident, EscalationState, Facts, Trigger};
use simulators::clock::ManualClock;
use simulators::pagerduty::{Opening, PagerDuty, Setup};
use simulators::tap::Tap;
use store::{Created, Lease, NewRun, Store};

pub(crate) const NOW: &str = "2026-08-20T03:00:00Z";
pub(crate) const REGION: &str = "prod-us-south";

const REGIONS_FILE: &str = "
[[regions]]
name = \"prod-us-south\"
[[regions.zones]]
cluster = \"registry-prod-us-south-az1\"
[[regions.zones]]
cluster = \"registry-prod-us-south-az2\"
";

/// How a simulated account is reached.
pub(crate) fn settings(account: &PagerDuty) -> PagerDutySettings {
    PagerDutySettings {
        api_url: account.api_url(),
        token: account.token().as_str().into(),
        from: Setup::FROM.to_owned(),
    }
}

pub(crate) struct Bench {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) account: PagerDuty,
    pub(crate) context: Context,
    /// Watches what PagerDuty sees.
    pub(crate) tap: Tap,
    /// An open alert.
    pub(crate) alert: String,
    _folder: TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With these settings beside `ESCALATION_MODE=auto` and a regions file.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let clock = ManualClock::hurried(NOW.parse().unwrap());
        let setup = Setup::new(clock.clone());
        let tap = setup.tap.clone();
        let account = PagerDuty::start(setup).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let regions = folder.path().join("regions.toml");
        std::fs::write(&regions, REGIONS_FILE).unwrap();
        let mut all = vec![
            ("DATABASE_URL", format!("sqlite://{}", folder.path().join("db").display())),
            ("REGIONS_FILE", regions.display().to_string()),
            ("ESCALATION_MODE", "auto".to_owned()),
            ("PAGERDUTY_WEBHOOK_SECRETS", "s".to_owned()),
            ("PAGERDUTY_API_URL", account.api_url.clone()),
            ("PAGERDUTY_EVENTS_URL", account.api_url.clone()),
            ("PAGERDUTY_API_TOKEN", account.token()),
            ("PAGERDUTY_FROM", Setup::FROM.to_owned()),
            ("JENKINS_JOB_URL", "http://127.0.0.1:9/job/ServiceEndpointStatus/".to_owned()),
            ("JENKINS_USER", "u".to_owned()),
            ("JENKINS_API_TOKEN", "t".to_owned()),
        ];
        all.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let config = Config::load(&Environment::of(all)).unwrap();
        let store = Store::open(&config.database_url.reveal().unwrap(), clock.clone()).await.unwrap();
        let mut context = Context::new(Arc::new(config), store, clock.clone()).unwrap();
        context.read_lag = Duration::from_secs(3);
        context.permit = Permit::needless("a test of steps");
        context.pagerduty = context.pagerduty.with_patience(Duration::from_secs(20));
        let jenkins = Jenkins::new(context.config.jenkins.clone(), clock.clone()).unwrap();
        context.jenkins = Arc::new(jenkins);
        let alert = account.open(Opening::new(&format!("All SE endpoints down in {REGION}"), Setup::REGISTRY)).id;
        account.forget_requests();
        Self { clock, account, context, tap, alert, _folder: folder }
    }

    /// Where something `hangs`, that is not waited for long: it is by the real clock. All else has time to answer.
    pub(crate) fn where_it(mut self, hangs: bool) -> Self {
        if hangs {
            self.context.pagerduty = self.context.pagerduty.with_patience(Duration::from_millis(200));
        }
        self
    }

    /// The alert's run, claimed.
    pub(crate) async fn run(&self) -> Lease {
        self.run_of(&self.alert).await
    }

    pub(crate) async fn run_of(&self, incident_id: &str) -> Lease {
        let id = self.queued(incident_id).await;
        let lease = self.context.store.claim_run().await.unwrap().unwrap();
        assert_eq!(lease.run_id(), id);
        lease
    }

    /// A run of this incident, not claimed yet.
    pub(crate) async fn queued(&self, incident_id: &str) -> String {
        let incident = AlertIncident {
            id: incident_id.to_owned(),
            number: 1,
            title: format!("All SE endpoints down in {REGION}"),
            html_url: format!("https://sim.pagerduty.com/incidents/{incident_id}"),
        };
        let mut run = NewRun {
            incident: Some(incident),
            region: REGION.parse().unwrap(),
            trigger: Trigger::Webhook,
            reopened: false,
            alert_at: Some(self.clock.now()),
        };
        loop {
            match self.context.store.create_run(&run, None).await.unwrap() {
                Created::Now(Reply::Started(id)) => return id,
                // It has had one: a person asks for another.
                Created::Now(Reply::Ignored(Why::HadRun(_))) => run.trigger = Trigger::Rerun,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Gives the run this diagnosis, as of now.
    pub(crate) async fn diagnosed(&self, lease: &Lease, diagnosis: &Diagnosis) {
        let now = Some(self.clock.now());
        let facts = Facts { alert_opened_at: now, alert_triggered_at: now, related_at: now, ..Facts::default() };
        self.context.store.set_facts(lease, None, &facts, &[]).await.unwrap();
        self.context.store.set_diagnosis(lease, diagnosis, (EscalationState::Requested, None), &[]).await.unwrap();
    }

    /// How many requests of this method were made to a path with this end.
    pub(crate) fn asked(&self, method: &str, end: &str) -> usize {
        self.account.requests().iter().filter(|r| r.method == method && r.path.ends_with(end)).count()
    }
}

/// `service_endpoint`: two zones, both `0:1` twice, both healthy.
pub(crate) fn service_endpoint(at: Timestamp) -> Diagnosis {
    let region = REGION.parse().unwrap();
    let expected = ["az1", "az2"].map(|zone| runbook::alert::Zone::new(format!("registry-{REGION}-{zone}")));
    let boxes = expected.each_ref().map(|zone| MagicBox {
        name: format!("{zone}-1"),
        magic_box_id: format!("us-south-dal10-{zone}-1-vm-d4533b5e"),
        node: "Ready".into(),
        backend_ip: "10.94.143.238".into(),
        frontend: "166.9.12.114/23".into(),
        se_status: 0,
        upstream_status: 1,
    });
    let console = Console { boxes: boxes.into(), ..Console::default() };
    let reading = Reading { build_url: None, at, console, warnings: Vec::new(), set_aside: Vec::new() };
    let checks = |finding| Checks {
        finding,
        konicle: None,
        ingress: Vec::new(),
        status: None,
        konicle_pods: Vec::new(),
        registry_pages: Vec::new(),
        warnings: Vec::new(),
        error: None,
        at,
        context: None,
    };
    let checks = expected.clone().map(|zone| (zone, checks(Finding::Healthy)));
    let readings = [reading.clone(), reading];
    diagnose(&Evidence {
        region: &region,
        expected: &expected,
        readings: &readings,
        checks: &checks,
        earlier: &Earlier::default(),
        listed: &[],
    })
}
