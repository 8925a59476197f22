//! One zone's try: a build is picked up or started, waited for, read, and let go of.

use std::time::Duration;

use jiff::Timestamp;

use super::{BuildLog, BuildRecord, ReadingRequest};
use crate::alert::Zone;
use crate::clock::{after, between};
use crate::diagnosis::Console;
use crate::run::progress::Progress;
use crate::upstream::jenkins::{Build, Found, ItemState, Jenkins, LogReader, Started};
use crate::upstream::{Error, Kind, Retries, by_deadline};

/// How often a build is asked for: each time only where the one before certainly did not arrive, or could not be found.
const STARTS: Retries = Retries { tries: 4, ..Retries::READ };
/// Polls after which a queue item without a build, or a console that stays open after its build, is given up.
const PATIENCE: u32 = 5;
/// How long letting go of a build may take.
const GOODBYE: Duration = Duration::from_secs(3);

/// What came of it.
#[derive(Debug)]
pub(super) struct Tried {
    /// The build that was read.
    pub(super) build_url: Option<String>,
    /// When it ended, or when it was given up.
    pub(super) at: Timestamp,
    /// What it printed; `None` where no build of this zone could be read.
    pub(super) console: Option<Console>,
    pub(super) warnings: Vec<String>,
    /// Jenkins refuses us or the job as such: no other zone will fare better.
    pub(super) refused: bool,
}

impl Tried {
    pub(super) fn name(&self) -> &str {
        self.build_url.as_deref().unwrap_or("the build")
    }
}

/// Why a try ended early.
enum Trouble {
    Upstream(Error),
    Other(String),
    Deadline,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Upstream(error)
    }
}

pub(super) struct Attempt<'a, L> {
    jenkins: &'a Jenkins,
    log: &'a L,
    progress: &'a Progress,
    deadline: Timestamp,
    /// Builds asked for since then serve.
    since: Timestamp,
    /// Whether the record is from before: a restart.
    remembered: bool,
    record: BuildRecord,
    /// What other readings and zones have: never ours.
    others: Vec<BuildRecord>,
    console: LogReader,
    /// The build once it is known to have our CLUSTER, as last seen.
    build: Option<Build>,
    seen_running_at: Option<Timestamp>,
    warnings: Vec<String>,
    /// The last line of progress.
    said: String,
    /// The last failure that was not the end of it.
    last_error: Option<Error>,
}

impl<'a, L: BuildLog> Attempt<'a, L> {
    pub(super) fn new(
        jenkins: &'a Jenkins,
        log: &'a L,
        progress: &'a Progress,
        request: &ReadingRequest<'_>,
        known: &[BuildRecord],
        zone: &Zone,
        deadline: Timestamp,
    ) -> Self {
        let (mine, others): (Vec<_>, Vec<_>) =
            known.iter().cloned().partition(|record| record.reading == request.index && record.zone == *zone);
        let mine = mine.into_iter().next_back();
        let remembered = mine.is_some();
        let record = mine.unwrap_or_else(|| BuildRecord {
            reading: request.index,
            zone: zone.clone(),
            asked_at: jenkins.clock().now(),
            queue_id: None,
            number: None,
            shared: false,
            ended_at: None,
            failed: None,
        });
        Self {
            jenkins,
            log,
            progress,
            deadline,
            since: request.began_at.min(record.asked_at),
            remembered,
            record,
            others,
            console: LogReader::default(),
            build: None,
            seen_running_at: None,
            warnings: Vec::new(),
            said: String::new(),
            last_error: None,
        }
    }

