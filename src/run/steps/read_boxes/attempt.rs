//! One zone's try: a build of ours is picked up or started, waited for, read, and let go of.

use jiff::Timestamp;

use super::follower::{Follower, Tried, Trouble};
use super::release::release;
use super::task::Task;
use super::until::Until;
use super::{BuildLog, BuildRecord};
use jenkins::{Build, Found, Started};
use outbound::builds::LogError;
use outbound::error::{Error, Kind};
use outbound::retry::Retries;
use runbook::alert::Zone;
use runbook::writes::{Moment, Next, Outcome, Settling, Step, Times, UNNAMED, Write};

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
        let mut record = mine.unwrap_or_else(|| {
            let intent = task.intent(zone.clone());
            BuildRecord { above: above.max(intent.above), ..intent }
        });
        if remembered && record.start == Write::default() {
            record.start = record.start_by_itself();
        }
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
        // What is too old is none of those that may have been started since.
        let (nth, above) = (self.record.nth + 1, fresh.above.max(self.record.number));
        let fresh = BuildRecord { nth, above, ..fresh };
        self.since = fresh.asked_at;
        self.remembered = false;
        self.outdated = Some(std::mem::replace(&mut self.record, fresh));
        self.follower = Follower::new(self.task.jenkins, self.task.progress, self.until.deadline);
    }

    async fn follow(&mut self) -> Result<(), Trouble> {
        if !self.record.is_known() {
            self.start().await?;
        }
        let number = match (self.record.number, self.record.queue_id) {
            (Some(number), _) => number,
            (None, Some(item)) => self.wait_in_queue(item).await?,
            (None, None) => return Err(Trouble::Other("Jenkins took it, but it was never seen".into())),
        };
        let zone = self.record.zone.clone();
        self.follower.read(number, |build| ran_with(build, &zone)).await
    }

    /// Sees that a build is asked for once ([`runbook::writes::Write::next`]); afterwards its queue item or its number is
    /// known.
    async fn start(&mut self) -> Result<(), Trouble> {
        let jenkins = self.task.jenkins;
        let (clock, times) = (jenkins.clock(), Times { read_lag: jenkins.lag(), ..Times::JENKINS });
        self.record.start.take_over(moment(clock.now()), &times);
        let (mut tries, mut failed) = (0, None::<Error>);
        loop {
            match self.record.start.next(&times) {
                Next::Stands(_) if self.record.is_known() => return Ok(()),
                // It was taken, so it is never asked for again, however long it takes to show.
                Next::Stands(_) | Next::Look(_) => {
                    let began = moment(clock.now());
                    match self.look().await? {
                        Some(Some(name)) => {
                            // One that was taken without a name keeps that.
                            let id = self.record.start.id.clone().unwrap_or(name);
                            self.step(&Step::Found(id), began, &times).await?;
                        }
                        // Only where Jenkins showed what there is has it been looked for.
                        Some(None) => self.record.start.looked(began, &Settling::default(), &times),
                        None => {}
                    }
                    if !self.record.is_known() && self.record.start.next(&times) != Next::Send {
                        clock.sleep(jenkins.settings().poll).await;
                    }
                }
                Next::Send => {
                    if let Some(error) = failed.take() {
                        if tries >= STARTS.tries {
                            return Err(error.into());
                        }
                        tracing::warn!(error = %error, zone = %self.record.zone, "asking for a build again");
                        let asked_wait = if let Kind::Later(wait) = error.kind { wait } else { None };
                        self.follower.last_error = Some(error);
                        clock.sleep(STARTS.wait_before(tries + 1, asked_wait, clock.jitter())).await;
                    }
                    tries += 1;
                    failed = self.send(&times).await?;
                }
            }
        }
    }

    /// Asks for it once; what went wrong, and may pass.
    async fn send(&mut self, times: &Times) -> Result<Option<Error>, Trouble> {
        let Task { jenkins, request, progress, .. } = self.task;
        let now = moment(jenkins.clock().now());
        self.record.asked_at = now.ours;
        (self.record.failed, self.record.ended_at) = (None, None);
        self.step(&Step::Begin(self.record.start.attempt), now, times).await?;
        if self.record.start.intent != Some(now.ours) {
            // It was begun before, though that was not known here, or a look has shown it meanwhile.
            return Ok(None);
        }
        progress.say(&format!("Jenkins: asking for a build with CLUSTER={}", self.record.zone));
        let sent = jenkins.start(request.permit, &self.record.zone).await;
        if let Ok(Started::Item { id, fresh }) = sent {
            (self.record.queue_id, self.record.shared) = (Some(id), !fresh);
        }
        let outcome = match &sent {
            Ok(_) => Outcome::Done(self.record.name().unwrap_or_else(|| UNNAMED.to_owned())),
            Err(error) => match error.kind {
                Kind::Refused(_) => Outcome::Refused(error.to_string()),
                Kind::Later(_) | Kind::Local => Outcome::NotSent(error.to_string()),
                Kind::Ambiguous | Kind::Malformed => Outcome::Ambiguous(error.to_string()),
            },
        };
        let may_pass = |error: &Error| matches!(error.kind, Kind::Ambiguous | Kind::Later(_));
        if matches!(&sent, Err(error) if error.kind == Kind::Ambiguous) {
            progress.say("Jenkins: no clear answer, looking whether the build was started");
        }
        let now = moment(jenkins.clock().now());
        self.step(&Step::Ended(self.record.start.attempt, outcome), now, times).await?;
        match sent {
            Ok(_) => Ok(None),
            Err(error) if may_pass(&error) => Ok(Some(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks once for a build that may have been started, and takes it; its name. `None`: Jenkins could not be asked.
    async fn look(&mut self) -> Result<Option<Option<String>>, Trouble> {
        let (others, outdated, above) = (&self.task.others, &self.outdated, self.record.above);
        let known = |found: Found| match found {
            Found::Waiting(id) => others.iter().chain(outdated).any(|record| record.queue_id == Some(id)),
            Found::Build(number) => {
                others.iter().chain(outdated).any(|record| record.number == Some(number))
                    || above.is_some_and(|above| number <= above)
            }
        };
        let found = self.task.jenkins.find(&self.record.zone, self.since, known, self.until.deadline).await;
        let Some(found) = self.follower.bear(found)? else { return Ok(None) };
        match found {
            None => return Ok(Some(None)),
            Some(Found::Waiting(id)) => self.record.queue_id = Some(id),
            Some(Found::Build(number)) => self.record.number = Some(number),
        }
        // It looks like ours, but may be another's.
        self.record.shared = true;
        Ok(Some(self.record.name()))
    }

    fn when_time_was_up(&self) -> String {
        match (self.record.number, self.record.queue_id) {
            (Some(number), _) => self.follower.unfinished(number),
            (None, Some(item)) => format!("queue item {item} was still waiting"),
            (None, None) => "Jenkins never said that it was started".into(),
        }
    }

    pub(super) async fn remember(&self) -> Result<(), Trouble> {
        self.task.log.record(&self.record).await.map_err(not_remembered)
    }

    /// The same with a step of its start, which goes by what is recorded of that.
    async fn step(&mut self, step: &Step, now: Moment, times: &Times) -> Result<(), Trouble> {
        self.record.start = self.task.log.step(&self.record, step, now, times).await.map_err(not_remembered)?;
        Ok(())
    }
}

fn not_remembered(error: LogError) -> Trouble {
    Trouble::NotRemembered(format!("it could not be remembered, so it was not followed: {error}"))
}

/// By our clock: that of Jenkins tells whole seconds only.
fn moment(ours: Timestamp) -> Moment {
    Moment { ours, theirs: None }
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
