//! What a PagerDuty title means, and the names that everything else is keyed by. Pure.
//!
//! The runbook's three titles are the whole language: the alert itself and the two pages that explain it away.

mod names;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::{clean, visible};

pub use names::{contains_word, find_name, is_default_zone, is_named, is_number, is_region_named};

/// Prefix of every `incident_key` that this service sets. An incident whose key begins with it is ours: never an
/// alert, never a related page.
pub const KEY_PREFIX: &str = "se-responder/";

/// A registry region as it stands in an alert's title: `prod-us-south`. Matches `[a-z0-9-]+`, nothing else, so that a
/// title can never smuggle anything into a URL, a command or a note.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[a-z0-9-]+$", examples("prod-us-south"))]
pub struct Region(String);

/// A text that is no region name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a region: a region is written in lower-case letters, digits and '-' only, as in prod-us-south")]
pub struct NotARegion(String);

impl Region {
    /// The name as it stands in titles.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its name as GLB zones have it: without its first part (`us-south`), where it has several.
    pub fn in_glb_zones(&self) -> &str {
        self.0.split_once('-').map_or(&self.0, |(_, rest)| rest)
    }

    /// Whether its name has a hyphen.
    pub fn is_of_several_parts(&self) -> bool {
        self.0.contains('-')
    }

    /// The zones that a region has when no regions file lists it: `registry-<region>-az1` to `-az3`.
    pub fn default_zones(&self) -> Vec<Zone> {
        (1..=3).map(|n| Zone(format!("registry-{self}-az{n}"))).collect()
    }
}

impl FromStr for Region {
    type Err = NotARegion;

    fn from_str(text: &str) -> Result<Self, NotARegion> {
        let valid = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if valid { Ok(Self(text.to_owned())) } else { Err(NotARegion(text.chars().take(80).collect())) }
    }
}

impl TryFrom<String> for Region {
    type Error = NotARegion;

    fn try_from(text: String) -> Result<Self, NotARegion> {
        text.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One registry cluster of a region, by its cluster name: `registry-prod-us-south-az1`. It is what the Jenkins job
/// takes as CLUSTER and what Magic Box names begin with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, examples("registry-prod-us-south-az1"))]
pub struct Zone(String);

impl Zone {
    /// A zone by its cluster name, as a regions file or a box's name gives it.
    pub fn new(cluster: impl Into<String>) -> Self {
        Self(cluster.into())
    }

    /// The cluster's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a PagerDuty incident's title says, of the three titles that the runbook knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Title {
    /// `All SE endpoints down in <region>`: the alert.
    Alert(Region),
    /// `All Public endpoints down in <region>`: registry is down for everyone there.
    PublicDown(Region),
    /// `DOWN | Origin - reg-glob-<zone>-endpoint-<xx> | Pool - reg-glob | Response code mismatch error`; the zone is
    /// the load balancer's word for it, which the regions file maps.
    GlbDown {
        /// `<zone>` of the title.
        glb_zone: String,
    },
    /// Any other title.
    Other,
}

/// How the alert's title begins; its region follows, and nothing else.
const ALERT: &str = "All SE endpoints down in ";

/// Reads a title. Leading `[…]` tags, outer white space and case don't count, nor does what stands behind and begins
/// with neither letter, digit, hyphen nor underscore. [`is_exact`] tells whether anything but a tag was let pass. A name is
/// read as people see it: without characters that are not shown.
///
/// Runbook: "Example Alerts" and "Determine if this issue isolated to SE endpoints".
pub fn parse_title(title: &str) -> Title {
    let title = strip_tags(title);
    let region = |start| after(title, start).and_then(|name| region_at_start(&visible(name)));
    if let Some(region) = region(ALERT) {
        Title::Alert(region)
    } else if let Some(region) = region("All Public endpoints down in ") {
        Title::PublicDown(region)
    } else if let Some(glb_zone) = glb_zone(title) {
        Title::GlbDown { glb_zone }
    } else {
        Title::Other
    }
}

/// Whether a title is exactly that of the alert of `region`, tags aside.
pub fn is_exact(title: &str, region: &Region) -> bool {
    strip_tags(title).strip_prefix(ALERT) == Some(region.as_str())
}

/// Whether a title looks like an alert's, but can't be read as one: somebody has to look. It sounds so whatever blanks it
/// has between its words, and whatever in it is not shown.
pub fn is_not_understood(title: &str) -> bool {
    parse_title(title) == Title::Other && clean(title, title.len()).to_lowercase().contains("se endpoints down")
}

fn strip_tags(title: &str) -> &str {
    let mut rest = title.trim();
    let mut nested = true;
    while let Some(tag) = rest.strip_prefix('[') {
        let own = if nested { tag.char_indices().find_map(closing()) } else { None };
        // A bracket in it that is never closed is a character like others.
        nested = own.is_some();
        let Some(end) = own.or_else(|| tag.find(']')) else { break };
        rest = tag[end + 1..].trim_start();
    }
    rest
}

/// Finds the bracket that closes a tag, behind those within it that are opened and closed: `[prod [eu] 2]`.
fn closing() -> impl FnMut((usize, char)) -> Option<usize> {
    let mut depth = 1_usize;
    move |(at, c)| {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    }
}

/// What stands behind `start`, in any case.
fn after<'t>(title: &'t str, start: &str) -> Option<&'t str> {
    let (found, rest) = title.split_at_checked(start.len())?;
    found.eq_ignore_ascii_case(start).then_some(rest)
}

