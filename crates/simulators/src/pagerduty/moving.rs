//! What changes while somebody reads.

use std::collections::VecDeque;

use super::account::{Account, State};
use super::{Opening, PagerDuty};

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

impl Account {
    /// Incidents were listed, or a page of them.
    pub(super) fn moves_on(&mut self) {
        self.moving.asked += 1;
        if self.moving.every == 0 || !self.moving.asked.is_multiple_of(self.moving.every) {
            return;
        }
        for _ in 0..self.moving.at_once {
            match self.moving.changes.pop_front() {
                Some(Change::Resolve(id)) => drop(self.set_state(&id, State::Resolved, None)),
                Some(Change::Reopen(id)) => drop(self.set_state(&id, State::Triggered, None)),
                Some(Change::Open(opening)) => {
                    let now = self.now();
                    self.open(opening, now, false);
                }
                None => {}
            }
        }
    }
}

impl PagerDuty {
    /// After every so many requests for incidents one of these happens, in order.
    pub fn change_while_listed(&self, every: u32, changes: impl IntoIterator<Item = Change>) {
        self.change_while_listed_by(every, 1, changes);
    }

    /// The same, so many of them at once.
    pub fn change_while_listed_by(&self, every: u32, at_once: usize, changes: impl IntoIterator<Item = Change>) {
        self.account().moving = Moving { every, at_once, asked: 0, changes: changes.into_iter().collect() };
    }

    /// How many of these changes are still to come.
    pub fn changes_to_come(&self) -> usize {
        self.account().moving.changes.len()
    }

    /// From now on `text` is written as `bytes` wherever it stands in an answer.
    pub fn spell(&self, text: &str, bytes: &[u8]) {
        self.account().spelling.set(text, bytes);
    }
}
