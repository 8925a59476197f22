//! A page that is wanted: when it is tried, what each try means, how long it is tried, and how people hear of its end.
//! lifecycle.md#the-page.
//!
//! What has become of it stands in a row of its own ([`KnownPage`]), and goes before all that is kept here: that is only when
//! to try again, and for how long.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Came, Look, Step, What};
use crate::life::OpenPage;
use crate::related::Looked;
use crate::span::{after, between};
use crate::text::bound;
use crate::writes::Times;

/// How long a page is tried: after that a short note says that nobody was paged.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(600);
/// Evidence that becomes too old for a page later than this after the first try is not taken again: it would take longer
/// than is left.
const ANEW_UNTIL: Duration = Duration::from_secs(300);
/// How long an automatic page waits for a PagerDuty that can't be asked at all, where nothing could be said either.
/// Once it answers, everything is looked at again before the page.
const WAIT_FOR_PAGERDUTY: Duration = Duration::from_secs(6 * 3600);
/// How long a page waits for PagerDuty to say whether a bigger outage explains the alert; then it is held.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// The first pause between two tries, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What is tried so long after it was due was not tried meanwhile, since nobody was there: that is no time of trying.
const NOBODY_WAS_THERE: Duration = Duration::from_secs(60);
/// How soon it is looked again what has become of the page of another alert, at first and at most.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const LOOK_SELDOM: Duration = Duration::from_secs(5);
/// The same where it may be open though it failed or was held: each look is a request to PagerDuty.
pub const LOOK_IN_DOUBT: Duration = Duration::from_secs(30);
/// How long, and how often, it is tried to say by a short note what has become of a page.
pub const LOUD_FOR: Duration = Duration::from_secs(6 * 3600);
const LOUD_EVERY: Duration = Duration::from_secs(60);
/// How long a page rests of which something stored can't be read.
const UNREADABLE_RESTS: Duration = Duration::from_secs(3600);
/// How much of what went wrong last is kept.
const MAX_FAILURE: usize = 200;

/// A page of the alert that is wanted, or of whose end is to be told, as its row says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPage {
    /// Under which of its names the alert is paged.
    pub name: String,
    /// What has become of it.
    pub state: PageRow,
    /// A person has asked for it.
    pub by_hand: bool,
    /// Since when it is tried, over all workers; `None`: PagerDuty was not asked yet.
    pub tried_since: Option<Timestamp>,
    /// The alert whose page may still be opened late, for which it waits.
    pub waits_for: Option<String>,
}

/// What has become of a page that needs something yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageRow {
    /// It is to be opened.
    Wanted,
    /// It is open, or has failed, since then: of that it is to be told.
    Ended(Timestamp),
    /// That can't be read.
    Unreadable,
}

/// What one try came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tried {
    /// It is open.
    Opened(OpenedPage),
    /// Trying again changes nothing.
    Refused(String),
    /// It may work later.
    Later(String),
    /// PagerDuty could not be asked for what must be known first: nothing was begun.
    NotAsked(String),
    /// Another alert of the region is at it: what becomes of its page decides.
    Another {
        /// That alert's incident.
        alert: String,
        /// It was given up, and may be opened yet.
        doubt: bool,
    },
    /// An automatic page must not be opened now.
    Held(HeldPage),
}

/// How a page came about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OpenedPage {
    /// The incident.
    pub id: String,
    /// Its link.
    pub html_url: String,
    /// It was open before, and was joined.
    pub joined: bool,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// Why a page must not be opened now.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeldPage {
    /// Each in words.
    pub reasons: Vec<String>,
    /// PagerDuty could not be asked: that alone may pass.
    pub unknown: bool,
    /// Nothing but the evidence's age.
    pub outdated: bool,
    /// Its run has not ended, and may take the evidence again.
    pub run_is_active: bool,
    /// The look for related pages, where one was made: the note is to name what it found.
    pub looked: Option<Looked>,
}

/// How a page ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PageEnd {
    /// It is open.
    Paged(OpenedPage),
    /// Nobody was paged, and why.
    Failed(String),
}

impl OpenPage {
    /// A page that was wanted just now.
    pub fn new(name: &str, now: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            began: None,
            since: None,
            not_asked_since: None,
            last_failure: None,
            pause_s: 0,
            due: now,
        }
    }

    /// Waits, longer each time, but no longer than `left`.
    fn pause(&mut self, look: &Look<'_>, left: Duration) -> Step {
        let pause = Duration::from_secs(self.pause_s.into()).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.pause_s = u32::try_from((pause * 2).min(LONGEST_PAUSE).as_secs()).unwrap_or_default();
        let wait = pause.mul_f64(0.5 + look.policy.jitter).min(left).max(Duration::from_millis(1));
        Step::later(&mut self.due, look.now.ours, wait)
    }

    /// It begins again, once another's page is known: in so long.
    fn begin_again(&mut self, look: &Look<'_>, wait: Duration) -> Step {
        let now = look.now.ours;
        *self = Self::new(&self.name, now);
        Step::later(&mut self.due, now, wait)
    }
}

