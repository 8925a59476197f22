//! A stage: the simulated world of a scenario, and the real service in front of it.

use std::time::Duration;

use reqwest::header::HeaderMap;
use se_responder::clock::SystemClock;
use se_responder::commands::serve::Service;
use se_responder::config::{Config, Environment};
use se_responder::sim::jenkins::{Asked, BuildPlan};
use se_responder::sim::pagerduty::{Note, sign};
use se_responder::sim::postgres::Postgres;
use se_responder::sim::scenario::Scenario;
use se_responder::sim::world::{OPERATOR_TOKEN, VIEWER_TOKEN, WEBHOOK_SECRET, World};
use se_responder::upstream::http_client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest that any story waits for anything: far more than it takes, so that only what never comes fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Readings by one short build each, and one short wait: for stories that are about something else.
pub(crate) const QUICK: &[(&str, &str)] =
    &[("TRANSIENT_RERUNS", "1"), ("TRANSIENT_WAIT", "1ms"), ("JENKINS_POLL", "20ms")];

/// Waits until `look` gives something.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look).await
}

/// The same for whatever takes longer than most.
pub(crate) async fn until_within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = tokio::time::timeout(patience, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// An answer of the service.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.expect("the service answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.expect("a whole answer");
        Self { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// A problem as RFC 9457 has it, with this status.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        assert!(self.body["title"].is_string() && self.body["detail"].is_string(), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    pub(crate) fn word(&self) -> &str {
        self.body["status"].as_str().unwrap_or_default()
    }
}

/// A client of the service at an address.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
}

impl Front {
    pub(crate) fn at(url: String) -> Self {
        Self { url, http: http_client().expect("a client") }
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        Answer::of(self.http.get(format!("{}{path}", self.url)).bearer_auth(token)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.get_as(VIEWER_TOKEN, path).await.is(200).body.clone()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(OPERATOR_TOKEN, path, body, None).await
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: &Value, key: Option<&str>) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.url)).bearer_auth(token).body(body.to_string());
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        Answer::of(request).await
    }

    /// A webhook's body with whatever signature.
    pub(crate) async fn webhook(&self, body: &[u8], signature: Option<&str>) -> Answer {
        let mut request = self.http.post(format!("{}/webhooks/pagerduty", self.url)).body(body.to_vec());
        if let Some(signature) = signature {
            request = request.header("x-pagerduty-signature", signature);
        }
        Answer::of(request).await
    }

    /// A webhook's body, well signed.
    pub(crate) async fn signed(&self, body: &str) -> Answer {
        self.webhook(body.as_bytes(), Some(&sign(WEBHOOK_SECRET, body.as_bytes()))).await
    }

    pub(crate) async fn run(&self, id: &str) -> Value {
        self.get(&format!("/api/runs/{id}")).await
    }

    /// The runs of an incident, newest first.
    pub(crate) async fn runs_of(&self, incident: &str) -> Vec<Value> {
        let listed = self.get(&format!("/api/runs?incident_id={incident}")).await;
        listed["runs"].as_array().expect("runs").clone()
    }

    /// The run, once it has ended.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        until(&format!("the end of run {id}"), async || {
            let run = self.run(id).await;
            (!run["finished_at"].is_null()).then_some(run)
        })
        .await
    }

    /// The newest run of an incident, once it has ended.
    pub(crate) async fn end_of(&self, incident: &str) -> Value {
        let runs = self.runs_of(incident).await;
        let id = runs.first().unwrap_or_else(|| panic!("no run of {incident}"))["id"].as_str().expect("an id");
        self.ended(id).await
    }
}

