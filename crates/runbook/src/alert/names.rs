//! Names within texts from outside. Every look for a name goes through here: `prod-us-south` also begins
//! `prod-us-south-2`, which is another region, and stands within `registry-prod-us-south-az1`, which is its own zone.
//! Characters that nobody sees are passed over: with one of them before its `-2` that is another region still.

use super::{Region, Zone};
use crate::text::{is_hidden, visible};

/// Whether `text` names `name`, in any case: no letter, digit or hyphen stands beside it.
pub fn is_named(text: &str, name: &str) -> bool {
    stands(text, name, is_of_a_name)
}

/// Where `text` names `name` first, in bytes.
pub fn find_name(text: &str, name: &str) -> Option<usize> {
    position(text, name, is_of_a_name)
}

/// Whether `text`, a name itself (a box's, a GLB zone's), has `word` as one of its words, in any case: no letter or
/// digit stands beside it, but a hyphen may.
pub fn contains_word(text: &str, word: &str) -> bool {
    stands(text, word, char::is_alphanumeric)
}

/// Whether `text` names `region`, in any case: by its own name, or by that of one of its `zones` or their boxes, or of
/// one `registry-<region>-az<n>` that nobody listed. What `is_another` knows as another's name does not count.
pub fn is_region_named(text: &str, region: &Region, zones: &[Zone], is_another: impl Fn(&str) -> bool) -> bool {
    let is_zone = |name: &str| zones.iter().any(|zone| zone.as_str() == name) || is_default_zone(name, region);
    let is_box = |name: &str| name.rsplit_once('-').is_some_and(|(zone, index)| is_number(index) && is_zone(zone));
    visible(text)
        .split(|c| !is_of_a_name(c))
        .map(str::to_ascii_lowercase)
        .any(|name| name == region.as_str() || ((is_zone(&name) || is_box(&name)) && !is_another(&name)))
}

/// `registry-<region>-az<n>`, strictly: `registry-prod-us-south-az1` begins with `registry-prod-us`, and is no zone of
/// `prod-us`.
pub fn is_default_zone(name: &str, region: &Region) -> bool {
    let n = name.strip_prefix("registry-").and_then(|name| name.strip_prefix(region.as_str()));
    n.and_then(|n| n.strip_prefix("-az")).is_some_and(is_number)
}

/// Digits, and nothing else.
pub fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a character beside a name makes it a part of another one. Some write hyphens that are none of ASCII's.
pub(super) fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '\u{2010}' | '\u{2011}' | '\u{fe63}' | '\u{ff0d}')
}

fn stands(text: &str, name: &str, is_of_another: fn(char) -> bool) -> bool {
    position(&visible(text), name, is_of_another).is_some()
}

