//! `diagnose`: the same diagnosis without an incident, read-only.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;

use super::output::print;
use super::watch::Watch;
use crate::config::{DiagnoseConfig, RegionZones, TransientSettings};
use crate::run::build_places::BuildPlaces;
use crate::run::client::ClientAsker;
use crate::run::progress::Progress;
use crate::run::steps::read_boxes::{ReadingRequest, no_hurry, read_boxes};
use clusters::{ClusterSettings, check_region};
use jenkins::Jenkins;
use outbound::builds::InMemory;
use outbound::clock::Clock;
use outbound::permit::Permit;
use runbook::alert::{Region, Zone};
use runbook::diagnosis::client::front_end;
use runbook::diagnosis::note::{Context, PageNews, write};
use runbook::diagnosis::verdict::{diagnose as conclude, wants_rerun};
use runbook::diagnosis::{Checks, Earlier, Evidence, Reading, VerdictKind, console};
use runbook::span::{after, between};
use runbook::text::closest;

/// Diagnoses a region and prints what it found.
///
/// # Errors
/// A console file can't be read, or the client of Jenkins can't be set up.
pub async fn diagnose(
    config: DiagnoseConfig,
    region: &Region,
    consoles: &[PathBuf],
    json: bool,
    clock: Clock,
) -> anyhow::Result<()> {
    let zones = config.regions.zones_of(region);
    let names = zones.names();
    let watch = Watch::new();
    if !zones.listed && !config.regions.is_empty() {
        let known = config.regions.all().iter().map(|entry| entry.region.as_str());
        let meant = closest(region.as_str(), known).map(|meant| format!(" Did you mean {meant}?")).unwrap_or_default();
        tracing::warn!("the regions file does not list {region}: it is taken for three zones, az1 to az3.{meant}");
    }
    let cluster = config.cluster.as_ref();
    // What files show is of another time than what the client would say now.
    let client = match &config.jenkins {
        Some(_) => ClientAsker::new(&config.regions, &config.client, cluster, clock.clone())?,
        None => None,
    };
    let (readings, checks, mut earlier) = match &config.jenkins {
        None => {
            let readings = read_files(consoles, &clock)?;
            watch.say("asking the clusters");
            (readings, check(cluster, &zones, &clock).await, Earlier::default())
        }
        Some(settings) => {
            let jenkins = Jenkins::new(settings.clone(), clock.clone())?;
            ask(&jenkins, region, &zones, cluster, config.transient, &watch, &clock).await
        }
    };
    let listed = config.regions.listed_zones();
    let conclude = |earlier: &Earlier| {
        conclude(&Evidence { region, expected: &names, readings: &readings, checks: &checks, earlier, listed: &listed })
    };
    if let Some(client) = client {
        watch.say("asking the healthcheck cluster");
        let addresses = front_end::addresses(&conclude(&earlier).zones);
        earlier.looks.push(client.look(region, &addresses, Duration::MAX, std::future::pending()).await);
        earlier.client = Some(client.asked(region));
    }
    watch.end();
    let diagnosis = conclude(&earlier);
    if json {
        return print(&serde_json::to_string_pretty(&diagnosis).context("writing the diagnosis as JSON")?);
    }
    let job_url = config.jenkins.as_ref().map(|j| j.job_url.to_string());
    let text = write(
        &diagnosis,
        &Context {
            run_id: "",
            run_url: "",
            job_url: job_url.as_deref(),
            links: &config.regions.links,
            region_listed: zones.listed,
            alert_opened_at: None,
            resolved_at: None,
            related: Err("diagnose doesn't ask PagerDuty"),
            only_named: 0,
            related_at: None,
            looks_again_at: None,
            other_regions: &[],
            at_once: &[],
            suppressed_by: &[],
            suppressed_for: None,
            history: &[],
            flaps_last_hour: 0,
            page: match diagnosis.verdict.kind {
                VerdictKind::ServiceEndpoint => PageNews::Off,
                _ => PageNews::NotWanted,
            },
            warnings: &[],
            now: clock.now(),
        },
    );
    // There is no run, so its line says nothing here.
    print(text.trim_end().strip_suffix("run").unwrap_or(&text).trim_end())
}

