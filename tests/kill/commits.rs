//! Counts a SQLite database's commits from outside: its WAL index says how many there were.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// Where the WAL index has its count of commits (`iChange`, <https://www.sqlite.org/walformat.html>).
const COMMITS_AT: u64 = 8;

/// The count so far, over all processes that had the database one after another.
pub(crate) struct Commits {
    index: PathBuf,
    before: u64,
    last: u64,
}

impl Commits {
    pub(crate) fn of(index: PathBuf) -> Self {
        Self { index, before: 0, last: 0 }
    }

    pub(crate) fn so_far(&mut self) -> u64 {
        let mut count = [0; 4];
        if File::open(&self.index).is_ok_and(|file| file.read_exact_at(&mut count, COMMITS_AT).is_ok()) {
            let now = u64::from(u32::from_ne_bytes(count));
            // The last connection's end removes the index; the next begins a new one.
            if now < self.last {
                self.before += self.last;
            }
            self.last = now;
        }
        self.before + self.last
    }
}
