//! What this process holds, under its one lease: renewed while anything is held, lost where somebody else has claimed it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

use crate::run::alone::alone;
use crate::run::context::Context;
use crate::run::waiting::Waiting;
use crate::run::watcher::Watcher;
use crate::traces;
use outbound::permit::{Giver, Term};
use runbook::span::{after, before, between};
use store::{AlertLease, Alerts, Claim, Kind, LEASE, Lease, NotifyLease, StoreError, Taker, Task, Watch, WatchLease};

use super::keep::{REST, keep_alert, keep_notify, keep_run, keep_task, keep_watch};

/// Runs at a time that do more than wait, and as many alerts and tasks. What is expensive, builds, has a limit of its own.
pub(super) const AT_ONCE: usize = 64;
/// How soon to look again where what is due can't be claimed.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long what broke off by a bug of ours rests.
pub(super) const BROKE_OFF_RESTS: Duration = Duration::from_secs(60);
/// How long who has a claim may write to the outside without renewing it: what is sent then has arrived before somebody
/// else looks for it, whose clock may differ a little.
const HOLDS: Duration = Duration::from_secs(25);
/// How often the lease is renewed while anything is held under it.
pub(super) const RENEW_EVERY: Duration = Duration::from_millis(7500);
/// How long a renewal may take. Two that fail, with their waits before them, end before the lease does.
const RENEW_TIME: Duration = Duration::from_secs(5);

/// What there are places for: each kind has its own, and so have alerts with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Of(Kind),
    Page,
}

/// What this process holds, under its one lease.
pub(super) struct Held {
    /// Until when the lease certainly holds.
    pub(super) term: Term,
    /// When the lease was last renewed.
    renewed: Timestamp,
    /// `false`: that failed when it was last tried.
    pub(super) is_renewed: bool,
    /// What this process may look after.
    watchers: Vec<Arc<dyn Watcher>>,
    /// They are in the queue.
    watches: bool,
    /// Slack or GHE is configured.
    tells: bool,
    /// What is written of each goes by a permit from here.
    pub(super) items: HashMap<Claim, (Place, Giver)>,
    pub(super) tasks: JoinSet<()>,
    pub(super) claims: HashMap<Id, Claim>,
    /// What this process makes for itself, already claimed.
    pub(super) taker: Taker,
    /// Until when something may be held that nobody here knows of.
    unsure_until: Option<Timestamp>,
}

impl Held {
    pub(super) fn new(context: &Context, watchers: Vec<Arc<dyn Watcher>>) -> Self {
        let over = Instant::now().checked_sub(HOLDS).unwrap_or_else(Instant::now);
        let renewed = before(context.clock.now(), LEASE);
        let (items, tasks, claims) = (HashMap::new(), JoinSet::new(), HashMap::new());
        Self {
            term: Term::new(over, HOLDS),
            renewed,
            is_renewed: true,
            watchers,
            watches: false,
            tells: context.elsewhere.is_any(),
            items,
            tasks,
            claims,
            taker: context.store.taker(),
            unsure_until: None,
        }
    }

    /// Of which kinds there may be something to claim now, and in how long to look again.
    pub(super) async fn due(&mut self, context: &Context) -> Result<(Vec<Kind>, Duration), StoreError> {
        let watches = self.watches();
        if !self.watches && !watches.is_empty() {
            context.store.in_time(context.store.begin_watches(&watches)).await?;
        }
        self.watches = true;
        let room = self.room(Place::Of(Kind::Run), &context.waiting);
        let looked = context.store.due(&self.kinds_with_room(&context.waiting), &watches).await;
        if self.taker.has_failed() {
            // It may have been committed all the same, now or in a moment: what nobody works on then is given back.
            let now = context.clock.now();
            (self.is_renewed, self.unsure_until) = (false, Some(after(now, LEASE)));
            self.renewed = self.renewed.min(before(now, RENEW_EVERY - LOOK_AGAIN));
        }
        // Those that wait in the queue come first.
        let may_begin = self.is_renewed && looked.as_ref().is_ok_and(|(due, _)| !due.contains(&Kind::Run));
        self.taker.offer(if may_begin { room } else { 0 });
        looked
    }

    /// Works on what this process has made for itself.
    pub(super) fn take(&mut self, context: &Context, stop: &CancellationToken) {
        let Some(made) = self.taker.take() else { return };
        // Making it has renewed the lease. Who holds something may have lost that, and hears of it by its own renewal.
        if self.items.is_empty() {
            self.renewed = self.renewed.max(made.at);
            self.term.renewed(made.asked);
        }
        for lease in made.runs {
            self.keep(context, Item::Run(lease), stop);
        }
    }

