//! A note has room for so much. What matters least is cut first, and what is cut is said.

use super::text::bound;

/// No line is longer; only hostile names can make one.
const MAX_LINE: usize = 700;

/// One part of a note.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// Its heading; none for a part that needs no name.
    pub(super) title: String,
    /// Its lines.
    pub(super) lines: Vec<String>,
    /// How many of its first lines are kept when room is short.
    pub(super) keep: usize,
    /// Which parts are cut first: the lowest.
    pub(super) rank: u8,
    /// It stands right below the part before it, without a blank line between.
    pub(super) joined: bool,
}

impl Section {
    pub(super) fn new(title: impl Into<String>, keep: usize, rank: u8) -> Self {
        Self { title: title.into(), lines: Vec::new(), keep, rank, joined: false }
    }

    pub(super) fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }
}

/// Puts the parts together in at most `max` characters. Parts without lines are left out; `head` and `last` always
/// survive; `link` is where the whole can be read.
pub(super) fn fit(head: &[String], sections: Vec<Section>, last: Option<&str>, link: &str, max: usize) -> String {
    let mut parts: Vec<Part> = sections.into_iter().filter(|s| !s.lines.is_empty()).map(Part::of).collect();
    let head = head.iter().map(|l| one_line(l)).collect::<Vec<_>>().join("\n");
    let last = last.map(one_line);
    let fixed = head.chars().count() + last.as_ref().map_or(0, |l| l.chars().count() + 2);
    let marker = |left_out: usize| match link {
        "" => format!("\n… {left_out} more lines had no room here."),
        link => format!("\n… {left_out} more lines had no room here. All of it: {link}"),
    };
    let mut size = fixed + parts.iter().map(Part::size).sum::<usize>();
    // Counted for the longest number, once for each part that is cut.
    let marker_size = marker(usize::MAX).chars().count();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|i| parts[*i].section.rank);
    // First down to what each part wants to keep, then, for names that only an attacker has, to a third of it.
    for share in [1, 3] {
        for i in &order {
            let part = &mut parts[*i];
            let keep = (part.section.keep / share).max(1);
            while size > max && part.section.lines.len() > keep {
                if part.left_out == 0 {
                    size += marker_size;
                }
                part.left_out += 1;
                size -= part.section.lines.pop().map_or(0, |l| l.chars().count() + 1);
            }
        }
    }
    let body: String = parts.iter().map(|p| p.text(&marker)).collect();
    let body = bound(&body, max.saturating_sub(fixed));
    match last {
        Some(last) => format!("{head}{body}\n\n{last}"),
        None => format!("{head}{body}"),
    }
}

#[derive(Debug)]
struct Part {
    section: Section,
    left_out: usize,
}

impl Part {
    fn of(mut section: Section) -> Self {
        for line in &mut section.lines {
            *line = one_line(line);
        }
        section.title = one_line(&section.title);
        Self { section, left_out: 0 }
    }

    /// Characters of its text with the line ends before it, without a marker.
    fn size(&self) -> usize {
        usize::from(!self.section.joined) + self.written().map(|l| l.chars().count() + 1).sum::<usize>()
    }

    /// Its lines as they are written, with the heading where it has one.
    fn written(&self) -> impl Iterator<Item = &String> {
        Some(&self.section.title).filter(|t| !t.is_empty()).into_iter().chain(&self.section.lines)
    }

    fn text(&self, marker: &impl Fn(usize) -> String) -> String {
        let mut text = if self.section.joined { String::new() } else { "\n".to_owned() };
        for line in self.written() {
            text.push('\n');
            text.push_str(line);
        }
        if self.left_out > 0 {
            text.push_str(&marker(self.left_out));
        }
        text
    }
}

/// The second line of defence: whatever was forgotten to be cleaned, a line is a line.
fn one_line(line: &str) -> String {
    bound(line, MAX_LINE)
        .chars()
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(title: &str, lines: usize, keep: usize, rank: u8) -> Section {
        let mut section = Section::new(title, keep, rank);
        for n in 0..lines {
            section.line(format!("{title} {n}"));
        }
        section
    }

    #[test]
    fn what_fits_is_left_alone_and_empty_parts_go() {
        let text = fit(&["a".into()], vec![section("X", 2, 1, 1), section("Y", 0, 1, 1)], Some("run 1"), "u", 100);
        assert_eq!(text, "a\n\nX\nX 0\nX 1\n\nrun 1");
    }

    #[test]
    fn the_lowest_rank_is_cut_first_and_it_is_said() {
        let parts = vec![section("HIGH", 3, 1, 9), section("LOW", 50, 2, 1)];
        let text = fit(&["a".into()], parts, Some("run 1"), "https://x/1", 180);
        assert!(text.chars().count() <= 180, "{text}");
        assert!(text.contains("HIGH 2"), "{text}");
        assert!(text.contains("\n… 4"), "{text}");
        assert!(text.contains("more lines had no room here. All of it: https://x/1"), "{text}");
        assert!(text.ends_with("\n\nrun 1"), "{text}");
    }

    #[test]
    fn what_has_just_the_room_it_needs_is_whole() {
        let write = |max| {
            let parts = vec![section("X", 9, 1, 1), section("", 9, 1, 1)];
            fit(&["first".into(), "second".into()], parts, Some("run 1"), "u", max)
        };
        let whole = write(1_000);
        assert!(!whole.contains('…'), "{whole}");
        let size = whole.chars().count();
        assert_eq!(write(size), whole);
        let cut = write(size - 1);
        assert!(cut.contains("more lines had no room here"), "{cut}");
    }

    #[test]
    fn a_part_is_cut_below_what_it_keeps_only_after_all_others_are_down_to_that() {
        let write = |max| fit(&[], vec![section("LOW", 30, 9, 1), section("HIGH", 30, 6, 2)], None, "", max);
        let left = |text: &str, title: &str| text.lines().filter(|l| l.starts_with(&format!("{title} "))).count();
        // A line has 5 to 7 characters, a marker less than 60: there is room for all that is kept and both markers.
        let kept = write(9 * 6 + 6 * 7 + 120 + 20);
        assert_eq!(left(&kept, "LOW"), 9, "{kept}");
        assert!((6..30).contains(&left(&kept, "HIGH")), "{kept}");
        // Where there is none, a third of it stays.
        let third = write(175);
        assert_eq!(left(&third, "LOW"), 3, "{third}");
        assert!((2..=6).contains(&left(&third, "HIGH")), "{third}");
    }

    #[test]
    fn no_more_is_cut_than_must_be() {
        for max in 300..330 {
            let text = fit(&[], vec![section("X", 200, 1, 1)], None, "", max);
            let size = text.chars().count();
            // A line, and what the marker's number is shorter than the longest one.
            assert!(size <= max && size + 30 > max, "{size} of {max}: {text}");
        }
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(one_line("a\u{7}b\nc\u{2028}d\u{2029}e"), "a b c d e");
    }

    #[test]
    fn head_and_last_line_survive_anything() {
        let parts = (0..9).map(|_| section(&"ä\n".repeat(400), 9, 9, 9)).collect();
        let text = fit(&["first".into()], parts, Some("run 1"), "u", 300);
        assert_eq!(text.chars().count(), 300);
        assert!(text.starts_with("first\n"));
        assert!(text.ends_with("\n\nrun 1"));
    }
}
