//! Queue and builds, moved on by the clock whenever somebody looks.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::fault::{Fault, Place};
use super::{Asked, BuildPlan, Seen, Setup};
use crate::spelling::Spelling;
use runbook::span::{after, between};

/// When a build ends that is held.
const NEVER: Timestamp = Timestamp::MAX;

#[derive(Debug, Default)]
pub(super) struct State {
    /// Id of the newest queue item; the others before it take ids too.
    last_id: u64,
    asked: u64,
    pub(super) items: Vec<Item>,
    pub(super) builds: Vec<Build>,
    pub(super) faults: Vec<(Place, Fault, u32)>,
    pub(super) started: Vec<String>,
    pub(super) stopped: Vec<u64>,
    pub(super) cancelled: Vec<u64>,
    pub(super) seen: Vec<Seen>,
    pub(super) job: Job,
    /// By how much the next build that is asked for is queued late.
    pub(super) late_by: Option<Duration>,
    /// When each of those is queued, its CLUSTER, and who asked for it.
    late: Vec<(Timestamp, String, String)>,
    pub(super) drift: SignedDuration,
    /// How long each request is on its way.
    pub(super) latency: Duration,
    /// Builds from this number on do not end.
    held_from: Option<u64>,
    pub(super) spelling: Spelling,
}

/// What is wrong with the job.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Job {
    pub(super) disabled: bool,
    pub(super) without_parameter: bool,
    pub(super) build_forbidden: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: u64,
    pub(super) cluster: String,
    pub(super) users: Vec<String>,
    pub(super) queued_at: Timestamp,
    pub(super) quiet_until: Timestamp,
    leaves_at: Timestamp,
    pub(super) left: Option<Left>,
    pub(super) plan: BuildPlan,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    at: Timestamp,
    /// `None` when it was cancelled.
    pub(super) build: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Build {
    pub(super) number: u64,
    pub(super) item: u64,
    pub(super) cluster: String,
    pub(super) users: Vec<String>,
    pub(super) scheduled_at: Timestamp,
    pub(super) started_at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) stopped: bool,
    pub(super) plan: BuildPlan,
}

impl Item {
    /// How many of those that were before it are still there.
    pub(super) fn others_before(&self, now: Timestamp) -> u32 {
        let (all, left) = (self.plan.queue.as_secs_f64(), between(now, self.leaves_at).as_secs_f64());
        if all == 0.0 {
            return 0;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a u32")]
        let remaining = (f64::from(self.plan.others_before) * (left / all).min(1.0)).ceil() as u32;
        remaining
    }

    /// Whether its build can be seen from the queue item.
    pub(super) fn handed_over(&self, now: Timestamp) -> bool {
        self.left.is_some_and(|left| now >= after(left.at, self.plan.handover))
    }
}

impl Build {
    pub(super) fn is_running(&self, now: Timestamp) -> bool {
        now < self.ends_at
    }

    /// How long it has run.
    pub(super) fn elapsed(&self, now: Timestamp) -> Duration {
        between(self.started_at, now.min(self.ends_at))
    }
}

impl State {
    /// Moves everything on to the present.
    pub(super) fn advance(&mut self, now: Timestamp, setup: &Setup) {
        let (due, late) = std::mem::take(&mut self.late).into_iter().partition::<Vec<_>, _>(|(at, ..)| *at <= now);
        self.late = late;
        for (at, cluster, user) in due {
            self.enqueue(at, setup, &cluster, &user, Duration::ZERO);
        }
        for item in &mut self.items {
            if item.left.is_some() {
                continue;
            }
            let free_at = self.builds.iter().map(|build| build.ends_at).max().filter(|_| !setup.concurrent);
            let starts_at = free_at.map_or(item.leaves_at, |free_at| free_at.max(item.leaves_at));
            if now < starts_at {
                continue;
            }
            if item.plan.cancelled {
                item.left = Some(Left { at: starts_at, build: None });
                continue;
            }
            let number = self.builds.len() as u64 + 1;
            item.left = Some(Left { at: starts_at, build: Some(number) });
            self.builds.push(Build {
                number,
                item: item.id,
                cluster: item.cluster.clone(),
                users: item.users.clone(),
                // The real one's `timestamp` is when the build was scheduled, not when it began to run.
                scheduled_at: item.queued_at,
                started_at: starts_at,
                ends_at: if self.held_from.is_some_and(|from| number >= from) {
                    NEVER
                } else {
                    after(starts_at, item.plan.duration)
                },
                stopped: false,
                plan: item.plan.clone(),
            });
        }
        self.items
            .retain(|item| item.left.is_none_or(|left| !item.plan.item_gone && now < after(left.at, setup.items_kept)));
    }

