//! A person's command by note, lifecycle.md#commands: obeyed or not, and answered once by a short note.

use std::time::Duration;

use jiff::Timestamp;

use super::{Ended, IncidentNow, Look, Step, What};
use crate::command::{Command, MAX_AGE, Refusal, Word};
use crate::life::{AlertPage, OpenCommand, Reply};
use crate::span::{after, between};

/// How long the answer to `/escalate` waits for the page: longer than it takes to open one and read it back, short
/// enough for somebody who stands there with a phone.
const PAGE_KNOWN_WITHIN: Duration = Duration::from_secs(60);
/// How often the page is looked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer that PagerDuty does not take is tried, and how often.
const ANSWER_WITHIN: Duration = Duration::from_secs(6 * 3600);
const ANSWER_EVERY: Duration = Duration::from_secs(60);

/// What a command is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// What was about to be answered before a crash.
    AsBefore,
    /// The list of commands.
    Unknown,
    /// It is not obeyed.
    Refused(Refusal),
    /// This came of it.
    Reply(Reply),
    /// The page is open, with its link where that is known; `None`: it is on its way.
    Escalating(Option<String>),
    /// It was tried and failed.
    Failed(String),
}

pub(super) fn step(open: &mut OpenCommand, look: &Look<'_>) -> Step {
    let now = look.now.ours;
    if now < open.due {
        return Step::Wait(open.due);
    }
    // Once an answer was about to be given, nothing more is done.
    if look.known.answered.contains(&open.command.key) {
        return answer(open, Answer::AsBefore, look);
    }
    match open.obeyed.clone() {
        Some((Reply::Paging, at)) => match look.known.page {
            Some(AlertPage::Paged(url)) => {
                answer(open, Answer::Escalating(Some(url.clone().unwrap_or_default())), look)
            }
            Some(AlertPage::Failed(why)) => {
                let why = why.clone().unwrap_or_else(|| "it is not known why: see the log".to_owned());
                answer(open, Answer::Failed(why), look)
            }
            _ if now >= after(at, PAGE_KNOWN_WITHIN) => answer(open, Answer::Escalating(None), look),
            _ => Step::later(&mut open.due, now, LOOK_EVERY),
        },
        Some((reply, _)) => answer(open, Answer::Reply(reply), look),
        None => match open.refused {
            Some(refusal) => answer(open, Answer::Refused(refusal), look),
            None => not_obeyed_yet(open, look),
        },
    }
}

fn not_obeyed_yet(open: &mut OpenCommand, look: &Look<'_>) -> Step {
    let word = open.command.word;
    if word == Word::Unknown {
        return answer(open, Answer::Unknown, look);
    }
    let Some(incident) = look.answers.incident(open.due) else { return Step::Do(What::AskIncident) };
    // By the clock of those who told of it; ours may have been set. What holds a page is the safe side, and does not wait for
    // PagerDuty.
    if look.now.theirs.is_none() && word != Word::Hold {
        return Step::later(&mut open.due, look.now.ours, LOOK_EVERY);
    }
    if let Some(refusal) = refusal(&open.command, incident, look) {
        // Kept before it is said: whoever is about to obey it meanwhile must not.
        open.refused = Some(refusal);
        return answer(open, Answer::Refused(refusal), look);
    }
    Step::Do(What::Obey(open.command.key.clone()))
}

/// Why it is not obeyed; `None`: it is.
fn refusal(command: &Command, incident: &IncidentNow, look: &Look<'_>) -> Option<Refusal> {
    let users = &look.policy.command_users;
    let is_old = |(at, now): (Timestamp, Timestamp)| between(at, now) > MAX_AGE;
    if !users.is_empty() && !users.contains(&command.user_id) {
        Some(Refusal::NotAllowed)
    } else if command.at.zip(look.now.theirs).is_some_and(is_old) {
        Some(Refusal::TooOld)
    } else if incident.is_over(look.known.alert) {
        Some(Refusal::Closed)
    } else {
        None
    }
}

fn answer(open: &mut OpenCommand, answer: Answer, look: &Look<'_>) -> Step {
    let now = look.now.ours;
    let what = What::Answer { key: open.command.key.clone(), answer };
    match look.answers.is_done(&what, open.due) {
        None => Step::Do(what),
        Some(true) => Step::Over(Ended::Done),
        Some(false) if between(*open.refused_since.get_or_insert(now), now) >= ANSWER_WITHIN => {
            let Command { said, .. } = &open.command;
            Step::Over(Ended::Lost(format!("a command got no answer in 6 h: {said} by {}", open.command.who())))
        }
        Some(false) => Step::later(&mut open.due, now, ANSWER_EVERY),
    }
}
