//! The course of a scenario: what happens to the alert while the service works, told as a story. `demo` shows it live,
//! tests hold it against what must come of it.

mod stories;

use std::collections::HashMap;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::pagerduty::{Incident, Opening, Setup};
use super::scenario::Scenario;
use super::world::{VIEWER_TOKEN, World};
use outbound::clock::Clock;
use outbound::http::http_client;
use runbook::run::{Run, State};
use runbook::span::after;

use stories::COURSES;

pub use stories::*;

/// How often something awaited is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The longest that anything is waited for: far more than it takes, so that only what never comes fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What went otherwise than it must, in words.
pub type Result<T> = std::result::Result<T, String>;

/// A course. It begins with the alert open in PagerDuty, and nothing told to the service.
pub type Course = for<'a, 'w> fn(&'a mut Stagehand<'w>) -> LocalBoxFuture<'a, Result<()>>;

/// The course of a scenario: what happens beyond the alert's webhook. `None` is nothing: the alert comes, and is diagnosed once.
pub fn of(scenario: &Scenario) -> Option<Course> {
    COURSES.iter().find(|(name, _)| *name == scenario.name).map(|(_, course)| *course)
}

/// Who makes things happen in a simulated world, and sees what the service makes of them.
pub struct Stagehand<'w> {
    /// The world.
    pub world: &'w World,
    service: String,
    http: reqwest::Client,
    clock: Clock,
    tell: Box<dyn Fn(&str) + Send + Sync + 'w>,
    /// The incidents whose notes are looked at, and what was seen of them: by note id, its text.
    watched: Vec<(String, HashMap<String, String>)>,
    pages: usize,
}

impl std::fmt::Debug for Stagehand<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stagehand").field("service", &self.service).finish_non_exhaustive()
    }
}

impl<'w> Stagehand<'w> {
    /// For the service at `url`; `tell` hears of everything as it happens.
    ///
    /// # Errors
    /// There is no HTTP client.
    pub fn new(world: &'w World, url: &str, clock: Clock, tell: impl Fn(&str) + Send + Sync + 'w) -> Result<Self> {
        let http = http_client().map_err(|e| e.to_string())?;
        let watched = vec![(world.alert.clone(), HashMap::new())];
        Ok(Self { world, service: url.to_owned(), http, clock, tell: Box::new(tell), watched, pages: 0 })
    }

    /// Opens an incident, and follows its notes.
    pub fn open(&mut self, title: &str) -> Incident {
        self.follow(self.world.pagerduty.open(Opening::new(title, Setup::REGISTRY)))
    }

    /// Follows the notes of an incident that has opened.
    pub fn follow(&mut self, incident: Incident) -> Incident {
        self.say(&format!("an incident opens: #{} {}", incident.number, incident.title));
        self.watched.push((incident.id.clone(), HashMap::new()));
        incident
    }

    /// Sends a webhook about an incident; the word that it was answered with: `accepted`, `ignored`, `duplicate`.
    ///
    /// # Errors
    /// It was not answered 202.
    pub async fn webhook(&self, event_type: &str, incident_id: &str) -> Result<String> {
        self.send(event_type, self.world.pagerduty.webhook_body(event_type, incident_id)).await
    }

