//! Joins an open page of the Service Endpoint team instead of opening another.

use jiff::Timestamp;

use crate::alert::{KEY_PREFIX, Region, contains_word};
use crate::clock::between;
use crate::diagnosis::{Diagnosis, note};
use crate::store::StoreError;
use crate::upstream::pagerduty::{Incident, Service, Urgency};
use crate::upstream::{Error, Kind, look_until};

use super::{Subject, Try};

/// How many other open pages are linked.
const MAX_OTHERS: usize = 5;

impl Subject<'_> {
    /// Open incidents of the service that name the region or a box: the one to join, which is ours for this region, or
    /// urgent and young (the oldest of several, since that is where people are), and the others, to be linked.
    pub(super) async fn open_pages(&self, service: &Service) -> Result<(Option<Incident>, Vec<Incident>), Error> {
        let Self { tools, run, .. } = self;
        let mut open = tools.pagerduty.open_incidents(std::slice::from_ref(&service.id)).await?;
        let now = tools.clock.now();
        // Ours for this region, whatever people have made of its title.
        let mut ours = Vec::new();
        for page in &open {
            let Some(alert_id) = page.incident_key.as_deref().and_then(|key| key.strip_prefix(KEY_PREFIX)) else {
                continue;
            };
            let is_ours = match tools.store.alert(alert_id).await {
                Ok(Some(alert)) => alert.region == run.region,
                // Of another database, or of ours before it was lost: then its title says which region it is of.
                Ok(None) | Err(_) => contains_word(&page.title, run.region.as_str()),
            };
            if is_ours {
                ours.push(page.id.clone());
            }
        }
        open.retain(|page| {
            ours.contains(&page.id) || names(&page.title, &run.region, self.known().map(|(diagnosis, _)| diagnosis))
        });
        open.sort_by_key(|page| page.created_at);
        let joinable = |page: &Incident| {
            let young =
                page.created_at.is_some_and(|created| between(created, now) < tools.config.escalation.related_max_age);
            ours.contains(&page.id) || (page.urgency == Urgency::High && young)
        };
        let joined = open.iter().position(joinable).map(|at| open.remove(at));
        Ok((joined, open))
    }

    /// Writes what we know on their page, once.
    pub(super) async fn join(&self, page: Incident, others: &[Incident], service: &Service) -> Result<Try, StoreError> {
        let Self { tools, run, lease, .. } = self;
        let (title, url) = run.incident.as_ref().map(|i| (i.title.as_str(), i.html_url.as_str())).unwrap_or_default();
        let run_url = tools.config.run_url(&run.id);
        let links = &tools.config.regions.links;
        let (diagnosis, earlier) = self.known().unzip();
        let text = note::join_note(&run.region, diagnosis, earlier.flatten(), &run_url, links, title, url);
        // The alert's id is the mark by which an earlier try's note is found again.
        let mark = format!("se-responder alert {}", lease.incident_id());
        // A worker before us may have been cut off this instant, its note just sent.
        let until = if lease.attempt() > 1 { self.lag_from_now() } else { tools.clock.now() };
        match self.is_marked(&page.id, &mark, until).await {
            Ok(true) => {}
            Ok(false) => {
                if let Err(error) =
                    tools.pagerduty.add_note(&page.id, &format!("{text}{}\n{mark}", also_open(others))).await
                {
                    let unsure = !matches!(error.kind, Kind::Later(_) | Kind::Refused(_));
                    if !(unsure && matches!(self.is_marked(&page.id, &mark, self.lag_from_now()).await, Ok(true))) {
                        return Ok(self.trouble(error));
                    }
                }
            }
            Err(error) => return Ok(self.trouble(error)),
        }
        self.read_back(page, Some(service), true).await
    }

    /// Whether a note with this mark is on their page, looked for until `until`, at least once.
    async fn is_marked(&self, page_id: &str, mark: &str, until: Timestamp) -> Result<bool, Error> {
        let found = look_until(&self.tools.clock, until, || async {
            let notes = self.tools.pagerduty.notes(page_id).await?;
            Ok(notes.iter().any(|n| n.content.lines().any(|line| line.trim() == mark)).then_some(()))
        });
        Ok(found.await?.is_some())
    }
}

/// Open incidents of the service that name the region or its boxes too, a line each.
pub(super) fn also_open(others: &[Incident]) -> String {
    let line = |other: &Incident| format!("\nAlso open on this service: {} {}", other.title, other.html_url);
    others.iter().take(MAX_OTHERS).map(line).collect()
}

/// Whether a title names the region or one of its boxes as a whole word.
fn names(title: &str, region: &Region, diagnosis: Option<&Diagnosis>) -> bool {
    let boxes = diagnosis.iter().flat_map(|d| &d.zones).flat_map(|z| &z.boxes);
    contains_word(title, region.as_str()) || boxes.into_iter().any(|b| contains_word(title, &b.magic_box_id))
}
