//! The note: the diagnosis in the words of someone who helps.
//!
//! It is read on a phone by someone who was asleep two minutes ago. So the first three lines say the verdict, what to
//! do now and whether somebody was paged; everything else comes after, by need.
//!
//! Everything that comes from outside passes [`text::clean`] or [`text::link`], and every line begins with words of
//! ours: nobody can forge a first line, or the last one, by which the note is found again.

mod advice;
mod alike;
mod changes;
mod client;
mod evidence;
mod headline;
mod history;
mod limits;
mod next;
mod page;
mod records;
pub mod short;
mod text;
mod whom;
mod words;

#[cfg(any(test, feature = "facts"))]
pub mod facts;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

use super::{BrokenAt, Diagnosis, RelatedPage, ZoneDiagnosis};
use crate::alert::Region;
use crate::links::Links;

pub use alike::in_focus;
pub use changes::changes;
pub use evidence::in_order;
pub use next::commands;
pub use page::{
    EarlierLook, join_note, page_after_all, page_body, page_body_without_diagnosis, page_failed, page_problem,
    page_title, page_title_without_diagnosis, pointer,
};
pub(crate) use words::WHY;

/// The longest note, in characters: what PagerDuty is known to take.
pub const MAX_NOTE: usize = 20_000;
/// Room that a new diagnosis note leaves for what [`short::with_unchanged`] and [`short::with_resolution`] add.
const ROOM_FOR_EDITS: usize = 1_000;
/// The longest first line, in characters: what a lock screen shows.
pub const MAX_FIRST_LINE: usize = 120;
/// The longest title of a page, in characters: PagerDuty takes 255 bytes at least.
pub const MAX_PAGE_TITLE: usize = 250;
/// The Service Endpoint team's PagerDuty service, by the runbook's name for it.
pub const SERVICE_ENDPOINT: &str = "Cloud Service Endpoint";

/// What is known beside the diagnosis when the note is written.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The run; its id is in the last line.
    pub run_id: &'a str,
    /// The run's view.
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
    /// Related pages that are open, those that explain the alert first; an error is why it is not known.
    pub related: Result<&'a [RelatedPage], &'a str>,
    /// How many of them, at the end, are only named: they don't explain the alert.
    pub only_named: usize,
    /// When related pages were looked for.
    pub related_at: Option<Timestamp>,
    /// Other regions whose SE alert is open now.
    pub other_regions: &'a [Region],
    /// Those of them whose alert opened within five minutes of this one.
    pub at_once: &'a [Region],
    /// The pages that this alert waited for, each its title; empty where it was not suppressed.
    pub suppressed_by: &'a [String],
    /// For how long it waited.
    pub suppressed_for: Option<Duration>,
    /// When this service looks at the alert again by itself, as far as it is known.
    pub looks_again_at: Option<Timestamp>,
    /// Earlier runs of this incident or this region's alert, newest first.
    pub history: &'a [PastRun],
    /// Which time in the last hour this is that the region's alert opened, this one counted; 0 and 1 are the first.
    pub flaps_last_hour: u32,
    /// What has become of the page.
    pub page: PageNews<'a>,
    /// What went wrong beside (the incident couldn't be asked for, say), each a sentence.
    pub warnings: &'a [String],
    /// When the note is written.
    pub now: Timestamp,
}

impl Context<'_> {
    /// The open pages that explain the alert: those to deal with first.
    fn explaining(&self) -> &[RelatedPage] {
        let all = self.related.unwrap_or_default();
        &all[..all.len().saturating_sub(self.only_named)]
    }

    /// The open pages that are only named.
    fn also_open(&self) -> &[RelatedPage] {
        &self.related.unwrap_or_default()[self.explaining().len()..]
    }
}

