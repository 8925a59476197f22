//! Claims what is due, keeps the claim, drives it; one task a run and a page.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::config::show_duration;
use crate::metrics;
use crate::store::{Chore, Failure, Finish, LEASE, Lease, PageLease, StoreError};
use crate::upstream::fence::Fence;

use super::chores::{self, Done};
use super::deadline::longest_run;
use super::journey::{self, Outcome};
use super::steps::page;
use super::tools::Tools;

/// Runs at a time, and as many pages and chores. A run mostly waits; what is expensive, builds, has a limit of its own.
const AT_ONCE: usize = 64;
/// How often a run may be cut off, by kills and crashes, before it is given up.
const MOST_CRASHES: i64 = 100;
/// How often to look for what has become due without anybody saying so: parked runs, leases of the dead.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a run or a page rests after the database failed it.
const REST: Duration = Duration::from_secs(5);
/// How long who has a claim may write to the outside without renewing it: what is sent then has arrived before somebody
/// else looks for it, whose clock may differ a little.
const HOLDS: Duration = Duration::from_secs(25);

/// How long a renewal may take. Two that fail, with their waits before them, end before the lease does.
const RENEW_TIME: Duration = Duration::from_secs(5);

/// Works until `stop`, then gives back what it holds.
///
/// # Errors
/// A task died (a bug): the process must end loudly rather than go on as half a service.
pub async fn work(tools: Tools, stop: CancellationToken) -> Result<(), JoinError> {
    // Each with places of its own: runs that wait for their pages must not keep the pages from being opened.
    let (mut runs, mut pages, mut chores) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    while !stop.is_cancelled() {
        // `something_due` keeps a permit, so that nothing is missed between the look and the wait.
        let run = runs.len() < AT_ONCE && start_a_run(&tools, &stop, &mut runs).await;
        let page = pages.len() < AT_ONCE && start_a_page(&tools, &stop, &mut pages).await;
        let chore = chores.len() < AT_ONCE && start_a_chore(&tools, &stop, &mut chores).await;
        if run || page || chore {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tools.store.something_due() => {}
            () = tools.clock.sleep(LOOK_EVERY) => {}
            Some(ended) = runs.join_next() => ended?,
            Some(ended) = pages.join_next() => ended?,
            Some(ended) = chores.join_next() => ended?,
        }
    }
    for mut tasks in [runs, pages, chores] {
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
    }
    Ok(())
}

/// Starts a run that is due; whether there was one.
async fn start_a_run(tools: &Tools, stop: &CancellationToken, tasks: &mut JoinSet<()>) -> bool {
    let asked = Instant::now();
    match tools.store.claim_run().await {
        Ok(Some(lease)) => {
            let span = tracing::info_span!("run", run.id = lease.run_id());
            tasks.spawn(keep_run(tools.clone(), lease, Fence::new(asked, HOLDS), stop.clone()).instrument(span));
            true
        }
        Ok(None) => false,
        Err(error) => {
            tools.store.trouble("claiming runs", &error);
            false
        }
    }
}

/// Starts a page that is due; whether there was one.
async fn start_a_page(tools: &Tools, stop: &CancellationToken, tasks: &mut JoinSet<()>) -> bool {
    let asked = Instant::now();
    match tools.store.claim_page().await {
        Ok(Some(lease)) => {
            let span = tracing::info_span!("page", incident.id = lease.incident_id());
            tasks.spawn(keep_page(tools.clone(), lease, Fence::new(asked, HOLDS), stop.clone()).instrument(span));
            true
        }
        Ok(None) => false,
        Err(error) => {
            tools.store.trouble("claiming pages", &error);
            false
        }
    }
}

/// Starts a chore that is due; whether there was one.
async fn start_a_chore(tools: &Tools, stop: &CancellationToken, tasks: &mut JoinSet<()>) -> bool {
    let asked = Instant::now();
    match tools.store.claim_chore().await {
        Ok(Some(chore)) => {
            let span = tracing::info_span!("chore", chore.kind = ?chore.kind, incident.id = chore.incident_id);
            tasks.spawn(keep_chore(tools.clone(), chore, Fence::new(asked, HOLDS), stop.clone()).instrument(span));
            true
        }
        Ok(None) => false,
        Err(error) => {
            tools.store.trouble("claiming chores", &error);
            false
        }
    }
}

/// Does a chore while its claim holds.
async fn keep_chore(tools: Tools, chore: Chore, fence: Fence, stop: CancellationToken) {
    let heartbeat = heartbeat(&tools, &fence, || tools.store.renew_chore(&chore));
    let result = tokio::select! {
        result = fence.around(chores::drive(&tools, &chore)) => result,
        lost = heartbeat => Err(lost),
        () = stop.cancelled() => Ok(Done::Later(chore.data.clone(), Duration::ZERO)),
    };
    let result = match result {
        Ok(Done::Finished) => tools.store.finish_chore(&chore).await,
        Ok(Done::Later(data, wait)) => tools.store.put_off_chore(&chore, &data, wait).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {}
        Err(StoreError::LeaseLost) => {
            metrics::lease_lost("chore");
            tracing::warn!("the claim of a chore is lost: it was renewed, or is done");
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a chore is interrupted, and tried again soon");
            let _ = tools.store.put_off_chore(&chore, &chore.data, REST).await;
        }
    }
}

