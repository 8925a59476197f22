//! Finds notes of ours among an incident's: by what we put into them, and by who wrote them.
//!
//! While it is in doubt whether a note was written, ours is one by the user of `PAGERDUTY_FROM` with the mark that was put
//! into it: its last line, or its text. Where PagerDuty does not say who wrote a note, or who we are, the mark alone counts:
//! a note that is believed ours is not written again, and two of one run must never be.

use crate::run::context::Context;
use outbound::error::Error;
use pagerduty::Note;
use runbook::writes::key::{FoundBy, found_by};

/// What a note of ours is told by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Its last line: `run <id>` of a diagnosis note.
    LastLine(String),
    /// Any line of it: the alert's mark in a note on a page that was joined.
    Line(String),
    /// All of it: a short note.
    Text(String),
}

impl Mark {
    /// The mark of a run's diagnosis note.
    pub fn of_run(run_id: &str) -> Self {
        Self::LastLine(format!("{RUN_LINE}{run_id}"))
    }

    /// The mark of what was written under a key; `text` is that of a short note.
    pub fn of(key: &str, text: &str) -> Self {
        match found_by(key) {
            FoundBy::Run(run_id) => Self::of_run(run_id),
            FoundBy::Alert(alert_id) => Self::Line(alert_line(alert_id)),
            // A build is no note, and nothing is looked for by this.
            FoundBy::Text | FoundBy::Build { .. } => Self::Text(text.to_owned()),
        }
    }

    fn is_in(&self, content: &str) -> bool {
        match self {
            Self::LastLine(mark) => last_line(content) == Some(mark),
            Self::Line(mark) => content.lines().any(|line| line.trim() == mark),
            Self::Text(text) => content.trim() == text.trim(),
        }
    }
}

/// The line that names the alert in a note on a page that is joined.
pub fn alert_line(alert_id: &str) -> String {
    format!("se-responder alert {alert_id}")
}

/// What the last line of a diagnosis note begins with; its run's id follows.
const RUN_LINE: &str = "run ";

fn last_line(content: &str) -> Option<&str> {
    content.trim_end().lines().next_back().map(str::trim)
}

/// The run that a note's last line names.
pub fn named_run(content: &str) -> Option<&str> {
    last_line(content)?.strip_prefix(RUN_LINE).map(str::trim).filter(|id| !id.is_empty())
}

/// The user that PagerDuty knows us as; `None` where that can't be found out now.
pub async fn our_user(context: &Context) -> Option<String> {
    match context.pagerduty.our_user_id().await {
        Ok(id) => id,
        Err(error) => {
            tracing::debug!(error = %error, "which user we are is not known: a note is told by its mark alone");
            None
        }
    }
}

/// Whether this user may have written a note: certainly not where it names another.
pub fn may_be_by(note: &Note, user: Option<&str>) -> bool {
    let author = note.user.as_ref().map(|user| user.id.as_str()).filter(|id| !id.is_empty());
    author.zip(user).is_none_or(|(author, user)| author == user)
}

/// All notes with this mark on an incident that may be ours, oldest first.
///
/// # Errors
/// PagerDuty can't be asked.
pub async fn all(context: &Context, incident_id: &str, mark: &Mark) -> Result<Vec<Note>, Error> {
    let notes = context.pagerduty.notes(incident_id).await?;
    let mut marked: Vec<Note> = notes.into_iter().filter(|note| mark.is_in(&note.content)).collect();
    if !marked.is_empty() {
        let us = our_user(context).await;
        marked.retain(|note| may_be_by(note, us.as_deref()));
    }
    marked.sort_by_key(|note| note.created_at);
    Ok(marked)
}
