//! A year of the past: sixty alerts of which it is known what was the matter, in a simulated PagerDuty, with the consoles that
//! people kept and the builds that Jenkins still has. For `backtest`, its tests and its demo.
//!
//! [`table`] says what happened and what must come of it; here it happens, on a clock that is moved from one event to the next.

mod table;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use outbound::clock::Source as _;
use tempfile::TempDir;

use super::clock::HandClock;
use super::jenkins::{self, BuildPlan, Jenkins, console_for};
use super::pagerduty::{self, Opening, PagerDuty};
use runbook::backtest::{Judgement, Outcome, Truth};
use runbook::span::between;

use table::{Page, Past};

/// When the year begins.
pub const SINCE: &str = "2025-01-01T00:00:00Z";
/// When it ends.
pub const UNTIL: &str = "2026-01-01T00:00:00Z";
/// Regions that the regions file lists, each with three zones.
pub const REGIONS: [&str; 4] = ["prod-us-south", "prod-eu-de", "prod-jp-tok", "prod-au-syd"];

/// A simulated year, over; its upstreams are up until this is dropped.
#[derive(Debug)]
pub struct Year {
    /// PagerDuty, as it is at the year's end.
    pub pagerduty: PagerDuty,
    /// Jenkins, the same.
    pub jenkins: Jenkins,
    /// What must come of each alert, oldest first.
    pub expected: Vec<Expected>,
    folder: TempDir,
}

/// What must come of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its incident.
    pub incident_id: String,
    /// When it was triggered.
    pub at: Timestamp,
    /// Its region.
    pub region: &'static str,
    /// What `auto` would have done.
    pub outcome: Outcome,
    /// What was the matter.
    pub truth: Truth,
    /// Whether that was right.
    pub judgement: Judgement,
}

/// Something that happens at its time; the second orders what happens at once.
struct Event {
    at: Timestamp,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// The n-th alert opens.
    Alert(usize),
    /// It resolves.
    Over(usize),
    /// It is merged into the one before it.
    Merged(usize),
    /// The n-th page of the n-th alert opens.
    Page(usize, usize),
    /// It resolves.
    PageOver(usize, usize),
}

impl Year {
    /// Has the year happen.
    ///
    /// # Errors
    /// A socket, a certificate or a file can't be made.
    ///
    /// # Panics
    /// Never: the year's times are our own.
    pub async fn begin() -> io::Result<Self> {
        let clock = HandClock::at("2024-12-01T00:00:00Z");
        let mut setup = pagerduty::Setup::new(clock.clone());
        setup.rate_limit = u32::MAX;
        let pagerduty = PagerDuty::start(setup).await.map_err(io::Error::other)?;
        // Its times are read by its clock, which is that of today.
        let jenkins = Jenkins::start(jenkins::Setup::default()).await?;
        let folder = tempfile::Builder::new().prefix("se-responder-").tempdir()?;
        std::fs::create_dir(folder.path().join("consoles"))?;
        let mut year = Self { pagerduty, jenkins, expected: Vec::new(), folder };
        let alerts = table::alerts();
        let times = table::times(&alerts);
        let ids = year.happen(&clock, &alerts, &times);
        year.keep_consoles(&alerts, &times)?;
        year.write_labels(&alerts, &ids)?;
        std::fs::write(year.path("regions.toml"), regions_file())?;
        for ((past, at), incident_id) in alerts.into_iter().zip(times).zip(ids) {
            let Past { region, outcome, truth, judgement, .. } = past;
            year.expected.push(Expected { incident_id, at, region, outcome, truth, judgement });
        }
        year.expected.sort_by(|a, b| (a.at, &a.incident_id).cmp(&(b.at, &b.incident_id)));
        Ok(year)
    }

