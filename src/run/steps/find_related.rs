//! Looks for a bigger outage. Runbook: "Determine if this issue isolated to SE endpoints".

use jiff::Timestamp;

use crate::alert::{KEY_PREFIX, Region, Title, glb_zone_is_of, parse_title};
use crate::clock::between;
use crate::config::{Config, show_duration};
use crate::diagnosis::RelatedPage;
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

/// Looks at all open incidents.
///
/// # Errors
/// Why it is not known.
pub async fn find_related(tools: &Tools, region: &Region, opened: Option<Timestamp>) -> Result<Related, String> {
    let open = tools.pagerduty.open_incidents(&[]).await.map_err(|e| e.to_string())?;
    Ok(sort_out(&open, &tools.config, region, opened))
}

/// Sorts open incidents by what their titles say. Pure.
fn sort_out(open: &[Incident], config: &Config, region: &Region, opened: Option<Timestamp>) -> Related {
    let glb_zones = config.zones_of(region).glb_zones;
    let mut related = Related::default();
    for incident in open.iter().filter(|i| !is_ours(i, config)) {
        let page = || RelatedPage {
            id: incident.id.clone(),
            title: incident.title.clone(),
            html_url: incident.html_url.clone(),
        };
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
            Some(age) if age > config.escalation.related_max_age => {
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
