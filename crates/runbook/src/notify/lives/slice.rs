//! What is searched of telling alone, and the faults that are planted.

use std::time::Duration;

use super::{Budget, Elsewhere, Heard, Planted, Tale};
use crate::notify::told::TIMES;
use crate::search::{self, Way, say, search_nearest};

/// What may yet come that is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct News {
    /// Notes on an alert.
    notes: u8,
    /// Edits of a diagnosis note.
    edits: u8,
    /// Alerts that are paged, all with one page.
    pages: u8,
    /// The first alert is merged into the second.
    merges: u8,
    ends: u8,
}

/// Two alerts, as far as others are told of them.
#[derive(Clone, Debug, Hash)]
struct Telling {
    news: News,
    said: u8,
    heard: Heard,
    elsewhere: Elsewhere,
}

type Ways<'a> = Vec<Way<'a, Telling>>;

/// A step that may be taken.
fn way<'a>(name: &'static str, does: impl FnOnce(&mut Telling) + 'a) -> Way<'a, Telling> {
    (name, Box::new(does))
}

impl Telling {
    fn new(planted: Planted, alerts: usize, news: News, may: Budget) -> Self {
        let of = |n: usize| (n < alerts).then(|| Tale { incident: n, ..Tale::default() });
        let heard = Heard { alerts: [of(0), of(1)], names: [Some(0), Some(1)], ..Heard::default() };
        Self { news, said: 0, heard, elsewhere: Elsewhere::new(planted, may) }
    }

    fn comes(&self) -> Ways<'_> {
        let mut ways = Ways::new();
        let tales = || self.heard.alerts.iter().enumerate().filter_map(|(slot, tale)| Some((slot, tale.as_ref()?)));
        for (slot, tale) in tales() {
            if self.news.notes > 0 {
                ways.push(way("a note is written", move |next| {
                    (next.news.notes, next.said) = (next.news.notes - 1, next.said + 1);
                    let said = format!("note:{}", next.said);
                    next.heard.alerts[slot].iter_mut().for_each(|tale| tale.said.push(said.clone()));
                }));
            }
            if tale.said.is_empty() {
                continue;
            }
            if self.news.edits > 0 {
                ways.push(way("a note is edited", move |next| {
                    next.news.edits -= 1;
                    next.heard.alerts[slot].iter_mut().for_each(|tale| tale.edits += 1);
                }));
            }
            if self.news.pages > 0 && !self.heard.pages[0].contains(&tale.incident) {
                let incident = tale.incident;
                ways.push(way("it is paged", move |next| {
                    next.news.pages -= 1;
                    next.heard.pages[0].push(incident);
                }));
            }
            if self.news.ends > 0 && !tale.is_over {
                ways.push(way("it is over", move |next| {
                    next.news.ends -= 1;
                    next.heard.alerts[slot].iter_mut().for_each(|tale| tale.is_over = true);
                }));
            }
        }
        if self.news.merges > 0 && tales().count() == 2 {
            ways.push(way("merged", |next| {
                next.news.merges -= 1;
                next.elsewhere.merged(0);
                next.heard.names[0] = Some(1);
                let theirs = next.heard.alerts[0].take().unwrap_or_default();
                for tale in next.heard.alerts[1].iter_mut() {
                    tale.said.extend(theirs.said.iter().cloned());
                    // In the order in which it was said.
                    tale.said.sort();
                    tale.edits = tale.edits.max(theirs.edits);
                }
            }));
        }
        ways
    }

    fn tells(&self) -> Ways<'_> {
        let ways = self.elsewhere.ways(&self.heard).into_iter();
        ways.map(|(name, does)| way(name, move |next: &mut Self| does(&mut next.elsewhere))).collect()
    }

    fn with(&self, way: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        way(&mut next);
        // What is of no importance any more is made alike.
        next.elsewhere.pass(Duration::ZERO);
        next
    }

    fn tick(&self) -> Option<Self> {
        let wait = self.elsewhere.wakes_in(&self.heard).filter(|_| !self.elsewhere.is_busy())?;
        Some(self.with(|next| next.elsewhere.pass(wait)))
    }
}

