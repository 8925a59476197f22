//! The healthcheck cluster's exporter is asked, by port-forward, whether it reaches front ends. Runbook: "there is a problem
//! getting from the `registry-healthcheck` cluster to the Magic Box on it's front end IP".

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use url::form_urlencoded;

use super::probe::Open;
use super::reads::Reader;
use super::words::{Deed, explain, tame};
use super::{ClusterSettings, is_fully_ready, kubeconfig, within};
use outbound::clock::Clock;
use outbound::metrics::{Asking, Upstream};
use runbook::alert::Zone;
use runbook::diagnosis::PodLine;
use runbook::diagnosis::client::front_end::{is_within, read_probe};
use runbook::diagnosis::client::{FrontEndLook, Reached};
use runbook::span::{after, between, show_duration};

/// How many front ends are asked at a time.
const AT_ONCE: usize = 8;
/// How many pods are tried for one front end.
const PODS: usize = 2;
/// How much of the exporter's text is read; it has a few dozen lines.
const MAX_TEXT: usize = 1024 * 1024;
/// The exporter is to give its answer so long before our time is over.
const MARGIN: Duration = Duration::from_millis(200);
/// The header by which a blackbox exporter is told how long it may take.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// Where the exporter is, and what it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exporter {
    /// The kubeconfig context of the healthcheck cluster.
    pub context: String,
    /// The namespace of its pods.
    pub namespace: String,
    /// How their names begin.
    pub pod_prefix: String,
    /// The port on which it listens.
    pub port: u16,
    /// `module` of `/probe`.
    pub module: String,
    /// `target` of `/probe`, with `{front_end}` where the address is to stand.
    pub target: String,
}

impl Exporter {
    fn path(&self, address: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("module", &self.module)
            .append_pair("target", &self.target.replace("{front_end}", address))
            .finish();
        format!("/probe?{query}")
    }
}

/// What the healthcheck cluster is called in words.
pub(super) fn zone() -> Zone {
    Zone::new("the healthcheck cluster")
}

/// Asks the exporter for each of these addresses, within 166.8.0.0/14 only; `answered` is told of each as soon as it is known.
/// By `deadline` all are: what came to nothing is [`Reached::Unknown`], with the reason in words to act on.
pub async fn ask_front_ends(
    settings: &ClusterSettings,
    exporter: &Exporter,
    addresses: &[String],
    clock: &Clock,
    deadline: Timestamp,
    answered: impl Fn(FrontEndLook),
) {
    let left: Mutex<Vec<String>> = Mutex::new(addresses.iter().filter(|address| is_within(address)).cloned().collect());
    let still = || left.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if still().is_empty() {
        return;
    }
    // As people's clocks have it: it is shown, and nothing goes by it.
    let time = || clock.shown(clock.now());
    let tell = |address: &str, said: Result<Reached, String>| {
        left.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| *known != address);
        let (result, why) = match said {
            Ok(result) => (result, None),
            Err(why) => (Reached::Unknown, Some(why)),
        };
        answered(FrontEndLook { address: address.to_owned(), result, why, at: time() });
    };
    let stage = Mutex::new(String::new());
    let set = |what: String| *stage.lock().unwrap_or_else(PoisonError::into_inner) = what;
    let limit = between(clock.now(), deadline);
    let asking = async {
        let asker = match Asker::open(settings, exporter, clock, deadline, &set).await {
            Ok(asker) => asker,
            Err(why) => return still().iter().for_each(|address| tell(address, Err(why.clone()))),
        };
        set("the exporter did not answer".to_owned());
        let mut questions = Vec::new();
        for address in still() {
            questions.push(asker.about(address).boxed());
        }
        let mut asked = stream::iter(questions).buffer_unordered(AT_ONCE);
        while let Some((address, said)) = asked.next().await {
            tell(&address, said);
        }
    };
    if within(clock, limit, asking).await.is_none() {
        let why = stage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let why = format!("{why} within {}", show_duration(limit));
        still().iter().for_each(|address| tell(address, Err(why.clone())));
    }
}

/// The names of the exporter's running pods, the fully ready ones first: for `doctor`.
///
/// # Errors
/// In words: they can't be listed, or none is Running.
pub async fn exporter_pods(
    settings: &ClusterSettings,
    exporter: &Exporter,
    clock: &Clock,
) -> Result<Vec<String>, String> {
    let stage = Mutex::new(String::new());
    let set = |what: String| *stage.lock().unwrap_or_else(PoisonError::into_inner) = what;
    let deadline = after(clock.now(), settings.timeout);
    match within(clock, settings.timeout, Asker::open(settings, exporter, clock, deadline, &set)).await {
        Some(asker) => asker.map(|asker| asker.pods),
        None => {
            let stage = stage.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Err(format!("{stage} within {}", show_duration(settings.timeout)))
        }
    }
}

/// The healthcheck cluster, and the pods of its exporter.
struct Asker<'a> {
    reader: Reader<'a>,
    exporter: &'a Exporter,
    pods: Vec<String>,
}

