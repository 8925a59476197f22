//! What is added to a diagnosis note after it was written. Its last line stays the `run …` line; each edit replaces
//! its own earlier one, so that an edit that is made again changes nothing.

use jiff::Timestamp;

use crate::diagnosis::note::headline::{RECOVERED, is_whole_path, recovered, whole_path};
use crate::diagnosis::note::text::{Day, bound, link};
use crate::diagnosis::note::{MAX_FIRST_LINE, MAX_NOTE, SERVICE_ENDPOINT, words};
use crate::span::{between, show_duration};

use super::person;

const TIMELINE: &str = "TIMELINE (UTC, for the RCA)";
const NOW: &str = "Do now: ";
const LOOKED: (&str, &str) = ("Looked again ", ": unchanged.");
const RESOLVED: &str = "RESOLVED";
/// How a note begins that was written when the alert had closed: its first lines say so already.
const WRITTEN_LATE: &str = super::super::headline::RESOLVED_LEAD;
/// Ends what stands before the first line's own words.
const DOT: &str = " ·";
const CLOSED: &str = "Do now: nothing urgent, the alert has closed. ";

/// The diagnosis note, after a follow-up at `at` that found nothing new; where it says when this service looks again, it says when
/// that is next (`again`, `None`: no more).
pub fn with_unchanged(note: &str, at: Timestamp, again: Option<Timestamp>) -> String {
    let mut note = Note::read(note);
    note.unchanged = Some(format!("{}{}{}", LOOKED.0, note.day.utc(at), LOOKED.1));
    if let Some(now) = note.body.get_mut(1)
        && now.strip_prefix(NOW).is_some_and(|words| words.starts_with(RECOVERED))
    {
        *now = format!("{NOW}{}", recovered(again));
    }
    note.write()
}

/// The diagnosis note, after its alert has resolved: its first line says so and after how long, and the RCA's times
/// stand before its last line. `paged` and `acknowledged` are `None` where it was not, as far as is known.
pub fn with_resolution(
    note: &str,
    opened: Option<Timestamp>,
    diagnosed: Option<Timestamp>,
    paged: Option<Timestamp>,
    acknowledged: Option<(Timestamp, String)>,
    resolved: Timestamp,
) -> String {
    let mut note = Note::read(note);
    note.say_resolved(opened, resolved);
    // When the alert opened stands with the evidence already.
    let mut timeline = timeline(note.day, opened, diagnosed, paged, acknowledged.as_ref(), resolved);
    timeline.retain(|line| !note.body.contains(line));
    note.timeline = timeline;
    note.write()
}

fn timeline(
    day: Day,
    opened: Option<Timestamp>,
    diagnosed: Option<Timestamp>,
    paged: Option<Timestamp>,
    acknowledged: Option<&(Timestamp, String)>,
    resolved: Timestamp,
) -> Vec<String> {
    let after = |at: Timestamp| match opened {
        Some(opened) if at > opened => format!(", after {}", show_duration(between(opened, at))),
        _ => String::new(),
    };
    let mut events = Vec::new();
    events.extend(opened.map(|at| (at, "alert opened".to_owned())));
    events.extend(diagnosed.map(|at| (at, format!("diagnosed{}", after(at)))));
    events.extend(paged.map(|at| (at, format!("{SERVICE_ENDPOINT} paged{}", after(at)))));
    events.extend(acknowledged.map(|(at, by)| (*at, format!("page acknowledged by {}{}", person(by, 80), after(*at)))));
    events.push((resolved, format!("alert resolved{}", after(resolved))));
    events.sort_by_key(|(at, _)| *at);
    let mut lines = vec![TIMELINE.to_owned()];
    lines.extend(events.into_iter().map(|(at, what)| format!("- {} {what}", day.time(at))));
    if opened.is_none() {
        lines.push("- When the alert opened is not known.".into());
    }
    match (paged, acknowledged) {
        (None, None) => lines.push("- Nobody was paged by this service.".into()),
        (Some(_), None) => lines.push("- Nobody was seen to acknowledge the page.".into()),
        (_, Some(_)) => {}
    }
    lines
}

