//! What others are told of what is said on the alerts: `crate::notify::lives`, as part of this world.

use std::time::Duration;

use super::{Lives, Row, Ways, way};
use crate::notify::lives::{Elsewhere, Heard, Tale};

/// How much is remembered of what was said on an incident.
const MOST: usize = 4;

impl Lives {
    /// Something is said on an incident.
    pub(super) fn says(&mut self, name: usize, key: &str) {
        let is_full = self.said.iter().map(Vec::len).sum::<usize>() >= MOST;
        let is_new = self.said.iter().flatten().all(|said| said != key);
        if self.told.is_some() && is_new && !is_full {
            self.said[name].push(key.to_owned());
        }
    }

    /// Something is said of an alert, on its newest incident.
    pub(super) fn says_of(&mut self, slot: usize, key: &str) {
        if let Some(name) = self.newest_name(slot) {
            self.says(name, key);
        }
    }

    /// A diagnosis note is edited.
    pub(super) fn edited(&mut self) {
        if self.told.is_some() {
            self.edits = (self.edits + 1) % 8;
        }
    }

    /// All that there is to tell.
    pub(super) fn heard(&self) -> Heard {
        let tale = |slot: usize| {
            let stored = self.alerts[slot].as_ref()?;
            let names = (0..2).filter(|name| self.names[*name] == Some(slot));
            Some(Tale {
                incident: super::place(&stored.alert.incident_id),
                said: names.flat_map(|name| self.said[name].iter().cloned()).collect(),
                edits: self.edits,
                is_over: stored.alert.resolved_at.is_some(),
            })
        };
        let mut pages = [Vec::new(), Vec::new()];
        for (name, row) in self.rows.iter().enumerate() {
            if let Some(Row::Ended { page: Some(page), .. }) = row {
                pages[*page].push(name);
            }
        }
        Heard { alerts: [tale(0), tale(1)], names: self.names, pages }
    }

    /// What who tells does next.
    pub(super) fn tells(&self) -> Ways<'_> {
        let Some(told) = &self.told else { return Ways::new() };
        let does = |next: &mut Self, does: Box<dyn FnOnce(&mut Elsewhere) + '_>| {
            if let Some(told) = &mut next.told {
                does(told);
                told.pass(Duration::ZERO);
            }
        };
        told.ways(&self.heard()).into_iter().map(|(name, its)| way(name, move |next| does(next, its))).collect()
    }
}
