//! A simulated PagerDuty account for clients that others wrote: prints one line of JSON that says how to reach it, and
//! serves until its standard input closes.

use std::io::Write;

use anyhow::Context;
use outbound::clock::SystemClock;
use simulators::pagerduty::{Opening, PagerDuty, Setup};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let account = PagerDuty::start(Setup::new(SystemClock::shared())).await?;
    let alert = account.open(Opening::new("All SE endpoints down in prod-us-south", Setup::REGISTRY));
    let mut open = vec![alert.id.clone()];
    // More than two pages of what a client lists at once.
    for n in 1..=220 {
        open.push(account.open(Opening::new(&format!("Disk is filling up on host-{n}"), Setup::REGISTRY)).id);
    }
    let over = account.open(Opening::new("All Public endpoints down in prod-us-south", Setup::REGISTRY));
    account.resolve(&over.id, None);

    let mut ca = tempfile::NamedTempFile::new().context("making a file for the authority's certificate")?;
    ca.write_all(account.ca_pem.as_bytes()).context("writing the authority's certificate")?;
    let line = serde_json::json!({
        "https_url": account.https_url, "api_url": account.api_url, "ca": ca.path(), "token": account.token(),
        "from": Setup::FROM, "alert": alert.id, "open": open, "resolved": over.id,
        "service": {"id": Setup::SERVICE_ENDPOINT, "name": "Cloud Service Endpoint"},
        "routing_key": Setup::ROUTING_KEY,
    });
    println!("{line}");
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await?
        .context("waiting for the end of input")?;
    Ok(())
}