/// The readings that these files are, each after the first a re-run.
fn read_files(files: &[PathBuf], clock: &Clock) -> anyhow::Result<Vec<Reading>> {
    let read = |path: &PathBuf| {
        let mut parser = console::Parser::default();
        let mut source: Box<dyn Read> = if path == Path::new("-") {
            Box::new(std::io::stdin())
        } else {
            Box::new(std::fs::File::open(path).with_context(|| format!("opening the console {}", path.display()))?)
        };
        let mut piece = vec![0; 64 * 1024];
        loop {
            match source.read(&mut piece).with_context(|| format!("reading the console {}", path.display()))? {
                0 => break,
                n => parser.feed(&piece[..n]),
            }
        }
        Ok(Reading {
            build_url: None,
            at: clock.now(),
            console: parser.finish(),
            warnings: Vec::new(),
            set_aside: Vec::new(),
        })
    };
    files.iter().map(read).collect()
}

/// Asks Jenkins and the clusters side by side, again while the state may be transient.
async fn ask(
    jenkins: &Jenkins,
    region: &Region,
    zones: &RegionZones,
    cluster: Option<&ClusterSettings>,
    transient: TransientSettings,
    watch: &Watch,
    clock: &Clock,
) -> (Vec<Reading>, Vec<(Zone, Checks)>, Earlier) {
    let expected = zones.names();
    let (builds, places) = (InMemory::default(), BuildPlaces::new(1, clock.clone()));
    let jenkins_says = Arc::new(Mutex::new(String::new()));
    let progress = Progress::new({
        let (watch, jenkins_says) = (watch.clone(), jenkins_says.clone());
        move |line| {
            line.clone_into(&mut jenkins_says.lock().unwrap_or_else(PoisonError::into_inner));
            watch.say(line);
        }
    });
    let began_at = clock.now();
    let permit = Permit::needless("a person runs the command, once");
    let mut readings: Vec<Reading> = Vec::new();
    let (mut checks, mut earlier) = (Vec::new(), Earlier::default());
    loop {
        let index = u32::try_from(readings.len()).unwrap_or(u32::MAX);
        let request = ReadingRequest {
            region,
            expected: &expected,
            index,
            began_at: clock.now(),
            serves_since: Some(began_at),
            // What is taken has begun since.
            max_age: Duration::MAX,
            evidence_since: None,
            hurry: no_hurry(),
            permit: &permit,
        };
        let reading = read_boxes(jenkins, &places, request, &builds, &progress, None);
        let checking = async {
            // Beside the job, and again beside the last re-run.
            if index == 0 || index == transient.reruns { Some(check(cluster, zones, clock).await) } else { None }
        };
        let (reading, checked) = tokio::join!(reading, checking);
        if let Some(checked) = checked {
            earlier.checks.extend(std::mem::replace(&mut checks, checked));
        }
        let at = reading.at;
        readings.push(reading);
        let again = wants_rerun(&Evidence {
            region,
            expected: &expected,
            readings: &readings,
            checks: &checks,
            earlier: &earlier,
            listed: &[],
        });
        if !again || index >= transient.reruns {
            return (readings, checks, earlier);
        }
        watch.say("every Magic Box rejects though its registry answers 200: this may pass, waiting for the re-run");
        clock.sleep(between(clock.now(), after(at, transient.wait))).await;
    }
}

async fn check(cluster: Option<&ClusterSettings>, zones: &RegionZones, clock: &Clock) -> Vec<(Zone, Checks)> {
    match cluster {
        Some(settings) => check_region(settings, &zones.zones, clock).await,
        None => Vec::new(),
    }
}