/// A diagnosis note in its parts. Only lines of ours can begin as these do: words from outside never begin a line.
struct Note {
    body: Vec<String>,
    /// The day of its times; none where an older version wrote it.
    day: Day,
    unchanged: Option<String>,
    timeline: Vec<String>,
    last: Option<String>,
}

impl Note {
    fn read(text: &str) -> Self {
        let mut body: Vec<String> = text.trim_end().lines().map(|l| l.trim_end().to_owned()).collect();
        let last = body.pop_if(|l| l.starts_with("run "));
        let unchanged =
            body.iter().rposition(|l| l.starts_with(LOOKED.0) && l.ends_with(LOOKED.1)).map(|at| body.remove(at));
        let timeline = match body.iter().rposition(|l| l == TIMELINE) {
            Some(start) => {
                let length = body[start..].iter().take_while(|l| !l.is_empty()).count();
                body.drain(start..start + length).collect()
            }
            None => Vec::new(),
        };
        trim(&mut body);
        let heading =
            |line: &String| line.strip_prefix(words::WHEN)?.strip_prefix(" (")?.strip_suffix(", UTC)").map(Day::read);
        let day = body.iter().rev().find_map(heading).unwrap_or(Day::read(""));
        Self { body, day, unchanged, timeline, last }
    }

    fn say_resolved(&mut self, opened: Option<Timestamp>, resolved: Timestamp) {
        let Some(first) = self.body.first_mut() else { return };
        if first.starts_with(WRITTEN_LATE) {
            return;
        }
        let words = match first.split_once(DOT) {
            Some((said, words)) if said.starts_with(RESOLVED) => words.trim_start(),
            _ => first.trim_start(),
        };
        let after = opened.map(|o| format!(" after {}", show_duration(between(o, resolved)))).unwrap_or_default();
        let whole = format!("{RESOLVED}{after}{DOT} {words}");
        // Verdict and region matter more than what they rest on.
        let evidence = [": ", " ("].iter().filter_map(|mark| whole.find(mark)).min();
        *first = match evidence {
            _ if is_whole_path(&whole) => whole_path(whole),
            Some(at) if whole.chars().count() > MAX_FIRST_LINE => bound(&whole[..at], MAX_FIRST_LINE),
            _ => bound(&whole, MAX_FIRST_LINE),
        };
        if let Some(now) = self.body.get_mut(1)
            && !now.starts_with(CLOSED.trim_end())
            && let Some(words) = now.strip_prefix(NOW)
        {
            *now = format!("{CLOSED}Before: {words}");
        }
    }

    /// The note again, at most [`MAX_NOTE`] characters: what is added last matters more than the last of the body.
    fn write(mut self) -> String {
        let mut tail = String::new();
        for part in [self.unchanged.take(), Some(self.timeline.join("\n")), self.last.take()] {
            if let Some(part) = part.filter(|p| !p.is_empty()) {
                tail.push_str("\n\n");
                tail.push_str(&part);
            }
        }
        let tail = bound(&tail, MAX_NOTE);
        let body = self.body.join("\n");
        let room = MAX_NOTE - tail.chars().count();
        if body.chars().count() <= room {
            return (body + &tail).trim_start().to_owned();
        }
        let said = match self.body.iter().rev().find_map(|l| l.strip_prefix(words::THIS_RUN)) {
            Some(url) => format!("\n… the lines that stood here had no room. All of it: {}", link(url)),
            None => "\n… the lines that stood here had no room.".into(),
        };
        let body = whole_lines(&body, room.saturating_sub(said.chars().count()));
        format!("{body}{said}{tail}")
    }
}

/// As many lines as fit into `room` characters; of a first one that alone does not, its beginning.
fn whole_lines(text: &str, room: usize) -> String {
    let kept: String = text.chars().take(room).collect();
    match kept.rsplit_once('\n') {
        Some((lines, _)) => lines.trim_end().to_owned(),
        None => bound(text, room),
    }
}

/// No blank lines at the end, nor two in a row.
fn trim(body: &mut Vec<String>) {
    body.dedup_by(|line, before| line.is_empty() && before.is_empty());
    while body.pop_if(|l| l.is_empty()).is_some() {}
}
