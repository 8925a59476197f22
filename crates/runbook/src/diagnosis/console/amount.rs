//! What grows or turns over from one line to the next in what stands before them: numbers, lengths of time and data, and
//! the words of a date.

/// What a number may be of, and change into as it grows.
const UNITS: [&str; 38] = [
    "ns", "us", "µs", "ms", "msec", "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute", "minutes",
    "h", "hr", "hrs", "hour", "hours", "d", "day", "days", "w", "week", "weeks", "B", "bytes", "k", "kB", "KB", "KiB",
    "M", "MB", "MiB", "G", "GB", "GiB",
];
/// Words of a date, each of which turns into another of its row: full, and as far as it is written short.
const TURNS: [&[&str]; 3] = [
    &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
    &[
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
    &["am", "pm"],
];
/// How short a day or a month is written at least.
const SHORTEST: usize = 3;
/// What stands between the digits of one number, or of one time: `1.5`, `10:00`, `1'000`, and blanks that don't break.
const JOINTS: [&str; 7] = [".", ",", ":", "'", "_", "\u{a0}", "\u{202f}"];
/// What fills the place of digits that are not there yet, beside blanks and zeros.
const FILLS: [u8; 3] = [b'.', b'-', b'_'];

/// What is left of two texts behind what one turns into the other: amounts, days, months, or halves of a day.
pub(super) fn after_both<'a, 'b>(one: &'a [u8], other: &'b [u8]) -> Option<(&'a [u8], &'b [u8])> {
    if let (Some(one), Some(other)) = (after_amount(one), after_amount(other)) {
        return Some((one, other));
    }
    let ((row, one), (other_row, other)) = (after_turn(one)?, after_turn(other)?);
    (row == other_row).then_some((one, other))
}

/// After a number, or a length of time or data, with what fills its place and the blanks around it: `9`, ` 10.5`, `..10`,
/// `1:00:00`, `1,000`, `99ms`, `1m0.5s`, `1 min 0 sec`, `0x1f`.
fn after_amount(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    let filled = text.iter().take_while(|b| FILLS.contains(b) && **b == text[0]).count();
    let mut rest = after_number(&text[filled..])?;
    while let Some(unit) = after_unit(rest) {
        // What follows a unit at once is of the same length of time; behind a blank only where it has a unit too.
        let apart = || after_number(unit.trim_ascii_start()).filter(|after| after_unit(after).is_some());
        match after_number(unit).or_else(apart) {
            Some(after) => rest = after,
            None => return Some(unit.trim_ascii_start()),
        }
    }
    Some(rest.trim_ascii_start())
}

/// After digits, and more of them behind joints.
fn after_number(text: &[u8]) -> Option<&[u8]> {
    if let Some(hex) = text.strip_prefix(b"0x") {
        let count = hex.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        return (count > 0).then(|| &hex[count..]);
    }
    let mut rest = digits(text)?;
    while let Some(after) = JOINTS.iter().find_map(|joint| digits(rest.strip_prefix(joint.as_bytes())?)) {
        rest = after;
    }
    Some(rest)
}

/// After a unit that is no part of a longer word, with blanks before it or none: they may fill what a number will take.
fn after_unit(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    let length = text.iter().take_while(|b| b.is_ascii_alphabetic() || **b == 0xc2 || **b == 0xb5).count();
    let (unit, after) = text.split_at(length);
    UNITS.iter().any(|known| known.as_bytes() == unit).then_some(after)
}

/// After a word of a date, and the row that it is of.
fn after_turn(text: &[u8]) -> Option<(usize, &[u8])> {
    let (word, after) = text.split_at(text.iter().take_while(|b| b.is_ascii_alphabetic()).count());
    let is = |full: &&str| {
        let short = full.len().min(SHORTEST.max(word.len()));
        word.eq_ignore_ascii_case(&full.as_bytes()[..short])
    };
    let row = TURNS.iter().position(|row| row.iter().any(is))?;
    Some((row, after))
}

/// What follows digits.
fn digits(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take_while(|b| b.is_ascii_digit()).count();
    (count > 0).then(|| &text[count..])
}
