//! Sees that somebody acknowledges the page. lifecycle.md#the-page: an edit raises no event and is not seen, so whoever
//! follows the alert is told by a short note.

use std::time::Duration;

use jiff::Timestamp;

use super::{Acknowledged, Came, Ended, Look, PageNow, Say, Step, What};
use crate::diagnosis::note::short;
use crate::life::PageWatch;
use crate::span::{after, before, between};

/// How long a page is watched: after a day somebody has taken it, whatever PagerDuty shows.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Looks within `PAGE_ACK_WAIT`; with 10 minutes that is one every 15 s.
const LOOKS: u32 = 40;
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(15);
/// Once its silence was said, or where PagerDuty doesn't take a note, a page is looked at so much less often.
const SLOWER: u32 = 4;

impl PageWatch {
    /// The watch over a page that was opened, or joined, at `since`. It is first looked at a moment later.
    pub fn new(name: &str, run_id: &str, page_id: &str, page_url: &str, since: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            run_id: run_id.to_owned(),
            page_id: page_id.to_owned(),
            page_url: page_url.to_owned(),
            since,
            since_there: None,
            said: false,
            due: after(since, SOONEST),
        }
    }

    /// How long it has been open. Our clock may have been set forward over a restart, and nobody is to be called careless
    /// for that: the smaller age counts.
    fn age(&self, now: Timestamp, there: Option<Timestamp>) -> Duration {
        let ours = between(self.since, now);
        match (self.since_there, there) {
            (Some(since), Some(there)) => ours.min(between(since, there)),
            // It has not answered since the start: nobody knows yet, and nothing could be written there.
            (Some(_), None) => Duration::ZERO,
            (None, _) => ours,
        }
    }
}

pub(super) fn step(watch: &mut PageWatch, look: &Look<'_>) -> Step {
    let now = look.now.ours;
    if now < watch.due {
        return Step::Wait(watch.due);
    }
    let alert = look.known.alert;
    if alert.resolved_at.is_some() {
        match look.answers.incident(watch.due) {
            None => return Step::Do(What::AskIncident),
            Some(incident) if incident.is_over(alert) => return Step::Over(Ended::Done),
            Some(_) => {}
        }
    }
    let read = What::ReadPage(watch.page_id.clone());
    let Some((began, Came::Page(page))) = look.answers.of(&read, watch.due) else { return Step::Do(read) };
    match page {
        PageNow::Resolved => return Step::Over(Ended::Done),
        PageNow::Open { created_at, acknowledged } => {
            // What was joined was open long before.
            if watch.since_there.is_none()
                && let Some(there) = look.now.theirs
            {
                let since = before(there, between(watch.since, now));
                watch.since_there = Some(since.max(created_at.unwrap_or(since)));
            }
            if let Some(who) = acknowledged {
                return tell_who(watch, who, look);
            }
        }
        PageNow::Unknown => {}
    }
    let waited = watch.age(now, look.now.theirs);
    if waited >= GIVE_UP_AFTER {
        return Step::Over(Ended::Lost("nobody acknowledged the page in 24 h: stopped watching it".to_owned()));
    }
    let ack_wait = look.policy.ack_wait;
    if !watch.said && waited >= ack_wait {
        // The webhook that says that the alert is over may be late.
        match look.answers.incident(began) {
            None => return Step::Do(What::AskIncident),
            Some(incident) if incident.is_over(alert) => {}
            Some(_) => {
                let say = tell_silence(watch, waited, look);
                match look.answers.is_done(&say, began) {
                    None => return Step::Do(say),
                    Some(is_done) => watch.said = is_done,
                }
            }
        }
    }
    let every = (ack_wait / LOOKS).clamp(SOONEST, LATEST);
    let wait = match (watch.said, ack_wait.saturating_sub(waited)) {
        (true, _) => every * SLOWER,
        (false, Duration::ZERO) => every,
        (false, left) => every.min(left),
    };
    Step::later(&mut watch.due, now, wait)
}

fn tell_silence(watch: &PageWatch, waited: Duration, look: &Look<'_>) -> What {
    let region = &look.known.alert.region;
    What::SaySilence(Say {
        key: format!("unacknowledged:{}:{}", watch.page_id, watch.name),
        text: short::still_unacknowledged(region, &watch.page_url, waited, look.known.run_url),
    })
}

fn tell_who(watch: &mut PageWatch, who: &Acknowledged, look: &Look<'_>) -> Step {
    let now = look.now.ours;
    let after_so_long = watch.age(who.at, who.there.or(look.now.theirs));
    let say = Say {
        key: format!("acknowledged:{}:{}", watch.page_id, watch.name),
        text: short::acknowledged(
            &look.known.alert.region,
            &watch.page_url,
            &who.by,
            after_so_long,
            look.known.run_url,
        ),
    };
    let what = What::Acknowledge { page_id: watch.page_id.clone(), at: who.at, by: who.by.clone(), say };
    match look.answers.is_done(&what, watch.due) {
        None => Step::Do(what),
        Some(true) => Step::Over(Ended::Done),
        Some(false) if watch.age(now, look.now.theirs) >= GIVE_UP_AFTER => {
            Step::Over(Ended::Lost("who acknowledged the page could not be said in 24 h".to_owned()))
        }
        Some(false) => Step::later(&mut watch.due, now, LATEST * SLOWER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// lifecycle.md#the-page: nobody has acknowledged it within `PAGE_ACK_WAIT`, by two clocks.
    #[test]
    fn of_two_clocks_the_one_counts_by_which_less_time_has_passed() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let there = |second: i64| at(5000 + second);
        let mut watch = PageWatch { since_there: Some(there(0)), ..PageWatch::new("Q1", "", "", "", at(0)) };
        let seconds = Duration::from_secs;
        assert_eq!(watch.age(at(60), Some(there(61))), seconds(60));
        assert_eq!(watch.age(at(960), Some(there(60))), seconds(60), "ours was set forth");
        assert_eq!(watch.age(at(60), Some(there(960))), seconds(60), "theirs was");
        assert_eq!(watch.age(at(60), Some(there(-60))), seconds(0));
        assert_eq!(watch.age(at(960), None), seconds(0), "PagerDuty has not answered since the start");
        watch.since_there = None;
        assert_eq!(watch.age(at(60), Some(there(0))), seconds(60), "before the first look");
    }
}