/// An earlier run and what it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRun {
    /// When its diagnosis was made.
    pub at: Timestamp,
    /// From its making to its end; `None` where it goes on.
    pub took: Option<Duration>,
    /// Its verdict's kind, as the API writes it.
    pub verdict: String,
    /// Its verdict's rule, as the API writes it.
    pub rule: String,
    /// Its page.
    pub run_url: String,
    /// Whether it was of the same incident; else of an earlier alert of the region.
    pub same_incident: bool,
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
    Paging {
        /// The incident of another alert whose page may still be opened late, for which this one waits.
        waits_for: Option<&'a str>,
    },
    /// The page is open.
    Paged {
        /// Its page in PagerDuty.
        html_url: &'a str,
        /// An open one was joined, none was opened.
        joined: bool,
        /// What is wrong with it (nobody is assigned, its service is disabled), prominently.
        problem: Option<&'a str>,
        /// Who asked for it; `None` for an automatic one.
        asked_by: Option<&'a str>,
    },
    /// Nobody was paged, though it was tried.
    Failed {
        /// Why.
        reason: &'a str,
    },
    /// It is not known whether somebody was paged: what was stored of the page can't be read.
    Unreadable {
        /// Why, and where to look.
        reason: &'a str,
    },
}

/// The three lines that a lock screen shows, and that the run's view begins with: the verdict, what to do now, whether
/// somebody was paged.
pub fn head(diagnosis: &Diagnosis, context: &Context<'_>) -> [String; 3] {
    [headline::verdict(diagnosis, context), headline::now(diagnosis, context), headline::paged(diagnosis, context)]
}

/// What of a diagnosis has the second line say something else than to page, though the verdict asks for it, in a sentence.
pub fn against_page(diagnosis: &Diagnosis) -> Option<&'static str> {
    if client::is_over(diagnosis) {
        Some("It is over: the healthcheck cluster's own test passes again.")
    } else if diagnosis.client_suspected {
        Some("The path looks whole: check the healthcheck cluster first.")
    } else if matches!(advice::target(diagnosis), advice::Target::AllDisabled) {
        Some("The registry squad has deliberately disabled every zone: ask them first.")
    } else {
        advice::contradicted(diagnosis).then_some("The clusters contradict Jenkins: look at the zones yourself first.")
    }
}

/// What the note says of a zone: what its cluster said, in a few words; where its path breaks and whether it accepts
/// connections, a sentence each.
pub fn of_zone(zone: &ZoneDiagnosis) -> [String; 3] {
    [alike::said(zone.checks.as_ref()), words::breaks_at(zone.broken_at).to_owned(), evidence::accepts(zone)]
}

/// The zone to begin with: the first of the focus that the registry squad has not turned off; none where nothing is wrong
/// with it.
pub fn start_of(diagnosis: &Diagnosis) -> Option<&ZoneDiagnosis> {
    match advice::target(diagnosis) {
        advice::Target::Zone(zone) if zone.broken_at != BrokenAt::ClientOrFrontEnd => Some(zone),
        _ => None,
    }
}

/// What a zone's cluster said, in a few words, without a full stop.
pub fn of_checks(checks: &super::Checks) -> String {
    alike::said(Some(checks))
}

/// The diagnosis note: at most [`MAX_NOTE`] characters, with room for later edits; the first line at most
/// [`MAX_FIRST_LINE`], the last one
/// `run <run id>`.
///
/// By need: why; who is to be paged, and with which Magic Box IDs; what to do next; then the evidence, each thing once; times
/// and links last.
pub fn write(diagnosis: &Diagnosis, context: &Context<'_>) -> String {
    let (d, c) = (diagnosis, context);
    let mut head = Vec::from(head(d, c));
    head.extend(alike::at_once(d, c));
    let day = records::day(d, c);
    let mut sections = vec![evidence::why(d), whom::whom(d, c), next::next(d, c)];
    sections.extend([
        evidence::boxes(d),
        changes::since_last_good(d, day),
        evidence::zones(d),
        client::section(d, day),
    ]);
    sections.extend([evidence::class(d, c), records::also_open(c), history::earlier_runs(d, c, day)]);
    sections.extend([history::suppression(c), records::not_known(d, c), records::warnings(d, c)]);
    sections.push(records::times(d, c, day));
    let above: Vec<String> = sections.iter().flat_map(|section| section.lines.iter().cloned()).collect();
    sections.push(records::links(d, c, &above));
    let last = format!("run {}", text::clean(c.run_id, 100));
    limits::fit(&head, sections, Some(&last), &text::link(c.run_url), MAX_NOTE - ROOM_FOR_EDITS)
}
