//! The job itself, for `doctor`.

use jiff::Timestamp;
use serde::Deserialize;

use super::{CLUSTER, Jenkins};
use crate::upstream::Error;

/// What must be right before a build can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobInfo {
    /// Whether it can be built: it is not disabled.
    pub buildable: bool,
    /// Whether it declares the parameter CLUSTER; one that it doesn't declare would vanish without a word.
    pub takes_cluster: bool,
}

#[derive(Deserialize)]
struct JobDoc {
    buildable: Option<bool>,
    #[serde(default)]
    property: Vec<Option<Property>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Property {
    parameter_definitions: Option<Vec<Definition>>,
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
        let mut definitions = doc.property.into_iter().flatten().filter_map(|p| p.parameter_definitions).flatten();
        Ok(JobInfo {
            buildable: doc.buildable.unwrap_or_default(),
            takes_cluster: definitions.any(|definition| definition.name == CLUSTER),
        })
    }
}
