//! The record of an alert, for people: what was read, decided, said and done, and by whom.

use jiff::Timestamp;
use strum::{EnumMessage, VariantArray, VariantNames};

crate::words! {
    Source: "source of an entry";
    EntryKind: "kind of an entry";
}

/// Who knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Source {
    /// PagerDuty's log of the incident.
    Pagerduty,
    /// This service.
    Service,
    /// Jenkins' job.
    Jenkins,
    /// The zones' clusters.
    Cluster,
    /// The client of the end-to-end test: its Prometheus and its exporter.
    Client,
    /// A Slack workspace.
    Slack,
    /// The issue tracker.
    Ghe,
}

/// What an entry of this service's own tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum EntryKind {
    /// Boxes were read.
    Reading,
    /// Clusters were asked.
    Checks,
    /// The client was asked.
    Client,
    /// A diagnosis was made.
    Verdict,
    /// An automatic page was held.
    Held,
    /// A note was edited.
    Edit,
    /// A person's command was obeyed, or refused.
    Command,
    /// A message elsewhere.
    Notified,
    /// A short note was written. PagerDuty's log has it too.
    Note,
    /// What became of a page. PagerDuty's log of the page has it too.
    Page,
    /// Somebody has acknowledged the page. PagerDuty's log of the page has it too.
    Acknowledged,
    /// Another incident was merged into this one, which is the alert from then on. PagerDuty's log has it too.
    Merged,
    /// Anything else that people are to see; what was kept before there were kinds.
    Other,
}

impl EntryKind {
    /// Whether it is among what was said and done, as a run shows it (`activity`): not what the run shows itself.
    pub const fn is_activity(self) -> bool {
        !matches!(
            self,
            Self::Reading | Self::Checks | Self::Client | Self::Verdict | Self::Held | Self::Notified | Self::Merged
        )
    }

    /// Whether PagerDuty's log tells the same: then the timeline does not say it again.
    pub const fn is_in_pagerduty(self) -> bool {
        matches!(self, Self::Note | Self::Page | Self::Acknowledged | Self::Merged)
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who knows of it.
    pub source: Source,
    /// What it tells.
    pub kind: EntryKind,
    /// In words.
    pub text: String,
    /// The person who did; `None` is this service.
    pub who: Option<String>,
    /// A link, where there is one.
    pub url: Option<String>,
    /// The run that it is about; `None`: the alert.
    pub run_id: Option<String>,
}
