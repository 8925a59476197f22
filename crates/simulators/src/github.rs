//! A simulated GitHub Enterprise with one repository: its issues, as strict as the real one about tokens and fields.
//!
//! To add one of its bad days: a [`Fault`].

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use outbound::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::tap::Tap;
use crate::web::{Answers, Reply, serve};

/// The repository.
pub const REPO: &str = "alchemy-registry/registry-build-squad";
/// Whose the token is.
pub const LOGIN: &str = "se-responder-bot";
const TOKEN: &str = "ghp_simulated";

/// How this GitHub is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What time it is.
    pub clock: Clock,
    /// Who watches its connections.
    pub tap: Tap,
    /// Labels of new issues are dropped silently, as where the token may not push.
    pub drops_labels: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { clock: SystemClock::shared(), tap: Tap::default(), drops_labels: false }
    }
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is done, and the answer lost.
    LostAnswer,
    /// It is lost, and not done.
    Lost,
    /// 403 as GitHub says it where the rate limit is used up, with `Retry-After`.
    Limited(u64),
    /// A status; it is not done.
    Status(u16),
}

/// An issue as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Its number.
    pub number: u64,
    /// Who created it.
    pub creator: String,
    /// Its title.
    pub title: String,
    /// What it says.
    pub body: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// `open` or `closed`.
    pub state: &'static str,
}

#[derive(Debug, Default)]
struct State {
    issues: Vec<Issue>,
    faults: VecDeque<(String, Fault, u32)>,
    requests: usize,
}

#[derive(Debug)]
struct Shared {
    setup: Setup,
    base: String,
    state: Mutex<State>,
    away: AtomicBool,
}

/// A simulated GitHub, running. It ends when this is dropped.
#[derive(Debug)]
pub struct GitHub {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl GitHub {
    /// Starts it on loopback.
    ///
    /// # Errors
    /// No socket can be had.
    pub async fn start(setup: Setup) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (tap, base) = (setup.tap.clone(), format!("http://{address}"));
        let shared = Arc::new(Shared { setup, base, state: Mutex::default(), away: AtomicBool::new(false) });
        let serving = tokio::spawn(serve(listener, tap, Arc::clone(&shared)));
        Ok(Self { shared, address, serving })
    }

    /// `GHE_API_URL`.
    pub fn api_url(&self) -> String {
        format!("http://{}/api/v3", self.address)
    }

    /// `GHE_TOKEN`.
    pub fn token(&self) -> String {
        TOKEN.to_owned()
    }

