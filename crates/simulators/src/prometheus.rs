//! A simulated Prometheus, behind a path as under a proxy: instant queries over a few series, with ages of their own. As strict as
//! the real one about path, parameters and token; it knows plain selectors, `timestamp(…)` and `max by (…) (…)`.
//!
//! To add a kind of query, see `promql.rs`; a way to fail, [`Fault`] and `server.rs`.

mod promql;
mod server;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outbound::clock::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::tap::Tap;

/// The path under which it stands.
const PREFIX: &str = "/prom";

/// One series and its last sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Its labels, the name (`__name__`) among them.
    pub labels: Vec<(String, String)>,
    /// Its value, as Prometheus writes it: `1`, `0`, `NaN`.
    pub value: String,
    /// How old it is.
    pub age: Duration,
}

impl Series {
    /// `probe_success` of an end-to-end test: `se` or `public`, of a region.
    pub fn test(job: &str, region: &str, value: &str, age: Duration) -> Self {
        let instance = format!("https://{job}.{region}.example/status");
        let labels = [("__name__", "probe_success"), ("instance", &instance), ("job", job), ("region", region)];
        Self {
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            value: value.to_owned(),
            age,
        }
    }

    /// The same with another value of a label.
    #[must_use]
    pub fn labelled(mut self, name: &str, value: &str) -> Self {
        self.labels.retain(|(known, _)| known != name);
        self.labels.push((name.to_owned(), value.to_owned()));
        self.labels.sort();
        self
    }
}

/// How it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It closes each connection without an answer.
    Away,
    /// It takes requests and never answers.
    Silent,
    /// Each answer takes so long.
    Slow(Duration),
    /// It answers with this status.
    Status(u16),
    /// A sign-in page answers in its place.
    HtmlPage,
    /// 200 with `status: "error"`.
    ErrorIn200,
    /// Its answers are right, with this warning.
    Warning(String),
    /// It answers with a scalar, whatever was asked.
    Scalar,
    /// Its list of samples has entries that are `null` or something else.
    OddEntries,
    /// It sends on to this port of 127.0.0.1.
    SentElsewhere(u16),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query that was to be evaluated.
    pub query: String,
    /// Its `Authorization`.
    pub authorization: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    series: Vec<Series>,
    fault: Option<Fault>,
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    token: String,
    clock: Clock,
    tap: Tap,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running simulated Prometheus. It ends when it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Prometheus {
    /// Starts one without series on a free port of loopback.
    ///
    /// # Errors
    /// No port.
    pub async fn start(clock: Clock, tap: Tap) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let token = format!("sim-{:032x}", rand::random::<u128>());
        let shared = Arc::new(Shared { state: Mutex::default(), token, clock, tap });
        let serving = tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Self { shared, address, serving })
    }

    /// `prometheus_url`.
    pub fn url(&self) -> String {
        format!("http://{}{PREFIX}/", self.address)
    }

    /// The token that it takes.
    pub fn token(&self) -> String {
        self.shared.token.clone()
    }

    /// What it has from now on.
    pub fn has(&self, series: impl IntoIterator<Item = Series>) {
        self.shared.state().series = series.into_iter().collect();
    }

    /// Sets both tests of a region, each fresh; `None` is no series at all.
    pub fn tests(&self, region: &str, se: Option<&str>, public: Option<&str>) {
        let mut state = self.shared.state();
        state.series.retain(|series| !series.labels.contains(&("region".to_owned(), region.to_owned())));
        for (job, value) in [("se", se), ("public", public)] {
            state.series.extend(value.map(|value| Series::test(job, region, value, Duration::from_secs(7))));
        }
    }

    /// Changes the series as they are.
    pub fn change(&self, change: impl FnOnce(&mut Vec<Series>)) {
        change(&mut self.shared.state().series);
    }

    /// How it fails from now on.
    pub fn fault(&self, fault: Option<Fault>) {
        self.shared.state().fault = fault;
    }

    /// Every request so far, in order.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
