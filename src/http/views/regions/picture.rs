//! Where things are in the picture: time along the axis in shares of the width, marks of one time above one another. Pure.

use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use runbook::span::{before, between};

/// The narrowest that the time is drawn, in pixels: `.picture` in the style sheet gives it no less. Where there is more room, marks are
/// further apart.
pub(super) const LEAST_WIDTH: f64 = 690.0;
/// Half of what a mark takes: the least that a finger meets is 24 by 24.
const HALF: f64 = 12.0;
/// What the number of those takes that have no place of their own.
const BUNDLE: f64 = 44.0;
/// So many marks stand above one another; what is more is one number.
pub(super) const LANES: usize = 6;
/// From one lane to the next, and what is below and above them.
const LANE: usize = 24;
const BELOW: usize = 6;
/// Nearer to an end than this a tick has no room for its words, in shares of the width.
const EDGE: f64 = 0.08;

/// The time that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Window {
    /// The last `length`.
    pub(super) fn last(length: Duration, to: Timestamp) -> Self {
        Self { from: before(to, length), to }
    }

    pub(super) fn length(&self) -> Duration {
        between(self.from, self.to)
    }

    /// Where a time is, from 0 to 1; what is outside is at an end.
    pub(super) fn share(&self, at: Timestamp) -> f64 {
        let length = self.length().as_secs_f64();
        if length > 0.0 { (between(self.from, at).as_secs_f64() / length).min(1.0) } else { 1.0 }
    }

    /// What the axis says at its begin.
    pub(super) fn first(&self) -> String {
        self.from.strftime(self.unit().1).to_string()
    }

    /// From one tick to the next, and what is said of each.
    fn unit(&self) -> (Span, &'static str) {
        match self.length().as_secs_f64() / 86_400.0 {
            days if days > 45.0 => (Span::new().months(1), "%-d %b"),
            days if days > 10.0 => (Span::new().weeks(1), "%-d %b"),
            days if days > 1.5 => (Span::new().days(1), "%a %-d"),
            _ => (Span::new().hours(6), "%H:%M"),
        }
    }

    /// What the axis says: months, weeks, days or hours, by how much time there is.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let (step, format) = self.unit();
        let utc = self.from.to_zoned(TimeZone::UTC);
        let midnight = utc.start_of_day().unwrap_or_else(|_| utc.clone());
        let first = if step.get_months() > 0 {
            utc.first_of_month().and_then(|first| first.start_of_day()).unwrap_or(midnight)
        } else if step.get_weeks() > 0 {
            let mut week = (0..7).filter_map(|n| midnight.checked_add(Span::new().days(n)).ok());
            week.find(|day| day.weekday() == Weekday::Monday).unwrap_or(midnight)
        } else {
            midnight
        };
        // Each from the first: a step from the 31st would go on from the 30th.
        let times = (0..200_i64).map_while(|n| {
            let step = step.checked_mul(n).ok()?;
            first.checked_add(step).ok().filter(|at| at.timestamp() <= self.to)
        });
        times
            .map(|at| Tick { x: self.share(at.timestamp()), says: at.strftime(format).to_string(), at: at.timestamp() })
            .filter(|tick| tick.at >= self.from && (EDGE..=1.0 - EDGE).contains(&tick.x))
            .collect()
    }
}

/// A word on the axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub x: f64,
    pub says: String,
    at: Timestamp,
}

/// Where a region's marks are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Places {
    /// Of each mark its lane, the lowest is 0; `None`: it is in a bundle.
    pub lanes: Vec<Option<usize>>,
    /// Where numbers stand, in the highest lane.
    pub bundles: Vec<Bundle>,
    /// How many lanes there are, one at least.
    pub count: usize,
}

/// Marks for which there is no room: one number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bundle {
    /// Where it begins, from 0 to 1.
    pub x: f64,
    /// Which marks these are.
    pub marks: Vec<usize>,
}

/// Gives each mark the lowest lane in which it hides none; `spans` are from 0 to 1, and begin one after the other.
pub(super) fn place(spans: &[(f64, f64)]) -> Places {
    let all = lanes(spans, usize::MAX);
    if all.count <= LANES {
        return all;
    }
    let mut places = lanes(spans, LANES - 1);
    let unplaced: Vec<usize> = (0..spans.len()).filter(|n| places.lanes[*n].is_none()).collect();
    let furthest = LEAST_WIDTH + HALF - BUNDLE;
    for mark in unplaced {
        let left = (spans[mark].0 * LEAST_WIDTH - HALF).min(furthest);
        match places.bundles.last_mut() {
            Some(bundle) if left < bundle.x * LEAST_WIDTH + BUNDLE => bundle.marks.push(mark),
            _ => places.bundles.push(Bundle { x: left / LEAST_WIDTH, marks: vec![mark] }),
        }
    }
    places.count = LANES;
    places
}

/// The same in at most so many lanes, without bundles.
fn lanes(spans: &[(f64, f64)], most: usize) -> Places {
    let mut ends: Vec<f64> = Vec::new();
    let mut lanes = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        let left = from * LEAST_WIDTH - HALF;
        let right = (from * LEAST_WIDTH + HALF).max(to * LEAST_WIDTH);
        let lane = match ends.iter().position(|end| *end <= left) {
            Some(free) => Some(free),
            None if ends.len() < most => {
                ends.push(right);
                Some(ends.len() - 1)
            }
            None => None,
        };
        if let Some(lane) = lane {
            ends[lane] = right;
        }
        lanes.push(lane);
    }
    Places { lanes, bundles: Vec::new(), count: ends.len().max(1) }
}

