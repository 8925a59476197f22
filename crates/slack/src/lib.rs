//! Tells and asks Slack, with a bot's token, in one channel: a message is posted, replaced, or found again by its metadata.
//!
//! Errors are answers of 200 with `ok: false`; which of them a retry may mend is decided in [`error_kind`]. A write is never sent
//! again here: the caller looks first ([`Slack::find`]). Where Slack says 429, nothing is asked of it before it says so.
//!
//! It knows Slack's API, and must not know what is told, nor why. Begin with [`Slack`].

mod request;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use outbound::clock::Clock;
use outbound::error::Error;
use outbound::http::http_client;
use outbound::outage::Outage;
use outbound::permit::Permit;
use outbound::secret::Secret;
use runbook::json::entries;

pub use request::error_kind;

/// What a message of ours is told by: `metadata.event_type`.
pub const EVENT_TYPE: &str = "se_responder";
/// The messages of a page of a list.
const PAGE: usize = 200;
/// By how much clocks may differ, in seconds: what was posted before is not ours.
const MARGIN: i64 = 7 * 86_400;
/// The most pages that are read of a list: newest first in a channel.
const PAGES: usize = 25;

/// How a channel of a workspace is reached.
#[derive(Clone, Debug)]
pub struct SlackSettings {
    /// `SLACK_API_URL`.
    pub api_url: Url,
    /// The bot's token.
    pub token: Secret,
    /// The setting that it stands in, for advice.
    pub token_name: &'static str,
    /// The channel's id.
    pub channel: String,
    /// The setting that it stands in, for advice.
    pub channel_name: &'static str,
}

/// One channel of one workspace. Clones share its rate limit.
#[derive(Clone, Debug)]
pub struct Slack(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    settings: SlackSettings,
    clock: Clock,
    /// Slack takes nothing before then.
    closed_until: Mutex<Option<Timestamp>>,
    outage: Outage,
}

/// What a message is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark<'a> {
    /// The alert: its incident's id.
    pub alert: &'a str,
    /// Its name within the alert.
    pub kind: &'a str,
}

impl Mark<'_> {
    fn metadata(self) -> Value {
        json!({"event_type": EVENT_TYPE, "event_payload": {"alert": self.alert, "kind": self.kind}})
    }

    fn is_on(self, message: &Message) -> bool {
        let payload = |name: &str| message.metadata.as_ref()?.event_payload.get(name)?.as_str();
        message.metadata.as_ref().is_some_and(|metadata| metadata.event_type == EVENT_TYPE)
            && payload("alert") == Some(self.alert)
            && payload("kind") == Some(self.kind)
    }
}

#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default)]
    event_type: String,
    #[serde(default)]
    event_payload: Value,
}

#[derive(Debug, Deserialize)]
struct Message {
    ts: String,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize)]
struct Sent {
    ts: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    messages: Vec<Value>,
    #[serde(default)]
    has_more: Option<bool>,
    #[serde(default)]
    response_metadata: Option<More>,
}

#[derive(Debug, Deserialize)]
struct More {
    /// "An empty, null, or non-existent `next_cursor`" is the last page's: Slack's page on pagination.
    #[serde(default)]
    next_cursor: Option<String>,
}

/// Who the token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// The workspace's name.
    #[serde(default)]
    pub team: String,
    /// The bot's name.
    #[serde(default)]
    pub user: String,
}

impl Slack {
    /// Asks nothing yet. `who` is what log lines call it.
    ///
    /// # Errors
    /// The URL can't be used, or the machine's TLS setup is unusable.
    pub fn new(settings: SlackSettings, who: &'static str, clock: Clock) -> Result<Self, Error> {
        if settings.api_url.cannot_be_a_base() {
            let got = format!("SLACK_API_URL is {}, which is not an http(s) URL", settings.api_url);
            return Err(Error::local("setting up the Slack client", got));
        }
        let outage = Outage::new(who, clock.clone());
        Ok(Self(Arc::new(Inner { http: http_client()?, settings, clock, closed_until: Mutex::default(), outage })))
    }

    /// The channel's id.
    pub fn channel(&self) -> &str {
        &self.0.settings.channel
    }

