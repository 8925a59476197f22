//! What the service adds to the time of Jenkins: `cargo bench --bench overhead [-- SCENARIO…]`.
//!
//! From the signed webhook to the note in PagerDuty, less the builds and the waits before re-runs: what is left is ours,
//! the questions to PagerDuty and the clusters that nothing else hides, and the polling of Jenkins.

use std::time::Duration;

use anyhow::{Context, bail};
use outbound::clock::{Clock, SystemClock};
use runbook::span::between;
use se_responder::commands::serve::Service;
use se_responder::config::{Config, Environment, parse_duration};
use simulators::scenario::Scenario;
use simulators::world::World;
use tokio_util::sync::CancellationToken;

/// The longest a scenario may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // cargo gives `--bench`; `cargo test --benches` does not, and wants no minutes of work.
    if !arguments.iter().any(|a| a == "--bench") {
        return Ok(());
    }
    let mut names: Vec<&str> = arguments.iter().map(String::as_str).filter(|a| !a.starts_with('-')).collect();
    if names.is_empty() {
        names = vec!["private-network", "mixed", "service-endpoint"];
    }
    println!("{:<20} {:>14} {:>9} {:>9} {:>9}", "scenario", "webhook→note", "builds", "waits", "ours");
    for name in names {
        let scenario = Scenario::named(name).with_context(|| format!("there is no scenario {name:?}"))?;
        measure(scenario, SystemClock::shared()).await.with_context(|| format!("the scenario {name}"))?;
    }
    Ok(())
}

async fn measure(scenario: &'static Scenario, clock: Clock) -> anyhow::Result<()> {
    let world = World::start(scenario, clock.clone()).await?;
    let settings = world.settings();
    let wait = settings.iter().rfind(|(name, _)| name == "TRANSIENT_WAIT").map(|(_, value)| parse_duration(value));
    let wait = wait.context("no TRANSIENT_WAIT")?.map_err(anyhow::Error::msg)?;
    let service = Service::prepare(Config::load(&Environment::of(settings))?, clock.clone()).await?;
    let url = format!("http://{}", service.local_addr()?);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(service.run(stop.clone()));

    let sent = clock.now();
    let (status, answer) = world.send(&url, "incident.triggered").await?;
    if status != 202 {
        bail!("the webhook was answered {status}: {answer}");
    }
    let note = loop {
        // Short notes don't count: the diagnosis is the one that ends with its run's id.
        let diagnosis = |content: &str| content.lines().next_back().is_some_and(|line| line.starts_with("run "));
        if let Some(note) = world.pagerduty.notes_of(&world.alert).into_iter().find(|n| diagnosis(&n.content)) {
            break note;
        }
        if between(sent, clock.now()) > PATIENCE {
            bail!("there is no note after {PATIENCE:?}");
        }
        clock.sleep(Duration::from_millis(5)).await;
    };
    stop.cancel();
    serving.await??;

    let builds = build_times(&world).await?;
    // Each build is a reading here, and each reading after the first follows a wait.
    let waits = wait * u32::try_from(builds.len().saturating_sub(1))?;
    let (all, built) = (between(sent, note.created_at), builds.iter().sum::<Duration>());
    let ms = |time: Duration| format!("{} ms", time.as_millis());
    let ours = all.saturating_sub(built).saturating_sub(waits);
    println!("{:<20} {:>14} {:>9} {:>9} {:>9}", scenario.name, ms(all), ms(built), ms(waits), ms(ours));
    Ok(())
}

/// How long each build ran, by Jenkins' own word.
async fn build_times(world: &World) -> anyhow::Result<Vec<Duration>> {
    let (user, token) = world.jenkins.credentials();
    let answer: serde_json::Value = outbound::http::http_client()?
        .get(format!("{}api/json?tree=builds[duration]", world.jenkins.job_url()))
        .basic_auth(user, Some(token))
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let builds = answer["builds"].as_array().context("Jenkins lists no builds")?;
    Ok(builds.iter().filter_map(|b| b["duration"].as_u64()).map(Duration::from_millis).collect())
}
