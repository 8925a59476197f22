//! A time as views show it: for machines and in UTC, and how long ago it was. `assets/tick.js` lets the age go on, and shows
//! the time of day in the reader's own zone where they have chosen so.

use std::time::Duration;

use jiff::Timestamp;

use super::words;
use runbook::span::between;

/// A time, and its age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// For `<time datetime>`.
    pub iso: String,
    /// The time of day, in UTC.
    pub clock: String,
    /// How long ago it was.
    pub age: String,
}

impl Moment {
    /// As it is seen at `now`.
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { iso: iso(at), clock: format!("{} UTC", words::clock(at)), age: age(between(at, now)) }
    }
}

/// A time for `<time datetime>`.
pub(super) fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A length in whole minutes: what is shown of it changes no oftener than that.
pub(super) fn age(length: Duration) -> String {
    let minutes = length.as_secs() / 60;
    match (minutes / 1440, minutes / 60, minutes % 60) {
        (0, 0, 0) => "under 1 min".to_owned(),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1, ..) => "1 day".to_owned(),
        (days, ..) => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_its_unit() {
        for (seconds, said) in [
            (0, "under 1 min"),
            (59, "under 1 min"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (5_400, "1 h 30 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 day"),
            (172_800, "2 days"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), said);
        }
    }

    #[test]
    fn a_time_is_for_machines_and_for_people() {
        let at: Timestamp = "2026-08-14T03:12:05.9Z".parse().unwrap();
        let seen = Moment::new(at, "2026-08-14T03:26:10Z".parse().unwrap());
        let said = (seen.iso.as_str(), seen.clock.as_str(), seen.age.as_str());
        assert_eq!(said, ("2026-08-14T03:12:05Z", "03:12:05 UTC", "14 min"));
        // A clock that is behind.
        assert_eq!(Moment::new(at, Timestamp::UNIX_EPOCH).age, "under 1 min");
    }
}
