//! The answer to a person's command: one short note.

use runbook::command::{Command, Word};
use runbook::diagnosis::note::short::{CommandAnswer, PageStatus, command_answer};
use runbook::life::Reply;
use runbook::plan::{Answer, Refusal};
use runbook::record::EntryKind;
use runbook::run::{Escalation, EscalationState, Run};
use runbook::writes::key::of_command;
use store::{AlertNow, NewEntry, PageRecord, PageState, StoreError};

use crate::run::context::Context;
use crate::run::steps::post_short::post_short;

/// Gives it; whether PagerDuty has taken it.
pub(super) async fn give(context: &Context, now: &AlertNow, key: &str, answer: &Answer) -> Result<bool, StoreError> {
    let Some(open) = now.beside.commands.iter().find(|open| open.command.key == key) else { return Ok(true) };
    let (command, alert) = (&open.command, &now.alert);
    let write = of_command(key);
    let text = match answer {
        Answer::AsBefore => context.store.recorded(&write).await?.map(|recorded| recorded.text).unwrap_or_default(),
        Answer::Refused(refusal) => {
            tracing::warn!(incident.id = alert.incident_id, user = command.who(), word = ?command.word, ?refusal, "not obeyed");
            let what = format!("{}, not obeyed", command.said);
            let said = NewEntry {
                key: Some(write.clone()),
                who: Some(command.who()),
                ..NewEntry::new(&alert.incident_id, EntryKind::Command, what)
            };
            context.store.add_entry(said).await?;
            text(context, now, command, answer).await?
        }
        _ => text(context, now, command, answer).await?,
    };
    Ok(match post_short(context, &write, &alert.incident_id, &text).await? {
        Ok(()) => true,
        Err(why) => {
            tracing::debug!(incident.id = alert.incident_id, why, text, "a command's answer is not taken");
            false
        }
    })
}

async fn text(context: &Context, now: &AlertNow, command: &Command, answer: &Answer) -> Result<String, StoreError> {
    let (alert, page) = (&now.alert, now.page.as_ref());
    let say = |answer: &CommandAnswer<'_>| command_answer(&alert.region, command.who(), &command.said, answer);
    Ok(match answer {
        Answer::AsBefore | Answer::Unknown => say(&CommandAnswer::Unknown),
        Answer::Refused(Refusal::NotAllowed) => say(&CommandAnswer::NotAllowed),
        Answer::Refused(Refusal::TooOld) => say(&CommandAnswer::TooOld),
        Answer::Refused(Refusal::Closed) | Answer::Reply(Reply::Closed) => say(&CommandAnswer::Closed),
        Answer::Failed(why) => say(&CommandAnswer::Failed { why }),
        Answer::Escalating(page_url) => say(&CommandAnswer::Escalating { page_url: page_url.as_deref() }),
        Answer::Reply(Reply::Paging) => say(&CommandAnswer::Escalating { page_url: None }),
        Answer::Reply(Reply::Paged(url)) => {
            say(&CommandAnswer::PagedAlready { page_url: url.as_deref().unwrap_or_default() })
        }
        Answer::Reply(Reply::Started(id) | Reply::SuppressionSkipped(id)) => {
            say(&CommandAnswer::Rerun { run_url: &context.config.run_url(id) })
        }
        Answer::Reply(Reply::Active(id)) => say(&CommandAnswer::RerunActive { run_url: &context.config.run_url(id) }),
        Answer::Reply(Reply::Ignored(why)) => say(&CommandAnswer::Failed { why: &why.to_string() }),
        Answer::Reply(Reply::Kept) if command.word == Word::Hold => say(&CommandAnswer::Held),
        Answer::Reply(Reply::Kept) => {
            let newest = context.store.newest_run(&alert.incident_id).await?;
            let run_url = newest.as_ref().map(|run| context.config.run_url(&run.id)).unwrap_or_default();
            say(&CommandAnswer::Status {
                state: newest.as_ref().map(|run| run.state.as_str()),
                verdict: newest.as_ref().and_then(|run| Some(run.diagnosis.as_ref()?.verdict.summary.as_str())),
                page: page_status(page, newest.as_ref()),
                held_by: alert.held_by.as_deref(),
                run_url: &run_url,
            })
        }
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
