//! Looks for a bigger outage. Runbook: "Determine if this issue isolated to SE endpoints".

use jiff::Timestamp;

use crate::config::{Config, EscalationSettings, Regions};
use crate::run::open_incidents::Seen;
use pagerduty::{Incident, Status};
use runbook::alert::{KEY_PREFIX, Region, Title, Zone, is_named, parse_title};
use runbook::diagnosis::RelatedPage;
use runbook::json::LeftOut;
use runbook::related::{AT_ONCE, Related};
use runbook::run::{Facts, Owners};
use runbook::span::{between, show_duration};

/// Whose an incident is: its service, escalation policy and teams.
pub fn owners_of(incident: &Incident) -> Owners {
    let service_id = incident.service.as_ref().map(|s| s.id.clone()).filter(|id| !id.is_empty());
    Owners { service_id, policy_id: incident.policy_id.clone(), team_ids: incident.team_ids.clone() }
}

/// Finds an alert's related pages among the open incidents that were seen. Pure.
///
/// # Errors
/// Why they are not known.
pub fn find_related(
    seen: &Seen,
    config: &Config,
    region: &Region,
    alert: Option<&str>,
    facts: &Facts,
) -> Result<Related, String> {
    let open = seen.as_ref().map_err(ToString::to_string)?;
    let left_out = left_out(&open.left_out, region)?;
    let mut related = sort_out(open.iter(), &config.regions, &config.escalation, region, facts.alert_opened_at);
    // Whatever people have made of its title, an alert does not explain itself.
    related.explaining.retain(|page| Some(page.id.as_str()) != alert);
    related.named.retain(|(page, _)| Some(page.id.as_str()) != alert);
    related.at_once =
        at_once(open.iter(), &config.escalation, region, [facts.alert_opened_at, facts.alert_triggered_at]);
    related.left_out = left_out;
    // A list may not show the alert, or not so that it can be read: then as PagerDuty showed the alert itself.
    let listed = alert.and_then(|id| open.find(id)).map(owners_of);
    let owners = listed.as_ref().or(facts.alert_owners.as_ref()).filter(|_| alert.is_some());
    related.registry_pages = registry_pages(open, alert, owners, config, region);
    related.page_open = open.iter().any(|i| is_on_escalation_service(i, &config.escalation));
    Ok(related)
}

/// What is to be said of open incidents that can't be read. Pure.
///
/// # Errors
/// One of them may explain the alert, by its title.
fn left_out(left_out: &[LeftOut], region: &Region) -> Result<Option<String>, String> {
    let explains = |title: &str| match parse_title(title) {
        Title::PublicDown(of) => of == *region,
        Title::GlbDown { .. } => true,
        _ => false,
    };
    if let Some(title) = left_out.iter().filter_map(|left| left.text("title")).find(|title| explains(title)) {
        return Err(format!("PagerDuty lists {title:?} as open, and the rest of that incident can't be read"));
    }
    let Some(first) = left_out.first() else { return Ok(None) };
    let named = first.text("title").or_else(|| first.text("id")).unwrap_or("no title");
    let incidents = if left_out.len() == 1 { "incident" } else { "incidents" };
    Ok(Some(format!(
        "{} open {incidents} in PagerDuty can't be read and can't be counted as related pages: {named:.80} ({})",
        left_out.len(),
        first.why
    )))
}

/// Open incidents of the alert's own service, its escalation policy or one of its teams that name a zone of the region,
/// or konicle and the region. Pure. Runbook: "there should be one or more pages in Registry's PD related to
/// microservices", "Look for PDs in registry about konicle in this zone".
fn registry_pages(
    open: &[Incident],
    alert: Option<&str>,
    owners: Option<&Owners>,
    config: &Config,
    region: &Region,
) -> Option<Vec<(Zone, RelatedPage)>> {
    let owners = owners?;
    let is_registrys = |i: &&Incident| owners.overlap(&owners_of(i));
    let zones = config.zones_of(region).names();
    let mut pages = Vec::new();
    let others = open.iter().filter(|i| Some(i.id.as_str()) != alert && !is_ours(i, &config.escalation));
    for incident in others.filter(is_registrys) {
        let is_named = |name: &str| is_named(&incident.title, name);
        let konicle = is_named("konicle") && is_named(region.as_str());
        // A cluster's name has the region's in it: a page about one zone is no other's.
        let named = zones.iter().filter(|zone| konicle || is_named(zone.as_str()));
        pages.extend(named.map(|zone| (zone.clone(), page_of(incident))));
    }
    Some(pages)
}

fn page_of(incident: &Incident) -> RelatedPage {
    RelatedPage { id: incident.id.clone(), title: incident.title.clone(), html_url: incident.html_url.clone() }
}

/// Sorts open incidents by what their titles say. Pure.
pub(crate) fn sort_out<'a>(
    open: impl IntoIterator<Item = &'a Incident>,
    regions: &Regions,
    escalation: &EscalationSettings,
    region: &Region,
    opened: Option<Timestamp>,
) -> Related {
    let mut related = Related::default();
    for incident in open.into_iter().filter(|i| !is_ours(i, escalation)) {
        let page = || page_of(incident);
        let explains = match parse_title(&incident.title) {
            Title::PublicDown(of) => of == *region,
            Title::GlbDown { glb_zone } if regions.is_explained_by(region, &glb_zone) => true,
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
            Some(age) if age >= escalation.related_max_age => {
                related.named.push((page(), format!("it was {} old when the alert opened", show_duration(age))));
            }
            _ => related.explaining.push(page()),
        }
    }
    related.other_regions.sort();
    related
}

/// The other regions whose alert opened, or was triggered again, within five minutes of when this one was. Pure.
fn at_once<'a>(
    open: impl IntoIterator<Item = &'a Incident>,
    escalation: &EscalationSettings,
    region: &Region,
    ours: [Option<Timestamp>; 2],
) -> Vec<Region> {
    let near = |a: Timestamp, b: Timestamp| between(a, b).max(between(b, a)) <= AT_ONCE;
    let mut regions: Vec<Region> = Vec::new();
    for incident in open.into_iter().filter(|i| !is_ours(i, escalation)) {
        let Title::Alert(other) = parse_title(&incident.title) else { continue };
        // What is triggered was last changed when it opened, or when it was triggered again: reopened, or no longer acknowledged.
        let again = incident.last_status_change_at.filter(|_| incident.status == Status::Triggered);
        let theirs = [incident.created_at, again];
        let is_near = ours.iter().flatten().any(|our| theirs.iter().flatten().any(|their| near(*our, *their)));
        if other != *region && is_near && !regions.contains(&other) {
            regions.push(other);
        }
    }
    regions.sort();
    regions
}

/// Pages that this service opened, and whatever is on the escalation service, are never related.
pub(crate) fn is_ours(incident: &Incident, escalation: &EscalationSettings) -> bool {
    incident.incident_key.as_ref().is_some_and(|key| key.starts_with(KEY_PREFIX))
        || is_on_escalation_service(incident, escalation)
}

/// Whether an incident is on the service of those who would be paged.
pub(crate) fn is_on_escalation_service(incident: &Incident, escalation: &EscalationSettings) -> bool {
    let wanted = &escalation.service;
    incident.service.as_ref().is_some_and(|s| s.id == *wanted || s.name == *wanted)
}

#[cfg(test)]
mod tests;
