//! Many alerts on two replicas that are killed, frozen and stopped at random, while every upstream fails at random.
//!
//! `KILL_SOAK=500 cargo test --test kill soak` is as many alerts; without it there are [`BY_DEFAULT`]. `KILL_SEED` repeats
//! the choices of an earlier soak, whose seed was printed; not its times.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use outbound::clock::SystemClock;
use outbound::http::http_client;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use simulators::pagerduty::{Endpoint, Opening, Setup};
use simulators::scenario::Scenario;
use simulators::world::World;
use simulators::{cluster, jenkins, pagerduty};

use crate::enumerate::{asked, say};
use crate::harness::{Signal, quick, settings_on_postgres, showing};
use crate::life::{ask, until_or_say};
use crate::replica::Replica;
use crate::stories::tells_of_page;

/// Alerts of a soak that nobody asked to be longer; and how many blows and faults a soak has for each alert.
const BY_DEFAULT: usize = 15;
const KILLS_PER_ALERT: f64 = 0.25;
/// How long a short soak waits after the last alert before somebody says /escalate for what waits for a page that may open
/// late: eleven minutes and more, which a long one waits.
const IMPATIENT_AFTER: Duration = Duration::from_secs(45);
/// The longest that all may take once the last alert came.
const PATIENCE: Duration = Duration::from_secs(1_200);
const SETTINGS: &[(&str, &str)] = &[
    ("PUBLIC_URL", "http://responder.test"),
    ("ESCALATION_MODE", "auto"),
    ("ESCALATION_MAX_PER_HOUR", "100000"),
    ("TRANSIENT_RERUNS", "1"),
    ("TRANSIENT_WAIT", "100ms"),
    ("JENKINS_POLL", "50ms"),
    ("CLUSTER_CHECK_TIMEOUT", "5s"),
    ("FOLLOW_UP", "12h"),
    ("PAGE_ACK_WAIT", "12h"),
    ("RECONCILE_INTERVAL", "20s"),
    ("SHUTDOWN_GRACE", "3s"),
];

#[derive(Debug, Default)]
struct Counts {
    kills: Cell<u32>,
    freezes: Cell<u32>,
    long_freezes: Cell<u32>,
    stops: Cell<u32>,
    escalated: Cell<u32>,
    pagerduty: Cell<u32>,
    jenkins: Cell<u32>,
    clusters: Cell<u32>,
}

fn one_more(count: &Cell<u32>, by: u32) {
    count.set(count.get() + by);
}

struct Soak {
    world: World,
    replicas: Vec<Replica>,
    thaw_at: RefCell<Vec<Option<Instant>>>,
    random: RefCell<StdRng>,
    counts: Counts,
    /// All alerts are in.
    sent: Cell<bool>,
    over: Cell<bool>,
    /// Somebody asked for more than [`BY_DEFAULT`]: nobody helps.
    is_long: bool,
    http: reqwest::Client,
    alerts: RefCell<Vec<String>>,
}

impl Soak {
    fn upto(&self, most: u32) -> u32 {
        self.random.borrow_mut().random_range(0..most)
    }

    async fn rest(&self, milliseconds: std::ops::Range<u64>) {
        let length = self.random.borrow_mut().random_range(milliseconds);
        tokio::time::sleep(Duration::from_millis(length)).await;
    }

