//! Who opens a region's page. lifecycle.md#the-page: of several alerts of one region one opens it, and the others join it.
//!
//! Begin to read at [`reserve`]: it is asked right before a page is opened, by whoever has looked for it by its key, with
//! what is stored of the region's other openings. Whoever asks it sees to it that nobody else is answered meanwhile.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

use super::{Moment, Next, Outcome, Settling, Times, Write};
use crate::span::between;

/// A page is handed in to PagerDuty no later than this after its intent was recorded. Longest waits the turn within the
/// rate limit of the REST API: whatever that is used up by, there are turns again within 70 s. The Events API has a limit
/// of its own, where the client asks again, within the same time.
pub const OPEN_WITHIN: Duration = Duration::from_secs(75);
/// How long PagerDuty's lists may not show a page that was opened, and more.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

impl Times {
    /// Those of opening a page, by REST or by the Events API: what is handed in within [`OPEN_WITHIN`] ends 15 s later, if
    /// only without an answer, and its outcome is recorded before anything is looked for. PagerDuty refuses a second page
    /// with a key only while the first is open: so the rest is as for notes.
    pub const OPENING: Self = Self { longest_write: Duration::from_secs(90), ..Self::PAGERDUTY };
}

/// What has become of an alert's page, by its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It is wanted; somebody opens it, or waits to.
    Wanted,
    /// It is open, or a page of somebody else's was joined.
    Paged,
    /// Nobody was paged, as far as was known.
    Failed,
    /// That can't be read.
    Unreadable,
}

/// An alert's page, by its record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// What has become of it.
    pub state: State,
    /// The incident that was opened or joined; `None` unless it is [`State::Paged`].
    pub id: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// A page with an alert's key, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shown {
    /// The incident.
    pub id: String,
    /// Nobody has resolved it.
    pub is_open: bool,
}

/// The alert that wants the region's page opened.
#[derive(Clone, Debug)]
pub struct Own {
    /// What is recorded of its opening, with the last look for it.
    pub write: Write,
    /// A person has asked for it.
    pub by_hand: bool,
    /// It was the last of the region that was answered [`Reservation::Reserved`].
    pub holds_right: bool,
    /// Who holds the alert's automatic pages; `None`: nobody.
    pub held_by: Option<String>,
}

/// Another alert of the region whose page was about to be opened: the last one, and each that may yet show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Other {
    /// The alert's incident.
    pub alert: String,
    /// What is recorded of its opening.
    pub write: Write,
    /// Its page; `None` where that was held, or is forgotten.
    pub page: Option<Page>,
}

/// The automatic pages of an hour.
#[derive(Clone, Copy, Debug)]
pub struct Hour {
    /// How many were opened, or may have been: [`pages_of`].
    pub opened: u32,
    /// How many there may be.
    pub most: u32,
}

/// A page that was about to be opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Nobody has asked for it.
    pub automatic: bool,
    /// When it was last about to be.
    pub begun_at: Timestamp,
    /// What is recorded of it.
    pub write: Write,
}

/// How many of these are automatic pages that were opened since, or may have been.
pub fn pages_of(openings: &[Opened], since: Timestamp) -> u32 {
    let counts = |opened: &&Opened| opened.automatic && opened.begun_at >= since && opened.write.may_stand();
    u32::try_from(openings.iter().filter(counts).count()).unwrap_or(u32::MAX)
}

/// Whether an alert may open the region's page now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// It may: its intent is recorded with this answer, or not at all.
    Reserved,
    /// The hour's automatic pages are used up: so many were opened.
    HourFull(u32),
    /// This person has said `/hold` since it was looked.
    HeldBy(String),
    /// Not before it is known what becomes of this alert's page.
    WaitingFor {
        /// The alert's incident.
        alert: String,
        /// It was given up, and may have been opened all the same.
        doubt: bool,
    },
    /// What this one has opened is to be looked at first: it may be open.
    LookAt(Other),
    /// It may have been opened for this alert: that is to be looked for first.
    LookFirst,
    /// This is the alert's page.
    Stands(String),
}

impl Other {
    /// Whether it is at it, before `own`. A person's word goes before what was certainly not sent, and who has the right
    /// waits for nobody who waits for it.
    pub fn is_ahead_of(&self, own: &Own) -> bool {
        let gives_way = own.by_hand && !self.write.may_stand();
        self.is_wanted() && !own.holds_right && !gives_way
    }

    /// Whether its page is being opened, or was so lately that lists may not show it yet: another alert may join it. One
    /// that is open for longer is in the lists.
    pub fn may_be_joined(&self, now: Timestamp) -> bool {
        let young = |page: &Page| page.state == State::Paged && between(page.since, now) < SHOWN_WITHIN;
        self.is_wanted() || self.page.as_ref().is_some_and(young)
    }

    /// The incident that was opened or joined for it, as far as is known: its document is never behind, as lists are.
    pub fn page_id(&self) -> Option<&str> {
        self.page.as_ref().and_then(|page| page.id.as_deref()).or(self.write.id.as_deref())
    }

    fn is_wanted(&self) -> bool {
        self.page.as_ref().is_some_and(|page| page.state == State::Wanted)
    }

    /// Whether a page of it may be open: then that is looked at. Of what was forgotten nothing is known.
    fn may_be_open(&self) -> bool {
        let is_told = self.page.as_ref().is_some_and(|page| matches!(page.state, State::Paged | State::Unreadable));
        is_told || self.write.may_stand() || self.write.attempt == 0
    }
}

