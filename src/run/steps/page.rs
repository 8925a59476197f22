//! Pages the Service Endpoint team, once an alert, ever. Runbook: "Paging the Service Endpoint team".
//!
//! Before it opens an incident it looks for its key over all statuses and dates, and for an open page of that team
//! that names the region or one of the boxes, and whether another alert of the region is at it (`another.rs`); after it,
//! it reads the page back.

mod another;
mod join;
mod known;
mod noted;
mod open;
mod tell;
#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::run::context::Context;
use crate::run::open_incidents::Seen;
use crate::run::steps::confirm_alert::Alert;
use crate::run::steps::find_related::find_related;
use crate::run::steps::gate as gate_input;
use crate::run::steps::post_short::post_short;
use outbound::error::Error;
use runbook::diagnosis::note;
use runbook::gate;
use runbook::life::{Input, PageWatch};
use runbook::related::{Looked, Related};
use runbook::run::{Facts, Run};
use runbook::span::{after, between};
use runbook::writes::Times;
use store::{PageLease, PageRecord, PageResult, PageState, StoreError};

use known::Earlier;

pub use tell::{update_note, update_note_and_end};

/// How long a page is tried: after that a short note says that nobody was paged.
const GIVE_UP_AFTER: Duration = Duration::from_secs(600);
/// Evidence that becomes too old for a page later than this after the first try is not taken again: it would take longer
/// than is left.
const ANEW_UNTIL: Duration = Duration::from_secs(300);
/// How long an automatic page waits for a PagerDuty that can't be asked at all, where nothing could be said either.
/// Once it answers, everything is looked at again before the page.
const WAIT_FOR_PAGERDUTY: Duration = Duration::from_secs(6 * 3600);
/// How long a page waits for PagerDuty to say whether a bigger outage explains the alert; then it is held.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a page came about.
#[derive(Debug)]
struct Opened {
    id: String,
    html_url: String,
    joined: bool,
    problem: Option<String>,
}

/// What one try came to.
enum Try {
    Opened(Opened),
    /// Asking again changes nothing.
    Refused(String),
    /// It may work later.
    Later(Error),
    /// PagerDuty could not be asked for what must be known first: nothing was begun.
    NotAsked(Error),
    /// Another alert of the region is at it: what becomes of its page decides.
    Another {
        /// That alert's incident.
        incident_id: String,
        /// It was given up, and may be opened yet.
        doubt: bool,
        /// When to look again.
        wait: Duration,
    },
    /// An automatic page must not be opened now.
    Held {
        /// Why.
        reasons: Vec<String>,
        /// PagerDuty could not be asked: that alone may pass.
        unknown: bool,
        /// The look for related pages, where one was made: the note is to name what it found.
        looked: Option<Looked>,
    },
}

fn held(why: &str) -> Try {
    Try::Held { reasons: vec![why.to_owned()], unknown: false, looked: None }
}

/// Everything that a page is made of.
struct Subject<'a> {
    context: &'a Context,
    lease: &'a PageLease,
    record: PageRecord,
    run: Run,
    /// What an earlier run found, while this one has found nothing yet.
    earlier: Option<Earlier>,
    facts: Facts,
}

/// How long a page rests of which something stored can't be read.
const UNREADABLE_RESTS: Duration = Duration::from_secs(3600);

/// Until when another's page is waited for: one that may be opened yet is so for no longer than until the last look for it.
fn waited_for(give_up: Timestamp, doubt: bool) -> Timestamp {
    let last = Times::OPENING.looks.last().copied().unwrap_or_default();
    let longest = last + Times::OPENING.longest_write + another::LOOK_IN_DOUBT;
    if doubt { after(give_up, longest) } else { give_up }
}