/// Drives a run while its lease holds.
async fn keep_run(tools: Tools, lease: Lease, fence: Fence, stop: CancellationToken) {
    let heartbeat = heartbeat(&tools, &fence, || tools.store.renew_run(&lease));
    let longest = longest_run(&tools.config);
    let left = longest.saturating_sub(lease.spent());
    let result = tokio::select! {
        biased;
        () = std::future::ready(()), if left.is_zero() => Ok(overdue(&tools, &lease, longest).await),
        // A run that takes the process down with it must not do so for ever.
        () = std::future::ready(()), if lease.crashes() > MOST_CRASHES => {
            let why = format!("it was cut off {} times: see the log before, and run it again", lease.crashes());
            Ok(Outcome::Ended(Finish::Failed(Failure::CutOff, why)))
        }
        result = fence.around(journey::drive(&tools, &lease)) => result,
        lost = heartbeat => Err(lost),
        () = tools.clock.sleep(left) => Ok(overdue(&tools, &lease, longest).await),
        () = stop.cancelled() => {
            if let Err(error) = tools.store.release_run(&lease, Duration::ZERO).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a lease could not be given back");
            }
            return;
        }
    };
    let result = match result {
        // Parked: the lease is given back already.
        Ok(Outcome::Parked) => {
            tracing::info!("the run waits: other pages explain the alert");
            Ok(())
        }
        Ok(Outcome::Ended(finish)) => {
            match &finish {
                Finish::Done => tracing::info!("the run is done"),
                Finish::Cancelled(why) => tracing::info!(why, "the run is cancelled"),
                Finish::Failed(_, why) => tracing::error!(why, "the run failed"),
            }
            tools.store.finish_run(&lease, &finish).await.inspect(|()| metrics::run_ended(&finish))
        }
        // Reading it again would not help: it ends, and says why.
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the run failed");
            let finish = Finish::Failed(Failure::Unreadable, error.to_string());
            tools.store.finish_run(&lease, &finish).await.inspect(|()| metrics::run_ended(&finish))
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {}
        Err(StoreError::LeaseLost) => {
            metrics::lease_lost("run");
            tracing::error!("the lease of a run is lost: somebody else works on it now");
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the run is interrupted, and tried again soon");
            // Where this fails too, the lease runs out by itself.
            let _ = tools.store.release_run(&lease, REST).await;
        }
    }
}

/// A run that could not be finished in all the time that one may take: it ends, says where it stood, and may be run again.
async fn overdue(tools: &Tools, lease: &Lease, longest: Duration) -> Outcome {
    let run = tools.store.run(lease.run_id()).await.ok().flatten();
    let last = run.and_then(|run| Some(run.steps.last()?.name.clone())).unwrap_or_else(|| "none".into());
    let why = format!(
        "it was not done within {}, the longest that a run may take; its last step was {last}: see the log, and run it \
         again",
        show_duration(longest)
    );
    Outcome::Ended(Finish::Failed(Failure::Overdue, why))
}

/// Opens a page while its lease holds.
async fn keep_page(tools: Tools, lease: PageLease, fence: Fence, stop: CancellationToken) {
    let heartbeat = heartbeat(&tools, &fence, || tools.store.renew_page(&lease));
    let result = tokio::select! {
        result = fence.around(page::page(&tools, &lease)) => result,
        lost = heartbeat => Err(lost),
        () = stop.cancelled() => tools.store.release_page(&lease, Duration::ZERO).await,
    };
    match result {
        Ok(()) => {}
        Err(StoreError::LeaseLost) => {
            metrics::lease_lost("page");
            tracing::error!("the lease of a page is lost: somebody else works on it now");
        }
        // Reading it again would not help, and whoever waits for the page must hear of it.
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::error!(error = &error as &dyn std::error::Error, "NOBODY WAS PAGED: the page failed");
            metrics::page("failed");
            if let Err(error) = page::given_up(&tools, &lease, &error.to_string()).await {
                tracing::error!(error = &error as &dyn std::error::Error, "that the page failed could not be said");
            }
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the page is interrupted, and tried again soon");
            let _ = tools.store.release_page(&lease, REST).await;
        }
    }
}

/// Renews a lease until that fails for almost as long as the lease holds: then somebody else may soon have it.
async fn heartbeat<F>(tools: &Tools, fence: &Fence, renew: impl Fn() -> F) -> StoreError
where
    F: Future<Output = Result<(), StoreError>>,
{
    let mut missed = 0;
    loop {
        tools.clock.sleep(LEASE / 4).await;
        let asked = Instant::now();
        match tokio::time::timeout(RENEW_TIME, renew()).await.unwrap_or(Err(StoreError::Slow)) {
            Ok(()) => {
                fence.renewed(asked);
                missed = 0;
            }
            Err(StoreError::LeaseLost) => return StoreError::LeaseLost,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a lease could not be renewed");
                missed += 1;
                if missed >= 2 {
                    return error;
                }
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
