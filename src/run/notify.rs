//! Tells others of an alert or a page: Registry's Slack channel, the Service Endpoint team's, GHE. Contract 9: "Told elsewhere".
//!
//! What has to stand there, and what is done next of it, is decided in [`runbook::notify`]. Each message is a write like a note: its
//! intent is recorded before it is sent, what came of it at once, and after an answer that was lost it is looked for. Work of its own, in places of
//! its own: a note or a page never waits for it.

mod elsewhere;
mod issue;

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::metrics;
use outbound::error::{Error, Kind};
use runbook::notify::{
    AlertRecord, Announcement, Decision, Digest, GIVE_UP_AFTER, Known, Message, PageRecord, Place, RCA, ROOT, SE_PAGE,
    Step, Told, decide, of_alert, of_page,
};
use runbook::span::between;
use runbook::writes::{NotBegun, Outcome};
use store::{AlertSaid, NotifyLease, Said, StoreError, Subject};

use super::context::Context;

use elsewhere::Stands;

pub use elsewhere::Elsewhere;

/// How soon it is looked again whether an alert that was said to be over is: PagerDuty has confirmed it, its last run has ended.
/// Its issue, which nothing is added to, tells of all that.
const ENDS: Duration = Duration::from_secs(5);

/// What has to be told, as of these news.
struct Wanted {
    messages: Vec<(Message, Known)>,
    /// All that was told of it before, also what is not wanted any more.
    known: Vec<Known>,
    /// What the root message is wanted with.
    opened_with: Option<String>,
    news: i64,
    /// Something may be wanted later though nothing changes.
    look_again: bool,
    /// What its issue is made of, where one is wanted.
    issue_of: Option<AlertSaid>,
}

impl Wanted {
    fn nothing(news: i64) -> Self {
        let (messages, known) = (Vec::new(), Vec::new());
        Self { messages, known, opened_with: None, news, look_again: false, issue_of: None }
    }
}

/// Tells what there is to tell, until nothing is left to be done now; in how long there may be more, or `None`: when something
/// changes. It may be done again from its start after a crash.
///
/// # Errors
/// The store.
pub async fn drive(context: &Context, lease: &NotifyLease) -> Result<Option<(i64, Option<Duration>)>, StoreError> {
    loop {
        let Some(mut wanted) = wanted(context, lease).await? else { return Ok(None) };
        // Whoever held this before is gone, or a merge has brought what another had begun: that may be done.
        for (message, known) in &mut wanted.messages {
            let before = known.told.clone();
            known.told.take_over(context.clock.now());
            if known.told != before {
                let taken = |told: &mut Told| {
                    told.take_over(context.clock.now());
                    Ok::<(), ()>(())
                };
                *known = context.store.change_told(lease, message, (None, None), taken).await?.0;
            }
        }
        let now = context.clock.now();
        let Decision { act, wake } = decide(&wanted.messages, now);
        let Some((n, step)) = act else {
            let wake = wake.map(|at| between(now, at));
            let wake = if wanted.look_again { Some(wake.map_or(ENDS, |wake| wake.min(ENDS))) } else { wake };
            return Ok(Some((wanted.news, wake)));
        };
        let (message, known) = &wanted.messages[n];
        let opened_with = wanted.opened_with.as_deref().filter(|_| message.kind == ROOT);
        // Of a thread that a merge has ended too.
        let now_known = wanted.messages.iter().map(|(_, known)| known).chain(&wanted.known);
        let mut roots = now_known.filter(|root| root.kind == ROOT && root.alert == message.alert);
        let thread = roots.find_map(|root| root.told.write.id.as_deref()).filter(|_| message.is_reply);
        let filled;
        let message = match (&wanted.issue_of, step) {
            // Only once it is to be written: PagerDuty is asked for what happened.
            (Some(said), Step::Post) if message.place == Place::Ghe => {
                let (title, text) = issue::of(context, said).await?;
                filled = Message { title: Some(title), text, ..message.clone() };
                &filled
            }
            _ => message,
        };
        let teller = Teller { context, lease, message, known, opened_with, thread };
        match step {
            Step::Nothing | Step::Wait(_) => {}
            Step::Look | Step::Post if message.is_reply && thread.is_none() => teller.give_up().await?,
            Step::Look => teller.look(now).await?,
            Step::Post => teller.post(now).await?,
            Step::Edit => teller.edit(now).await?,
            Step::GiveUp => teller.give_up().await?,
        }
    }
}

