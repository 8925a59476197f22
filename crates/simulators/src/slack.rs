//! A simulated Slack with two workspaces, as strict as the real one: a bot's token over Bearer, JSON to write, errors of 200 with
//! `ok: false`, the shapes of blocks and of metadata, threads, lists by cursor.
//!
//! To add one of Slack's bad days: a [`Fault`].

mod answers;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outbound::clock::{Clock, SystemClock};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::tap::Tap;
use crate::web::serve;

/// A workspace: the bot's token there, and the one channel that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Its name.
    pub team: &'static str,
    /// The bot's token.
    pub token: &'static str,
    /// The channel's id.
    pub channel: &'static str,
}

/// Registry's workspace.
pub const REGISTRY: Workspace = Workspace { team: "Argonauts", token: "xoxb-simulated-registry", channel: "C53RR7TPE" };
/// The Service Endpoint team's.
pub const SERVICE_ENDPOINT: Workspace =
    Workspace { team: "IBM Watson Cloud Platform", token: "xoxb-simulated-se", channel: "C88C6N338" };

/// How this Slack is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What time it is.
    pub clock: Clock,
    /// Who watches its connections.
    pub tap: Tap,
}

impl Default for Setup {
    fn default() -> Self {
        Self { clock: SystemClock::shared(), tap: Tap::default() }
    }
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is done, and the answer lost.
    LostAnswer,
    /// It is lost, and not done.
    Lost,
    /// It is never answered, and not done.
    Hang,
    /// 200 with `ok: false` and this error; it is not done.
    NotOk(&'static str),
    /// 429, with `Retry-After` where there is one.
    TooMany(Option<u64>),
    /// Another status; it is not done.
    Status(u16),
    /// It is done, and the answer is a page of HTML.
    Garbage,
}

/// A message as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its channel.
    pub channel: String,
    /// Its id.
    pub ts: String,
    /// The root of its thread; `None`: it is in the channel itself.
    pub thread: Option<String>,
    /// What it says.
    pub text: String,
    /// What it said before it was edited, the first first.
    pub before: Vec<String>,
    /// Its blocks.
    pub blocks: Value,
    /// Its metadata; null: none.
    pub metadata: Value,
    /// As it was posted: the whole body.
    pub posted: Value,
}

impl Message {
    /// `event_payload.alert`.
    pub fn alert(&self) -> &str {
        self.metadata["event_payload"]["alert"].as_str().unwrap_or_default()
    }

    /// `event_payload.kind`.
    pub fn kind(&self) -> &str {
        self.metadata["event_payload"]["kind"].as_str().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct State {
    messages: Vec<Message>,
    next: u64,
    faults: VecDeque<(String, Fault, u32)>,
    /// Channels that the bot is not in, and how often it was told so.
    left: Vec<&'static str>,
    refusals: usize,
    requests: usize,
    latency: Duration,
}

#[derive(Debug)]
struct Shared {
    setup: Setup,
    state: Mutex<State>,
    away: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A simulated Slack, running. It ends when this is dropped.
#[derive(Debug)]
pub struct Slack {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Slack {
    /// Starts it on loopback.
    ///
    /// # Errors
    /// No socket can be had.
    pub async fn start(setup: Setup) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let tap = setup.tap.clone();
        let shared = Arc::new(Shared { setup, state: Mutex::default(), away: AtomicBool::new(false) });
        let serving = tokio::spawn(serve(listener, tap, Arc::clone(&shared)));
        Ok(Self { shared, address, serving })
    }

    /// `SLACK_API_URL`.
    pub fn api_url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// The token of Registry's workspace.
    pub fn token(&self) -> String {
        REGISTRY.token.to_owned()
    }

    /// The channel of Registry's workspace.
    pub fn channel(&self) -> String {
        REGISTRY.channel.to_owned()
    }

    /// The settings by which the service finds it.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("SLACK_API_URL", self.api_url()),
            ("SLACK_REGISTRY_TOKEN", REGISTRY.token.to_owned()),
            ("SLACK_REGISTRY_CHANNEL", REGISTRY.channel.to_owned()),
            ("SLACK_SE_TOKEN", SERVICE_ENDPOINT.token.to_owned()),
            ("SLACK_SE_CHANNEL", SERVICE_ENDPOINT.channel.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// All messages with metadata, in the order in which they came.
    pub fn messages(&self) -> Vec<Message> {
        self.shared.state().messages.iter().filter(|message| !message.metadata.is_null()).cloned().collect()
    }

    /// Those of a workspace.
    pub fn messages_in(&self, workspace: Workspace) -> Vec<Message> {
        self.messages().into_iter().filter(|message| message.channel == workspace.channel).collect()
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.shared.state().requests
    }

    /// The next calls of this method (`chat.postMessage`, or empty: any) go wrong, so many times.
    pub fn fail(&self, method: &str, fault: Fault, times: u32) {
        self.shared.state().faults.push_back((method.to_owned(), fault, times));
    }

    /// The bot is put out of this workspace's channel: whatever it asks there is `not_in_channel`.
    pub fn put_out(&self, workspace: Workspace) {
        self.shared.state().left.push(workspace.channel);
    }

    /// How often the bot was told that it is not in a channel that it was put out of.
    pub fn refusals(&self) -> usize {
        self.shared.state().refusals
    }

    /// Nothing goes wrong any more.
    pub fn recover(&self) {
        self.shared.state().faults.clear();
        self.shared.state().left.clear();
        self.shared.away.store(false, Ordering::SeqCst);
    }

    /// It can't be reached from now on.
    pub fn go_away(&self) {
        self.shared.away.store(true, Ordering::SeqCst);
    }

    /// Every answer takes so long.
    pub fn slow(&self, latency: Duration) {
        self.shared.state().latency = latency;
    }

    /// So many messages of others come into Registry's channel.
    pub fn chatter(&self, messages: usize) {
        for _ in 0..messages {
            let posted = serde_json::json!({"channel": REGISTRY.channel, "text": "something else"});
            self.shared.keep(&posted, None);
        }
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