/// Keeps one for each row that needs something yet.
pub(super) fn take_up(pages: &mut Vec<OpenPage>, known: &[KnownPage], now: Timestamp) {
    pages.retain(|open| known.iter().any(|row| row.name == open.name));
    for row in known {
        if pages.iter().all(|open| open.name != row.name) {
            pages.push(OpenPage::new(&row.name, now));
        }
    }
}

pub(super) fn step(open: &mut OpenPage, row: &KnownPage, look: &Look<'_>) -> Step {
    if look.now.ours < open.due {
        return Step::Wait(open.due);
    }
    let name = || open.name.clone();
    match row.state {
        PageRow::Wanted => {}
        PageRow::Ended(at) => {
            let is_last = between(at, look.now.ours) >= LOUD_FOR;
            let tell = What::TellPage { name: name(), is_last };
            return once(open, tell, LOUD_EVERY, look);
        }
        // Reading it again soon would not help, and it is nothing to page by.
        PageRow::Unreadable => {
            let tell = What::TellPage { name: name(), is_last: true };
            return once(open, tell, UNREADABLE_RESTS, look);
        }
    }
    let attempt = What::TryPage(name());
    match look.answers.of(&attempt, open.due) {
        Some((began, Came::Tried(tried))) => tried_at(open, row, began, tried, look),
        // Its row, or its name, was another's when it was tried.
        Some((_, Came::NotDone)) => open.pause(look, LONGEST_PAUSE),
        _ => readable(open, attempt, look),
    }
}

/// Does it, once; and looks again in so long where the row does not show it.
fn once(open: &mut OpenPage, what: What, wait: Duration, look: &Look<'_>) -> Step {
    match look.answers.is_done(&what, open.due) {
        None => readable(open, what, look),
        Some(_) => Step::later(&mut open.due, look.now.ours, wait),
    }
}

/// Does it, unless what is stored for it can't be read: then the page ends, and whoever waits for it hears so.
fn readable(open: &mut OpenPage, what: What, look: &Look<'_>) -> Step {
    let Some(why) = look.answers.why_unreadable(&what) else { return Step::Do(what) };
    let give_up = What::GiveUpPage { name: open.name.clone(), why: why.to_owned() };
    let is_tried =
        look.answers.why_unreadable(&give_up).is_some() || look.answers.is_done(&give_up, open.due).is_some();
    if is_tried { Step::later(&mut open.due, look.now.ours, UNREADABLE_RESTS) } else { Step::Do(give_up) }
}

fn end(open: &mut OpenPage, end: PageEnd, look: &Look<'_>) -> Step {
    let what = What::EndPage { name: open.name.clone(), end };
    once(open, what, FIRST_PAUSE, look)
}

fn failed(open: &mut OpenPage, why: String, look: &Look<'_>) -> Step {
    end(open, PageEnd::Failed(why), look)
}

fn tried_at(open: &mut OpenPage, row: &KnownPage, began: Timestamp, tried: &Tried, look: &Look<'_>) -> Step {
    let now = look.now.ours;
    if between(open.due, began) > NOBODY_WAS_THERE {
        *open = OpenPage::new(&open.name, open.due);
    }
    // Counted over all workers: a restart is no reason to try for longer.
    let since = row.tried_since.or(open.since).or(open.began).unwrap_or(began);
    match tried {
        Tried::Opened(opened) => end(open, PageEnd::Paged(opened.clone()), look),
        Tried::Refused(why) => failed(open, why.clone(), look),
        Tried::Another { alert, doubt } => wait_for(open, row, (alert, *doubt), after(since, GIVE_UP_AFTER), look),
        Tried::Held(held) => {
            open.not_asked_since = None;
            let first = *open.began.get_or_insert(began);
            if held.unknown && now < after(first, UNKNOWN_FOR) {
                let pause = Duration::from_secs(open.pause_s.into()).max(FIRST_PAUSE);
                return Step::later(&mut open.due, now, pause);
            }
            let outdated = held.outdated && row.tried_since.is_some();
            // Who has only waited for another's page is held, and its run takes the evidence again.
            if outdated && now >= after(since, ANEW_UNTIL) && (open.last_failure.is_some() || !held.run_is_active) {
                let why = open.last_failure.as_deref().unwrap_or("it could not be opened for some minutes");
                let why = format!("{why}; meanwhile {}", held.reasons.join("; "));
                return failed(open, why, look);
            }
            // What was only waited for is no try: the page is tried again with the evidence that is taken again.
            let starts_over = open.last_failure.is_none() && outdated;
            let hold = What::HoldPage { name: open.name.clone(), held: Box::new(held.clone()), starts_over };
            once(open, hold, LOOK_AGAIN, look)
        }
        Tried::Later(error) => {
            open.not_asked_since = None;
            if now >= after(since, GIVE_UP_AFTER) {
                return failed(open, error.clone(), look);
            }
            again(open, since, began, error, look)
        }
        Tried::NotAsked(error) => not_asked(open, row, since, began, error, look),
    }
}

