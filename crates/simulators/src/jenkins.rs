//! A simulated Jenkins with the ServiceEndpointStatus job, as strict as the real one: API token over Basic, POST to
//! start, parameters that take their default or vanish without a word, a queue, consoles that grow, a clock of its own.
//!
//! To add a behaviour of a build: a field of [`BuildPlan`]. To add one of Jenkins' bad days: a [`Fault`].

mod answers;
mod console;
mod documents;
mod fault;
mod server;
mod state;
#[cfg(test)]
mod tests;

pub use console::{Noise, console_for};
pub use fault::{Fault, Place};

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::tap::Tap;
use outbound::clock::{Clock, SystemClock};
use state::State;

/// The folder and the job, as in the runbook's link.
const FOLDER: &str = "Containers-Registry";
const JOB: &str = "ServiceEndpointStatus";
/// What the job takes when CLUSTER is not given.
const DEFAULT_CLUSTER: &str = "registry-prod-us-south-az1";

/// How this Jenkins is.
#[derive(Clone)]
pub struct Setup {
    /// The one user.
    pub user: String,
    /// Its API token.
    pub token: String,
    /// What time it really is.
    pub clock: Clock,
    /// How far Jenkins' own clock is ahead.
    pub skew: SignedDuration,
    /// Where Jenkins lives on its host: empty, or `/jenkins`.
    pub prefix: String,
    /// What it says in `Location`.
    pub location: Location,
    /// An older core: 201 also where an equal build waits already.
    pub old_core: bool,
    /// Whether builds of the job run side by side; if not, the next waits for the one before.
    pub concurrent: bool,
    /// How long a build waits that was asked for without `delay`.
    pub quiet_period: Duration,
    /// How long an item is remembered after it left the queue; five minutes in the real one.
    pub items_kept: Duration,
    /// What each build will do.
    pub plan: Plan,
    /// Who watches its connections.
    pub tap: Tap,
}

/// What `Location` says behind a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// The address by which we are asked.
    Right,
    /// Some other host, where the token must not go.
    WrongHost,
    /// Nothing that names a queue item.
    Malformed,
}

/// Chooses what a build will do.
pub type Plan = Arc<dyn Fn(&Asked) -> BuildPlan + Send + Sync>;

/// A build that is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The how-manieth, from 1.
    pub nth: u64,
    /// Its CLUSTER.
    pub cluster: String,
}

/// What one build will do.
#[derive(Clone, Debug)]
pub struct BuildPlan {
    /// How long it waits in the queue.
    pub queue: Duration,
    /// How many others are before it when it enters the queue; they leave one by one.
    pub others_before: u32,
    /// How long its queue item is gone before its build can be seen.
    pub handover: Duration,
    /// How long it runs.
    pub duration: Duration,
    /// What it prints, and when after its start.
    pub console: Vec<(Duration, String)>,
    /// Noise before all that, made while it is sent.
    pub noise: Noise,
    /// Its result.
    pub result: &'static str,
    /// CLUSTER is not among the build's parameters, though it was asked for.
    pub cluster_vanishes: bool,
    /// CLUSTER is another one in the end.
    pub cluster_becomes: Option<String>,
    /// Somebody takes it out of the queue when its turn comes.
    pub cancelled: bool,
    /// Jenkins forgets the queue item as soon as it has left.
    pub item_gone: bool,
    /// When the log is begun again: what was printed before is lost.
    pub log_rolls: Option<Duration>,
}

impl BuildPlan {
    /// A build that prints these lines evenly over its time and succeeds.
    pub fn printing(lines: Vec<String>, duration: Duration) -> Self {
        let count = u32::try_from(lines.len()).unwrap_or(u32::MAX).max(1);
        let console = lines.into_iter().zip(1..).map(|(line, n)| (duration * n / (count + 1), line)).collect();
        Self {
            queue: Duration::ZERO,
            others_before: 0,
            handover: Duration::ZERO,
            duration,
            console,
            noise: Noise::default(),
            result: "SUCCESS",
            cluster_vanishes: false,
            cluster_becomes: None,
            cancelled: false,
            item_gone: false,
            log_rolls: None,
        }
    }

    /// A build that prints these boxes (zone, index, SE status, upstream status) in the runbook's layout, log noise
    /// around them.
    pub fn showing(boxes: &[(&str, u32, i32, i32)], duration: Duration) -> Self {
        Self::printing(console_for(boxes), duration)
    }

    /// The same after a wait in the queue, behind others.
    pub fn after_queue(mut self, queue: Duration, others_before: u32) -> Self {
        (self.queue, self.others_before) = (queue, others_before);
        self
    }

    /// The same with another result.
    pub fn ending(mut self, result: &'static str) -> Self {
        self.result = result;
        self
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            user: "se-responder".into(),
            token: "11aa22bb33cc".into(),
            clock: SystemClock::shared(),
            skew: SignedDuration::ZERO,
            prefix: String::new(),
            location: Location::Right,
            old_core: false,
            concurrent: true,
            quiet_period: Duration::from_secs(5),
            items_kept: Duration::from_secs(300),
            tap: Tap::default(),
            plan: Arc::new(|asked| {
                let region = asked.cluster.rsplit_once("-az").map_or(asked.cluster.as_str(), |(region, _)| region);
                let zones: Vec<String> = (1..=3).map(|n| format!("{region}-az{n}")).collect();
                let boxes: Vec<_> = zones.iter().map(|zone| (zone.as_str(), 1, 1, 1)).collect();
                BuildPlan::showing(&boxes, Duration::from_millis(300))
            }),
        }
    }
}

