//! Joins an open page of the Service Endpoint team instead of opening another.

use outbound::error::Error;
use pagerduty::{Incident, Listed, Service, Urgency};
use runbook::diagnosis::note;
use runbook::page::{self, Candidate, Joining, Names, Opener};
use runbook::plan::Tried;
use runbook::writes::{Patience, key};
use store::{Right, StoreError, WantedWrite};

use crate::run::alone::to_its_end;
use crate::run::open_incidents::Seen;
use crate::run::steps::our_notes::{self, Mark};
use crate::run::steps::write::{NotPosted, carry};

use super::Subject;

/// How many other open pages are linked.
const MAX_OTHERS: usize = 5;

impl Subject<'_> {
    /// Of the open incidents that were seen, those of the service: the one to join, and others to be linked.
    pub(super) async fn open_pages(&self, service: &Service, seen: &Seen) -> Result<Joining<Incident>, Error> {
        let Self { context, run, .. } = self;
        let (region, regions) = (&run.region, &context.config.regions);
        let boxes = self.known().map(|(diagnosis, _)| diagnosis.zones.iter().flat_map(|zone| &zone.boxes));
        let box_ids: Vec<&str> = boxes.into_iter().flatten().map(|b| b.magic_box_id.as_str()).collect();
        let zones = regions.zones_of(region).names();
        let is_anothers = |name: &str| regions.is_anothers(region, name);
        let names = Names { region, zones: &zones, box_ids: &box_ids, is_anothers: &is_anothers };
        let alone;
        let listed: &Listed<Incident> = match seen {
            Ok(open) => open,
            // There may be more than PagerDuty lists at all: of one service there are fewer.
            Err(_) => {
                alone = context.pagerduty.open_incidents(std::slice::from_ref(&service.id)).await?;
                &alone
            }
        };
        if let Some(left) = listed.left_out.iter().find(|left| page::may_be_one(left, &service.id, &names)) {
            let got = format!(
                "an open incident of the service {} that may be the page of {region} can't be read: {}",
                service.id, left.why
            );
            return Err(Error::malformed("looking for an open page to join", got));
        }
        let mut open = Vec::new();
        for incident in listed.iter().filter(|open| open.service.as_ref().is_some_and(|its| its.id == service.id)) {
            open.push(Candidate {
                opener: self.opener(incident).await,
                title: incident.title.clone(),
                is_urgent: incident.urgency == Urgency::High,
                created_at: incident.created_at.map(|created| context.pagerduty.to_ours(created)),
                page: incident.clone(),
            });
        }
        Ok(page::join(open, &names, context.config.escalation.related_max_age, context.clock.now()))
    }

    /// Who opened an incident, by its key and what is stored.
    async fn opener(&self, incident: &Incident) -> Opener {
        let Some(alert) = page::alert_of(incident.incident_key.as_deref()) else { return Opener::Another };
        match self.context.store.alert(alert).await {
            Ok(Some(alert)) => Opener::Us(alert.region),
            // Of another database, or of ours before it was lost.
            Ok(None) | Err(_) => Opener::UsOnce,
        }
    }

    /// Writes what we know on their page, once.
    pub(super) async fn join(
        &self,
        page: Incident,
        others: &[Incident],
        service: &Service,
    ) -> Result<Tried, StoreError> {
        let Self { context, run, of, .. } = self;
        let (title, url) = run.incident.as_ref().map(|i| (i.title.as_str(), i.html_url.as_str())).unwrap_or_default();
        let run_url = context.config.run_url(&run.id);
        let links = &context.config.regions.links;
        let (diagnosis, earlier) = self.known().unzip();
        let diagnosis = diagnosis.map(|diagnosis| diagnosis.clone().earlier(context.clock.ahead()));
        let text = note::join_note(&run.region, diagnosis.as_ref(), earlier.flatten(), &run_url, links, title, url);
        // The alert's id is the mark by which an earlier try's note is found again.
        let text = format!("{text}{}\n{}", also_open(others), our_notes::alert_line(of.incident_id()));
        let key = key::of_join(of.incident_id(), &page.id);
        // Of a database that was lost, or of an older version, nothing is recorded.
        if context.store.recorded(&key).await?.is_none() {
            match our_notes::all(context, &page.id, &Mark::of(&key, "")).await {
                Ok(notes) if notes.is_empty() => {}
                Ok(_) => return self.read_back(page, Some(service), true).await,
                Err(error) => return Ok(self.trouble(error)),
            }
        }
        let (own, of, on) = ((*context).clone(), (*of).clone(), page.id.clone());
        let carried = to_its_end(async move {
            let wanted = WantedWrite { key: &key, on: &on, run_id: None, text: &text };
            carry(&own, wanted, Right::Page(&of), Patience::Tries(1), None).await
        });
        match carried.await? {
            Ok(_) => self.read_back(page, Some(service), true).await,
            Err(NotPosted::Refused(why)) => Ok(Tried::Refused(why)),
            Err(why) => Ok(self.later("joining an open page", why.to_string())),
        }
    }
}

/// Open incidents of the service that name the region or its boxes too, a line each.
pub(super) fn also_open(others: &[Incident]) -> String {
    let line = |other: &Incident| format!("\nAlso open on this service: {} {}", other.title, other.html_url);
    others.iter().take(MAX_OTHERS).map(line).collect()
}
