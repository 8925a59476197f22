//! The ladder of a run, from its trigger to its note and its page: what is known of it says on which rung it stands.
//!
//! A rung is never stored. Who takes a run up after a restart knows less of it than who had it before, stands lower for that, and
//! asks again: evidence must be fresh. What the outside can't take back, a build, the note, the page, is known all the same.
//! [`rung`] decides between questions; who stands there (`src/run/journey.rs`) asks, and notes here what came of it.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::Trigger;

/// How long the note is tried: an outage of PagerDuty that lasts longer has people on it who don't need the note.
pub const TELL_WITHIN: Duration = Duration::from_secs(6 * 3600);
/// How often evidence that became too old for a page is taken again.
pub const RETAKES: u32 = 2;

/// What is known of a run, as far as it says what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Standing {
    /// Its alert is an incident: there is somebody to tell. A drill and a run by region have none.
    pub has_incident: bool,
    /// How its alert stands.
    pub alert: AlertNow,
    /// Jenkins or a cluster was asked, by whoever worked on it.
    pub has_asked: bool,
    /// Whether a bigger outage explains the alert.
    pub isolated: Isolated,
    /// What Jenkins and the clusters said.
    pub evidence: Evidence,
    /// It was looked once more what is open, since the evidence was complete, and decided about the page.
    pub is_settled: bool,
    /// Its note.
    pub note: Note,
    /// Its automatic page.
    pub page: Page,
    /// How often evidence was taken again.
    pub retakes: u32,
}

/// How the alert of a run stands, as PagerDuty shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AlertNow {
    /// It was not asked yet.
    Unasked,
    /// It is open; or PagerDuty can't be asked, and the webhook's word counts.
    Open,
    /// It is over.
    Resolved,
    /// It was merged into one that is diagnosed already.
    Elsewhere,
}

/// Whether a bigger outage explains the alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Isolated {
    /// It was not looked yet.
    Unasked,
    /// It does: the run waits.
    No,
    /// It doesn't, or not any more; or the run is past that.
    Yes,
}

/// What is there to conclude from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Evidence {
    /// Nothing yet.
    Missing,
    /// All that is needed.
    Fresh,
    /// A page is at stake, and this is too old for it.
    Outdated,
}

/// What has become of the note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Note {
    /// It was not tried yet; or not since evidence was taken again.
    Untried,
    /// PagerDuty could not take it so far.
    NotYet,
    /// It was tried for [`TELL_WITHIN`].
    GivenUp,
    /// It stands, and says what was found.
    Told,
    /// It stands, and evidence was taken since.
    Old,
    /// PagerDuty refuses it for good.
    Refused,
}

/// What has become of an automatic page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Page {
    /// Nothing is decided.
    Undecided,
    /// None is to be opened.
    NotDue,
    /// The gate says so.
    Due,
    /// It is held for the age of the evidence alone; or was due, and was taken back by the last look before it.
    Held,
    /// It is open, or failed.
    Over,
}

/// Where a run stands, and so what is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rung {
    /// "The run first asks PagerDuty for the incident."
    Confirm,
    /// "Determine if this issue isolated to SE endpoints."
    Isolate,
    /// "Deal with this PD first and see if this resolves": it waits, in the store.
    Suppressed,
    /// Jenkins and the clusters, side by side, with the re-runs.
    Read,
    /// What is open is looked for once more, "before the note and before any page"; the gate decides.
    Settle,
    /// The note.
    Tell,
    /// "Page the Service Endpoint team."
    Page,
    /// Nothing is left.
    Ended(End),
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum End {
    /// It has done what it is for.
    Done,
    /// Its alert was over before it had asked anything.
    Resolved,
    /// Its alert is another one, which is diagnosed already.
    Elsewhere,
    /// The note was refused.
    Refused,
    /// The note could not be written for [`TELL_WITHIN`].
    GivenUp,
}

impl Standing {
    /// Nobody has worked on it, or whoever has was cut off before the note.
    pub fn new(has_incident: bool) -> Self {
        Self {
            has_incident,
            alert: AlertNow::Unasked,
            has_asked: false,
            isolated: Isolated::Unasked,
            evidence: Evidence::Missing,
            is_settled: false,
            note: Note::Untried,
            page: Page::Undecided,
            retakes: 0,
        }
    }

    /// Whoever worked on it has written its note: what that says stands, and this is what was decided about the page.
    pub fn noted(page: Page) -> Self {
        Self {
            has_asked: true,
            isolated: Isolated::Yes,
            evidence: Evidence::Fresh,
            note: Note::Told,
            page,
            ..Self::new(true)
        }
    }