    pub(super) async fn run(mut self) -> Tried {
        let clock = self.jenkins.clock().clone();
        let time_left = between(clock.now(), self.deadline);
        let result = tokio::select! {
            biased;
            result = self.follow() => result,
            () = clock.sleep(time_left) => Err(Trouble::Deadline),
        };
        let now = clock.now();
        let zone = self.record.zone.clone();
        let mut refused = false;
        let failed = match result {
            Ok(()) => None,
            Err(Trouble::Upstream(error)) => {
                // Contract 6.3: no next zone after these. A build or queue item that is gone is told apart elsewhere.
                refused = error.status().is_some_and(|status| matches!(status.as_u16(), 401 | 403 | 404 | 409));
                Some(format!("the Jenkins build for {zone}: {error}"))
            }
            Err(Trouble::Other(what)) => Some(format!("the Jenkins build for {zone}: {what}")),
            Err(Trouble::Deadline) => {
                let (what, error) = (self.when_time_was_up(), self.last_error.take());
                let error = error.map(|error| format!("; {error}")).unwrap_or_default();
                self.let_go().await;
                Some(format!(
                    "the Jenkins build for {zone} was not done in its share of JENKINS_TIMEOUT: {what}{error}"
                ))
            }
        };
        self.record.ended_at = Some(now);
        self.record.failed.clone_from(&failed);
        if let Err(error) = self.remember().await {
            tracing::warn!(error = %show(&error), "could not remember that a build has ended");
        }
        self.warnings.extend(failed);
        let at = match &self.build {
            // Jenkins' sum may be early by a wait that it does not tell; that we saw it running is certain.
            Some(Build { ended_at: Some(ended), .. }) => {
                self.seen_running_at.map_or(*ended, |seen| seen.max(*ended)).min(now)
            }
            _ => now,
        };
        let (build_url, console) = match self.build {
            Some(build) => (Some(build.url), Some(self.console.finish())),
            None => (None, None),
        };
        Tried { build_url, at, console, warnings: self.warnings, refused }
    }

    async fn follow(&mut self) -> Result<(), Trouble> {
        if self.record.number.is_none() && self.record.queue_id.is_none() {
            // Remembered without either: the request may have been sent before we were killed.
            if !(self.remembered && self.look().await?) {
                self.start().await?;
            }
        }
        let number = match (self.record.number, self.record.queue_id) {
            (Some(number), _) => number,
            (None, Some(item)) => self.wait_in_queue(item).await?,
            (None, None) => return Err(Trouble::Other("Jenkins took it, but it was never seen".into())),
        };
        self.read(number).await
    }

    /// Starts a build; afterwards its queue item or its number is known.
    async fn start(&mut self) -> Result<(), Trouble> {
        let clock = self.jenkins.clock();
        for next in 2.. {
            self.record.asked_at = clock.now();
            self.record.failed = None;
            self.record.ended_at = None;
            self.remember().await?;
            self.progress.say(&format!("Jenkins: asking for a build with CLUSTER={}", self.record.zone));
            let error = match self.jenkins.start(&self.record.zone).await {
                Ok(Started::Item { id, fresh }) => {
                    self.record.queue_id = Some(id);
                    self.record.shared = !fresh;
                    return self.remember().await;
                }
                Ok(Started::Unnamed) => {
                    // It was taken, so it is never asked for again, however long it takes to show.
                    while !self.look().await? {}
                    return Ok(());
                }
                Err(error) => error,
            };
            let asked_wait = match error.kind {
                Kind::Later(wait) => wait,
                Kind::Ambiguous => {
                    self.progress.say("Jenkins: no clear answer, looking whether the build was started");
                    if self.look().await? {
                        return Ok(());
                    }
                    None
                }
                _ => return Err(error.into()),
            };
            if next > STARTS.tries {
                return Err(error.into());
            }
            tracing::warn!(error = %error, zone = %self.record.zone, "asking for a build again");
            self.last_error = Some(error);
            clock.sleep(STARTS.wait_before(next, asked_wait, clock.jitter())).await;
        }
        Ok(())
    }

