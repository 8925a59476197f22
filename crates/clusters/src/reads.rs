//! The plain questions: a config map, lists of pods.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use kube::api::{GetParams, ListParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::Value;

use super::ask::ask;
use super::pod::PodList;
use super::words::{Deed, Place, explain, is_name, tame};
use super::{KONICLE, printer};
use jiff::Timestamp;
use outbound::clock::Clock;
use outbound::metrics::{Asking, Upstream};
use outbound::retry::Retries;
use runbook::diagnosis::{Konicle, PodLine};
use runbook::span::after;

/// Pods asked for at a time.
const PAGE: u32 = 250;
/// Pages read at most: a cluster of IKS runs at most some thousand pods.
const MOST_PAGES: usize = 40;
/// Matching pods kept at most: a zone has two private ingress pods.
const MOST_PODS: usize = 50;
/// How often a question is asked in all, where the cluster fails to answer it.
const TRIES: u32 = 3;

/// A config map, as far as it is looked at.
#[derive(Deserialize)]
struct ConfigMap {
    /// Without it, something else has answered.
    #[serde(rename = "kind")]
    _kind: ConfigMapKind,
    data: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
enum ConfigMapKind {
    ConfigMap,
}

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
        let maps = Request::new(format!("/api/v1/namespaces/{namespace}/configmaps"));
        let ask = || ask::<ConfigMap>(&self.client, maps.get(KONICLE, &GetParams::default()));
        let map = match self.retried(ask).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            map => {
                map.map_err(|e| explain(&e, Deed { verb: "get", resource: "configmaps", namespace }, &self.place))?
            }
        };
        // One that is no text, as its author may have meant it: as kubectl prints it.
        let value = |key: &str| match map.data.as_ref()?.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(tame(text, 60)),
            other => Some(tame(&other.to_string(), 60)),
        };
        Ok(Some(Konicle { ready: value("ready"), private_override: value("private-override") }))
    }

    /// The pods of a namespace whose names are wanted, by name, as kubectl prints them; with warnings. That none of them
    /// is Running is not said where one can't be read.
    pub(super) async fn pods(
        &self,
        namespace: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(Vec<PodLine>, Vec<String>), String> {
        let pods = Request::new(format!("/api/v1/namespaces/{namespace}/pods"));
        let (mut found, mut warnings, mut unread, mut nameless) = (Vec::new(), Vec::new(), Vec::new(), 0_usize);
        let mut params = ListParams::default().limit(PAGE);
        let (mut pages, mut expired) = (0, 0);
        loop {
            let ask = async || ask::<PodList>(&self.client, pods.list(&params)).await?.pods();
            let (page, next) = match self.retried(ask).await {
                // The place in a list is kept for some minutes only, or for less. As kubectl does: again from its beginning;
                // where that doesn't help, all of it at once.
                Err(kube::Error::Api(status))
                    if status.code == 410 && params.continue_token.is_some() && expired < TRIES =>
                {
                    expired += 1;
                    params = if expired < TRIES { ListParams::default().limit(PAGE) } else { ListParams::default() };
                    (found, warnings, unread, nameless, pages) = (Vec::new(), Vec::new(), Vec::new(), 0, 0);
                    continue;
                }
                page => {
                    page.map_err(|e| explain(&e, Deed { verb: "list", resource: "pods", namespace }, &self.place))?
                }
            };
            pages += 1;
            for pod in page {
                let pod = match pod {
                    Ok(pod) => pod,
                    Err(Some(name)) if !wanted(&name) => continue,
                    Err(Some(name)) => {
                        unread.push(format!("a pod of {namespace} can't be read: {}", tame(&name, 80)));
                        continue;
                    }
                    Err(None) => {
                        nameless += 1;
                        continue;
                    }
                };
                let name = pod.metadata.name.as_str();
                if !wanted(name) {
                    continue;
                }
                if is_name(name) {
                    found.push(printer::line(&pod, name));
                } else {
                    warnings.push(format!("a pod of {namespace} has no proper name: {:?}", tame(name, 60)));
                }
            }
            match next {
                None => break,
                Some(_) if pages == MOST_PAGES => {
                    warnings.push(format!("{namespace} has more than {} pods: the rest was not read", pages * 250));
                    break;
                }
                Some(token) => params.continue_token = Some(token),
            }
        }
        if nameless > 0 {
            unread.insert(0, format!("{nameless} entries of the list of pods of {namespace} can't be read: left out"));
        }
        found.sort_by(|a: &PodLine, b| a.name.cmp(&b.name));
        if let Some(first) = unread.last()
            && !found.iter().any(|pod| pod.status == "Running")
        {
            return Err(format!("no pod that can be read is Running, and {first} (context {})", self.place.context));
        }
        warnings.splice(0..0, unread);
        if found.len() > MOST_PODS {
            warnings.push(format!("{} pods of {namespace} match: only {MOST_PODS} are shown", found.len()));
            found.truncate(MOST_PODS);
        }
        warnings.truncate(5);
        Ok((found, warnings))
    }

    /// Whether the API server still answers, whatever it says.
    pub(super) async fn answers(&self, namespace: &str, pod: &str) -> bool {
        let api: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::namespaced(self.client.clone(), namespace);
        !matches!(api.get_metadata(pod).await, Err(e) if is_transport(&e))
    }

    /// Asks again where the cluster failed to answer, as long as there is time.
    async fn retried<T, F: Future<Output = kube::Result<T>>>(&self, mut ask: impl FnMut() -> F) -> kube::Result<T> {
        for next in 2.. {
            let asking = Asking::begin(Upstream::Cluster);
            let answer = ask().await;
            asking.ended(status(&answer));
            let error = match answer {
                Err(e) if next <= TRIES && is_worth_a_retry(&e) => e,
                result => return result,
            };
            let wait = Retries::READ.wait_before(next, asked_wait(&error), self.clock.jitter());
            if after(self.clock.now(), wait) >= self.deadline {
                return Err(error);
            }
            tracing::debug!(error = %error, context = self.place.context, "asking the cluster again");
            outbound::metrics::retry(outbound::metrics::Asker::Cluster);
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
