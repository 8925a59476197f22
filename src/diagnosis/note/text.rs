//! Words from outside are made harmless: one line, no hidden characters, a bounded length.

use jiff::Timestamp;

/// The longest link that is shown whole.
const MAX_LINK: usize = 300;

/// One line of at most `max` characters: control characters and line ends become spaces, runs of white space one
/// space, characters that hide or turn text round go. What is cut off is shown as `…`.
pub(super) fn clean(text: &str, max: usize) -> String {
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
pub(super) fn bound(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Zero-width, direction-changing and tag characters: they can make a line read as another.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

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

/// `1 box`, `2 boxes`.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn sentences_end_once() {
        assert_eq!(sentence("no", 9), "no.");
        assert_eq!(sentence("no.", 9), "no.");
        assert_eq!(sentence("", 9), "");
        assert_eq!(utc("2026-08-14T03:12:05.5Z".parse().unwrap()), "2026-08-14 03:12:05 UTC");
    }
}