fn position(text: &str, name: &str, is_of_another: fn(char) -> bool) -> Option<usize> {
    // Thousands of titles are asked for names that they don't have: of plain ones that is told at little cost.
    if text.is_ascii() && !text.to_ascii_lowercase().contains(&name.to_ascii_lowercase()) {
        return None;
    }
    let is_here = |at: &usize| {
        let found = text.get(*at..*at + name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
        found
            && !text[..*at].chars().rfind(|c| !is_hidden(*c)).is_some_and(is_of_another)
            && !text[*at + name.len()..].chars().find(|c| !is_hidden(*c)).is_some_and(is_of_another)
    };
    text.char_indices().map(|(at, _)| at).find(is_here).filter(|_| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(text: &str) -> Region {
        text.parse().expect("a region")
    }

    /// lifecycle.md#the-page: `prod-us-south-2` is not `prod-us-south`.
    #[test]
    fn a_name_has_no_letter_digit_or_hyphen_beside_it() {
        let named = |text: &str| is_named(text, "prod-us-south");
        for text in [
            "prod-us-south",
            "page about prod-us-south!",
            "(prod-us-south)",
            "SE down: PROD-US-South.",
            "prod-us-south/az1",
            "prod-us-south-2, prod-us-south",
            "region=prod-us-south_x",
            "prod-us-south — all boxes",
            "\u{feff}prod-us-south\u{200b}",
            "prod-\u{ad}us-south\u{2060} is down",
            "https://prod-us-south.example.com/?x=1",
        ] {
            assert!(named(text), "{text:?}");
        }
        for text in [
            "prod-us-south-2",
            "prod-us-south1",
            "preprod-us-south",
            "x-prod-us-south",
            "prod-us-southeast",
            "registry-prod-us-south-az1",
            "prod-us-south-",
            "éprod-us-south",
            "prod-us-south\u{2011}2",
            "prod-us-south\u{2010}2",
            "prod-us-south\u{200b}-2",
            "prod-us-south\u{2060}\u{ad}2",
            "pre\u{200d}prod-us-south",
            "prod us south",
            "",
        ] {
            assert!(!named(text), "{text:?}");
        }
        assert!(!is_named("anything", ""));
        // Where it stands in the text as it is.
        assert_eq!(find_name("é prod-us-south\u{200b}-2, prod-us-south\u{200b}", "prod-us-south"), Some(23));
    }

    #[test]
    fn a_word_of_a_name_may_have_a_hyphen_beside_it() {
        for text in ["us-south", "us-south-dal10", "x-us-south", "us_south.US-SOUTH", "us-south-2"] {
            assert!(contains_word(text, "us-south"), "{text:?}");
        }
        for text in ["us-south2", "aus-south", "us-southeast", "us-south\u{200b}2", "us-east", ""] {
            assert!(!contains_word(text, "us-south"), "{text:?}");
        }
        assert!(!contains_word("anything", ""));
    }

    /// lifecycle.md#the-page: its title names this region, one of its zones or one of its boxes.
    #[test]
    fn a_region_is_named_by_its_zones_and_boxes_too() {
        let zones = [Zone::new("registry-prod-us-south-az1"), Zone::new("reg-dal-1")];
        let named = |text: &str| is_region_named(text, &region("prod-us-south"), &zones, |_| false);
        for text in [
            "prod-us-south",
            "All SE endpoints down in PROD-US-SOUTH.",
            "registry-prod-us-south-az1 rejects",
            "box registry-prod-us-south-az1-12: 0:1",
            "registry-prod-us-south-az7 (not listed)",
            "registry-prod-us-south-az7-1",
            "reg-dal-1: down",
            "REG-DAL-1-2",
            "registry-prod-us-south\u{200b}-az1 rejects",
        ] {
            assert!(named(text), "{text:?}");
        }
        for text in [
            "prod-us-south-2",
            "registry-prod-us-south-2-az1",
            "registry-prod-us-south-az",
            "registry-prod-us-south-az1-vm",
            "registry-prod-us-south-az1-1-2",
            "us-south-dal10-container-registry-registry-prod-us-south-az1-1-vm-d4533b5e",
            "registry-prod-us-southeast-az1",
            "preprod-us-south",
            "reg-dal-10",
            "my-reg-dal-1",
            "prod-us",
            "prod-us-south\u{200b}-2",
        ] {
            assert!(!named(text), "{text:?}");
        }
        assert!(!is_region_named("registry-prod-us-south-az1", &region("prod-us"), &[], |_| false));
    }

    #[test]
    fn anothers_name_is_not_taken_for_a_box() {
        let zones = [Zone::new("prod-us-south")];
        let named = |text: &str| is_region_named(text, &region("prod-us-south"), &zones, |n| n == "prod-us-south-2");
        assert!(named("prod-us-south-1 is down"));
        assert!(!named("prod-us-south-2 is down"));
    }

    proptest::proptest! {
        #[test]
        fn what_stands_beside_decides(before in ".{0,6}", after in ".{0,6}") {
            let text = format!("{before}n-1{after}");
            let (shown_before, shown_after) = (visible(&before), visible(&after));
            let bounded = !shown_before.chars().next_back().is_some_and(is_of_a_name)
                && !shown_after.chars().next().is_some_and(is_of_a_name);
            if bounded {
                proptest::prop_assert!(is_named(&text, "N-1"));
            }
            let _ = is_region_named(&text, &region("n-1"), &[], |_| false);
        }
    }
}