/// Whether what stands behind a name is none of it: it begins with neither letter, digit, hyphen nor underscore.
fn is_behind(rest: &str) -> bool {
    !rest.starts_with(|c: char| names::is_of_a_name(c) || c == '_')
}

fn region_at_start(text: &str) -> Option<Region> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(text.len());
    let (region, rest) = text.split_at(end);
    is_behind(rest).then(|| region.to_ascii_lowercase().parse().ok())?
}

fn glb_zone(title: &str) -> Option<String> {
    let origin = visible(after(title, "DOWN | Origin - reg-glob-")?);
    let (origin, rest) = origin.split_once(" | ")?;
    let rest = after(rest, "Pool - reg-glob | Response code mismatch error")?;
    let at = origin.to_ascii_lowercase().rfind("-endpoint-")?;
    let (zone, endpoint) = (&origin[..at], &origin[at + "-endpoint-".len()..]);
    let word =
        |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.');
    (is_behind(rest) && word(zone) && word(endpoint)).then(|| zone.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(text: &str) -> Region {
        text.parse().expect("a region")
    }

    #[test]
    fn alert_titles() {
        for title in [
            "All SE endpoints down in prod-us-south",
            "  All SE endpoints down in prod-us-south\n",
            "[prod] All SE endpoints down in prod-us-south",
            "[FIRING:1] [a b]All SE endpoints down in prod-us-south ",
            "[[prod]] All SE endpoints down in prod-us-south",
            "[prod [eu] 2][x]\u{a0}All SE endpoints down in prod-us-south\u{3000}",
            "[a [b] All SE endpoints down in prod-us-south",
        ] {
            assert_eq!(parse_title(title), Title::Alert(region("prod-us-south")), "{title:?}");
        }
    }

    #[test]
    fn what_is_an_alert_though_not_exactly() {
        for title in [
            "all se endpoints down in prod-us-south",
            "ALL SE ENDPOINTS DOWN IN PROD-US-SOUTH",
            "[FIRING:1] All SE endpoints down in prod-us-south (registry-healthcheck critical)",
            "All SE endpoints down in prod-us-south.",
            "All SE endpoints down in prod-us-south - bridge 42",
            "All SE endpoints down in prod-us-south; rm",
            "All SE endpoints down in prod-us-south, prod-eu-de",
            "All SE endpoints down in prod-us-south\u{2014}again",
            "All SE endpoints down in prod-us-south \u{1f525}",
            "All SE endpoints down in Prod-us-South",
            "All SE endpoints down in prod-us-south\u{200b}",
            "All SE endpoints down in prod-\u{2060}us-south",
            "All SE endpoints down in prod-us-south\n\nrun 1",
        ] {
            assert_eq!(parse_title(title), Title::Alert(region("prod-us-south")), "{title:?}");
            assert!(!is_exact(title, &region("prod-us-south")) && !is_not_understood(title), "{title:?}");
        }
        assert_eq!(parse_title("All SE endpoints down in prod us"), Title::Alert(region("prod")));
        // As it is seen: another region than the one before what is not shown.
        let other = "All SE endpoints down in prod-us-south\u{200b}-2";
        assert_eq!(parse_title(other), Title::Alert(region("prod-us-south-2")));
        assert!(!is_exact(other, &region("prod-us-south-2")));
        for title in ["All SE endpoints down in prod-us", " [FIRING:1] [x]All SE endpoints down in prod-us\n"] {
            assert!(is_exact(title, &region("prod-us")), "{title:?}");
            assert!(!is_exact(title, &region("prod-eu")), "{title:?}");
        }
    }

    #[test]
    fn what_sounds_like_an_alert_and_is_none_is_told_apart() {
        for title in [
            "All SE endpoints down in ",
            "All SE endpoints down in ../etc",
            "All SE endpoints down in prod-üs",
            "All SE endpoints down in prod-us_south",
            "All SE endpoints down in prod-us\u{2011}south",
            "All  SE endpoints down in prod-us-south",
            "All SE endpoints down in (prod-us-south)",
            "RESOLVED All SE endpoints down in prod-us-south",
            "[unclosed All SE endpoints down in prod-us-south",
            "SE Endpoints Down: prod-us-south",
            "some se endpoints down",
            "All SE endpoints down in\tprod-us-south",
            "All SE endpoints down in\u{2003}prod-us-south",
            "All SE\u{a0}endpoints\u{a0}down in prod-us-south",
            "All  SE  endpoints\n down in prod-us-south",
            "All SE end\u{ad}points down in prod-us-south",
            "\u{feff}All SE endpoints down in prod-us-south",
            "Re: All SE endpoints down in prod-us-south",
        ] {
            assert_eq!(parse_title(title), Title::Other, "{title:?}");
            assert!(is_not_understood(title) && !is_exact(title, &region("prod-us-south")), "{title:?}");
        }
        for title in ["", "Disk full", "All SE endpoints are down in registry region prod-us-south", "SE endpoint down"]
        {
            assert!(parse_title(title) == Title::Other && !is_not_understood(title), "{title:?}");
        }
        assert!(!is_not_understood("All Public endpoints down in x (see SE endpoints down)"), "it is read as another");
    }

    #[test]
    fn related_titles() {
        assert_eq!(parse_title("[x] All Public endpoints down in prod-eu-de"), Title::PublicDown(region("prod-eu-de")));
        let glb =
            "DOWN | Origin - reg-glob-us-south-dal10-endpoint-01 | Pool - reg-glob | Response code mismatch error";
        assert_eq!(parse_title(glb), Title::GlbDown { glb_zone: "us-south-dal10".into() });
        for title in [
            "[x] down | ORIGIN - Reg-Glob-us-south-dal10-ENDPOINT-01 | pool - reg-glob | response code mismatch error.",
            &format!("{glb} (3 times)"),
            &format!("[[x]] {glb}\u{200b}"),
        ] {
            assert_eq!(parse_title(title), Title::GlbDown { glb_zone: "us-south-dal10".into() }, "{title:?}");
        }
        for title in ["all public endpoints down in PROD-EU-DE", "All Public endpoints down in prod-eu-de (since 3:00)"]
        {
            assert_eq!(parse_title(title), Title::PublicDown(region("prod-eu-de")), "{title:?}");
        }
        for other in [
            "UP | Origin - reg-glob-us-south-endpoint-01 | Pool - reg-glob | Response code mismatch error",
            "DOWN | Origin - reg-glob--endpoint-01 | Pool - reg-glob | Response code mismatch error",
            "DOWN | Origin - reg-glob-us-south-endpoint- | Pool - reg-glob | Response code mismatch error",
            "DOWN | Origin - reg-glob-us-south-endpoint-01 | Pool - reg-other | Response code mismatch error",
            "DOWN | Origin - reg-glob-us-south-endpoint-01 | Pool - reg-glob | Timeout",
            "DOWN | Origin - reg-glob-us-south-endpoint-01 | Pool - reg-glob | Response code mismatch errors",
            "All Public endpoints down in prod-eu-de_2",
        ] {
            assert_eq!(parse_title(other), Title::Other, "{other:?}");
        }
    }

    #[test]
    fn a_glb_zone_is_one_word_of_what_names_are_made_of() {
        let title = |zone: &str, endpoint: &str| {
            format!(
                "DOWN | Origin - reg-glob-{zone}-endpoint-{endpoint} | Pool - reg-glob | Response code mismatch error"
            )
        };
        for zone in ["us-south", "us_south", "us.south", "USSouth1"] {
            assert_eq!(parse_title(&title(zone, "a-b_c.1")), Title::GlbDown { glb_zone: zone.to_owned() }, "{zone}");
        }
        for (zone, endpoint) in [("us south", "1"), ("us|south", "1"), ("", "1"), ("us-south", ""), ("us-south", "1 2")]
        {
            assert_eq!(parse_title(&title(zone, endpoint)), Title::Other, "{zone:?} {endpoint:?}");
        }
    }

    #[test]
    fn a_region_is_written_as_its_name() {
        assert_eq!(String::from(region("prod-us-south")), "prod-us-south");
        assert_eq!(serde_json::to_string(&region("prod-us-south")).unwrap(), "\"prod-us-south\"");
    }

    proptest::proptest! {
        #[test]
        fn any_title_is_survived(title in ".*") {
            let _ = parse_title(&title);
        }

        #[test]
        fn every_region_comes_back(name in "[a-z0-9-]{1,40}", tag in "[^\\]]{0,9}") {
            let region: Region = name.parse().unwrap_or_else(|e| panic!("{e}"));
            let title = format!("[{tag}] All SE endpoints down in {name}");
            proptest::prop_assert!(is_exact(&title, &region));
            proptest::prop_assert_eq!(parse_title(&title), Title::Alert(region));
        }
    }
}
