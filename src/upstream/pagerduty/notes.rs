//! Notes: read, written, edited.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::model::Note;
use super::request::checked;
use super::{Error, PagerDuty};

/// The longest note that is sent, in characters. PagerDuty's own limit is not published.
pub const MAX_NOTE: usize = 20_000;

#[derive(Deserialize)]
struct One {
    note: Note,
}

#[derive(Deserialize)]
struct All {
    notes: Vec<Note>,
}

impl PagerDuty {
    /// All notes of an incident. PagerDuty does not page this list. It may lag a little behind a write.
    ///
    /// # Errors
    /// There is no such incident (404), or PagerDuty can't be asked.
    pub async fn notes(&self, incident_id: &str) -> Result<Vec<Note>, Error> {
        let doing = format!("reading the notes of the PagerDuty incident {incident_id:.64}");
        let all: All = self.get(&doing, &["incidents", checked(&doing, incident_id)?, "notes"], &[]).await?;
        Ok(all.notes)
    }

    /// Writes a note, of 1 to [`MAX_NOTE`] characters. PagerDuty has no idempotency key for notes.
    ///
    /// # Errors
    /// It was refused; or, as [`super::Kind::Ambiguous`], it may have been written: look for it among the notes.
    pub async fn add_note(&self, incident_id: &str, content: &str) -> Result<Note, Error> {
        let doing = format!("writing a note on the PagerDuty incident {incident_id:.64}");
        check_content(&doing, content)?;
        let body = json!({"note": {"content": content}});
        let path = ["incidents", checked(&doing, incident_id)?, "notes"];
        Ok(self.write::<One>(&doing, Method::POST, &path, &body).await?.note)
    }

    /// Replaces a note's text. PagerDuty tells nobody of an edit.
    ///
    /// # Errors
    /// It was refused (accounts may not have this yet), or may have been done though it was asked for again:
    /// [`super::Kind::Ambiguous`].
    pub async fn edit_note(&self, incident_id: &str, note_id: &str, content: &str) -> Result<Note, Error> {
        let doing = format!("editing the note {note_id:.64} of the PagerDuty incident {incident_id:.64}");
        check_content(&doing, content)?;
        let body = json!({"note": {"content": content}});
        let path = ["incidents", checked(&doing, incident_id)?, "notes", checked(&doing, note_id)?];
        Ok(self.write::<One>(&doing, Method::PUT, &path, &body).await?.note)
    }
}

fn check_content(doing: &str, content: &str) -> Result<(), Error> {
    let length = content.chars().count();
    if content.trim().is_empty() || length > MAX_NOTE {
        return Err(Error::local(doing, format!("a note of {length} characters: 1 to {MAX_NOTE} can be sent")));
    }
    Ok(())
}