    /// Queues a build, or joins the equal one that waits; gives the item's id, and whether it is new.
    pub(super) fn enqueue(
        &mut self,
        now: Timestamp,
        setup: &Setup,
        cluster: &str,
        user: &str,
        quiet: Duration,
    ) -> (u64, bool) {
        if let Some(by) = self.late_by.take() {
            self.late.push((after(now, by), cluster.to_owned(), user.to_owned()));
            return (0, false);
        }
        if let Some(item) = self.items.iter_mut().find(|item| item.left.is_none() && item.cluster == cluster) {
            item.users.push(user.to_owned());
            return (item.id, false);
        }
        self.asked += 1;
        let plan = (setup.plan)(&Asked { nth: self.asked, cluster: cluster.to_owned() });
        self.last_id += u64::from(plan.others_before) + 1;
        let quiet_until = after(now, quiet);
        self.items.push(Item {
            id: self.last_id,
            cluster: cluster.to_owned(),
            users: vec![user.to_owned()],
            queued_at: now,
            quiet_until,
            leaves_at: after(quiet_until, plan.queue),
            left: None,
            plan,
        });
        if user == setup.user {
            self.started.push(cluster.to_owned());
        }
        (self.last_id, true)
    }

    /// A build of the past, which began as soon as it was scheduled.
    pub(super) fn built(&mut self, at: Timestamp, cluster: &str, plan: BuildPlan) -> u64 {
        let number = self.builds.last().map_or(0, |build| build.number) + 1;
        self.last_id += 1;
        self.builds.push(Build {
            number,
            item: self.last_id,
            cluster: cluster.to_owned(),
            users: vec!["somebody".to_owned()],
            scheduled_at: at,
            started_at: at,
            ends_at: after(at, plan.duration),
            stopped: false,
            plan,
        });
        number
    }

    /// Builds from this number on run until they may end; `None`: all may, and no sooner than planned.
    pub(super) fn hold(&mut self, now: Timestamp, from: Option<u64>) {
        self.held_from = from;
        for build in self.builds.iter_mut().filter(|build| build.ends_at == NEVER) {
            if from.is_none_or(|from| build.number < from) {
                build.ends_at = now.max(after(build.started_at, build.plan.duration));
            }
        }
    }

    /// Takes an item out of the queue; whether it was there.
    pub(super) fn cancel(&mut self, now: Timestamp, id: u64) -> bool {
        let Some(item) = self.items.iter_mut().find(|item| item.id == id && item.left.is_none()) else {
            return false;
        };
        item.left = Some(Left { at: now, build: None });
        self.cancelled.push(id);
        true
    }

    /// Stops a build; whether there is one of this number.
    pub(super) fn stop(&mut self, now: Timestamp, number: u64) -> bool {
        let Some(build) = self.builds.iter_mut().find(|build| build.number == number) else { return false };
        if build.is_running(now) {
            build.ends_at = now;
            build.stopped = true;
        }
        self.stopped.push(number);
        true
    }

    /// The fault that this request meets, used up by it.
    pub(super) fn next_fault(&mut self, place: Place) -> Option<Fault> {
        let (_, fault, left) =
            self.faults.iter_mut().find(|(of, _, left)| *left > 0 && (*of == place || *of == Place::Any))?;
        *left -= 1;
        Some(*fault)
    }
}
