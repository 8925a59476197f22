//! What an older version has left to do for an alert, as tasks: its alert takes it in, once each is due.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::run::context::Context;
use runbook::command::Command;
use runbook::life::{Input, PageWatch};
use store::{StoreError, Task, TaskKind};

#[derive(Deserialize)]
struct Watch {
    page_id: String,
    page_url: String,
    since: Timestamp,
    #[serde(default)]
    since_there: Option<Timestamp>,
    #[serde(default)]
    said: bool,
}

/// Hands a task over to its alert.
///
/// # Errors
/// The store, or it can't be read.
pub async fn take_in(context: &Context, task: &Task) -> Result<(), StoreError> {
    let run_id = task.run_id.clone().unwrap_or_default();
    let input = match task.kind {
        // Nobody hands these over.
        TaskKind::Twin | TaskKind::Opening | TaskKind::Edit => return Ok(()),
        TaskKind::FollowUp => Input::MayChange { run_id, after: Duration::ZERO },
        TaskKind::RelatedResolved => Input::Explained { run_id, after: Duration::ZERO },
        TaskKind::Resolution => Input::Ended { run_id },
        TaskKind::Command => Input::Said(data::<Command>(task)?),
        TaskKind::WatchPage => {
            let Watch { page_id, page_url, since, since_there, said } = data(task)?;
            let watch = PageWatch::new(&task.incident_id, &run_id, &page_id, &page_url, since);
            Input::Paged(PageWatch { since_there, said, due: context.clock.now(), ..watch })
        }
    };
    context.store.take_in(task, input).await
}

fn data<T: DeserializeOwned>(task: &Task) -> Result<T, StoreError> {
    serde_json::from_str(&task.data).map_err(|e| StoreError::Corrupt { what: "a task's data", source: e.into() })
}