    /// One request to one of them, whichever it is; all that are dead are started again.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
        let urls: Vec<_> = self.replicas.iter().map(Replica::url).collect();
        let url = urls[self.upto(2) as usize].clone()?;
        ask(&self.http, method, &format!("{url}{path}"), body).await
    }

    /// The alerts, each told of by a webhook that is sent until it is accepted.
    async fn alert(&self, count: usize) {
        let regions: Vec<&str> = std::iter::once("prod-us-south").chain(self.world.other_regions()).collect();
        for n in 0..count {
            let title = format!("All SE endpoints down in {}", regions[n % regions.len()]);
            let alert = match n {
                0 => self.world.alert.clone(),
                _ => self.world.pagerduty.open(Opening::new(&title, Setup::REGISTRY)).id,
            };
            self.alerts.borrow_mut().push(alert.clone());
            let body = self.world.pagerduty.webhook_body("incident.triggered", &alert);
            while self.ask("POST", "/webhooks/pagerduty", &body).await.is_none_or(|(status, _)| status != 202) {
                self.rest(20..200).await;
            }
            self.rest(100..1_000).await;
        }
        self.sent.set(true);
    }

    /// Whoever was frozen long enough goes on.
    fn thaw(&self, now: Option<Instant>) {
        for (n, thaw_at) in self.thaw_at.borrow_mut().iter_mut().enumerate() {
            if thaw_at.is_some_and(|at| now.is_none_or(|now| at <= now)) {
                *thaw_at = None;
                self.replicas[n].victim.signal(Signal::CONT);
            }
        }
    }

    /// How many kills are in proportion to the alerts so far.
    fn kills_by_now(&self) -> u32 {
        (self.alerts.borrow().len() as f64 * KILLS_PER_ALERT) as u32
    }

    async fn strike(&self, kills: u32) {
        while !self.sent.get() || self.counts.kills.get() < kills {
            self.rest(500..4_000).await;
            self.thaw(Some(Instant::now()));
            let n = self.upto(2) as usize;
            let victim = &self.replicas[n].victim;
            match self.upto(20) {
                // Frozen or not; no more than in proportion, on a slow machine too.
                0..15 if self.counts.kills.get() <= self.kills_by_now() && victim.kill() => {
                    self.thaw_at.borrow_mut()[n] = None;
                    one_more(&self.counts.kills, 1);
                }
                15..18 if self.thaw_at.borrow().iter().all(Option::is_none) && victim.signal(Signal::STOP) => {
                    let long = self.upto(4) == 0;
                    one_more(if long { &self.counts.long_freezes } else { &self.counts.freezes }, 1);
                    let length = Duration::from_secs(if long { 40 } else { u64::from(self.upto(8)) });
                    self.thaw_at.borrow_mut()[n] = Some(Instant::now() + length);
                }
                18.. if self.thaw_at.borrow()[n].is_none() && self.replicas[n].stop() => {
                    one_more(&self.counts.stops, 1);
                    let asked = Instant::now();
                    while self.replicas[n].is_stopping() {
                        assert!(asked.elapsed() < Duration::from_secs(30), "SIGTERM: {}", self.replicas[n].said());
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                _ => {}
            }
        }
        self.thaw(None);
    }

    /// What goes wrong passes: nothing here is a refusal, after which no note could be written.
    async fn fail(&self) {
        use jenkins::{Fault as J, Place};
        use pagerduty::Fault as P;
        const CALLS: [Endpoint; 9] = [
            Endpoint::Incidents,
            Endpoint::Incident,
            Endpoint::CreateIncident,
            Endpoint::Notes,
            Endpoint::AddNote,
            Endpoint::EditNote,
            Endpoint::Services,
            Endpoint::AddNote,
            Endpoint::CreateIncident,
        ];
        const PLACES: [Place; 6] = [Place::Start, Place::Item, Place::Queue, Place::Job, Place::Build, Place::Log];
        while !self.sent.get() {
            self.rest(300..2_000).await;
            // A 429 is a promise that nothing was done.
            let faults =
                [P::Status(500), P::Status(503), P::Reset, P::HalfAnswer, P::Html, P::Hang, P::RateLimited(Some(1))];
            let call = CALLS[self.upto(9) as usize];
            match self.upto(2) {
                0 => self.world.pagerduty.fail(call, faults[self.upto(7) as usize].clone(), 1),
                _ => self.world.pagerduty.fail_once_done(call, faults[self.upto(6) as usize].clone(), 1),
            }
            one_more(&self.counts.pagerduty, 1);
            let faults = [
                J::InternalError,
                J::Unavailable(Duration::from_secs(1)),
                J::SignInPage,
                J::Reset,
                J::LostAnswer,
                J::DoneThenUnavailable,
                J::HalfAnswer,
            ];
            self.world.jenkins.fault(PLACES[self.upto(6) as usize], faults[self.upto(7) as usize], 1);
            one_more(&self.counts.jenkins, 1);
            use cluster::Fault as C;
            let faults = [
                C::TooManyRequests(Some(1)),
                C::WrongJson,
                C::HalfAnswer,
                C::Reset,
                C::Silent,
                C::InternalError,
                C::HtmlError,
            ];
            let (cluster, fault) = (&self.world.clusters[self.upto(9) as usize], faults[self.upto(7) as usize]);
            let before = cluster.requests().len();
            cluster.change(|plan| plan.fault = Some(fault));
            self.rest(100..1_500).await;
            // Few alerts ask seldom: one fault is met at least.
            while self.counts.clusters.get() == 0 && cluster.requests().len() == before && !self.sent.get() {
                self.rest(200..400).await;
            }
            cluster.change(|plan| plan.fault = None);
            one_more(&self.counts.clusters, (cluster.requests().len() - before) as u32);
        }
    }

    /// Somebody solves what is paged, so that the next alert of the region has a page of its own.
    async fn solve(&self) {
        while !self.over.get() {
            self.rest(2_000..4_000).await;
            for page in self.world.pagerduty.pages() {
                if page.state != pagerduty::State::Resolved {
                    self.world.pagerduty.resolve(&page.id, None);
                }
            }
        }
    }

    /// The runs that have not ended; `None` where nobody says.
    async fn active(&self) -> Option<Vec<Value>> {
        let mut active = Vec::new();
        for state in ["queued", "suppressed", "running"] {
            let (_, listed) = self.ask("GET", &format!("/api/runs?state={state}&limit=200"), "").await?;
            active.extend(listed["runs"].as_array()?.iter().cloned());
        }
        Some(active)
    }

    /// Somebody pages for what waits; whether each was answered.
    async fn escalate(&self, active: &[Value]) -> bool {
        let mut all = true;
        for run in active.iter().filter(|run| run["escalation"]["state"] == "requested") {
            let alert = run["incident"]["id"].as_str().expect("an alert");
            let body = serde_json::json!({ "incident_id": alert }).to_string();
            let answer = self.ask("POST", "/escalate", &body).await;
            say(&format!("soak: /escalate for {alert}: {answer:?}"));
            match answer {
                Some((202, _)) => one_more(&self.counts.escalated, 1),
                // It was paged meanwhile.
                Some((409, _)) => {}
                _ => all = false,
            }
        }
        all
    }

    async fn watch(&self) {
        let (mut told, mut sent) = (Instant::now(), None);
        let mut has_escalated = self.is_long;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let listed = self.active().await;
            let active = listed.as_ref().map(Vec::len);
            if self.sent.get() {
                let since = *sent.get_or_insert_with(Instant::now);
                if let Some(listed) = listed.filter(|_| !has_escalated && since.elapsed() > IMPATIENT_AFTER) {
                    has_escalated = self.escalate(&listed).await;
                }
                let logs = || self.replicas.iter().map(Replica::said).collect::<String>();
                assert!(since.elapsed() < PATIENCE, "{active:?} runs do not end:\n{}", logs());
                if active == Some(0) {
                    break;
                }
            }
            if told.elapsed() > Duration::from_secs(30) {
                told = Instant::now();
                let (alerts, kills) = (self.alerts.borrow().len(), self.counts.kills.get());
                say(&format!("soak: {alerts} alerts, {kills} kills, {active:?} runs are active"));
            }
        }
        self.over.set(true);
    }

    /// What all came to.
    async fn check(&self) -> BTreeMap<String, u32> {
        let mut ends = BTreeMap::<String, u32>::new();
        let pages = self.world.pagerduty.pages();
        for alert in &self.alerts.take() {
            let runs = loop {
                let answer = self.ask("GET", &format!("/api/runs?incident_id={alert}"), "").await;
                if let Some((200, answer)) = answer {
                    break answer["runs"].as_array().expect("runs").clone();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            let notes = self.world.pagerduty.notes_of(alert);
            let all = || {
                let id = runs[0]["id"].as_str().unwrap_or_default();
                let said = self.replicas.iter().map(Replica::said).collect::<String>();
                let said: Vec<_> = said.lines().filter(|line| line.contains(id) || line.contains(alert)).collect();
                format!("{alert}: {notes:#?}\n{runs:#?}\n{}", said.join("\n"))
            };
            assert_eq!(runs.len(), 1, "one run: {}", all());
            assert_eq!(runs[0]["state"], "done", "{}", all());
            let last = format!("run {}", runs[0]["id"].as_str().expect("an id"));
            let diagnosis = |content: &str| content.lines().any(|line| line.starts_with("run "));
            let of_the_run = notes.iter().filter(|note| note.content.lines().next_back() == Some(&last)).count();
            let diagnoses = notes.iter().filter(|note| diagnosis(&note.content)).count();
            assert_eq!((of_the_run, diagnoses), (1, 1), "exactly one diagnosis note: {}", all());
            let early = notes.iter().filter(|note| note.content.starts_with("Still diagnosing ")).count();
            assert!(early <= 1, "one early word: {}", all());
            if runs[0]["escalation"]["state"] == "paged" {
                // It is told of after the run has ended, once PagerDuty takes the edit.
                let told = async || tells_of_page(&self.world.pagerduty.notes_of(alert), &runs[0]).then_some(());
                until_or_say("the note to tell of the page", told, all).await;
            }
            let key = format!("se-responder/{alert}");
            let own = pages.iter().filter(|page| page.incident_key.as_ref() == Some(&key)).count();
            assert!(own <= 1, "at most one page: {}", all());
            let (kind, page) = (&runs[0]["diagnosis"]["verdict"]["kind"], &runs[0]["escalation"]["state"]);
            let end = format!("{}, {}", kind.as_str().unwrap_or("none"), page.as_str().unwrap_or("none"));
            *ends.entry(if own == 1 { end + " on its own" } else { end }).or_default() += 1;
        }
        ends
    }
}

#[tokio::test]
async fn every_alert_ends_with_one_note_and_one_page_at_most_whatever_dies_and_fails() {
    let count: usize = asked("KILL_SOAK").unwrap_or(BY_DEFAULT);
    let seed: u64 = asked("KILL_SEED").unwrap_or_else(rand::random);
    say(&format!("soak: {count} alerts, KILL_SEED={seed}"));
    let scenario = Scenario {
        builds: |asked| showing(asked, 0, 1, Duration::from_millis(300)),
        other_regions: &["prod-eu-gb", "prod-eu-de"],
        lag: Duration::from_secs(1),
        ..*quick()
    };
    let world = World::start(Box::leak(Box::new(scenario)), SystemClock::shared()).await.expect("a world");
    let settings = settings_on_postgres(&world, SETTINGS);
    let folder = world.path("");
    let soak = Soak {
        replicas: ["a", "b"].iter().map(|name| Replica::new(name, &folder, &settings)).collect(),
        thaw_at: RefCell::new(vec![None, None]),
        random: RefCell::new(StdRng::seed_from_u64(seed)),
        counts: Counts::default(),
        sent: Cell::default(),
        over: Cell::default(),
        is_long: count > BY_DEFAULT,
        http: http_client().expect("a client"),
        alerts: RefCell::default(),
        world,
    };
    let (began, kills) = (Instant::now(), (count as f64 * KILLS_PER_ALERT) as u32);
    tokio::join!(soak.alert(count), soak.strike(kills), soak.fail(), soak.solve(), soak.watch());
    let ends = soak.check().await;
    let faults = [
        ("PagerDuty", soak.counts.pagerduty.get() - soak.world.pagerduty.faults_to_come()),
        ("Jenkins", soak.counts.jenkins.get() - soak.world.jenkins.faults_to_come()),
        ("clusters", soak.counts.clusters.get()),
    ];
    say(&format!(
        "soak, seed {seed}: {count} alerts on two replicas, {:.0} s; {:?}; faults met: {faults:?}; ends: {ends:?}",
        began.elapsed().as_secs_f64(),
        soak.counts
    ));
    assert!(soak.counts.kills.get() >= kills.max(1));
    let faults_at_least = u32::try_from(count / 10).unwrap_or(u32::MAX).max(1);
    assert!(faults.iter().all(|(_, met)| *met >= faults_at_least), "{faults:?}");
}
