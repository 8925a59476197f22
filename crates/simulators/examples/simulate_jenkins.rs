//! The simulated Jenkins on its own, for clients that others wrote: `tests/clients/jenkins_client.py`.
//!
//! Prints one line of JSON with its addresses, and serves until its standard input is closed.

use std::time::Duration;

use anyhow::Context;
use simulators::jenkins::{BuildPlan, Jenkins, Setup};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // By their CLUSTER: az1 shows every box after a queue of three, az2 runs until it is stopped, az3 waits until it
    // is cancelled.
    let setup = Setup::by(|asked| {
        let region = asked.cluster.rsplit_once("-az").map_or(asked.cluster.as_str(), |(region, _)| region);
        let zones: Vec<String> = (1..=3).map(|n| format!("{region}-az{n}")).collect();
        let boxes: Vec<_> = zones.iter().map(|zone| (zone.as_str(), 1, 0, 1)).collect();
        let plan = BuildPlan::showing(&boxes, Duration::from_secs(2));
        let endless = Duration::from_secs(24 * 3600);
        match asked.cluster.rsplit_once("-az") {
            Some((_, "2")) => BuildPlan { duration: endless, ..plan },
            Some((_, "3")) => plan.after_queue(endless, 0),
            _ => plan.after_queue(Duration::from_secs(1), 3),
        }
    });
    let jenkins = Jenkins::start(setup).await.context("starting the simulated Jenkins")?;
    let (user, token) = jenkins.credentials();
    let addresses = serde_json::json!({
        "url": jenkins.url(), "job_url": jenkins.job_url(), "view_url": jenkins.view_url(), "user": user, "token": token,
    });
    println!("{addresses}");
    let end = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(end).await?.context("waiting for the end of standard input")?;
    Ok(())
}
