//! What strangers wrote is made harmless before people see it: notes, views, the log and the command line. The API gives
//! it as it is.

use std::borrow::Cow;
use std::io;

/// One line of at most `max` characters: control characters and line ends become spaces, runs of white space one
/// space, characters that hide or turn text round go. What is cut off is shown as `…`.
pub fn clean(text: &str, max: usize) -> String {
    // Bounded before anything else: a hostile name may be megabytes long.
    let mut words = String::new();
    for c in text.chars().filter(|c| !is_hidden(*c)).take(4 * max.max(64)) {
        let blank = c.is_control() || c.is_whitespace();
        if !blank {
            words.push(c);
        } else if !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
    }
    bound(words.trim_end(), max)
}

/// At most `max` characters, the last one `…` where something was cut off.
pub fn bound(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Which of these words was meant by one that is none of them: the nearest, where that is near enough for a slip of the hand.
pub fn closest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let word = bound(word, 64).to_lowercase();
    let near = word.chars().count().div_ceil(6).min(2);
    let distances = words.into_iter().map(|known| (distance(&word, &known.to_lowercase()), known));
    distances.filter(|(distance, _)| *distance <= near).min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// How many characters must be put in, left out, replaced, or swapped with their neighbour, to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

/// The text without characters that hide or turn text round.
pub fn visible(text: &str) -> Cow<'_, str> {
    // None of them is ASCII, which is told at little cost.
    if !text.is_ascii() && text.contains(is_hidden) { text.replace(is_hidden, "").into() } else { text.into() }
}

/// Zero-width, direction-changing, tag and filler characters: they can make a line read as another. Unicode calls them
/// format characters, or says that they may be ignored where a font lacks them.
pub fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Where log lines go, made visible on the way.
#[derive(Debug)]
pub struct Visible<W>(pub W);

impl<W: io::Write> io::Write for Visible<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(visible(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// One of each kind.
    const HIDDEN: [char; 24] = [
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{180b}',
        '\u{180e}',
        '\u{200b}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{2800}',
        '\u{3164}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{1d173}',
        '\u{e0041}',
        '\u{e0100}',
    ];

    #[test]
    fn what_hides_or_turns_text_is_gone_and_all_else_stays() {
        for c in HIDDEN {
            assert_eq!(clean(&format!("a{c}b"), 9), "ab", "U+{:04X}", c as u32);
            assert_eq!(visible(&format!("a{c}b\n")), "ab\n", "U+{:04X}", c as u32);
        }
        for text in
            ["plain", "zwölf Ärger", "日本語 한국어", "مرحبا שלום", "e\u{301} → ✕ 🚨", "\u{1b}[1mbold\u{1b}[0m\n"]
        {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    #[test]
    fn a_slip_of_the_hand_is_told_from_another_word() {
        let words = ["PAGERDUTY_FROM", "PAGERDUTY_API_URL", "NOTE_BY", "LINK_TTL"];
        for (slip, meant) in [
            ("PAGERDUTTY_FROM", Some("PAGERDUTY_FROM")),
            ("pagerduty_form", Some("PAGERDUTY_FROM")),
            ("PAGERDUTY_URL", None),
            ("NOTEBY", Some("NOTE_BY")),
            ("NOTE_YB", Some("NOTE_BY")),
            ("LINK_SECRET", None),
            ("X", None),
            ("", None),
        ] {
            assert_eq!(closest(slip, words), meant, "{slip}");
        }
        assert_eq!(closest(&"x".repeat(1 << 20), words), None);
    }

    #[test]
    fn log_lines_are_visible() {
        let mut log = Visible(Vec::new());
        log.write_all("a\u{202e}b\n".as_bytes()).unwrap();
        log.write_all(b"\xff\n").unwrap();
        assert_eq!(log.0, b"ab\n\xff\n");
    }

    #[test]
    fn outside_words_stay_on_their_line() {
        assert_eq!(clean(" a\nrun 1\r\n\u{2028}b\u{7}\t c ", 99), "a run 1 b c");
        assert_eq!(clean("\u{202e}abc\u{200b}d", 99), "abcd");
        assert_eq!(clean("ääää", 3), "ää…");
        assert_eq!(clean("ääää", 4), "ääää");
        assert_eq!(clean("", 3), "");
        // Blanks don't hide what comes after them, unless there are very many.
        assert_eq!(clean(&format!("{}a", " ".repeat(255)), 3), "a");
        assert_eq!(clean(&format!("{}a", " ".repeat(256)), 3), "");
    }
}
