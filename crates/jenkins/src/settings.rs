//! How the job is reached.

use std::time::Duration;

use outbound::secret::Secret;
use url::Url;

/// How the ServiceEndpointStatus job is reached.
#[derive(Clone, Debug)]
pub struct JenkinsSettings {
    /// `JENKINS_JOB_URL` as a person copies it, `view/<name>/` parts taken out, with a final slash.
    pub job_url: Url,
    /// `JENKINS_USER`.
    pub user: String,
    /// `JENKINS_API_TOKEN`, over Basic.
    pub token: Secret,
    /// `JENKINS_TIMEOUT`: one reading over all zones tried, queue included.
    pub timeout: Duration,
    /// `JENKINS_POLL`: how often to ask.
    pub poll: Duration,
    /// `JENKINS_MAX_BUILDS`: builds of ours at a time.
    pub max_builds: usize,
}
