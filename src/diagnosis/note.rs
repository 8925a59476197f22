//! The note: the diagnosis in the words of someone who helps.

use jiff::Timestamp;

use super::{Diagnosis, RelatedPage};
use crate::alert::Region;
use crate::config::Links;

/// What is known beside the diagnosis when the note is written.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The run; its id is in the last line.
    pub run_id: &'a str,
    /// The run's page.
    pub run_url: &'a str,
    /// The Jenkins job, as a person opens it; `None` where consoles came from files.
    pub job_url: Option<&'a str>,
    /// Where people are sent.
    pub links: &'a Links,
    /// Whether the regions file lists the region.
    pub region_listed: bool,
    /// When the alert opened; `None` for a run by region.
    pub alert_opened_at: Option<Timestamp>,
    /// When the alert was found resolved; the first line says so.
    pub resolved_at: Option<Timestamp>,
    /// Related pages that are open; an error is why it is not known.
    pub related: Result<&'a [RelatedPage], &'a str>,
    /// When related pages were looked for.
    pub related_at: Option<Timestamp>,
    /// Other regions whose SE alert is open now.
    pub other_regions: &'a [Region],
    /// What has become of the page.
    pub page: PageNews<'a>,
    /// What went wrong beside (the incident couldn't be asked for, say), each a sentence.
    pub warnings: &'a [String],
    /// When the note is written.
    pub now: Timestamp,
}

/// Whether somebody was paged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageNews<'a> {
    /// The verdict asks for no page.
    NotWanted,
    /// It would be wanted, but `ESCALATION_MODE` is `off` (or there is no incident to page for).
    Off,
    /// A person is asked to say yes (how: an operator's `POST /escalate`); with what would speak against it.
    Suggested {
        /// The incident, for the command.
        incident_id: &'a str,
        /// What an automatic page would have been held for.
        reasons: &'a [String],
    },
    /// An automatic page is held back.
    Held {
        /// The incident, for the command.
        incident_id: &'a str,
        /// Why.
        reasons: &'a [String],
    },
    /// The page is being opened; the note is edited when it is.
    Paging,
    /// The page is open.
    Paged {
        /// Its page in PagerDuty.
        html_url: &'a str,
        /// An open one was joined, none was opened.
        joined: bool,
        /// What is wrong with it (nobody is assigned, its service is disabled), loudly.
        problem: Option<&'a str>,
        /// Who asked for it; `None` for an automatic one.
        asked_by: Option<&'a str>,
    },
    /// Nobody was paged, though it was tried.
    Failed {
        /// Why.
        reason: &'a str,
    },
}

/// The diagnosis note.
pub fn write(_diagnosis: &Diagnosis, _context: &Context<'_>) -> String {
    String::new()
}
