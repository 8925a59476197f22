//! The job itself, for `doctor`.

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{CLUSTER, Jenkins, refusal};
use outbound::error::Error;
use runbook::json::list_or_default;

/// What must be right before a build can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobInfo {
    /// Whether it can be built: it is not disabled.
    pub buildable: bool,
    /// Whether it declares the parameter CLUSTER; one that it doesn't declare would vanish without a word.
    pub takes_cluster: bool,
}

/// Whether the user may start builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayBuild {
    /// Jenkins offers it to this user.
    Yes,
    /// Jenkins offers this user what can be done with the job, and building is not among it.
    No,
    /// The job's page does not tell.
    Unknown,
}

/// How much of the job's page is read: what can be done stands near its beginning.
const MAX_PAGE: usize = 1024 * 1024;
/// The link that starts a build, or asks for its parameters; Jenkins shows it to those who have Job/Build.
const BUILD_LINK: &str = "/build?delay=0sec";
/// What every entry of the menu beside a job has, in all cores seen.
const MENU: &str = "task-link";

#[derive(Deserialize)]
struct JobDoc {
    buildable: Option<bool>,
    #[serde(default, deserialize_with = "list_or_default")]
    property: Vec<Property>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Property {
    #[serde(default, deserialize_with = "list_or_default")]
    parameter_definitions: Vec<Definition>,
}

#[derive(Deserialize)]
struct Definition {
    name: String,
}

impl Jenkins {
    /// Asks whether the job is there, can be built, and takes CLUSTER. Starts nothing.
    ///
    /// # Errors
    /// Jenkins could not be asked, or refused.
    pub async fn job(&self, deadline: Timestamp) -> Result<JobInfo, Error> {
        let tree = "buildable,property[parameterDefinitions[name]]";
        let url = self.url(&self.settings.job_url, "api/json", &[("tree", tree)]);
        let doc: JobDoc = self.get(&format!("asking for the job {}", self.settings.job_url), &url, deadline).await?;
        let mut definitions = doc.property.into_iter().flat_map(|p| p.parameter_definitions);
        Ok(JobInfo {
            buildable: doc.buildable.unwrap_or_default(),
            takes_cluster: definitions.any(|definition| definition.name == CLUSTER),
        })
    }

    /// Whether the user may start builds, by the menu of the job's page. Starts nothing.
    ///
    /// The API does not tell, and asking the address that starts builds by GET would start one on older cores, which take
    /// an API token for a person's yes.
    ///
    /// # Errors
    /// Jenkins could not be asked, or refused.
    pub async fn may_build(&self) -> Result<MayBuild, Error> {
        let doing = format!("asking for the page of the job {}", self.settings.job_url);
        let mut response = self.send(&doing, Method::GET, self.settings.job_url.clone(), &[]).await?;
        if response.status() != StatusCode::OK {
            return Err(refusal(&doing, response).await);
        }
        let mut page = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| Error::transport(&doing, e))? {
            page.extend_from_slice(&chunk);
            if page.len() > MAX_PAGE {
                break;
            }
        }
        let page = String::from_utf8_lossy(&page);
        Ok(match (page.contains(BUILD_LINK), page.contains(MENU)) {
            (true, _) => MayBuild::Yes,
            (false, true) => MayBuild::No,
            (false, false) => MayBuild::Unknown,
        })
    }
}
