//! The short notes of an alert's life: it waits for other pages, there is no diagnosis yet, the page is or isn't
//! acknowledged, it is over; the answers to commands; and what is added to a diagnosis note later.
//!
//! Each begins with words of ours, its first three lines are enough, and none has a `run …` line: that line is the
//! diagnosis note's, by which it is found again. None is itself a command.

mod command;
mod edit;

#[cfg(test)]
mod facts;
#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use jiff::Timestamp;

pub use command::{CommandAnswer, PageStatus, command_answer};
pub use edit::{with_resolution, with_unchanged};

use super::evidence::in_order;
use super::headline::detail;
use super::limits::{Section, fit};
use super::text::{Day, bound, capital, clean, count, link, sentence, utc};
use super::{MAX_FIRST_LINE, MAX_NOTE, SERVICE_ENDPOINT, words};
use crate::alert::Region;
use crate::diagnosis::{Diagnosis, RelatedPage};
use crate::span::{between, show_duration};

/// How long a region's name is shown in a first line.
const REGION: usize = 45;

/// The alert waits: related pages are open that may explain it. Runbook: "deal with this/these PD/s first and see if
/// this resolves".
///
/// It looks again every `next_look`; once all are closed for `settle` it is diagnosed, `at_the_latest` anyway.
pub fn suppressed(
    region: &Region,
    explaining: &[RelatedPage],
    next_look: Duration,
    settle: Duration,
    at_the_latest: Timestamp,
    run_url: &str,
) -> String {
    let pages = count(explaining.len(), "open page may", "open pages may");
    let now = first_of(explaining)
        .unwrap_or_else(|| "deal with the open pages first, see if this alert resolves with them.".into());
    let head = [
        format!("WAITING, not diagnosed yet, in {}: {pages} explain it", bound(region.as_str(), REGION)),
        format!("Do now: {now}"),
        format!(
            "Nobody was paged by this service. It looks again every {}, and diagnoses anyway at {}.",
            show_duration(next_look),
            utc(at_the_latest)
        ),
    ];
    let mut then = Section::new("", 2, 8);
    then.line(format!(
        "Once they have all been closed for {}, and this alert is still open, it is diagnosed.",
        show_duration(settle)
    ));
    then.line("To have it diagnosed now, reply /rerun as a note on this incident.");
    short(head, vec![open_pages(explaining), then], "This run", run_url)
}

/// What to do about pages that are open and may explain the alert; `None` where there is none.
fn first_of(explaining: &[RelatedPage]) -> Option<String> {
    let (first, others) = explaining.split_first()?;
    let title = clean(&first.title, 140);
    Some(match others.len() {
        0 => format!("deal with \"{title}\" first, see if this alert resolves with it."),
        more => format!("deal with these first: \"{title}\" and {more} more. See if this alert resolves with them."),
    })
}

fn open_pages(explaining: &[RelatedPage]) -> Section {
    let mut list = Section::new("OPEN PAGES", 8, 9);
    for page in explaining {
        list.line(format!("- {} {}", clean(&page.title, 200), link(&page.html_url)));
    }
    list
}

/// The early word: no diagnosis in time, or a `first` reading that may be transient. What is known, what is awaited,
/// and until when; open pages that may explain the alert first.
pub fn early(
    region: &Region,
    first: Option<&Diagnosis>,
    explaining: &[RelatedPage],
    known: &[String],
    awaited: &[String],
    until: Timestamp,
    run_url: &str,
) -> String {
    let by = Day::of(until).time(until);
    let until = utc(until);
    let start = format!("Still diagnosing {}. ", bound(region.as_str(), REGION));
    let open = first_of(explaining);
    let mut head = match first {
        Some(d) => [
            format!("{start}{}: {}", words::verdict(d), detail(d)),
            // Runbook: "this can be a transient state, re-run the job".
            format!("Do now: wait until {until} at the latest. The Jenkins job is run again to see if it lasts."),
            format!("Nobody was paged: it may be over by itself. If it stays, it is {SERVICE_ENDPOINT}'s problem."),
        ],
        None => [
            format!("{start}No diagnosis yet"),
            format!(
                "Do now: wait for it, until {until} at the latest. If there is none by then, follow the runbook by hand."
            ),
            "Nobody was paged: not enough is known yet.".into(),
        ],
    };
    // Runbook: "deal with this PD first and see if this resolves".
    if let Some(open) = open {
        head[1] = format!("Do now: {open} Wait for the diagnosis until {until} at the latest.");
    }
    let mut so_far = Section::new("KNOWN SO FAR", 8, 8);
    if let Some(d) = first {
        so_far.line(format!("- {}", capital(&sentence(&d.verdict.summary, 300))));
        for (zone, b) in in_order(d) {
            let zone = clean(zone.cluster.as_str(), 80);
            so_far.line(format!("- {zone}: SE={} upstream={}", b.se_status, b.upstream_status));
        }
    }
    sentences(&mut so_far, known, "Nothing.");
    let mut ahead = Section::new(format!("WAITING FOR (by {by})"), 6, 9);
    sentences(&mut ahead, awaited, "The diagnosis.");
    short(head, vec![open_pages(explaining), so_far, ahead], "This run", run_url)
}

