//! Words from outside are made harmless: one line, no hidden characters, a bounded length.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

pub(super) use crate::text::{bound, clean};

/// The longest link that is shown whole.
const MAX_LINK: usize = 300;

/// A link: no white space in it, bounded.
pub(super) fn link(url: &str) -> String {
    clean(url, MAX_LINK).replace(' ', "%20")
}

/// A sentence of at most `max` characters, with exactly one full stop where it has no other end.
pub(super) fn sentence(text: &str, max: usize) -> String {
    let text = clean(text, max);
    match text.chars().next_back() {
        None | Some('.' | '!' | '?' | '…') => text,
        Some(_) => text + ".",
    }
}

/// The text with a capital at its beginning.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// `word` as a shell takes it: as it is where that is safe, else in single quotes.
pub(super) fn shell(word: &str) -> String {
    let word = clean(word, 253);
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(safe) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A time for people: `2026-08-14 03:12:05 UTC`.
pub(super) fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The day that a text's times are of: it is said once, and a time of another day says its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day(Option<Date>);

impl Day {
    /// The day of a time.
    pub(super) fn of(time: Timestamp) -> Self {
        Self(Some(time.to_zoned(TimeZone::UTC).date()))
    }

    /// The day as it is written; of other words, none: each time says its day.
    pub(super) fn read(text: &str) -> Self {
        Self(text.parse().ok())
    }

    /// `03:12:05`.
    pub(super) fn time(self, time: Timestamp) -> String {
        let format = if self == Self::of(time) { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        time.strftime(format).to_string()
    }

    /// `03:12:05 UTC`.
    pub(super) fn utc(self, time: Timestamp) -> String {
        format!("{} UTC", self.time(time))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |date| write!(f, "{date}"))
    }
}

/// `1 box`, `2 boxes`.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_one_word() {
        assert_eq!(link("https://x/\na b"), "https://x/%20a%20b");
    }

    #[test]
    fn a_shell_takes_any_name_as_one_word() {
        assert_eq!(shell("registry-prod-us-south-az1/c1234abcd"), "registry-prod-us-south-az1/c1234abcd");
        assert_eq!(shell("a b;$(rm)"), "'a b;$(rm)'");
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!(shell(""), "''");
    }

    #[test]
    fn a_time_says_its_day_where_that_is_another() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let day = Day::of(at("2026-08-14T23:59:59.9Z"));
        assert_eq!(day.to_string(), "2026-08-14");
        assert_eq!(day.utc(at("2026-08-14T00:00:00Z")), "00:00:00 UTC");
        assert_eq!(day.utc(at("2026-08-15T00:00:00Z")), "2026-08-15 00:00:00 UTC");
        assert_eq!(Day::read("2026-08-14"), day);
        assert_eq!(Day::read("x").time(at("2026-08-14T01:02:03Z")), "2026-08-14 01:02:03");
    }

    #[test]
    fn sentences_end_once() {
        assert_eq!(sentence("no", 9), "no.");
        assert_eq!(sentence("no.", 9), "no.");
        assert_eq!(sentence("", 9), "");
        assert_eq!(utc("2026-08-14T03:12:05.5Z".parse().unwrap()), "2026-08-14 03:12:05 UTC");
    }
}