impl search::World for Telling {
    fn steps(&self) -> Vec<(&'static str, Self)> {
        let ways = self.comes().into_iter().chain(self.tells());
        let steps = ways.map(|(name, way)| (name, self.with(way)));
        steps.chain(self.tick().map(|next| ("time passes", next))).collect()
    }

    fn broken(&self) -> Option<String> {
        self.elsewhere.broken().map(str::to_owned)
    }

    fn is_at_rest(&self) -> bool {
        self.elsewhere.is_at_rest(&self.heard)
    }

    fn broken_at_rest(&self) -> Option<String> {
        self.elsewhere.broken_at_rest(&self.heard)
    }

    fn calm(&self) -> Self {
        let first = self.tells().into_iter().next().map(|(_, way)| self.with(way));
        first.or_else(|| self.tick()).unwrap_or_else(|| self.clone())
    }
}

const NO_NEWS: News = News { notes: 0, edits: 0, pages: 0, merges: 0, ends: 0 };
const NOTHING: Budget = Budget { crashes: 0, lost: 0, limits: 0, refusals: 0 };
/// Only what is nearer is searched whole where there are more states than so many.
const NEAR: usize = 10_000;

fn every_life(what: &str, alerts: usize, news: News, may: Budget, most: usize) {
    let telling = Telling::new(Planted::None, alerts, news, may);
    let seen = search_nearest(telling, most).unwrap_or_else(|e| panic!("{what}: {e:#?}"));
    let all = if seen.states < most { "all" } else { "the nearest" };
    say(&format!("told, {what}, {all}"), &seen);
    assert!(seen.states > 200, "{what}: {seen:?}");
}

fn lives(most: usize) {
    let thread = News { notes: 2, edits: 1, ..NO_NEWS };
    every_life("killed, lost, late", 1, thread, Budget { crashes: 1, lost: 1, ..NOTHING }, most);
    every_life("429, refused, lost", 1, thread, Budget { lost: 1, limits: 1, refusals: 1, ..NOTHING }, most);
    let paged = News { notes: 2, pages: 2, ends: 1, ..NO_NEWS };
    every_life("paged and over, killed, lost", 2, paged, Budget { crashes: 1, lost: 1, ..NOTHING }, most);
    let merged = News { notes: 3, merges: 1, ..NO_NEWS };
    every_life("merged, killed, lost", 2, merged, Budget { crashes: 1, lost: 1, ..NOTHING }, most);
    every_life(
        "merged and paged, 429, refused",
        2,
        News { pages: 1, ends: 1, ..merged },
        Budget { limits: 1, refusals: 1, ..NOTHING },
        most,
    );
}

/// Contract 9: "Each exactly once over crashes and lost answers".
#[test]
fn in_every_life_each_is_told_once_and_says_the_last() {
    lives(NEAR);
}

#[test]
#[ignore = "scripts/check-release runs it"]
fn in_every_life_whole_each_is_told_once_and_says_the_last() {
    lives(2_000_000);
}

#[test]
fn a_fault_that_is_planted_in_telling_is_found() {
    let thread = News { notes: 2, edits: 1, ..NO_NEWS };
    let lost = Budget { lost: 1, ..NOTHING };
    for (planted, alerts, news, may, why) in [
        (Planted::SentBlindly, 1, thread, lost, "twice"),
        (Planted::CrashForgotten, 1, thread, Budget { crashes: 1, ..NOTHING }, "twice"),
        (Planted::EditedInDoubt, 1, News { edits: 2, ..thread }, lost, "is told as"),
        (Planted::OpenerForgotten, 2, News { merges: 1, ..thread }, NOTHING, "told twice"),
        (Planted::LimitEnds, 1, thread, Budget { limits: 1, ..NOTHING }, "is told as None"),
    ] {
        let telling = Telling::new(planted, alerts, news, may);
        let fault = search_nearest(telling, 200_000).err().unwrap_or_else(|| panic!("{planted:?} is not found: {why}"));
        println!("{planted:?}: {} after {} states: {}", fault.why, fault.states, fault.trace.join(", "));
        assert!(fault.why.contains(why), "{planted:?}: {fault:#?}");
    }
}

#[test]
fn times_are_what_the_protocol_needs() {
    assert!(TIMES.looks.iter().all(|look| *look >= TIMES.read_lag));
}
