//! The status check inside a private ingress pod: runbook, "Determine if the private ingress is returning 200 OK from
//! it's status check".

mod exec;
mod forward;
mod http;

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::Portforwarder;

use super::words::{Deed, explain};
use super::{INGRESS_NAMESPACE, reads::Reader};
use crate::Probe;
use runbook::diagnosis::StatusCheck;

/// The port of the status check.
const PORT: u16 = 10443;
/// What the runbook types.
const URL: &str = "http://localhost:10443/status";
/// The container in which the runbook types it.
const CONTAINER: &str = "nginx-ingress";

/// What a pod answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// An HTTP status.
    Status(u16),
    /// A transport fault inside the pod.
    Fault(String),
}

/// Why a pod could not be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Miss {
    /// This way is closed, another may be open.
    Closed(String),
    /// The cluster didn't do it.
    Failed(String),
}

impl Miss {
    fn into_words(self) -> String {
        match self {
            Self::Closed(why) | Self::Failed(why) => why,
        }
    }
}

/// Ends the forwarding, however the question ends: kube would leave its task, and the connection, behind.
pub(crate) struct Open(pub(crate) Option<Portforwarder>);

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(forwarder) = &self.0 {
            forwarder.abort();
        }
    }
}

/// Asks pods for their status check.
pub(super) struct Prober<'a> {
    pub reader: &'a Reader<'a>,
    pub how: Probe,
    /// How long a pod may take to answer.
    pub third: Duration,
}

impl Prober<'_> {
    /// Asks one pod. An error is why it could not be asked, in words; a transport fault inside the pod is an answer.
    pub(super) async fn ask(&self, pod: &str) -> Result<StatusCheck, String> {
        let answer = match self.how {
            Probe::PortForward => self.forward(pod).await.map_err(Miss::into_words),
            Probe::Exec => self.exec(pod).await.map_err(Miss::into_words),
            Probe::Auto => match self.forward(pod).await {
                Ok(answer) => Ok(answer),
                Err(Miss::Failed(why)) => Err(why),
                Err(Miss::Closed(first)) => {
                    self.exec(pod).await.map_err(|second| format!("{first}; and by exec: {}", second.into_words()))
                }
            },
        };
        let (http_status, error) = match answer? {
            Answer::Status(status) => (Some(status), None),
            Answer::Fault(fault) => (None, Some(fault)),
        };
        Ok(StatusCheck { http_status, pod: pod.to_owned(), error })
    }

    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.reader.client.clone(), INGRESS_NAMESPACE)
    }

    /// Why the API server did not open the way to a pod.
    fn miss(&self, error: &kube::Error, resource: &str) -> Miss {
        let deed = Deed { verb: "get", resource, namespace: INGRESS_NAMESPACE };
        let why = explain(error, deed, &self.reader.place);
        match error {
            // 401 is about who we are, 408 and 429 about when: another way would meet the same.
            kube::Error::Api(status) if matches!(status.code, 400 | 403..=407 | 410..=428 | 501) => Miss::Closed(why),
            kube::Error::UpgradeConnection(_) => Miss::Closed(why),
            _ => Miss::Failed(why),
        }
    }

    fn no_way(&self, what: &str, pod: &str, length: Duration) -> Miss {
        Miss::Failed(format!(
            "the API server {} opened no {what} to {pod} within {} (context {})",
            self.reader.place.server,
            runbook::span::show_duration(length),
            self.reader.place.context
        ))
    }
}
