//! What Jenkins would have said: consoles that people kept, else what this service has seen, else the builds that Jenkins still
//! has.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;

use super::journal::{Build, Entry, Journal};
use super::past::{GOES_ON, Past};
use crate::config::{BacktestConfig, Problems};
use jenkins::Jenkins;
use outbound::clock::Clock;
use runbook::alert::{Zone, is_default_zone};
use runbook::backtest::{Alert, console_name};
use runbook::decided::{Decided, Told};
use runbook::diagnosis::client::Look;
use runbook::diagnosis::verdict::is_complete;
use runbook::diagnosis::{Checks, Reading, console};
use runbook::span::after;
use store::{Of, OwnedSight, Store};

/// Consoles count from the alert to so long after it.
const WINDOW: Duration = Duration::from_secs(30 * 60);
/// How many decisions of a run are read at once.
const DECISIONS: i64 = 500;
/// How much of a console is read at once.
const PIECE: usize = 64 * 1024;

/// What was seen of an alert in one go: a diagnosis is made of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// The first reading and its re-runs, in order.
    pub(super) readings: Vec<Reading>,
    /// What clusters said.
    pub(super) checks: Vec<(Zone, Checks)>,
    /// What was seen of the client of the end-to-end test.
    pub(super) looks: Vec<Look>,
    /// What the page gate was told then, where the record has it.
    pub(super) told: Option<Box<Told>>,
}

impl Seen {
    /// Readings that nothing else is known beside.
    fn of(readings: Vec<Reading>) -> Option<Self> {
        (!readings.is_empty()).then(|| Self { readings, ..Self::default() })
    }
}

/// Where evidence comes from.
#[derive(Debug)]
pub(super) struct Sources {
    /// Kept consoles: when, of which cluster, and the file.
    consoles: Vec<(Timestamp, Zone, PathBuf)>,
    /// How many files of the folder are named in another form.
    misnamed: usize,
    jenkins: Option<Jenkins>,
    clock: Clock,
}

impl Sources {
    /// Looks into the folder of consoles; asks nobody yet.
    pub(super) fn new(config: &BacktestConfig, consoles: Option<&Path>, clock: &Clock) -> anyhow::Result<Self> {
        let jenkins = config.jenkins.clone().map(|settings| Jenkins::new(settings, clock.clone())).transpose()?;
        let mut sources = Self { consoles: Vec::new(), misnamed: 0, jenkins, clock: clock.clone() };
        let Some(folder) = consoles else { return Ok(sources) };
        let unreadable =
            |e: std::io::Error| Problems(vec![format!("--consoles {}: can't be read: {e}", folder.display())]);
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            // A link to a file is one; what is no file (a folder, a pipe) is not looked at.
            if !path.metadata().is_ok_and(|metadata| metadata.is_file()) {
                continue;
            }
            match path.file_name().and_then(|name| console_name::parse(name.to_str()?)) {
                Some((at, zone)) => sources.consoles.push((at, zone, path)),
                None => sources.misnamed += 1,
            }
        }
        sources.consoles.sort();
        Ok(sources)
    }

    /// What a reader of the report must know of the sources.
    pub(super) fn notes(&self) -> Vec<String> {
        match self.misnamed {
            0 => Vec::new(),
            1 => {
                vec![format!("1 file in the folder of consoles is not named {}: it was not read.", console_name::FORM)]
            }
            n => vec![format!(
                "{n} files in the folder of consoles are not named {}: they were not read.",
                console_name::FORM
            )],
        }
    }

    /// What was seen of each alert, by incident; an alert that nothing was seen of is not there.
    pub(super) async fn gather(
        &self,
        config: &BacktestConfig,
        journal: &mut Journal,
        past: &Past,
        watch: &impl Fn(&str),
    ) -> anyhow::Result<HashMap<String, Vec<Seen>>> {
        let mut found = HashMap::new();
        let mut without = Vec::new();
        for (n, alert) in past.alerts.iter().enumerate() {
            watch(&format!("consoles of the alert {} of {}", n + 1, past.alerts.len()));
            match self.kept(config, alert)? {
                Some(seen) => drop(found.insert(alert.incident_id.clone(), vec![seen])),
                None => without.push(alert),
            }
        }
        watch("the service's own record");
        let all: Vec<&Alert> = past.alerts.iter().collect();
        for (incident_id, runs) in recorded(config, &all, &self.clock).await.context(GOES_ON)? {
            match found.get_mut(&incident_id).and_then(|seen: &mut Vec<Seen>| seen.first_mut()) {
                // The consoles are its readings; what else the gate asks the record has.
                Some(kept) => {
                    let Some(last) = runs.into_iter().next_back() else { continue };
                    (kept.checks, kept.looks, kept.told) = (last.checks, last.looks, last.told);
                }
                None => drop(found.insert(incident_id, runs)),
            }
        }
        without.retain(|alert| !found.contains_key(&alert.incident_id));
        if let (Some(jenkins), false) = (&self.jenkins, without.is_empty()) {
            let history = History { jenkins, config };
            for (n, alert) in without.iter().enumerate() {
                watch(&format!("Jenkins: builds of the alert {} of {}", n + 1, without.len()));
                let seen = history.seen(journal, alert, past).await.context(GOES_ON)?;
                if let Some(seen) = seen {
                    found.insert(alert.incident_id.clone(), vec![seen]);
                }
            }
        }
        Ok(found)
    }

    /// "Consoles from DIR: those of the region's clusters from the alert to 30 min after it or to its resolution, if sooner, in
    /// order of time, each after the first a re-run whatever came before, `TRANSIENT_RERUNS` at most."
    fn kept(&self, config: &BacktestConfig, alert: &Alert) -> anyhow::Result<Option<Seen>> {
        let zones = config.regions.zones_of(&alert.region).names();
        // One that nobody listed is the region's too, by its name.
        let is_own = |zone: &Zone| {
            let name = zone.as_str();
            zones.contains(zone)
                || is_default_zone(name, &alert.region) && !config.regions.is_anothers(&alert.region, name)
        };
        let counts = |at: Timestamp, zone: &Zone| is_within(alert, at) && is_own(zone);
        let files = self.consoles.iter().filter(|(at, zone, _)| counts(*at, zone)).take(most(config));
        let readings = files.map(|(at, _, path)| read_file(*at, path)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Seen::of(readings))
    }
}

