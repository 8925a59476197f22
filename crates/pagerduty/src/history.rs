//! Incidents of a span of time, whatever became of them: read window by window, since PagerDuty lists no more than half a
//! year and 10,000 entries at once.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::model::Incident;
use super::request::checked;
use super::{Error, Listed, PagerDuty};
use runbook::span::after;

/// How long a window is at most. PagerDuty refuses more than six months; most accounts have fewer than 10,000 incidents in
/// a month, and who has more is read in halves.
const WINDOW: Duration = Duration::from_secs(30 * 86_400);

/// The windows by which a span is read, oldest first. Neighbours share an instant, so that none is missed between.
pub fn windows(since: Timestamp, until: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let mut windows = Vec::new();
    let mut begin = since;
    while begin < until {
        let end = after(begin, WINDOW).min(until);
        windows.push((begin, end));
        begin = end;
    }
    if windows.is_empty() && since == until {
        windows.push((since, until));
    }
    windows
}

impl PagerDuty {
    /// All incidents that were triggered from `since` to `until`, open or not, of all services or of those whose ids are
    /// given, of which `keep` holds: none twice, oldest first by window. Incidents that can't be read are among what was
    /// left out.
    ///
    /// # Errors
    /// PagerDuty can't be asked, or has more than 10,000 incidents of one second, the most that it lists: an incomplete
    /// list is never returned.
    pub async fn incidents_between(
        &self,
        (since, until): (Timestamp, Timestamp),
        service_ids: &[String],
        mut keep: impl FnMut(&Incident) -> bool,
    ) -> Result<Listed<Incident>, Error> {
        let mut found = Listed { entries: Vec::new(), left_out: Vec::new() };
        let mut seen = HashSet::new();
        let mut to_read: Vec<(Timestamp, Timestamp)> = windows(since, until).into_iter().rev().collect();
        while let Some((since, until)) = to_read.pop() {
            match self.window(since, until, service_ids).await? {
                Some(window) => {
                    let new = window.entries.into_iter().filter(|i| keep(i) && seen.insert(i.id.clone()));
                    found.entries.extend(new);
                    for left in window.left_out {
                        if !found.left_out.contains(&left) {
                            found.left_out.push(left);
                        }
                    }
                }
                None => {
                    let middle = middle(since, until).ok_or_else(|| {
                        let got = format!("more than 10,000 incidents at {since}, the most that it lists");
                        Error::malformed("listing PagerDuty's incidents", got)
                    })?;
                    to_read.extend([(middle, until), (since, middle)]);
                }
            }
        }
        Ok(found)
    }

    /// One window, `None` where it has more than PagerDuty lists.
    async fn window(
        &self,
        since: Timestamp,
        until: Timestamp,
        service_ids: &[String],
    ) -> Result<Option<Listed<Incident>>, Error> {
        let (since, until) = (since.to_string(), until.to_string());
        let doing = format!("listing PagerDuty's incidents from {since} to {until}");
        let mut query = vec![
            ("statuses[]", "triggered"),
            ("statuses[]", "acknowledged"),
            ("statuses[]", "resolved"),
            ("since", since.as_str()),
            ("until", until.as_str()),
            ("sort_by", "incident_number:asc"),
        ];
        for id in service_ids {
            query.push(("service_ids[]", checked(&doing, id)?));
        }
        self.list_unless_full(&doing, &["incidents"], &query, "incidents").await
    }
}

/// The whole second in the middle, where there is one between.
pub(super) fn middle(since: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let half = until.duration_since(since).as_secs() / 2;
    let middle = since.checked_add(SignedDuration::from_secs(half)).ok()?;
    (half > 0 && since < middle && middle < until).then_some(middle)
}
