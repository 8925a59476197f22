//! A database of version 0.1.0 with an alert in each state goes on: nothing is lost, nothing is said twice. How those
//! databases were made, and what is in them: `tests/old/README.md`.

mod kept;
mod make;
mod world;

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use simulators::pagerduty::{Note, PagerDuty, Setup};
use simulators::world::OPERATOR_TOKEN;

use crate::harness::{Stage, until};
use kept::Kept;
use world::SETTINGS;

/// This version, in front of what the old one has left.
struct Brought {
    stage: Stage,
    alerts: BTreeMap<String, String>,
    incidents: Vec<String>,
}

impl Brought {
    async fn over(engine: &str) -> Self {
        let Kept { world, database, alerts, incidents } = Kept::of(engine).await;
        let own = [
            ("PAGE_ACK_WAIT", "2m"),
            ("FOLLOW_UP", "1h"),
            ("SUPPRESSION_RECHECK", "2s"),
            ("SUPPRESSION_SETTLE", "2s"),
            ("SUPPRESSION_MAX", "1h"),
            ("DATABASE_URL", database.as_str()),
        ];
        let stage = Stage::before(world, 0, &[SETTINGS, &own].concat()).await;
        Self { stage, alerts, incidents }
    }

    fn id(&self, name: &str) -> &str {
        &self.alerts[name]
    }

    fn pagerduty(&self) -> &PagerDuty {
        &self.stage.world.pagerduty
    }

    /// Every incident, those that were opened since included.
    fn everywhere(&self) -> impl Iterator<Item = String> {
        let new = self.pagerduty().pages().into_iter().map(|page| page.id);
        self.incidents.iter().cloned().chain(new)
    }

    /// What the service has written on an incident.
    fn said(&self, id: &str) -> Vec<Note> {
        self.pagerduty().notes_of(id).into_iter().filter(|note| note.user_id == Setup::RESPONDER).collect()
    }

    /// The pages that were opened for an alert.
    fn pages_of(&self, name: &str) -> Vec<String> {
        let key = format!("se-responder/{}", self.id(name));
        let has_it =
            |id: &String| self.pagerduty().incident(id).is_some_and(|i| i.incident_key.as_deref() == Some(&key));
        self.everywhere().filter(has_it).collect()
    }

    /// The runs of an alert, newest first, each whole.
    async fn runs(&self, name: &str) -> Vec<Value> {
        self.stage.front.runs_of(self.id(name)).await
    }

    /// Until the newest run of an alert is so.
    async fn run_is(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Value::Null;
        let looked = async || {
            seen = self.runs(name).await.into_iter().next()?;
            is(&seen).then(|| seen.clone())
        };
        until(&format!("{what} of prod-{name}"), looked).await
    }

    async fn says(&self, name: &str, text: &str) -> Note {
        let id = self.id(name);
        until(&format!("{text:?} on prod-{name}"), async || {
            self.said(id).into_iter().find(|note| note.content.contains(text))
        })
        .await
    }

    async fn resolve(&self, name: &str) {
        self.pagerduty().resolve(self.id(name), None);
        let body = self.pagerduty().webhook_body("incident.resolved", self.id(name));
        self.stage.front.signed(&body).await.is(202);
    }

    async fn rerun(&self, body: &Value, key: Option<&str>) -> Value {
        self.stage.front.post_as(OPERATOR_TOKEN, "/rerun", body, key).await.body
    }

    /// Each diagnosis note stands once, and of each kind one short note for what it is about.
    #[track_caller]
    fn nothing_is_said_twice(&self) {
        let mut diagnoses = HashSet::new();
        for id in self.everywhere() {
            let mut kinds = HashSet::new();
            for note in self.said(&id) {
                let last = note.content.lines().next_back().unwrap_or_default();
                if last.starts_with("run ") {
                    assert!(diagnoses.insert(last.to_owned()), "{last} on {id} again: {}", note.content);
                    continue;
                }
                // Its first words tell its kind; of two early words of two runs the last line tells whose.
                let first: Vec<&str> = note.content.split_whitespace().take(3).collect();
                let run = last.rsplit_once("/runs/").and_then(|(_, run)| run.get(..36)).unwrap_or_default();
                assert!(kinds.insert((first.join(" "), run.to_owned())), "on {id} again: {}", note.content);
            }
        }
    }

    #[track_caller]
    fn said_once(&self, name: &str, words: &str) {
        let said = self.said(self.id(name));
        let count = said.iter().filter(|note| note.content.contains(words)).count();
        assert_eq!(count, 1, "{words:?} on prod-{name}: {said:#?}");
    }
}

/// The diagnosis notes of a run.
fn notes_of(brought: &Brought, run: &Value) -> usize {
    let last = format!("run {}", run["id"].as_str().expect("an id"));
    let stands = |note: &Note| note.content.lines().next_back() == Some(&last);
    brought.everywhere().map(|id| brought.said(&id).iter().filter(|note| stands(note)).count()).sum()
}

