//! What lists, claims and looks take: on a grown database, and the same on an empty one.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use outbound::clock::SystemClock;
use runbook::run::{AlertIncident, Trigger};
use simulators::pagerduty::PagerDuty;
use store::{Kind, NewRun, Store, Watch};

use super::{Service, VIEWER_TOKEN};

/// Each is asked so often; the median counts.
const TIMES: usize = 41;

/// What was asked, and what it took.
pub(super) type Took = Vec<(&'static str, Duration)>;

/// What a diagnosis of three zones is like.
pub(super) fn diagnosis() -> anyhow::Result<String> {
    let mut run: serde_json::Value = serde_json::from_str(include_str!("../../src/http/example_run.json"))?;
    let zones = run["diagnosis"]["zones"].as_array_mut().context("zones")?;
    let zone = zones.first().context("a zone")?.clone();
    zones.extend([zone.clone(), zone]);
    Ok(run["diagnosis"].to_string())
}

/// Asks all of it, of the service and of the store, on this file with so many runs.
pub(super) fn ask(
    runtime: &tokio::runtime::Runtime,
    pagerduty: &PagerDuty,
    file: &Path,
    runs: u32,
) -> anyhow::Result<Took> {
    let service = Service::start(pagerduty, file, "90d")?;
    let (middle, last) = (runs / 2, runs.max(1));
    let mut took = Vec::new();
    for (what, path) in [
        ("GET /", "/".to_owned()),
        ("GET / of a rare region", "/?region=prod-rare".into()),
        ("GET / of a rare verdict", "/?verdict=mixed".into()),
        ("GET / of failed runs of a region by verdict", "/?region=prod-region-7&state=failed&verdict=registry".into()),
        ("GET /regions", "/regions".into()),
        ("GET /api/runs", "/api/runs".into()),
        ("GET /api/runs, 200", "/api/runs?limit=200".into()),
        ("… of a region", "/api/runs?region=prod-region-3".into()),
        ("… of a rare region", "/api/runs?region=prod-rare".into()),
        ("… of an incident", format!("/api/runs?incident_id=Q{last}")),
        ("… done", "/api/runs?state=done".into()),
        ("… failed", "/api/runs?state=failed".into()),
        ("… queued", "/api/runs?state=queued".into()),
        ("… failed, of a rare region", "/api/runs?state=failed&region=prod-rare".into()),
        ("… of no region that there is", "/api/runs?region=nowhere".into()),
        ("… from the middle on", format!("/api/runs?before={middle:012}")),
        ("… a run", format!("/api/runs/{last:012}")),
    ] {
        took.push((what, median(|| service.list(&path))?));
    }
    drop(service);
    runtime.block_on(of_store(file, &mut took))?;
    Ok(took)
}

async fn of_store(file: &Path, took: &mut Took) -> anyhow::Result<()> {
    let store = Store::open(&format!("sqlite://{}", file.display()), SystemClock::shared()).await?;
    let (mut look, mut claim, mut words, mut open, mut hour, mut past) =
        (vec![], vec![], vec![], vec![], vec![], vec![]);
    store.renew().await?;
    for n in 0..TIMES {
        let incident = AlertIncident {
            id: format!("QNEW{n}"),
            number: 1,
            title: "All SE endpoints down in prod-region-3".into(),
            html_url: "https://example.pagerduty.com".into(),
        };
        let (region, trigger) = ("prod-region-3".parse()?, Trigger::Webhook);
        let new = NewRun { incident: Some(incident), region, trigger, reopened: false, alert_at: None };
        store.create_run(&new, None).await?;
        let begun = Instant::now();
        store.due(Kind::ALL, Watch::ALL).await?;
        look.push(begun.elapsed());
        let begun = Instant::now();
        let lease = store.claim_run().await?.context("a run")?;
        claim.push(begun.elapsed());
        let begun = Instant::now();
        store.early_words_due(Duration::from_secs(60)).await?;
        words.push(begun.elapsed());
        let begun = Instant::now();
        store.open_alerts().await?;
        open.push(begun.elapsed());
        let run = store.run(lease.run_id()).await?.context("a run")?;
        let begun = Instant::now();
        store.alerts_in_the_hour_before(&run).await?;
        hour.push(begun.elapsed());
        let begun = Instant::now();
        store.past_alerts(store.clock().now() - jiff::SignedDuration::from_hours(90 * 24), 400).await?;
        past.push(begun.elapsed());
        store.finish_run(&lease, &store::Finish::Done).await?;
    }
    store.close().await;
    let of_store = [
        ("a look at what is due", look),
        ("a claim of a run", claim),
        ("a look for early words", words),
        ("a look for open alerts", open),
        ("the count of an hour's alerts", hour),
        ("the last 400 alerts, with their runs", past),
    ];
    took.extend(of_store.into_iter().map(|(what, mut times)| (what, middle_of(&mut times))));
    Ok(())
}

fn median(mut ask: impl FnMut() -> anyhow::Result<Duration>) -> anyhow::Result<Duration> {
    let mut took = (0..TIMES).map(|_| ask()).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(middle_of(&mut took))
}

fn middle_of(took: &mut [Duration]) -> Duration {
    took.sort();
    took.get(took.len() / 2).copied().unwrap_or_default()
}

impl Service {
    fn list(&self, path: &str) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let answer = self.ask(&format!(
            "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\nauthorization: Bearer {VIEWER_TOKEN}\r\n\r\n"
        ))?;
        let took = begun.elapsed();
        let status = answer.split_whitespace().nth(1).unwrap_or_default();
        // An empty database has not the one run.
        if status == "200" || status == "404" { Ok(took) } else { bail!("{path}: {status}") }
    }
}

/// Beside the same on an empty database.
pub(super) fn show(empty: &Took, grown: &Took) {
    for ((what, before), (_, now)) in empty.iter().zip(grown) {
        let ms = |took: &Duration| took.as_secs_f64() * 1e3;
        println!("  {what:<45} {:>8.2} ms, empty {:>6.2} ms: {:.1}", ms(now), ms(before), ms(now) / ms(before));
    }
}
