//! The alert is over: its page is told so, and the diagnosis note gets the times for the RCA.
//! lifecycle.md#the-alert-ends and the runbook's "It will auto-resolve when the issue is fixed".

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::context::Context;
use crate::run::steps::confirm_alert::{Alert, confirm_alert};
use crate::run::steps::edit::{Edited, edit, edits_of, say_instead};
use crate::run::steps::post_short::post_short;
use outbound::error::Error;
use pagerduty::Incident;
use runbook::diagnosis::note::short;
use runbook::life;
use runbook::run::{AlertIncident, NoteRef, Run};
use runbook::span::between;
use store::{PageRecord, PageState, StoreError, Task, WantedEdit};

use super::ask::runs;
use super::{Done, kept, later};

/// How long PagerDuty, a run that has not ended, or a note that can't be written is waited for.
const GIVE_UP_AFTER: Duration = Duration::from_secs(6 * 3600);
/// How long PagerDuty may show an alert open that a webhook said to be resolved: its reads lag.
const LAG: Duration = Duration::from_secs(60);
/// How often to look whether the run and the page have ended.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often to ask PagerDuty again.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// Why the note is edited, for people.
const WHY: &str = "the alert has resolved";

#[derive(Default, Serialize, Deserialize)]
struct Wait {
    /// When it was first done.
    since: Option<Timestamp>,
}

/// Says so, once it is confirmed and the alert's run and page have ended.
pub(super) async fn tell(context: &Context, task: &Task) -> Result<Done, StoreError> {
    let mut wait: Wait = kept(task)?;
    let now = context.clock.now();
    let waited = between(*wait.since.get_or_insert(now), now);
    let Some(alert) = context.store.alert(&task.incident_id).await? else { return Ok(Done::Finished) };
    let Some(said_at) = alert.resolved_at else {
        // It was reopened meanwhile.
        return Ok(Done::Finished);
    };
    if alert.incident_id != task.incident_id {
        // It was merged, and that was followed: the other incident's end has a task of its own.
        return Ok(Done::Finished);
    }
    if waited >= GIVE_UP_AFTER {
        tracing::error!(
            incident.id = alert.incident_id,
            "that the alert is over could not be said on its page and note"
        );
        return Ok(Done::Finished);
    }
    let runs = runs(context, &alert).await?;
    let page = context.store.page_of_alert(&alert.incident_id).await?;
    let page_wanted = page.as_ref().is_some_and(|page| page.state == PageState::Requested);
    // A run that is active follows a merge itself, and most likely says in its note that the alert is over.
    if page_wanted || runs.iter().any(|run| run.state.is_active()) {
        return later(&wait, LOOK_EVERY);
    }
    let over = match confirm_alert(context, &alert.incident_id).await {
        Alert::Resolved(incident) if incident.id == alert.incident_id => incident,
        Alert::Open(incident) if incident.id == alert.incident_id && waited < LAG => return later(&wait, LOOK_EVERY),
        Alert::Open(incident) if incident.id == alert.incident_id => {
            tracing::info!(incident.id, "the alert is open after all: nothing is said of its end");
            context.store.unset_resolved_by(task, &alert.incident_id).await?;
            return Ok(Done::Finished);
        }
        // It was merged: from now on that incident is the alert, and goes on or has ended as that does.
        Alert::Open(into) => return merged(context, task, &into, None).await,
        Alert::Resolved(into) => {
            let over = into.last_status_change_at.unwrap_or(said_at);
            return merged(context, task, &into, Some(over)).await;
        }
        Alert::Unknown(error) => {
            tracing::debug!(error, "whether the alert is over could not be asked");
            return later(&wait, ASK_EVERY);
        }
    };
    let end = End {
        context,
        alert: &alert,
        resolved: over.last_status_change_at.unwrap_or(said_at),
        over: &over,
        page: page.filter(|page| page.state == PageState::Paged),
    };
    let told = end.tell_page(task, runs.first()).await?;
    let noted = match runs.iter().find_map(|run| Some((run, run.own_note()?))) {
        // Written after an earlier end, and no run has written since the alert was opened again: it tells of that one.
        Some((run, _)) if end.is_another(context.store.facts(&run.id).await?.resolved_at) => true,
        Some((run, note)) => end.edit(run, note).await?,
        None => true,
    };
    if told && noted { Ok(Done::Finished) } else { later(&wait, ASK_EVERY) }
}

/// The alert was merged after its last run had ended. lifecycle.md#a-run-begins: "from then on that incident is the
/// alert".
async fn merged(context: &Context, task: &Task, into: &Incident, over: Option<Timestamp>) -> Result<Done, StoreError> {
    tracing::info!(from = task.incident_id, into = into.id, "the alert was merged: that incident is the alert now");
    context.store.follow_merge(task, &AlertIncident::from(into), over).await?;
    Ok(Done::Finished)
}

struct End<'a> {
    context: &'a Context,
    alert: &'a life::Alert,
    over: &'a Incident,
    resolved: Timestamp,
    page: Option<PageRecord>,
}

