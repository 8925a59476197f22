//! Who else is told of an alert: Registry's Slack channel, the Service Endpoint team's, and GHE. Contract 9: "Told elsewhere".
//!
//! What has to stand there follows from the alert's record alone ([`of_alert`], [`of_page`]); what is done next follows from that
//! and from what is known of each message ([`decide`]). The alert never sees any of it.

#[cfg(test)]
pub(crate) mod lives;
mod text;
mod told;

use jiff::Timestamp;
use strum::{EnumMessage, VariantArray, VariantNames};

use crate::alert::Region;
use crate::diagnosis::Diagnosis;

pub use text::{Digest, MAX_BLOCK, escape, new_issue_url};
pub use told::{Edit, GIVE_UP_AFTER, Step, TIMES, Told};

crate::words! { Place: "place where others are told"; }

/// Where others are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Place {
    /// Registry's Slack channel.
    SlackRegistry,
    /// The Service Endpoint team's Slack channel.
    SlackSe,
    /// The issue tracker on GitHub Enterprise.
    Ghe,
}

/// The `kind` of an alert's root message.
pub const ROOT: &str = "root";
/// The `kind` of the message of a page.
pub const SE_PAGE: &str = "se-page";
/// The `kind` of an alert's issue.
pub const RCA: &str = "rca";

/// What was written on an alert's incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Of the write: unique over all alerts.
    pub key: String,
    /// Its first three lines, and why: of a diagnosis note as it reads now.
    pub digest: Digest,
    /// The view of the run that it is about.
    pub view: String,
}

/// The page of an alert, as its incident is paged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its link.
    pub url: String,
    /// Who has it; `None`: nobody, as far as is known.
    pub acknowledged_by: Option<String>,
}

/// What is known of an alert, for who tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRecord {
    /// The incident that is the alert now.
    pub incident_id: String,
    /// The region.
    pub region: Region,
    /// What was said on it, in order; on incidents that were merged into it too.
    pub announcements: Vec<Announcement>,
    /// The diagnosis note that stands, as it reads now; `None`: there is none yet.
    pub note: Option<Digest>,
    /// The newest run's view.
    pub view: String,
    /// The page that is open for it.
    pub page: Option<Page>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// The issue that is wanted of it: title and body; `None`: none is, or not yet.
    pub issue: Option<(String, String)>,
}

/// What is known of a page, for who tells of it.
#[derive(Clone, Debug)]
pub struct PageRecord {
    /// Its id.
    pub page_id: String,
    /// Its link.
    pub url: String,
    /// The alerts that are paged with it, the first first.
    pub alerts: Vec<String>,
    /// The region of the first.
    pub region: Region,
    /// What was found for the first; `None`: nothing yet.
    pub diagnosis: Option<Diagnosis>,
}

/// One thing that has to stand somewhere, once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Where.
    pub place: Place,
    /// By which alert it is found again: of a reply, that of its root.
    pub alert: String,
    /// Its name within the alert.
    pub kind: String,
    /// The page that it is about.
    pub page_id: Option<String>,
    /// What it says, as things stand.
    pub text: String,
    /// Whether it is edited when that changes.
    pub is_edited: bool,
    /// Whether it stands under the alert's root message.
    pub is_reply: bool,
    /// The title, of an issue.
    pub title: Option<String>,
}

impl Message {
    /// What makes it one: a row of it.
    pub fn key(&self) -> String {
        key(self.place, &self.alert, &self.kind, self.page_id.as_deref())
    }
}

/// The key of what is told; see [`Message::key`].
fn key(place: Place, alert: &str, kind: &str, page_id: Option<&str>) -> String {
    match page_id {
        Some(page_id) => format!("{place}/{alert}/{kind}/{page_id}"),
        None => format!("{place}/{alert}/{kind}"),
    }
}

/// What is known of one that is told already, by its row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Known {
    /// Where.
    pub place: Place,
    /// By which alert it is found again.
    pub alert: String,
    /// Its name within the alert.
    pub kind: String,
    /// Since when it is wanted.
    pub since: Timestamp,
    /// What has become of it.
    pub told: Told,
}

impl Known {
    fn is_root_of(&self, alert: &str) -> bool {
        self.place == Place::SlackRegistry && self.kind == ROOT && self.alert == alert
    }
}

/// Which of the places there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Registry's channel.
    pub registry: bool,
    /// The Service Endpoint team's.
    pub se: bool,
    /// Issues.
    pub ghe: bool,
}

