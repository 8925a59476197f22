//! Starting a build. One request, never repeated here: whoever asks looks for the build first.

use reqwest::{Method, Response, StatusCode};

use super::{CLUSTER, Jenkins, refusal};
use outbound::error::{Error, Kind};
use outbound::permit::Permit;
use runbook::alert::Zone;

/// How much of a 500's page is searched for its reason.
const PAGE: usize = 64 * 1024;

/// A build was asked for and will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It waits in the queue.
    Item {
        /// The queue item's number.
        id: u64,
        /// Whether the item is new. If not, an equal one waited already, and it is not ours alone. Older cores say
        /// new in both cases.
        fresh: bool,
    },
    /// Jenkins took it, but did not say as what (a proxy spoils `Location`): it is to be looked for.
    Unnamed,
}

impl Jenkins {
    /// Runs the job with CLUSTER set to this zone.
    ///
    /// # Errors
    /// [`Kind::Refused`] and [`Kind::Later`]: it was not started. [`Kind::Ambiguous`]: it may have been: look with
    /// [`Jenkins::find`] before asking again.
    pub async fn start(&self, permit: &Permit, zone: &Zone) -> Result<Started, Error> {
        permit.held("starting a build").await?;
        let started = self.start_once(zone).await;
        self.outage.observe("POST", started.as_ref().err());
        started
    }

    async fn start_once(&self, zone: &Zone) -> Result<Started, Error> {
        let url = self.url(&self.settings.job_url, "buildWithParameters", &[("delay", "0sec")]);
        let doing = format!("starting a build of {} with {CLUSTER}={zone}", self.settings.job_url);
        let response = self.send(&doing, Method::POST, url, &[(CLUSTER, zone.as_str())]).await?;
        let location = response.headers().get("location").and_then(|l| l.to_str().ok());
        match response.status() {
            status @ (StatusCode::CREATED | StatusCode::SEE_OTHER) => match location.and_then(queue_id) {
                Some(id) => Ok(Started::Item { id, fresh: status == StatusCode::CREATED }),
                // A 303 to elsewhere is a sign-in page's way, not Jenkins'.
                None if status == StatusCode::SEE_OTHER => Err(refusal(&doing, response).await),
                None => Ok(Started::Unnamed),
            },
            StatusCode::FOUND if location.is_some_and(|l| l == "." || self.is_the_job(l)) => Err(Error {
                doing,
                got: "302 back to the job's page: Jenkins did not queue it".into(),
                advice: Some("is the job held, or Jenkins about to shut down? A person who opens the job sees why"),
                kind: Kind::Refused(StatusCode::FOUND),
                source: None,
            }),
            StatusCode::INTERNAL_SERVER_ERROR => Err(internal_error(doing, response).await),
            // A gateway may say so after it passed the request on.
            StatusCode::SERVICE_UNAVAILABLE => Err(Error { kind: Kind::Ambiguous, ..refusal(&doing, response).await }),
            _ => Err(refusal(&doing, response).await),
        }
    }

    fn is_the_job(&self, location: &str) -> bool {
        self.settings.job_url.join(location).is_ok_and(|target| target.path() == self.settings.job_url.path())
    }
}

/// The queue item's number in a `Location`; all else in there is not ours to believe.
fn queue_id(location: &str) -> Option<u64> {
    let (_, rest) = location.rsplit_once("/queue/item/")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Older cores answer a job without parameters with 500; any other 500 may or may not have started a build.
async fn internal_error(doing: String, mut response: Response) -> Error {
    let status = response.status();
    let mut page = Vec::new();
    while page.len() < PAGE {
        match response.chunk().await {
            Ok(Some(chunk)) => page.extend_from_slice(&chunk[..chunk.len().min(PAGE)]),
            Ok(None) | Err(_) => break,
        }
    }
    let page = String::from_utf8_lossy(&page);
    let (kind, got, advice) = if page.contains("is not parameterized") || page.contains("is not parameterised") {
        let advice = "does the job still take the parameter CLUSTER?";
        (Kind::Refused(status), format!("{status}: the job takes no parameters"), advice)
    } else {
        let advice = "Jenkins' own log has the reason; older Jenkins answers so when the job takes no parameters";
        (Kind::Ambiguous, status.to_string(), advice)
    };
    Error { doing, got, advice: Some(advice), kind, source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_location_only_the_number_counts() {
        for (location, id) in [
            ("https://jenkins.example/queue/item/42/", Some(42)),
            ("http://10.0.0.1:8080/prefix/queue/item/7", Some(7)),
            ("/queue/item/9/api", Some(9)),
            ("https://jenkins.example/queue/item//", None),
            ("https://jenkins.example/queue/item/x/", None),
            ("https://jenkins.example/queue/item/99999999999999999999/", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(queue_id(location), id, "{location}");
        }
    }
}
