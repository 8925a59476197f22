//! Tells the alert what has become of its page.

use jiff::Timestamp;

use crate::run::context::Context;
use crate::run::note_text::with_context;
use crate::run::steps::edit::{Edited, edit, edits_of, say_instead};
use crate::run::steps::post_short::post_short;
use crate::run::words;
use runbook::diagnosis::note::{self, short};
use runbook::life::Input;
use runbook::span::after;
use store::{PageOf, PageRecord, PageState, StoreError, WantedEdit};

use super::known::Earlier;
use super::noted::{Noted, noted};

/// Tells what has become of a page: by an edit of the diagnosis note, and where nobody may hear it by a short note too,
/// since an edit alone raises no event and is not seen. Done again from its start after a crash.
/// Whether it is told; `is_last`: it is not tried again.
///
/// # Errors
/// The store.
pub async fn tell(context: &Context, of: &PageOf, is_last: bool) -> Result<bool, StoreError> {
    let (context, incident_id) = (&context.first(), of.incident_id());
    let Some(record) = context.store.page(incident_id).await? else { return Err(StoreError::PageChanged) };
    if record.state == PageState::Unreadable {
        update_note(context, incident_id, &record.run_id).await?;
        return Ok(true);
    }
    let Some(run) = context.store.run(&record.run_id).await? else { return Err(StoreError::PageChanged) };
    let (run_url, links) = (context.config.run_url(&run.id), &context.config.regions.links);
    let reason = record.reason.as_deref();
    let loud = match (record.state, reason) {
        (PageState::Failed, reason) => {
            let why = reason.unwrap_or("it is not known why: see the log");
            let earlier = Earlier::of(context, &run).await?;
            let known = run.diagnosis.as_ref().or(earlier.as_ref().map(Earlier::diagnosis));
            Some(note::page_failed(&run.region, known, why, &run_url, links))
        }
        (PageState::Paged, Some(problem)) => {
            let page_url = record.page_url.as_deref().unwrap_or_default();
            tracing::error!(run.id, problem, "a page is open, but something is wrong with it");
            Some(note::page_problem(&run.region, page_url, problem, &run_url, links))
        }
        (PageState::Paged, None) if record.after_all => {
            let page_url = record.page_url.as_deref().unwrap_or_default();
            Some(note::page_after_all(&run.region, page_url, &run_url, links))
        }
        (PageState::Paged | PageState::Requested | PageState::Unreadable, _) => None,
    };
    if let Some(text) = loud {
        // Of several that open late each is told of, once.
        let key = match record.page_id.as_deref().filter(|_| record.after_all && record.state == PageState::Paged) {
            Some(page_id) => format!("after-all:{incident_id}:{page_id}"),
            None => failed_key(&record),
        };
        // Whoever follows the alert follows the incident that it was merged into.
        let alert = context.store.alert(incident_id).await?;
        let alert_id = alert.as_ref().map_or(incident_id, |alert| alert.incident_id.as_str());
        let said = post_short(context, &key, alert_id, &text).await?;
        if said.is_err() && !is_last {
            // PagerDuty is away: nobody knows of it yet.
            return Ok(false);
        }
    }
    update_note_and_end(context, incident_id, &run.id).await?;
    context.store.set_page_told(of).await?;
    Ok(true)
}

/// The key of the short note that tells of this page, as it was wanted then.
pub(super) fn failed_key(record: &PageRecord) -> String {
    format!("page:{}:{}", record.incident_id, record.requested_at.as_millisecond())
}

/// The same as [`update_note`]. The alert may have ended meanwhile: what its note said of that may just have been written over,
/// and is said once more.
///
/// # Errors
/// The store.
pub async fn update_note_and_end(context: &Context, incident_id: &str, run_id: &str) -> Result<(), StoreError> {
    update_note(context, incident_id, run_id).await?;
    if let Some(alert) = context.store.alert(incident_id).await?.filter(|alert| alert.resolved_at.is_some()) {
        context.store.tell_alert(&alert.incident_id, Input::Ended { run_id: run_id.to_owned() }).await?;
    }
    Ok(())
}