    fn watches(&self) -> Vec<Watch> {
        self.watchers.iter().map(|watcher| watcher.watch()).collect()
    }

    /// Whether the lease is to be renewed: something is held, or may be.
    pub(super) fn may_hold(&self, context: &Context) -> bool {
        !self.items.is_empty() || self.unsure_until.is_some_and(|until| context.clock.now() < until)
    }

    /// In how long the lease is to be renewed.
    pub(super) fn renew_in(&self, context: &Context) -> Duration {
        RENEW_EVERY.saturating_sub(between(self.renewed, context.clock.now()))
    }

    /// Renews the lease. Nothing is written to the outside under it before it is known which claims still hold: who was
    /// frozen for longer than a lease has lost what somebody else has claimed meanwhile.
    pub(super) async fn renew(&mut self, context: &Context) {
        let asked = Instant::now();
        let renewed = context.clock.now();
        match tokio::time::timeout(RENEW_TIME, context.store.renew()).await.unwrap_or(Err(StoreError::Slow)) {
            Ok(ours) => {
                for (_, (_, giver)) in self.items.iter().filter(|(claim, _)| !ours.contains(claim)) {
                    giver.lost();
                }
                // What could not be given back, since the database failed that: nobody here works on it.
                let is_left = |claim: &&Claim| !self.items.contains_key(*claim) && !self.taker.awaits(claim);
                for claim in ours.iter().filter(is_left) {
                    let _ = context.store.in_time(context.store.release(claim, REST)).await;
                }
                (self.renewed, self.is_renewed) = (renewed, true);
                self.term.renewed(asked);
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the lease could not be renewed");
                // Soon again: two that fail, with their waits before them, end before the lease does.
                self.renewed = before(context.clock.now(), RENEW_EVERY - LOOK_AGAIN);
                self.is_renewed = false;
            }
        }
    }

