//! What was found, within bounds.

use std::collections::{HashMap, HashSet};

use super::element::{self, Judged};
use super::scan::Element;
use crate::diagnosis::{Console, MagicBox};

/// How many boxes are kept. All regions together have a few hundred.
const BOXES: usize = 2000;
/// How many names of unreadable boxes are kept.
const UNREADABLE: usize = 2000;
/// How many warnings are kept; a person reads fewer.
const WARNINGS: usize = 40;

/// Boxes, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Collector {
    boxes: Vec<MagicBox>,
    /// Where each is, by name and Magic Box ID.
    places: HashMap<(String, String), usize>,
    /// Places of boxes that were printed with different contents.
    contradicted: HashSet<usize>,
    unreadable: Vec<String>,
    unreadable_seen: HashSet<String>,
    warnings: Vec<String>,
    more_warnings: usize,
    overflown: bool,
}

impl Collector {
    /// Takes one array.
    pub(super) fn take(&mut self, element: Element) {
        match element::judge(&element) {
            Judged::Box(magic_box) => self.take_box(magic_box),
            Judged::Unreadable { names, warning } => {
                for name in names {
                    self.mark_unreadable(name);
                }
                self.warn(warning);
            }
            Judged::Noise => {}
        }
    }

    fn take_box(&mut self, magic_box: MagicBox) {
        let key = (magic_box.name.clone(), magic_box.magic_box_id.clone());
        if let Some(&place) = self.places.get(&key) {
            let known = &self.boxes[place];
            if *known != magic_box && self.contradicted.insert(place) {
                // Which one is true can't be told, and a wrong one may page somebody.
                let warning = format!(
                    "{} ({}) is printed with different contents, {} and {}: it counts as unreadable",
                    key.0,
                    key.1,
                    contents(known),
                    contents(&magic_box)
                );
                self.warn(warning);
                self.mark_unreadable(key.0);
            }
        } else if self.boxes.len() < BOXES {
            self.places.insert(key, self.boxes.len());
            self.boxes.push(magic_box);
        } else {
            self.warn(format!("more than {BOXES} Magic Boxes are printed: the others count as unreadable"));
            self.mark_unreadable(key.0);
        }
    }

    fn mark_unreadable(&mut self, name: String) {
        if self.unreadable_seen.contains(&name) {
            return;
        }
        if self.unreadable.len() == UNREADABLE {
            self.overflown = true;
            return;
        }
        self.unreadable_seen.insert(name.clone());
        self.unreadable.push(name);
    }

    fn warn(&mut self, warning: String) {
        if self.warnings.contains(&warning) {
            return;
        }
        if self.warnings.len() < WARNINGS {
            self.warnings.push(warning);
        } else {
            self.more_warnings = self.more_warnings.saturating_add(1);
        }
    }

    /// All of it.
    pub(super) fn finish(self) -> Console {
        let Self { boxes, contradicted, mut warnings, more_warnings, overflown, .. } = self;
        if more_warnings > 0 {
            warnings.push(format!("and {more_warnings} more such warnings"));
        }
        if overflown {
            // It is no longer known which zones can't be relied on, so none can.
            warnings.push(format!("more than {UNREADABLE} Magic Boxes can't be read: nothing of this console is used"));
            return Console { boxes: Vec::new(), unreadable: self.unreadable, warnings };
        }
        let boxes = boxes.into_iter().enumerate().filter(|(i, _)| !contradicted.contains(i)).map(|(_, b)| b).collect();
        Console { boxes, unreadable: self.unreadable, warnings }
    }
}

fn contents(b: &MagicBox) -> String {
    format!("[{}, {}:{}:{}, {}]", b.node, b.backend_ip, b.se_status, b.upstream_status, b.frontend)
}
