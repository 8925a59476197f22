//! Reckoning with times. Pure.

use std::time::Duration;

use jiff::Timestamp;

/// `length` after `time`, at most the end of time.
pub fn after(time: Timestamp, length: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(length).ok().and_then(|d| time.checked_add(d).ok()).unwrap_or(Timestamp::MAX)
}

/// `length` before `time`, at least the beginning of time.
pub fn before(time: Timestamp, length: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(length)
        .ok()
        .and_then(|length| time.checked_sub(length).ok())
        .unwrap_or(Timestamp::MIN)
}

/// How long from `from` to `to`; nothing where it is not later.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Writes a duration for people, in its two largest units: `2 min 5 s`, `1 day 20 h`, `450 ms`.
pub fn show_duration(length: Duration) -> String {
    let ms = length.as_millis();
    if ms < 1000 {
        return format!("{ms} ms");
    }
    let s = length.as_secs();
    let days = s / 86_400;
    let units =
        [(if days == 1 { "day" } else { "days" }, days), ("h", s / 3600 % 24), ("min", s / 60 % 60), ("s", s % 60)];
    let first = units.iter().position(|(_, n)| *n > 0).unwrap_or(3);
    let shown: Vec<String> =
        units[first..].iter().take(2).filter(|(_, n)| *n > 0).map(|(u, n)| format!("{n} {u}")).collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_people() {
        for (ms, text) in [
            (0, "0 ms"),
            (450, "450 ms"),
            (1000, "1 s"),
            (125_000, "2 min 5 s"),
            (3_600_000, "1 h"),
            (90_061_000, "1 day 1 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
    }
}
