//! Notes: read, written, edited, deleted.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::model::Note;
use super::request::checked;
use super::{Error, PagerDuty};
use outbound::permit::Permit;
use runbook::json::entries;

/// The longest note that is sent, in characters. PagerDuty's own limit is not published.
pub const MAX_NOTE: usize = 20_000;

#[derive(Deserialize)]
struct One {
    note: Note,
}

#[derive(Deserialize)]
struct All {
    notes: Vec<Value>,
}

/// A note of which all but the id can be read: what is looked for by its text is found all the same.
fn nameless(entry: &Value) -> Option<Note> {
    let mut entry = entry.clone();
    entry.as_object_mut()?.insert("id".to_owned(), Value::from("none"));
    let note = Note::deserialize(entry).ok()?;
    (!note.content.is_empty()).then_some(Note { id: String::new(), ..note })
}

impl PagerDuty {
    /// All notes of an incident. PagerDuty does not page this list. It may lag a little behind a write. A note that can't
    /// be read is left out, and the log says so; one without an id has an empty one.
    ///
    /// # Errors
    /// There is no such incident (404), or PagerDuty can't be asked.
    pub async fn notes(&self, incident_id: &str) -> Result<Vec<Note>, Error> {
        let doing = format!("reading the notes of the PagerDuty incident {incident_id:.64}");
        let all: All = self.get(&doing, &["incidents", checked(&doing, incident_id)?, "notes"], &[]).await?;
        let (mut notes, left_out) = entries::<Note>(all.notes);
        if let Some(first) = left_out.first() {
            let why = &first.why;
            tracing::warn!(doing, left_out = left_out.len(), why, "notes that can't be read are left out");
        }
        notes.extend(left_out.iter().filter_map(|left| nameless(&left.entry)));
        Ok(notes)
    }

    /// Writes a note, of 1 to [`MAX_NOTE`] characters. PagerDuty has no idempotency key for notes.
    ///
    /// # Errors
    /// It was refused; or, as [`super::Kind::Ambiguous`], it may have been written: look for it among the notes.
    pub async fn add_note(&self, permit: &Permit, incident_id: &str, content: &str) -> Result<Note, Error> {
        let doing = format!("writing a note on the PagerDuty incident {incident_id:.64}");
        check_content(&doing, content)?;
        let body = json!({"note": {"content": content}});
        let path = ["incidents", checked(&doing, incident_id)?, "notes"];
        Ok(self.write::<One>(permit, &doing, Method::POST, &path, &body).await?.note)
    }

    /// Replaces a note's text. PagerDuty tells nobody of an edit.
    ///
    /// # Errors
    /// It was refused (accounts may not have this yet), or may have been done though it was asked for again:
    /// [`super::Kind::Ambiguous`].
    pub async fn edit_note(
        &self,
        permit: &Permit,
        incident_id: &str,
        note_id: &str,
        content: &str,
    ) -> Result<Note, Error> {
        let doing = format!("editing the note {note_id:.64} of the PagerDuty incident {incident_id:.64}");
        check_content(&doing, content)?;
        let body = json!({"note": {"content": content}});
        let path = ["incidents", checked(&doing, incident_id)?, "notes", checked(&doing, note_id)?];
        Ok(self.write::<One>(permit, &doing, Method::PUT, &path, &body).await?.note)
    }

    /// Deletes a note; one that is gone already (404) is deleted.
    ///
    /// # Errors
    /// It was refused (accounts may not have this yet), or, as [`super::Kind::Ambiguous`], may have been done.
    pub async fn delete_note(&self, permit: &Permit, incident_id: &str, note_id: &str) -> Result<(), Error> {
        let doing = format!("deleting the note {note_id:.64} of the PagerDuty incident {incident_id:.64}");
        let path = ["incidents", checked(&doing, incident_id)?, "notes", checked(&doing, note_id)?];
        match self.write::<IgnoredAny>(permit, &doing, Method::DELETE, &path, &Value::Null).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.error.status() == Some(StatusCode::NOT_FOUND) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }
}

fn check_content(doing: &str, content: &str) -> Result<(), Error> {
    let length = content.chars().count();
    if content.trim().is_empty() || length > MAX_NOTE {
        return Err(Error::local(doing, format!("a note of {length} characters: 1 to {MAX_NOTE} can be sent")));
    }
    Ok(())
}
