//! Tells the alert what has become of its page.

use crate::diagnosis::note;
use crate::run::note_text::with_context;
use crate::run::tools::Tools;
use crate::run::words;
use crate::store::StoreError;

/// A short note beside the diagnosis note: an edit alone raises no event and is not seen.
pub(super) async fn say(tools: &Tools, text: &str, incident_id: &str) {
    if let Err(error) = tools.pagerduty.add_note(incident_id, text).await {
        tracing::error!(incident.id = incident_id, error = %error, text, "a note about the page was not written");
    }
}

/// The diagnosis note says whether somebody was paged: it is edited where it stands, to what it would say now. A
/// refused edit (older accounts have none) leaves a short note instead.
///
/// # Errors
/// The store.
pub async fn retell(tools: &Tools, incident_id: &str, run_id: &str) -> Result<(), StoreError> {
    let Some(run) = tools.store.run(run_id).await? else { return Ok(()) };
    let record = tools.store.page(incident_id).await?;
    let facts = tools.store.facts(run_id).await?;
    let (Some(diagnosis), Some(written)) = (&run.diagnosis, &run.note) else { return Ok(()) };
    let now = tools.clock.now();
    let past = words::past(tools, &run).await?;
    let text = with_context(&tools.config, &run, &facts, &past, record.as_ref(), now, |context| {
        note::write(diagnosis, context)
    });
    let Err(error) = tools.pagerduty.edit_note(incident_id, &written.id, &text).await else {
        return Ok(());
    };
    tracing::warn!(run.id = run_id, error = %error, "the note could not be edited; a short one says what became of the page");
    let first_three: Vec<&str> = text.lines().take(3).collect();
    say(tools, &first_three.join("\n"), incident_id).await;
    Ok(())
}
