//! What changes while somebody reads.

use std::collections::VecDeque;

use super::things::Opening;

/// Something that happens to an account while its incidents are listed.
#[derive(Clone, Debug)]
pub enum Change {
    /// The incident with this id is resolved.
    Resolve(String),
    /// The incident with this id is opened again.
    Reopen(String),
    /// An incident opens.
    Open(Opening),
}

/// Changes to come, one after so many requests for incidents.
#[derive(Debug, Default)]
pub(super) struct Moving {
    every: u32,
    at_once: usize,
    asked: u32,
    changes: VecDeque<Change>,
}

impl Moving {
    /// After every so many requests for incidents so many of these happen at once.
    pub(super) fn new(every: u32, at_once: usize, changes: impl IntoIterator<Item = Change>) -> Self {
        Self { every, at_once, asked: 0, changes: changes.into_iter().collect() }
    }

    /// How many are still to come.
    pub(super) fn left(&self) -> usize {
        self.changes.len()
    }

    /// Incidents were listed, or a page of them: what happens now.
    pub(super) fn listed(&mut self) -> Vec<Change> {
        self.asked += 1;
        if self.every == 0 || !self.asked.is_multiple_of(self.every) {
            return Vec::new();
        }
        let most = self.at_once.min(self.changes.len());
        self.changes.drain(..most).collect()
    }
}