    /// The settings by which the service finds it.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("GHE_API_URL", self.api_url()),
            ("GHE_REPO", REPO.to_owned()),
            ("GHE_TOKEN", TOKEN.to_owned()),
            ("GHE_ISSUES", "rca".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// All issues, the oldest first.
    pub fn issues(&self) -> Vec<Issue> {
        self.shared.state().issues.clone()
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.shared.state().requests
    }

    /// The next requests of this method (`GET`, `POST`; empty: any) go wrong, so many times.
    pub fn fail(&self, method: &str, fault: Fault, times: u32) {
        self.shared.state().faults.push_back((method.to_owned(), fault, times));
    }

    /// Nothing goes wrong any more.
    pub fn recover(&self) {
        self.shared.state().faults.clear();
        self.shared.away.store(false, Ordering::SeqCst);
    }

    /// It can't be reached from now on.
    pub fn go_away(&self) {
        self.shared.away.store(true, Ordering::SeqCst);
    }

    /// An issue is closed.
    pub fn close(&self, number: u64) {
        if let Some(issue) = self.shared.state().issues.iter_mut().find(|issue| issue.number == number) {
            issue.state = "closed";
        }
    }

    /// So many other issues are created by this user.
    pub fn others(&self, issues: usize, creator: &str) {
        for _ in 0..issues {
            self.shared.create(creator, "something else", "", Vec::new());
        }
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Answers for Shared {
    const NAME: &'static str = "ghe";

    fn answer(&self, parts: &Parts, body: &[u8]) -> Reply {
        match self.next_fault(parts.method.as_str()) {
            Some(Fault::Lost) => Reply::Close,
            Some(Fault::Status(status)) => no(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)),
            Some(Fault::Limited(wait)) => no(StatusCode::FORBIDDEN).with("retry-after", &wait.to_string()),
            Some(Fault::LostAnswer) => {
                self.call(parts, body);
                Reply::Close
            }
            None => self.call(parts, body),
        }
    }

    fn latency(&self) -> Duration {
        Duration::ZERO
    }

    fn clock(&self) -> &Clock {
        &self.setup.clock
    }

    fn away(&self) -> &AtomicBool {
        &self.away
    }
}

fn no(status: StatusCode) -> Reply {
    // By these words clients know what it was.
    let message = match status {
        StatusCode::UNAUTHORIZED => Some("Bad credentials"),
        StatusCode::UNPROCESSABLE_ENTITY => Some("Validation Failed"),
        status => status.canonical_reason(),
    };
    Reply::json(status, &json!({"message": message, "documentation_url": "https://docs.github.com/rest"}))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_fault(&self, method: &str) -> Option<Fault> {
        let mut state = self.state();
        state.requests += 1;
        let (_, fault, times) =
            state.faults.iter_mut().find(|(of, _, times)| *times > 0 && (of.is_empty() || of == method))?;
        *times -= 1;
        Some(*fault)
    }

    fn call(&self, parts: &Parts, body: &[u8]) -> Reply {
        let authorization = parts.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let token = authorization.strip_prefix("Bearer ").or_else(|| authorization.strip_prefix("token "));
        if token != Some(TOKEN) {
            return no(StatusCode::UNAUTHORIZED);
        }
        if !parts.headers.contains_key("user-agent") {
            return no(StatusCode::FORBIDDEN);
        }
        let path = parts.uri.path().strip_prefix("/api/v3").unwrap_or_default();
        let of_repo = path.strip_prefix("/repos/").and_then(|path| path.strip_prefix(REPO)).unwrap_or("none");
        match (&parts.method, path, of_repo) {
            (&Method::GET, "/user", _) => Reply::json(StatusCode::OK, &json!({"login": LOGIN, "id": 1})),
            (&Method::GET, _, "") => {
                let url = format!("{}/api/v3/repos/{REPO}", self.base);
                Reply::json(
                    StatusCode::OK,
                    &json!({"id": 1, "full_name": REPO, "name": "registry-build-squad", "url": url}),
                )
            }
            (&Method::GET, _, "/issues") => self.list(parts.uri.query().unwrap_or_default()),
            (&Method::POST, _, "/issues") => {
                let asked: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
                let Some(title) = asked["title"].as_str().filter(|title| !title.trim().is_empty()) else {
                    return no(StatusCode::UNPROCESSABLE_ENTITY);
                };
                let text = asked["body"].as_str().unwrap_or_default();
                if text.chars().count() > 65_536 {
                    return no(StatusCode::UNPROCESSABLE_ENTITY);
                }
                let labels = asked["labels"].as_array().into_iter().flatten();
                let labels = labels.filter_map(|l| Some(l.as_str()?.to_owned())).filter(|_| !self.setup.drops_labels);
                let issue = self.create(LOGIN, title, text, labels.collect());
                Reply::json(StatusCode::CREATED, &self.shown(&issue))
            }
            _ => no(StatusCode::NOT_FOUND),
        }
    }

    fn create(&self, creator: &str, title: &str, body: &str, labels: Vec<String>) -> Issue {
        let mut state = self.state();
        let number = state.issues.len() as u64 + 1;
        let (creator, title, body) = (creator.to_owned(), title.to_owned(), body.to_owned());
        let issue = Issue { number, creator, title, body, labels, state: "open" };
        state.issues.push(issue.clone());
        issue
    }

    fn list(&self, query: &str) -> Reply {
        let query: HashMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let text = |name: &str| query.get(name).map_or("", String::as_str);
        let per_page = text("per_page").parse().unwrap_or(30_usize).clamp(1, 100);
        let page = text("page").parse().unwrap_or(1_usize).max(1);
        let state = self.state();
        let mut all: Vec<&Issue> = state
            .issues
            .iter()
            .filter(|issue| text("creator").is_empty() || issue.creator == text("creator"))
            .filter(|issue| text("state") == "all" || issue.state == "open")
            .collect();
        all.reverse();
        let shown: Vec<Value> =
            all.iter().skip((page - 1) * per_page).take(per_page).map(|issue| self.shown(issue)).collect();
        let reply = Reply::json(StatusCode::OK, &Value::from(shown));
        if page * per_page < all.len() {
            // To another host: who dials it gives its token away.
            let next = format!("<https://elsewhere.example/issues?page={}>; rel=\"next\"", page + 1);
            return reply.with("link", &next);
        }
        reply
    }

    fn shown(&self, issue: &Issue) -> Value {
        json!({
            "id": issue.number, "number": issue.number, "title": issue.title, "body": issue.body, "state": issue.state,
            "user": {"login": issue.creator, "id": 1}, "labels": issue.labels.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
            "html_url": format!("{}/{REPO}/issues/{}", self.base, issue.number),
            "url": format!("{}/api/v3/repos/{REPO}/issues/{}", self.base, issue.number),
        })
    }
}
