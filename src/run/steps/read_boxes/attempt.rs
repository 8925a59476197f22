//! One zone's try: a build of ours is picked up or started, waited for, read, and let go of.

use jiff::Timestamp;

use super::follower::{Follower, Tried, Trouble};
use super::release::release;
use super::task::Task;
use super::until::Until;
use super::{BuildLog, BuildRecord};
use jenkins::{Build, Found, Started};
use outbound::error::Kind;
use outbound::retry::Retries;
use runbook::alert::Zone;
use runbook::span::after;

/// How often a build is asked for: again only where the time before certainly did not arrive, or could not be found.
/// Until there is a build nothing is lost by giving up soon; a build that is there is followed for its whole share.
const STARTS: Retries = Retries::READ;

pub(super) struct Attempt<'a, L> {
    pub(super) task: &'a Task<'a, L>,
    pub(super) until: Until,
    /// Builds asked for since then serve.
    since: Timestamp,
    /// Whether the record is from before: a restart.
    remembered: bool,
    pub(super) record: BuildRecord,
    /// What this zone's record was when it was too old to count.
    outdated: Option<BuildRecord>,
    pub(super) follower: Follower<'a>,
}

impl<'a, L: BuildLog> Attempt<'a, L> {
    /// `above` is the highest number of a build that was there before: ours has a higher one.
    pub(super) fn new(task: &'a Task<'a, L>, zone: &Zone, above: Option<u64>, deadline: Timestamp) -> Self {
        let until = task.until.by(deadline);
        let mine = task.remembered(zone).cloned();
        let remembered = mine.is_some();
        let record = mine.unwrap_or_else(|| {
            let intent = task.intent(zone.clone());
            BuildRecord { above: above.max(intent.above), ..intent }
        });
        Self {
            task,
            since: task.request.began_at.min(record.asked_at),
            remembered,
            record,
            outdated: None,
            follower: Follower::new(task.jenkins, task.progress, until.deadline),
            until,
        }
    }

    pub(super) async fn run(mut self) -> Tried {
        let until = self.until.clone();
        let result = tokio::select! {
            biased;
            result = self.pick_up_or_start() => result,
            () = until.over() => Err(Trouble::Deadline),
        };
        let ended_at = self.task.jenkins.clock().now();
        let zone = self.record.zone.clone();
        let (mut is_last, mut remembered) = (false, true);
        let failed = match result {
            Ok(()) => None,
            Err(Trouble::Upstream(error)) => {
                // lifecycle.md#jenkins-and-the-clusters: no next zone after these. A build or queue item that is gone
                // is told apart elsewhere.
                is_last = error.status().is_some_and(|status| matches!(status.as_u16(), 401 | 403 | 404 | 409));
                Some(format!("the Jenkins build for {zone}: {error}"))
            }
            Err(Trouble::Other(what)) => Some(format!("the Jenkins build for {zone}: {what}")),
            Err(Trouble::NotRemembered(what)) => {
                // It may run: its record stays as it is, and whoever reads it looks for the build.
                (is_last, remembered) = (true, false);
                Some(format!("the Jenkins build for {zone}: {what}"))
            }
            Err(Trouble::Deadline) => {
                let (what, error) = (self.when_time_was_up(), self.follower.last_error.take());
                let error = error.map(|error| format!("; {error}")).unwrap_or_default();
                release(self.task.jenkins, self.task.request.permit, &self.record, self.task.progress).await;
                let limit = if until.is_hurried() {
                    "when the alert was over and an answer was due"
                } else {
                    "in its share of JENKINS_TIMEOUT"
                };
                Some(format!("the Jenkins build for {zone} was not done {limit}: {what}{error}"))
            }
        };
        self.record.ended_at = Some(ended_at);
        self.record.failed.clone_from(&failed);
        if remembered && let Err(error) = self.remember().await {
            tracing::warn!(error = %error, "could not remember that a build has ended");
        }
        self.follower.finish(self.record.number, failed, is_last)
    }

    async fn pick_up_or_start(&mut self) -> Result<(), Trouble> {
        if self.remembered {
            if !self.record.ended_at.is_some_and(|ended_at| self.task.is_too_old(ended_at)) {
                let result = self.follow().await;
                // Where Jenkins did not say, it may run yet.
                if matches!(result, Err(Trouble::Upstream(_))) || !self.is_outdated() {
                    return result;
                }
            }
            self.forget();
        }
        self.follow().await
    }

