//! The plain questions: a config map, lists of pods.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::ListParams;
use kube::{Api, Client};

use super::words::{Deed, Place, explain, is_name, tame};
use super::{KONICLE, printer};
use crate::clock::{Clock, after};
use crate::diagnosis::{Konicle, PodLine};
use crate::upstream::Retries;
use jiff::Timestamp;

/// Pods asked for at a time.
const PAGE: u32 = 250;
/// Pages read at most: a cluster of IKS runs at most some thousand pods.
const MOST_PAGES: usize = 40;
/// Matching pods kept at most: a zone has two private ingress pods.
const MOST_PODS: usize = 50;
/// How often a question is asked in all, where the cluster fails to answer it.
const TRIES: u32 = 3;

/// One cluster, ready to be asked.
pub(super) struct Reader<'a> {
    pub client: Client,
    pub place: Place,
    pub clock: &'a Clock,
    pub deadline: Timestamp,
}

impl Reader<'_> {
    /// konicle's two switches; `None` where there is no such config map.
    pub(super) async fn konicle(&self) -> Result<Option<Konicle>, String> {
        let namespace = self.place.namespace.as_str();
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let map = self
            .retried(|| maps.get_opt(KONICLE))
            .await
            .map_err(|e| explain(&e, Deed { verb: "get", resource: "configmaps", namespace }, &self.place))?;
        let Some(map) = map else { return Ok(None) };
        let value = |key: &str| map.data.as_ref()?.get(key).map(|v| tame(v, 60));
        Ok(Some(Konicle { ready: value("ready"), private_override: value("private-override") }))
    }

    /// The pods of a namespace whose names are wanted, by name, as kubectl prints them; with warnings.
    pub(super) async fn pods(
        &self,
        namespace: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(Vec<PodLine>, Vec<String>), String> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let mut found = Vec::new();
        let mut warnings = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        for page in 1.. {
            let list = self
                .retried(|| api.list(&params))
                .await
                .map_err(|e| explain(&e, Deed { verb: "list", resource: "pods", namespace }, &self.place))?;
            for pod in &list.items {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                if !wanted(name) {
                    continue;
                }
                if is_name(name) {
                    found.push(printer::line(pod, name));
                } else {
                    warnings.push(format!("a pod of {namespace} has no proper name: {:?}", tame(name, 60)));
                }
            }
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                None => break,
                Some(_) if page == MOST_PAGES => {
                    warnings.push(format!("{namespace} has more than {} pods: the rest was not read", page * 250));
                    break;
                }
                Some(token) => params.continue_token = Some(token),
            }
        }
        found.sort_by(|a: &PodLine, b| a.name.cmp(&b.name));
        if found.len() > MOST_PODS {
            warnings.push(format!("{} pods of {namespace} match: only {MOST_PODS} are shown", found.len()));
            found.truncate(MOST_PODS);
        }
        warnings.truncate(5);
        Ok((found, warnings))
    }

    /// Whether the API server still answers, whatever it says.
    pub(super) async fn answers(&self, namespace: &str, pod: &str) -> bool {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        !matches!(api.get_metadata(pod).await, Err(e) if is_transport(&e))
    }

    /// Asks again where the cluster failed to answer, as long as there is time.
    async fn retried<T, F: Future<Output = kube::Result<T>>>(&self, mut ask: impl FnMut() -> F) -> kube::Result<T> {
        for next in 2.. {
            let answer = ask().await;
            crate::metrics::request("cluster", status(&answer));
            let error = match answer {
                Err(e) if next <= TRIES && is_worth_a_retry(&e) => e,
                result => return result,
            };
            let wait = Retries::READ.wait_before(next, asked_wait(&error), self.clock.jitter());
            if after(self.clock.now(), wait) >= self.deadline {
                return Err(error);
            }
            tracing::debug!(error = %error, context = self.place.context, "asking the cluster again");
            crate::metrics::retry("cluster");
            self.clock.sleep(wait).await;
        }
        unreachable!("the last try returns")
    }
}

/// The wait that an API server asks for. It says the same in `Retry-After`, which kube does not show.
fn asked_wait(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else { return None };
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

fn is_worth_a_retry(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 429 | 500 | 502..=504),
        other => is_transport(other),
    }
}

/// The status that an API server answered with, `None` where it did not.
pub(super) fn status<T>(answer: &kube::Result<T>) -> Option<u16> {
    match answer {
        Ok(_) => Some(200),
        Err(kube::Error::Api(status)) => Some(status.code),
        Err(_) => None,
    }
}

fn is_transport(error: &kube::Error) -> bool {
    matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_))
}
