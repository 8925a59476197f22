//! What templates do with a text.

use std::fmt::Display;

use askama::filters::{Escaper, Html, Safe};
use jiff::civil::DateTime;

use super::moment::iso;
use super::words::DATE;

/// How long a time is in a text, without its zone.
const LENGTH: usize = "2026-08-14 03:12:05".len();
const ZONE: &str = " UTC";

/// A text in which each moment is a `<time>`, so that whoever wants to see it in their own time of day can.
#[askama::filter_fn]
pub(super) fn times(text: impl Display, _: &dyn askama::Values) -> askama::Result<Safe<String>> {
    Ok(Safe(marked(&text.to_string())?))
}

fn marked(text: &str) -> Result<String, std::fmt::Error> {
    let (mut html, mut rest) = (String::with_capacity(2 * text.len()), text);
    while let Some((before, moment, machine)) = next_moment(rest) {
        Html.write_escaped_str(&mut html, before)?;
        html.push_str(&format!("<time datetime=\"{machine}\">{moment}</time>"));
        rest = &rest[before.len() + moment.len()..];
    }
    Html.write_escaped_str(&mut html, rest)?;
    Ok(html)
}

/// What is before the next moment of a text, it, and the same for machines.
fn next_moment(text: &str) -> Option<(&str, &str, String)> {
    text.match_indices(ZONE).find_map(|(end, _)| {
        let start = end.checked_sub(LENGTH)?;
        let time = DateTime::strptime(DATE, text.get(start..end + ZONE.len())?).ok()?;
        let at = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some((&text[..start], &text[start..end + ZONE.len()], iso(at)))
    })
}

#[cfg(test)]
mod tests {
    use super::marked;

    #[test]
    fn each_moment_of_a_text_is_marked_and_nothing_else_of_it_is_taken_for_one() {
        for (text, html) in [
            (
                "Alert resolved since 2026-08-14 03:12:05 UTC · <b> since 2026-08-15 00:00:00 UTC",
                "Alert resolved since <time datetime=\"2026-08-14T03:12:05Z\">2026-08-14 03:12:05 UTC</time> · &#60;b&#62; \
                 since <time datetime=\"2026-08-15T00:00:00Z\">2026-08-15 00:00:00 UTC</time>",
            ),
            ("at 03:12:05 UTC & later", "at 03:12:05 UTC &#38; later"),
            ("2026-13-14 03:12:05 UTC", "2026-13-14 03:12:05 UTC"),
            ("Übermäßig lang äöü UTC", "Übermäßig lang äöü UTC"),
            (" UTC", " UTC"),
            ("", ""),
        ] {
            assert_eq!(marked(text).expect("a text"), html);
        }
    }
}
