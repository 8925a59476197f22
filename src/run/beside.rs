//! Works on an alert beside its runs: its page, commands by note, second looks, watching the page, the last word.
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

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;

use runbook::decided::Decided as By;
use runbook::life::Beside;
use runbook::plan::{self, Answers, Came, Ended, Known, KnownPage, Policy, Round, Tried};
use store::{AlertLease, AlertNow, NewDecision, PageRecord, StoreError};

use super::alone::alone;
use super::context::Context;
use super::steps::page;
use crate::metrics;
use crate::traces;
use actions::Done;

pub use left::take_in;

/// How soon it is looked what has come meanwhile, while something is asked or done.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Something that is asked or done: its key, when it was begun and as of which news, and what came of it.
type UnderWay = (String, Timestamp, Round, Result<Done, StoreError>);

/// What is decided, and not saved yet but for what `saved` says.
struct Decided {
    version: i64,
    beside: Beside,
    saved: Beside,
}

/// How an alert is left: this is decided, and it is to be looked at then.
#[derive(Debug)]
pub struct Rest {
    version: i64,
    beside: Beside,
    wake_at: Option<Timestamp>,
    related_changed_at: Option<Timestamp>,
    /// How it was decided, as far as that is not kept yet.
    decided: Vec<NewDecision>,
}

impl Rest {
    /// How the page of this name is tried, where it goes on.
    #[cfg(test)]
    pub fn page(&self, name: &str) -> Option<&runbook::life::OpenPage> {
        self.beside.pages.iter().find(|page| page.name == name)
    }

    /// Keeps it, and gives the claim back.
    ///
    /// # Errors
    /// The store.
    pub async fn keep(&self, context: &Context, lease: &AlertLease) -> Result<(), StoreError> {
        let Self { version, beside, wake_at, related_changed_at, decided } = self;
        context.store.rest_alert(lease, *version, beside, *wake_at, *related_changed_at, decided).await
    }
}

/// Why work on an alert broke off.
enum Broke {
    Store(StoreError),
    /// A panic in something that was asked or done.
    Panic(Box<dyn Any + Send>),
}

