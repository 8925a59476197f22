//! The alert is over: its page is told so, and the diagnosis note gets the times for the RCA. lifecycle.md#the-alert-ends.

use jiff::Timestamp;

use crate::run::context::Context;
use crate::run::steps::confirm_alert::{Alert, confirm_alert};
use crate::run::steps::edit::{Edited, edit, edits_of, say_instead};
use crate::run::steps::post_short::post_short;
use outbound::error::Error;
use pagerduty::Incident;
use runbook::diagnosis::note::short;
use runbook::life;
use runbook::run::{NoteRef, Run};
use store::{PageRecord, PageState, StoreError, WantedEdit};

/// Why the note is edited, for people.
const WHY: &str = "the alert has resolved";

/// Tells of an end that is confirmed, as PagerDuty shows the alert; whether there is nothing left to do.
pub(super) async fn tell(
    context: &Context,
    alert: &life::Alert,
    over: &Incident,
    resolved: Timestamp,
    run_id: &str,
) -> Result<bool, StoreError> {
    let runs = context.store.last_runs(&alert.incident_id, None).await?;
    let page = context.store.page_of_alert(&alert.incident_id).await?;
    let page = page.filter(|page| page.state == PageState::Paged);
    let end = End { context, alert, resolved, over, page };
    let told = end.tell_page(runs.first().map_or(run_id, |run| &run.id)).await?;
    let noted = match runs.iter().find_map(|run| Some((run, run.own_note()?))) {
        // Written after an earlier end, and no run has written since the alert was opened again: it tells of that one.
        Some((run, _)) if end.is_another(context.store.facts(&run.id).await?.resolved_at) => true,
        Some((run, note)) => end.edit(run, note).await?,
        None => true,
    };
    Ok(told && noted)
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
    async fn tell_page(&self, run_id: &str) -> Result<bool, StoreError> {
        let Self { context, alert, over, resolved, page } = self;
        let Some(page_id) = page.as_ref().and_then(|page| page.page_id.as_deref()) else { return Ok(true) };
        let run_url = context.config.run_url(run_id);
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
        let Alert::Open(shown) = confirm_alert(&self.context.pagerduty, page.page_id.as_deref()?).await else {
            return None;
        };
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