    /// Evidence was taken, and is as old as this now. What was looked and decided before it is over.
    pub fn has_read(&mut self, evidence: Evidence) {
        if self.evidence != Evidence::Missing {
            // What is too old as soon as it is taken would be so the next time.
            self.retakes = if evidence == Evidence::Outdated { RETAKES } else { self.retakes + 1 };
        }
        self.has_asked = true;
        self.evidence = evidence;
        self.is_settled = false;
        self.page = Page::Undecided;
        self.note = match self.note {
            // It is to say what is known now. One that was refused may be taken by now.
            Note::Told | Note::Refused => Note::Old,
            Note::NotYet => Note::Untried,
            note => note,
        };
    }

    /// It was looked what is open, and decided about the page. Nobody is paged for what is over.
    pub fn has_settled(&mut self, page: Page) {
        self.is_settled = true;
        self.page = if self.alert == AlertNow::Resolved { Page::NotDue } else { page };
    }

    /// The note was tried. Where PagerDuty could not take it, what was decided may be over by the next time.
    pub fn has_told(&mut self, note: Note) {
        self.note = note;
        self.is_settled &= note != Note::NotYet;
    }

    /// Whether the evidence is to be taken again: it is too old for a page which is at stake. No note waits for that which can be
    /// written; and a page that is being opened is held by its last look first.
    pub fn reads_again(&self) -> bool {
        let at_stake = match self.note {
            Note::NotYet => true,
            Note::Told | Note::Refused => matches!(self.page, Page::Undecided | Page::Held),
            Note::Untried | Note::Old | Note::GivenUp => false,
        };
        at_stake && self.evidence == Evidence::Outdated && self.retakes < RETAKES
    }
}

/// On which rung a run stands.
pub fn rung(run: &Standing) -> Rung {
    let has_told = matches!(run.note, Note::Told | Note::Refused);
    let is_decided = matches!(run.page, Page::NotDue | Page::Over | Page::Held);
    match run {
        // "and ends."
        Standing { note: Note::GivenUp, .. } => Rung::Ended(End::GivenUp),
        _ if has_told && is_decided && !run.reads_again() => {
            Rung::Ended(if run.note == Note::Refused { End::Refused } else { End::Done })
        }
        // "The run first asks PagerDuty for the incident: resolved by now, it is cancelled; merged into another open incident,
        // that is the alert; where it has an active run, this one is cancelled." A run that has asked posts its note.
        Standing { alert: AlertNow::Unasked, .. } => Rung::Confirm,
        Standing { alert: AlertNow::Elsewhere, .. } => Rung::Ended(End::Elsewhere),
        Standing { alert: AlertNow::Resolved, has_asked: false, .. } => Rung::Ended(End::Resolved),
        // "Related pages open: suppressed." What is over waits for nothing, nor does who has read: both are past that.
        Standing { isolated: Isolated::Unasked, alert: AlertNow::Open, evidence: Evidence::Missing, .. } => {
            Rung::Isolate
        }
        Standing { isolated: Isolated::No, .. } => Rung::Suppressed,
        // "Jenkins and clusters are asked at the same time." Again where that is too old for a page.
        Standing { evidence: Evidence::Missing, .. } => Rung::Read,
        _ if run.reads_again() => Rung::Read,
        // "Related pages are looked for once more before the note and before any page."
        Standing { is_settled: false, .. } => Rung::Settle,
        // "Note, then escalation."
        Standing { has_incident: false, .. } => Rung::Ended(End::Done),
        _ if !has_told => Rung::Tell,
        _ => Rung::Page,
    }
}

/// Whether the job runs again after so many readings: "run the job again after `TRANSIENT_WAIT`, at most `TRANSIENT_RERUNS` times";
/// not once the alert is over, since "without further re-runs" (`hurries`). `wants`: the last reading asks for it.
pub fn runs_again(taken: usize, wants: bool, reruns: u32, hurries: bool) -> bool {
    wants && !hurries && taken <= reruns as usize
}

/// Whether the clusters are asked beside the n-th re-run, 0 being the first reading: "beside the Jenkins job, and again beside
/// the last allowed re-run".
pub fn asks_clusters(index: usize, reruns: u32) -> bool {
    index == 0 || index == reruns as usize
}

/// Since when builds that others started serve: "a build that began after the alert (for a rerun, command or follow-up: after the
/// run was created)". What was seen while a bigger outage explained the alert says nothing of now.
pub fn serves_since(
    trigger: Trigger,
    created_at: Timestamp,
    triggered_at: Option<Timestamp>,
    suppressed_until: Option<Timestamp>,
) -> Timestamp {
    match trigger {
        Trigger::Webhook | Trigger::Reconcile => triggered_at.max(suppressed_until).unwrap_or(created_at),
        Trigger::Rerun | Trigger::Note | Trigger::RelatedResolved | Trigger::FollowUp => created_at,
    }
}
