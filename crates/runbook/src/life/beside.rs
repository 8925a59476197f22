//! What is to be done for an alert beside its runs, and how far that has come: the state of [`crate::plan`]. Kept with the alert
//! as one text; what people are shown of it stands in rows of its own.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Reply;
use crate::command::{Command, Refusal, Word};
use crate::span::after;

/// Which shape the text has that is kept. What a newer version has written is left alone.
const VERSION: u32 = 2;
/// The shape without pages: who knows no other works on that too. With a page it would lose that.
const WITHOUT_PAGES: u32 = 1;
/// Commands that wait for an answer at a time; each is some 400 bytes of text.
const MOST_COMMANDS: usize = 12;

/// All that is under way for one alert. Each concern says when it is next to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Beside {
    /// A second look after a verdict that may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<FollowUp>,
    /// The wait for pages that explain the alert to close.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related_again: Option<RelatedAgain>,
    /// Pages that are wanted, or of whose end is to be told: one for each name under which the alert is paged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<OpenPage>,
    /// Pages that are watched: one for each name under which the alert was paged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page_watches: Vec<PageWatch>,
    /// The alert is over, which is to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// People's commands that have no answer yet, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<OpenCommand>,
}

/// lifecycle.md#looking-again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FollowUp {
    /// The run whose verdict may change.
    pub run_id: String,
    /// When.
    pub due: Timestamp,
}

/// lifecycle.md#before-the-note.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RelatedAgain {
    /// The run that has named them.
    pub run_id: String,
    /// Since when they are waited for.
    pub since: Timestamp,
    /// Since when none is open, as far as was seen; `None`: one is, or it is not known.
    #[serde(default)]
    pub closed_since: Option<Timestamp>,
    /// The last time that one opened or closed, of which is known here; `None`: none since.
    #[serde(default)]
    pub changed_at: Option<Timestamp>,
    /// When to look next.
    pub due: Timestamp,
}

/// How a page is tried; what has become of it stands in a row of its own. lifecycle.md#the-page.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OpenPage {
    /// Under which of its names the alert is paged.
    pub name: String,
    /// When it was first tried since it waits for nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// When PagerDuty could last not be asked: the time in which the page is tried begins then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Since when PagerDuty can't be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_asked_since: Option<Timestamp>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// The next pause between two tries, in seconds; 0: the first.
    #[serde(default)]
    pub pause_s: u32,
    /// When to go on.
    pub due: Timestamp,
}

/// The watch over a page that was opened or joined. lifecycle.md#the-page.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PageWatch {
    /// Under which of its names the alert was paged.
    pub name: String,
    /// The run that it follows from.
    pub run_id: String,
    /// The page's id.
    pub page_id: String,
    /// Its link.
    pub page_url: String,
    /// Since when it is open, for us.
    pub since: Timestamp,
    /// The same by PagerDuty's clock; `None` before the first look that shows the page.
    #[serde(default)]
    pub since_there: Option<Timestamp>,
    /// Whether its silence was said.
    #[serde(default)]
    pub said: bool,
    /// When to look next.
    pub due: Timestamp,
}

/// lifecycle.md#the-alert-ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resolution {
    /// The newest run then.
    pub run_id: String,
    /// When that was heard.
    pub since: Timestamp,
    /// When to look next.
    pub due: Timestamp,
}

/// lifecycle.md#commands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OpenCommand {
    /// What was said, by whom.
    pub command: Command,
    /// What came of it, and when; `None`: it is not obeyed yet, or never will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obeyed: Option<(Reply, Timestamp)>,
    /// Why it is not obeyed, and never will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// Since when PagerDuty doesn't take the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_since: Option<Timestamp>,
    /// When to look next.
    pub due: Timestamp,
}

/// What is new about an alert, and is to be followed by something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// This run's verdict may change: one more is to look, in so long.
    MayChange {
        /// The run.
        run_id: String,
        /// In how long.
        after: Duration,
    },
    /// This run has named pages that explain the alert: once they have closed, another looks.
    Explained {
        /// The run.
        run_id: String,
        /// In how long it is first looked whether they have closed.
        after: Duration,
    },
    /// A page is wanted under this name, or there is something new to tell of it.
    PageWanted(String),
    /// A page is open, which is to be watched.
    Paged(PageWatch),
    /// The alert is open again, and this page of it is watched, unless it is.
    OpenAgain(PageWatch),
    /// The alert is over.
    Ended {
        /// Its newest run.
        run_id: String,
    },
    /// A person's command.
    Said(Command),
    /// What was under way by an older version of the service.
    Left(Box<Beside>),
}

/// Why a text can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A newer version of the service has written it.
    #[error("it is of version {0}, which is newer than this service")]
    Newer(u32),
    /// It is none.
    #[error(transparent)]
    Text(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    version: u32,
    #[serde(flatten)]
    beside: T,
}

