//! What a simulated cluster has in it, and how it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;

use super::exporter::Exporter;
use crate::spelling::Spelling;

/// A whole cluster.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name: `registry-prod-us-south-az1`.
    pub cluster: String,
    /// The kubeconfig context, as IKS names them: `<cluster>/<id>`.
    pub context: String,
    /// The context's namespace; most have none.
    pub namespace: Option<String>,
    /// The config map `konicle`'s data, in the context's namespace or `default`; `None` is no such config map.
    pub konicle: Option<BTreeMap<String, String>>,
    /// The pods of all namespaces.
    pub pods: Vec<PodPlan>,
    /// What its access rules refuse.
    pub refused: Vec<Refusal>,
    /// How the API server itself fails.
    pub fault: Option<Fault>,
    /// How far the API server's clock is ahead.
    pub skew: SignedDuration,
    /// Texts that it writes otherwise than strict JSON has them.
    pub spelling: Spelling,
}

/// A right that the token's user lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `get`, `list`, `create`.
    pub verb: String,
    /// `configmaps`, `pods`, `pods/exec`, `pods/portforward`.
    pub resource: String,
}

/// One pod.
#[derive(Clone, Debug)]
pub struct PodPlan {
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its containers.
    pub containers: Vec<String>,
    /// What `kubectl get pods` shows for it.
    pub state: State,
    /// What its port 10443 answers.
    pub answer: Answer,
    /// Whether its image has curl.
    pub curl: bool,
    /// The blackbox exporter on its port 9115, where it is one.
    pub exporter: Option<Exporter>,
}

/// A pod's state, by kubectl's STATUS column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// `Running`, all containers ready.
    Running,
    /// `Running`, this many containers ready.
    Unready(usize),
    /// `CrashLoopBackOff`: its first container, after this many restarts. The phase stays Running.
    CrashLoopBackOff(u32),
    /// `ImagePullBackOff`: its first container.
    ImagePullBackOff,
    /// `Pending`: no node takes it.
    Pending,
    /// `Init:0/1`.
    Initializing,
    /// `Terminating`: being deleted, still answering.
    Terminating,
    /// `Unknown`: its node is lost.
    NodeLost,
    /// `Completed`.
    Completed,
    /// `Evicted`.
    Evicted,
}

/// What happens on port 10443 inside a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status.
    Status(u16),
    /// `100 Continue` first, then this status.
    Continue(u16),
    /// Nothing listens.
    Refused,
    /// The connection is accepted, and nothing more.
    Silent,
    /// The connection is closed without a byte.
    Empty,
    /// Bytes that are not HTTP.
    Garbage,
    /// A status line that comes byte by byte and never ends.
    Drip,
    /// Only over a port-forward or exec: the connection to the API server breaks.
    Cut,
    /// Only over a port-forward or exec: kubelet can't get into the pod.
    NoSandbox,
}

/// How the API server fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers everything with 429, and says to come back after this many seconds, or nothing of that.
    TooManyRequests(Option<u32>),
    /// Resets the connection at every request.
    Reset,
    /// A proxy sends everything on to this port of 127.0.0.1, with 307.
    SentElsewhere(u16),
    /// Answers everything with JSON that is not Kubernetes'.
    WrongJson,
    /// Every list in an answer has entries that are `null` or something else.
    OddEntries,
    /// So many times the rest of a list is asked for too late: 410, since its resource version is gone.
    ListsExpire(u32),
    /// Every answer breaks off in its middle.
    HalfAnswer,
    /// Takes requests and never answers.
    Silent,
    /// Answers everything with 500.
    InternalError,
    /// The token has expired: 401.
    Expired,
    /// A sign-in page answers everything, with 200.
    HtmlPage,
    /// A proxy's page answers everything, with 502.
    HtmlError,
    /// Every answer takes this long.
    Slow(Duration),
    /// Plain answers are fine; exec and port-forward are never opened.
    UpgradeSilent,
    /// Plain answers are fine until an exec or port-forward is opened; from then on nothing is answered.
    FreezesOnUpgrade,
    /// Plain answers are fine; the way to the nodes is broken, exec and port-forward are answered with 500.
    NoBackend,
    /// Plain answers are fine; a proxy on the way answers exec and port-forward with 405.
    NoUpgrade,
    /// The config map is never answered for; the rest is fine.
    KonicleSilent,
    /// Nobody may ask about their own rights; the rest is fine.
    NoReviews,
}