/// Says by a short note that the hour's pages are used up: the note said that the page was being opened, and an edit
/// alone is not seen.
pub(super) async fn used_up(context: &Context, incident_id: &str, run_id: &str) -> Result<(), StoreError> {
    let Some(told) = telling(context, incident_id, run_id, context.clock.now()).await? else { return Ok(()) };
    let first_three: Vec<&str> = told.text.lines().take(3).collect();
    tracing::error!(run.id = run_id, incident.id = incident_id, "NOBODY WAS PAGED: ESCALATION_MAX_PER_HOUR is used up");
    // Its failure is logged; the note says so too.
    post_short(context, &format!("used-up:{run_id}"), &told.incident_id, &first_three.join("\n")).await.map(drop)
}

/// The diagnosis note says whether somebody was paged: it is edited where it stands, to what it would say now, where it
/// says something else. Where the run has none, that is the alert's newest. A refused edit (older accounts have none)
/// leaves a short note instead. Where PagerDuty can't be asked, a task sees to it.
///
/// # Errors
/// The store.
pub async fn update_note(context: &Context, incident_id: &str, run_id: &str) -> Result<(), StoreError> {
    let mut is_overtaken = false;
    loop {
        let now = context.clock.now();
        let Some(first) = telling(context, incident_id, run_id, now).await? else { return Ok(()) };
        let edits = edits_of(context, &first.run_id).await?;
        // What is true is found after it is seen what was begun: whoever begins meanwhile overtakes this.
        let as_of = edits.as_ref().and_then(|edits| edits.begun_at).unwrap_or(now);
        let as_then = telling(context, incident_id, run_id, as_of).await?;
        let says_so = edits.as_ref().zip(as_then).is_some_and(|(edits, then)| {
            let is_known = edits.write.id.as_ref() == Some(&then.note_id);
            edits.text == then.text && (is_known || (is_overtaken && edits.write.intent.is_some()))
        });
        if says_so {
            return Ok(());
        }
        let Some(told) = telling(context, incident_id, run_id, now).await? else { return Ok(()) };
        if told.run_id != first.run_id {
            continue;
        }
        let seen = edits.map_or(0, |edits| edits.write.attempt);
        let wanted = WantedEdit {
            run_id: &told.run_id,
            on: &told.incident_id,
            text: &told.text,
            fact: Some(&told.state),
            why: "what became of the page",
        };
        match edit(context, &wanted, &told.note_id, (seen, now), None).await? {
            Edited::Stands => return Ok(()),
            Edited::Overtaken => is_overtaken = true,
            Edited::Refused(error) => {
                tracing::warn!(run.id = told.run_id, error = %error, "the note could not be edited; a short one says it");
                return say_instead(context, &told.run_id, None).await.map(drop);
            }
            Edited::Waits(error) => {
                tracing::debug!(run.id = told.run_id, error = %error, "an edit of the note is tried again");
                return Ok(());
            }
        }
    }
}

/// What a run's note is to say, and where it stands.
struct Telling {
    run_id: String,
    incident_id: String,
    note_id: String,
    text: String,
    /// The page's state, and since when: one short note of each at most.
    state: String,
}

/// As things stand, as of `now`; `None` where there is no note, or nothing to say.
async fn telling(
    context: &Context,
    incident_id: &str,
    run_id: &str,
    now: Timestamp,
) -> Result<Option<Telling>, StoreError> {
    let Some(Noted { run, unchanged_at }) = noted(context, run_id, now).await? else { return Ok(None) };
    let record = context.store.page_of_alert(incident_id).await?;
    let facts = context.store.facts(&run.id).await?;
    let (Some(diagnosis), Some(written)) = (&run.diagnosis, &run.note) else { return Ok(None) };
    let past = words::past(context, &run).await?;
    let shown = diagnosis.clone().earlier(context.clock.ahead());
    let text = with_context(&context.config, &run, &facts, &past, record.as_ref(), (&context.clock, now), |context| {
        note::write(&shown, context)
    });
    let text = match unchanged_at {
        Some(at) => {
            let again = past.looks_again.then(|| context.clock.shown(after(at, context.config.follow_up)));
            short::with_unchanged(&text, context.clock.shown(at), again)
        }
        None => text,
    };
    let state =
        record.map_or_else(|| "held".to_owned(), |r| format!("{:?}:{}", r.state, r.requested_at.as_millisecond()));
    // The note stands where the run wrote it, which may be the incident that the alert was merged into.
    let incident_id = run.incident.as_ref().map_or(incident_id, |incident| incident.id.as_str()).to_owned();
    Ok(Some(Telling { run_id: run.id.clone(), incident_id, note_id: written.id.clone(), text, state }))
}
