//! Joins an open page of the Service Endpoint team instead of opening another.

use outbound::error::Error;
use pagerduty::{Incident, Listed, Service, Urgency};
use runbook::alert::{KEY_PREFIX, is_named};
use runbook::diagnosis::note;
use runbook::json::LeftOut;
use runbook::span::between;
use store::{Right, StoreError, WantedWrite};

use crate::run::alone::to_its_end;
use crate::run::open_incidents::Seen;
use crate::run::steps::our_notes::{self, Mark};
use crate::run::steps::write::{NotPosted, carry};
use runbook::plan::Tried;
use runbook::writes::{Patience, key};

use super::Subject;

/// How many other open pages are linked.
const MAX_OTHERS: usize = 5;

impl Subject<'_> {
    /// Of the open incidents that were seen, those of the service that name the region or a box: the one to join, which is ours for this region, or
    /// urgent and young (the oldest of several, since that is where people are), and the others, to be linked.
    pub(super) async fn open_pages(
        &self,
        service: &Service,
        seen: &Seen,
    ) -> Result<(Option<Incident>, Vec<Incident>), Error> {
        let Self { context, run, .. } = self;
        let alone;
        let listed: &Listed<Incident> = match seen {
            Ok(open) => open,
            // There may be more than PagerDuty lists at all: of one service there are fewer.
            Err(_) => {
                alone = context.pagerduty.open_incidents(std::slice::from_ref(&service.id)).await?;
                &alone
            }
        };
        // Theirs may be among what can't be read: another is not opened beside it.
        if let Some(left) = listed.left_out.iter().find(|left| may_be_on(service, left) && self.may_be_theirs(left)) {
            let got = format!(
                "an open incident of the service {} that names {} and can't be read: {}",
                service.id, run.region, left.why
            );
            return Err(Error::malformed("looking for an open page to join", got));
        }
        let is_on = |page: &&Incident| page.service.as_ref().is_some_and(|its| its.id == service.id);
        let mut open: Vec<Incident> = listed.iter().filter(is_on).cloned().collect();
        let now = context.clock.now();
        // Ours for this region, whatever people have made of its title.
        let mut ours = Vec::new();
        for page in &open {
            let Some(alert_id) = page.incident_key.as_deref().and_then(|key| key.strip_prefix(KEY_PREFIX)) else {
                continue;
            };
            let is_ours = match context.store.alert(alert_id).await {
                Ok(Some(alert)) => alert.region == run.region,
                // Of another database, or of ours before it was lost: then its title says which region it is of.
                Ok(None) | Err(_) => context.config.regions.is_named(&run.region, &page.title),
            };
            if is_ours {
                ours.push(page.id.clone());
            }
        }
        open.retain(|page| ours.contains(&page.id) || self.is_named_in(&page.title));
        open.sort_by_key(|page| page.created_at);
        let joinable = |page: &Incident| {
            let age = page.created_at.map(|created| between(context.pagerduty.to_ours(created), now));
            let young = age.is_some_and(|age| age < context.config.escalation.related_max_age);
            ours.contains(&page.id) || (page.urgency == Urgency::High && young)
        };
        let joined = open.iter().position(joinable).map(|at| open.remove(at));
        Ok((joined, open))
    }

    /// Whether what can be read of an incident says that it is ours, or is about the region.
    fn may_be_theirs(&self, left: &LeftOut) -> bool {
        let title = left.text("title").unwrap_or_default();
        left.text("incident_key").is_some_and(|key| key.starts_with(KEY_PREFIX)) || self.is_named_in(title)
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

    /// Whether a title names the region, one of its zones or boxes, or one of the Magic Box IDs.
    fn is_named_in(&self, title: &str) -> bool {
        let boxes = self.known().map(|(diagnosis, _)| diagnosis.zones.iter().flat_map(|zone| &zone.boxes));
        self.context.config.regions.is_named(&self.run.region, title)
            || boxes.into_iter().flatten().any(|b| is_named(title, &b.magic_box_id))
    }
}

/// Whether what can't be read may be an incident of this service: where it says of which it is, it is of no other.
fn may_be_on(service: &Service, left: &LeftOut) -> bool {
    let its = left.entry.get("service").and_then(|its| its.get("id")?.as_str());
    its.is_none_or(|its| its == service.id)
}

/// Open incidents of the service that name the region or its boxes too, a line each.
pub(super) fn also_open(others: &[Incident]) -> String {
    let line = |other: &Incident| format!("\nAlso open on this service: {} {}", other.title, other.html_url);
    others.iter().take(MAX_OTHERS).map(line).collect()
}
