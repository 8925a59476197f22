//! `healthcheck`: asks the service of this machine whether its process is up. For container images without a shell.

use std::time::Duration;

use anyhow::{Context as _, bail};
use url::Url;

use outbound::http::local_client;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks `/healthz` of the service at this base URL.
///
/// # Errors
/// It does not answer, or says that it is not well.
pub async fn healthcheck(service: &Url) -> anyhow::Result<()> {
    let url = service.join("/healthz").context("building the address of /healthz")?;
    let asked = local_client()?.get(url.clone()).timeout(PATIENCE).send().await;
    let answer = asked.with_context(|| format!("asking {url} failed: does `serve` run there?"))?;
    if !answer.status().is_success() {
        bail!("{url} answered {}", answer.status());
    }
    Ok(())
}