impl From<StoreError> for Broke {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Does what is to be done now; `None`: the alert is gone, it was merged into another.
///
/// # Errors
/// The store.
pub async fn turn(context: &Context, lease: &AlertLease) -> Result<Option<Rest>, StoreError> {
    // In tasks of their own: what waits for the database here must not keep them from going on.
    let mut under_way = JoinSet::<UnderWay>::new();
    let broke = match go_on(context, lease, &mut under_way).await {
        Ok(rest) => return Ok(rest),
        Err(Broke::Store(StoreError::LeaseLost)) => return Err(StoreError::LeaseLost),
        Err(broke) => broke,
    };
    // What goes wrong with one thing cuts off no other, unless the claim is lost: a note on its way would be in doubt.
    while let Some(ended) = under_way.join_next().await {
        if let Ok((key, _, _, Ok(Done::Came(Came::Tried(Tried::Opened(opened)))))) = ended {
            actions::keep_opened(context, lease, &key, opened).await;
        }
    }
    match broke {
        Broke::Store(error @ StoreError::Corrupt { .. }) => {
            end_pages(context, lease, &error.to_string()).await?;
            Err(error)
        }
        Broke::Store(error) => Err(error),
        Broke::Panic(panic) => std::panic::resume_unwind(panic),
    }
}

/// Where what is known of the alert can't be read, its pages end: nobody could decide about them, and others would wait for them.
async fn end_pages(context: &Context, lease: &AlertLease, why: &str) -> Result<(), StoreError> {
    for name in context.store.pages_without_alert(lease).await? {
        match page::give_up(context, &lease.page(&name), why).await {
            // It is another alert's by now, or was wanted again.
            Ok(()) | Err(StoreError::PageChanged) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn go_on(
    context: &Context,
    lease: &AlertLease,
    under_way: &mut JoinSet<UnderWay>,
) -> Result<Option<Rest>, Broke> {
    let policy = policy(context);
    let mut answers = Answers::default();
    let mut keys = HashSet::new();
    let mut incident = None;
    let mut decided: Option<Decided> = None;
    let mut to_keep = Vec::new();
    let mut is_first = true;
    loop {
        let Some(mut now) = context.store.alert_now(lease).await? else { return Ok(None) };
        if std::mem::take(&mut is_first) {
            traces::say_whose(Some(&now.alert.incident_id), &now.alert.region);
        }
        let mut saved = match decided.take() {
            Some(decided) if decided.version == now.version => {
                now.beside = decided.beside;
                decided.saved
            }
            // Something has come: what was seen before is asked again.
            Some(_) => {
                answers.forget_looks();
                now.beside.clone()
            }
            None => now.beside.clone(),
        };
        let (next, by) = advance(context, &mut now, &answers, &policy);
        let new: Vec<_> = next.actions.into_iter().filter(|what| !keys.contains(&what.key())).collect();
        let does = new.iter().any(|what| !what.only_asks());
        // What only asks or waits is no news.
        if does || !next.ended.is_empty() {
            to_keep.push(NewDecision { at: context.clock.now(), decided: by });
        }
        if now.beside != saved && does {
            // Where something has come meanwhile it is decided again.
            let Some(version) = context.store.save_beside(lease, now.version, &now.beside, &to_keep).await? else {
                answers.forget_looks();
                to_keep.pop();
                continue;
            };
            now.version = version;
            saved.clone_from(&now.beside);
            to_keep.clear();
        }
        next.ended.iter().for_each(|ended| say(&now, ended));
        if new.is_empty() && under_way.is_empty() {
            let AlertNow { version, beside, related_changed_at, .. } = now;
            let (wake_at, decided) = (next.wake_at, to_keep);
            return Ok(Some(Rest { version, beside, wake_at, related_changed_at, decided }));
        }
        decided = Some(Decided { version: now.version, beside: now.beside.clone(), saved });
        let (now, round) = (Arc::new(now), answers.round());
        for what in new {
            keys.insert(what.key());
            let (context, lease, now, incident) = (context.clone(), lease.clone(), now.clone(), incident.clone());
            let work = async move {
                let (began, key) = (context.clock.now(), what.key());
                (key, began, round, actions::perform(&context, &lease, &now, what, incident).await)
            };
            under_way.spawn(alone(work.in_current_span()));
        }
        let ended = tokio::select! {
            ended = under_way.join_next() => ended,
            // By the steady clock: it has nothing to do with when something is due.
            () = tokio::time::sleep(LOOK_EVERY) => None,
        };
        let Some(ended) = ended else { continue };
        let (key, began, round, done) = match ended.map_err(JoinError::try_into_panic) {
            Ok(ended) => ended,
            Err(Ok(panic)) => return Err(Broke::Panic(panic)),
            // The process ends.
            Err(Err(_)) => return Err(StoreError::LeaseLost.into()),
        };
        keys.remove(&key);
        match done {
            Ok(Done::Incident(asked)) => {
                answers.came_of(round, key, began, Came::Incident(actions::incident_now(&asked)));
                incident = Some(asked);
            }
            Ok(Done::Came(came)) => answers.came_of(round, key, began, came),
            // The claim holds: what else there is to do goes on.
            Err(StoreError::PageChanged) => {
                tracing::debug!(what = key, "a page is not what it was when this was begun");
                answers.came_of(round, key, began, Came::NotDone);
            }
            // Reading it again would not help; what else there is to do goes on.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(what = key, error = &error as &dyn std::error::Error, "something stored can't be read");
                answers.came_of(round, key, began, Came::Unreadable(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn policy(context: &Context) -> Policy {
    Policy {
        ack_wait: context.config.escalation.ack_wait,
        recheck: context.config.suppression.recheck,
        settle: context.config.suppression.settle,
        command_users: context.config.command_users.clone(),
        jitter: context.clock.jitter(),
    }
}

fn advance(context: &Context, now: &mut AlertNow, answers: &Answers, policy: &Policy) -> (plan::Next, By) {
    let run_url = now.newest.as_ref().map(|newest| context.config.run_url(&newest.run_id)).unwrap_or_default();
    let page = now.page.as_ref().map(PageRecord::of_alert);
    let pages: Vec<KnownPage> = now.pages.iter().map(PageRecord::of_plan).collect();
    let known = Known {
        alert: &now.alert,
        newest: now.newest.as_ref(),
        is_active: now.is_active,
        page: page.as_ref(),
        pages: &pages,
        answered: &now.answered,
        related_changed_at: now.related_changed_at,
        run_url: &run_url,
    };
    let (before, moment) = (now.beside.clone(), context.moment(context.clock.now()));
    let next = plan::advance(&mut now.beside, &known, answers, policy, moment);
    let by = By::plan(before, &known, answers, (policy, moment), &now.beside, &next);
    (next, by)
}

fn say(now: &AlertNow, ended: &Ended) {
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
