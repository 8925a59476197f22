//! Every life of the pages of two alerts of one region, each wanted automatically or by a person's word: crashes, frozen
//! workers, lost answers, pages that open late, lists that lag, people who resolve a page, in every order.

mod moves;
mod passing;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::opening::{Other, Page, Shown, State};
use super::{Moment, Times, Write};
use crate::search::{self, search};

/// Few and short, so that few different times exist; their order is that of the real ones.
const TIMES: Times = Times { read_lag: seconds(1), longest_write: seconds(2), looks: &[seconds(3), seconds(6)] };
/// How long after it was sent a page may be opened late: less than the last look.
const LATE: Duration = seconds(5);
/// What lies further back makes no difference.
const LONG_AGO: SignedDuration = SignedDuration::from_secs(8);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn now() -> Moment {
    Moment { ours: Timestamp::UNIX_EPOCH, theirs: None }
}

/// A fault that is planted, which the search must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Planted {
    None,
    /// A page is sent again without a look.
    SentBlindly,
    /// Who opens the region's page asks for nobody else's.
    RightIgnored,
    /// What may yet open is forgotten once nobody was paged, as far as is known.
    DoubtForgotten,
    /// A doubt ends by the clock, without a look.
    EndedByClock,
    /// One that was cut off is taken for one that has not sent.
    CrashForgotten,
    /// A look at another's page counts, whatever has become of that since.
    OldLookCounts,
    /// An alert has news of one late page only, whichever that is.
    ToldOnce,
    /// What was told of is news again.
    ToldForgotten,
    /// A late answer brings back the page that another has followed.
    MovedBack,
}

/// An incident that was opened, whose number is its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Incident {
    alert: usize,
    /// Nobody had asked for it.
    automatic: bool,
    is_open: bool,
    /// Lists do not show it before, at the latest.
    lags_until: Option<Timestamp>,
    /// How often people were told that this is the alert's page.
    told: u8,
}

/// What came of a page that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Came {
    Nothing,
    Opened(usize),
    /// One with its key is open.
    KeyTaken,
}

/// A page on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Send {
    attempt: u32,
    automatic: bool,
    /// It ends by then, if only without an answer.
    until: Timestamp,
    came: Came,
}

/// Whoever works on an alert's page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Worker {
    /// Has seen the attempt, and looked then: no page is there that could be its own, or be joined.
    Looked {
        attempt: u32,
        began: Moment,
        looked: Vec<Other>,
    },
    /// Has to look what another has opened.
    LooksAt {
        attempt: u32,
        began: Moment,
        looked: Vec<Other>,
        other: Box<Other>,
    },
    Sends(Send),
    /// Knows the page, which is another's where it is `joined`.
    Knows {
        id: usize,
        joined: bool,
    },
    /// Has given its claim back, for what another is at.
    Waits,
}

/// What is recorded of an alert, and who works on that.
#[derive(Clone, Debug, Hash)]
struct Alert {
    write: Write,
    page: Option<Page>,
    by_hand: bool,
    automatic: bool,
    holds_right: bool,
    /// The pages that are no news any more.
    no_news: Vec<String>,
    worker: Option<Worker>,
    /// One that was frozen while it sent, whose claim another has.
    frozen: Option<Send>,
    /// A look for what shows late: when it began, and what it shows.
    look: Option<(Moment, Vec<Shown>)>,
    /// How often it may yet be wanted automatically.
    may_want: u8,
    /// How many pages were handed in that could not be seen in time.
    unseen: u32,
}

/// How often each thing may yet happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    crashes: u8,
    lost: u8,
    late: u8,
    failed: u8,
    /// Pages that are given up, or held.
    ends: u8,
    /// Persons who ask for a page.
    hands: u8,
    /// Pages that people resolve.
    closed: u8,
}

/// All times are relative: it is always [`now`].
#[derive(Clone, Debug, Hash)]
struct Pages {
    planted: Planted,
    alerts: [Alert; 2],
    incidents: Vec<Incident>,
    /// Those that may open late: of which alert, automatic or not, and until when.
    late: Vec<(usize, bool, Timestamp)>,
    /// How many automatic pages an hour may have: no hour ends here.
    most: u32,
    may: Budget,
}

