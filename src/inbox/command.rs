//! A person's note that is a command: contract 6.7. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::Annotation;

/// A command that comes later than this after its note was written is answered, not obeyed: whoever wrote it has long
/// looked elsewhere.
pub const MAX_AGE: Duration = Duration::from_secs(15 * 60);

/// How much of a word is kept, to be quoted.
const MAX_SAID: usize = 40;

/// What a person's note asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// A command, as it is kept until it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The event that brought it; each is answered once.
    pub event_id: String,
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

/// What a note's text asks for: trimmed, in any case, but for a final full stop; `None` where it is no command.
pub fn word(content: &str) -> Option<Word> {
    let text = content.trim();
    let text = text.strip_suffix('.').unwrap_or(text);
    let name = text.strip_prefix('/')?;
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_') {
        return None;
    }
    Some(match name.to_lowercase().as_str() {
        "rerun" => Word::Rerun,
        "escalate" => Word::Escalate,
        "hold" => Word::Hold,
        "status" => Word::Status,
        _ => Word::Unknown,
    })
}

/// The command that an annotation is, or why it is none.
///
/// # Errors
/// Why it is no command.
pub fn read(event_id: &str, annotation: &Annotation, at: Option<Timestamp>) -> Result<Command, String> {
    let word = word(&annotation.content).ok_or("the note is no command")?;
    let Some((user_id, user)) = &annotation.agent else {
        return Err("the note has no author: it is no person's".into());
    };
    let said = annotation.content.trim().chars().take(MAX_SAID).collect();
    Ok(Command { event_id: event_id.to_owned(), word, said, user_id: user_id.clone(), user: user.clone(), at })
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_note_without_an_author_is_no_command() {
        let annotation = |agent| Annotation { incident_id: "Q1".into(), content: "/hold".into(), agent };
        assert!(read("E1", &annotation(None), None).is_err());
        let command = read("E1", &annotation(Some(("P1".into(), "Ann".into()))), None).unwrap();
        assert_eq!((command.word, command.user.as_str()), (Word::Hold, "Ann"));
    }
}
