//! What an older version has left to do for an alert, as tasks: its alert takes it in, once each is due.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::run::context::Context;
use runbook::command::Command;
use runbook::life::{Beside, FollowUp, OpenCommand, PageWatch, RelatedAgain, Resolution};
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

#[derive(Default, Deserialize)]
struct Wait {
    since: Option<Timestamp>,
    #[serde(default)]
    closed_since: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Kept {
    #[serde(flatten)]
    command: Command,
    #[serde(default)]
    refused_since: Option<Timestamp>,
}

/// Hands a task over to its alert.
///
/// # Errors
/// The store, or it can't be read.
pub async fn take_in(context: &Context, task: &Task) -> Result<(), StoreError> {
    let (run_id, due) = (task.run_id.clone().unwrap_or_default(), context.clock.now());
    let wait = || if task.data.is_empty() { Ok(Wait::default()) } else { data::<Wait>(task) };
    let mut left = Beside::default();
    match task.kind {
        // Nobody hands these over.
        TaskKind::Twin | TaskKind::Opening | TaskKind::Edit => return Ok(()),
        TaskKind::FollowUp => left.follow_up = Some(FollowUp { run_id, due }),
        TaskKind::RelatedResolved => {
            let Wait { since, closed_since } = wait()?;
            let since = since.unwrap_or(due);
            left.related_again = Some(RelatedAgain { run_id, since, closed_since, changed_at: None, due });
        }
        TaskKind::Resolution => {
            left.resolution = Some(Resolution { run_id, since: wait()?.since.unwrap_or(due), due });
        }
        TaskKind::Command => {
            let Kept { command, refused_since } = data(task)?;
            left.commands.push(OpenCommand { command, obeyed: None, refused: None, refused_since, due });
        }
        TaskKind::WatchPage => {
            let Watch { page_id, page_url, since, since_there, said } = data(task)?;
            let watch = PageWatch::new(&task.incident_id, &run_id, &page_id, &page_url, since);
            left.page_watches.push(PageWatch { since_there, said, due, ..watch });
        }
    }
    context.store.take_in(task, left).await
}

fn data<T: DeserializeOwned>(task: &Task) -> Result<T, StoreError> {
    serde_json::from_str(&task.data).map_err(|e| StoreError::Corrupt { what: "a task's data", source: e.into() })
}