    /// Everything that happens in PagerDuty, in order; gives the alerts' ids.
    fn happen(&self, clock: &Arc<HandClock>, alerts: &[Past], times: &[Timestamp]) -> Vec<String> {
        let mut events = Vec::new();
        for (n, (past, at)) in alerts.iter().zip(times).enumerate() {
            let after = |minutes: i64| *at + SignedDuration::from_mins(minutes);
            events.push(Event { at: *at, what: What::Alert(n) });
            for (m, page) in past.pages.iter().enumerate() {
                events.push(Event { at: after(page.opened), what: What::Page(n, m) });
                events.push(Event { at: after(page.closed), what: What::PageOver(n, m) });
            }
            let end = if past.merged { What::Merged(n) } else { What::Over(n) };
            events.push(Event { at: after(past.lasted), what: end });
        }
        events.sort_by_key(|event| event.at);
        let (mut ids, mut pages) = (vec![String::new(); alerts.len()], std::collections::HashMap::new());
        for Event { at, what } in events {
            clock.pass(between(clock.now(), at));
            match what {
                What::Alert(n) => {
                    let title = alerts[n].title.map_or_else(
                        || format!("All SE endpoints down in {}", alerts[n].region),
                        |title| title.replace("{region}", alerts[n].region),
                    );
                    ids[n] = self.pagerduty.open(Opening::new(&title, pagerduty::Setup::REGISTRY)).id;
                    self.pagerduty.acknowledge(&ids[n], pagerduty::Setup::ENGINEER);
                }
                What::Over(n) => self.pagerduty.resolve(&ids[n], None),
                What::Merged(n) => self.pagerduty.merge(&ids[n], &ids[n - 1], Some(pagerduty::Setup::ENGINEER)),
                What::Page(n, m) => {
                    let id = self.open_page(alerts[n].region, &alerts[n].pages[m], &ids[n]);
                    pages.insert((n, m), id);
                }
                What::PageOver(n, m) => {
                    if let Some(id) = pages.get(&(n, m)) {
                        self.pagerduty.resolve(id, None);
                    }
                }
            }
        }
        let end: Timestamp = UNTIL.parse().unwrap_or_default();
        clock.pass(between(clock.now(), end) + Duration::from_secs(86_400));
        ids
    }

    fn open_page(&self, region: &str, page: &Page, alert: &str) -> String {
        let service = if page.of_registry { pagerduty::Setup::REGISTRY } else { pagerduty::Setup::SERVICE_ENDPOINT };
        let mut opening = Opening::new(&page.title.replace("{region}", region), service);
        opening.by = page.by_a_person.then(|| pagerduty::Setup::ENGINEER.to_owned());
        opening.incident_key = page.ours.then(|| format!("se-responder/{alert}"));
        self.pagerduty.open(opening).id
    }

    /// The consoles that people kept, and the builds that only Jenkins has.
    fn keep_consoles(&self, alerts: &[Past], times: &[Timestamp]) -> io::Result<()> {
        for (past, at) in alerts.iter().zip(times) {
            for seen in &past.consoles {
                let region = seen.region.unwrap_or(past.region);
                let zones: Vec<String> = (1..=3).map(|n| format!("registry-{region}-az{n}")).collect();
                let boxes: Vec<_> =
                    zones.iter().zip(seen.boxes).map(|(zone, (se, up))| (zone.as_str(), 1, se, up)).collect();
                let at = *at + SignedDuration::from_mins(seen.after);
                if seen.only_in_jenkins {
                    self.jenkins.built(at, &zones[0], BuildPlan::showing(&boxes, Duration::from_secs(20)));
                    continue;
                }
                let time = at.strftime(if seen.misnamed { "%Y-%m-%d %H.%M" } else { "%Y%m%dT%H%M%SZ" });
                let name = format!("consoles/{time}-{}.txt", zones[0]);
                std::fs::write(self.path(&name), console_for(&boxes).join("\r\n"))?;
            }
        }
        Ok(())
    }

    /// What people remember of it, as a spreadsheet saves it.
    fn write_labels(&self, alerts: &[Past], ids: &[String]) -> io::Result<()> {
        let mut labels = "\u{feff}incident_id,truth,who\r\n".to_owned();
        for (past, id) in alerts.iter().zip(ids) {
            if past.labelled {
                labels.push_str(&format!("{id},\"{}\",\"Greenholt, Earline\"\r\n", past.truth));
            }
        }
        std::fs::write(self.path("labels.csv"), labels)
    }

    /// A file in the year's folder, which goes with it: `consoles`, `labels.csv`, `regions.toml`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The settings by which `backtest` finds the year.
    pub fn settings(&self) -> Vec<(String, String)> {
        let (user, token) = self.jenkins.credentials();
        let path = |name: &str| self.path(name).display().to_string();
        [
            ("DATABASE_URL", format!("sqlite://{}", path("se-responder.db"))),
            ("REGIONS_FILE", path("regions.toml")),
            ("PAGERDUTY_API_URL", self.pagerduty.api_url().to_string()),
            ("PAGERDUTY_API_TOKEN", self.pagerduty.token()),
            ("PAGERDUTY_FROM", pagerduty::Setup::FROM.to_owned()),
            ("JENKINS_JOB_URL", self.jenkins.view_url()),
            ("JENKINS_USER", user),
            ("JENKINS_API_TOKEN", token),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

fn regions_file() -> String {
    let zones = |region: &str| -> String {
        (1..=3).map(|n| format!("[[regions.zones]]\ncluster = \"registry-{region}-az{n}\"\n")).collect()
    };
    REGIONS.iter().map(|region| format!("[[regions]]\nname = \"{region}\"\n{}", zones(region))).collect()
}