/// Whether an alert may open the region's page now. `looked`: those that it has looked at, as they were recorded then, and
/// of which nothing is open.
pub fn reserve(own: &Own, others: &[Other], looked: &[Other], hour: Hour, times: &Times) -> Reservation {
    match own.write.next(times) {
        Next::Stands(id) => return Reservation::Stands(id),
        Next::Look(_) => return Reservation::LookFirst,
        Next::Send => {}
    }
    let waiting = |other: &Other, doubt| Reservation::WaitingFor { alert: other.alert.clone(), doubt };
    if let Some(other) = others.iter().find(|other| other.is_ahead_of(own)) {
        return waiting(other, false);
    }
    // It is in the way of joining too.
    if let Some(who) = own.held_by.as_ref().filter(|_| !own.by_hand) {
        return Reservation::HeldBy(who.clone());
    }
    // A look counts for what was recorded then: meanwhile it may have been found, or wanted again.
    if let Some(other) = others.iter().find(|other| other.may_be_open() && !looked.contains(other)) {
        return Reservation::LookAt(other.clone());
    }
    if own.by_hand {
        return Reservation::Reserved;
    }
    match others.iter().find(|other| other.write.is_in_doubt()) {
        Some(other) => waiting(other, true),
        None if hour.opened >= hour.most => Reservation::HourFull(hour.opened),
        None => Reservation::Reserved,
    }
}

/// Records what came of the send with this number. `no_news`: as for [`looked_late`].
pub fn ended(write: &mut Write, no_news: &[String], attempt: u32, outcome: &Outcome, now: Moment) {
    write.ended(attempt, outcome, now);
    // PagerDuty opens a second one only once the first is closed: of those that are known the last is what people have. An
    // answer that comes late is not that, where a look has shown what it opened before, and another since.
    if let Outcome::Done(id) = outcome
        && write.attempt == attempt
        && !no_news.contains(id)
    {
        write.moved(id);
    }
}

/// What came of a send that PagerDuty has refused, since a page with its key is open. `write` is as it was before it. Where
/// that knows of one which may be it, this one was certainly not opened; else the open one is still to be found.
pub fn key_taken(write: &Write) -> Outcome {
    let why = "PagerDuty has an open incident with its key".to_owned();
    if write.may_stand() { Outcome::NotSent(why) } else { Outcome::Ambiguous(why) }
}

/// Records a look for an alert's page by its key, that began then and has found this one (an open one, or the one that is
/// known, where there are several).
pub fn looked_for(write: &mut Write, found: Option<&str>, began: Moment, times: &Times) {
    write.expire(began, times);
    let mut settled = Settling::default();
    match (found, write.id.as_deref()) {
        (Some(id), None) => write.found(id, began, times),
        // As above; but what a look shows that began before that was answered is the first.
        (Some(id), Some(known)) if id != known && write.shows_by(began, times) => {
            write.moved(id);
            settled.shown = 1;
        }
        _ => {}
    }
    write.looked(began, &settled, times);
}

/// What a look for what shows late comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// The alert's page stands, and its record says otherwise: it is wanted once more, and told of.
    pub is_news: bool,
    /// The pages that are no news from now on, beside those that were none before.
    pub no_news: Vec<String>,
}

/// Records a look for what shows late, that began then and shows all this; whatever is recorded of write or page meanwhile
/// ends it before. `no_news`: the pages that no look makes news of any more. By page and not by alert: of several that open
/// late each is told of; and once, since what a list shows and its own document doesn't must not go on for good.
pub fn looked_late(
    write: &mut Write,
    page: Option<&Page>,
    no_news: &[String],
    shown: &[Shown],
    began: Moment,
    times: &Times,
) -> Late {
    let known = write.id.clone();
    let of = |id: Option<&String>| shown.iter().find(|shown| Some(&shown.id) == id);
    let found = match of(known.as_ref()) {
        Some(known) if known.is_open => Some(known),
        // Beside one that is known a closed one is no reason to take that for the page.
        closed => {
            let first = closed.or(shown.first().filter(|_| known.is_none()));
            shown.iter().find(|shown| shown.is_open && !no_news.contains(&shown.id)).or(first)
        }
    };
    looked_for(write, found.map(|found| found.id.as_str()), began, times);
    let Some(id) = write.id.as_ref().filter(|id| !no_news.contains(id)) else { return Late::default() };
    // What is shown nowhere yet is no less open for that.
    let is_open = of(Some(id)).is_none_or(|shown| shown.is_open);
    if is_news(page, id, is_open) {
        // What its record has named until now was told of.
        let before = page.and_then(|page| page.id.clone()).filter(|before| !no_news.contains(before));
        return Late { is_news: true, no_news: before.into_iter().chain([id.clone()]).collect() };
    }
    // It is closed beside another: that is seen once, and stays so.
    let is_over = is_news(page, id, true);
    Late { is_news: false, no_news: is_over.then(|| id.clone()).into_iter().collect() }
}

/// In how long an alert's page is to be looked for, by who looks for what shows late; `None`: nothing is open. At once where
/// one is known to stand, and its record says otherwise.
pub fn settle_in(
    write: &Write,
    page: Option<&Page>,
    no_news: &[String],
    now: Moment,
    times: &Times,
) -> Option<Duration> {
    let is_news = |id: &String| is_news(page, id, true) && !no_news.contains(id);
    if write.id.as_ref().is_some_and(is_news) { Some(Duration::ZERO) } else { write.settle_in(now, times) }
}

/// Whether the record of an alert's page is wrong about it, where `id` is known to stand, open or closed by now: beside one
/// that was joined a closed one is of no use to anybody.
fn is_news(page: Option<&Page>, id: &str, is_open: bool) -> bool {
    page.is_none_or(|page| match page.state {
        State::Failed => true,
        State::Paged => is_open && page.id.as_deref() != Some(id),
        // Whoever opens it looks for it first of all; and by what can't be read nothing is done.
        State::Wanted | State::Unreadable => false,
    })
}
