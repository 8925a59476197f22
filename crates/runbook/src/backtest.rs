//! Would `ESCALATION_MODE=auto` have paged the right people? A past alert goes through the rules as they are today, what
//! came of it is held against what was really the matter, and all of a time make a report.
//!
//! Nothing of the rules is here: suppression is [`crate::suppression`], the verdict [`crate::diagnosis::verdict`], the
//! page [`crate::gate`]. Begin with [`replay`]; [`report`] has what is printed.

pub mod console_name;
pub mod labels;
pub mod replay;
pub mod report;

use jiff::Timestamp;
use strum::{EnumMessage, VariantArray, VariantNames};

use crate::alert::Region;

crate::words! {
    Outcome: "outcome";
    Truth: "truth";
    Judgement: "judgement";
}

/// An alert of the past, as PagerDuty has it today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its incident.
    pub incident_id: String,
    /// Its title.
    pub title: String,
    /// The region of its title.
    pub region: Region,
    /// When it was triggered.
    pub at: Timestamp,
    /// When it resolved; of one that was merged, when the incident that it became did. `None`: it is open.
    pub ended_at: Option<Timestamp>,
}

impl Alert {
    /// Whether it was open then, its first and last instant included.
    pub fn was_open(&self, at: Timestamp) -> bool {
        self.at <= at && self.ended_at.is_none_or(|ended| at <= ended)
    }
}

/// What `auto` would have done about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Outcome {
    /// It would have paged the Service Endpoint team.
    WouldPage,
    /// It would have held the page, or a bigger outage kept it waiting until the alert resolved.
    Held,
    /// The verdict asks for no page.
    NoPage,
    /// Nothing shows what Jenkins would have said.
    NoEvidence,
}

/// What was really the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Truth {
    /// It was the Service Endpoint team's.
    ServiceEndpoint,
    /// It was Registry's.
    Registry,
    /// It was the healthcheck cluster.
    Client,
    /// It was nothing.
    #[strum(to_string = "none")]
    Nothing,
    /// Nobody said, and nobody paged.
    Unknown,
}

/// Whether the outcome was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Judgement {
    /// It would have paged, and it was theirs; or it would not, and it was not.
    Right,
    /// It would have paged, and it was not theirs.
    WrongPage,
    /// It would not have paged, though it was theirs.
    MissedPage,
    /// There is no evidence, or nobody knows what was the matter.
    Unknown,
}

/// "Right: would page and the truth is `service-endpoint`, or would not and the truth is another known one. Wrong page:
/// would page, truth `registry`, `client` or `none`. Missed page: evidence, no page (held included), truth
/// `service-endpoint`. No evidence or unknown truth: counted apart."
pub fn judge(outcome: Outcome, has_evidence: bool, truth: Truth) -> Judgement {
    match (outcome, truth) {
        // What was suppressed to its end is held, and there may be no evidence of it.
        _ if !has_evidence => Judgement::Unknown,
        (Outcome::NoEvidence, _) | (_, Truth::Unknown) => Judgement::Unknown,
        (Outcome::WouldPage, Truth::ServiceEndpoint) => Judgement::Right,
        (Outcome::WouldPage, Truth::Registry | Truth::Client | Truth::Nothing) => Judgement::WrongPage,
        (Outcome::Held | Outcome::NoPage, Truth::ServiceEndpoint) => Judgement::MissedPage,
        (Outcome::Held | Outcome::NoPage, Truth::Registry | Truth::Client | Truth::Nothing) => Judgement::Right,
    }
}

#[cfg(test)]
mod tests;
