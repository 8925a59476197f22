//! Works on an alert beside its runs: commands by note, second looks, watching a page, the last word.
//!
//! What is to be done says [`runbook::plan::advance`]; here it is asked and done, and what came of it is handed back. It may be
//! done again after a crash: what is decided is saved before anything is done by it, and whatever is written is keyed, or looked
//! for first.

mod actions;
mod answers;
mod end;
mod left;
#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::FuturesUnordered;
use jiff::Timestamp;

use runbook::life::Beside;
use runbook::plan::{self, Answers, Came, Ended, Known, Policy};
use store::{AlertLease, AlertNow, PageRecord, StoreError};

use super::context::Context;
use crate::metrics;
use actions::Done;

pub use left::take_in;

/// How soon it is looked what has come meanwhile, while something is asked or done.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Something that is asked or done: its key, when it was begun, and what came of it.
type UnderWay<'a> = BoxFuture<'a, (String, Timestamp, Result<Done, StoreError>)>;

/// How an alert is left: this is decided, and it is to be looked at then.
#[derive(Debug)]
pub struct Rest {
    version: i64,
    beside: Beside,
    wake_at: Option<Timestamp>,
}

impl Rest {
    /// Keeps it, and gives the claim back.
    ///
    /// # Errors
    /// The store.
    pub async fn keep(&self, context: &Context, lease: &AlertLease) -> Result<(), StoreError> {
        context.store.rest_alert(lease, self.version, &self.beside, self.wake_at).await
    }
}

/// Does what is to be done now; `None`: the alert is gone, it was merged into another.
///
/// # Errors
/// The store.
pub async fn turn(context: &Context, lease: &AlertLease) -> Result<Option<Rest>, StoreError> {
    let policy = policy(context);
    let mut answers = Answers::default();
    let mut under_way = FuturesUnordered::<UnderWay<'_>>::new();
    let mut keys = HashSet::new();
    let mut incident = None;
    loop {
        let Some(mut now) = context.store.alert_now(lease).await? else { return Ok(None) };
        let saved = now.beside.clone();
        let next = advance(context, &mut now, &answers, &policy);
        let new: Vec<_> = next.actions.into_iter().filter(|what| !keys.contains(&what.key())).collect();
        if now.beside != saved && new.iter().any(|what| !what.only_asks()) {
            // Where something has come meanwhile it is decided again.
            if context.store.save_beside(lease, now.version, &now.beside).await?.is_none() {
                continue;
            }
        }
        next.ended.iter().for_each(|ended| say(&now, *ended));
        for what in new {
            keys.insert(what.key());
            let (now, incident) = (now.clone(), incident.clone());
            under_way.push(
                async move {
                    let began = context.clock.now();
                    let key = what.key();
                    (key, began, actions::perform(context, lease, &now, what, incident).await)
                }
                .boxed(),
            );
        }
        if under_way.is_empty() {
            return Ok(Some(Rest { version: now.version, beside: now.beside, wake_at: next.wake_at }));
        }
        tokio::select! {
            Some((key, began, done)) = under_way.next() => {
                keys.remove(&key);
                match done? {
                    Done::Incident(asked) => {
                        answers.came(key, began, Came::Incident(actions::incident_now(&asked)));
                        incident = Some(asked);
                    }
                    Done::Came(came) => answers.came(key, began, came),
                }
            }
            // By the steady clock: it has nothing to do with when something is due.
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn policy(context: &Context) -> Policy {
    Policy {
        ack_wait: context.config.escalation.ack_wait,
        recheck: context.config.suppression.recheck,
        settle: context.config.suppression.settle,
        command_users: context.config.command_users.clone(),
    }
}

fn advance(context: &Context, now: &mut AlertNow, answers: &Answers, policy: &Policy) -> plan::Next {
    let run_url = now.newest.as_ref().map(|newest| context.config.run_url(&newest.run_id)).unwrap_or_default();
    let page = now.page.as_ref().map(PageRecord::of_alert);
    let known = Known {
        alert: &now.alert,
        newest: now.newest.as_ref(),
        is_active: now.is_active,
        page: page.as_ref(),
        answered: &now.answered,
        run_url: &run_url,
    };
    plan::advance(&mut now.beside, &known, answers, policy, context.moment(context.clock.now()))
}

fn say(now: &AlertNow, ended: Ended) {
    let incident_id = &now.alert.incident_id;
    match ended {
        Ended::Done => {}
        Ended::Left(why) => tracing::info!(incident.id = incident_id, "{why}"),
        Ended::Lost(why) => {
            metrics::give_up(metrics::GivenUp::Task);
            tracing::error!(incident.id = incident_id, "{why}");
        }
    }
}