/// Pages, and tells the alert how it went.
///
/// # Errors
/// The store.
pub async fn page(context: &Context, lease: &PageLease) -> Result<(), StoreError> {
    let context = &context.first();
    let Some(record) = context.store.page(lease.incident_id()).await? else { return Err(StoreError::LeaseLost) };
    if record.state == PageState::Unreadable {
        // Reading it again soon would not help, and it is nothing to page by.
        update_note(context, lease.incident_id(), &record.run_id).await?;
        return context.store.release_page(lease, UNREADABLE_RESTS).await;
    }
    if record.state != PageState::Requested {
        // The worker before us was cut off between the page and telling of it.
        return tell::tell(context, lease).await;
    }
    let began = context.clock.now();
    // Since when it is tried without an answer that would decide; and since when PagerDuty can't be asked.
    let (mut since, mut not_asked_since) = (began, None);
    let mut last_failure = None;
    let mut pause = Duration::from_secs(1);
    loop {
        // Read again for each try: the diagnosis may come meanwhile, and a person may ask for what was automatic.
        let Some(run) = context.store.run(&record.run_id).await? else { return Err(StoreError::LeaseLost) };
        let facts = context.store.facts(&record.run_id).await?;
        let Some(record) = context.store.page(lease.incident_id()).await? else { return Err(StoreError::LeaseLost) };
        let earlier = Earlier::of(context, &run).await?;
        // Counted over all workers: a restart is no reason to try for longer.
        since = record.tried_since.unwrap_or(since);
        let subject = Subject { context, lease, record, run, earlier, facts };
        let outcome = match subject.another_is_at_it().await? {
            Some(another) => another,
            None => subject.join_or_open().await?,
        };
        let now = context.clock.now();
        let give_up = after(since, GIVE_UP_AFTER);
        if !matches!(outcome, Try::NotAsked(_)) {
            not_asked_since = None;
        }
        match outcome {
            Try::Opened(opened) => return subject.paged(&opened).await,
            Try::Refused(why) => return subject.failed(&why).await,
            Try::Another { incident_id, doubt, .. }
                if now >= waited_for(give_up, doubt) && subject.pagerduty_answers().await =>
            {
                return subject.failed(&another::never_ended(&incident_id, doubt)).await;
            }
            // With the claim given back: whoever waits must not keep a place from the one that is waited for.
            Try::Another { incident_id, wait, doubt } => {
                if now >= waited_for(give_up, doubt) {
                    context.store.forget_tries(lease).await?;
                }
                let by_hand = subject.record.asked_by.is_some();
                // Who is at it is done within seconds, or soon given up: that is not worth an edit.
                let waits_for = doubt.then_some(incident_id.as_str());
                if context.store.wait_for_opening(lease, wait, by_hand, waits_for).await? {
                    // The claim is given back; from its intent on the edit has a task of its own.
                    update_note_and_end(context, lease.incident_id(), &subject.run.id).await?;
                }
                return Ok(());
            }
            Try::Held { unknown: true, .. } if now < after(began, UNKNOWN_FOR) => {
                tracing::debug!(
                    incident.id = lease.incident_id(),
                    "whether a bigger outage explains it is asked again"
                );
                context.clock.sleep(pause).await;
            }
            // Who has only waited for another's page is held, and its run takes the evidence again.
            Try::Held { reasons, .. }
                if now >= after(since, ANEW_UNTIL)
                    && subject.is_only_outdated(&reasons)
                    && (last_failure.is_some() || !subject.run.state.is_active()) =>
            {
                let why = last_failure.unwrap_or_else(|| "it could not be opened for some minutes".into());
                return subject.failed(&format!("{why}; meanwhile {}", reasons.join("; "))).await;
            }
            Try::Held { reasons, looked, .. } => {
                // What was only waited for is no try: the page is tried again with the evidence that is taken again.
                if last_failure.is_none() && subject.is_only_outdated(&reasons) {
                    context.store.forget_tries(lease).await?;
                }
                // Once what explains the alert is over, somebody has to look again.
                let again = looked.as_ref().is_some_and(Looked::is_explained);
                let wait = context.config.suppression.recheck;
                let again = again.then(|| Input::Explained { run_id: subject.run.id.clone(), after: wait });
                if context.store.hold_page(lease, &reasons.join("\n"), looked.as_ref(), again).await? {
                    crate::metrics::page(crate::metrics::Paged::Held);
                    tracing::warn!(incident.id = lease.incident_id(), reasons = reasons.join("; "), "the page is held");
                    // It is no work any more, and the next renewal of the lease cuts this off: the edit has a task of its own
                    // from its intent on, the short note has not.
                    if reasons.iter().any(|reason| gate::says_used_up(reason)) {
                        tell::used_up(context, lease.incident_id(), &subject.run.id).await?;
                    }
                    return update_note_and_end(context, lease.incident_id(), &subject.run.id).await;
                }
            }
            outcome @ (Try::Later(_) | Try::NotAsked(_)) => {
                let not_asked = matches!(outcome, Try::NotAsked(_));
                let (Try::Later(error) | Try::NotAsked(error)) = outcome else { continue };
                let automatic = subject.record.asked_by.is_none();
                if not_asked && automatic && now < after(began, WAIT_FOR_PAGERDUTY) {
                    // Where it answers other questions for as long as a page is tried, people can be told that this one
                    // goes wrong; else everything waits for it.
                    let first = *not_asked_since.get_or_insert(now);
                    if now < after(first, GIVE_UP_AFTER) || !subject.pagerduty_answers().await {
                        if now >= after(first, GIVE_UP_AFTER) {
                            not_asked_since = None;
                        }
                        if subject.record.tried_since.is_some() {
                            context.store.forget_tries(lease).await?;
                        }
                        since = now;
                    } else {
                        return subject.failed(&error.to_string()).await;
                    }
                } else if now >= give_up {
                    return subject.failed(&error.to_string()).await;
                }
                // That PagerDuty can't be asked is said once, for all that ask it.
                tracing::debug!(incident.id = lease.incident_id(), error = %error, "the page is not opened yet");
                last_failure = Some(error.to_string());
                // The last try is made when time is up, and no later.
                let left = between(context.clock.now(), after(since, GIVE_UP_AFTER)).max(Duration::from_millis(1));
                context.clock.sleep(pause.mul_f64(0.5 + context.clock.jitter()).min(left)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// What is stored of a page's run can't be read: the page ends, and the alert is told so without it.
///
/// # Errors
/// The store.
pub async fn given_up(context: &Context, lease: &PageLease, why: &str) -> Result<(), StoreError> {
    let incident_id = lease.incident_id();
    let ended = context.store.page(incident_id).await?.is_some_and(|page| page.state != PageState::Requested);
    if !ended {
        let failed = PageResult { page: None, joined: false, reason: Some(why) };
        if let Some(id) = context.store.finish_page(lease, &failed).await? {
            let url = page_url(context, incident_id, &id).await?;
            context.store.finish_page(lease, &PageResult { page: Some((&id, &url)), ..failed }).await?;
        } else if let Some(alert) = context.store.alert(incident_id).await? {
            let text = note::page_failed(&alert.region, None, why, "", &context.config.regions.links);
            let _ = post_short(context, &format!("page:{incident_id}:unreadable"), incident_id, &text).await?;
        }
    }
    // Reading it again would not help the next worker either.
    context.store.set_page_told(lease).await
}

impl Subject<'_> {
    /// What a failure means for the page.
    fn trouble(&self, error: Error) -> Try {
        if self.context.pagerduty.may_pass(&error) { Try::Later(error) } else { Try::Refused(error.to_string()) }
    }

    /// What a look that failed means for the page.
    fn not_asked(&self, error: Error) -> Try {
        match self.trouble(error) {
            Try::Later(error) => Try::NotAsked(error),
            refused => refused,
        }
    }

    /// Whether PagerDuty answers at all: then what goes wrong can be said.
    async fn pagerduty_answers(&self) -> bool {
        self.context.pagerduty.incident(self.lease.incident_id()).await.is_ok()
    }

    /// Whether nothing but the evidence's age holds a page that was tried before.
    fn is_only_outdated(&self, reasons: &[String]) -> bool {
        let max_age = self.context.config.escalation.evidence_max_age;
        self.record.tried_since.is_some()
            && reasons.len() == 1
            && gate::says_outdated(&reasons[0])
            && self.run.diagnosis.as_ref().is_some_and(|d| gate::is_outdated(d, max_age, self.context.clock.now()))
    }

    /// Since when automatic pages count, and how many there may be.
    fn limit(&self) -> (Timestamp, u32) {
        let hour_ago = self.context.clock.now() - SignedDuration::from_hours(1);
        (hour_ago, self.context.config.escalation.max_per_hour)
    }

    /// The gate once more, with what was seen right before an automatic page.
    async fn last_look(&self, alert: &Alert, seen: &Seen) -> Result<Option<Try>, StoreError> {
        let Self { context, lease, run, facts, .. } = self;
        let Some(diagnosis) = &run.diagnosis else {
            return Ok(Some(held("there is no diagnosis yet")));
        };
        let said = context.store.alert(lease.incident_id()).await?;
        if matches!(alert, Alert::Resolved(_)) {
            return Ok(Some(held("the alert is resolved")));
        }
        let title = match alert {
            Alert::Open(open) => Some(open.title.as_str()),
            _ => facts.alert_title(run.incident.as_ref()),
        };
        let unconfirmed = matches!(alert, Alert::Unknown(_)) && said.as_ref().is_some_and(|a| a.resolved_at.is_some());
        let incident_id = Some(lease.incident_id());
        let found = find_related(seen, &context.config, &run.region, incident_id, facts);
        let titles = found.as_ref().map(Related::titles).map_err(String::clone);
        let now = context.clock.now();
        let looked = Looked { at: now, found };
        let seen = gate_input::Seen {
            incident_id,
            title,
            said_resolved: unconfirmed,
            unreadable: false,
            related: titles.as_ref().map(Vec::as_slice).map_err(String::as_str),
            related_at: Some(now),
            // Counted where one is opened: here it may be joined yet.
            pages_this_hour: 0,
            may_join: true,
        };
        Ok(match gate_input::decide(context, run, facts, diagnosis, &seen).await? {
            gate::Decision::Page => None,
            gate::Decision::Hold(reasons) | gate::Decision::Suggest(reasons) => {
                let unknown = reasons.len() == 1 && looked.found.is_err();
                Some(Try::Held { reasons, unknown, looked: Some(looked) })
            }
            gate::Decision::NotWanted | gate::Decision::Off => Some(held("the verdict asks for no page")),
        })
    }

    async fn paged(&self, opened: &Opened) -> Result<(), StoreError> {
        let Self { context, lease, run, .. } = self;
        let result = PageResult {
            page: Some((&opened.id, &opened.html_url)),
            joined: opened.joined,
            reason: opened.problem.as_deref(),
        };
        // Before the page's own row: a crash between the two is taken up here again, and the watch is not forgotten.
        let incident_id = lease.incident_id();
        let watch = PageWatch::new(incident_id, &run.id, &opened.id, &opened.html_url, context.clock.now());
        context.store.tell_alert(incident_id, Input::Paged(watch)).await?;
        if context.store.finish_page(lease, &result).await?.is_some() {
            // Its own was heard of while another was joined: that is found by its key.
            return context.store.release_page(lease, Duration::from_secs(1)).await;
        }
        crate::metrics::page(if opened.joined { crate::metrics::Paged::Joined } else { crate::metrics::Paged::Opened });
        tracing::info!(
            run.id,
            incident.id = incident_id,
            page.id = opened.id,
            joined = opened.joined,
            problem = opened.problem,
            "the Service Endpoint team is paged"
        );
        tell::tell(context, lease).await
    }

    async fn failed(&self, why: &str) -> Result<(), StoreError> {
        let Self { context, lease, run, .. } = self;
        let result = PageResult { page: None, joined: false, reason: Some(why) };
        // It was heard of meanwhile: nobody is told that nobody was paged.
        if let Some(id) = context.store.finish_page(lease, &result).await? {
            let html_url = page_url(context, lease.incident_id(), &id).await?;
            let problem = Some(format!("it is open, and could not be read back: {why}"));
            return self.paged(&Opened { id, html_url, joined: false, problem }).await;
        }
        crate::metrics::page(crate::metrics::Paged::Failed);
        tracing::error!(run.id, incident.id = lease.incident_id(), why, "NOBODY WAS PAGED: the page failed");
        tell::tell(context, lease).await
    }
}

/// The link of a page of which only the id is known: beside the alert's own.
async fn page_url(context: &Context, incident_id: &str, page_id: &str) -> Result<String, StoreError> {
    let runs = context.store.last_runs(incident_id, None).await?;
    let alert = runs.iter().find_map(|run| run.incident.as_ref()).map(|incident| incident.html_url.as_str());
    let beside = alert.and_then(|url| url.rsplit_once('/'));
    Ok(beside.map(|(account, _)| format!("{account}/{page_id}")).unwrap_or_default())
}