/// A world with the real service in front of it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) front: Front,
    settings: Vec<(String, String)>,
    stop: CancellationToken,
    serving: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Stage {
    /// The world of a scenario by its name, with these settings over its own.
    pub(crate) async fn of(scenario: &str, settings: &[(&str, &str)]) -> Self {
        Self::on(Scenario::named(scenario).expect("a scenario"), settings).await
    }

    /// A world whose builds take longer than any story.
    pub(crate) async fn slow(settings: &[(&str, &str)]) -> Self {
        let scenario = Scenario { builds: |asked| showing(asked, 1, 1, Duration::from_secs(600)), ..*quick() };
        Self::on(Box::leak(Box::new(scenario)), &[&[("JENKINS_TIMEOUT", "10m")], settings].concat()).await
    }

    /// An alert that is Service Endpoint's to solve, quick.
    pub(crate) async fn quick(settings: &[(&str, &str)]) -> Self {
        Self::on(quick(), &[QUICK, settings].concat()).await
    }

    pub(crate) async fn on(scenario: &'static Scenario, settings: &[(&str, &str)]) -> Self {
        let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
        let settings = settings_of(&world, settings);
        let mut stage =
            Self { world, front: Front::at(String::new()), settings, stop: CancellationToken::new(), serving: None };
        stage.start().await;
        stage
    }

    async fn start(&mut self) {
        let config = Config::load(&Environment::of(self.settings.clone())).expect("good settings");
        let service = Service::prepare(config, SystemClock::shared()).await.expect("a service");
        self.front = Front::at(format!("http://{}", service.local_addr().expect("an address")));
        self.stop = CancellationToken::new();
        self.serving = Some(tokio::spawn(service.run(self.stop.clone())));
    }

    /// Ends the service and starts it again on the same database, with these settings over the former.
    pub(crate) async fn restart(&mut self, settings: &[(&str, &str)]) {
        self.stop.cancel();
        self.serving.take().expect("a service").await.expect("no panic").expect("a good end");
        self.settings.extend(owned(settings));
        self.start().await;
    }

    /// Sends a webhook about the alert.
    pub(crate) async fn alert(&self, event_type: &str) -> Answer {
        self.front.signed(&self.world.pagerduty.webhook_body(event_type, &self.world.alert)).await
    }

    /// The alert from its webhook to the end of its run, and to what its note says of the page then.
    pub(crate) async fn diagnosed(&self) -> Value {
        assert_eq!(self.alert("incident.triggered").await.is(202).word(), "accepted");
        let run = self.front.end_of(&self.world.alert).await;
        told(&self.world, &run).await;
        run
    }

    pub(crate) fn notes(&self) -> Vec<Note> {
        self.world.pagerduty.notes_of(&self.world.alert)
    }

    /// The one diagnosis note of a run.
    #[track_caller]
    pub(crate) fn note_of(&self, run: &Value) -> Note {
        diagnosis_note(&self.world, run)
    }

    /// What was written beside the run's diagnosis note: before it (an early word, a word while it waited), after it.
    #[track_caller]
    pub(crate) fn short_notes(&self, run: &Value) -> (Vec<Note>, Vec<Note>) {
        short_notes(&self.world, run)
    }

    /// `{"incident_id": …}` of the alert.
    pub(crate) fn this_alert(&self) -> Value {
        json!({"incident_id": self.world.alert})
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

/// The one note of a run, by its last line.
#[track_caller]
pub(crate) fn diagnosis_note(world: &World, run: &Value) -> Note {
    let last = format!("run {}", run["id"].as_str().expect("an id"));
    let mut notes = world.pagerduty.notes_of(&world.alert);
    notes.retain(|n| n.content.lines().next_back() == Some(&last));
    assert_eq!(notes.len(), 1, "notes of {last}: {notes:#?}");
    notes.remove(0)
}

/// Waits until the note of a run no longer says that its page is being opened: it is edited after the page.
pub(crate) async fn told(world: &World, run: &Value) {
    if run["note"].is_null() {
        return;
    }
    until("the note to tell of the page", async || {
        let note = diagnosis_note(world, run).content;
        note.lines().nth(2).is_some_and(|line| !line.starts_with("Nobody was paged yet")).then_some(())
    })
    .await;
}

/// The notes before and after the one note of a run. None of them has a line that names a run.
#[track_caller]
pub(crate) fn short_notes(world: &World, run: &Value) -> (Vec<Note>, Vec<Note>) {
    let diagnosis = diagnosis_note(world, run);
    let mut before = world.pagerduty.notes_of(&world.alert);
    let at = before.iter().position(|n| n.id == diagnosis.id).expect("its place");
    let after = before.split_off(at + 1);
    before.pop();
    for note in before.iter().chain(&after) {
        assert!(!note.content.lines().any(|l| l.starts_with("run ")), "{}", note.content);
    }
    (before, after)
}

/// The settings of a world, with others over them.
pub(crate) fn settings_of(world: &World, settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let database = crate::POSTGRES
        .then(|| ("DATABASE_URL".to_owned(), Postgres::shared().database().expect("a database of its own")));
    [world.settings(), Vec::from_iter(database), owned(settings)].concat()
}

fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

/// An address of loopback that nobody listens on.
pub(crate) fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// The first scenario with builds as short as can be, in which nothing else is open.
pub(crate) fn quick() -> &'static Scenario {
    let base = Scenario::named("service-endpoint").expect("a scenario");
    Box::leak(Box::new(Scenario { builds: rejecting, incidents: |_| {}, ..*base }))
}

/// Every box rejects though its registry answers 200.
pub(crate) fn rejecting(asked: &Asked) -> BuildPlan {
    showing(asked, 0, 1, Duration::from_millis(100))
}

/// Three zones with the same statuses.
pub(crate) fn showing(asked: &Asked, se: i32, upstream: i32, duration: Duration) -> BuildPlan {
    let region = asked.cluster.rsplit_once("-az").map_or(asked.cluster.as_str(), |(region, _)| region);
    let zones: Vec<String> = (1..=3).map(|n| format!("{region}-az{n}")).collect();
    let boxes: Vec<_> = zones.iter().map(|zone| (zone.as_str(), 1, se, upstream)).collect();
    BuildPlan::showing(&boxes, duration)
}
