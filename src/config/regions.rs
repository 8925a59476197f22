//! The regions file: which zones a region has, which context reaches each, which GLB zones are its own.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::healthcheck::{Healthcheck, HealthcheckTable};
use clusters::ZoneEntry;
use runbook::alert::{Region, Zone, contains_word};
use runbook::links::Links;

/// The regions file, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    regions: Vec<RegionZones>,
    /// The runbook's links, as overridden.
    pub links: Links,
    /// `[healthcheck]`: how the client of the end-to-end test is asked; `None`: it is not.
    pub healthcheck: Option<Healthcheck>,
}

/// One region's zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionZones {
    /// The region.
    pub region: Region,
    /// Whether the regions file lists it; if not, the zones are the default ones.
    pub listed: bool,
    /// Its zones, in the file's order: the first is what the Jenkins job is asked with.
    pub zones: Vec<ZoneEntry>,
    /// The GLB's words for its zones.
    pub glb_zones: Vec<String>,
}

impl RegionZones {
    /// The zones' names, in order.
    pub fn names(&self) -> Vec<Zone> {
        self.zones.iter().map(|z| z.zone.clone()).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    regions: Vec<FileRegion>,
    #[serde(default)]
    links: Links,
    healthcheck: Option<HealthcheckTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRegion {
    name: String,
    #[serde(default)]
    glb_zones: Vec<String>,
    #[serde(default)]
    zones: Vec<FileZone>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileZone {
    cluster: String,
    context: Option<String>,
}

impl Regions {
    /// Reads the file's text.
    ///
    /// # Errors
    /// Every problem in it, each in words: TOML that can't be read, a name that can't be, a region without zones, a
    /// region or a zone listed twice, a link that is no URL, whatever is wrong with `[healthcheck]`.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let file: File = toml::from_str(text).map_err(|e| vec![e.to_string().trim_end().to_owned()])?;
        let mut problems = Vec::new();
        let mut regions: Vec<RegionZones> = Vec::new();
        let mut seen = BTreeSet::new();
        for entry in file.regions {
            let region: Region = match entry.name.parse() {
                Ok(region) => region,
                Err(e) => {
                    problems.push(e.to_string());
                    continue;
                }
            };
            if regions.iter().any(|r| r.region == region) {
                problems.push(format!("the region {region} is listed twice"));
            }
            if entry.zones.is_empty() {
                problems.push(format!("the region {region} lists no zone: give it [[regions.zones]] with a cluster"));
            }
            for zone in &entry.zones {
                let name = &zone.cluster;
                let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                if name.is_empty() || !name.bytes().all(valid) {
                    problems.push(format!(
                        "the cluster {name:?} of {region}: a cluster's name is lower-case letters, digits and '-'"
                    ));
                }
                if !seen.insert(name.clone()) {
                    problems.push(format!("the cluster {name} is listed twice"));
                }
            }
            let zones =
                entry.zones.into_iter().map(|z| ZoneEntry { zone: Zone::new(z.cluster), context: z.context }).collect();
            regions.push(RegionZones { region, listed: true, zones, glb_zones: entry.glb_zones });
        }
        let links = file.links;
        for (name, link) in [
            ("service_endpoint_slack", &links.service_endpoint_slack),
            ("registry_slack", &links.registry_slack),
            ("escalation_policy", &links.escalation_policy),
            ("issue_tracker", &links.issue_tracker),
        ] {
            if !url::Url::parse(link).is_ok_and(|u| matches!(u.scheme(), "http" | "https")) {
                problems.push(format!("links.{name} is {link:?}, which is not an http(s) URL"));
            }
        }
        let healthcheck = file.healthcheck.and_then(|table| table.read(&mut problems));
        if problems.is_empty() { Ok(Self { regions, links, healthcheck }) } else { Err(problems) }
    }

    /// What is known of a region: its entry, or the three default zones.
    pub fn zones_of(&self, region: &Region) -> RegionZones {
        self.regions.iter().find(|r| r.region == *region).cloned().unwrap_or_else(|| RegionZones {
            region: region.clone(),
            listed: false,
            zones: region.default_zones().into_iter().map(|zone| ZoneEntry { zone, context: None }).collect(),
            glb_zones: Vec::new(),
        })
    }

    /// Whether the file lists a name for another region than this, or for one of its zones.
    pub fn is_anothers(&self, region: &Region, name: &str) -> bool {
        let mut others = self.regions.iter().filter(|r| r.region != *region);
        others.any(|r| r.region.as_str() == name || r.zones.iter().any(|z| z.zone.as_str() == name))
    }

    /// Whether a GLB page about `glb_zone` explains an alert of `region`: where the region lists GLB zones, by its list;
    /// else where the zone's name has the region's, or where it is nobody's as far as the file knows. Without a file
    /// nobody knows whose it is.
    pub fn is_explained_by(&self, region: &Region, glb_zone: &str) -> bool {
        let lists = |zones: &[String]| zones.iter().any(|zone| zone.eq_ignore_ascii_case(glb_zone));
        let own = self.zones_of(region).glb_zones;
        if !own.is_empty() {
            return lists(&own);
        }
        let is_anothers = |r: &RegionZones| lists(&r.glb_zones) || contains_word(glb_zone, r.region.in_glb_zones());
        region.is_of_several_parts() && contains_word(glb_zone, region.in_glb_zones())
            || (!self.is_empty() && !self.regions.iter().any(is_anothers))
    }

    /// Every zone that the file lists, with its region.
    pub fn listed_zones(&self) -> Vec<(Zone, Region)> {
        let of_region = |entry: &RegionZones| {
            entry.names().into_iter().map(|zone| (zone, entry.region.clone())).collect::<Vec<_>>()
        };
        self.regions.iter().flat_map(of_region).collect()
    }

    /// Every region that the file lists, in its order.
    pub fn all(&self) -> &[RegionZones] {
        &self.regions
    }

    /// Whether the file lists any region.
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runbook::alert::is_region_named;

    #[test]
    fn a_listed_region_has_its_zones_and_another_the_default_ones() {
        let regions = Regions::parse(
            r#"
            [[regions]]
            name = "prod-us-south"
            glb_zones = ["us-south"]
            [[regions.zones]]
            cluster = "registry-prod-us-south-az1"
            context = "az1/abc"
            [[regions.zones]]
            cluster = "registry-prod-us-south-az2"
            "#,
        )
        .unwrap();
        let south = regions.zones_of(&"prod-us-south".parse().unwrap());
        assert!(south.listed);
        assert_eq!(south.names().len(), 2);
        assert_eq!(south.zones[0].context.as_deref(), Some("az1/abc"));
        let other = regions.zones_of(&"prod-eu-de".parse().unwrap());
        assert!(!other.listed);
        assert_eq!(other.names()[2].as_str(), "registry-prod-eu-de-az3");
    }

    #[test]
    fn another_regions_name_is_not_taken_for_a_box() {
        let regions = Regions::parse(
            r#"
            [[regions]]
            name = "prod-us-south"
            [[regions.zones]]
            cluster = "prod-us-south"
            [[regions]]
            name = "prod-us-south-2"
            [[regions.zones]]
            cluster = "prod-us-south-3"
            "#,
        )
        .unwrap();
        let region: Region = "prod-us-south".parse().unwrap();
        let zones = regions.zones_of(&region).names();
        let named = |text: &str| is_region_named(text, &region, &zones, |name| regions.is_anothers(&region, name));
        assert!(named("prod-us-south: down") && named("box prod-us-south-1: down"));
        assert!(!named("prod-us-south-2: down") && !named("prod-us-south-3: down"));
    }

    #[test]
    fn a_glb_zone_is_its_regions_or_nobodys() {
        let entry = |name: &str, glb: &str| {
            format!("[[regions]]\nname = \"{name}\"\nglb_zones = [{glb}]\n[[regions.zones]]\ncluster = \"{name}-1\"\n")
        };
        let files = [
            String::new(),
            entry("prod-us-south", "")
                + &entry("prod-us-east", "")
                + &entry("prod-eu-de", "\"fra\"")
                + &entry("local", ""),
            entry("prod-us-south", "\"dal\", \"us-south-dal12\"") + &entry("prod-us-east", ""),
            entry("prod-us-east", ""),
        ];
        for (zone, explains) in [
            ("us-south", [true, true, false, true]),
            ("US-South-dal10", [true, true, false, true]),
            ("x-us-south", [true, true, false, true]),
            ("DAL", [false, true, true, true]),
            ("us-south-dal12", [true, true, true, true]),
            // Nobody's: dealt with first, where a file says who is somebody.
            ("mars", [false, true, false, true]),
            ("us-south2", [false, true, false, true]),
            ("aus-south", [false, true, false, true]),
            ("prod-us", [false, true, false, true]),
            // Another region's, by its name or its list.
            ("us-east-wdc06", [false, false, false, false]),
            ("prod-us-east", [false, false, false, false]),
            ("Fra", [false, false, false, true]),
            ("eu-de-1", [false, false, false, true]),
            ("local-2", [false, false, false, true]),
        ] {
            for (text, explains) in files.iter().zip(explains) {
                let regions = Regions::parse(text).unwrap();
                assert_eq!(regions.is_explained_by(&"prod-us-south".parse().unwrap(), zone), explains, "{zone} {text}");
            }
        }
        // The name of a region of one part has nothing left without its first.
        assert!(!Regions::default().is_explained_by(&"local".parse().unwrap(), "local"));
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let problems = Regions::parse(
            "[links]\nissue_tracker = \"nowhere\"\n[[regions]]\nname = \"A\"\n[[regions]]\nname = \"b\"\n\
             [[regions]]\nname = \"b\"\n[[regions.zones]]\ncluster = \"X Y\"\n",
        )
        .unwrap_err();
        let all = problems.join("\n");
        for part in ["\"A\" is not a region", "b lists no zone", "b is listed twice", "\"X Y\"", "issue_tracker"] {
            assert!(all.contains(part), "{part} in {all}");
        }
        assert!(Regions::parse("[[region]]\n").unwrap_err()[0].contains("region"));
    }
}
