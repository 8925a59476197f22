//! The answers to commands by note: who asked, what happens now. The phone must be enough.

use super::{REGION, person, room, short};
use crate::alert::Region;
use crate::diagnosis::note::limits::Section;
use crate::diagnosis::note::text::{bound, clean, link, sentence};
use crate::diagnosis::note::{SERVICE_ENDPOINT, words};

/// What has become of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandAnswer<'a> {
    /// `/rerun`: a new run has begun.
    Rerun {
        /// Its page.
        run_url: &'a str,
    },
    /// `/rerun`: one is active, none was begun.
    RerunActive {
        /// Its page.
        run_url: &'a str,
    },
    /// `/escalate`: the page is wanted, or open.
    Escalating {
        /// The page, where it is open already; `None` is not yet.
        page_url: Option<&'a str>,
    },
    /// `/escalate`: there is a page already.
    PagedAlready {
        /// The page.
        page_url: &'a str,
    },
    /// `/hold`: no automatic page any more.
    Held,
    /// `/status`.
    Status {
        /// The last run's state, by its name in the API; `None`: no run is known.
        state: Option<&'a str>,
        /// Its verdict, in words; `None` is none yet.
        verdict: Option<&'a str>,
        /// What has become of the page.
        page: PageStatus<'a>,
        /// Who said `/hold`, unless it is over.
        held_by: Option<&'a str>,
        /// Its view for people.
        run_url: &'a str,
    },
    /// Another word.
    Unknown,
    /// It came too late.
    TooOld,
    /// The alert is closed.
    Closed,
    /// The person is not among `COMMAND_USERS`.
    NotAllowed,
    /// It was tried and failed.
    Failed {
        /// Why.
        why: &'a str,
    },
}

/// What has become of the page, for `/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus<'a> {
    /// None is wanted.
    None,
    /// A person is asked.
    Suggested,
    /// An automatic one is held.
    Held {
        /// Why, one reason a line; `None` is not kept.
        why: Option<&'a str>,
    },
    /// It is being opened.
    Opening,
    /// It is open.
    Open {
        /// The page.
        page_url: &'a str,
        /// Who has acknowledged it.
        acknowledged_by: Option<&'a str>,
        /// What is wrong with it.
        problem: Option<&'a str>,
    },
    /// Nobody was paged.
    Failed {
        /// Why.
        why: Option<&'a str>,
    },
    /// It is not known whether somebody was paged.
    Unreadable {
        /// Why, and where to look.
        why: &'a str,
    },
}

impl PageStatus<'_> {
    /// One sentence, without its full stop.
    fn words(&self) -> String {
        let but = |why: &Option<&str>| why.map(|why| format!(", but {}", clean(why, 250))).unwrap_or_default();
        match self {
            Self::None => "Not paged".into(),
            Self::Suggested => "Not paged. To page, reply /escalate".into(),
            Self::Held { why: Some(why) } => {
                format!("Not paged, the automatic page is held: {}", clean(&why.replace('\n', "; "), 250))
            }
            Self::Held { why: None } => "Not paged, the automatic page is held".into(),
            Self::Opening => "The page is being opened".into(),
            Self::Open { page_url, acknowledged_by: Some(by), problem } => {
                format!("The page is open: {} (acknowledged by {}){}", link(page_url), person(by, 60), but(problem))
            }
            Self::Open { page_url, acknowledged_by: None, problem } => {
                format!("The page is open: {} (not acknowledged, as far as is known){}", link(page_url), but(problem))
            }
            Self::Failed { why: Some(why) } => format!("NOBODY WAS PAGED, the page failed: {}", clean(why, 250)),
            Self::Failed { why: None } => "NOBODY WAS PAGED, the page failed".into(),
            Self::Unreadable { why } => format!("Not known whether somebody was paged: {}", clean(why, 250)),
        }
    }
}

/// The answer to `word`, which `user` wrote as a note on the alert of `region`.
pub fn command_answer(region: &Region, user: &str, word: &str, answer: &CommandAnswer<'_>) -> String {
    let asked = Asked { region: bound(region.as_str(), REGION), word: plain(word), user };
    let (outcome, now, paged, run) = say(&asked, answer);
    let mut sections = Vec::new();
    if let CommandAnswer::Held = answer {
        let mut more = Section::new("", 1, 9);
        more.line("A page that is open already stays open.");
        sections.push(more);
    }
    let head = [asked.first_line(&outcome), format!("Do now: {now}"), paged];
    short(head, sections, "The run", run.unwrap_or_default())
}

