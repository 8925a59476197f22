//! One alert of the past, as `auto` would have gone through it.

use std::time::Duration;

use jiff::Timestamp;

use super::{Alert, Outcome};
use crate::alert::Region;
use crate::decided;
use crate::diagnosis::Diagnosis;
use crate::gate::{Decision, EscalationMode, Known, decide as ask_gate};
use crate::span::{after, between};
use crate::suppression::{self, Next, Suppression};

/// The shortest step by which a wait is walked through: PagerDuty's times are whole seconds.
const STEP: Duration = Duration::from_secs(1);
/// What `ESCALATION_MAX_PER_HOUR` counts over.
const HOUR: Duration = Duration::from_secs(3600);

/// The settings that decide.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `SUPPRESSION_*`.
    pub suppression: suppression::Settings,
    /// `ESCALATION_MAX_PER_HOUR`.
    pub max_per_hour: u32,
    /// `EVIDENCE_MAX_AGE`.
    pub evidence_max_age: Duration,
    /// `RECONCILE_MAX_AGE`.
    pub alert_max_age: Duration,
}

/// Whether a bigger outage kept an alert's run waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolated {
    /// It would have been diagnosed from then on.
    From(Timestamp),
    /// Not before it resolved, or not yet.
    Never,
}

/// Walks through the wait for a bigger outage: `explained` is whether a page that explains the alert was open then.
pub fn isolated(
    alert: &Alert,
    explained: impl Fn(Timestamp) -> bool,
    settings: &suppression::Settings,
    until: Timestamp,
) -> Isolated {
    let end = alert.ended_at.unwrap_or(until);
    let (mut was, mut now) = (Suppression::default(), alert.at);
    loop {
        match suppression::next(was, Some(explained(now)), now, settings) {
            Next::GoOn => return Isolated::From(now),
            Next::Park { since, closed_since, wait } => {
                was = Suppression { since: Some(since), closed_since, go_on: false };
                now = after(now, wait.max(STEP));
            }
        }
        if now >= end {
            return Isolated::Never;
        }
    }
}

/// What the gate is told of the time when a page would have been decided on.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// What the evidence comes to.
    pub diagnosis: &'a Diagnosis,
    /// When it would have been decided: the last reading was there, and no bigger outage was waited for.
    pub at: Timestamp,
    /// Related pages that were open then, by title.
    pub related: &'a [String],
    /// Whether an incident was open then on the escalation service that would have been joined.
    pub page_open: bool,
    /// Whether the regions file lists the region.
    pub region_listed: bool,
    /// What the gate was told then, where the service was there: what nobody else knows is taken from it. Without it that is
    /// taken as open.
    pub record: Option<&'a decided::Told>,
}

/// The pages that the replay has opened so far.
#[derive(Clone, Debug, Default)]
pub struct Pages(Vec<Opened>);

#[derive(Clone, Debug)]
struct Opened {
    region: Region,
    at: Timestamp,
    /// When its alert resolved; how long the page itself would have stayed open nobody knows.
    ended_at: Option<Timestamp>,
}

impl Pages {
    /// How many were opened in the hour that ends then.
    fn of_the_hour(&self, at: Timestamp) -> u32 {
        let lately = self.0.iter().filter(|page| page.at <= at && between(page.at, at) < HOUR).count();
        u32::try_from(lately).unwrap_or(u32::MAX)
    }

    /// Whether one of this region is still there to be joined.
    fn is_open(&self, region: &Region, at: Timestamp) -> bool {
        let open = |page: &Opened| page.at <= at && page.ended_at.is_none_or(|ended| at <= ended);
        self.0.iter().any(|page| page.region == *region && open(page))
    }
}

/// Asks the page gate, as `auto` would have. Alerts must come in the order of their decisions, since the hour's pages go
/// over all of them. Gives the outcome, and why.
pub fn decide(alert: &Alert, told: &Told<'_>, rules: &Rules, pages: &mut Pages) -> (Outcome, String) {
    let summary = &told.diagnosis.verdict.summary;
    let may_join = told.page_open || pages.is_open(&alert.region, told.at);
    let decision = ask_gate(&Known {
        diagnosis: told.diagnosis,
        mode: EscalationMode::Auto,
        drill: false,
        has_incident: true,
        title: Some(&alert.title),
        said_resolved: told.record.is_some_and(|record| record.said_resolved),
        foreign_run: told.record.is_some_and(|record| record.foreign_run),
        unreadable: told.record.is_some_and(|record| record.unreadable),
        held_by: told.record.and_then(|record| record.held_by.as_deref()),
        related: Ok(told.related),
        related_at: Some(told.at),
        region_listed: told.region_listed,
        pages_this_hour: pages.of_the_hour(told.at),
        may_join,
        max_per_hour: rules.max_per_hour,
        evidence_max_age: rules.evidence_max_age,
        alert_triggered_at: Some(alert.at),
        alert_max_age: rules.alert_max_age,
        now: told.at,
    });
    match decision {
        Decision::Page => {
            let joined = if may_join { " It joins the page that is open." } else { "" };
            if !may_join {
                let opened = Opened { region: alert.region.clone(), at: told.at, ended_at: alert.ended_at };
                pages.0.push(opened);
            }
            (Outcome::WouldPage, format!("{summary}{joined}"))
        }
        Decision::Hold(reasons) | Decision::Suggest(reasons) => (Outcome::Held, reasons.join("; ")),
        Decision::NotWanted | Decision::Off => (Outcome::NoPage, summary.clone()),
    }
}
