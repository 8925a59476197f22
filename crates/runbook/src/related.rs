//! What is open beside an alert, as a look at all open incidents found it. Runbook: "Determine if this issue isolated to
//! SE endpoints".

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{Region, Zone};
use crate::diagnosis::RelatedPage;
use crate::run::Facts;

/// How far apart alerts of several regions may open to have one cause, likely.
pub const AT_ONCE: Duration = Duration::from_secs(300);

/// Open pages beside the alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Related {
    /// Those that explain the alert: registry is down for everyone.
    pub explaining: Vec<RelatedPage>,
    /// Those that are named, and hold an automatic page, though they don't explain the alert; each with why not.
    pub named: Vec<(RelatedPage, String)>,
    /// Other regions whose SE alert is open.
    pub other_regions: Vec<Region>,
    /// Those of them whose alert opened about when this one did: see [`AT_ONCE`].
    #[serde(default)]
    pub at_once: Vec<Region>,
    /// Open incidents of the alert's own service, escalation policy or teams that name a zone, or konicle and the region;
    /// `None` where whose the alert is is not known.
    pub registry_pages: Option<Vec<(Zone, RelatedPage)>>,
    /// That some open incidents can't be read and don't count, in a sentence; `None` where all can.
    pub left_out: Option<String>,
    /// Whether a page may be open that is to be joined: some incident of the escalation service is.
    pub page_open: bool,
}

impl Related {
    /// All of them, those that explain the alert first.
    pub fn pages(&self) -> Vec<RelatedPage> {
        self.explaining.iter().chain(self.named.iter().map(|(page, _)| page)).cloned().collect()
    }

    /// Whether a page is open that a run waits for before another looks again: one that explains the alert; or where none did,
    /// and the automatic page was held for those that are only named (`or_named`), one of these.
    pub fn is_open(&self, or_named: bool) -> bool {
        !self.explaining.is_empty() || or_named && !self.named.is_empty()
    }

    /// Their titles, for people.
    pub fn titles(&self) -> Vec<String> {
        self.pages().into_iter().map(|page| page.title).collect()
    }
}

/// What a look came to, and when.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Looked {
    /// When it was made.
    pub at: Timestamp,
    /// What was open, or why that is not known.
    pub found: Result<Related, String>,
}

impl Looked {
    /// Puts it into what a run's note is made of; gives the pages that the run is to name.
    pub fn keep(&self, facts: &mut Facts) -> Vec<RelatedPage> {
        let nothing = Related::default();
        let related = self.found.as_ref().unwrap_or(&nothing);
        facts.related_at = Some(self.at);
        facts.related_unknown = self.found.as_ref().err().cloned();
        facts.explaining = related.explaining.len();
        facts.related_only_named = related
            .named
            .iter()
            .map(|(page, why)| format!("{} does not explain the alert: {why}", page.title))
            .collect();
        facts.other_regions.clone_from(&related.other_regions);
        facts.at_once.clone_from(&related.at_once);
        // What an earlier look found is not lost with the alert's end: it is for finding the cause.
        if let Some(pages) = &related.registry_pages {
            facts.registry_pages.clone_from(pages);
        }
        facts.open_left_out.clone_from(&related.left_out);
        facts.page_open = related.page_open;
        related.pages()
    }

    /// Whether a page is open that an automatic page is held for, whether or not it explains the alert.
    pub fn holds(&self) -> bool {
        self.found.as_ref().is_ok_and(|related| related.is_open(true))
    }
}