    /// Looks for our build for as long as Jenkins may lag behind; says whether it was found.
    async fn look(&mut self) -> Result<bool, Trouble> {
        let clock = self.jenkins.clock();
        let until = after(clock.now(), self.jenkins.lag());
        loop {
            let others = &self.others;
            let known = |found: Found| match found {
                Found::Waiting(id) => others.iter().any(|record| record.queue_id == Some(id)),
                Found::Build(number) => others.iter().any(|record| record.number == Some(number)),
            };
            let found = self.jenkins.find(&self.record.zone, self.since, known, self.deadline).await?;
            if let Some(found) = found {
                match found {
                    Found::Waiting(id) => self.record.queue_id = Some(id),
                    Found::Build(number) => self.record.number = Some(number),
                }
                // It looks like ours, but may be another's.
                self.record.shared = true;
                self.remember().await?;
                return Ok(true);
            }
            if clock.now() >= until {
                return Ok(false);
            }
            clock.sleep(self.jenkins.settings().poll).await;
        }
    }

    /// Waits until the item has left the queue, and gives the build's number.
    async fn wait_in_queue(&mut self, id: u64) -> Result<u64, Trouble> {
        let clock = self.jenkins.clock();
        let mut gone = 0;
        loop {
            let number = match self.jenkins.queue_item(id, self.deadline).await? {
                Some(item) => match item.state {
                    ItemState::Left(number) => Some(number),
                    ItemState::Cancelled => {
                        return Err(Trouble::Other("somebody took it out of Jenkins' queue".into()));
                    }
                    ItemState::Waiting { why, stuck } => {
                        self.say_waiting(id, why.as_deref(), stuck).await;
                        None
                    }
                    ItemState::Leaving => None,
                },
                None => {
                    let builds = self.jenkins.builds(self.deadline).await?;
                    let number = builds.iter().find(|build| build.queue_id == Some(id)).map(|build| build.number);
                    gone += 1;
                    if number.is_none() && gone > PATIENCE {
                        let what = format!("queue item {id} is gone, and none of the last builds came of it");
                        return Err(Trouble::Other(what));
                    }
                    number
                }
            };
            if let Some(number) = number {
                self.record.number = Some(number);
                self.remember().await?;
                return Ok(number);
            }
            clock.sleep(self.jenkins.settings().poll).await;
        }
    }

    async fn say_waiting(&mut self, id: u64, why: Option<&str>, stuck: bool) {
        // For people only: no reading is lost where it can't be told.
        let soon = after(self.jenkins.clock().now(), self.jenkins.settings().poll).min(self.deadline);
        let queue = by_deadline(self.jenkins.clock(), soon, "asking for the queue", self.jenkins.queue(soon)).await;
        let before = queue.map(|items| {
            items.iter().filter(|item| item.id < id && matches!(item.state, ItemState::Waiting { .. })).count()
        });
        let before = match before {
            Ok(n @ 1..) => format!(" ({n} before us)"),
            _ => String::new(),
        };
        let stuck = if stuck { ", which Jenkins calls stuck" } else { "" };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        self.say(format!("Jenkins: waiting in the queue{before}{stuck}{why}"));
    }

    /// Says what is new.
    fn say(&mut self, line: String) {
        if self.said != line {
            self.progress.say(&line);
            self.said = line;
        }
    }

    /// Reads the build's console until the build has ended and its console is whole.
    async fn read(&mut self, number: u64) -> Result<(), Trouble> {
        let clock = self.jenkins.clock();
        let mut still_open = 0;
        loop {
            let Some(build) = self.jenkins.build(number, self.deadline).await? else {
                return Err(Trouble::Other(format!("build #{number} is gone")));
            };
            self.check_cluster(&build)?;
            let done = build.is_done();
            if !done {
                self.seen_running_at = Some(clock.now());
            }
            self.build = Some(build);
            let more = match self.jenkins.read_log(number, &mut self.console, self.deadline).await {
                Ok(more) => more,
                // While it runs there is another chance.
                Err(error) if !done && error.is_worth_a_retry() => {
                    self.last_error = Some(error);
                    true
                }
                Err(error) => return Err(error.into()),
            };
            if done && (!more || still_open >= PATIENCE) {
                if more {
                    self.warnings.push(format!("the console of build #{number} was still open after the build's end"));
                }
                return self.judge(number);
            }
            if done {
                still_open += 1;
            } else {
                let boxes = self.console.so_far().boxes.len();
                self.say(format!("Jenkins: build #{number} runs, {boxes} boxes so far"));
            }
            clock.sleep(self.jenkins.settings().poll).await;
        }
    }

