//! What stands before each line: time stamps, `[Pipeline]`, the name of a parallel branch, a log level.
//!
//! Only lines within an array are stripped, so it is enough to be right about those.

use super::amount::after_both;

/// The longest `[…]` that is taken for a tag; a cluster's name fits well.
const LONGEST_TAG: usize = 120;
/// A line of an open array without its prefix, where what is left may stand in an array of strings. `learned` is what
/// stood before the array's `[`: a line that begins alike, numbers and blanks aside, has the same prefix, whatever it is.
pub(super) fn strip<'a>(line: &'a [u8], learned: &[u8]) -> Option<&'a [u8]> {
    let rest = known(line);
    let after = |line: &'a [u8], learned: &[u8]| {
        after_alike(line, learned.trim_ascii_end()).map(known).filter(|after| belongs(after))
    };
    // What was learned comes first, since it may itself look like a beginning (`[9/12]: `); and as it stands too, since a
    // time that has grown out of its form (`99:59:59`, `100:00:00`) is known in one of both only.
    after(rest, known(learned))
        .or_else(|| after(line.trim_ascii_start(), learned.trim_ascii_start()))
        .or_else(|| belongs(rest).then_some(rest))
}

/// What stands before the first array of a line: nothing where there is none.
pub(super) fn before_array(line: &[u8]) -> &[u8] {
    let opens = |at: &usize| line[*at] == b'[' && belongs(line[at + 1..].trim_ascii_start());
    (0..line.len()).find(opens).map_or(&[], |at| &line[..at])
}

/// Whether a line may go on with an array of strings.
fn belongs(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b'"' | b'[' | b']'))
}

/// After a prefix whose numbers have grown, whose day or month is another, and whose blanks have made room for them or
/// filled what they left. All else must be the same, so that nothing of another line is taken for this prefix.
fn after_alike<'a>(line: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (mut line, mut prefix) = (line, prefix);
    if prefix.is_empty() {
        return None;
    }
    while let Some(&wanted) = prefix.first() {
        if let Some(after) = after_both(prefix, line) {
            (prefix, line) = after;
        } else if is_blank(wanted) && line.first().is_some_and(|b| is_blank(*b)) {
            (prefix, line) = (prefix.trim_ascii_start(), line.trim_ascii_start());
        } else {
            prefix = &prefix[1..];
            line = line.strip_prefix(&[wanted])?;
        }
    }
    Some(line)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A line without white space, `[…]` tags and times before it.
pub(super) fn known(line: &[u8]) -> &[u8] {
    let mut rest = line.trim_ascii_start();
    while let Some(after) = after_tag(rest).or_else(|| after_time(rest)) {
        rest = after.trim_ascii_start();
    }
    rest
}

/// After `[2026-08-01T10:00:00.123Z]`, `[Pipeline]`, `[registry-prod-us-south-az1]` and a blank. An array of strings
/// is no tag, nor is a list of several bare words.
fn after_tag(text: &[u8]) -> Option<&[u8]> {
    let tag = text.strip_prefix(b"[")?;
    let end = tag.iter().take(LONGEST_TAG).position(|b| matches!(b, b'[' | b']' | b'"'))?;
    let (inside, after) = tag.split_at(end);
    let after = at_blank(after.strip_prefix(b"]")?)?;
    let commas = inside.iter().filter(|b| **b == b',').count();
    (!inside.trim_ascii().is_empty() && commas <= 1).then_some(after)
}

/// After a date, a time, or both, and a blank: `2026-08-01 10:00:00`, `10:00:00.123`, `2026-08-01T10:00:00+0200`.
fn after_time(text: &[u8]) -> Option<&[u8]> {
    let separator = |rest: &[u8]| rest.first().copied().filter(|b| matches!(b, b'-' | b'/' | b'.'));
    let date = digits(text, 4, 4).and_then(|rest| {
        let by = separator(rest)?;
        let rest = digits(&rest[1..], 2, 2)?;
        digits(rest.strip_prefix(&[by])?, 2, 2)
    });
    let clock = match date {
        None => text,
        Some(rest) => match rest.strip_prefix(b"T") {
            Some(clock) => clock,
            None => return at_blank(rest),
        },
    };
    let rest = digits(clock, 1, 2)?.strip_prefix(b":")?;
    let rest = digits(rest, 2, 2)?.strip_prefix(b":")?;
    let mut rest = digits(rest, 2, 2)?;
    if let Some(b'.' | b',') = rest.first() {
        rest = digits(&rest[1..], 1, 9)?;
    }
    at_blank(after_offset(rest))
}

