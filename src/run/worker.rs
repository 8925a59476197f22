//! Claims what is due, and works on it while the claim holds: a run, an alert beside its runs, a task, something that is
//! watched, each in a task of its own.

mod held;
mod keep;

use std::sync::Arc;

use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::watcher::Watcher;
use held::{Held, LOOK_AGAIN};

/// Works until `stop`, then gives back what it holds. `watchers` are what this process may look after.
///
/// # Errors
/// A task died of something else than its own work: the process must end and say so, rather than go on as half a service.
pub async fn work(context: Context, watchers: Vec<Arc<dyn Watcher>>, stop: CancellationToken) -> Result<(), JoinError> {
    let mut held = Held::new(&context, watchers);
    while !stop.is_cancelled() {
        held.take(&context, &stop);
        // `something_due` keeps a permit, so that nothing is missed between the look and the wait.
        let (due, mut wait) = held.due(&context).await.unwrap_or_else(|error| {
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
            () = context.clock.sleep(held.renew_in(&context)), if held.may_hold(&context) => held.renew(&context).await,
            Some(ended) = held.tasks.join_next_with_id() => held.ended(&context, ended).await?,
        }
    }
    // What was made for it at the last moment is given back with the rest.
    held.taker.close();
    held.take(&context, &stop);
    while let Some(ended) = held.tasks.join_next_with_id().await {
        held.ended(&context, ended).await?;
    }
    Ok(())
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
