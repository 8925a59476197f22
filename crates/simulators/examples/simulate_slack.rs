//! The simulated Slack on its own, for clients that others wrote: `tests/clients/slack_client.py`.
//!
//! Prints one line of JSON with its address, and serves until its standard input is closed.

use anyhow::Context;
use simulators::slack::{Setup, Slack};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let slack = Slack::start(Setup::default()).await.context("starting the simulated Slack")?;
    println!("{}", serde_json::json!({"url": slack.api_url(), "token": slack.token(), "channel": slack.channel()}));
    let end = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(end).await?.context("waiting for the end of standard input")?;
    Ok(())
}