impl End<'_> {
    /// Whether the end that a note tells of already, where it was written after one, is not this one.
    fn is_another(&self, told: Option<Timestamp>) -> bool {
        told.zip(self.alert.triggered_at).is_some_and(|(told, opened)| told < opened)
    }

    /// A note on the page of the Service Endpoint team; whether there is nothing left to do.
    async fn tell_page(&self, task: &Task, newest: Option<&Run>) -> Result<bool, StoreError> {
        let Self { context, alert, over, resolved, page } = self;
        let Some(page_id) = page.as_ref().and_then(|page| page.page_id.as_deref()) else { return Ok(true) };
        let run_id = newest.map(|run| run.id.clone()).or_else(|| task.run_id.clone());
        let run_url = run_id.map(|id| context.config.run_url(&id)).unwrap_or_default();
        let text =
            short::alert_over_on_page(&alert.region, &over.title, &over.html_url, over.created_at, *resolved, &run_url);
        // Once for each of its ends: an alert that is opened again may end again.
        let ended = alert.resolved_at.map(Timestamp::as_millisecond).unwrap_or_default();
        let key = format!("over:{page_id}:{}:{ended}", alert.incident_id);
        Ok(post_short(context, &key, page_id, &text).await?.is_ok())
    }

    /// The diagnosis note, with the times of the RCA's timeline; whether there is nothing left to do. An edit that is
    /// made again changes nothing.
    async fn edit(&self, run: &Run, written: &NoteRef) -> Result<bool, StoreError> {
        let Self { context, over, resolved, page, .. } = self;
        let incident_id = run.incident.as_ref().map_or(over.id.as_str(), |incident| incident.id.as_str());
        let found = match context.pagerduty.notes(incident_id).await {
            Ok(notes) => notes.into_iter().find(|note| note.id == written.id),
            Err(error) => return Ok(given_up(context, &error)),
        };
        let Some(note) = found else {
            tracing::warn!(run.id, note.id = written.id, "the note is gone: its timeline is not written");
            return Ok(true);
        };
        let paged = page.as_ref().and_then(|page| page.finished_at).map(|at| self.by_pagerduty(at));
        let diagnosed = note.created_at.or(run.finished_at.map(|at| self.by_pagerduty(at)));
        let acknowledged = self.acknowledged().await;
        // PagerDuty's lists lag: what was last written of it counts.
        let edits = edits_of(context, &run.id).await?;
        let stands = edits.as_ref().map_or(note.content.as_str(), |edits| edits.text.as_str());
        let text = short::with_resolution(stands, over.created_at, diagnosed, paged, acknowledged, *resolved);
        let is_known = match &edits {
            Some(edits) => edits.text == text && edits.write.id.as_ref() == Some(&written.id),
            None => text == note.content,
        };
        if is_known {
            context.store.set_note_text(&run.id, &text, WHY).await?;
            return Ok(true);
        }
        let fact = format!("resolved:{}", resolved.as_millisecond());
        let wanted = WantedEdit { run_id: &run.id, on: incident_id, text: &text, fact: Some(&fact), why: WHY };
        let seen = edits.map_or(0, |edits| edits.write.attempt);
        match edit(context, &wanted, &written.id, (seen, context.clock.now()), None).await? {
            Edited::Stands => Ok(true),
            // Its own task sees to it.
            Edited::Waits(error) => {
                tracing::debug!(run.id, error = %error, "the note gets its timeline later");
                Ok(true)
            }
            Edited::Overtaken => Ok(false),
            Edited::Refused(error) => {
                tracing::warn!(run.id, error = %error, "the diagnosis note did not get its timeline");
                say_instead(context, &run.id, None).await.map(|_| true)
            }
        }
    }

    /// A time of ours by PagerDuty's clock: how long each thing took counts from when PagerDuty says that the alert
    /// opened.
    fn by_pagerduty(&self, ours: Timestamp) -> Timestamp {
        self.context.pagerduty.to_theirs(ours).unwrap_or_else(|| self.context.clock.shown(ours))
    }

    /// When and by whom the page was acknowledged, by PagerDuty's clock: as the watch saw it, else as PagerDuty shows
    /// it.
    async fn acknowledged(&self) -> Option<(Timestamp, String)> {
        let page = self.page.as_ref()?;
        if page.acknowledged.is_some() {
            return page.acknowledged.clone().map(|(at, by)| (self.by_pagerduty(at), by));
        }
        let Alert::Open(shown) = confirm_alert(self.context, page.page_id.as_deref()?).await else { return None };
        let first = shown.acknowledgements.into_iter().min_by_key(|ack| ack.at.unwrap_or(Timestamp::MAX))?;
        Some((first.at?, first.by.map(|by| by.name).unwrap_or_default()))
    }
}

/// Whether asking again is of no use.
fn given_up(context: &Context, error: &Error) -> bool {
    let given_up = !context.pagerduty.may_pass(error);
    if given_up {
        tracing::warn!(error = %error, "the diagnosis note did not get its timeline");
    }
    given_up
}
