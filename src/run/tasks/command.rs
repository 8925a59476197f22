//! A person's command by note, lifecycle.md#commands: obeyed or not, and answered once by a short note.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::context::Context;
use crate::run::steps::confirm_alert::confirm_alert;
use crate::run::steps::post_short::post_short;
use runbook::command::{Command, MAX_AGE, Word};
use runbook::diagnosis::note::short::{CommandAnswer, PageStatus, command_answer};
use runbook::life;
use runbook::run::{Escalation, EscalationState, Run, Trigger};
use runbook::span::{after, between};
use store::{NewActivity, Obeyed, Order, PageRecord, PageState, StoreError, Task};

use super::ask::{another_run, is_over, newest_run};
use super::{Done, data, later};

/// How long the answer to `/escalate` waits for the page: longer than it takes to open one and read it back, short
/// enough for somebody who stands there with a phone.
const PAGE_KNOWN_WITHIN: Duration = Duration::from_secs(60);
/// How often the page is looked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer that PagerDuty does not take is tried, and how often.
const ANSWER_WITHIN: Duration = Duration::from_secs(6 * 3600);
const ANSWER_EVERY: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    command: Command,
    /// When PagerDuty first did not take the answer.
    #[serde(default)]
    refused_since: Option<Timestamp>,
}

/// Obeys, or doesn't, and answers.
pub(super) async fn answer(context: &Context, task: &Task) -> Result<Done, StoreError> {
    let mut kept: Kept = data(task)?;
    let Some(alert) = context.store.alert(&task.incident_id).await? else { return Ok(Done::Finished) };
    let key = format!("command:{}", kept.command.key);
    // Once an answer was about to be given, nothing more is done.
    let text = match context.store.recorded(&key).await? {
        Some(answer) => answer.text,
        None => match decide(context, &kept.command, &alert).await? {
            Some(text) => text,
            None => return later(&kept, LOOK_EVERY),
        },
    };
    let Err(why) = post_short(context, &key, &alert.incident_id, &text).await? else { return Ok(Done::Finished) };
    let now = context.clock.now();
    let since = *kept.refused_since.get_or_insert(now);
    if between(since, now) >= ANSWER_WITHIN {
        tracing::error!(incident.id = alert.incident_id, why, text, "a command stays without its answer");
        return Ok(Done::Finished);
    }
    later(&kept, ANSWER_EVERY)
}

