//! Another clock against ours, from the `Date` of its owner's answers.

use jiff::{SignedDuration, Timestamp};

/// `Date` is written in whole seconds, rounded down.
const GRAIN: SignedDuration = SignedDuration::from_secs(1);

/// What must be added to their times: every answer says between which bounds it lies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Skew {
    bounds: Option<(SignedDuration, SignedDuration)>,
    /// Whether there was an answer, dated or not.
    heard: bool,
}

impl Skew {
    /// Learns from one answer: asked and answered by our clock, dated by theirs.
    pub fn observe(&mut self, asked: Timestamp, answered: Timestamp, date: Timestamp) {
        let low = asked.duration_since(date).saturating_sub(GRAIN);
        let high = answered.duration_since(date);
        let fresh = (low.min(high), high);
        self.heard = true;
        self.bounds = Some(match self.bounds {
            // Each answer narrows the bounds; where they contradict, one of the clocks was set, and the newest counts.
            Some((old_low, old_high)) if old_low.max(fresh.0) <= old_high.min(fresh.1) => {
                (old_low.max(fresh.0), old_high.min(fresh.1))
            }
            _ => fresh,
        });
    }

    /// Takes note of an answer that bore no date.
    pub fn undated(&mut self) {
        self.heard = true;
    }

    /// What their clock says when ours says this; `None` before the first answer. Clocks that may agree are taken to
    /// agree, and so is one that nobody tells of.
    pub fn to_theirs(self, ours: Timestamp) -> Option<Timestamp> {
        self.heard.then(|| ours.checked_sub(self.offset()).unwrap_or(ours))
    }

    fn offset(self) -> SignedDuration {
        match self.bounds {
            Some((low, high)) if low > SignedDuration::ZERO || high < SignedDuration::ZERO => {
                low.saturating_add(high.saturating_sub(low) / 2)
            }
            _ => SignedDuration::ZERO,
        }
    }

    /// How far their clock is ahead of ours for certain, behind it where negative; zero where the clocks may agree, `None`
    /// before the first answer.
    pub fn ahead(self) -> Option<SignedDuration> {
        let (low, high) = self.bounds?;
        Some(if low > SignedDuration::ZERO {
            -low
        } else if high < SignedDuration::ZERO {
            -high
        } else {
            SignedDuration::ZERO
        })
    }

    /// The same instant by our clock. Clocks that may agree are taken to agree.
    pub fn to_ours(self, theirs: Timestamp) -> Timestamp {
        theirs.saturating_add(self.offset()).unwrap_or(theirs)
    }

    /// The earliest that this can have been by our clock. Clocks that may agree are taken to agree.
    pub fn to_ours_at_least(self, theirs: Timestamp) -> Timestamp {
        let offset = match self.bounds {
            Some((low, high)) if low > SignedDuration::ZERO || high < SignedDuration::ZERO => low,
            _ => SignedDuration::ZERO,
        };
        theirs.saturating_add(offset).unwrap_or(theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn clocks_that_may_agree_are_left_alone() {
        let mut skew = Skew::default();
        skew.observe(at("2026-11-22T22:01:43.7Z"), at("2026-11-22T22:01:43.8Z"), at("2026-11-22T22:01:43Z"));
        assert_eq!(skew.to_ours(at("2026-11-22T20:00:00Z")), at("2026-11-22T20:00:00Z"));
    }

    #[test]
    fn a_clock_that_is_off_is_set_right_within_a_second_and_better_with_every_answer() {
        let mut skew = Skew::default();
        // Theirs is ahead by 600.3 s.
        for ms in [0_i64, 250, 500, 650, 720] {
            let ours = at("2026-11-22T22:00:00Z") + SignedDuration::from_millis(ms);
            let theirs = ours + SignedDuration::from_millis(600_300);
            let date = Timestamp::from_second(theirs.as_second()).unwrap();
            skew.observe(ours, ours + SignedDuration::from_millis(5), date);
        }
        let error = skew.to_ours(at("2026-11-22T22:10:00.3Z")).duration_since(at("2026-11-22T22:00:00Z")).abs();
        assert!(error < SignedDuration::from_millis(50), "{error:?}");
    }

    #[test]
    fn what_is_certainly_not_earlier_errs_to_the_early_side_alone() {
        let mut skew = Skew::default();
        let now = at("2026-11-22T22:00:00Z");
        assert_eq!(skew.to_ours_at_least(now), now);
        // Theirs is ahead by 300.3 s, of which one answer in whole seconds tells no more than 299 to 300.
        skew.observe(now, now, at("2026-11-22T22:05:00Z"));
        let theirs = at("2026-11-22T22:05:00.3Z");
        assert_eq!(skew.to_ours_at_least(theirs), at("2026-11-22T21:59:59.3Z"));
        assert!(skew.to_ours(theirs) > skew.to_ours_at_least(theirs));
    }

    #[test]
    fn how_far_ahead_is_what_is_certain() {
        let mut skew = Skew::default();
        let now = at("2026-11-22T22:00:00Z");
        assert_eq!(skew.ahead(), None);
        skew.observe(now, now + SignedDuration::from_millis(300), at("2026-11-22T22:00:00Z"));
        assert_eq!(skew.ahead(), Some(SignedDuration::ZERO));
        skew.observe(now, now, at("2026-11-22T22:10:00Z"));
        assert_eq!(skew.ahead(), Some(SignedDuration::from_secs(600)));
        skew.observe(now, now, at("2026-11-22T21:50:00Z"));
        assert_eq!(skew.ahead(), Some(SignedDuration::from_secs(-599)));
    }

    #[test]
    fn what_their_clock_says_is_known_once_they_have_answered_dated_or_not() {
        let mut skew = Skew::default();
        let now = at("2026-11-22T22:00:00Z");
        assert_eq!(skew.to_theirs(now), None);
        skew.undated();
        assert_eq!(skew.to_theirs(now), Some(now));
        skew.observe(now, now, at("2026-11-22T21:44:00Z"));
        let theirs = skew.to_theirs(now).unwrap();
        assert_eq!(skew.to_ours(theirs), now);
        assert!(theirs.duration_since(at("2026-11-22T21:44:00Z")).abs() <= SignedDuration::from_secs(1));
    }

    #[test]
    fn a_clock_that_is_set_anew_is_followed() {
        let mut skew = Skew::default();
        let now = at("2026-11-22T22:00:00Z");
        skew.observe(now, now, at("2026-11-22T23:00:00Z"));
        skew.observe(now, now, at("2026-11-22T22:00:00Z"));
        assert_eq!(skew.to_ours(now), now);
    }
}