    /// Posts a message, in the thread of `thread` where there is one; gives its `ts`.
    ///
    /// # Errors
    /// It was refused; or, as [`outbound::error::Kind::Ambiguous`], it may stand: look for it.
    pub async fn post(
        &self,
        permit: &Permit,
        mark: Mark<'_>,
        text: &str,
        thread: Option<&str>,
    ) -> Result<String, Error> {
        let doing = format!("posting a message in the Slack channel {:.64}", self.channel());
        let mut body = self.body(mark, text);
        if let (Some(thread), Some(body)) = (thread, body.as_object_mut()) {
            body.insert("thread_ts".to_owned(), Value::from(thread));
        }
        Ok(self.write::<Sent>(permit, &doing, "chat.postMessage", &body).await?.ts)
    }

    /// Replaces the text of a message.
    ///
    /// # Errors
    /// It was refused; or, as [`outbound::error::Kind::Ambiguous`], it may be done.
    pub async fn update(&self, permit: &Permit, mark: Mark<'_>, text: &str, ts: &str) -> Result<(), Error> {
        let doing = format!("editing the message {ts:.32} in the Slack channel {:.64}", self.channel());
        let mut body = self.body(mark, text);
        if let Some(body) = body.as_object_mut() {
            body.insert("ts".to_owned(), Value::from(ts));
        }
        self.write::<Value>(permit, &doing, "chat.update", &body).await.map(drop)
    }

    /// The `ts` of the message with this mark, in the channel or in a thread of it, of those that were posted `since` then, or a
    /// week before: clocks differ. `None`: there is none.
    ///
    /// # Errors
    /// Slack can't be asked, or there is more than is read: then it is not known.
    pub async fn find(&self, mark: Mark<'_>, thread: Option<&str>, since: Timestamp) -> Result<Option<String>, Error> {
        let doing = format!("looking for a message in the Slack channel {:.64}", self.channel());
        let mut cursor = String::new();
        for _ in 0..PAGES {
            let page = self.page(&doing, thread, &cursor, PAGE).await?;
            let (messages, _) = entries::<Message>(page.messages);
            if let Some(found) = messages.iter().find(|message| mark.is_on(message)) {
                return Ok(Some(found.ts.clone()));
            }
            // A channel lists the newest first: what follows is older still.
            let second = messages.last().and_then(|last| last.ts.split('.').next()?.parse::<i64>().ok());
            if thread.is_none() && second.is_some_and(|second| second < since.as_second() - MARGIN) {
                return Ok(None);
            }
            cursor = page.response_metadata.and_then(|more| more.next_cursor).unwrap_or_default();
            if cursor.is_empty() {
                if page.has_more == Some(true) {
                    return Err(Error::malformed(&doing, "more was said to follow, without a cursor"));
                }
                return Ok(None);
            }
        }
        Err(Error::malformed(&doing, format!("more than {} messages", PAGES * PAGE)))
    }

    /// Who the token belongs to.
    ///
    /// # Errors
    /// Slack does not know it, or can't be asked.
    pub async fn identity(&self) -> Result<Identity, Error> {
        self.post_empty("asking Slack whose token this is", "auth.test").await
    }

    /// Reads one message of the channel, to see whether it may be read.
    ///
    /// # Errors
    /// It may not, or Slack can't be asked.
    pub async fn read_channel(&self) -> Result<(), Error> {
        let doing = format!("reading the Slack channel {:.64}", self.channel());
        self.page(&doing, None, "", 1).await.map(drop)
    }

    fn body(&self, mark: Mark<'_>, text: &str) -> Value {
        json!({
            "channel": self.channel(),
            "text": text,
            "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}],
            "metadata": mark.metadata(),
            "unfurl_links": false,
            "unfurl_media": false,
        })
    }

    async fn page(&self, doing: &str, thread: Option<&str>, cursor: &str, limit: usize) -> Result<Page, Error> {
        let limit = limit.to_string();
        let mut query = vec![("channel", self.channel()), ("include_all_metadata", "true"), ("limit", limit.as_str())];
        if let Some(thread) = thread {
            query.push(("ts", thread));
        }
        if !cursor.is_empty() {
            query.push(("cursor", cursor));
        }
        let method = if thread.is_some() { "conversations.replies" } else { "conversations.history" };
        self.read(doing, method, &query).await
    }
}
