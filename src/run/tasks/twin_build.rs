//! Settles the start of a build that is in doubt, whatever has become of the run. lifecycle.md#jenkins-and-the-clusters: Jenkins,
//! or what stands before it, may apply a start late, when another was sent long since. Nobody stops the one too many: it is
//! said, and counts for `JENKINS_MAX_BUILDS` while it waits or runs.

use std::time::Duration;

use jiff::Timestamp;

use crate::run::context::Context;
use jenkins::ItemState;
use outbound::builds::BuildRecord;
use outbound::error::Error;
use runbook::diagnosis::note::short;
use runbook::span::{after, before, between};
use runbook::writes::{Moment, Times, UNNAMED, Write};
use store::{StoreError, Task, WantedWrite};

use super::Done;

/// How long Jenkins may take to answer one look.
const PATIENCE: Duration = Duration::from_secs(15);
/// How soon it is looked again where it could not be asked, and for how long; so long counts one that does not end.
const AGAIN: Duration = Duration::from_secs(30);
const GIVE_UP_AFTER: Duration = Duration::from_secs(3600);
/// How soon it is looked whether one that nobody reads has ended.
const ENDED: Duration = Duration::from_secs(10);
/// Runs that were made no longer before than this are asked for their builds.
const OTHERS: Duration = Duration::from_secs(24 * 3600);
/// A wait of nothing would keep a worker busy.
const SHORTEST: Duration = Duration::from_millis(100);
/// Jenkins' times are known to whole seconds.
const CLOCK_GRACE: Duration = Duration::from_secs(2);

/// A build of ours that waits, runs, or has run.
#[derive(Clone, Debug)]
struct Shown {
    queue_id: Option<u64>,
    /// `None` while it waits.
    number: Option<u64>,
    url: String,
    goes_on: bool,
}

impl Shown {
    fn is(&self, record: &BuildRecord) -> bool {
        (self.number.is_some() && self.number == record.number)
            || (self.queue_id.is_some() && self.queue_id == record.queue_id)
    }

    /// What it is called in the record of its start.
    fn name(&self) -> String {
        match (self.queue_id, self.number) {
            (Some(id), _) => format!("item {id}"),
            (None, number) => format!("build {}", number.unwrap_or_default()),
        }
    }
}

/// Looks for all builds that may have come of the task's start.
pub(super) async fn look(context: &Context, task: &Task, run_id: &str, zone: &str) -> Result<Done, StoreError> {
    let (store, key) = (&context.store, &task.data);
    let Some(recorded) = store.recorded(key).await? else { return Ok(Done::Finished) };
    let began = context.clock.now();
    let asked_at = recorded.begun_at.unwrap_or(began);
    let mine = store.builds(run_id).await?.into_iter().find(|record| record.key(run_id) == *key);
    // Whatever was asked for before it was last.
    let made_at = store.run(run_id).await?.map_or(asked_at, |run| run.created_at);
    let above = mine.as_ref().and_then(|record| record.above).unwrap_or(0);
    let shown = match shown(context, zone, above, before(made_at, CLOCK_GRACE)).await {
        Ok(shown) => shown,
        Err(error) if between(asked_at, began) >= GIVE_UP_AFTER => {
            crate::metrics::give_up(crate::metrics::GivenUp::Twin);
            tracing::error!(run.id = run_id, error = %error, "whether a build was started twice is not known");
            return Ok(Done::Finished);
        }
        Err(error) => {
            tracing::debug!(run.id = run_id, error = %error, "a second build is looked for again");
            return Ok(Done::Later(key.clone(), AGAIN));
        }
    };
    // Whichever another run has asked for is no twin of this one's.
    let others = store.builds_of_all(before(asked_at, OTHERS)).await?;
    let is_known = |shown: &Shown| mine.as_ref().is_some_and(|record| shown.is(record));
    let shown: Vec<Shown> =
        shown.into_iter().filter(|shown| is_known(shown) || !others.iter().any(|other| shown.is(other))).collect();
    // One that was taken without a name is the first that shows.
    let is_unnamed = recorded.write.id.as_deref() == Some(UNNAMED) && !shown.iter().any(is_known);
    let first = shown.first().filter(|_| is_unnamed).map(Shown::name);
    let is_mine = |shown: &Shown| is_known(shown) || first == Some(shown.name());

    let moment = Moment { ours: began, theirs: None };
    let times = &Times::JENKINS;
    let mut write = recorded.write;
    write.expire(moment, times);
    let name = |shown: &Shown| match (&write.id, is_mine(shown)) {
        (Some(known), true) => known.clone(),
        _ => shown.name(),
    };
    let names: Vec<String> = shown.iter().map(name).collect();
    let wanted = WantedWrite { key, on: &recorded.on, run_id: None, text: "" };
    let write = settle(context, task, &wanted, write, &names, moment).await?;

    let extra = || shown.iter().zip(&names).filter(|(shown, name)| !is_mine(shown) && Some(*name) != write.id.as_ref());
    for (twin, _) in extra() {
        let Some(number) = twin.number else { continue };
        tracing::warn!(run.id = run_id, build = twin.url, "Jenkins has run a build that was asked for once too often");
        if !recorded.on.is_empty() {
            store.say_twin_build(task, &recorded.on, number, short::twin_build(&twin.url, zone)).await?;
        }
    }
    // One that is read counts by its run. One that nobody knew is read by nobody either.
    let unread = shown.iter().any(|shown| shown.goes_on && !is_mine(shown));
    let settle_in = write.settle_in(Moment { ours: context.clock.now(), theirs: None }, times);
    if unread && between(asked_at, began) >= GIVE_UP_AFTER {
        crate::metrics::give_up(crate::metrics::GivenUp::Twin);
        tracing::error!(run.id = run_id, "a build that was asked for once too often does not end: it counts no longer");
        store.end_build(task.claim()).await?;
        return Ok(Done::Finished);
    }
    if unread {
        store.count_build(task.claim()).await?;
        return Ok(Done::Later(key.clone(), settle_in.map_or(ENDED, |wait| wait.min(ENDED)).max(SHORTEST)));
    }
    store.end_build(task.claim()).await?;
    Ok(settle_in.map_or(Done::Finished, |wait| Done::Later(key.clone(), wait.max(SHORTEST))))
}