/// The outcome, what to do now, whether somebody is paged, and the run to link.
fn say<'a>(asked: &Asked<'_>, answer: &CommandAnswer<'a>) -> (String, String, String, Option<&'a str>) {
    let Asked { region, word, .. } = asked;
    let in_touch = || format!("stay in touch with {SERVICE_ENDPOINT}, Slack #private-marketplace.");
    // Whoever asked for a page must not go back to sleep believing in one.
    let nobody =
        || format!("{} by this command.", if word == "escalate" { "NOBODY WAS PAGED" } else { "Nobody was paged" });
    match answer {
        CommandAnswer::Rerun { run_url } => (
            format!("Diagnosing {region} again"),
            "nothing, its note comes here when it is done.".into(),
            nobody(),
            Some(run_url),
        ),
        CommandAnswer::RerunActive { run_url } => (
            format!("Already diagnosing {region}, no second run"),
            "nothing, the note of the run under way comes here.".into(),
            nobody(),
            Some(run_url),
        ),
        CommandAnswer::Escalating { page_url: None } => (
            format!("Paging {SERVICE_ENDPOINT} for {region}"),
            "wait a minute. If the page fails, another note here says so.".into(),
            "Nobody was paged yet.".into(),
            None,
        ),
        CommandAnswer::Escalating { page_url: Some(page_url) } => (
            format!("Paged {SERVICE_ENDPOINT} for {region}"),
            in_touch(),
            format!("Paged: {SERVICE_ENDPOINT}, asked for by {}. {}", person(asked.user, 80), link(page_url)),
            None,
        ),
        CommandAnswer::PagedAlready { page_url } => (
            format!("{SERVICE_ENDPOINT} is paged already for {region}"),
            in_touch(),
            format!("Paged: {SERVICE_ENDPOINT}, before. No second page was opened. {}", link(page_url)),
            None,
        ),
        CommandAnswer::Held => (
            format!("Automatic paging is on hold for {region}"),
            format!("nothing. To page {SERVICE_ENDPOINT} after all, {}.", words::APPROVE),
            "Nobody will be paged automatically, until /escalate or until the alert is reopened.".into(),
            None,
        ),
        CommandAnswer::Status { state, verdict, page, held_by, run_url } => (
            match state {
                Some(state) => format!("Status of {region}: the run is {}", clean(state, 40)),
                None => format!("Status of {region}: no run is known"),
            },
            match verdict {
                Some(verdict) => format!("follow the diagnosis note. Verdict: {}", sentence(verdict, 300)),
                None => "wait, there is no verdict yet.".into(),
            },
            match held_by {
                Some(who) => {
                    let who = person(who, 60);
                    sentence(&format!("{}; {who} said /hold, so no page is opened automatically", page.words()), 600)
                }
                None => sentence(&page.words(), 600),
            },
            Some(run_url),
        ),
        CommandAnswer::Unknown => (
            format!("No such command, nothing done for {region}"),
            format!(
                "write one of these alone in a note: /rerun (diagnose again), /escalate (page {SERVICE_ENDPOINT}), \
                 /hold (no automatic page), /status (where things stand)."
            ),
            nobody(),
            None,
        ),
        CommandAnswer::TooOld => (
            format!("Not obeyed for {region}, it came too late"),
            "write it again if you still want it. It reached this service more than 15 minutes after it was written."
                .into(),
            nobody(),
            None,
        ),
        CommandAnswer::Closed => (
            format!("Not obeyed, the alert of {region} is closed"),
            "nothing. Should it open again, it is diagnosed again by itself.".into(),
            nobody(),
            None,
        ),
        CommandAnswer::NotAllowed => (
            format!("Not obeyed for {region}, not allowed"),
            format!(
                "ask somebody who may give commands here, or do it by hand. {} is not among COMMAND_USERS.",
                person(asked.user, 80)
            ),
            nobody(),
            None,
        ),
        CommandAnswer::Failed { why } => {
            let (now, paged) = if word == "escalate" {
                (
                    format!("page {SERVICE_ENDPOINT} by hand in PagerDuty."),
                    format!("NOBODY WAS PAGED, as far as is known. {}", sentence(why, 400)),
                )
            } else {
                (
                    "write it again, or do it by hand.".into(),
                    format!("Nobody was paged by this command. Why it failed: {}", sentence(why, 400)),
                )
            };
            (format!("FAILED for {region}"), now, paged, None)
        }
    }
}

struct Asked<'a> {
    region: String,
    word: String,
    user: &'a str,
}

impl Asked<'_> {
    /// The outcome first: a lock screen may show no more. Words of ours begin it, whatever the person is called.
    fn first_line(&self, outcome: &str) -> String {
        let start = format!("{outcome} (/{} by ", self.word);
        format!("{start}{})", person(self.user, room(&start, ")").max(1)))
    }
}

/// The word as it was written, without its slash.
fn plain(word: &str) -> String {
    let word = clean(word, 60).trim_start_matches('/').to_lowercase();
    bound(word.trim_end_matches('.'), 16)
}