impl Beside {
    /// What a text says; an empty one, that nothing is under way.
    ///
    /// # Errors
    /// It can't be read.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Kept { version, beside } = serde_json::from_str::<Kept<serde_json::Value>>(text)?;
        if version > VERSION {
            return Err(Unreadable::Newer(version));
        }
        Ok(serde_json::from_value(beside)?)
    }

    /// The text that says it; empty where nothing is under way.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        if self.is_empty() {
            Ok(String::new())
        } else {
            let version = if self.pages.is_empty() { WITHOUT_PAGES } else { VERSION };
            serde_json::to_string(&Kept { version, beside: self })
        }
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in what is new; the commands that are dropped for it, since too many wait.
    pub fn apply(&mut self, input: Input, now: Timestamp) -> Vec<Command> {
        match input {
            Input::MayChange { run_id, after: wait } => {
                self.follow_up = Some(FollowUp { run_id, due: after(now, wait) });
            }
            Input::Explained { run_id, after: wait } => {
                let due = after(now, wait);
                self.related_again =
                    Some(RelatedAgain { run_id, since: now, closed_since: None, changed_at: None, due });
            }
            // Whatever it waited for: it is tried from now on.
            Input::PageWanted(name) => {
                self.pages.retain(|other| other.name != name);
                self.pages.push(OpenPage::new(&name, now));
            }
            Input::Paged(watch) => {
                self.page_watches.retain(|other| other.name != watch.name);
                self.watch(watch);
            }
            Input::OpenAgain(watch) => self.watch(watch),
            Input::Ended { run_id } => self.resolution = Some(Resolution { run_id, since: now, due: now }),
            Input::Said(command) => {
                // Two subscriptions may tell of one note.
                if self.commands.iter().all(|open| open.command.key != command.key) {
                    self.commands.push(OpenCommand {
                        command,
                        obeyed: None,
                        refused: None,
                        refused_since: None,
                        due: now,
                    });
                }
            }
            Input::Left(other) => {
                self.resolution = self.resolution.take().or_else(|| other.resolution.clone());
                self.merge(*other);
            }
        }
        self.drop_commands()
    }

    /// What only asks goes first, then what was obeyed. What a person wants done is never dropped.
    fn drop_commands(&mut self) -> Vec<Command> {
        let mut dropped = Vec::new();
        while self.commands.len() > MOST_COMMANDS {
            let asks = |open: &OpenCommand| matches!(open.command.word, Word::Status | Word::Unknown);
            let is_obeyed = |open: &OpenCommand| open.obeyed.is_some();
            let gone = self.commands.iter().position(asks).or_else(|| self.commands.iter().position(is_obeyed));
            let Some(gone) = gone else { break };
            dropped.push(self.commands.remove(gone).command);
        }
        dropped
    }

    /// What was under way for an alert that was merged into this one goes on here. Of what there is one of, the one of the
    /// newer run goes on; a page that both watch is watched once.
    pub fn merge(&mut self, other: Self) {
        let newer = |own: Option<&str>, other: Option<&str>| other > own;
        if newer(
            self.follow_up.as_ref().map(|it| it.run_id.as_str()),
            other.follow_up.as_ref().map(|it| it.run_id.as_str()),
        ) {
            self.follow_up = other.follow_up;
        }
        let run_of = |it: &Option<RelatedAgain>| it.as_ref().map(|it| it.run_id.clone());
        if newer(run_of(&self.related_again).as_deref(), run_of(&other.related_again).as_deref()) {
            self.related_again = other.related_again;
        }
        for page in other.pages {
            if self.pages.iter().all(|own| own.name != page.name) {
                self.pages.push(page);
            }
        }
        other.page_watches.into_iter().for_each(|watch| self.watch(watch));
        for open in other.commands {
            if self.commands.iter().all(|own| own.command.key != open.command.key) {
                self.commands.push(open);
            }
        }
    }

    /// One of the alert's names is an alert of its own again: its page, and the watch over that, go with it.
    pub fn split(&mut self, name: &str) -> Self {
        let page_watches = self.page_watches.extract_if(.., |watch| watch.name == name).collect();
        let pages = self.pages.extract_if(.., |page| page.name == name).collect();
        Self { pages, page_watches, ..Self::default() }
    }

    /// One watch is over a page, though several of its names were paged with it.
    fn watch(&mut self, watch: PageWatch) {
        if self.page_watches.iter().all(|own| own.name != watch.name && own.page_id != watch.page_id) {
            self.page_watches.push(watch);
        }
    }

    /// When the first of it is to be looked at; `None`: nothing is under way.
    pub fn due(&self) -> Option<Timestamp> {
        let one = [
            self.follow_up.as_ref().map(|it| it.due),
            self.related_again.as_ref().map(|it| it.due),
            self.resolution.as_ref().map(|it| it.due),
        ];
        let pages = self.pages.iter().map(|it| it.due);
        let many = self.page_watches.iter().map(|it| it.due).chain(self.commands.iter().map(|it| it.due)).chain(pages);
        one.into_iter().flatten().chain(many).min()
    }
}