/// What has to be told of an alert, in order: one root message in Registry's channel, a reply for all that is said later, the
/// issue. Contract 9. After a merge the survivor's thread goes on.
pub fn of_alert(record: &AlertRecord, known: &[Known], places: Places) -> Vec<Message> {
    let mut messages = Vec::new();
    if places.registry
        && let Some(first) = record.announcements.first()
    {
        let root = root_of(record, known);
        messages.push(Message {
            place: Place::SlackRegistry,
            alert: root.clone(),
            kind: ROOT.to_owned(),
            page_id: None,
            text: text::root(record, first),
            is_edited: true,
            is_reply: false,
            title: None,
        });
        // The root of an alert that was merged into this one tells how that stands too. One that may stand is looked for: what it was
        // begun with is told by a reply where it does not.
        let stands = |k: &&Known| k.place == Place::SlackRegistry && k.kind == ROOT && k.told.write.may_stand();
        for other in known.iter().filter(stands).filter(|k| k.alert != root) {
            let root = messages[0].clone();
            messages.push(Message { alert: other.alert.clone(), ..root });
        }
        // What the root was posted with is no reply; it says so itself, since a merge may put others before it.
        let has_root = known.iter().any(|k| k.is_root_of(&root));
        let is_opener = |k: &Known, said: &Announcement| {
            k.told.opened_with.as_ref() == Some(&said.key) && (k.is_root_of(&root) || k.told.write.may_stand())
        };
        for (n, said) in record.announcements.iter().enumerate() {
            if (n == 0 && !has_root) || known.iter().any(|k| is_opener(k, said)) {
                continue;
            }
            // A reply that may stand stays in the thread in which it was begun.
            let is_begun =
                |k: &&Known| k.place == Place::SlackRegistry && k.kind == said.key && k.told.write.may_stand();
            let begun = known.iter().find(is_begun);
            messages.push(Message {
                place: Place::SlackRegistry,
                alert: begun.map_or(&root, |begun| &begun.alert).clone(),
                kind: said.key.clone(),
                page_id: None,
                text: text::reply(said),
                is_edited: true,
                is_reply: true,
                title: None,
            });
        }
    }
    if places.ghe
        && let Some((title, body)) = &record.issue
    {
        let known = known.iter().find(|known| known.place == Place::Ghe);
        messages.push(Message {
            place: Place::Ghe,
            alert: known.map_or(&record.incident_id, |known| &known.alert).clone(),
            kind: RCA.to_owned(),
            page_id: None,
            text: body.clone(),
            is_edited: false,
            is_reply: false,
            title: Some(title.clone()),
        });
    }
    messages
}

/// The alert whose root message is the thread: after a merge the survivor's own, else the first.
fn root_of(record: &AlertRecord, known: &[Known]) -> String {
    let mut roots: Vec<&Known> = known.iter().filter(|k| k.place == Place::SlackRegistry && k.kind == ROOT).collect();
    roots.sort_by_key(|root| (root.alert != record.incident_id, root.since));
    roots.first().map_or_else(|| record.incident_id.clone(), |root| root.alert.clone())
}

/// The message of a page in the Service Endpoint team's channel. Its `alert` is the first that was paged with it, for good.
pub fn of_page(record: &PageRecord, known: &[Known], places: Places) -> Option<Message> {
    let first = record.alerts.first().filter(|_| places.se)?;
    let alert = known.first().map_or(first, |known| &known.alert);
    Some(Message {
        place: Place::SlackSe,
        alert: alert.clone(),
        kind: SE_PAGE.to_owned(),
        page_id: Some(record.page_id.clone()),
        text: text::page(record),
        is_edited: true,
        is_reply: false,
        title: None,
    })
}

/// What is done next of several messages, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Of which message what.
    pub act: Option<(usize, Step)>,
    /// When there may be more to do; `None`: not before something changes.
    pub wake: Option<Timestamp>,
}

/// What is done next. In each place one is posted after the other, so that a thread reads in order; an edit waits for no reply. A
/// reply whose root can't be told can't be either.
pub fn decide(messages: &[(Message, Known)], now: Timestamp) -> Decision {
    let mut wake: Option<Timestamp> = None;
    for place in Place::ALL {
        let here = || messages.iter().enumerate().filter(|(_, (message, _))| message.place == *place);
        let posted = here().find(|(_, (_, known))| !known.told.is_settled());
        for (n, each) in posted.into_iter().chain(here().filter(|(_, (_, known))| known.told.is_settled())) {
            match next(messages, each, now) {
                Step::Nothing => {}
                Step::Wait(until) => wake = Some(wake.map_or(until, |wake| wake.min(until))),
                step => return Decision { act: Some((n, step)), wake: None },
            }
        }
    }
    Decision { act: None, wake }
}

fn next(messages: &[(Message, Known)], (message, known): &(Message, Known), now: Timestamp) -> Step {
    let is_root = |(_, root): &&(Message, Known)| root.is_root_of(&message.alert);
    if message.is_reply && !known.told.is_settled() && messages.iter().find(is_root).is_some_and(|(_, r)| r.told.ended)
    {
        return Step::GiveUp;
    }
    known.told.next(&message.text, message.is_edited, known.since, now)
}

#[cfg(test)]
mod tests;
