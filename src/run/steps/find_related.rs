//! Looks for a bigger outage. Runbook: "Determine if this issue isolated to SE endpoints".

use jiff::Timestamp;

use crate::alert::{KEY_PREFIX, Region, Title, Zone, contains_word, glb_zone_is_of, parse_title};
use crate::clock::between;
use crate::config::{Config, RegionZones, show_duration};
use crate::diagnosis::RelatedPage;
use crate::run::Facts;
use crate::run::tools::Tools;
use crate::upstream::pagerduty::Incident;

/// Open pages beside the alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Related {
    /// Those that explain the alert: registry is down for everyone.
    pub explaining: Vec<RelatedPage>,
    /// Those that are named, and hold an automatic page, though they don't explain the alert; each with why not.
    pub named: Vec<(RelatedPage, String)>,
    /// Other regions whose SE alert is open.
    pub other_regions: Vec<Region>,
    /// Open incidents of the alert's own service that name a zone, or konicle and the zone or the region.
    pub registry_pages: Vec<(Zone, RelatedPage)>,
}

/// How fresh a look must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The first of a run: one look serves all that ask at once.
    First,
    /// A second look is always fresh.
    Fresh,
}

impl Related {
    /// All of them, those that explain the alert first.
    pub fn pages(&self) -> Vec<RelatedPage> {
        self.explaining.iter().chain(self.named.iter().map(|(page, _)| page)).cloned().collect()
    }

    /// Their titles, for people.
    pub fn titles(&self) -> Vec<String> {
        self.pages().into_iter().map(|page| page.title).collect()
    }
}

/// What a look came to, and when.
#[derive(Clone, Debug)]
pub struct Looked {
    /// When it was made.
    pub at: Timestamp,
    /// What was open, or why that is not known.
    pub found: Result<Related, String>,
}

impl Looked {
    /// Puts it into what a run's note is made of; gives the pages that the run is to name.
    pub fn keep(&self, facts: &mut Facts) -> Vec<RelatedPage> {
        let nothing = Related::default();
        let related = self.found.as_ref().unwrap_or(&nothing);
        facts.related_at = Some(self.at);
        facts.related_unknown = self.found.as_ref().err().cloned();
        facts.explaining = related.explaining.len();
        facts.related_only_named = related
            .named
            .iter()
            .map(|(page, why)| format!("{} does not explain the alert: {why}", page.title))
            .collect();
        facts.other_regions.clone_from(&related.other_regions);
        facts.registry_pages.clone_from(&related.registry_pages);
        related.pages()
    }

    /// Whether a page is open that explains the alert.
    pub fn is_explained(&self) -> bool {
        self.found.as_ref().is_ok_and(|related| !related.explaining.is_empty())
    }
}

/// Looks at all open incidents.
///
/// # Errors
/// Why it is not known.
pub async fn find_related(
    tools: &Tools,
    region: &Region,
    alert: Option<&str>,
    opened: Option<Timestamp>,
    look: Look,
) -> Result<Related, String> {
    let open = match look {
        Look::First => tools.open_incidents.shared(&tools.pagerduty).await?,
        Look::Fresh => tools.open_incidents.fresh(&tools.pagerduty).await?,
    };
    let mut related = sort_out(&open, &tools.config, region, opened);
    related.registry_pages = registry_pages(&open, alert, &tools.config.zones_of(region));
    Ok(related)
}

/// Open incidents of the alert's own service that name a zone of the region, or konicle and the zone or the region.
/// Pure. Runbook: "there should be one or more pages in Registry's PD related to microservices", "Look for PDs in
/// registry about konicle in this zone".
fn registry_pages(open: &[Incident], alert: Option<&str>, zones: &RegionZones) -> Vec<(Zone, RelatedPage)> {
    let service = |i: &Incident| i.service.as_ref().map(|s| s.id.clone());
    let Some(own) = open.iter().find(|i| Some(i.id.as_str()) == alert).and_then(service) else { return Vec::new() };
    let mut pages = Vec::new();
    for incident in open.iter().filter(|i| service(i).as_deref() == Some(own.as_str()) && Some(i.id.as_str()) != alert)
    {
        // A page about the whole region's endpoints is told of elsewhere.
        if parse_title(&incident.title) != Title::Other {
            continue;
        }
        let konicle = contains_word(&incident.title.to_lowercase(), "konicle");
        let region = contains_word(&incident.title, zones.region.as_str());
        let one_zones = zones.names().iter().any(|zone| contains_word(&incident.title, zone.as_str()));
        for zone in zones.names() {
            // A cluster's name has the region's in it: a page about one zone is no other's.
            if contains_word(&incident.title, zone.as_str()) || (konicle && region && !one_zones) {
                pages.push((zone, page_of(incident)));
            }
        }
    }
    pages
}

fn page_of(incident: &Incident) -> RelatedPage {
    RelatedPage { id: incident.id.clone(), title: incident.title.clone(), html_url: incident.html_url.clone() }
}

/// Sorts open incidents by what their titles say. Pure.
fn sort_out(open: &[Incident], config: &Config, region: &Region, opened: Option<Timestamp>) -> Related {
    let glb_zones = config.zones_of(region).glb_zones;
    let mut related = Related::default();
    for incident in open.iter().filter(|i| !is_ours(i, config)) {
        let page = || page_of(incident);
        let explains = match parse_title(&incident.title) {
            Title::PublicDown(of) => of == *region,
            Title::GlbDown { glb_zone } if glb_zone_is_of(region, &glb_zones, &glb_zone) => true,
            Title::GlbDown { glb_zone } => {
                related.named.push((page(), format!("the GLB zone {glb_zone} is not known to be one of {region}")));
                continue;
            }
            Title::Alert(other) => {
                if other != *region && !related.other_regions.contains(&other) {
                    related.other_regions.push(other);
                }
                continue;
            }
            Title::Other => continue,
        };
        if !explains {
            continue;
        }
        let age = incident.created_at.zip(opened).map(|(created, opened)| between(created, opened));
        match age {
            // "Already this old": from that very age on.
            Some(age) if age >= config.escalation.related_max_age => {
                related.named.push((page(), format!("it was {} old when the alert opened", show_duration(age))));
            }
            _ => related.explaining.push(page()),
        }
    }
    related.other_regions.sort();
    related
}

/// Pages that this service opened, and whatever is on the escalation service, are never related.
fn is_ours(incident: &Incident, config: &Config) -> bool {
    let service = incident.service.as_ref();
    let wanted = &config.escalation.service;
    incident.incident_key.as_ref().is_some_and(|key| key.starts_with(KEY_PREFIX))
        || service.is_some_and(|s| s.id == *wanted || s.name == *wanted)
}

#[cfg(test)]
mod tests;
