//! Claims what is due, and works on it while the claim holds: a run, a page, a task, each in a task of its own.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::metrics;
use outbound::fence::Fence;
use runbook::span::{between, show_duration};
use store::{Claim, Failure, Finish, Kind, LEASE, Lease, PageLease, StoreError, Task};

use super::context::Context;
use super::deadline::longest_run;
use super::journey::{self, Outcome};
use super::steps::page;
use super::tasks::{self, Done};
use super::waiting::Waiting;

/// Runs at a time that do more than wait, and as many pages and tasks. What is expensive, builds, has a limit of its own.
const AT_ONCE: usize = 64;
/// How often a run may be cut off, by kills and crashes, before it is given up.
const MOST_CRASHES: i64 = 100;
/// How soon to look again where what is due can't be claimed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a run or a page rests after the database failed it.
const REST: Duration = Duration::from_secs(5);
/// How long what broke off by a bug of ours rests.
const BROKE_OFF_RESTS: Duration = Duration::from_secs(60);
/// How long who has a claim may write to the outside without renewing it: what is sent then has arrived before somebody
/// else looks for it, whose clock may differ a little.
const HOLDS: Duration = Duration::from_secs(25);

/// How often the lease is renewed while anything is held under it.
const RENEW_EVERY: Duration = Duration::from_millis(7500);
/// How long a renewal may take. Two that fail, with their waits before them, end before the lease does.
const RENEW_TIME: Duration = Duration::from_secs(5);

/// Works until `stop`, then gives back what it holds.
///
/// # Errors
/// A task died of something else than its own work: the process must end and say so, rather than go on as half a service.
pub async fn work(context: Context, stop: CancellationToken) -> Result<(), JoinError> {
    let mut held = Held::new(&context);
    while !stop.is_cancelled() {
        // `something_due` keeps a permit, so that nothing is missed between the look and the wait.
        let (due, mut wait) =
            context.store.due(&held.kinds_with_room(&context.waiting)).await.unwrap_or_else(|error| {
                context.store.trouble("looking for what is due", &error);
                (Vec::new(), LOOK_AGAIN)
            });
        if !due.is_empty() {
            if held.start(&context, &due, &stop).await {
                continue;
            }
            // Somebody else was there before, or it can't be claimed now.
            wait = LOOK_AGAIN;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = context.store.something_due() => {}
            () = context.waiting.another() => {}
            () = context.clock.sleep(wait) => {}
            () = context.clock.sleep(held.renew_in(&context)), if !held.items.is_empty() => held.renew(&context).await,
            Some(ended) = held.tasks.join_next_with_id() => held.ended(&context, ended).await?,
        }
    }
    while let Some(ended) = held.tasks.join_next_with_id().await {
        held.ended(&context, ended).await?;
    }
    Ok(())
}

tokio::task_local! {
    static ITEM: ();
}

/// Does what is one item's: a panic in it ends that, and nothing else.
pub async fn alone<F: Future>(work: F) -> F::Output {
    ITEM.scope((), work).await
}

/// Whether the current task does what is one item's.
pub fn is_alone() -> bool {
    ITEM.try_with(|()| ()).is_ok()
}

/// What this process holds, under its one lease.
struct Held {
    /// Around all that is written to the outside.
    fence: Fence,
    /// When the lease was last renewed.
    renewed: Timestamp,
    /// Whether that worked when it was last tried.
    is_renewed: bool,
    /// Each is told when its claim is lost.
    items: HashMap<Claim, (Kind, CancellationToken)>,
    tasks: JoinSet<()>,
    claims: HashMap<Id, Claim>,
}

impl Held {
    fn new(context: &Context) -> Self {
        let over = Instant::now().checked_sub(HOLDS).unwrap_or_else(Instant::now);
        let renewed = before(context.clock.now(), LEASE);
        let (items, tasks, claims) = (HashMap::new(), JoinSet::new(), HashMap::new());
        Self { fence: Fence::new(over, HOLDS), renewed, is_renewed: false, items, tasks, claims }
    }

    /// In how long the lease is to be renewed.
    fn renew_in(&self, context: &Context) -> Duration {
        RENEW_EVERY.saturating_sub(between(self.renewed, context.clock.now()))
    }

    /// Renews the lease. Nothing is written to the outside under it before it is known which claims still hold: who was
    /// frozen for longer than a lease has lost what somebody else has claimed meanwhile.
    async fn renew(&mut self, context: &Context) {
        let asked = Instant::now();
        let renewed = context.clock.now();
        match tokio::time::timeout(RENEW_TIME, context.store.renew()).await.unwrap_or(Err(StoreError::Slow)) {
            Ok(ours) => {
                for (claim, (_, lost)) in &self.items {
                    if !ours.contains(claim) {
                        lost.cancel();
                    }
                }
                // What could not be given back, since the database failed that: nobody here works on it.
                for claim in ours.iter().filter(|claim| !self.items.contains_key(claim)) {
                    let _ = context.store.in_time(context.store.release(claim, REST)).await;
                }
                (self.renewed, self.is_renewed) = (renewed, true);
                self.fence.renewed(asked);
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the lease could not be renewed");
                // Soon again: two that fail, with their waits before them, end before the lease does.
                self.renewed = before(context.clock.now(), RENEW_EVERY - LOOK_AGAIN);
                self.is_renewed = false;
            }
        }
    }

