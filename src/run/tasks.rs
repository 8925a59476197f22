//! What is seen to after a write that is in doubt: its twin, a page that may open late, the newest text of a note.
//!
//! Each is claimed like a run, looks at how things stand, does one thing or puts itself off. It may be done again from
//! its start after a crash, so whatever it does is keyed, or looked for first.

mod edit;
mod opening;
#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
mod twin;
mod twin_build;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use runbook::writes::key::{FoundBy, found_by};
use store::{Store, StoreError, Task, TaskKind};

use super::beside::take_in;
use super::context::Context;

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is done, or has become pointless.
    Finished,
    /// It is to be looked at again, with this data, in so long.
    Later(String, Duration),
    /// Its alert has taken it in: there is no such task any more.
    TakenIn,
}

/// Does one task. It may be done again from its start after a crash.
///
/// # Errors
/// The store.
pub async fn drive(context: &Context, task: &Task) -> Result<Done, StoreError> {
    let done = match task.kind {
        TaskKind::Twin => match found_by(&task.data) {
            FoundBy::Build { run_id, zone } => twin_build::look(context, task, run_id, zone).await,
            _ => twin::look(context, task).await,
        },
        TaskKind::Opening => opening::look(context, task).await,
        TaskKind::Edit => edit::see_to(context, task).await,
        TaskKind::Command
        | TaskKind::RelatedResolved
        | TaskKind::FollowUp
        | TaskKind::WatchPage
        | TaskKind::Resolution => take_in(context, task).await.map(|()| Done::TakenIn),
    };
    match done {
        // What is not known keeps the region's others from being opened by themselves: people are to see to it.
        Err(error @ StoreError::Corrupt { .. }) if task.kind == TaskKind::Opening => {
            tracing::error!(error = &error as &dyn std::error::Error, task = ?task, "a page can't be looked for");
            Ok(Done::Later(String::new(), opening::SELDOM))
        }
        // Reading it again would not help.
        Err(error @ StoreError::Corrupt { .. }) => {
            crate::metrics::give_up(crate::metrics::GivenUp::Task);
            tracing::error!(error = &error as &dyn std::error::Error, task = ?task, "a task is given up");
            Ok(Done::Finished)
        }
        done => done,
    }
}

/// Keeps what became of a task, and gives its claim back.
///
/// # Errors
/// The store.
pub async fn end(store: &Store, task: &Task, done: &Done) -> Result<(), StoreError> {
    match done {
        Done::Finished => store.finish_task(task).await,
        Done::TakenIn => Ok(()),
        Done::Later(data, wait) => store.put_off_task(task, data, *wait).await,
    }
}

/// What a task keeps from one look to the next; one that is new has none.
fn kept<T: DeserializeOwned + Default>(task: &Task) -> Result<T, StoreError> {
    if task.data.is_empty() {
        return Ok(T::default());
    }
    data(task)
}

fn data<T: DeserializeOwned>(task: &Task) -> Result<T, StoreError> {
    serde_json::from_str(&task.data).map_err(|e| StoreError::Corrupt { what: "a task's data", source: e.into() })
}

fn later<T: Serialize>(keep: &T, wait: Duration) -> Result<Done, StoreError> {
    let data = serde_json::to_string(keep)
        .map_err(|e| StoreError::Corrupt { what: "a task's data to be stored", source: e.into() })?;
    // A wait of nothing would keep a worker busy.
    Ok(Done::Later(data, wait.max(Duration::from_millis(100))))
}
