//! A simulated cluster: the part of a Kubernetes API server that the status check needs, over HTTPS with a CA of its
//! own, and what is inside its pods.
//!
//! It is as strict as the real one (credentials, access rules, protocols) and answers in its words. To add a kind of
//! pod, add to [`State`] and `pods.rs`; a kind of answer from inside a pod, to [`Answer`] and `inside.rs`; a way for
//! the API server itself to fail, to [`Fault`] and `api.rs`.

mod api;
mod deed;
mod exporter;
mod inside;
mod plan;
mod pods;
mod right;
mod streams;
mod tls;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Extension;
use base64::Engine as _;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::tap::{Tap, Tapped};

pub use exporter::{Exporter, Probe};
pub use plan::{Answer, Fault, Plan, PodPlan, Refusal, State};
pub use right::Right;

/// The name by which the API server knows the bearer of its token.
pub const USER: &str = "system:serviceaccount:default:se-responder";

/// One request that reached the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The HTTP method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The status that it was answered with; 0 where it never was.
    pub status: u16,
}

/// Something that was asked inside a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The pod.
    pub pod: String,
    /// The request line, or the command.
    pub what: String,
}

/// A running simulated cluster. It ends when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    address: SocketAddr,
    ca: String,
}

#[derive(Debug)]
struct Shared {
    plan: Mutex<Plan>,
    token: String,
    recorded: Mutex<Vec<Recorded>>,
    asked: Mutex<Vec<Asked>>,
    reviewed: Mutex<BTreeSet<Right>>,
    stop: CancellationToken,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// Starts a cluster on a free port of loopback.
    ///
    /// # Errors
    /// No port, or no certificate can be made.
    pub async fn start(plan: Plan) -> io::Result<Self> {
        Self::watched(plan, &Tap::default()).await
    }

    /// Starts a cluster whose connections are watched.
    ///
    /// # Errors
    /// No port, or no certificate can be made.
    pub async fn watched(plan: Plan, tap: &Tap) -> io::Result<Self> {
        let tls::Authority { acceptor, ca } = tls::Authority::new(&plan.cluster)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            plan: Mutex::new(plan),
            token: format!("sim-{:032x}", rand::random::<u128>()),
            recorded: Mutex::default(),
            asked: Mutex::default(),
            reviewed: Mutex::default(),
            stop: CancellationToken::new(),
        });
        tokio::spawn(serve(listener, acceptor, tap.clone(), Arc::clone(&shared)));
        Ok(Self { shared, address, ca })
    }

    /// The API server's address.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The cluster's name.
    pub fn name(&self) -> String {
        lock(&self.shared.plan).cluster.clone()
    }

    /// The kubeconfig context of the cluster.
    pub fn context(&self) -> String {
        lock(&self.shared.plan).context.clone()
    }

    /// The token that it accepts.
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// Its CA's certificate, in PEM.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Changes what it answers from now on.
    pub fn change(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut lock(&self.shared.plan));
    }

    /// Every request so far, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.recorded).clone()
    }

    /// Every right that the requests so far needed.
    pub fn rights(&self) -> BTreeSet<Right> {
        self.requests()
            .iter()
            .flat_map(|r| r.path.parse().map(|uri| right::of(&r.method, &uri)).unwrap_or_default())
            .collect()
    }

    /// Every right that was asked about so far: the asker's own.
    pub fn reviewed(&self) -> BTreeSet<Right> {
        lock(&self.shared.reviewed).clone()
    }

    /// What was asked inside pods so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// Requests that would have changed something; there must be none. Asking about one's own rights is a POST that stores
    /// nothing.
    pub fn writes(&self) -> Vec<Recorded> {
        let stores = |r: &Recorded| r.method != "GET" && r.path.split('?').next() != Some(api::REVIEWS);
        self.requests().into_iter().filter(stores).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn serve(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor, tap: Tap, shared: Arc<Shared>) {
    let app = api::router(Arc::clone(&shared));
    loop {
        let stream = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let (acceptor, line, stop) = (acceptor.clone(), tap.line("cluster"), shared.stop.clone());
        let cut = api::Cut::default();
        let app = line.over(app.clone().layer(Extension(cut.clone())));
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let Ok((stream, twin)) = twins(stream) else { return };
            // A client that doesn't trust us, or that goes away, is that client's matter.
            if let Ok(stream) = acceptor.accept(stream).await {
                let service = TowerToHyperService::new(app);
                let connection = hyper::server::conn::http1::Builder::new();
                let stream = TokioIo::new(Tapped::new(stream, &line));
                tokio::select! {
                    _ = connection.serve_connection(stream, service).with_upgrades() => {}
                    // Without lingering, closing is a reset.
                    () = cut.0.cancelled() => drop(twin.set_zero_linger()),
                }
            }
        }));
    }
}

/// The same connection twice: TLS takes the one.
fn twins(stream: TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let twin = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, TcpStream::from_std(twin)?))
}

/// A kubeconfig that has a context for each of the clusters, and no current one.
pub fn kubeconfig(clusters: &[&Cluster]) -> String {
    let mut text = "apiVersion: v1\nkind: Config\npreferences: {}\nclusters:\n".to_owned();
    for cluster in clusters {
        let ca = base64::engine::general_purpose::STANDARD.encode(&cluster.ca);
        text += &format!(
            "- name: {:?}\n  cluster:\n    server: {}\n    certificate-authority-data: {ca}\n",
            cluster.context(),
            cluster.url(),
        );
    }
    text += "users:\n";
    for cluster in clusters {
        text += &format!("- name: {:?}\n  user:\n    token: {}\n", cluster.context(), cluster.token());
    }
    text += "contexts:\n";
    for cluster in clusters {
        let name = cluster.context();
        text += &format!("- name: {name:?}\n  context:\n    cluster: {name:?}\n    user: {name:?}\n");
        if let Some(namespace) = &lock(&cluster.shared.plan).namespace {
            text += &format!("    namespace: {namespace}\n");
        }
    }
    text
}