/// How high so many lanes are.
pub(super) fn height(lanes: usize) -> usize {
    lanes * LANE + 2 * BELOW
}

/// The middle of a lane, from the top.
pub(super) fn middle(lane: usize, lanes: usize) -> usize {
    height(lanes) - BELOW - LANE * lane - LANE / 2
}

/// A share as attributes have it.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn window(days: u32) -> Window {
        Window::last(DAY * days, "2026-12-01T11:00:00Z".parse().unwrap())
    }

    /// A mark of no length, so many pixels from the left.
    fn spans(pixels: &[f64]) -> Vec<(f64, f64)> {
        pixels.iter().map(|x| (x / LEAST_WIDTH, x / LEAST_WIDTH)).collect()
    }

    #[test]
    fn time_is_a_share_of_the_width_and_what_is_outside_is_at_an_end() {
        let window = window(90);
        let share = |at: &str| percent(window.share(at.parse().unwrap()));
        assert_eq!(share("2026-10-17T11:00:00Z"), "50%");
        assert_eq!(share("2026-11-30T11:00:00Z"), "98.89%");
        assert_eq!((share("2025-01-01T00:00:00Z"), share("2027-01-01T00:00:00Z")), ("0%".into(), "100%".into()));
        let none = Window { from: window.to, to: window.to };
        assert_eq!((none.share(window.to), none.ticks().len()), (1.0, 0), "nothing is divided by it");
    }

    #[test]
    fn the_axis_has_months_weeks_days_or_hours() {
        let says = |window: Window| window.ticks().into_iter().map(|tick| tick.says).collect::<Vec<_>>().join(", ");
        assert_eq!(says(window(90)), "1 Oct, 1 Nov", "1 Dec is now");
        assert_eq!((window(90).first(), window(1).first()), ("2 Sep".to_owned(), "11:00".to_owned()));
        assert_eq!(says(window(30)), "9 Nov, 16 Nov, 23 Nov");
        assert_eq!(says(window(4)), "Sat 28, Sun 29, Mon 30, Tue 1");
        assert_eq!(says(window(1)), "18:00, 00:00, 06:00");
        for days in 1..400 {
            let ticks = window(days).ticks();
            assert!(ticks.len() <= 14, "{days}: {ticks:?}");
            assert!(ticks.windows(2).all(|two| (two[1].x - two[0].x) * LEAST_WIDTH > 40.0), "{days}: {ticks:?}");
        }
    }

    #[test]
    fn marks_of_one_time_stand_above_one_another() {
        let places = place(&spans(&[100.0, 101.0, 123.9, 124.0, 400.0]));
        assert_eq!(places.lanes, [Some(0), Some(1), Some(2), Some(0), Some(0)]);
        assert_eq!((places.count, places.bundles.len()), (3, 0));
        // One that lasts keeps its lane for as long.
        let long = [(0.1, 0.9), (0.5, 0.5), (0.95, 0.95)];
        assert_eq!(place(&long).lanes, [Some(0), Some(1), Some(0)]);
        assert_eq!(place(&[]).count, 1, "a line without marks is one, too");
    }

    #[test]
    fn whatever_comes_no_mark_hides_another_and_none_is_lost() {
        // Dense in the middle, sparse at the ends, and the last at the very end.
        let pixels: Vec<f64> = (0..200_i32).map(|n| 345.0 + f64::from(n - 100).powi(3) / 2900.0).collect();
        for spans in [spans(&pixels), spans(&[300.0; 40]), spans(&[LEAST_WIDTH; 9])] {
            let places = place(&spans);
            assert_eq!(places.count, LANES);
            let bundled: usize = places.bundles.iter().map(|bundle| bundle.marks.len()).sum();
            assert_eq!(bundled + places.lanes.iter().flatten().count(), spans.len());
            for lane in 0..LANES {
                let of_lane = (0..spans.len()).filter(|n| places.lanes[*n] == Some(lane));
                let at: Vec<f64> = of_lane.map(|n| spans[n].0 * LEAST_WIDTH).collect();
                assert!(at.windows(2).all(|two| two[1] - two[0] >= 2.0 * HALF), "{lane}: {at:?}");
            }
            assert!(places.lanes.iter().flatten().all(|lane| *lane < LANES - 1), "numbers have a lane of their own");
            let at: Vec<f64> = places.bundles.iter().map(|bundle| bundle.x * LEAST_WIDTH).collect();
            assert!(at.windows(2).all(|two| two[1] - two[0] >= BUNDLE), "{at:?}");
            assert!(at.iter().all(|x| *x + BUNDLE <= LEAST_WIDTH + HALF + 0.01), "{at:?}");
        }
    }

    #[test]
    fn lanes_are_counted_from_below() {
        assert_eq!((height(1), middle(0, 1)), (36, 18));
        assert_eq!((height(3), middle(0, 3), middle(2, 3)), (84, 66, 18));
    }
}
