//! Early words: the one short note of each run that has no diagnosis by `NOTE_BY`, or whose first reading may be
//! transient.
//!
//! They are owed to all, also to runs that wait for a place. So one sweep looks for them, over all runs and whoever
//! works on them; of several processes that share the database one does it at a time. A run whose reading may be
//! transient only says that it wants one: nobody else writes them, and so none is written twice.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::steps::confirm_alert::{Alert, confirm_alert};
use super::steps::post_short::post_early;
use super::words;
use outbound::fence::Fence;
use runbook::span::after;
use store::{LEASE, StoreError};

/// What whoever writes them has.
const ROLE: &str = "early-words";
/// How long it may write to PagerDuty without having renewed that.
const HOLDS: Duration = Duration::from_secs(25);
/// How often it is looked while something is due or changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Words that are written at a time.
const AT_ONCE: usize = 32;
/// How long a word that could not be written rests.
const REST: Duration = Duration::from_secs(60);
/// How long the writing of one may take: longer than all its tries. One that hangs, for example in the database, must
/// not keep its place for good.
const LONGEST: Duration = Duration::from_secs(900);

/// The key of a run's early word: there is one at most.
pub fn key(run_id: &str) -> String {
    format!("early:{run_id}")
}

/// How the writing of one ended.
type Said = (String, Result<Result<(), String>, StoreError>);

/// Writes early words until `stop`.
pub async fn watch(context: Context, stop: CancellationToken) {
    let mut sweep = Sweep::new();
    let mut tasks = JoinSet::<Said>::new();
    loop {
        // Made before the look, so that no change falls between.
        let change = context.store.change_here();
        let wait = sweep.round(&context, &mut tasks).await.unwrap_or_else(|error| {
            context.store.trouble("looking for early words that are due", &error);
            Some(LOOK_EVERY)
        });
        // Many changes in a row are one look.
        let changed = async {
            change.await;
            context.clock.sleep(LOOK_EVERY).await;
        };
        let time_has_come = async {
            match wait {
                Some(wait) => context.clock.sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = context.early_words.wanted.notified() => {}
            () = changed => {}
            () = time_has_come => {}
            Some(said) = tasks.join_next() => {
                // One that died has ended the process already: see `die_of_panics`.
                if let Ok(said) = said {
                    sweep.ended(&context, said);
                }
            }
        }
    }
    // What was begun is found by its text, by whoever comes next.
    tasks.shutdown().await;
    if let Err(error) = context.store.leave_role(ROLE).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "the role of writing early words runs out by itself");
    }
}

struct Sweep {
    /// Around everything that is written, while this process is the one that writes.
    fence: Fence,
    /// The runs whose word is due, as of the last look.
    due: VecDeque<String>,
    /// The runs whose word is being written.
    writing: HashSet<String>,
    /// Those whose word could not be written, and until when they rest.
    resting: HashMap<String, Timestamp>,
}

impl Sweep {
    fn new() -> Self {
        let fence = Fence::new(Instant::now(), HOLDS);
        Self { fence, due: VecDeque::new(), writing: HashSet::new(), resting: HashMap::new() }
    }

    /// Begins what is due; in how long to look again, `None` where nothing is owed unless something changes.
    async fn round(&mut self, context: &Context, tasks: &mut JoinSet<Said>) -> Result<Option<Duration>, StoreError> {
        let now = context.clock.now();
        self.resting.retain(|_, until| *until > now);
        let words = context.store.early_words_due(context.config.note_by).await?;
        let of_others = context.store.others_are_seen_within();
        let next = words.next.into_iter().chain(of_others).min();
        let is_new = |id: &String| !self.writing.contains(id) && !self.resting.contains_key(id);
        self.due = words.due.into_iter().filter(is_new).collect();
        if self.due.is_empty() && self.writing.is_empty() {
            return Ok(if self.resting.is_empty() { next } else { Some(LOOK_EVERY) });
        }
        let asked = Instant::now();
        if !context.store.take_role(ROLE, LEASE).await? {
            // Another process is at it; what this one had begun is found by its text.
            tasks.shutdown().await;
            self.writing.clear();
            self.due.clear();
            return Ok(Some(LOOK_EVERY));
        }
        self.fence.renewed(asked);
        self.go_on(context, tasks);
        Ok(Some(LOOK_EVERY))
    }

    /// Begins as many words as there is room for.
    fn go_on(&mut self, context: &Context, tasks: &mut JoinSet<Said>) {
        while self.writing.len() < AT_ONCE {
            let Some(run_id) = self.due.pop_front() else { return };
            self.writing.insert(run_id.clone());
            let (context, fence) = (context.clone(), self.fence.clone());
            tasks.spawn(async move {
                let said = tokio::time::timeout(LONGEST, fence.around(say(&context, &run_id)));
                let said = said.await.unwrap_or(Err(StoreError::Slow));
                (run_id, said)
            });
        }
    }

    fn ended(&mut self, context: &Context, (run_id, said): Said) {
        self.writing.remove(&run_id);
        match said {
            Ok(Ok(())) => context.early_words.written.notify_waiters(),
            Ok(Err(why)) => {
                tracing::debug!(run.id = run_id, why, "the early word is not written");
                self.resting.insert(run_id, after(context.clock.now(), REST));
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(run.id = run_id, error, "an early word is interrupted, and tried again in a minute");
                self.resting.insert(run_id, after(context.clock.now(), REST));
            }
        }
    }
}

/// Writes the early word of a run; inside, why not.
async fn say(context: &Context, run_id: &str) -> Result<Result<(), String>, StoreError> {
    let Some(run) = context.store.run(run_id).await? else { return Ok(Err("the run is gone".into())) };
    let Some(incident) = run.incident.as_ref().filter(|_| run.state.is_active() && run.diagnosis.is_none()) else {
        return Ok(Err("it is not owed any more".into()));
    };
    let facts = context.store.facts(run_id).await?;
    let mut on = incident.id.clone();
    // Nobody has asked PagerDuty yet: nothing is posted on what is over by now.
    if facts.related_at.is_none() {
        match confirm_alert(context, &incident.id).await {
            Alert::Open(open) => on = open.id,
            Alert::Resolved(_) => return Ok(Err("the alert is resolved".into())),
            Alert::Unknown(_) => {}
        }
    }
    let text = words::early(context, &run, &facts, None);
    // A word after the diagnosis would only confuse.
    post_early(context, &key(run_id), &on, &text, run_id).await
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
