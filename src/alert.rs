//! What a PagerDuty title means, and the names that everything else is keyed by. Pure.
//!
//! The runbook's three titles are the whole language: the alert itself and the two pages that explain it away.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// Reads a title. Leading `[…]` tags and outer white space don't count.
///
/// Runbook: "Example Alerts" and "Determine if this issue isolated to SE endpoints".
pub fn parse_title(title: &str) -> Title {
    let title = strip_tags(title);
    if let Some(region) = title.strip_prefix("All SE endpoints down in ").and_then(|r| r.parse().ok()) {
        return Title::Alert(region);
    }
    if let Some(region) = title.strip_prefix("All Public endpoints down in ").and_then(|r| r.parse().ok()) {
        return Title::PublicDown(region);
    }
    match glb_zone(title) {
        Some(glb_zone) => Title::GlbDown { glb_zone },
        None => Title::Other,
    }
}

fn strip_tags(title: &str) -> &str {
    let mut rest = title.trim();
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|tag| tag.split_once(']')) {
        rest = after.trim_start();
    }
    rest
}

fn glb_zone(title: &str) -> Option<String> {
    let origin = title
        .strip_prefix("DOWN | Origin - reg-glob-")?
        .strip_suffix(" | Pool - reg-glob | Response code mismatch error")?;
    let (zone, endpoint) = origin.rsplit_once("-endpoint-")?;
    let word =
        |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.');
    (word(zone) && word(endpoint)).then(|| zone.to_owned())
}

/// Whether `word` stands in `text` as a whole word: no letter or digit beside it.
pub fn contains_word(text: &str, word: &str) -> bool {
    !word.is_empty()
        && text.match_indices(word).any(|(at, found)| {
            let before = text[..at].chars().next_back();
            let after = text[at + found.len()..].chars().next();
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        })
}

/// Whether a GLB page about `glb_zone` is about `region`: by the regions file's `glb_zones` where it lists any, else
/// where the zone's name has the region's name without its first part (`us-south`) as a whole word.
pub fn glb_zone_is_of(region: &Region, listed: &[String], glb_zone: &str) -> bool {
    if !listed.is_empty() {
        return listed.iter().any(|z| z == glb_zone);
    }
    region.as_str().split_once('-').is_some_and(|(_, rest)| contains_word(glb_zone, rest))
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
        ] {
            assert_eq!(parse_title(title), Title::Alert(region("prod-us-south")), "{title:?}");
        }
    }

    #[test]
    fn a_region_is_a_name_and_nothing_else() {
        for title in [
            "All SE endpoints down in ",
            "All SE endpoints down in Prod-us",
            "All SE endpoints down in prod us",
            "All SE endpoints down in ../etc",
            "All SE endpoints down in prod-us-south; rm",
            "All SE endpoints down in prod-üs",
            "all se endpoints down in prod-us-south",
            "RESOLVED All SE endpoints down in prod-us-south",
            "[unclosed All SE endpoints down in prod-us-south",
            "",
        ] {
            assert_eq!(parse_title(title), Title::Other, "{title:?}");
        }
    }

    #[test]
    fn related_titles() {
        assert_eq!(parse_title("[x] All Public endpoints down in prod-eu-de"), Title::PublicDown(region("prod-eu-de")));
        let glb =
            "DOWN | Origin - reg-glob-us-south-dal10-endpoint-01 | Pool - reg-glob | Response code mismatch error";
        assert_eq!(parse_title(glb), Title::GlbDown { glb_zone: "us-south-dal10".into() });
        for other in [
            "UP | Origin - reg-glob-us-south-endpoint-01 | Pool - reg-glob | Response code mismatch error",
            "DOWN | Origin - reg-glob--endpoint-01 | Pool - reg-glob | Response code mismatch error",
            "DOWN | Origin - reg-glob-us-south-endpoint- | Pool - reg-glob | Response code mismatch error",
            "DOWN | Origin - reg-glob-us-south-endpoint-01 | Pool - reg-other | Response code mismatch error",
            "DOWN | Origin - reg-glob-us-south-endpoint-01 | Pool - reg-glob | Timeout",
        ] {
            assert_eq!(parse_title(other), Title::Other, "{other:?}");
        }
    }

    #[test]
    fn glb_zones_map_to_regions() {
        let south = region("prod-us-south");
        assert!(glb_zone_is_of(&south, &[], "us-south"));
        assert!(glb_zone_is_of(&south, &[], "us-south-dal10"));
        assert!(glb_zone_is_of(&south, &[], "x-us-south"));
        assert!(!glb_zone_is_of(&south, &[], "us-south2"));
        assert!(!glb_zone_is_of(&south, &[], "aus-south"));
        assert!(!glb_zone_is_of(&south, &[], "us-east"));
        assert!(!glb_zone_is_of(&region("local"), &[], "local"));
        let listed = vec!["dal".to_owned()];
        assert!(glb_zone_is_of(&south, &listed, "dal"));
        assert!(!glb_zone_is_of(&south, &listed, "us-south"), "a listed region is mapped by its list alone");
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

    #[test]
    fn words() {
        assert!(contains_word("page about prod-us-south!", "prod-us-south"));
        assert!(!contains_word("prod-us-south1", "prod-us-south"));
        assert!(!contains_word("anything", ""));
    }

    proptest::proptest! {
        #[test]
        fn any_title_is_survived(title in ".*") {
            let _ = parse_title(&title);
        }

        #[test]
        fn every_region_comes_back(name in "[a-z0-9-]{1,40}", tag in "[^\\]]{0,9}") {
            proptest::prop_assert_eq!(
                parse_title(&format!("[{tag}] All SE endpoints down in {name}")),
                Title::Alert(name.parse().unwrap_or_else(|e| panic!("{e}")))
            );
        }
    }
}
