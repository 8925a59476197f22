//! A stage: the simulated world of a scenario, and the real service in front of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use outbound::clock::SystemClock;
use runbook::way_in::WITHIN;
use se_responder::commands::serve::Service;
use se_responder::config::{Config, Environment};
use se_responder::http::Limits;
use serde_json::{Value, json};
use simulators::pagerduty::Note;
use simulators::scenario::Scenario;
use simulators::world::World;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::front::{Answer, Front};
use super::never::nothing_else_was_asked;
use super::notes::{diagnosis_note, short_notes, told};
use super::worlds::{QUICK, owned, quick, settings_of, showing};

/// A world with the real service in front of it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) front: Front,
    /// By how many seconds the service's machine has its clock ahead; the world's is right.
    wall: Arc<AtomicI64>,
    settings: Vec<(String, String)>,
    limits: Limits,
    /// How long the service waits for the pings that it asks for.
    pings_within: Duration,
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
        Self::limited(scenario, settings, Limits::default()).await
    }

    /// The same with other limits for the service's connections.
    pub(crate) async fn limited(scenario: &'static Scenario, settings: &[(&str, &str)], limits: Limits) -> Self {
        let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
        Self::built(world, 0, settings, limits).await
    }

    /// The service in front of a world, on a machine whose clock is ahead by so many seconds.
    pub(crate) async fn before(world: World, ahead: i64, settings: &[(&str, &str)]) -> Self {
        Self::built(world, ahead, settings, Limits::default()).await
    }

    async fn built(world: World, ahead: i64, settings: &[(&str, &str)], limits: Limits) -> Self {
        let settings = settings_of(&world, settings);
        let mut stage = Self {
            world,
            front: Front::at(String::new()),
            wall: Arc::new(ahead.into()),
            settings,
            limits,
            pings_within: WITHIN,
            stop: CancellationToken::new(),
            serving: None,
        };
        stage.start().await;
        stage
    }

    /// The setting of its database, for commands that look into it.
    pub(crate) fn database(&self) -> Vec<(String, String)> {
        self.settings.iter().filter(|(name, _)| name == "DATABASE_URL").cloned().collect()
    }

    /// From its next start on the service waits so long for the pings that it asks for.
    pub(crate) fn wait_for_pings(&mut self, within: Duration) {
        self.pings_within = within;
    }

    /// Sets the clock of the service's machine.
    pub(crate) fn set_clock(&self, ahead: i64) {
        self.wall.store(ahead, Ordering::SeqCst);
    }

    async fn start(&mut self) {
        let config = Config::load(&Environment::of(self.settings.clone())).expect("good settings");
        let wall = Arc::clone(&self.wall);
        let right = SystemClock::shared();
        let clock = SystemClock::reading(move || right.wall() + SignedDuration::from_secs(wall.load(Ordering::SeqCst)));
        let service = Service::prepare(config, clock).await.expect("a service");
        let service = service.limited_to(self.limits).waiting_for_pings(self.pings_within);
        self.front = Front::at(format!("http://{}", service.local_addr().expect("an address")));
        self.stop = CancellationToken::new();
        self.serving = Some(tokio::spawn(service.run(self.stop.clone())));
    }

    /// Ends the service and starts it again on the same database, with these settings over the former.
    pub(crate) async fn restart(&mut self, settings: &[(&str, &str)]) {
        self.end().await;
        self.settings.extend(owned(settings));
        self.start().await;
    }

    /// The same on a machine whose clock was set to so many seconds ahead meanwhile.
    pub(crate) async fn restart_at(&mut self, ahead: i64) {
        self.end().await;
        self.set_clock(ahead);
        self.start().await;
    }

    async fn end(&mut self) {
        self.stop.cancel();
        self.serving.take().expect("a service").await.expect("no panic").expect("a good end");
    }

    /// Sends a webhook about the alert.
    pub(crate) async fn alert(&self, event_type: &str) -> Answer {
        self.front.signed(&self.world.pagerduty.webhook_body(event_type, &self.world.alert)).await
    }

    /// The alert from its webhook to the end of its run, and to what its note says of the page then.
    pub(crate) async fn diagnosed(&self) -> Value {
        assert_eq!(self.alert("incident.triggered").await.is(202).word(), "accepted");
        let run = self.front.end_of(&self.world.alert).await;
        told(&self.front, &self.world, &run).await;
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
        if !std::thread::panicking() {
            nothing_else_was_asked(&self.world);
        }
    }
}
