//! Early words: the one short note of each run that has no diagnosis by `NOTE_BY`, or whose first reading may be
//! transient.
//!
//! They are owed to all, also to runs that wait for a place. So they are looked for over all runs and whoever works on
//! them, and of several processes that share the database one writes them at a time: an item of the queue. A run whose reading may be
//! transient only says that it wants one: nobody else writes them, and so none is written twice.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::context::Context;
use super::steps::confirm_alert::{Alert, confirm_alert};
use super::steps::post_short::post_early;
use super::watcher::Watcher;
use super::words;
use crate::traces;
use runbook::span::after;
use store::{StoreError, Watch, WatchLease};

/// How often it is looked while something is due or changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long whoever writes them need not look where none is owed: `watch` wakes it.
const NOTHING_DUE: Duration = Duration::from_secs(86_400);
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

/// Sees until `stop` that they are written when they are due, by whichever process.
pub async fn watch(context: Context, stop: CancellationToken) {
    loop {
        // Made before the look, so that no change falls between.
        let change = context.store.change_here();
        let wait = look(&context).await.unwrap_or_else(|error| {
            context.store.trouble("looking for early notes that are due", &error);
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
            () = stop.cancelled() => return,
            () = context.early_words.wanted.notified() => {}
            () = changed => {}
            () = time_has_come => {}
        }
    }
}

/// In how long to look again; `None` where nothing is owed unless something changes.
async fn look(context: &Context) -> Result<Option<Duration>, StoreError> {
    let words = context.store.early_words_due(context.config.note_by).await?;
    if words.due.is_empty() {
        return Ok(words.next.into_iter().chain(context.store.others_are_seen_within()).min());
    }
    context.early_words.due.notify_one();
    context.store.wake_watch(Watch::EarlyWords).await?;
    Ok(Some(LOOK_EVERY))
}

/// Writes those that are due.
#[derive(Debug)]
pub struct Writer;

impl Watcher for Writer {
    fn watch(&self) -> Watch {
        Watch::EarlyWords
    }

    fn turn<'a>(&'a self, context: &'a Context, _: &'a WatchLease) -> BoxFuture<'a, Result<Duration, StoreError>> {
        write_all(context).map(Ok).boxed()
    }
}

/// Writes until none is due; in how long the next one is. What was begun when the claim is lost or given back is found by its
/// text, by whoever comes next.
async fn write_all(context: &Context) -> Duration {
    let mut sweep = Sweep::default();
    let mut tasks = JoinSet::<Said>::new();
    loop {
        match sweep.round(context, &mut tasks).await {
            Ok(next) if sweep.is_over() => return next.unwrap_or(NOTHING_DUE),
            Ok(_) => {}
            Err(error) => context.store.trouble("looking for early notes that are due", &error),
        }
        tokio::select! {
            () = context.early_words.due.notified() => {}
            () = context.clock.sleep(LOOK_EVERY) => {}
            Some(said) = tasks.join_next() => {
                // One that died has ended the process already: see `die_of_panics`.
                if let Ok(said) = said {
                    sweep.ended(context, said);
                }
            }
        }
    }
}

#[derive(Default)]
struct Sweep {
    /// The runs whose word is due, as of the last look.
    due: VecDeque<String>,
    /// The runs whose word is being written.
    writing: HashSet<String>,
    /// Those whose word could not be written, and until when they rest.
    resting: HashMap<String, Timestamp>,
}

impl Sweep {
    /// Begins what is due; in how long the next one is.
    async fn round(&mut self, context: &Context, tasks: &mut JoinSet<Said>) -> Result<Option<Duration>, StoreError> {
        let now = context.clock.now();
        let words = context.store.early_words_due(context.config.note_by).await?;
        self.resting.retain(|id, until| *until > now && words.due.contains(id));
        let is_new = |id: &String| !self.writing.contains(id) && !self.resting.contains_key(id);
        self.due = words.due.into_iter().filter(is_new).collect();
        self.go_on(context, tasks);
        Ok(words.next)
    }

    /// Whether nothing is left to do now.
    fn is_over(&self) -> bool {
        self.due.is_empty() && self.writing.is_empty() && self.resting.is_empty()
    }

    /// Begins as many words as there is room for.
    fn go_on(&mut self, context: &Context, tasks: &mut JoinSet<Said>) {
        while self.writing.len() < AT_ONCE {
            let Some(run_id) = self.due.pop_front() else { return };
            self.writing.insert(run_id.clone());
            let context = context.clone();
            let span = tracing::info_span!("early_note", run.id = run_id, incident.id = Empty, region = Empty);
            let says = async move {
                let said = tokio::time::timeout(LONGEST, say(&context, &run_id));
                let said = said.await.unwrap_or(Err(StoreError::Slow));
                (run_id, said)
            };
            tasks.spawn(says.instrument(span));
        }
    }

    fn ended(&mut self, context: &Context, (run_id, said): Said) {
        self.writing.remove(&run_id);
        match said {
            Ok(Ok(())) => context.early_words.written.notify_waiters(),
            Ok(Err(why)) => {
                tracing::debug!(run.id = run_id, why, "the early note is not written");
                self.resting.insert(run_id, after(context.clock.now(), REST));
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(run.id = run_id, error, "an early note is interrupted, and tried again in a minute");
                self.resting.insert(run_id, after(context.clock.now(), REST));
            }
        }
    }
}

/// Writes the early word of a run; inside, why not.
async fn say(context: &Context, run_id: &str) -> Result<Result<(), String>, StoreError> {
    let Some(run) = context.store.run(run_id).await? else { return Ok(Err("the run is gone".into())) };
    let Some(incident) = run.incident.as_ref().filter(|_| run.state.is_active() && run.diagnosis.is_none()) else {
        return Ok(Err("it is no longer due".into()));
    };
    traces::say_whose(Some(&incident.id), &run.region);
    let facts = context.store.facts(run_id).await?;
    let mut on = incident.id.clone();
    // Nobody has asked PagerDuty yet: nothing is posted on what is over by now.
    if facts.related_at.is_none() {
        match confirm_alert(&context.pagerduty, &incident.id).await {
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
