//! What differs from the last good reading, right after the boxes.

use super::limits::Section;
use super::text::{Day, clean};
use crate::diagnosis::Diagnosis;
use crate::diagnosis::last_good::{Change, Changed, SinceLastGood};

/// How many boxes are kept when room is short.
const KEPT: usize = 3;

/// A line a box that has changed; one line in all where none has; nothing where no good reading is known.
pub(super) fn since_last_good(d: &Diagnosis, day: Day) -> Section {
    let Some(since) = &d.since_last_good else { return Section::default() };
    let when = day.utc(since.at);
    if since.changes.is_empty() {
        let mut section = Section::new("", 1, 2);
        section.line(format!("Since the last good reading ({when}) no box has come, gone, or changed its address."));
        return section;
    }
    let mut section = Section::new(format!("CHANGED SINCE THE LAST GOOD READING ({when})"), KEPT, 2);
    for line in changes(since) {
        section.line(format!("- {line}"));
    }
    section
}

/// A line a box that has changed, for the note and the run's view.
pub fn changes(since: &SinceLastGood) -> Vec<String> {
    let of_one_box = |changes: &[Change]| {
        let words: Vec<String> = changes.iter().map(words).collect();
        format!("{}: {}", clean(&changes[0].name, 80), words.join("; "))
    };
    since.changes.chunk_by(|a, b| a.name == b.name).map(of_one_box).collect()
}

fn words(change: &Change) -> String {
    let value = |text: &Option<String>| match text.as_deref().map(|t| clean(t, 90)) {
        Some(text) if !text.is_empty() => text,
        _ => "not given".into(),
    };
    let (was, is) = (value(&change.was), value(&change.is));
    let what = match change.changed {
        Changed::Gone => return format!("gone, Magic Box ID {was}"),
        Changed::New => return format!("new, Magic Box ID {is}"),
        Changed::MagicBoxId => "Magic Box ID",
        Changed::BackendIp => "back end",
        Changed::Frontend => "front end",
        Changed::Node => "node",
    };
    format!("{what} was {was}, is {is}")
}