    /// An item's work has ended. A panic costs that item an attempt, and no other anything.
    pub(super) async fn ended(
        &mut self,
        context: &Context,
        ended: Result<(Id, ()), JoinError>,
    ) -> Result<(), JoinError> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let claim = self.claims.remove(&id);
        // What had ended may have come up again, and be claimed by this process, before it was heard here that it had: an item that
        // is made new has the same name and begins with the first attempt again.
        let is_taken = claim.as_ref().is_some_and(|claim| self.claims.values().any(|other| other == claim));
        if let Some(claim) = claim.as_ref().filter(|_| !is_taken) {
            self.items.remove(claim);
        }
        match (ended, claim) {
            (Ok(_), _) => Ok(()),
            (Err(error), Some(claim)) if error.is_panic() => {
                tracing::error!(work = ?claim, "A BUG: work on this stopped early; retrying in a minute");
                // Where this fails too, the next renewal does it.
                if !is_taken {
                    let _ = context.store.in_time(context.store.release(&claim, BROKE_OFF_RESTS)).await;
                }
                Ok(())
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Each kind has places of its own: runs that wait for their pages must not keep the pages from being opened, nor must
    /// alerts that are only looked at. A run that only waits for Jenkins takes none.
    pub(super) fn kinds_with_room(&self, waiting: &Waiting) -> Vec<Kind> {
        let has_room = |kind: &&Kind| match kind {
            Kind::Alert => self.alerts_with_room(waiting).is_some(),
            // Who tells nobody leaves that to others that do.
            Kind::Notify if !self.tells => false,
            kind => self.room(Place::Of(**kind), waiting) > 0,
        };
        Kind::ALL.iter().filter(has_room).copied().collect()
    }

    /// Which alerts there is room for; `None`: for none.
    fn alerts_with_room(&self, waiting: &Waiting) -> Option<Alerts> {
        let has_room = |place| self.room(place, waiting) > 0;
        match (has_room(Place::Page), has_room(Place::Of(Kind::Alert))) {
            (true, true) => Some(Alerts::All),
            (true, false) => Some(Alerts::WithPage),
            (false, true) => Some(Alerts::WithoutPage),
            (false, false) => None,
        }
    }

    /// How many more there is room for.
    fn room(&self, place: Place, waiting: &Waiting) -> usize {
        let held = self.items.values().filter(|(at, _)| *at == place).count();
        let most = if place == Place::Of(Kind::Run) { AT_ONCE + waiting.count() } else { AT_ONCE };
        most.saturating_sub(held)
    }

    /// Starts one of each of these kinds, where there is any; whether there was.
    pub(super) async fn start(&mut self, context: &Context, kinds: &[Kind], stop: &CancellationToken) -> bool {
        if !self.is_renewed || self.renew_in(context).is_zero() {
            self.renew(context).await;
            // Under a lease that may have run out, what is our own would be claimed once more.
            if !self.is_renewed {
                return false;
            }
        }
        let mut any = false;
        for kind in kinds {
            let alerts = self.alerts_with_room(&context.waiting);
            match context.store.in_time(claim(context, *kind, alerts, &self.watches())).await {
                Ok(Some(item)) => {
                    self.keep(context, item, stop);
                    any = true;
                }
                Ok(None) => {}
                Err(error) => context.store.trouble("claiming work", &error),
            }
        }
        any
    }

    /// Works on an item that is claimed.
    pub(super) fn keep(&mut self, context: &Context, item: Item, stop: &CancellationToken) {
        let giver = self.term.giver();
        let (context, stop) = (context.permitted(giver.permit()), stop.clone());
        let claim = item.claim().clone();
        self.items.insert(claim.clone(), (item.place(), giver));
        let span = item.span();
        let watchers = self.watchers.clone();
        let work = async move {
            match item {
                Item::Run(lease) => keep_run(context, lease, stop).await,
                Item::Alert(lease) => keep_alert(context, lease, stop).await,
                Item::Task(task) => keep_task(context, task, stop).await,
                Item::Notify(lease) => keep_notify(context, lease, stop).await,
                Item::Watch(lease) => {
                    let ours = watchers.iter().find(|watcher| watcher.watch() == lease.watch());
                    if let Some(watcher) = ours {
                        keep_watch(context, watcher.as_ref(), lease, stop).await;
                    }
                }
            }
        };
        let id = self.tasks.spawn(alone(work.instrument(span))).id();
        self.claims.insert(id, claim);
    }
}

/// An item of the queue that is claimed.
pub(super) enum Item {
    Run(Lease),
    Alert(AlertLease),
    Task(Task),
    Watch(WatchLease),
    Notify(NotifyLease),
}

async fn claim(
    context: &Context,
    kind: Kind,
    alerts: Option<Alerts>,
    watches: &[Watch],
) -> Result<Option<Item>, StoreError> {
    Ok(match kind {
        Kind::Run => context.store.claim_run().await?.map(Item::Run),
        Kind::Alert => match alerts {
            Some(alerts) => context.store.claim_alert_of(alerts).await?.map(Item::Alert),
            None => None,
        },
        Kind::Task => context.store.claim_task().await?.map(Item::Task),
        Kind::Watch => context.store.claim_watch(watches).await?.map(Item::Watch),
        Kind::Notify => context.store.claim_notify().await?.map(Item::Notify),
    })
}

impl Item {
    fn place(&self) -> Place {
        match self {
            Self::Run(_) => Place::Of(Kind::Run),
            Self::Alert(lease) if lease.has_page() => Place::Page,
            Self::Alert(_) => Place::Of(Kind::Alert),
            Self::Task(_) => Place::Of(Kind::Task),
            Self::Watch(_) => Place::Of(Kind::Watch),
            Self::Notify(_) => Place::Of(Kind::Notify),
        }
    }

    fn claim(&self) -> &Claim {
        match self {
            Self::Run(lease) => lease.claim(),
            Self::Alert(lease) => lease.claim(),
            Self::Task(task) => task.claim(),
            Self::Watch(lease) => lease.claim(),
            Self::Notify(lease) => lease.claim(),
        }
    }

    fn span(&self) -> tracing::Span {
        match self {
            Self::Run(lease) => {
                let id = lease.run_id();
                let span = tracing::info_span!(parent: None, "run", run.id = id, incident.id = Empty, region = Empty);
                traces::of_run(&span, id);
                span
            }
            Self::Alert(lease) => {
                tracing::info_span!("alert", alert.id = lease.alert_id(), incident.id = Empty, region = Empty)
            }
            Self::Task(task) => tracing::info_span!("task", task.kind = ?task.kind, incident.id = task.incident_id),
            Self::Watch(lease) => tracing::debug_span!("watch", watch = %lease.watch()),
            Self::Notify(lease) => tracing::info_span!("notify", subject = ?lease.subject()),
        }
    }
}