    /// A parameter may vanish silently: what the build ran with counts, not what was asked for.
    fn check_cluster(&self, build: &Build) -> Result<(), Trouble> {
        let ran_with = match &build.cluster {
            Some(cluster) if cluster == self.record.zone.as_str() => return Ok(()),
            Some(cluster) => format!("with CLUSTER={:?}", cluster.chars().take(80).collect::<String>()),
            None => "without CLUSTER".into(),
        };
        Err(Trouble::Other(format!(
            "{} ran {ran_with}, so it is not used (does the job still take the parameter CLUSTER?)",
            build.url
        )))
    }

    fn judge(&mut self, number: u64) -> Result<(), Trouble> {
        let result = self.build.as_ref().and_then(|build| build.result.as_deref()).unwrap_or("nothing");
        self.progress.say(&format!("Jenkins: build #{number} ended, {result}"));
        match result {
            "SUCCESS" => Ok(()),
            // What it printed still counts.
            other => Err(Trouble::Other(format!("{} ended {other}", self.jenkins.build_url(number)))),
        }
    }

    fn when_time_was_up(&self) -> String {
        match (self.record.number, self.record.queue_id) {
            (Some(number), _) => {
                format!("{} was still running; what it had printed counts", self.jenkins.build_url(number))
            }
            (None, Some(item)) => format!("queue item {item} was still waiting"),
            (None, None) => "Jenkins never said that it was started".into(),
        }
    }

    /// Stops what we started and nobody else waits for. When in doubt it is left alone: a build too many costs an
    /// executor for a while, a stopped one may cost somebody their answer.
    async fn let_go(&self) {
        let clock = self.jenkins.clock();
        let goodbye = async {
            let until = after(clock.now(), GOODBYE);
            let record = &self.record;
            if record.shared {
                return Ok(());
            }
            if let Some(number) = record.number {
                let Some(build) = self.jenkins.build(number, until).await? else { return Ok(()) };
                let ours = self.jenkins.is_ours_alone(&build.caused_by)
                    && build.cluster.as_deref() == Some(record.zone.as_str())
                    && build.queue_id == record.queue_id;
                if build.building && ours {
                    self.progress.say(&format!("Jenkins: stopping build #{number}, which took too long"));
                    self.jenkins.stop(number).await?;
                }
            } else if let Some(id) = record.queue_id {
                let Some(item) = self.jenkins.queue_item(id, until).await? else { return Ok(()) };
                let ours = self.jenkins.is_ours_alone(&item.caused_by)
                    && item.cluster.as_deref() == Some(record.zone.as_str());
                if matches!(item.state, ItemState::Waiting { .. }) && ours {
                    self.progress.say("Jenkins: leaving the queue, which took too long");
                    self.jenkins.cancel(id).await?;
                }
            }
            Ok::<(), Error>(())
        };
        let result = tokio::select! {
            result = goodbye => result,
            () = clock.sleep(GOODBYE) => return,
        };
        if let Err(error) = result {
            tracing::info!(error = %error, zone = %self.record.zone, "could not stop a build that took too long");
        }
    }

    async fn remember(&self) -> Result<(), Trouble> {
        let error = match self.log.record(&self.record).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        Err(Trouble::Other(format!("it could not be remembered, so it was not followed: {error}")))
    }
}

fn show(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Upstream(error) => error.to_string(),
        Trouble::Other(what) => what.clone(),
        Trouble::Deadline => "the deadline".into(),
    }
}