/// What is answered, once it is done; `None` while that is not known yet.
async fn decide(context: &Context, command: &Command, alert: &life::Alert) -> Result<Option<String>, StoreError> {
    let who = if command.user.is_empty() { &command.user_id } else { &command.user };
    let say = |answer: &CommandAnswer<'_>| Some(command_answer(&alert.region, who, &command.said, answer));
    if command.word == Word::Unknown {
        return Ok(say(&CommandAnswer::Unknown));
    }
    let now = confirm_alert(context, &alert.incident_id).await;
    // What was obeyed before a crash is not refused after it.
    if !context.store.was_obeyed(&command.key).await? {
        // By the clock of those who told of it; ours may have been set.
        let asked_at = context.pagerduty.time();
        // What holds a page is the safe side, and does not wait for PagerDuty.
        if asked_at.is_none() && command.word != Word::Hold {
            return Ok(None);
        }
        let refusal =
            if !context.config.command_users.is_empty() && !context.config.command_users.contains(&command.user_id) {
                Some(CommandAnswer::NotAllowed)
            } else if command.at.zip(asked_at).is_some_and(|(at, now)| between(at, now) > MAX_AGE) {
                Some(CommandAnswer::TooOld)
            } else if is_over(&now, alert) {
                Some(CommandAnswer::Closed)
            } else {
                None
            };
        if let Some(refusal) = refusal {
            tracing::warn!(incident.id = alert.incident_id, user = who, word = ?command.word, ?refusal, "not obeyed");
            let done = NewActivity {
                key: Some(format!("command:{}", command.key)),
                incident_id: &alert.incident_id,
                what: format!("{}, not obeyed", command.said),
                who: Some(who),
                at: None,
            };
            context.store.add_activity(done).await?;
            return Ok(say(&refusal));
        }
    }
    let newest = newest_run(context, alert).await?;
    let again = another_run(alert, &now, newest.as_ref(), Trigger::Note);
    let order = match (command.word, &newest) {
        (Word::Rerun, _) => Order::Rerun(&again),
        (Word::Escalate, Some(run)) => Order::Escalate { run_id: &run.id },
        (Word::Escalate, None) => {
            let why = "no run is known for this alert: write /rerun first";
            return Ok(say(&CommandAnswer::Failed { why }));
        }
        (Word::Hold, _) => Order::Hold,
        (Word::Status | Word::Unknown, _) => Order::Status,
    };
    let obeyed = context.store.obey(&command.key, &alert.incident_id, who, &order).await?;
    tracing::info!(incident.id = alert.incident_id, user = who, word = ?command.word, ?obeyed, "a command by note");
    Ok(match obeyed {
        Obeyed::Run(id) => say(&CommandAnswer::Rerun { run_url: &context.config.run_url(&id) }),
        Obeyed::Active(id) => say(&CommandAnswer::RerunActive { run_url: &context.config.run_url(&id) }),
        Obeyed::Paged { url } => say(&CommandAnswer::PagedAlready { page_url: &url.unwrap_or_default() }),
        Obeyed::Paging(since) => outcome(context, alert, since).await?.and_then(|outcome| match &outcome {
            Ok(page_url) => say(&CommandAnswer::Escalating { page_url: page_url.as_deref() }),
            Err(why) => say(&CommandAnswer::Failed { why }),
        }),
        Obeyed::Kept if command.word == Word::Hold => say(&CommandAnswer::Held),
        Obeyed::Kept => {
            let record = context.store.page_of_alert(&alert.incident_id).await?;
            let run_url = newest.as_ref().map(|run| context.config.run_url(&run.id)).unwrap_or_default();
            say(&CommandAnswer::Status {
                state: newest.as_ref().map(|run| run.state.as_str()),
                verdict: newest.as_ref().and_then(|run| Some(run.diagnosis.as_ref()?.verdict.summary.as_str())),
                page: page_status(record.as_ref(), newest.as_ref()),
                held_by: alert.held_by.as_deref(),
                run_url: &run_url,
            })
        }
    })
}

/// What has become of the page that was wanted at `since`: its link, `Ok(None)` where that takes long, why nobody was
/// paged; `None` is to be looked at again.
async fn outcome(
    context: &Context,
    alert: &life::Alert,
    since: Timestamp,
) -> Result<Option<Result<Option<String>, String>>, StoreError> {
    let page = context.store.page_of_alert(&alert.incident_id).await?;
    Ok(match page {
        Some(page) if page.state == PageState::Paged => Some(Ok(Some(page.page_url.unwrap_or_default()))),
        Some(page) if page.state == PageState::Failed => {
            Some(Err(page.reason.unwrap_or_else(|| "it is not known why: see the log".into())))
        }
        _ if context.clock.now() >= after(since, PAGE_KNOWN_WITHIN) => Some(Ok(None)),
        _ => None,
    })
}

/// What has become of the page, as `/status` tells it.
fn page_status<'a>(page: Option<&'a PageRecord>, newest: Option<&'a Run>) -> PageStatus<'a> {
    if let Some(page) = page {
        let why = page.reason.as_deref();
        return match page.state {
            PageState::Requested => PageStatus::Opening,
            PageState::Failed => PageStatus::Failed { why },
            PageState::Unreadable => PageStatus::Unreadable { why: why.unwrap_or_default() },
            PageState::Paged => PageStatus::Open {
                page_url: page.page_url.as_deref().unwrap_or_default(),
                acknowledged_by: page.acknowledged.as_ref().map(|(_, by)| by.as_str()),
                problem: why,
            },
        };
    }
    match newest.map(|run| &run.escalation) {
        Some(Escalation { state: EscalationState::Held, reason, .. }) => PageStatus::Held { why: reason.as_deref() },
        Some(Escalation { state: EscalationState::Suggested, .. }) => PageStatus::Suggested,
        _ => PageStatus::None,
    }
}