impl Plan {
    /// A zone in which all is well: konicle on, two private and two public ingress controllers, two konicle pods.
    pub fn healthy(cluster: &str) -> Self {
        let ingress = ["nginx-ingress", "ingress-auth-1", "ingress-auth-2", "ingress-auth-3"];
        let alb = |kind: &str, pod: &str| {
            PodPlan::running("kube-system", &format!("{kind}-cr386b5d5d469f49eeb991164e1b848a4a-{pod}"), &ingress)
        };
        Self {
            cluster: cluster.to_owned(),
            context: format!("{cluster}/bq3f1d2w0abcdefghij0"),
            namespace: None,
            konicle: Some(
                [("ready", "true"), ("private-override", "true")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            ),
            pods: vec![
                PodPlan::running("default", "konicle-6d5f9b8c7d-4xk2p", &["konicle"]),
                PodPlan::running("default", "konicle-6d5f9b8c7d-9wz7m", &["konicle"]),
                PodPlan::running("default", "registry-api-7c9d8f6b5-lm4qn", &["registry-api"]),
                PodPlan::running("kube-system", "kubernetes-dashboard-7b545fbb4d-v2j29", &["dashboard"]),
                alb("private", "alb1-74b7f95d595lqsr"),
                alb("private", "alb1-74b7f95d597xtp8"),
                alb("public", "alb1-84c489c89c-7shp6"),
                alb("public", "alb1-84c489c89c-jnd24"),
                PodPlan::running("kube-system", "tiller-deploy-775c6b488f-6lghv", &["tiller"]),
            ],
            refused: Vec::new(),
            fault: None,
            skew: SignedDuration::ZERO,
            spelling: Spelling::default(),
        }
    }

    /// The healthcheck cluster: two exporters, of which the first by name is not ready, and a Prometheus.
    pub fn healthcheck(exporter: &Exporter) -> Self {
        let pod = |name: &str, container: &str| PodPlan::running("monitoring", name, &[container]);
        let exporters = ["blackbox-exporter-7d9c8b6f5-2xk4q", "blackbox-exporter-7d9c8b6f5-9wz7m"]
            .map(|name| PodPlan { exporter: Some(exporter.clone()), ..pod(name, "blackbox-exporter") });
        let [first, second] = exporters;
        let first = PodPlan { state: State::CrashLoopBackOff(3), ..first };
        Self {
            cluster: "registry-healthcheck".to_owned(),
            context: "registry-healthcheck".to_owned(),
            konicle: None,
            pods: vec![first, second, pod("prometheus-0", "prometheus")],
            ..Self::healthy("registry-healthcheck")
        }
    }

    /// konicle's config map with another value.
    #[must_use]
    pub fn konicle(mut self, key: &str, value: &str) -> Self {
        self.konicle.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// No config map.
    #[must_use]
    pub fn without_konicle(mut self) -> Self {
        self.konicle = None;
        self
    }

    /// Every private ingress controller answers so.
    #[must_use]
    pub fn answering(self, answer: Answer) -> Self {
        self.private(|_, pod| pod.answer = answer)
    }

    /// Every private ingress controller is in this state.
    #[must_use]
    pub fn private_state(self, state: State) -> Self {
        self.private(|_, pod| pod.state = state)
    }

    /// Changes the private ingress controllers, each by its index.
    #[must_use]
    pub fn private(mut self, change: impl Fn(usize, &mut PodPlan)) -> Self {
        let private = self.pods.iter_mut().filter(|p| p.name.starts_with("private"));
        private.enumerate().for_each(|(i, pod)| change(i, pod));
        self
    }

    /// The token's user lacks a right.
    #[must_use]
    pub fn refusing(mut self, verb: &str, resource: &str) -> Self {
        self.refused.push(Refusal { verb: verb.to_owned(), resource: resource.to_owned() });
        self
    }

    /// The API server fails.
    #[must_use]
    pub fn failing(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }
}

impl PodPlan {
    /// A pod that runs, answers 200 and has curl.
    pub fn running(namespace: &str, name: &str, containers: &[&str]) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            containers: containers.iter().map(|c| (*c).to_owned()).collect(),
            state: State::Running,
            answer: Answer::Status(200),
            curl: true,
            exporter: None,
        }
    }

    /// Whether its containers run, so that they can be got into.
    pub(super) fn runs(&self) -> bool {
        matches!(self.state, State::Running | State::Unready(_) | State::Terminating)
    }
}
