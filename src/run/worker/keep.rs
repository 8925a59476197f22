//! Works on one item while its claim holds, and ends its claim: a run, an alert, a task.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::run::beside;
use crate::run::context::Context;
use crate::run::deadline::longest_run;
use crate::run::journey::{self, Outcome};
use crate::run::notify;
use crate::run::tasks::{self, Done};
use crate::run::watcher::Watcher;
use runbook::span::show_duration;
use store::{AlertLease, Failure, Finish, Lease, NotifyLease, StoreError, Task, WatchLease};

/// How often a run may be cut off, by kills and crashes, before it is given up.
pub(super) const MOST_CRASHES: i64 = 100;
/// How long a run or an alert rests after the database failed it.
pub(super) const REST: Duration = Duration::from_secs(5);

/// Does something while the claim holds. That it is lost counts first: what waits for the lease must not go on by it.
async fn while_held<T>(context: &Context, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::select! {
        biased;
        () = context.permit.over() => Err(StoreError::LeaseLost),
        result = work => result,
    }
}

/// Does a task while its claim holds.
pub(super) async fn keep_task(context: Context, task: Task, stop: CancellationToken) {
    let result = tokio::select! {
        // On the heap, as in `keep_run`.
        result = while_held(&context, Box::pin(tasks::drive(&context, &task))) => result,
        () = stop.cancelled() => Ok(Done::Later(task.data.clone(), Duration::ZERO)),
    };
    // Nobody waits for it any more: what hangs in the database must not keep a place here for good.
    let result = match result {
        Ok(done) => context.store.in_time(tasks::end(&context.store, &task, &done)).await,
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

/// Tells others while its claim holds.
pub(super) async fn keep_notify(context: Context, lease: NotifyLease, stop: CancellationToken) {
    loop {
        let result = tokio::select! {
            // On the heap, as in `keep_run`.
            result = while_held(&context, Box::pin(notify::drive(&context, &lease))) => result,
            () = stop.cancelled() => {
                let _ = context.store.in_time(context.store.release(lease.claim(), Duration::ZERO)).await;
                return;
            }
        };
        let rested = match result {
            Ok(Some((news, wait))) => context.store.in_time(context.store.rest_notify(&lease, news, wait)).await,
            // It was merged into another, or is gone with its alert.
            Ok(None) => context.store.in_time(context.store.drop_notify(&lease)).await.map(|()| true),
            Err(error) => Err(error),
        };
        match rested {
            Ok(true) => return,
            // Something has changed meanwhile.
            Ok(false) => {}
            Err(StoreError::LeaseLost) => {
                metrics::lease_lost(metrics::Work::Notify);
                tracing::warn!("the claim of what others are told of is lost: somebody else works on it now");
                return;
            }
            // Reading it again would not help.
            Err(error @ StoreError::Corrupt { .. }) => {
                metrics::give_up(metrics::GivenUp::Task);
                tracing::error!(error = &error as &dyn std::error::Error, "something is no longer told to others");
                let _ = context.store.in_time(context.store.drop_notify(&lease)).await;
                return;
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "telling others was interrupted: it is tried again in 5 s"
                );
                let _ = context.store.in_time(context.store.release(lease.claim(), REST)).await;
                return;
            }
        }
    }
}

/// Works on an alert beside its runs while its claim holds.
pub(super) async fn keep_alert(context: Context, lease: AlertLease, stop: CancellationToken) {
    let result = tokio::select! {
        // On the heap, as in `keep_run`.
        result = while_held(&context, Box::pin(beside::turn(&context, &lease))) => result,
        () = stop.cancelled() => {
            let _ = context.store.in_time(context.store.release(lease.claim(), Duration::ZERO)).await;
            return;
        }
    };
    let result = match result {
        Ok(Some(rest)) => context.store.in_time(rest.keep(&context, &lease)).await,
        // It was merged into another, and its item is gone with it: else that ends here.
        Ok(None) => {
            let _ = context.store.in_time(context.store.give_up_alert(&lease)).await;
            return;
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {}
        Err(StoreError::LeaseLost) => {
            metrics::lease_lost(metrics::Work::Alert);
            tracing::warn!("the claim of an alert is lost: somebody else works on it now, or it was merged");
        }
        // Reading it again would not help.
        Err(error @ StoreError::Corrupt { .. }) => {
            metrics::give_up(metrics::GivenUp::Task);
            tracing::error!(error = &error as &dyn std::error::Error, "what is under way for an alert is given up");
            let _ = context.store.in_time(context.store.give_up_alert(&lease)).await;
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "work on an alert was interrupted: it is tried again in 5 s"
            );
            let _ = context.store.in_time(context.store.release(lease.claim(), REST)).await;
        }
    }
}

/// Drives a run while its lease holds.
pub(super) async fn keep_run(context: Context, lease: Lease, stop: CancellationToken) {
    let longest = longest_run(&context.config);
    let left = longest.saturating_sub(lease.spent());
    let result = tokio::select! {
        biased;
        () = std::future::ready(()), if left.is_zero() => Ok(overdue(&context, &lease, longest).await),
        // A run that takes the process down with it must not do so forever.
        () = std::future::ready(()), if lease.crashes() > MOST_CRASHES => {
            let why = format!("it was cut off {} times: see the log before, and run it again", lease.crashes());
            Ok(Outcome::Ended(Finish::Failed(Failure::CutOff, why), Vec::new()))
        }
        // On the heap: a build without optimisation has a copy of it in each frame round it, and a stack of 2 MiB overflows.
        result = while_held(&context, Box::pin(journey::drive(&context, &lease))) => result,
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
        Ok(Outcome::Over(finish)) => {
            say(&finish);
            metrics::run_ended(&finish);
            Ok(())
        }
        Ok(Outcome::Ended(finish, decided)) => {
            say(&finish);
            context
                .store
                .in_time(context.store.finish_decided(&lease, &finish, &decided))
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

fn say(finish: &Finish) {
    match finish {
        Finish::Done => tracing::info!("the run is done"),
        Finish::Cancelled(why) => tracing::info!(why, "the run is cancelled"),
        Finish::Failed(_, why) => tracing::error!(why, "the run failed"),
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
    Outcome::Ended(Finish::Failed(Failure::Overdue, why), Vec::new())
}

/// Makes a turn of looking after something.
pub(super) async fn keep_watch(context: Context, watcher: &dyn Watcher, lease: WatchLease, stop: CancellationToken) {
    let result = tokio::select! {
        result = while_held(&context, watcher.turn(&context, &lease)) => result,
        () = stop.cancelled() => Ok(Duration::ZERO),
    };
    let result = match result {
        Ok(wait) => context.store.in_time(context.store.put_off_watch(&lease, wait)).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {}
        Err(StoreError::LeaseLost) => tracing::warn!("another process looks after this now"),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "what is looked after is interrupted");
            let _ = context.store.in_time(context.store.put_off_watch(&lease, REST)).await;
        }
    }
}