    /// Whether what is remembered turned out to have ended too long ago to be evidence, or is gone since. A build that
    /// waits or runs never is, however long ago it was asked for: it is not started twice. Jenkins' clock is known to a
    /// second, so that a short build may seem to have ended before it was asked for: it did not.
    fn is_outdated(&self) -> bool {
        let asked_at = self.record.asked_at;
        self.task.is_too_old(self.follower.ended_at().map_or(asked_at, |ended_at| ended_at.max(asked_at)))
    }

    /// From here on it is as if nothing had been asked for.
    fn forget(&mut self) {
        let fresh = self.task.intent(self.record.zone.clone());
        self.since = fresh.asked_at;
        self.remembered = false;
        self.outdated = Some(std::mem::replace(&mut self.record, fresh));
        self.follower = Follower::new(self.task.jenkins, self.task.progress, self.until.deadline);
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
        let zone = self.record.zone.clone();
        self.follower.read(number, |build| ran_with(build, &zone)).await
    }

    /// Starts a build; afterwards its queue item or its number is known.
    async fn start(&mut self) -> Result<(), Trouble> {
        let clock = self.task.jenkins.clock();
        for next in 2.. {
            self.record.asked_at = clock.now();
            self.record.failed = None;
            self.record.ended_at = None;
            self.remember().await?;
            self.task.progress.say(&format!("Jenkins: asking for a build with CLUSTER={}", self.record.zone));
            let error = match self.task.jenkins.start(self.task.request.permit, &self.record.zone).await {
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
                    self.task.progress.say("Jenkins: no clear answer, looking whether the build was started");
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
            self.follower.last_error = Some(error);
            clock.sleep(STARTS.wait_before(next, asked_wait, clock.jitter())).await;
        }
        Ok(())
    }

    /// Looks for our build for as long as Jenkins may lag behind; says whether it was found.
    async fn look(&mut self) -> Result<bool, Trouble> {
        let jenkins = self.task.jenkins;
        let clock = jenkins.clock();
        let until = after(clock.now(), jenkins.lag());
        loop {
            let (others, outdated, above) = (&self.task.others, &self.outdated, self.record.above);
            let known = |found: Found| match found {
                Found::Waiting(id) => others.iter().chain(outdated).any(|record| record.queue_id == Some(id)),
                Found::Build(number) => {
                    others.iter().chain(outdated).any(|record| record.number == Some(number))
                        || above.is_some_and(|above| number <= above)
                }
            };
            let found = jenkins.find(&self.record.zone, self.since, known, self.until.deadline).await;
            let asked = self.follower.bear(found)?;
            // Only where Jenkins showed what there is has it been looked for.
            if asked.is_none() {
                clock.sleep(jenkins.settings().poll).await;
                continue;
            }
            if let Some(found) = asked.flatten() {
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
            clock.sleep(jenkins.settings().poll).await;
        }
    }

    fn when_time_was_up(&self) -> String {
        match (self.record.number, self.record.queue_id) {
            (Some(number), _) => self.follower.unfinished(number),
            (None, Some(item)) => format!("queue item {item} was still waiting"),
            (None, None) => "Jenkins never said that it was started".into(),
        }
    }

    pub(super) async fn remember(&self) -> Result<(), Trouble> {
        let error = match self.task.log.record(&self.record).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        Err(Trouble::NotRemembered(format!("it could not be remembered, so it was not followed: {error}")))
    }
}

/// A parameter may vanish silently: what the build ran with counts, not what was asked for.
fn ran_with(build: &Build, zone: &Zone) -> Result<(), Trouble> {
    let ran_with = match &build.cluster {
        Some(cluster) if cluster == zone.as_str() => return Ok(()),
        Some(cluster) => format!("with CLUSTER={:?}", cluster.chars().take(80).collect::<String>()),
        None => "without CLUSTER".into(),
    };
    Err(Trouble::Other(format!(
        "{} ran {ran_with}, so it is not used (does the job still take the parameter CLUSTER?)",
        build.url
    )))
}
