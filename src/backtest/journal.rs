//! The state of a backtest: one line of JSON for each thing that was asked, so that whoever is stopped, however, has lost at
//! most the line that was being written.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Arguments;
use crate::config::Problems;
use runbook::diagnosis::Reading;

/// How the file begins.
const MAGIC: &str = "{\"se_responder_backtest\":";
/// What its lines are. Other versions have other lines.
const FORM: u32 = 1;

/// The first line: what was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    se_responder_backtest: u32,
    arguments: Arguments,
    /// When it was begun.
    pub(super) at: Timestamp,
    /// Until when alerts are looked at.
    pub(super) until: Timestamp,
}

impl Begun {
    pub(super) fn new(arguments: &Arguments, at: Timestamp, until: Timestamp) -> Self {
        Self { se_responder_backtest: FORM, arguments: arguments.clone(), at, until }
    }
}

/// One thing that was asked, and what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// All incidents of a window that matter, as PagerDuty would show them.
    Window { since: Timestamp, until: Timestamp, incidents: Vec<Value>, unreadable: usize },
    /// An incident that another was merged into; `None`: PagerDuty shows none.
    Incident { id: String, incident: Option<Value> },
    /// Whether an incident was opened by a person.
    Opener { id: String, by_a_person: bool },
    /// All builds of the time, newest first.
    Builds { builds: Vec<Build> },
    /// What a build printed; `None`: Jenkins keeps it no longer.
    Printed { number: u64, reading: Option<Reading> },
}

/// A build of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Build {
    pub(super) number: u64,
    pub(super) url: String,
    pub(super) cluster: Option<String>,
    pub(super) scheduled_at: Timestamp,
    pub(super) ended_at: Timestamp,
}

/// The state's file, which is this process's alone.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    begun: Begun,
    entries: Vec<Entry>,
}

impl Journal {
    /// Takes up the state in a file, or begins one there.
    ///
    /// # Errors
    /// [`Problems`]: it is another process's, another backtest's, or none. It can't be read or written.
    pub(super) fn open(path: &Path, begun: Begun) -> anyhow::Result<Self> {
        let shown = path.display();
        let unusable = |what: String| Problems(vec![format!("--state {shown}: {what}")]);
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
        let mut file = file.map_err(|e| unusable(format!("can't be opened: {e}")))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(unusable("another backtest is using it: wait for it, or name another file".into()).into());
            }
            Err(TryLockError::Error(error)) => return Err(unusable(format!("can't be locked: {error}")).into()),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).with_context(|| format!("reading the state {shown}"))?;
        let foreign =
            || unusable("this is not the state of a backtest of this version: remove it, or name another file".into());
        let magic = &text[..text.len().min(MAGIC.len())];
        if !MAGIC.as_bytes().starts_with(magic) {
            return Err(foreign().into());
        }
        // Whoever was stopped while writing has left a part of a line.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            let length = u64::try_from(whole).context("a state that is too long")?;
            file.set_len(length).with_context(|| format!("cutting a broken line off the state {shown}"))?;
            file.seek(SeekFrom::End(0)).with_context(|| format!("going on with the state {shown}"))?;
        }
        let mut lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let Some(first) = lines.next() else {
            let mut journal = Self { path: path.to_owned(), file, begun, entries: Vec::new() };
            journal.write(&journal.begun.clone())?;
            return Ok(journal);
        };
        let kept: Begun = serde_json::from_slice(first).map_err(|_| foreign())?;
        if kept.se_responder_backtest != FORM {
            return Err(foreign().into());
        }
        if kept.arguments != begun.arguments {
            return Err(unusable(format!(
                "it is of a backtest that was begun at {} with other arguments: go on with those, remove it, or name \
                 another file",
                kept.at
            ))
            .into());
        }
        let entries = lines
            .map(|line| serde_json::from_slice(line).map_err(|_| foreign()))
            .collect::<Result<Vec<Entry>, Problems>>()?;
        Ok(Self { path: path.to_owned(), file, begun: kept, entries })
    }

    /// What was begun, by whoever began it.
    pub(super) fn begun(&self) -> &Begun {
        &self.begun
    }

    /// What was asked so far.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Keeps what was asked.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn keep(&mut self, entry: Entry) -> anyhow::Result<()> {
        self.write(&entry)?;
        self.entries.push(entry);
        Ok(())
    }

    fn write(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(line).context("writing the state as JSON")?;
        text.push(b'\n');
        let path = &self.path;
        self.file.write_all(&text).with_context(|| format!("writing the state {}: is the disk full?", path.display()))
    }

    /// The backtest is over.
    ///
    /// # Errors
    /// The file can't be removed.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing the state {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(since: u64) -> Begun {
        let arguments = Arguments {
            since: std::time::Duration::from_secs(since),
            until: None,
            consoles: None,
            labels: None,
            json: false,
        };
        let at = "2026-12-01T00:00:00Z".parse().unwrap();
        Begun::new(&arguments, at, at)
    }

    fn opener(id: &str) -> Entry {
        Entry::Opener { id: id.into(), by_a_person: true }
    }

    #[test]
    fn what_was_kept_is_there_again_wherever_the_file_breaks_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut journal = Journal::open(&path, begun(1)).unwrap();
        journal.keep(opener("Q1")).unwrap();
        journal.keep(opener("Q2")).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let mut journal = Journal::open(&path, begun(1)).unwrap();
            let ids = ["Q1", "Q2"];
            let lines = whole[..length].iter().filter(|byte| **byte == b'\n').count();
            let kept: Vec<Entry> = ids.iter().take(lines.saturating_sub(1)).map(|id| opener(id)).collect();
            assert_eq!(journal.entries(), kept, "{length}");
            for id in &ids[kept.len()..] {
                journal.keep(opener(id)).unwrap();
            }
            drop(journal);
            assert_eq!(std::fs::read(&path).unwrap(), whole, "{length}");
        }
    }

    #[test]
    fn a_file_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let refused = |why: &str| {
            let before = std::fs::read(&path).unwrap();
            let error = Journal::open(&path, begun(1)).unwrap_err();
            assert!(error.downcast_ref::<Problems>().is_some() && error.to_string().contains(why), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), before);
        };
        for other in
            ["my notes", "{\"a\":1}\n", "{\"se_responder_backtest\":2}\n", "{\"se_responder_backtest\":1}\n{}\n"]
        {
            std::fs::write(&path, other).unwrap();
            refused("this is not the state of a backtest");
        }
        std::fs::remove_file(&path).unwrap();
        drop(Journal::open(&path, begun(2)).unwrap());
        refused("other arguments");
        std::fs::remove_file(&path).unwrap();
        let mine = Journal::open(&path, begun(1)).unwrap();
        refused("another backtest is using it");
        mine.remove().unwrap();
        assert!(!path.exists());
    }
}
