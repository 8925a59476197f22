//! A search over one message: whatever instant a worker dies in, whatever answer is lost, and however late a request is taken within
//! the lag, it stands once, and its last text with it. The protocol alone; the same is held against real sockets in `tests/`.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::told::{Step, TIMES, Told};
use crate::writes::Outcome;

/// Texts that it has one after the other, as the alert goes on.
const TEXTS: [&str; 2] = ["first", "last"];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sent {
    Post(&'static str),
    Edit(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    told: Told,
    now: i64,
    /// Which text is true by now.
    text: usize,
    /// What stands on the other side.
    stands: Vec<&'static str>,
    /// Taken by the other side a little later: until when at the latest.
    late: Vec<(i64, Sent)>,
    crashes: u8,
    lost: u8,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

impl World {
    fn take(&mut self, sent: Sent) {
        match sent {
            Sent::Post(text) => self.stands.push(text),
            Sent::Edit(text) => {
                if let Some(first) = self.stands.first_mut() {
                    *first = text;
                }
            }
        }
    }

    /// What is late is taken at any time until it is due.
    fn settle(mut self) -> Vec<Self> {
        let mut all = Vec::new();
        let due = self.late.iter().position(|(by, _)| *by <= self.now);
        if let Some(n) = due {
            let (_, sent) = self.late.remove(n);
            self.take(sent);
            return self.settle();
        }
        for n in 0..self.late.len() {
            let mut sooner = self.clone();
            let (_, sent) = sooner.late.remove(n);
            sooner.take(sent);
            all.push(sooner);
        }
        all.push(self);
        all
    }

    /// All that may come of one step of the worker.
    fn next(&self) -> Vec<Self> {
        let wanted = TEXTS[self.text];
        let now = at(self.now);
        let mut all = Vec::new();
        if self.text + 1 < TEXTS.len() {
            all.push(Self { text: self.text + 1, ..self.clone() });
        }
        match self.told.next(wanted, true, at(0), now) {
            Step::Nothing => {}
            Step::GiveUp => panic!("given up after {} s: {self:?}", self.now),
            Step::Wait(until) => {
                let mut later = self.clone();
                later.now += until.duration_since(now).as_secs().max(1);
                all.push(later);
            }
            Step::Look => {
                let mut looked = self.clone();
                let found = (!looked.stands.is_empty()).then_some("1");
                looked.told.looked(found, now);
                all.push(looked);
            }
            Step::Post => {
                let mut begun = self.clone();
                let attempt = begun.told.begin(wanted, begun.told.write.attempt, now).unwrap();
                begun.ends(Sent::Post(wanted), &mut all, |told, outcome, now| told.ended(attempt, outcome, now, None));
            }
            Step::Edit => {
                let mut begun = self.clone();
                begun.told.begin_edit(wanted, now);
                begun.ends(Sent::Edit(wanted), &mut all, |told, outcome, now| told.edited(outcome, now, None));
            }
        }
        all.into_iter().flat_map(Self::settle).collect()
    }

    /// The intent is recorded: the request is done, not done, or nobody knows, and who sent it may be gone.
    fn ends(self, sent: Sent, all: &mut Vec<Self>, record: impl Fn(&mut Told, &Outcome, Timestamp)) {
        let recorded = |mut world: Self, outcome: Outcome| {
            let now = at(world.now);
            record(&mut world.told, &outcome, now);
            world
        };
        let done = |mut world: Self| {
            world.take(sent.clone());
            world
        };
        all.push(recorded(done(self.clone()), Outcome::Done("1".into())));
        // Late is later than this moment, and sooner than a look that counts.
        let later = |mut world: Self| {
            world.late.push((world.now + TIMES.read_lag.as_secs() as i64 - 1, sent.clone()));
            world
        };
        if self.lost > 0 {
            let lost = Self { lost: self.lost - 1, ..self.clone() };
            let unknown = || Outcome::Ambiguous("lost".into());
            all.push(recorded(lost.clone(), Outcome::NotSent("no".into())));
            all.extend([lost.clone(), done(lost.clone()), later(lost)].map(|world| recorded(world, unknown())));
        }
        if self.crashes > 0 {
            let cut_off = Self { crashes: self.crashes - 1, ..self };
            all.extend([cut_off.clone(), done(cut_off.clone()), later(cut_off)].map(|mut world| {
                world.told.take_over(at(world.now));
                world
            }));
        }
    }
}

/// Every state that can be reached; how many.
fn search(first: World) -> usize {
    let mut seen: HashSet<World> = HashSet::new();
    let mut open = vec![first];
    while let Some(world) = open.pop() {
        if !seen.insert(world.clone()) {
            continue;
        }
        assert!(world.stands.len() <= 1, "it stands twice: {world:#?}");
        let next = world.next();
        let is_at_rest = world.late.is_empty() && next.is_empty();
        assert!(!is_at_rest || world.stands == [TEXTS[TEXTS.len() - 1]], "at rest, and not told: {world:#?}");
        open.extend(next);
    }
    seen.len()
}

fn world(crashes: u8, lost: u8) -> World {
    World { told: Told::default(), now: 0, text: 0, stands: Vec::new(), late: Vec::new(), crashes, lost }
}

/// Contract 9: "Each exactly once over crashes and lost answers".
#[test]
fn a_message_stands_once_and_says_the_last_whatever_is_lost_late_or_cut_off() {
    let states = search(world(2, 2));
    println!("{states} states");
    assert!(states > 1000, "{states}");
}

/// The search finds what it is for.
#[test]
#[should_panic(expected = "it stands twice")]
fn the_search_finds_a_post_that_is_sent_again_without_a_look() {
    let mut hasty = world(0, 0);
    hasty.stands.push("first");
    hasty.told.write.attempt = 1;
    search(hasty);
}

#[test]
fn times_are_what_the_protocol_needs() {
    let lag = SignedDuration::try_from(TIMES.read_lag).unwrap();
    assert!(TIMES.looks.iter().all(|look| SignedDuration::try_from(*look).unwrap() >= lag));
}
