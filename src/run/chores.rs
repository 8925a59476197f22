//! Things done for an alert beside its runs: commands by note, second looks, watching a page, the last word.
//!
//! Each is claimed like a run, looks at how things stand, does one thing or puts itself off. It may be done again from
//! its start after a crash, so whatever it does is keyed, or looked for first. To add one: name it in `ChoreKind`, give
//! it a file here, and an arm in [`drive`].

mod ask;
mod command;
mod follow_up;
mod related_resolved;
mod resolution;
#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
mod watch_page;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Chore, ChoreKind, StoreError};

use super::tools::Tools;

pub use related_resolved::related_resolved_chore;
pub use resolution::resolution_chore;
pub use watch_page::watch_page_chore;

/// What became of a chore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is done, or has become pointless.
    Finished,
    /// It is to be looked at again, with this data, in so long.
    Later(String, Duration),
}

/// Does one chore. It may be done again from its start after a crash.
///
/// # Errors
/// The store.
pub async fn drive(tools: &Tools, chore: &Chore) -> Result<Done, StoreError> {
    let done = match chore.kind {
        ChoreKind::Command => command::answer(tools, chore).await,
        ChoreKind::RelatedResolved => related_resolved::look(tools, chore).await,
        ChoreKind::FollowUp => follow_up::look_again(tools, chore).await,
        ChoreKind::WatchPage => watch_page::watch(tools, chore).await,
        ChoreKind::Resolution => resolution::tell(tools, chore).await,
    };
    match done {
        // Reading it again would not help.
        Err(error @ StoreError::Corrupt { .. }) => {
            crate::metrics::give_up("chore");
            tracing::error!(error = &error as &dyn std::error::Error, chore = ?chore, "a chore is given up");
            Ok(Done::Finished)
        }
        done => done,
    }
}

/// What a chore keeps from one look to the next; one that is new has none.
fn kept<T: DeserializeOwned + Default>(chore: &Chore) -> Result<T, StoreError> {
    if chore.data.is_empty() {
        return Ok(T::default());
    }
    data(chore)
}

fn data<T: DeserializeOwned>(chore: &Chore) -> Result<T, StoreError> {
    serde_json::from_str(&chore.data).map_err(|e| StoreError::Corrupt { what: "a chore's data", source: e.into() })
}

fn later<T: Serialize>(keep: &T, wait: Duration) -> Result<Done, StoreError> {
    let data = serde_json::to_string(keep)
        .map_err(|e| StoreError::Corrupt { what: "a chore's data to be stored", source: e.into() })?;
    // A wait of nothing would keep a worker busy.
    Ok(Done::Later(data, wait.max(Duration::from_millis(100))))
}