type Steps = Vec<(&'static str, Pages)>;

impl Pages {
    fn new(planted: Planted, most: u32, may: Budget) -> Self {
        let alert = Alert {
            write: Write::default(),
            page: None,
            by_hand: false,
            automatic: false,
            holds_right: false,
            no_news: Vec::new(),
            worker: None,
            frozen: None,
            look: None,
            may_want: 1,
            unseen: 0,
        };
        Self { planted, alerts: [alert.clone(), alert], incidents: Vec::new(), late: Vec::new(), most, may }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        change(&mut next);
        next
    }

    fn state(&self, alert: usize) -> Option<State> {
        self.alerts[alert].page.as_ref().map(|page| page.state)
    }

    fn of(&self, alert: usize) -> impl Iterator<Item = (usize, &Incident)> {
        self.incidents.iter().enumerate().filter(move |(_, incident)| incident.alert == alert)
    }
}

impl search::World for Pages {
    fn steps(&self) -> Steps {
        if let Some(next) = self.must_happen() {
            return vec![next];
        }
        let mut steps = self.asks_for_pages();
        for alert in 0..self.alerts.len() {
            steps.extend(self.works(alert));
            steps.extend(self.thaws(alert));
            steps.extend(self.looks(alert));
            steps.extend(self.crashes(alert));
        }
        steps.extend(self.shows());
        steps.extend(self.opens_late());
        steps.extend(self.closed());
        steps.extend(self.tick().map(|next| ("time passes", next)));
        steps.iter_mut().for_each(|(_, next)| next.follows(self));
        steps
    }

    fn broken(&self) -> Option<String> {
        let opened = |alert: usize| self.of(alert).any(|(_, incident)| incident.automatic);
        let automatic = self.incidents.iter().filter(|incident| incident.is_open && incident.automatic).count();
        if automatic > 1 {
            return Some(format!("{automatic} pages of the region are open that nobody asked for"));
        }
        let used = (0..self.alerts.len()).filter(|alert| opened(*alert)).count();
        if used > self.most as usize {
            return Some(format!("{used} automatic pages, where {} may be", self.most));
        }
        for (place, alert) in self.alerts.iter().enumerate() {
            let opened = u32::try_from(self.of(place).count()).unwrap_or(u32::MAX);
            if self.of(place).any(|(_, incident)| incident.told > 1) {
                return Some("a page is told of twice".to_owned());
            }
            if opened > 1 + alert.unseen {
                return Some(format!("{opened} pages of one alert, {} of them late", alert.unseen));
            }
            let is_on_its_way = |send: &Send| send.came == Came::Nothing;
            let on_its_way = self.late.iter().any(|(of, ..)| *of == place)
                || alert.frozen.as_ref().is_some_and(is_on_its_way)
                || matches!(&alert.worker, Some(Worker::Sends(send)) if is_on_its_way(send));
            if on_its_way && !alert.write.is_in_doubt() {
                return Some("a page is on its way, and no row says so".to_owned());
            }
        }
        None
    }

    fn is_at_rest(&self) -> bool {
        let rests = |(place, alert): (usize, &Alert)| {
            self.state(place) != Some(State::Wanted)
                && alert.worker.is_none()
                && alert.frozen.is_none()
                && alert.look.is_none()
                && self.settle_in(place).is_none()
        };
        self.alerts.iter().enumerate().all(rests)
            && self.late.is_empty()
            && self.incidents.iter().all(|incident| incident.lags_until.is_none())
    }

    fn broken_at_rest(&self) -> Option<String> {
        for (place, alert) in self.alerts.iter().enumerate() {
            let Some((id, _)) = self.of(place).find(|(_, incident)| incident.is_open) else { continue };
            let known = alert.page.as_ref().and_then(|page| page.id.clone());
            if known != Some(id.to_string()) {
                return Some(format!("the page {id} of an alert is open, and its record is {:?}", alert.page));
            }
        }
        None
    }

    fn calm(&self) -> Self {
        let first = |steps: Steps| steps.into_iter().next().map(|(_, next)| next);
        let alerts = || 0..self.alerts.len();
        let waits = |alert: &usize| self.alerts[*alert].worker == Some(Worker::Waits);
        self.must_happen()
            .map(|(_, next)| next)
            .or_else(|| first(self.shows()))
            .or_else(|| first(self.opens_late()))
            .or_else(|| alerts().find_map(|alert| first(self.thaws(alert))))
            .or_else(|| alerts().filter(|alert| !waits(alert)).find_map(|alert| first(self.works(alert))))
            .or_else(|| alerts().find_map(|alert| first(self.looks(alert))))
            .or_else(|| self.tick())
            // Each looks again in turn: the one that the other waits for is among them.
            .or_else(|| {
                alerts().filter(|alert| self.alerts[*alert].holds_right).find_map(|alert| first(self.works(alert)))
            })
            .or_else(|| alerts().find_map(|alert| first(self.works(alert))))
            .map(|mut next| {
                next.follows(self);
                next
            })
            .unwrap_or_else(|| self.clone())
    }
}

const NOTHING: Budget = Budget { crashes: 0, lost: 0, late: 0, failed: 0, ends: 0, hands: 0, closed: 0 };

fn every_life(most: u32, may: Budget) {
    let seen = search(Pages::new(Planted::None, most, may)).unwrap_or_else(|fault| panic!("{fault:#?}"));
    search::say(&format!("pages, at most {most}, {may:?}"), &seen);
    assert!(seen.states > 1000, "{seen:?}");
}

/// lifecycle.md#the-page: an alert has one page, ever, and of several of one region one opens it.
#[test]
fn in_every_life_a_region_has_one_page_and_its_record_says_so() {
    every_life(2, Budget { lost: 1, late: 1, ends: 1, ..NOTHING });
    every_life(1, Budget { lost: 1, late: 1, closed: 1, ..NOTHING });
    every_life(2, Budget { crashes: 1, closed: 1, ..NOTHING });
    every_life(2, Budget { lost: 1, late: 1, hands: 1, ends: 1, ..NOTHING });
    every_life(2, Budget { crashes: 1, late: 1, failed: 1, ..NOTHING });
    every_life(2, Budget { lost: 2, late: 2, ends: 1, closed: 2, ..NOTHING });
}

/// Millions of states.
#[test]
#[ignore = "scripts/check-release runs it"]
fn in_every_life_with_more_faults_a_region_has_one_page_and_its_record_says_so() {
    every_life(2, Budget { crashes: 1, lost: 1, late: 1, ends: 1, closed: 1, ..NOTHING });
    every_life(1, Budget { crashes: 1, lost: 1, late: 1, hands: 1, ends: 1, ..NOTHING });
    every_life(2, Budget { crashes: 1, lost: 2, late: 2, closed: 2, ..NOTHING });
}

#[test]
fn a_fault_that_is_planted_in_a_page_is_found() {
    for (planted, may) in [
        (Planted::SentBlindly, Budget { lost: 1, closed: 1, ..NOTHING }),
        (Planted::RightIgnored, NOTHING),
        (Planted::DoubtForgotten, Budget { lost: 1, late: 1, ends: 1, ..NOTHING }),
        (Planted::EndedByClock, Budget { lost: 1, late: 1, ends: 1, ..NOTHING }),
        (Planted::CrashForgotten, Budget { crashes: 1, late: 1, ..NOTHING }),
        (Planted::OldLookCounts, Budget { lost: 1, late: 1, ends: 1, ..NOTHING }),
        (Planted::ToldOnce, Budget { lost: 2, late: 2, ends: 1, closed: 1, ..NOTHING }),
        (Planted::ToldForgotten, Budget { lost: 2, late: 2, ends: 1, closed: 1, ..NOTHING }),
        (Planted::MovedBack, Budget { crashes: 1, lost: 1, late: 1, ends: 1, closed: 1, ..NOTHING }),
    ] {
        let fault = search(Pages::new(planted, 2, may)).err().unwrap_or_else(|| panic!("{planted:?} is not found"));
        println!("{planted:?}: {} after {} states: {}", fault.why, fault.states, fault.trace.join(", "));
        assert!(fault.trace.len() < 30, "{planted:?}: {fault:#?}");
    }
}