    async fn send(&self, what: &str, body: String) -> Result<String> {
        let (status, answer) = self.world.send_body(&self.service, body).await.map_err(|e| e.to_string())?;
        self.say(&format!("webhook {what}, answered {status} {answer}"));
        if status != 202 {
            return Err(format!("the webhook {what} was answered {status}: {answer}"));
        }
        let answer: Value = serde_json::from_str(&answer).map_err(|e| e.to_string())?;
        Ok(answer["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Ends an incident, and tells the service.
    ///
    /// # Errors
    /// The webhook was not taken.
    pub async fn resolve(&self, incident_id: &str) -> Result<()> {
        self.world.pagerduty.resolve(incident_id, None);
        self.webhook("incident.resolved", incident_id).await.map(drop)
    }

    /// Opens an incident again, and tells the service.
    ///
    /// # Errors
    /// The webhook was not taken.
    pub async fn reopen(&self, incident_id: &str) -> Result<()> {
        self.world.pagerduty.reopen(incident_id, None);
        self.webhook("incident.reopened", incident_id).await.map(drop)
    }

    /// The engineer on call writes a note.
    ///
    /// # Errors
    /// There is no such incident, or the webhook was not taken.
    pub async fn write(&self, incident_id: &str, text: &str) -> Result<()> {
        let note = self.world.pagerduty.annotate(incident_id, Setup::ENGINEER, text);
        let note = note.ok_or_else(|| format!("there is no incident {incident_id}"))?;
        self.say(&format!("a person writes: {text}"));
        self.send("incident.annotated", self.world.pagerduty.annotated_body(incident_id, &note.id)).await.map(drop)
    }

    /// Says what happens.
    pub fn say(&self, words: &str) {
        (self.tell)(words);
    }

    async fn get(&self, path: &str) -> Result<String> {
        let answer = self.http.get(format!("{}{path}", self.service)).bearer_auth(VIEWER_TOKEN).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status).map_err(|e| e.to_string())?;
        answer.text().await.map_err(|e| e.to_string())
    }

    async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        serde_json::from_str(&self.get(path).await?).map_err(|e| e.to_string())
    }

    /// What `/readyz` says.
    ///
    /// # Errors
    /// The service did not answer, or is not ready.
    pub async fn ready(&self) -> Result<String> {
        self.get("/readyz").await
    }

    /// The runs of an incident, newest first, each with its steps.
    ///
    /// # Errors
    /// The service did not answer.
    pub async fn runs(&self, incident_id: &str) -> Result<Vec<Run>> {
        let listed: Value = self.get_json(&format!("/api/runs?incident_id={incident_id}")).await?;
        let mut runs = Vec::new();
        for run in listed["runs"].as_array().into_iter().flatten() {
            let id = run["id"].as_str().unwrap_or_default();
            runs.push(self.get_json(&format!("/api/runs/{id}")).await?);
        }
        Ok(runs)
    }

    /// Waits until `look` finds something, telling meanwhile of notes and pages as they come.
    ///
    /// # Errors
    /// It never came, or looking failed.
    pub async fn until<T>(&mut self, what: &str, mut look: impl AsyncFnMut(&Self) -> Result<Option<T>>) -> Result<T> {
        let until = after(self.clock.now(), PATIENCE);
        loop {
            let found = look(self).await?;
            self.tell_news();
            if let Some(found) = found {
                return Ok(found);
            }
            if self.clock.now() > until {
                return Err(format!("waited in vain for {what}"));
            }
            self.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a build runs.
    ///
    /// # Errors
    /// None ever did.
    pub async fn building(&mut self) -> Result<()> {
        self.until("a build", async |it| Ok((!it.world.jenkins.started().is_empty()).then_some(()))).await
    }

    /// Waits until the newest run of an incident is in this state.
    ///
    /// # Errors
    /// It never was.
    pub async fn in_state(&mut self, incident_id: &str, state: State) -> Result<Run> {
        let what = format!("a run of {incident_id} to be {state}");
        self.until(&what, async |it| Ok(it.runs(incident_id).await?.into_iter().next().filter(|r| r.state == state)))
            .await
    }

    /// Waits until the `nth` run of an incident is done, and until its note says what has become of the page.
    ///
    /// # Errors
    /// It never was.
    pub async fn done(&mut self, incident_id: &str, nth: usize) -> Result<Run> {
        let what = format!("run {nth} of {incident_id} to be done");
        let run = self
            .until(&what, async |it| {
                let mut runs = it.runs(incident_id).await?;
                runs.reverse();
                Ok(runs.into_iter().nth(nth - 1).filter(|run| !run.state.is_active()))
            })
            .await?;
        self.until("its note to say what became of the page", async |it| {
            // Of a follow-up that has found nothing new it is the earlier run's.
            let Some(id) = run.note.as_ref().map(|note| &note.id) else { return Ok(Some(())) };
            let mut all = it.watched.iter().flat_map(|(on, _)| it.world.pagerduty.notes_of(on));
            let note = all.find(|note| note.id == *id);
            let settled = |text: &str| !text.lines().nth(2).is_some_and(|l| l.starts_with("Nobody was paged yet"));
            Ok(note.is_some_and(|note| settled(&note.content)).then_some(()))
        })
        .await?;
        Ok(run)
    }

    /// Waits until a run's note is as it is wanted; its text.
    ///
    /// # Errors
    /// It never was.
    pub async fn noted(&mut self, run: &Run, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let what = format!("a note of run {} that {what}", run.id);
        self.until(&what, async |it| Ok(it.note(run).filter(|text| wanted(text)))).await
    }

    /// Waits until a note on an incident begins with these words; its text.
    ///
    /// # Errors
    /// None ever did.
    pub async fn said(&mut self, incident_id: &str, beginning: &str) -> Result<String> {
        let what = format!("a note on {incident_id} that begins with {beginning:?}");
        self.until(&what, async |it| {
            let notes = it.world.pagerduty.notes_of(incident_id);
            Ok(notes.into_iter().map(|note| note.content).find(|text| text.starts_with(beginning)))
        })
        .await
    }

    /// The texts of all notes on an incident that no person wrote, oldest first.
    pub fn our_notes(&self, incident_id: &str) -> Vec<String> {
        let notes = self.world.pagerduty.notes_of(incident_id).into_iter();
        notes.filter(|note| note.user_id == Setup::RESPONDER).map(|note| note.content).collect()
    }

    /// The text of a run's note, on whichever incident it is.
    pub fn note(&self, run: &Run) -> Option<String> {
        let last = format!("run {}", run.id);
        let all = self.watched.iter().flat_map(|(id, _)| self.world.pagerduty.notes_of(id));
        all.map(|note| note.content).find(|text| text.lines().next_back() == Some(&last))
    }

    /// Notes on an incident that contain these words.
    pub fn notes_with(&self, incident_id: &str, words: &str) -> usize {
        self.world.pagerduty.notes_of(incident_id).iter().filter(|note| note.content.contains(words)).count()
    }

    fn tell_news(&mut self) {
        let mut news = Vec::new();
        for (incident, seen) in &mut self.watched {
            for note in self.world.pagerduty.notes_of(incident) {
                match seen.insert(note.id.clone(), note.content.clone()) {
                    None => news.push(format!("── note on incident {incident}\n{}\n──", note.content.trim_end())),
                    Some(old) if old != note.content => {
                        let head: Vec<&str> = note.content.lines().take(3).collect();
                        news.push(format!(
                            "── a note on {incident} is edited, and begins now\n{}\n──",
                            head.join("\n")
                        ));
                    }
                    Some(_) => {}
                }
            }
        }
        let pages = self.world.pagerduty.pages();
        for page in pages.iter().skip(self.pages) {
            news.push(format!("── page {} on Cloud Service Endpoint: {}", page.id, page.title));
            self.watched.push((page.id.clone(), HashMap::new()));
        }
        self.pages = pages.len();
        for line in news {
            self.say(&line);
        }
    }
}

/// Fails with what was expected where it is not so.
fn expect(holds: bool, what: impl Into<String>) -> Result<()> {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// The n-th line of a note, from 1.
fn line(note: &str, nth: usize) -> &str {
    note.lines().nth(nth - 1).unwrap_or_default()
}
