//! Jenkins' queue: what waits, why, and as which build it leaves.

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use super::build::{Action, cluster_of, users_of};
use super::{Jenkins, clean, refusal};
use outbound::error::Error;
use outbound::permit::Permit;
use runbook::alert::Zone;
use runbook::json::{self, list_or_default, or_default};
use runbook::span::after;

const ITEM: &str = "id,why,stuck,cancelled,inQueueSince,executable[number],task[name,url],\
                    actions[parameters[name,value],causes[userId]]";

/// One item of Jenkins' queue, of whichever job.
#[derive(Clone, Debug)]
pub struct QueueItem {
    /// Its number.
    pub id: u64,
    /// Where it is.
    pub state: ItemState,
    /// CLUSTER, where it has that parameter.
    pub cluster: Option<String>,
    /// Since when it waits, by our clock.
    pub queued_at: Timestamp,
    /// Whether it is of our job.
    pub of_our_job: bool,
    /// Who caused it, once a cause; `None` where that was no user.
    pub caused_by: Vec<Option<String>>,
}

/// Where a queue item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemState {
    /// In the queue.
    Waiting {
        /// Jenkins' reason: `Waiting for next available executor`.
        why: Option<String>,
        /// Jenkins itself thinks that it waits too long.
        stuck: bool,
    },
    /// Out of the queue, its build not there yet.
    Leaving,
    /// Somebody took it out of the queue.
    Cancelled,
    /// It became this build.
    Left(u64),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemDoc {
    id: Option<u64>,
    #[serde(default, deserialize_with = "or_default")]
    why: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    stuck: Option<bool>,
    cancelled: Option<bool>,
    #[serde(default, deserialize_with = "or_default")]
    in_queue_since: Option<i64>,
    executable: Option<Executable>,
    #[serde(default, deserialize_with = "or_default")]
    task: Option<Task>,
    #[serde(default, deserialize_with = "list_or_default")]
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct Executable {
    number: u64,
}

#[derive(Deserialize)]
struct Task {
    #[serde(default, deserialize_with = "or_default")]
    name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    url: Option<String>,
}

#[derive(Deserialize)]
struct QueueDoc {
    /// One that can't be read hides no other: most are of other jobs.
    #[serde(deserialize_with = "json::list")]
    items: Vec<ItemDoc>,
}

/// Our build, where a request for it may or may not have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It waits, as this queue item.
    Waiting(u64),
    /// It runs, or has ended: its number.
    Build(u64),
}

impl Jenkins {
    /// One queue item; `None` when Jenkins has forgotten it (about five minutes after it left the queue).
    ///
    /// # Errors
    /// Jenkins could not be asked, or refused.
    pub async fn queue_item(&self, id: u64, deadline: Timestamp) -> Result<Option<QueueItem>, Error> {
        let url = self.url(&self.root, &format!("queue/item/{id}/api/json"), &[("tree", ITEM)]);
        match self.get::<ItemDoc>(&format!("asking for queue item {id} of {}", self.root), &url, deadline).await {
            Ok(item) => Ok(Some(self.item(id, item))),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All that waits, of all jobs that our user may see.
    ///
    /// # Errors
    /// Jenkins could not be asked, or refused.
    pub async fn queue(&self, deadline: Timestamp) -> Result<Vec<QueueItem>, Error> {
        let url = self.url(&self.root, "queue/api/json", &[("tree", &format!("items[{ITEM}]"))]);
        let queue: QueueDoc = self.get(&format!("asking for the queue of {}", self.root), &url, deadline).await?;
        Ok(queue.items.into_iter().filter_map(|item| Some(self.item(item.id?, item))).collect())
    }

    /// Looks for a build of this zone that waits, runs or has run, was asked for at `since` or later, and is none of
    /// those that are known for something else. The queue is asked first: what leaves it meanwhile is then a build.
    ///
    /// # Errors
    /// Jenkins could not be asked, or refused.
    pub async fn find(
        &self,
        zone: &Zone,
        since: Timestamp,
        known: impl Fn(Found) -> bool,
        deadline: Timestamp,
    ) -> Result<Option<Found>, Error> {
        let waiting = self.queue(deadline).await?.into_iter().find(|item| {
            item.of_our_job
                && item.cluster.as_deref() == Some(zone.as_str())
                && after(item.queued_at, CLOCK_GRACE) >= since
                && matches!(item.state, ItemState::Waiting { .. })
                && !known(Found::Waiting(item.id))
        });
        if let Some(item) = waiting {
            return Ok(Some(Found::Waiting(item.id)));
        }
        let builds = self.builds(deadline).await?;
        let build = builds.into_iter().filter(|build| {
            build.cluster.as_deref() == Some(zone.as_str())
                && after(build.scheduled_at, CLOCK_GRACE) >= since
                && !known(Found::Build(build.number))
                && !build.queue_id.is_some_and(|id| known(Found::Waiting(id)))
        });
        Ok(build.map(|build| build.number).max().map(Found::Build))
    }

    /// Takes an item out of the queue.
    ///
    /// # Errors
    /// Jenkins could not be asked, or refused.
    pub async fn cancel(&self, permit: &Permit, id: u64) -> Result<(), Error> {
        let url = self.url(&self.root, "queue/cancelItem", &[("id", &id.to_string())]);
        let doing = format!("cancelling queue item {id} of {}", self.root);
        permit.held(&doing).await?;
        let response = self.send(&doing, Method::POST, url, &[]).await?;
        // Older cores redirect when it is done.
        if response.status().is_success() || response.status().is_redirection() {
            Ok(())
        } else {
            Err(refusal(&doing, response).await)
        }
    }

    fn item(&self, id: u64, doc: ItemDoc) -> QueueItem {
        let state = match (doc.executable, doc.cancelled) {
            (Some(build), _) => ItemState::Left(build.number),
            (None, Some(true)) => ItemState::Cancelled,
            // Only an item that has left has the field.
            (None, Some(false)) => ItemState::Leaving,
            (None, None) => ItemState::Waiting {
                why: doc.why.as_deref().map(clean).filter(|why| !why.is_empty()),
                stuck: doc.stuck.unwrap_or_default(),
            },
        };
        QueueItem {
            id,
            state,
            cluster: cluster_of(&doc.actions),
            queued_at: self.our_time(doc.in_queue_since.unwrap_or_default()),
            of_our_job: doc.task.is_some_and(|task| self.is_our_job(&task)),
            caused_by: users_of(&doc.actions),
        }
    }

    /// By the job's path, since Jenkins' idea of its host may be wrong; by name where there is no URL.
    fn is_our_job(&self, task: &Task) -> bool {
        let ours = job_path(self.settings.job_url.path());
        match &task.url {
            Some(url) => {
                let path = Url::parse(url).map_or_else(|_| url.clone(), |url| url.path().to_owned());
                job_path(&path) == ours
            }
            None => task.name.is_some() && ours.last().copied() == task.name.as_deref(),
        }
    }
}

/// Two clocks that were compared through headers in whole seconds are this far apart at most.
const CLOCK_GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// The names along a job's path, without views: `/x/job/A/view/All/job/B/` is `A`, `B`.
fn job_path(path: &str) -> Vec<&str> {
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    segments.windows(2).filter(|pair| pair[0] == "job").map(|pair| pair[1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_an_alias() {
        assert_eq!(job_path("/job/A/view/All/job/B/"), ["A", "B"]);
        assert_eq!(job_path("/jenkins/job/A/job/B"), ["A", "B"]);
    }
}
