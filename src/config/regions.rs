//! The regions file: which zones a region has, which context reaches each, which GLB zones are its own.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::alert::{Region, Zone};

/// The regions file, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    regions: Vec<RegionZones>,
    /// The runbook's links, as overridden.
    pub links: Links,
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

/// One zone and how kubectl reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneEntry {
    /// The registry cluster.
    pub zone: Zone,
    /// The kubeconfig context; `None` is the one named as the cluster, else the only one that begins with
    /// `<cluster>/`.
    pub context: Option<String>,
}

/// Where people are sent: the runbook's links unless `[links]` says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Links {
    /// `#private-marketplace`, where the Service Endpoint team is.
    pub service_endpoint_slack: String,
    /// `registry-va-users`, where Registry is.
    pub registry_slack: String,
    /// Registry's escalation policy.
    pub escalation_policy: String,
    /// Where problems with the runbook or the page are filed.
    pub issue_tracker: String,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            service_endpoint_slack: "https://ibm-cloudplatform.slack.com/messages/C88C6N338".into(),
            registry_slack: "https://ibm-argonauts.slack.com/messages/C53RR7TPE".into(),
            escalation_policy: "https://ibm.pagerduty.com/escalation_policies#PVHCBN9".into(),
            issue_tracker: "https://github.ibm.com/alchemy-registry/registry-build-squad/issues/new".into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    regions: Vec<FileRegion>,
    #[serde(default)]
    links: Links,
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
    /// region or a zone listed twice, a link that is no URL.
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
        if problems.is_empty() { Ok(Self { regions, links }) } else { Err(problems) }
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
