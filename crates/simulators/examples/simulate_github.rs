//! The simulated GitHub Enterprise on its own, for clients that others wrote: `tests/clients/github_client.py`.
//!
//! Prints one line of JSON with its address, and serves until its standard input is closed.

use anyhow::Context;
use simulators::github::{GitHub, REPO, Setup};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let github = GitHub::start(Setup::default()).await.context("starting the simulated GitHub")?;
    println!("{}", serde_json::json!({"url": github.api_url(), "token": github.token(), "repo": REPO}));
    let end = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(end).await?.context("waiting for the end of standard input")?;
    Ok(())
}