/// What this service has seen of these alerts itself, one entry a run, the oldest first. What can't be read back is left out with
/// its run: nobody may conclude from it.
async fn recorded(
    config: &BacktestConfig,
    alerts: &[&Alert],
    clock: &Clock,
) -> anyhow::Result<HashMap<String, Vec<Seen>>> {
    let url = config.database_url.reveal().context("DATABASE_URL can't be read")?;
    let mut found = HashMap::new();
    let Some(store) = Store::open_to_read(&url, clock.clone()).await? else { return Ok(found) };
    for alert in alerts {
        let Some(record) = store.record_of(&alert.incident_id).await? else { continue };
        let (mut runs, mut unreadable): (Vec<(String, Seen)>, Vec<String>) = (Vec::new(), Vec::new());
        for seen in record.seen {
            let at = runs.iter().position(|(id, _)| *id == seen.run_id).unwrap_or_else(|| {
                runs.push((seen.run_id.clone(), Seen::default()));
                runs.len() - 1
            });
            match seen.sight {
                Ok(OwnedSight::Reading(reading)) => runs[at].1.readings.push(reading),
                Ok(OwnedSight::Checks(checks)) => runs[at].1.checks.extend(checks),
                Ok(OwnedSight::Client(look)) => runs[at].1.looks.push(look),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(run.id = seen.run_id, error, "what this run has seen can't be read back");
                    unreadable.push(seen.run_id);
                }
            }
        }
        runs.retain(|(id, seen)| !seen.readings.is_empty() && !unreadable.contains(id));
        for (run_id, seen) in &mut runs {
            // What was taken again since it was too old decided; it is no more than a first reading and its re-runs.
            let superseded = seen.readings.len().saturating_sub(most(config));
            seen.readings.drain(..superseded);
            seen.told = told(&store, run_id).await?;
        }
        if !runs.is_empty() {
            found.insert(alert.incident_id.clone(), runs.into_iter().map(|(_, seen)| seen).collect());
        }
    }
    store.close().await;
    Ok(found)
}

/// What the page gate was told last of a run.
async fn told(store: &Store, run_id: &str) -> anyhow::Result<Option<Box<Told>>> {
    let of = Of::Run(run_id);
    let (count, mut from, mut last) = (store.count_decisions(of).await?, 0, None);
    while from < count {
        let decisions = store.decisions(of, from, DECISIONS).await?.unwrap_or_default();
        for decision in decisions {
            if let Ok(Decided::Gate { told, .. }) = decision.decided {
                last = Some(told);
            }
        }
        from += DECISIONS;
    }
    Ok(last)
}