fn sentences(section: &mut Section, all: &[String], none: &str) {
    for text in all.iter().map(|t| sentence(t, 300)).filter(|t| !t.is_empty()) {
        section.line(format!("- {}", capital(&text)));
    }
    if section.lines.is_empty() {
        section.line(format!("- {none}"));
    }
}

/// Prominent: the page is open, and nobody has acknowledged it.
pub fn still_unacknowledged(region: &Region, page_url: &str, waited: Duration, run_url: &str) -> String {
    let waited = show_duration(waited);
    let head = [
        format!("NOBODY HAS ACKNOWLEDGED THE PAGE for {}, after {waited}", bound(region.as_str(), REGION)),
        format!("Do now: reach {SERVICE_ENDPOINT} another way, Slack #private-marketplace."),
        format!("Paged: {SERVICE_ENDPOINT}, but nobody has taken it. {}", link(page_url)),
    ];
    short(head, Vec::new(), "What to tell them (Magic Box IDs)", run_url)
}

/// Somebody has acknowledged the page.
pub fn acknowledged(region: &Region, page_url: &str, by: &str, after: Duration, run_url: &str) -> String {
    // PagerDuty's times are whole seconds.
    let after =
        if after < Duration::from_secs(1) { "at once".into() } else { format!("after {}", show_duration(after)) };
    let start = format!("Page acknowledged for {}, {after}", bound(region.as_str(), REGION));
    let head = [
        format!("{start}, by {}", person(by, room(&start, ", by "))),
        format!("Do now: stay in touch with {SERVICE_ENDPOINT}, Slack #private-marketplace."),
        format!("Paged: {SERVICE_ENDPOINT}, and {} has it. {}", person(by, 80), link(page_url)),
    ];
    short(head, Vec::new(), "The diagnosis", run_url)
}

/// On the Service Endpoint team's page: registry's alert is over.
pub fn alert_over_on_page(
    region: &Region,
    alert_title: &str,
    alert_url: &str,
    opened: Option<Timestamp>,
    resolved: Timestamp,
    run_url: &str,
) -> String {
    let after = opened.map(|o| format!(", after {}", show_duration(between(o, resolved)))).unwrap_or_default();
    let head = [
        format!("RESOLVED: registry's SE alert for {} is over{after}", bound(region.as_str(), REGION)),
        "Do now: check that it stays fixed on your side, then resolve this page. This service never does.".into(),
        // Runbook: "It will auto-resolve when the issue is fixed."
        format!("This page was for that alert. It resolved at {}.", utc(resolved)),
    ];
    let mut more = Section::new("", 3, 8);
    if let Some(opened) = opened {
        more.line(format!("The alert had opened at {}.", utc(opened)));
    }
    more.line("It resolves by itself when registry's end-to-end test through SE gets 200 OK again.");
    more.line(format!("Registry's alert: \"{}\" {}", clean(alert_title, 200), link(alert_url)));
    short(head, vec![more], "The diagnosis", run_url)
}

/// For the timeline: a build that nobody reads.
pub fn twin_build(build_url: &str, zone: &str) -> String {
    let (url, zone) = (link(build_url), clean(zone, 100));
    format!("Jenkins started a second build with CLUSTER={zone}, by a request that it applied late: {url} is not used")
}

/// Puts a short note together: three lines, the rest, and where to read on.
fn short(head: [String; 3], mut sections: Vec<Section>, label: &str, run_url: &str) -> String {
    let [first, second, third] = head;
    if !run_url.is_empty() {
        let mut last = Section::new("", 1, 9);
        last.line(format!("{label}: {}", link(run_url)));
        sections.push(last);
    }
    // It may end in a link that is not known.
    let third = third.trim_end().to_owned();
    fit(&[bound(&first, MAX_FIRST_LINE), second, third], sections, None, &link(run_url), MAX_NOTE)
}

/// How many characters a first line that starts so has left.
fn room(start: &str, then: &str) -> usize {
    MAX_FIRST_LINE.saturating_sub(start.chars().count() + then.chars().count())
}

/// A person's name, or a word for one who has none.
fn person(name: &str, max: usize) -> String {
    match clean(name, max) {
        name if name.is_empty() => "somebody".into(),
        name => name,
    }
}
