//! From webhooks to notes, in time and in requests: `cargo bench --bench alerts [-- NAME…]`.
//!
//! The real program runs in a process of its own; PagerDuty and Jenkins are simulated here, and each of their requests is
//! on its way for a while. Times are shown as ratios to the least that the questions and the build take: a look at what is
//! open, the start of the build, the build, and a look at what is open once more. A note counts when it reaches PagerDuty.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::try_join_all;
use jiff::Timestamp;
use outbound::clock::{Clock, SystemClock};
use outbound::http::http_client;
use runbook::span::between;
use simulators::jenkins::{Asked, BuildPlan};
use simulators::pagerduty::{Opening, Setup};
use simulators::scenario::Scenario;
use simulators::world::World;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(150);
/// Each time that is a ratio is measured so often; the median counts.
const ROUNDS: usize = 5;
const ALERT: &str = "All SE endpoints down in prod-us-south";
const BIGGER: &str = "All Public endpoints down in prod-us-south";

/// One measurement.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// How long each request is on its way.
    latency: Duration,
    build: Build,
    alerts: usize,
    /// Open incidents beside the alerts.
    others: usize,
    /// A bigger outage is open: a short note says so.
    suppressed: bool,
    settings: &'static [(&'static str, &'static str)],
}

/// What each build shows, and how long it takes.
#[derive(Clone, Copy)]
enum Build {
    Accepting3000,
    Accepting3500,
    Rejecting500,
}

/// What was seen of it.
struct Seen {
    /// From the first webhook to the first and to the last note.
    first: Duration,
    last: Duration,
    pagerduty: usize,
    jenkins: usize,
    builds: usize,
    /// The most memory that the service had, in MiB; 0 where the system does not tell.
    memory: u64,
}

const CASES: &[Case] = &[
    Case { name: "note-50ms", ..ONE },
    Case { name: "note-200ms", latency: Duration::from_millis(200), build: Build::Accepting3000, ..ONE },
    Case { name: "suppressed-200ms", latency: Duration::from_millis(200), suppressed: true, ..ONE },
    Case { name: "page", build: Build::Rejecting500, settings: PAGES, ..ONE },
    Case { name: "alerts-50", alerts: 50, ..ONE },
    Case { name: "alerts-200", alerts: 200, ..ONE },
    Case { name: "others-1000", alerts: 50, others: 1000, ..ONE },
    Case { name: "others-9000", alerts: 50, others: 9000, ..ONE },
];

const ONE: Case = Case {
    name: "",
    latency: Duration::from_millis(50),
    build: Build::Accepting3500,
    alerts: 1,
    others: 0,
    suppressed: false,
    settings: &[],
};

const PAGES: &[(&str, &str)] =
    &[("ESCALATION_MODE", "auto"), ("TRANSIENT_RERUNS", "1"), ("TRANSIENT_WAIT", "1ms"), ("PAGE_ACK_WAIT", "1h")];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // cargo gives `--bench`; `cargo test --benches` does not, and wants no minutes of work.
    if !arguments.iter().any(|a| a == "--bench") {
        return Ok(());
    }
    let names: Vec<&str> = arguments.iter().map(String::as_str).filter(|a| !a.starts_with('-')).collect();
    println!(
        "{:<18} {:>9} {:>9} {:>7} {:>18} {:>8} {:>7} {:>9}",
        "case", "first", "last", "ratio", "PagerDuty an alert", "Jenkins", "builds", "MiB"
    );
    for case in CASES.iter().filter(|case| names.is_empty() || names.contains(&case.name)) {
        case.show().await.with_context(|| format!("the case {}", case.name))?;
    }
    Ok(())
}

impl Case {
    async fn show(&self) -> anyhow::Result<()> {
        let rounds = if self.alerts == 1 && self.settings.is_empty() { ROUNDS } else { 1 };
        let mut seen = Vec::new();
        for _ in 0..rounds {
            seen.push(self.measure(SystemClock::shared()).await?);
        }
        seen.sort_by_key(|seen| seen.last);
        let Seen { first, last, pagerduty, jenkins, builds, memory } = seen.swap_remove(rounds / 2);
        let least = if self.suppressed { self.latency } else { self.latency * 3 + self.build.time() };
        println!(
            "{:<18} {:>6} ms {:>6} ms {:>7.2} {:>18.2} {:>8} {:>7} {:>9}",
            self.name,
            first.as_millis(),
            last.as_millis(),
            last.as_secs_f64() / least.as_secs_f64(),
            ratio(pagerduty, self.alerts),
            jenkins,
            builds,
            memory
        );
        Ok(())
    }