    /// An item's work has ended. A panic costs that item an attempt, and no other anything.
    async fn ended(&mut self, context: &Context, ended: Result<(Id, ()), JoinError>) -> Result<(), JoinError> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let claim = self.claims.remove(&id);
        if let Some(claim) = &claim {
            self.items.remove(claim);
        }
        match (ended, claim) {
            (Ok(_), _) => Ok(()),
            (Err(error), Some(claim)) if error.is_panic() => {
                tracing::error!(work = ?claim, "A BUG: work on this broke off, and is tried again in a minute");
                // Where this fails too, the next renewal does it.
                let _ = context.store.in_time(context.store.release(&claim, BROKE_OFF_RESTS)).await;
                Ok(())
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Each kind has places of its own: runs that wait for their pages must not keep the pages from being opened. A run that
    /// only waits for Jenkins takes none.
    fn kinds_with_room(&self, waiting: &Waiting) -> Vec<Kind> {
        let held = |kind: &Kind| self.items.values().filter(|(of, _)| of == kind).count();
        let most = |kind: &Kind| if *kind == Kind::Run { AT_ONCE + waiting.count() } else { AT_ONCE };
        Kind::ALL.iter().filter(|kind| held(kind) < most(kind)).copied().collect()
    }

    /// Starts one of each of these kinds, where there is any; whether there was.
    async fn start(&mut self, context: &Context, kinds: &[Kind], stop: &CancellationToken) -> bool {
        if !self.is_renewed || self.renew_in(context).is_zero() {
            self.renew(context).await;
            // Under a lease that may have run out, what is our own would be claimed once more.
            if !self.is_renewed {
                return false;
            }
        }
        let mut any = false;
        for kind in kinds {
            match context.store.in_time(claim(context, *kind)).await {
                Ok(Some(item)) => {
                    self.keep(context, item, stop);
                    any = true;
                }
                Ok(None) => {}
                Err(error) => context.store.trouble("claiming work", &error),
            }
        }
        any
    }

    /// Works on an item that is claimed.
    fn keep(&mut self, context: &Context, item: Item, stop: &CancellationToken) {
        let (context, stop) = (context.clone(), stop.clone());
        let claim = item.claim().clone();
        let keep = Keep { fence: self.fence.clone(), lost: CancellationToken::new() };
        self.items.insert(claim.clone(), (item.kind(), keep.lost.clone()));
        let span = item.span();
        let work = async move {
            match item {
                Item::Run(lease) => keep_run(context, lease, keep, stop).await,
                Item::Page(lease) => keep_page(context, lease, keep, stop).await,
                Item::Task(task) => keep_task(context, task, keep, stop).await,
            }
        };
        let id = self.tasks.spawn(alone(work.instrument(span))).id();
        self.claims.insert(id, claim);
    }
}

/// An item of the queue that is claimed.
enum Item {
    Run(Lease),
    Page(PageLease),
    Task(Task),
}

async fn claim(context: &Context, kind: Kind) -> Result<Option<Item>, StoreError> {
    Ok(match kind {
        Kind::Run => context.store.claim_run().await?.map(Item::Run),
        Kind::Page => context.store.claim_page().await?.map(Item::Page),
        Kind::Task => context.store.claim_task().await?.map(Item::Task),
    })
}

impl Item {
    fn kind(&self) -> Kind {
        match self {
            Self::Run(_) => Kind::Run,
            Self::Page(_) => Kind::Page,
            Self::Task(_) => Kind::Task,
        }
    }

    fn claim(&self) -> &Claim {
        match self {
            Self::Run(lease) => lease.claim(),
            Self::Page(lease) => lease.claim(),
            Self::Task(task) => task.claim(),
        }
    }

    fn span(&self) -> tracing::Span {
        match self {
            Self::Run(lease) => tracing::info_span!("run", run.id = lease.run_id()),
            Self::Page(lease) => tracing::info_span!("page", incident.id = lease.incident_id()),
            Self::Task(task) => tracing::info_span!("task", task.kind = ?task.kind, incident.id = task.incident_id),
        }
    }
}

/// Under what an item is worked on.
struct Keep {
    /// What is written to the outside waits here while the lease does not certainly hold.
    fence: Fence,
    /// Somebody else has claimed it.
    lost: CancellationToken,
}

impl Keep {
    /// Does something while the claim holds. That it is lost counts first: what waits for the lease must not go on by it.
    async fn around<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        tokio::select! {
            biased;
            () = self.lost.cancelled() => Err(StoreError::LeaseLost),
            result = self.fence.around(work) => result,
        }
    }
}

fn before(time: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| time.checked_sub(by).ok()).unwrap_or(time)
}