fn again(open: &mut OpenPage, since: Timestamp, began: Timestamp, error: &str, look: &Look<'_>) -> Step {
    open.began.get_or_insert(began);
    open.last_failure = Some(bound(error, MAX_FAILURE));
    // The last try is made when time is up, and no later.
    open.pause(look, between(look.now.ours, after(since, GIVE_UP_AFTER)))
}

fn not_asked(
    open: &mut OpenPage,
    row: &KnownPage,
    since: Timestamp,
    began: Timestamp,
    error: &str,
    look: &Look<'_>,
) -> Step {
    let now = look.now.ours;
    let first_try = *open.began.get_or_insert(began);
    if row.by_hand || now >= after(first_try, WAIT_FOR_PAGERDUTY) {
        if now >= after(since, GIVE_UP_AFTER) {
            return failed(open, error.to_owned(), look);
        }
        return again(open, since, began, error, look);
    }
    // Where it answers other questions for as long as a page is tried, people can be told that this one goes wrong; else
    // everything waits for it.
    let first = *open.not_asked_since.get_or_insert(now);
    let is_long = now >= after(first, GIVE_UP_AFTER);
    if is_long {
        match answers(open, look) {
            None => return Step::Do(What::AskPagerDuty(open.name.clone())),
            Some(true) => return failed(open, error.to_owned(), look),
            Some(false) => {}
        }
    }
    let forget = What::ForgetTries(open.name.clone());
    if row.tried_since.is_some() && look.answers.is_done(&forget, open.due).is_none() {
        return readable(open, forget, look);
    }
    if is_long {
        open.not_asked_since = None;
    }
    open.since = Some(now);
    again(open, now, began, error, look)
}

/// Whether PagerDuty answers at all; `None`: it was not asked that.
fn answers(open: &OpenPage, look: &Look<'_>) -> Option<bool> {
    look.answers.is_done(&What::AskPagerDuty(open.name.clone()), open.due)
}

/// Another alert's page decides. Meanwhile the alert rests: whoever waits must not keep a place from the one that is waited for.
fn wait_for(
    open: &mut OpenPage,
    row: &KnownPage,
    (alert, doubt): (&str, bool),
    give_up: Timestamp,
    look: &Look<'_>,
) -> Step {
    let now = look.now.ours;
    let mut starts_over = false;
    if now >= waited_for(give_up, doubt) {
        match answers(open, look) {
            None => return Step::Do(What::AskPagerDuty(open.name.clone())),
            Some(true) => return failed(open, never_ended(alert, doubt), look),
            Some(false) => starts_over = true,
        }
    }
    // Who is at it is done within seconds, or soon given up: that is not worth an edit.
    let waits_for = doubt.then(|| alert.to_owned());
    if starts_over || row.tried_since.is_none() || row.waits_for != waits_for {
        let wait = What::WaitForPage { name: open.name.clone(), alert: waits_for, by_hand: row.by_hand, starts_over };
        if look.answers.is_done(&wait, open.due).is_none() {
            return readable(open, wait, look);
        }
    }
    let waited = between(row.tried_since.unwrap_or(now), now);
    let wait = if doubt { LOOK_IN_DOUBT } else { (waited / 4).clamp(LOOK_AGAIN, LOOK_SELDOM) };
    open.begin_again(look, wait)
}

/// Until when another's page is waited for: one that may be opened yet is so for no longer than until the last look for it.
fn waited_for(give_up: Timestamp, doubt: bool) -> Timestamp {
    let last = Times::OPENING.looks.last().copied().unwrap_or_default();
    let longest = last + Times::OPENING.longest_write + LOOK_IN_DOUBT;
    if doubt { after(give_up, longest) } else { give_up }
}

/// Why a page failed that waited in vain.
fn never_ended(alert: &str, doubt: bool) -> String {
    let of = format!("the page of another alert of this region, {alert}");
    if doubt {
        return format!("{of}, was given up, and may still be opened late: look at that alert's notes");
    }
    format!("{of}, was waited for, and for 10 min it was neither open nor given up: look at that alert's notes")
}
