//! Builds: by number, and the last fifty. `lastBuild` is never asked for: it may be anybody's.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{CLUSTER, Jenkins, clean, refusal};
use outbound::error::Error;
use outbound::permit::Permit;
use runbook::json::{self, list_or_default, or_default};
use runbook::span::after;

pub(super) const BUILD: &str =
    "number,queueId,building,result,timestamp,duration,actions[parameters[name,value],causes[userId]]";
/// How many builds back are looked at for ours.
const BACK: usize = 50;

/// One build of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Its number.
    pub number: u64,
    /// Its page, on the configured origin.
    pub url: String,
    /// The queue item that it was.
    pub queue_id: Option<u64>,
    /// Whether it runs.
    pub building: bool,
    /// `SUCCESS`, `UNSTABLE`, `FAILURE`, `NOT_BUILT`, `ABORTED`; may be set while it still runs.
    pub result: Option<String>,
    /// When it was scheduled, by our clock.
    pub scheduled_at: Timestamp,
    /// It was scheduled no earlier than this, by our clock: what is certain of it where Jenkins' clock is off. It began
    /// to run later still, by a wait that Jenkins does not tell.
    pub not_before: Timestamp,
    /// When it ended, by our clock: Jenkins tells when it was scheduled and how long it ran, so this is too early by
    /// the time that it may have waited between. `None` while it runs.
    pub ended_at: Option<Timestamp>,
    /// The CLUSTER that it really ran with; `None` where it has no such parameter.
    pub cluster: Option<String>,
    /// Who caused it, once a cause; `None` where that was no user.
    pub caused_by: Vec<Option<String>>,
}

impl Build {
    /// Whether it has ended: it does not run and has a result.
    pub fn is_done(&self) -> bool {
        !self.building && self.result.is_some()
    }
}

/// The last builds, asked for early. Dropped, they are not asked for any longer.
#[derive(Debug)]
pub struct Early {
    /// As [`Jenkins::begun`] was before.
    pub begun: u64,
    builds: AbortOnDropHandle<Result<Vec<Build>, Error>>,
}

impl Early {
    /// The builds; `None` where they could not be asked for.
    pub async fn builds(self) -> Option<Vec<Build>> {
        self.builds.await.ok()?.ok()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BuildDoc {
    number: u64,
    #[serde(default, deserialize_with = "or_default")]
    queue_id: Option<i64>,
    building: Option<bool>,
    result: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    timestamp: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    duration: Option<i64>,
    #[serde(default, deserialize_with = "list_or_default")]
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct BuildsDoc {
    /// One that can't be read hides no other.
    #[serde(deserialize_with = "json::list")]
    builds: Vec<BuildDoc>,
}

/// One element of `actions`; most are empty, each carries at most one of these.
#[derive(Deserialize)]
pub(super) struct Action {
    #[serde(default, deserialize_with = "list_or_default")]
    parameters: Vec<Parameter>,
    #[serde(default, deserialize_with = "list_or_default")]
    causes: Vec<Value>,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(default, deserialize_with = "or_default")]
    name: Option<String>,
    value: Option<Value>,
}

/// CLUSTER among the parameters.
pub(super) fn cluster_of(actions: &[Action]) -> Option<String> {
    let parameters = actions.iter().flat_map(|action| &action.parameters);
    let mut clusters = parameters.filter(|parameter| parameter.name.as_deref() == Some(CLUSTER));
    clusters.find_map(|parameter| Some(parameter.value.as_ref()?.as_str()?.to_owned()))
}

/// The user of every cause. One that can't be read counts as somebody else's: a build that others wait for is not stopped.
pub(super) fn users_of(actions: &[Action]) -> Vec<Option<String>> {
    let causes = actions.iter().flat_map(|action| &action.causes);
    causes.map(|cause| cause["userId"].as_str().map(str::to_owned)).collect()
}

impl Jenkins {
    /// One build; `None` when there is none of this number.
    ///
    /// # Errors
    /// Jenkins could not be asked, or refused.
    pub async fn build(&self, number: u64, deadline: Timestamp) -> Result<Option<Build>, Error> {
        let url = self.url(&self.settings.job_url, &format!("{number}/api/json"), &[("tree", BUILD)]);
        let doing = format!("asking for {}", self.build_url(number));
        match self.get::<BuildDoc>(&doing, &url, deadline).await {
            Ok(doc) if doc.number == number => Ok(Some(self.to_build(doc))),
            Ok(doc) => Err(Error::malformed(doing, format!("build #{} instead", doc.number))),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The last fifty builds, newest first, whoever started them. Asked for once for all who ask at once.
    ///
    /// # Errors
    /// Jenkins could not be asked, or refused.
    pub async fn builds(&self, deadline: Timestamp) -> Result<Vec<Build>, Error> {
        self.listing.ask(|| self.list_builds(deadline)).await
    }

    /// Begins to ask for the last builds, before it is known whether they are needed.
    pub fn ask_early(self: &Arc<Self>, deadline: Timestamp) -> Early {
        let (begun, jenkins) = (self.begun(), Arc::clone(self));
        let asks = async move { jenkins.builds(deadline).await };
        Early { begun, builds: AbortOnDropHandle::new(tokio::spawn(asks.in_current_span())) }
    }

    async fn list_builds(&self, deadline: Timestamp) -> Result<Vec<Build>, Error> {
        let tree = format!("builds[{BUILD}]{{0,{BACK}}}");
        let url = self.url(&self.settings.job_url, "api/json", &[("tree", &tree)]);
        let doing = format!("asking for the last builds of {}", self.settings.job_url);
        let docs: BuildsDoc = self.get(&doing, &url, deadline).await?;
        Ok(docs.builds.into_iter().map(|doc| self.to_build(doc)).collect())
    }

    /// Stops a build.
    ///
    /// # Errors
    /// Jenkins could not be asked, or refused.
    pub async fn stop(&self, permit: &Permit, number: u64) -> Result<(), Error> {
        let doing = format!("stopping {}", self.build_url(number));
        permit.held(&doing).await?;
        let url = self.url(&self.settings.job_url, &format!("{number}/stop"), &[]);
        let response = self.send(&doing, Method::POST, url, &[]).await?;
        // Jenkins redirects to the build's page when it is done.
        if response.status().is_success() || response.status().is_redirection() {
            Ok(())
        } else {
            Err(refusal(&doing, response).await)
        }
    }

    /// Whether all these causes are one, and that is our user: nobody else waits for the build.
    pub fn is_ours_alone(&self, caused_by: &[Option<String>]) -> bool {
        // Jenkins' user ids don't tell upper from lower case.
        matches!(caused_by, [Some(user)] if user.eq_ignore_ascii_case(&self.settings.user))
    }

    pub(super) fn to_build(&self, doc: BuildDoc) -> Build {
        let building = doc.building.unwrap_or_default();
        let timestamp = doc.timestamp.unwrap_or_default();
        let scheduled_at = self.our_time(timestamp);
        let length = Duration::from_millis(doc.duration.and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default());
        Build {
            number: doc.number,
            url: self.build_url(doc.number),
            queue_id: doc.queue_id.and_then(|id| u64::try_from(id).ok()),
            building,
            result: doc.result.as_deref().map(clean),
            scheduled_at,
            not_before: self.our_time_at_least(timestamp),
            ended_at: (!building).then(|| after(scheduled_at, length)),
            cluster: cluster_of(&doc.actions),
            caused_by: users_of(&doc.actions),
        }
    }
}