/// The builds of ours with this CLUSTER that were scheduled since then, and are above this number, the oldest first.
async fn shown(context: &Context, zone: &str, above: u64, since: Timestamp) -> Result<Vec<Shown>, Error> {
    let jenkins = &context.jenkins;
    let deadline = after(context.clock.now(), PATIENCE);
    // The queue first: what leaves it meanwhile is then a build.
    let queue = jenkins.queue(deadline).await?;
    let builds = jenkins.builds(deadline).await?;
    let mut all: Vec<Shown> = builds
        .iter()
        .filter(|build| {
            build.cluster.as_deref() == Some(zone)
                && jenkins.is_ours_alone(&build.caused_by)
                && build.number > above
                && build.scheduled_at >= since
        })
        .map(|build| Shown {
            queue_id: build.queue_id,
            number: Some(build.number),
            url: build.url.clone(),
            goes_on: !build.is_done(),
        })
        .collect();
    all.sort_by_key(|shown| shown.number);
    let waiting = queue.into_iter().filter(|item| {
        item.of_our_job
            && item.cluster.as_deref() == Some(zone)
            && jenkins.is_ours_alone(&item.caused_by)
            && item.queued_at >= since
            && matches!(item.state, ItemState::Waiting { .. })
            && !all.iter().any(|shown| shown.queue_id == Some(item.id))
    });
    let waiting: Vec<Shown> = waiting
        .map(|item| Shown { queue_id: Some(item.id), number: None, url: String::new(), goes_on: true })
        .collect();
    Ok(all.into_iter().chain(waiting).collect())
}

/// Records what the look has shown; what is recorded then.
async fn settle(
    context: &Context,
    task: &Task,
    wanted: &WantedWrite<'_>,
    mut write: Write,
    names: &[String],
    began: Moment,
) -> Result<Write, StoreError> {
    let (store, times) = (&context.store, &Times::JENKINS);
    let mut seen = write.seen_builds(names);
    let mut settling = write.settle(&seen, began, times);
    if let Some(first) = settling.stays.take() {
        store.move_write(task, wanted, &first).await?;
        write.moved(&first);
        seen = write.seen_builds(names);
        settling = write.settle(&seen, began, times);
    }
    store.looked_at_write(task, wanted, &seen, &settling, began, times).await
}
