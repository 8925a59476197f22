//! Values of settings: durations as `500ms`, `30s`, `2m`, `1h`, `90d`.

use std::time::Duration;

/// Reads a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
///
/// # Errors
/// In words: it is something else, or too long to count.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let wrong = || format!("{text:?} is not a duration: write it as 500ms, 30s, 2m, 1h or 90d");
    if milliseconds == 0 || number.is_empty() {
        return Err(wrong());
    }
    let number: u64 = number.parse().map_err(|_| wrong())?;
    // A century is the longest wait that anybody can mean; beyond it sums of times could overflow.
    number
        .checked_mul(milliseconds)
        .filter(|ms| *ms <= 100 * 365 * 86_400_000)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is longer than a century"))
}

/// Writes a duration for people, in its two largest units: `2m 5s`, `1h`, `450ms`.
pub fn show_duration(length: Duration) -> String {
    let ms = length.as_millis();
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let s = length.as_secs();
    let units = [("d", s / 86_400), ("h", s / 3600 % 24), ("m", s / 60 % 60), ("s", s % 60)];
    let first = units.iter().position(|(_, n)| *n > 0).unwrap_or(3);
    let shown: Vec<String> =
        units[first..].iter().take(2).filter(|(_, n)| *n > 0).map(|(u, n)| format!("{n}{u}")).collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in
            [("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000), ("90d", 7_776_000_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "s", "-5s", "1.5s", "5 s", "5w", "5M", "99999999999999999999s", "36501d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn for_people() {
        for (ms, text) in
            [(0, "0ms"), (450, "450ms"), (1000, "1s"), (125_000, "2m 5s"), (3_600_000, "1h"), (90_061_000, "1d 1h")]
        {
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
    }
}