async fn goes_on(engine: &str) {
    let brought = Brought::over(engine).await;

    // Every run that was under way ends with its one note; what waits for a bigger outage waits.
    for name in [
        "building",
        "merging-into",
        "reopened",
        "fresh",
        "noted",
        "unnoted",
        "said",
        "unsaid",
        "waiting",
        "wanted",
        "opened",
        "asked",
        "untold",
        "rerun",
        "settling",
    ] {
        let run = brought.run_is(name, "the end", |run| run["state"] == "done").await;
        assert_eq!(notes_of(&brought, &run), 1, "prod-{name}: {run:#}");
    }
    let region = until("the end of the region's run", async || {
        let listed = brought.stage.front.get("/api/runs?region=prod-region").await;
        listed["runs"].as_array()?.iter().find(|run| run["state"] == "done").cloned()
    });
    assert!(region.await["diagnosis"].is_object());
    let merging = brought.runs("merging").await;
    let mut states: Vec<_> = merging.iter().filter_map(|run| run["state"].as_str()).collect();
    states.sort_unstable();
    assert_eq!(states, ["cancelled", "done"], "merged while both ran: {merging:#?}");
    assert_eq!(merging.iter().map(|run| notes_of(&brought, run)).sum::<usize>(), 1);
    let reopened = brought.says("reopened", "\nrun ").await;
    assert!(!reopened.content.contains("RESOLVED"), "it is open: {}", reopened.content);
    assert_eq!(brought.runs("bigger").await[0]["state"], "suppressed");

    // Every page that was wanted is open, once, and told of.
    for name in ["wanted", "opened", "asked", "untold", "noted", "unnoted", "said", "unsaid", "waiting"] {
        brought.run_is(name, "the page", |run| run["escalation"]["state"] == "paged").await;
        brought.says(name, "\nPaged: ").await;
        assert_eq!(brought.pages_of(name).len(), 1, "prod-{name}");
    }
    brought.run_is("called", "the page", |run| run["escalation"]["state"] == "paged").await;
    brought.says("called", "/escalate by").await;
    for (name, pages) in
        [("called", 1), ("quiet", 1), ("acked", 1), ("pages", 1), ("joined", 0), ("refused", 0), ("held", 0)]
    {
        assert_eq!(brought.pages_of(name).len(), pages, "prod-{name}");
    }

    // Commands are answered; what was wanted once is not wanted again.
    brought.says("status", "Status of prod-status").await;
    brought.says("rerun", "Diagnosing prod-rerun again").await;
    assert_eq!(brought.runs("rerun").await.len(), 2);
    let listed = brought.stage.front.get("/api/runs?region=prod-hours").await;
    let by_key =
        listed["runs"].as_array().into_iter().flatten().find(|run| run["trigger"] == "rerun").expect("the run");
    let again = brought.rerun(&json!({"region": "prod-hours"}), Some("once")).await;
    assert_eq!(again["run_id"], by_key["id"], "{again:#}");

    // Schedules: a look again, the end of a bigger outage before and after the diagnosis, watches over pages.
    brought.run_is("followed", "the look again", |run| run["trigger"] == "follow-up").await;
    brought.resolve("related-related").await;
    brought
        .run_is("related", "the look again", |run| run["trigger"] == "related-resolved" && run["state"] == "done")
        .await;
    brought.resolve("bigger-related").await;
    let run = brought.run_is("bigger", "the end", |run| run["state"] == "done").await;
    assert_eq!(notes_of(&brought, &run), 1);
    brought.says("pages", "NOBODY HAS ACKNOWLEDGED").await;
    for name in ["pages", "quiet", "asked", "called"] {
        brought.pagerduty().acknowledge(&brought.pages_of(name)[0], Setup::ENGINEER);
        brought.says(name, "Page acknowledged for").await;
    }

    // Ends: one that was being told of, one that was told of, and one that comes.
    brought.says("ending", "TIMELINE").await;
    brought.resolve("pages").await;
    brought.says("pages", "TIMELINE").await;
    brought.resolve("merged-into").await;
    brought.says("merged", "TIMELINE").await;

    // What people have said holds: nobody is paged.
    brought.rerun(&json!({"incident_id": brought.id("held")}), None).await;
    let run = brought.run_is("held", "the end", |run| run["trigger"] == "rerun" && run["state"] == "done").await;
    assert_eq!(run["escalation"]["state"], "held", "{run:#}");
    assert!(brought.pages_of("held").is_empty() && brought.pages_of("refused").is_empty());
    for (name, state) in [("failing", "failed"), ("cancelled", "cancelled"), ("over", "done"), ("refused", "done")] {
        let runs = brought.runs(name).await;
        assert_eq!((runs.len(), &runs[0]["state"]), (1, &json!(state)), "prod-{name}: {runs:#?}");
    }

    brought.nothing_is_said_twice();
    for (name, words) in [
        ("status", "Status of prod-status"),
        ("rerun", "Diagnosing prod-rerun again"),
        ("called", "/escalate by"),
        ("held", "/hold by"),
        ("said", "Early word"),
        ("quiet", "NOBODY HAS ACKNOWLEDGED"),
        ("pages", "NOBODY HAS ACKNOWLEDGED"),
        ("quiet", "Page acknowledged for"),
        ("acked", "Page acknowledged for"),
        ("refused", "NOBODY WAS PAGED for"),
        ("bigger", "WAITING, not diagnosed"),
    ] {
        brought.said_once(name, words);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_nothing_is_lost_and_nothing_said_twice() {
    goes_on("sqlite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_nothing_is_lost_and_nothing_said_twice() {
    goes_on("postgres").await;
}