impl<'a> Asker<'a> {
    async fn open(
        settings: &ClusterSettings,
        exporter: &'a Exporter,
        clock: &'a Clock,
        deadline: Timestamp,
        stage: &impl Fn(String),
    ) -> Result<Self, String> {
        let opened = kubeconfig::open(settings, &zone(), Some(&exporter.context), |what, _| stage(what)).await;
        let (client, place) = opened?;
        stage(format!("the API server {} did not answer", place.server));
        let reader = Reader { client, place, clock, deadline };
        let Exporter { namespace, pod_prefix, .. } = exporter;
        let (pods, _) = reader.pods(namespace, |name| name.starts_with(pod_prefix.as_str())).await?;
        let mut running: Vec<&PodLine> = pods.iter().filter(|pod| pod.status == "Running").collect();
        running.sort_by_key(|pod| !is_fully_ready(pod));
        if running.is_empty() {
            return Err(format!(
                "no pod of {namespace} that begins with {pod_prefix:?} is Running (context {}): check namespace and pod_prefix \
                 in the regions file",
                exporter.context
            ));
        }
        let pods = running.into_iter().map(|pod| pod.name.clone()).collect();
        Ok(Self { reader, exporter, pods })
    }

    /// One address, with what came of it.
    async fn about(&self, address: String) -> (String, Result<Reached, String>) {
        let said = self.ask(&address).await;
        (address, said)
    }

    /// The first pod that can be asked decides.
    async fn ask(&self, address: &str) -> Result<Reached, String> {
        let mut last = String::new();
        for pod in self.pods.iter().take(PODS) {
            match self.ask_pod(pod, address).await {
                Ok(said) => return Ok(said),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    async fn ask_pod(&self, pod: &str, address: &str) -> Result<Reached, String> {
        let Exporter { namespace, port, .. } = self.exporter;
        let api: Api<Pod> = Api::namespaced(self.reader.client.clone(), namespace);
        let asking = Asking::begin(Upstream::Cluster);
        let opened = api.portforward(pod, &[*port]).await;
        asking.ended(super::reads::status(&opened));
        let mut forwarder = opened.map_err(|e| {
            explain(&e, Deed { verb: "get", resource: "pods/portforward", namespace }, &self.reader.place)
        })?;
        let (stream, error) = (forwarder.take_stream(*port), forwarder.take_error(*port));
        let _open = Open(Some(forwarder));
        let broken = || format!("the port-forward to {pod} broke (context {})", self.reader.place.context);
        let (Some(stream), Some(error)) = (stream, error) else { return Err(broken()) };
        let mut error = std::pin::pin!(error);
        let mut error_open = true;
        let mut asking = std::pin::pin!(self.exchange(TokioIo::new(stream), address));
        let closed = |said: &str| {
            format!(
                "the port-forward to {pod} did not reach its port {port} (context {}): {}",
                self.exporter.context,
                tame(said, 300)
            )
        };
        loop {
            tokio::select! {
                biased;
                said = &mut error, if error_open => match said {
                    Some(said) => return Err(closed(&said)),
                    None => error_open = false,
                },
                answer = &mut asking => {
                    let Err(why) = answer else { return answer };
                    // Where the port was not reached, the reason is here already.
                    let said = if error_open { error.now_or_never().flatten() } else { None };
                    return Err(said.map_or_else(|| format!("{why} ({pod})"), |said| closed(&said)));
                }
            }
        }
    }

    /// One request and its answer over a connection.
    async fn exchange<S>(&self, stream: S, address: &str) -> Result<Reached, String>
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin,
    {
        let failed = |e: hyper::Error| format!("the exporter gave no whole answer: {}", tame(&e.to_string(), 200));
        let left = between(self.reader.clock.now(), self.reader.deadline).saturating_sub(MARGIN);
        let ask = hyper::Request::get(self.exporter.path(address))
            .header("host", format!("localhost:{}", self.exporter.port))
            .header("user-agent", concat!("se-responder/", env!("CARGO_PKG_VERSION")))
            .header("accept", "text/plain")
            .header("connection", "close")
            .header(TIMEOUT_HEADER, format!("{:.3}", left.as_secs_f64().max(0.1)))
            .body(Empty::<Bytes>::new())
            .map_err(|e| format!("module or target in the regions file can't be sent: {e}"))?;
        let (mut sender, connection) = http1::handshake(stream).await.map_err(failed)?;
        let answer = async {
            let answer = sender.send_request(ask).await.map_err(failed)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_TEXT).collect().await;
            let body = body.map_err(|e| format!("the exporter gave no whole answer: {}", tame(&e.to_string(), 200)))?;
            Ok::<_, String>((status, body.to_bytes()))
        };
        let mut answer = std::pin::pin!(answer);
        let mut connection = std::pin::pin!(connection);
        let mut connected = true;
        let (status, body) = loop {
            tokio::select! {
                biased;
                answer = &mut answer => break answer?,
                // What ended it shows in the answer.
                _ = &mut connection, if connected => connected = false,
            }
        };
        let text = String::from_utf8_lossy(&body);
        if status != hyper::StatusCode::OK {
            return Err(format!(
                "the exporter answered {status}: {}; check module and port in the regions file",
                tame(text.lines().next().unwrap_or_default(), 120)
            ));
        }
        read_probe(&text)
    }
}