/// From the alert to half an hour after it, or to its resolution.
fn is_within(alert: &Alert, at: Timestamp) -> bool {
    alert.was_open(at) && at <= after(alert.at, WINDOW)
}

/// From the alert to half an hour after it, however soon it resolved: "Jenkins builds scheduled from the alert to 30 min after".
fn is_scheduled_within(alert: &Alert, at: Timestamp) -> bool {
    at >= alert.at && at <= after(alert.at, WINDOW)
}

/// The first reading and its re-runs.
fn most(config: &BacktestConfig) -> usize {
    usize::try_from(config.transient.reruns).unwrap_or(usize::MAX).saturating_add(1)
}

/// Reads a console piece by piece, whatever its size.
fn read_file(at: Timestamp, path: &Path) -> anyhow::Result<Reading> {
    use std::io::Read as _;
    let doing = || format!("reading the console {}", path.display());
    let mut file = std::fs::File::open(path).with_context(doing)?;
    let (mut parser, mut piece) = (console::Parser::default(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece).with_context(doing)? {
            0 => break,
            n => parser.feed(&piece[..n]),
        }
    }
    Ok(Reading { build_url: None, at, console: parser.finish(), warnings: Vec::new(), set_aside: Vec::new() })
}

/// The builds that Jenkins still has.
struct History<'a> {
    jenkins: &'a Jenkins,
    config: &'a BacktestConfig,
}

impl History<'_> {
    /// Builds that were scheduled within the alert's half hour: those of its region's clusters, and any other that shows all of
    /// its zones, since such a build serves it too.
    async fn seen(&self, journal: &mut Journal, alert: &Alert, past: &Past) -> anyhow::Result<Option<Seen>> {
        let zones = self.config.regions.zones_of(&alert.region).names();
        let mut readings = Vec::new();
        for build in self.builds(journal, past).await? {
            if !is_scheduled_within(alert, build.scheduled_at) || readings.len() >= most(self.config) {
                continue;
            }
            let own = build.cluster.as_ref().is_some_and(|cluster| zones.iter().any(|zone| zone.as_str() == cluster));
            let Some(reading) = self.printed(journal, &build).await? else { continue };
            if own || is_complete(&alert.region, &zones, &reading.console) {
                readings.push(reading);
            }
        }
        Ok(Seen::of(readings))
    }

    /// All builds since the first alert, oldest first.
    async fn builds(&self, journal: &mut Journal, past: &Past) -> anyhow::Result<Vec<Build>> {
        let listed = |journal: &Journal| {
            journal.entries().iter().find_map(|entry| match entry {
                Entry::Builds { builds } => Some(builds.clone()),
                _ => None,
            })
        };
        if listed(journal).is_none() {
            let first = past.alerts.iter().map(|alert| alert.at).min().unwrap_or_default();
            let of_an_alert = |at: Timestamp| past.alerts.iter().any(|alert| is_scheduled_within(alert, at));
            let mut builds: Vec<Build> = Vec::new();
            for build in self.jenkins.builds_since(first).await? {
                let Some(ended_at) = build.ended_at.filter(|_| build.is_done()) else { continue };
                // What no alert is about is not kept: a job may run each minute of the year.
                if of_an_alert(build.scheduled_at) {
                    let (number, url, cluster) = (build.number, build.url, build.cluster);
                    builds.push(Build { number, url, cluster, scheduled_at: build.scheduled_at, ended_at });
                }
            }
            journal.keep(Entry::Builds { builds })?;
        }
        let mut builds = listed(journal).unwrap_or_default();
        builds.sort_by_key(|build| (build.scheduled_at, build.number));
        Ok(builds)
    }

    async fn printed(&self, journal: &mut Journal, build: &Build) -> anyhow::Result<Option<Reading>> {
        for entry in journal.entries() {
            match entry {
                Entry::Printed { number, reading } if *number == build.number => return Ok(reading.clone()),
                _ => {}
            }
        }
        let console = self.jenkins.console_of(build.number).await?;
        let reading = console.map(|console| Reading {
            build_url: Some(build.url.clone()),
            at: build.ended_at,
            console,
            warnings: Vec::new(),
            set_aside: Vec::new(),
        });
        journal.keep(Entry::Printed { number: build.number, reading: reading.clone() })?;
        Ok(reading)
    }
}