/// Does a task while its claim holds.
async fn keep_task(context: Context, task: Task, keep: Keep, stop: CancellationToken) {
    let result = tokio::select! {
        // On the heap, as in `keep_run`.
        result = keep.around(Box::pin(tasks::drive(&context, &task))) => result,
        () = stop.cancelled() => Ok(Done::Later(task.data.clone(), Duration::ZERO)),
    };
    // Nobody waits for it any more: what hangs in the database must not keep a place here for good.
    let result = match result {
        Ok(Done::Finished) => context.store.in_time(context.store.finish_task(&task)).await,
        Ok(Done::Later(data, wait)) => context.store.in_time(context.store.put_off_task(&task, &data, wait)).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {}
        Err(StoreError::LeaseLost) => {
            metrics::lease_lost(metrics::Work::Task);
            tracing::warn!("the claim of a task is lost: it was renewed, or is done");
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a task is interrupted, and tried again soon");
            let _ = context.store.in_time(context.store.put_off_task(&task, &task.data, REST)).await;
        }
    }
}

/// Drives a run while its lease holds.
async fn keep_run(context: Context, lease: Lease, keep: Keep, stop: CancellationToken) {
    let longest = longest_run(&context.config);
    let left = longest.saturating_sub(lease.spent());
    let result = tokio::select! {
        biased;
        () = std::future::ready(()), if left.is_zero() => Ok(overdue(&context, &lease, longest).await),
        // A run that takes the process down with it must not do so forever.
        () = std::future::ready(()), if lease.crashes() > MOST_CRASHES => {
            let why = format!("it was cut off {} times: see the log before, and run it again", lease.crashes());
            Ok(Outcome::Ended(Finish::Failed(Failure::CutOff, why)))
        }
        // On the heap: a build without optimisation has a copy of it in each frame round it, and a stack of 2 MiB overflows.
        result = keep.around(Box::pin(journey::drive(&context, &lease))) => result,
        () = context.clock.sleep(left) => Ok(overdue(&context, &lease, longest).await),
        () = stop.cancelled() => {
            if let Err(error) = context.store.in_time(context.store.release_run(&lease, Duration::ZERO)).await {
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
            context
                .store
                .in_time(context.store.finish_run(&lease, &finish))
                .await
                .inspect(|()| metrics::run_ended(&finish))
        }
        // Reading it again would not help: it ends, and says why.
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the run failed");
            let finish = Finish::Failed(Failure::Unreadable, error.to_string());
            context
                .store
                .in_time(context.store.finish_run(&lease, &finish))
                .await
                .inspect(|()| metrics::run_ended(&finish))
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {}
        Err(StoreError::LeaseLost) => {
            metrics::lease_lost(metrics::Work::Run);
            tracing::error!("the lease of a run is lost: somebody else works on it now");
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the run is interrupted, and tried again soon");
            // Where this fails too, the lease runs out by itself.
            let _ = context.store.in_time(context.store.release_run(&lease, REST)).await;
        }
    }
}

/// A run that could not be finished in all the time that one may take: it ends, says where it stood, and may be run again.
async fn overdue(context: &Context, lease: &Lease, longest: Duration) -> Outcome {
    let run = context.store.in_time(context.store.run(lease.run_id())).await.ok().flatten();
    let last = run.and_then(|run| Some(run.steps.last()?.name.clone())).unwrap_or_else(|| "none".into());
    let why = format!(
        "it was not done within {}, the longest that a run may take; its last step was {last}: see the log, and run it \
         again",
        show_duration(longest)
    );
    Outcome::Ended(Finish::Failed(Failure::Overdue, why))
}

/// Opens a page while its lease holds.
async fn keep_page(context: Context, lease: PageLease, keep: Keep, stop: CancellationToken) {
    let result = tokio::select! {
        result = keep.around(page::page(&context, &lease)) => result,
        () = stop.cancelled() => context.store.in_time(context.store.release_page(&lease, Duration::ZERO)).await,
    };
    match result {
        Ok(()) => {}
        Err(StoreError::LeaseLost) => {
            metrics::lease_lost(metrics::Work::Page);
            tracing::error!("the lease of a page is lost: somebody else works on it now");
        }
        // Reading it again would not help, and whoever waits for the page must hear of it.
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::error!(error = &error as &dyn std::error::Error, "NOBODY WAS PAGED: the page failed");
            metrics::page(metrics::Paged::Failed);
            let why = error.to_string();
            if let Err(error) = keep.around(page::given_up(&context, &lease, &why)).await {
                tracing::error!(error = &error as &dyn std::error::Error, "that the page failed could not be said");
            }
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the page is interrupted, and tried again soon");
            let _ = context.store.in_time(context.store.release_page(&lease, REST)).await;
        }
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
