//! A person's note that is a command: lifecycle.md#commands. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray, VariantNames};

use super::event::{Annotation, Author};
use crate::text::visible;

/// A command that comes later than this after its note was written is answered, not obeyed: whoever wrote it has long
/// looked elsewhere.
pub const MAX_AGE: Duration = Duration::from_secs(15 * 60);

/// How much of a word is kept, to be quoted.
const MAX_SAID: usize = 40;

crate::words! { Word: "command"; }

/// What a person's note asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Word {
    /// `/rerun`: diagnose again.
    Rerun,
    /// `/escalate`: page.
    Escalate,
    /// `/hold`: no automatic page.
    Hold,
    /// `/status`: what is going on.
    Status,
    /// Another `/word` alone: answered by the list.
    Unknown,
}

/// Why a command is not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The person is not among `COMMAND_USERS`.
    NotAllowed,
    /// It came too late.
    TooOld,
    /// The alert is closed.
    Closed,
}

/// A command, as it is kept until it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Command {
    /// The note that it is, or else the event that brought it; each is answered once. While a secret is changed, two
    /// subscriptions tell of one note, by events of their own. Stored under the name that a replica of an older version
    /// beside this one reads.
    #[serde(rename = "event_id", alias = "key")]
    pub key: String,
    /// What it asks for.
    pub word: Word,
    /// The word as it was written.
    #[serde(default)]
    pub said: String,
    /// Who wrote it, by PagerDuty's id.
    pub user_id: String,
    /// Who wrote it, by name.
    pub user: String,
    /// When it was written; `None` where the event doesn't say.
    pub at: Option<Timestamp>,
}

impl Command {
    /// Who wrote it, for people.
    pub fn who(&self) -> &str {
        if self.user.is_empty() { &self.user_id } else { &self.user }
    }
}

/// What a note's text asks for: trimmed, in any case, but for a final full stop; `None` where it is no command. What is
/// pasted from a chat may have characters in it that nobody sees: they are passed over.
pub fn word(content: &str) -> Option<Word> {
    let text = visible(content);
    let text = text.trim();
    let text = text.strip_suffix('.').unwrap_or(text);
    let name = text.strip_prefix('/')?;
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_') {
        return None;
    }
    Some(name.to_lowercase().parse().unwrap_or(Word::Unknown))
}

/// The command that an annotation is, or why it is none.
///
/// # Errors
/// Why it is no command.
pub fn read(event_id: &str, annotation: &Annotation, at: Option<Timestamp>) -> Result<Command, String> {
    let word = word(&annotation.content).ok_or("the note is not a command")?;
    let (user_id, user) = match &annotation.author {
        Author::Person { id, name } => (id, name),
        Author::Machine(kind) => return Err(format!("the note is not a person's: its author is a {kind}")),
        Author::Nobody => return Err("the note has no author: it is not a person's".into()),
    };
    let said = annotation.content.trim().chars().take(MAX_SAID).collect();
    // A note that is edited into another command is another one.
    let key = annotation.note_id.as_ref().map_or_else(|| event_id.to_owned(), |id| format!("{id}:{}", word.as_str()));
    Ok(Command { key, word, said, user_id: user_id.clone(), user: user.clone(), at })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// lifecycle.md#commands: only the word, in any case and with or without a full stop.
    #[test]
    fn words() {
        for (text, expected) in [
            ("/rerun", Some(Word::Rerun)),
            ("  /RERUN.\n", Some(Word::Rerun)),
            ("/Escalate", Some(Word::Escalate)),
            ("/hold.", Some(Word::Hold)),
            ("/status", Some(Word::Status)),
            ("/help", Some(Word::Unknown)),
            ("/re-run", Some(Word::Unknown)),
            ("/re_run", Some(Word::Unknown)),
            ("/re+run", None),
            ("/rerun please", None),
            ("please /rerun", None),
            ("/", None),
            ("/.", None),
            ("/rerun..", None),
            ("rerun", None),
            ("\u{a0}/rerun.\u{3000}", Some(Word::Rerun)),
            ("\u{feff}/escalate\u{200b}", Some(Word::Escalate)),
            ("\u{200e}/ho\u{ad}ld.\u{2060}", Some(Word::Hold)),
            ("/status\n\nOn Monday Ann wrote:\n> hello", None),
            ("> /rerun", None),
            ("/rerun!", None),
            ("/etc/passwd", None),
            ("", None),
        ] {
            assert_eq!(word(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_command_is_obeyed_for_a_quarter_of_an_hour() {
        assert_eq!(MAX_AGE.as_secs(), 900);
    }

    /// lifecycle.md#commands: a note by a person.
    #[test]
    fn only_a_persons_note_is_a_command() {
        let annotation = |author| Annotation {
            note_id: Some("N1".into()),
            incident_id: "Q1".into(),
            content: "/hold".into(),
            author,
        };
        assert!(read("E1", &annotation(Author::Nobody), None).is_err());
        let machine = read("E1", &annotation(Author::Machine("service_reference".into())), None).unwrap_err();
        assert!(machine.contains("is not a person's: its author is a service_reference"), "{machine}");
        let ann = Author::Person { id: "P1".into(), name: "Ann".into() };
        let note = annotation(ann);
        let command = read("E1", &note, None).unwrap();
        assert_eq!((command.word, command.user.as_str(), command.key.as_str()), (Word::Hold, "Ann", "N1:hold"));
        assert_eq!(read("E1", &Annotation { note_id: None, ..note }, None).unwrap().key, "E1");
        // A replica of an older version reads what this one stores, and this one what it stored.
        let stored = serde_json::to_value(&command).unwrap();
        assert_eq!(stored["event_id"], "N1:hold");
        let kept = r#"{"event_id":"E7","word":"hold","said":"/hold","user_id":"PANN","user":"Ann","at":null}"#;
        assert_eq!(serde_json::from_str::<Command>(kept).unwrap().key, "E7");
    }
}