/// What has to be told of it; `None`: it is no more.
async fn wanted(context: &Context, lease: &NotifyLease) -> Result<Option<Wanted>, StoreError> {
    let places = context.config.telling.places();
    let (messages, known, news, opened_with, (look_again, issue_of, times)) = match lease.subject() {
        Subject::Alert(id) => {
            let Some(said) = context.store.alert_said(lease, id).await? else { return Ok(None) };
            let is_over = said.resolved_at.is_some() && said.is_probably_cie;
            let is_told = said.known.iter().any(|known| known.place == Place::Ghe);
            let has_ended = !said.is_active && !said.is_ending;
            let has_issue = places.ghe && is_over && (has_ended || is_told);
            let issue = has_issue.then(|| (String::new(), String::new()));
            let issue_of = has_issue.then(|| said.clone());
            let last = said.said.iter().map(|said| said.at).max();
            let mut times: HashMap<String, Timestamp> =
                said.said.iter().map(|said| (said.key.clone(), said.at)).collect();
            times.extend(last.map(|at| (ROOT.to_owned(), at)));
            times.extend(said.resolved_at.map(|at| (RCA.to_owned(), context.pagerduty.to_ours(at))));
            let view =
                |run_id: Option<String>| run_id.map(|run_id| context.config.run_url(&run_id)).unwrap_or_default();
            let announcement =
                |said: Said| Announcement { key: said.key, digest: said.digest, view: view(said.run_id) };
            let record = AlertRecord {
                incident_id: said.incident_id,
                region: said.region,
                note: said.note.as_deref().map(Digest::of),
                view: view(said.newest_run),
                page: said.page,
                resolved_at: said.resolved_at,
                issue,
                announcements: said.said.into_iter().map(announcement).collect(),
            };
            let first = record.announcements.first().map(|first| first.key.clone());
            let look_again = places.ghe && is_over && !has_issue;
            (of_alert(&record, &said.known, places), said.known, said.news, first, (look_again, issue_of, times))
        }
        Subject::Page(page_id) => {
            let (news, said) = context.store.page_said(lease, page_id).await?;
            // It may be somebody's by the next news, which must not be dropped with what is known now.
            let Some(said) = said else { return Ok(Some(Wanted::nothing(news))) };
            let record = PageRecord {
                page_id: page_id.clone(),
                url: said.url,
                alerts: said.alerts,
                region: said.region,
                diagnosis: said.diagnosis,
            };
            let messages = of_page(&record, &said.known, places).into_iter().collect();
            let times = said.paged_at.map(|at| (SE_PAGE.to_owned(), at)).into_iter().collect();
            (messages, said.known, news, None, (false, None, times))
        }
    };
    let of = |message: &Message| {
        let is_it = |k: &&Known| k.place == message.place && k.alert == message.alert && k.kind == message.kind;
        known.iter().find(is_it).cloned()
    };
    let (mut with, now) = (Vec::with_capacity(messages.len()), context.clock.now());
    for message in messages {
        let known = match of(&message) {
            Some(known) => known,
            // What was so long ago that it would not be tried any more is no news: nobody was told then.
            None if times.get(&message.kind).is_some_and(|at| between(*at, now) >= GIVE_UP_AFTER) => continue,
            // From now on it is wanted, and its six hours begin.
            None => {
                let opened_with = opened_with.as_deref().filter(|_| message.kind == ROOT);
                context.store.change_told(lease, &message, (opened_with, None), |_| Ok::<(), ()>(())).await?.0
            }
        };
        // An issue is wanted from the last end of the alert on.
        let since = times.get(RCA).filter(|_| message.kind == RCA).map_or(known.since, |at| known.since.max(*at));
        with.push((message, Known { since, ..known }));
    }
    Ok(Some(Wanted { messages: with, known, opened_with, news, look_again, issue_of }))
}

/// Does one thing about one message.
struct Teller<'a> {
    context: &'a Context,
    lease: &'a NotifyLease,
    message: &'a Message,
    known: &'a Known,
    opened_with: Option<&'a str>,
    /// The root of its thread, of a reply.
    thread: Option<&'a str>,
}