    async fn measure(&self, clock: Clock) -> anyhow::Result<Seen> {
        let base = Scenario::named("service-endpoint").context("no such scenario")?;
        let scenario = Scenario { builds: self.build.plan(), incidents: |_| {}, settings: &[], ..*base };
        let world = World::start(Box::leak(Box::new(scenario)), clock.clone()).await?;
        let mut alerts = vec![world.alert.clone()];
        for n in 0..self.others {
            let title = format!("disk of host-{n:05} in rack {} is filling up", n % 40);
            world.pagerduty.open(Opening::new(&title, Setup::REGISTRY));
        }
        alerts.extend((1..self.alerts).map(|_| world.pagerduty.open(Opening::new(ALERT, Setup::REGISTRY)).id));
        if self.suppressed {
            world.pagerduty.open(Opening::new(BIGGER, Setup::REGISTRY));
        }
        let service = Service::start(&world, self.settings, &clock).await?;
        world.pagerduty.set_latency(self.latency);
        world.jenkins.set_latency(self.latency);
        world.pagerduty.forget_requests();
        let asked_before = world.jenkins.requests().len();

        let sent = clock.now();
        let send = |id: &String| world.send_body(&service.url, world.pagerduty.webhook_body("incident.triggered", id));
        for (status, answer) in try_join_all(alerts.iter().map(send)).await? {
            if status != 202 {
                bail!("a webhook was answered {status}: {answer}");
            }
        }
        let mut written = Vec::new();
        for id in &alerts {
            written.push(self.note(&world, id, sent, &clock).await?);
        }
        if !self.settings.is_empty() {
            self.until_paged(&world, sent, &clock).await?;
        }
        let time = |at: Option<&Timestamp>| at.map_or(Duration::ZERO, |at| between(sent, *at));
        Ok(Seen {
            first: time(written.iter().min()),
            last: time(written.iter().max()),
            pagerduty: world.pagerduty.requests().len(),
            jenkins: world.jenkins.requests().len() - asked_before,
            builds: world.jenkins.started().len(),
            memory: service.memory(),
        })
    }

    /// When the note of an alert reached PagerDuty.
    async fn note(&self, world: &World, id: &str, sent: Timestamp, clock: &Clock) -> anyhow::Result<Timestamp> {
        let is_it = |content: &str| {
            let is_diagnosis = content.lines().next_back().is_some_and(|line| line.starts_with("run "));
            self.suppressed || is_diagnosis
        };
        loop {
            if let Some(note) = world.pagerduty.notes_of(id).into_iter().find(|note| is_it(&note.content)) {
                return Ok(note.created_at.checked_sub(jiff::SignedDuration::try_from(self.latency)?)?);
            }
            if between(sent, clock.now()) > PATIENCE {
                bail!("{id} has no note after {PATIENCE:?}");
            }
            clock.sleep(Duration::from_millis(10)).await;
        }
    }

    /// Until the note says that the team is paged: nothing more is asked then for a while.
    async fn until_paged(&self, world: &World, sent: Timestamp, clock: &Clock) -> anyhow::Result<()> {
        let says_so = |content: &str| content.lines().nth(2).is_some_and(|line| line.starts_with("Paged:"));
        while !world.pagerduty.notes_of(&world.alert).iter().any(|note| says_so(&note.content)) {
            if between(sent, clock.now()) > PATIENCE {
                bail!("no note says that anybody is paged: {:#?}", world.pagerduty.notes_of(&world.alert));
            }
            clock.sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Build {
    fn time(self) -> Duration {
        Duration::from_millis(match self {
            Self::Accepting3000 => 3000,
            Self::Accepting3500 => 3500,
            Self::Rejecting500 => 500,
        })
    }

    fn plan(self) -> fn(&Asked) -> BuildPlan {
        match self {
            Self::Accepting3000 => |_| showing(1, Self::Accepting3000.time()),
            Self::Accepting3500 => |_| showing(1, Self::Accepting3500.time()),
            Self::Rejecting500 => |_| showing(0, Self::Rejecting500.time()),
        }
    }
}

fn showing(se: i32, time: Duration) -> BuildPlan {
    let zones = [1, 2, 3].map(|n| format!("registry-prod-us-south-az{n}"));
    BuildPlan::showing(&zones.each_ref().map(|zone| (zone.as_str(), 1, se, 1)), time)
}

/// The program, serving; killed when this is dropped.
struct Service {
    url: String,
    child: Child,
}

impl Service {
    async fn start(world: &World, settings: &[(&str, &str)], clock: &Clock) -> anyhow::Result<Self> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let own = [("LISTEN_ADDR", address.as_str()), ("JENKINS_POLL", "1s"), ("RECONCILE_INTERVAL", "0s")];
        let mut command = Command::new(env!("CARGO_BIN_EXE_se-responder"));
        command.arg("serve").env_clear().envs(world.settings());
        command.envs(own.iter().chain(settings).map(owned)).env("CANARY_INTERVAL", "0s").env("RUST_LOG", "error");
        let child = command.current_dir(std::env::temp_dir()).stdout(Stdio::null()).spawn()?;
        let service = Self { url: format!("http://{address}"), child };
        let (http, began) = (http_client()?, clock.now());
        while http.get(format!("{}/readyz", service.url)).send().await.is_err() {
            if between(began, clock.now()) > PATIENCE {
                bail!("the service does not answer");
            }
            clock.sleep(Duration::from_millis(20)).await;
        }
        Ok(service)
    }

    /// The most memory that it had, in MiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default() / 1024
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
fn ratio(requests: usize, alerts: usize) -> f64 {
    requests as f64 / alerts as f64
}