impl Setup {
    /// Every build does the same.
    pub fn always(plan: BuildPlan) -> Self {
        Self::by(move |_| plan.clone())
    }

    /// Builds do what `plan` says.
    pub fn by(plan: impl Fn(&Asked) -> BuildPlan + Send + Sync + 'static) -> Self {
        Self { plan: Arc::new(plan), ..Self::default() }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("user", &self.user).field("location", &self.location).finish_non_exhaustive()
    }
}

/// A request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `GET` or `POST`.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its query, as it was sent.
    pub query: String,
}

/// A running simulation; it ends when this is dropped.
#[derive(Debug)]
pub struct Jenkins {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    setup: Setup,
    address: SocketAddr,
    state: Mutex<State>,
}

impl Shared {
    /// The state, brought to the present.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(self.setup.clock.now(), &self.setup);
        state
    }

    fn root(&self) -> String {
        format!("http://{}{}/", self.address, self.setup.prefix)
    }

    fn job_url(&self) -> String {
        format!("{}job/{FOLDER}/job/{JOB}/", self.root())
    }
}

impl Jenkins {
    /// Starts it on a free port of the loopback.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(setup: Setup) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { setup, address, state: Mutex::default() });
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Self { shared, server })
    }

    /// Jenkins' address.
    pub fn url(&self) -> String {
        self.shared.root()
    }

    /// The job's address.
    pub fn job_url(&self) -> String {
        self.shared.job_url()
    }

    /// The job's address as the runbook links it.
    pub fn view_url(&self) -> String {
        format!("{}job/{FOLDER}/view/All/job/{JOB}/", self.shared.root())
    }

    /// The user and its API token.
    pub fn credentials(&self) -> (String, String) {
        (self.shared.setup.user.clone(), self.shared.setup.token.clone())
    }

    /// The next `times` requests of this kind go wrong.
    pub fn fault(&self, place: Place, fault: Fault, times: u32) {
        self.shared.state().faults.push((place, fault, times));
    }

    /// From now on `text` is written as `bytes` wherever it stands in a document.
    pub fn spell(&self, text: &str, bytes: &[u8]) {
        self.shared.state().spelling.set(text, bytes);
    }

    /// Sets how far Jenkins' own clock is ahead of [`Setup::skew`], as the `Date` of its answers shows it.
    pub fn set_skew(&self, ahead: SignedDuration) {
        self.shared.state().drift = ahead;
    }

    /// Sets how long each request is on its way.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.state().latency = latency;
    }

    /// Builds from this number on do not end before they may: a story changes the world while one runs, however slow the
    /// machine is.
    pub fn hold_builds(&self, from: u64) {
        self.shared.state().hold(self.shared.setup.clock.now(), Some(from));
    }

    /// They may end, those that run no sooner than planned.
    pub fn let_builds_end(&self) {
        self.shared.state().hold(self.shared.setup.clock.now(), None);
    }

    /// Somebody disables the job.
    pub fn disable(&self) {
        self.shared.state().job.disabled = true;
    }

    /// Somebody takes the parameter CLUSTER out of the job, which then has none.
    pub fn forget_parameter(&self) {
        self.shared.state().job.without_parameter = true;
    }

    /// Our user may no longer build.
    pub fn forbid_builds(&self) {
        self.shared.state().job.build_forbidden = true;
    }

    /// How many requests are still to go wrong.
    pub fn faults_to_come(&self) -> u32 {
        self.shared.state().faults.iter().map(|(_, _, times)| times).sum()
    }

    /// CLUSTER of each build that was queued by our user, in order; joining an equal one does not count.
    pub fn started(&self) -> Vec<String> {
        self.shared.state().started.clone()
    }

    /// Numbers of the builds that our user stopped.
    pub fn stopped(&self) -> Vec<u64> {
        self.shared.state().stopped.clone()
    }

    /// Queue items that our user cancelled.
    pub fn cancelled(&self) -> Vec<u64> {
        self.shared.state().cancelled.clone()
    }

    /// Every request, in order.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// Whether a build of this number runs.
    pub fn runs(&self, number: u64) -> bool {
        let state = self.shared.state();
        let now = self.shared.setup.clock.now();
        state.builds.iter().any(|build| build.number == number && build.is_running(now))
    }

    /// How many builds that our user asked for wait in the queue or run now.
    pub fn ours_at_once(&self) -> usize {
        let state = self.shared.state();
        let (now, user) = (self.shared.setup.clock.now(), &self.shared.setup.user);
        let waiting = state.items.iter().filter(|item| item.left.is_none() && item.users.contains(user));
        let running = state.builds.iter().filter(|build| build.is_running(now) && build.users.contains(user));
        waiting.count() + running.count()
    }

    /// Somebody else had a build run at that time, which printed what `plan` says; gives its number.
    pub fn built(&self, at: Timestamp, cluster: &str, plan: BuildPlan) -> u64 {
        self.shared.state().built(at, cluster, plan)
    }

    /// Somebody else asks for a build, or joins the equal one that waits.
    pub fn somebody_builds(&self, cluster: &str) {
        let shared = &self.shared;
        shared.state().enqueue(shared.setup.clock.now(), &shared.setup, cluster, "somebody", Duration::ZERO);
    }
}

impl Drop for Jenkins {
    fn drop(&mut self) {
        self.server.abort();
    }
}
