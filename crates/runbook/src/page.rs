//! Which open incident of the Service Endpoint team is the page already, so that no other is opened beside it.
//! lifecycle.md#the-page, step 2. Pure: whoever asks PagerDuty gives what it saw.

use std::time::Duration;

use jiff::Timestamp;

use crate::alert::{KEY_PREFIX, Region, Zone, is_named, is_region_named};
use crate::json::LeftOut;
use crate::span::between;

/// By which names a title is about the alert.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// Its region.
    pub region: &'a Region,
    /// The region's zones.
    pub zones: &'a [Zone],
    /// The Magic Box IDs that were read for it.
    pub box_ids: &'a [&'a str],
    /// Whether a name is another region's, or one of its zones'.
    pub is_anothers: &'a (dyn Fn(&str) -> bool + Sync),
}

impl Names<'_> {
    /// Whether a title names the region, one of its zones or boxes, or one of the Magic Box IDs.
    pub fn stand_in(&self, title: &str) -> bool {
        self.region_stands_in(title) || self.box_ids.iter().any(|id| is_named(title, id))
    }

    fn region_stands_in(&self, title: &str) -> bool {
        is_region_named(title, self.region, self.zones, self.is_anothers)
    }
}

/// Who opened an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opener {
    /// Somebody else.
    Another,
    /// We did, for an alert of this region.
    Us(Region),
    /// We did, for an alert that this database does not know, or can't read.
    UsOnce,
}

/// The id of the alert that we opened an incident with this key for; `None`: somebody else opened it.
pub fn alert_of(incident_key: Option<&str>) -> Option<&str> {
    incident_key?.strip_prefix(KEY_PREFIX)
}

/// An open incident of the escalation service.
#[derive(Clone, Debug)]
pub struct Candidate<P> {
    /// Itself.
    pub page: P,
    /// Its title.
    pub title: String,
    /// Who opened it.
    pub opener: Opener,
    /// Whether it is of high urgency.
    pub is_urgent: bool,
    /// When it was opened, by our clock; `None`: PagerDuty does not say.
    pub created_at: Option<Timestamp>,
}

impl<P> Candidate<P> {
    /// Whether it is ours for the region, whatever people have made of its title. Of an alert that is not known here the title
    /// says of which region it is.
    fn is_ours(&self, names: &Names<'_>) -> bool {
        match &self.opener {
            Opener::Another => false,
            Opener::Us(region) => region == names.region,
            Opener::UsOnce => names.region_stands_in(&self.title),
        }
    }

    fn is_younger_than(&self, max_age: Duration, now: Timestamp) -> bool {
        self.created_at.is_some_and(|created| between(created, now) < max_age)
    }
}

/// What follows from the incidents that are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining<P> {
    /// The one to join.
    pub joined: Option<P>,
    /// The others that are about the alert, oldest first: they are linked.
    pub linked: Vec<P>,
}

/// Decides which of the open incidents is joined: one that is ours for this region, or is urgent, younger than
/// `max_age` and names it; the oldest of several, since that is where people are.
pub fn join<P>(mut open: Vec<Candidate<P>>, names: &Names<'_>, max_age: Duration, now: Timestamp) -> Joining<P> {
    open.retain(|page| page.is_ours(names) || names.stand_in(&page.title));
    open.sort_by_key(|page| page.created_at);
    let is_joined = |page: &Candidate<P>| page.is_ours(names) || (page.is_urgent && page.is_younger_than(max_age, now));
    let joined = open.iter().position(is_joined).map(|at| open.remove(at).page);
    Joining { joined, linked: open.into_iter().map(|page| page.page).collect() }
}

/// Whether an open incident that can't be read may be one to join: another page is not opened beside it. Where it says of which
/// service it is, it is of no other; where it says nothing that would make it ours or name the alert, it is not.
pub fn may_be_one(left: &LeftOut, service_id: &str, names: &Names<'_>) -> bool {
    let its = left.entry.get("service").and_then(|its| its.get("id")?.as_str());
    its.is_none_or(|its| its == service_id)
        && (alert_of(left.text("incident_key")).is_some() || names.stand_in(left.text("title").unwrap_or_default()))
}

#[cfg(test)]
mod tests;