impl Teller<'_> {
    async fn change<T, E>(
        &self,
        url: Option<&str>,
        change: impl FnOnce(&mut Told) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        let with = (self.opened_with, url);
        Ok(self.context.store.change_told(self.lease, self.message, with, change).await?.1)
    }

    async fn note(&self, url: Option<&str>, change: impl FnOnce(&mut Told)) -> Result<(), StoreError> {
        let changed = self.change(url, |told| {
            change(told);
            Ok::<(), ()>(())
        });
        changed.await.map(drop)
    }

    /// A look that began then has found it, or that it is not there.
    async fn looked(&self, found: Option<&Stands>, began: Timestamp) -> Result<(), StoreError> {
        let url = found.and_then(|(_, url)| url.as_deref());
        self.note(url, |told| told.looked(found.map(|(id, _)| id.as_str()), began)).await
    }

    async fn look(&self, began: Timestamp) -> Result<(), StoreError> {
        match self.context.elsewhere.find(self.message, self.thread, self.known.since).await {
            Ok(found) => self.looked(found.as_ref(), began).await,
            Err(error) => self.failed(&error).await,
        }
    }

    async fn post(&self, now: Timestamp) -> Result<(), StoreError> {
        // Of issues ours are listed first, always: the database may have been lost since.
        if self.message.place == Place::Ghe {
            match self.context.elsewhere.find(self.message, None, self.known.since).await {
                Ok(None) => {}
                Ok(found @ Some(_)) => return self.looked(found.as_ref(), now).await,
                Err(error) => return self.failed(&error).await,
            }
        }
        let (text, seen) = (self.message.text.as_str(), self.known.told.write.attempt);
        let attempt = match self.change(None, |told| told.begin(text, seen, self.context.clock.now())).await? {
            Ok(attempt) => attempt,
            // Somebody else has begun it, or found it: what is known now says what is next.
            Err(NotBegun::Stands | NotBegun::Lost) => return Ok(()),
        };
        let sent = self.context.elsewhere.post(&self.context.permit, self.message, self.thread).await;
        let (outcome, asked) = outcome(sent.as_ref().map(|(id, _)| id.as_str()));
        let url = sent.as_ref().ok().and_then(|(_, url)| url.as_deref());
        self.note(url, |told| told.ended(attempt, &outcome, self.context.clock.now(), asked)).await?;
        match sent {
            Ok(_) => {
                let (place, kind) = (self.message.place, self.message.kind.as_str());
                tracing::info!(%place, kind, incident.id = self.message.alert, "others are told");
            }
            Err(error) => self.say(&error, matches!(outcome, Outcome::Refused(_))),
        }
        Ok(())
    }

    async fn edit(&self, now: Timestamp) -> Result<(), StoreError> {
        let text = self.message.text.as_str();
        let Some(id) = self.known.told.write.id.as_deref() else { return Ok(()) };
        self.note(None, |told| told.begin_edit(text, now)).await?;
        let sent = self.context.elsewhere.edit(&self.context.permit, self.message, id).await;
        let (outcome, asked) = outcome(sent.as_ref().map(|()| id));
        self.note(None, |told| told.edited(&outcome, self.context.clock.now(), asked)).await?;
        if let Err(error) = sent {
            self.say(&error, matches!(outcome, Outcome::Refused(_)));
        }
        Ok(())
    }

    /// A look failed: it rests, or is refused for good.
    async fn failed(&self, error: &Error) -> Result<(), StoreError> {
        let (outcome, asked) = outcome(Err(error));
        let is_refused = matches!(outcome, Outcome::Refused(_));
        let text = self.message.text.as_str();
        self.note(
            None,
            |told| if is_refused { told.give_up(text) } else { told.failed(self.context.clock.now(), asked) },
        )
        .await?;
        self.say(error, is_refused);
        Ok(())
    }

    fn say(&self, error: &Error, is_over: bool) {
        let (place, kind, incident) = (self.message.place, self.message.kind.as_str(), self.message.alert.as_str());
        if is_over {
            metrics::told_failed(place);
            tracing::error!(%place, kind, incident.id = incident, error = %error, "others are NOT told of this alert, and it is not tried again");
        } else {
            // That it can't be reached is said once, for all that ask it.
            tracing::debug!(%place, kind, incident.id = incident, error = %error, "others are not told yet");
        }
    }

    async fn give_up(&self) -> Result<(), StoreError> {
        let text = self.message.text.as_str();
        self.note(None, |told| told.give_up(text)).await?;
        let (place, kind, incident) = (self.message.place, self.message.kind.as_str(), self.message.alert.as_str());
        metrics::told_failed(place);
        let why = if self.message.is_reply && between(self.known.since, self.context.clock.now()) < GIVE_UP_AFTER {
            "its thread could not be begun"
        } else {
            "it was tried for 6 h"
        };
        tracing::error!(%place, kind, incident.id = incident, why, "others are NOT told of this alert, and it is not tried again");
        Ok(())
    }
}

/// What came of a write, and the wait that was asked for.
fn outcome(sent: Result<&str, &Error>) -> (Outcome, Option<Duration>) {
    match sent {
        Ok(id) => (Outcome::Done(id.to_owned()), None),
        Err(error) => match error.kind {
            Kind::Refused(status) if !status.is_redirection() => (Outcome::Refused(error.to_string()), None),
            Kind::Later(wait) => (Outcome::NotSent(error.to_string()), wait),
            Kind::Refused(_) | Kind::Local => (Outcome::NotSent(error.to_string()), None),
            Kind::Ambiguous | Kind::Malformed => (Outcome::Ambiguous(error.to_string()), None),
        },
    }
}
