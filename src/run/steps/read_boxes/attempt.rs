//! One zone's try: a build is picked up or started, waited for, read, and let go of.

use jiff::Timestamp;

use super::release::release;
use super::{BuildLog, BuildRecord, ReadingRequest};
use crate::alert::Zone;
use crate::clock::{after, between};
use crate::diagnosis::Console;
use crate::run::progress::Progress;
use crate::upstream::jenkins::{Build, Found, ItemState, Jenkins, LogReader, Started};
use crate::upstream::{Error, Kind, Retries, by_deadline};

/// How often a build is asked for: again only where the time before certainly did not arrive, or could not be found.
/// Until there is a build nothing is lost by giving up soon; a build that is there is followed for its whole share.
const STARTS: Retries = Retries::READ;

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
                release(self.jenkins, &self.record, self.progress).await;
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
        let mut gone_since = None;
        loop {
            let number = match self.bear(self.jenkins.queue_item(id, self.deadline).await)? {
                Some(Some(item)) => match item.state {
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
                Some(None) => match self.bear(self.jenkins.builds(self.deadline).await)? {
                    Some(builds) => {
                        let since = *gone_since.get_or_insert(clock.now());
                        let number = builds.iter().find(|build| build.queue_id == Some(id)).map(|build| build.number);
                        if number.is_none() && clock.now() >= after(since, self.jenkins.lag()) {
                            let what = format!("queue item {id} is gone, and none of the last builds came of it");
                            return Err(Trouble::Other(what));
                        }
                        number
                    }
                    None => None,
                },
                None => None,
            };
            if let Some(number) = number {
                self.record.number = Some(number);
                self.remember().await?;
                return Ok(number);
            }
            clock.sleep(self.jenkins.settings().poll).await;
        }
    }

    /// A failure that may pass is borne while there is a build to lose: `None`, and to be asked again.
    fn bear<T>(&mut self, answer: Result<T, Error>) -> Result<Option<T>, Trouble> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_worth_a_retry() && self.jenkins.clock().now() < self.deadline => {
                tracing::debug!(error = %error, zone = %self.record.zone, "still following the build");
                self.last_error = Some(error);
                Ok(None)
            }
            Err(error) => Err(error.into()),
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
        let mut done_since = None;
        loop {
            match self.bear(self.jenkins.build(number, self.deadline).await)? {
                Some(Some(build)) => {
                    self.check_cluster(&build)?;
                    if build.is_done() {
                        done_since.get_or_insert(clock.now());
                    } else {
                        self.seen_running_at = Some(clock.now());
                    }
                    self.build = Some(build);
                }
                Some(None) => return Err(Trouble::Other(format!("build #{number} is gone"))),
                None => {}
            }
            if self.build.is_some() {
                let answer = self.jenkins.read_log(number, &mut self.console, self.deadline).await;
                let more = self.bear(answer)?;
                match (done_since, more) {
                    (Some(_), Some(false)) => return self.judge(number),
                    (Some(since), Some(true)) if clock.now() >= after(since, self.jenkins.lag()) => {
                        self.warnings.push(format!("the console of build #{number} stayed open after the build's end"));
                        return self.judge(number);
                    }
                    (None, Some(_)) => {
                        let boxes = self.console.so_far().boxes.len();
                        self.say(format!("Jenkins: build #{number} runs, {boxes} boxes so far"));
                    }
                    _ => {}
                }
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
        let ended = self.build.as_ref().is_some_and(Build::is_done);
        match (self.record.number, self.record.queue_id) {
            (Some(number), _) if ended => {
                format!("the console of {} could not be read to its end", self.jenkins.build_url(number))
            }
            (Some(number), _) => {
                format!("{} was still running; what it had printed counts", self.jenkins.build_url(number))
            }
            (None, Some(item)) => format!("queue item {item} was still waiting"),
            (None, None) => "Jenkins never said that it was started".into(),
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