fn after_offset(text: &[u8]) -> &[u8] {
    match text.first() {
        Some(b'Z') => &text[1..],
        Some(b'+' | b'-') => {
            let offset = &text[1..];
            let apart = || digits(digits(offset, 2, 2)?.strip_prefix(b":")?, 2, 2);
            digits(offset, 4, 4).or_else(apart).unwrap_or(text)
        }
        _ => text,
    }
}

fn at_blank(rest: &[u8]) -> Option<&[u8]> {
    matches!(rest.first(), None | Some(b' ' | b'\t')).then_some(rest)
}

/// What follows `least` to `most` digits.
fn digits(text: &[u8], least: usize, most: usize) -> Option<&[u8]> {
    let count = text.iter().take_while(|b| b.is_ascii_digit()).count();
    (least..=most).contains(&count).then(|| &text[count..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(line: &str, learned: &str) -> String {
        let rest = strip(line.as_bytes(), learned.as_bytes()).unwrap_or_else(|| known(line.as_bytes()));
        String::from_utf8_lossy(rest).into_owned()
    }

    #[test]
    fn times_and_tags_are_stripped() {
        for prefix in [
            "",
            "  ",
            "[2026-08-01T10:00:00.123Z] ",
            "[2026-08-01 10:00:00,123] ",
            "10:00:00  ",
            "1:00:00.123456789\t",
            "2026-08-01 10:00:00 ",
            "2026/08/01 10:00:00,123 ",
            "2026-08-01T10:00:00Z ",
            "2026-08-01T10:00:00+02:00 ",
            "2026-08-01T10:00:00.5-0330 ",
            "[Pipeline] ",
            "[registry-prod-us-south-az1] ",
            "10:00:00 [a] [b c] ",
        ] {
            for rest in ["\"a\",", "]", "],", "[", ""] {
                assert_eq!(stripped(&format!("{prefix}{rest}"), ""), rest, "{prefix:?}");
            }
        }
    }

    #[test]
    fn what_may_be_a_value_is_not() {
        for line in [
            "null,",
            "[\"a\"]",
            "[]",
            "[ ] ",
            "[x",
            "[a, b, c] ",
            "[x],",
            "10:00",
            "10:00:00,",
            "10.94.143.238:1:1,",
            "2026-08-01x",
            "2026-08-1 \"a\"",
            "2026-08/01 \"a\"",
            "100:00:00 \"a\"",
            "10:00:00. \"a\"",
            "10:00:00+2 \"a\"",
            "10:00:00+02:0 \"a\"",
        ] {
            assert_eq!(stripped(line, ""), line, "{line:?}");
        }
    }

    #[test]
    fn a_prefix_is_learned_from_the_line_that_opened_the_array() {
        assert_eq!(stripped("web-2 |   \"a\"", "web-1 | "), "\"a\"");
        assert_eq!(stripped("10:00:02.7 INFO  12 ]", "10:00:01.123 INFO  10 "), "]");
        assert_eq!(stripped("INFO something \"a\"", "INFO "), "INFO something \"a\"", "not all of it is a prefix");
        assert_eq!(stripped("WARN \"a\"", "INFO "), "WARN \"a\"");
        assert_eq!(stripped("IN", "INFO "), "IN");
        assert_eq!(stripped("INGO \"a\"", "INFO "), "INGO \"a\"");
        assert_eq!(stripped("web-x | \"a\"", "web-1 | "), "web-x | \"a\"", "a number is like a number only");
    }

    #[test]
    fn a_prefix_may_grow_with_its_numbers() {
        for (learned, line) in [
            ("#12 9.900 ", "#12 10.000 "),
            ("#9 0.1 ", "#10 12.25 "),
            ("99ms ", "100ms "),
            ("[9/12]: ", "[10/12]: "),
            ("( 9/12) ", "(10/12) "),
            ("999: ", "1000: "),
            ("0999: ", "1000: "),
            ("  9 | ", " 10 | "),
            ("9   | ", "10  | "),
            ("99| ", "100| "),
            ("99 |", "100|"),
            ("0:59 - ", "1:00 - "),
            ("59:59 - ", "1:00:00 - "),
            ("99:59:59 ", "100:00:00 "),
            ("99:59:59 x 5 ", "100:00:00 x 6 "),
            ("999ms> ", "1.0s> "),
            ("59.9s> ", "1m0.1s> "),
            ("59m59s> ", "1h0m0s> "),
            ("999B\t", "1.0KiB\t"),
            ("999> ", "1,000> "),
            ("[999,999] x ", "[1,000,000] x "),
            ("<pool-1-thread-9> ", "<pool-1-thread-10> "),
            ("<2026-08-01T10:00:00Z> ", "<2026-08-01T10:00:00.123456789Z> "),
            ("<2026-08-01T10:00:00.5Z> ", "<2026-08-01T10:00:00Z> "),
            ("Aug  9 23:59:59 h p[9]: ", "Aug 10 00:00:00 h p[10]: "),
            ("9%  x ", "100% x "),
            ("(59 sec) ", "(1 min 0 sec) "),
            ("(59 min 59 s) x ", "(1 hr 0 min) x "),
            ("1 second | ", "2 seconds | "),
            ("999 ms | ", "1.0 s | "),
            ("999 B | ", "1.0 KiB | "),
            ("#936  ms ", "#1008 ms "),
            ("6d23h> ", "1w0d> "),
            ("999> ", "1'000> "),
            ("999> ", "1_000> "),
            ("999> ", "1\u{a0}000> "),
            ("...9: ", "..10: "),
            ("--9: ", "-10: "),
            ("0x09: ", "0x0a: "),
            ("Jul 31 23:59:59 h p[9]: ", "Aug  1 00:00:00 h p[9]: "),
            ("Fri Jul 31 23:59:59 UTC 2026 | ", "Sat Aug  1 00:00:00 UTC 2026 | "),
            ("31-Jul-2026 23:59:59.999 INFO [main] ", "01-Aug-2026 00:00:00.000 INFO [main] "),
            ("November 30, 2026: ", "December 1, 2026: "),
            ("11:59:59 AM ", "12:00:00 PM "),
            ("9:59am> ", "10:00pm> "),
        ] {
            for content in ["\"a\",", "  ]", "],", ""] {
                for (learned, line) in [(learned, line), (line, learned)] {
                    assert_eq!(stripped(&format!("{line}{content}"), learned), content.trim(), "{learned:?} {line:?}");
                }
            }
        }
    }

    #[test]
    fn what_differs_in_more_than_its_numbers_is_another_line() {
        for (learned, line) in [
            ("web-1 | ", "db-2 | \"a\""),
            ("web-1 | ", "web-10: \"a\""),
            ("web-1 | ", "web- | \"a\""),
            ("web-1 | ", "web-10 | see \"a\""),
            ("web-1 | ", "web-10 | 12 \"a\""),
            ("9 ", "10 x \"a\""),
            ("9 ", "x 10 \"a\""),
            ("9 ", "10: \"a\""),
            ("9ms ", "9xs \"a\""),
            ("9ms ", "9msg \"a\""),
            ("1 2 ", "1 \"a\""),
            ("1 ", "1 2 \"a\""),
            ("a b ", "ab \"a\""),
            ("x", "10 \"a\""),
            ("Fri | ", "Jul | \"a\""),
            ("Fri | ", "Fro | \"a\""),
            ("9 am | ", "9 may | \"a\""),
            ("9s | ", "10s 5 | \"a\""),
            ("9 sec | ", "9 section | \"a\""),
            ("9> ", "1 000> \"a\""),
            ("0x9> ", "0xg> \"a\""),
        ] {
            assert_eq!(stripped(line, learned), line, "{learned:?}");
        }
    }

    #[test]
    fn what_stands_before_an_array_is_told_from_tags() {
        for (line, before) in [
            ("web-1 | [\"a\"], [\"b\",", "web-1 | "),
            ("[x] web | [ [\"a\"", "[x] web | "),
            ("a [b] c [", "a [b] c "),
            ("[", ""),
            ("[a] b", ""),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(before_array(line.as_bytes())), before, "{line:?}");
        }
    }
}
