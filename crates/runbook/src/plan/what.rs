//! What the plan wants: asked, done or said.

use jiff::Timestamp;

use super::page::{HeldPage, PageEnd};
use super::{Answer, TELL_END};
use crate::run::Trigger;

/// Something to ask or to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Asks PagerDuty how the alert stands.
    AskIncident,
    /// Asks for this page.
    ReadPage(String),
    /// Looks for pages that explain the alert, as this run knows it.
    FindRelated(String),
    /// Asks whether PagerDuty answers at all, for the page of this name.
    AskPagerDuty(String),
    /// Opens the page of this name, or joins one, once.
    TryPage(String),
    /// Keeps what has become of a page.
    EndPage {
        /// Its name.
        name: String,
        /// What.
        end: PageEnd,
    },
    /// Takes an automatic page back, and tells why.
    HoldPage {
        /// Its name.
        name: String,
        /// Why.
        held: Box<HeldPage>,
        /// The time in which it is tried begins again with the next.
        starts_over: bool,
    },
    /// Keeps that a page waits for another alert's, and tells for which.
    WaitForPage {
        /// Its name.
        name: String,
        /// Whose page may still be opened late; `None`: that one's is being opened.
        alert: Option<String>,
        /// A person had asked for it, as far as is known.
        by_hand: bool,
        /// The time in which it is tried begins again.
        starts_over: bool,
    },
    /// The time in which the page of this name is tried begins again.
    ForgetTries(String),
    /// Tells the alert what has become of a page.
    TellPage {
        /// Its name.
        name: String,
        /// It is not told again where the short note is not taken.
        is_last: bool,
    },
    /// Ends a page without what can't be read, and tells the alert so.
    GiveUpPage {
        /// Its name.
        name: String,
        /// What can't be read.
        why: String,
    },
    /// Makes a run, where one is to be.
    Begin(Trigger),
    /// Writes the short note that nobody has acknowledged the page.
    SaySilence(Say),
    /// Keeps who has this page, and writes a short note of it.
    Acknowledge {
        /// The page.
        page_id: String,
        /// When, by our clock.
        at: Timestamp,
        /// Who.
        by: String,
        /// The note.
        say: Say,
    },
    /// Tells the page, and the diagnosis note, that the alert is over.
    TellEnd {
        /// The newest run then.
        run_id: String,
        /// When it ended, by PagerDuty's clock.
        ended: Timestamp,
    },
    /// Keeps that the alert is open, though it was said to be resolved.
    OpenAfterAll,
    /// The alert is another incident from now on.
    FollowMerge {
        /// That incident.
        into: String,
        /// Since when that is over, by PagerDuty's clock; `None`: it is open.
        over: Option<Timestamp>,
    },
    /// Does what the command with this key asks for.
    Obey(String),
    /// Answers the command with this key.
    Answer {
        /// The command's.
        key: String,
        /// What.
        answer: Answer,
    },
}

impl What {
    /// What makes it one: of what has the same key one is done at a time.
    pub fn key(&self) -> String {
        match self {
            Self::AskIncident => "incident".to_owned(),
            Self::ReadPage(id) => format!("page:{id}"),
            Self::FindRelated(_) => "related".to_owned(),
            Self::AskPagerDuty(name) => format!("answers:{name}"),
            Self::TryPage(name) => format!("try:{name}"),
            Self::EndPage { name, .. } => format!("end-page:{name}"),
            Self::HoldPage { name, .. } => format!("hold-page:{name}"),
            Self::WaitForPage { name, .. } => format!("wait-page:{name}"),
            Self::ForgetTries(name) => format!("forget-tries:{name}"),
            Self::TellPage { name, .. } => format!("tell-page:{name}"),
            Self::GiveUpPage { name, .. } => format!("give-up-page:{name}"),
            Self::Begin(trigger) => format!("begin:{trigger}"),
            Self::SaySilence(say) | Self::Acknowledge { say, .. } => format!("say:{}", say.key),
            Self::TellEnd { .. } => TELL_END.to_owned(),
            Self::OpenAfterAll => "open".to_owned(),
            Self::FollowMerge { .. } => "merge".to_owned(),
            Self::Obey(key) => format!("obey:{key}"),
            Self::Answer { key, .. } => format!("answer:{key}"),
        }
    }

    /// Whether it only asks: what is decided need not be saved before.
    pub fn only_asks(&self) -> bool {
        matches!(self, Self::AskIncident | Self::ReadPage(_) | Self::FindRelated(_) | Self::AskPagerDuty(_))
    }
}

/// A short note on the alert.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Say {
    /// One note has it.
    pub key: String,
    /// What it says.
    pub text: String,
}
