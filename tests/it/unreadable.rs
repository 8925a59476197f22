//! What stands in the database and can't be read is an error of that row, and never leads toward a page.

use outbound::clock::SystemClock;
use serde_json::{Value, json};
use simulators::pagerduty::{Opening, Setup};
use simulators::world::{VIEWER_TOKEN, World};
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};

use crate::harness::{QUICK, Stage, diagnosis_note, quick, settings_of, until};
use crate::process::Process;

/// Changes what is stored under the service.
pub(crate) async fn spoil(world: &World, sql: &str) {
    let file = format!("sqlite://{}", world.path("se-responder.db").display());
    let mut database = SqliteConnection::connect(&file).await.expect("the database");
    database.execute("PRAGMA busy_timeout = 10000").await.expect("patience");
    let done = database.execute(AssertSqlSafe(sql.to_owned())).await.expect("spoilt");
    assert!(done.rows_affected() > 0, "{sql}");
    database.close().await.expect("closed");
}

#[tokio::test]
async fn one_diagnosis_that_can_not_be_read_hides_no_other_run_and_stops_no_other_note() {
    let stage = Stage::quick(&[]).await;
    let first = stage.diagnosed().await;
    let id = first["id"].as_str().expect("an id");
    spoil(&stage.world, "UPDATE runs SET diagnosis = '{\"verdict\":1}'").await;

    // Another alert of the region, whose note tells of what was before.
    let second = stage.world.pagerduty.open(Opening::new("All SE endpoints down in prod-us-south", Setup::REGISTRY));
    let body = stage.world.pagerduty.webhook_body("incident.triggered", &second.id);
    assert_eq!(stage.front.signed(&body).await.is(202).word(), "accepted");
    let run = stage.front.end_of(&second.id).await;
    assert_eq!(run["state"], "done", "{run:#}");
    assert!(stage.world.pagerduty.notes_of(&second.id).iter().any(|n| n.content.contains("Magic Box")));

    let listed = stage.front.get("/api/runs").await;
    let runs = listed["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 2, "{listed:#}");
    assert_eq!((&runs[0]["id"], &runs[0]["unreadable"]), (&run["id"], &Value::Null));
    assert_eq!((&runs[1]["id"], &runs[1]["unreadable"]), (&json!(id), &json!(["a diagnosis"])));
    assert_eq!((&runs[1]["diagnosis"], &runs[1]["state"]), (&Value::Null, &json!("done")));
    let by_itself = stage.front.get_as(VIEWER_TOKEN, &format!("/api/runs/{id}")).await;
    by_itself.is_problem(500);
    assert!(by_itself.body["detail"].as_str().is_some_and(|d| d.contains("a diagnosis in the database can't be read")));
    stage.front.get_as(VIEWER_TOKEN, &format!("/api/runs/{id}/events")).await.is_problem(500);
    let page = stage.front.get_as(VIEWER_TOKEN, "/").await;
    assert!(page.is(200).body.as_str().is_some_and(|html| html.contains("Not readable in the database: a diagnosis")));
    stage.front.get_as("", "/readyz").await.is(200);

    // Of this one nothing is left to show but that it was.
    spoil(&stage.world, &format!("UPDATE runs SET state = 'resting' WHERE id = '{id}'")).await;
    let listed = stage.front.get("/api/runs").await;
    assert_eq!(listed["runs"].as_array().map(Vec::len), Some(1), "{listed:#}");
    assert_eq!(listed["unreadable"], json!([{"id": id, "what": "a state"}]), "{listed:#}");
    let page = stage.front.get_as(VIEWER_TOKEN, "/").await;
    assert!(page.is(200).body.as_str().is_some_and(|html| html.contains("Not readable in the database: a state")));
}

/// What is known of one alert can't be read: its webhooks are taken, its run writes its note and pages nobody, and an alert that
/// no webhook told of is diagnosed.
#[tokio::test]
async fn an_alert_that_can_not_be_read_hides_no_other_and_keeps_no_webhook() {
    for spoilt in ["held_by = x'ff'", "resolved_at = 'x'", "follow_ups = 'x'"] {
        let stage = Stage::quick(&[("ESCALATION_MODE", "auto"), ("RECONCILE_INTERVAL", "300ms")]).await;
        stage.world.jenkins.hold_builds(1);
        stage.alert("incident.triggered").await.is(202);
        until("a build", async || (!stage.world.jenkins.started().is_empty()).then_some(())).await;
        spoil(&stage.world, &format!("UPDATE alerts SET {spoilt}")).await;
        assert!(stage.world.pagerduty.annotate(&stage.world.alert, Setup::ENGINEER, "/status").is_some());
        stage.alert("incident.acknowledged").await.is(202);
        assert_eq!(stage.alert("incident.triggered").await.is(202).word(), "ignored", "it has a run");
        stage.world.jenkins.let_builds_end();
        let told = Opening::new("All SE endpoints down in prod-eu-de", Setup::REGISTRY);
        let other = stage.world.pagerduty.open(told).id;
        until(&format!("the run of another alert beside {spoilt}"), async || {
            (!stage.front.runs_of(&other).await.is_empty()).then_some(())
        })
        .await;
        until("the note", async || {
            stage.notes().iter().any(|note| note.content.lines().any(|line| line.starts_with("run "))).then_some(())
        })
        .await;
        assert!(stage.world.pagerduty.pages().is_empty(), "{spoilt}");
    }
}

/// Cut off midway, and part of what it knew is lost: the note comes all the same, and nobody is paged for it.
#[tokio::test]
async fn a_run_that_has_lost_part_of_what_it_knew_writes_its_note_and_holds_its_page() {
    for column in ["facts = '['", "incident = '{'"] {
        let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
        world.jenkins.hold_builds(1);
        let settings = settings_of(&world, &[QUICK, &[("ESCALATION_MODE", "auto")]].concat());
        let process = Process::serve(&settings).await;
        process.front.signed(&world.pagerduty.webhook_body("incident.triggered", &world.alert)).await.is(202);
        until("a build", async || (world.jenkins.started().len() == 1).then_some(())).await;
        process.kill().await;
        spoil(&world, &format!("UPDATE runs SET {column}")).await;
        spoil(&world, "UPDATE builds SET record = 'x'").await;
        world.jenkins.let_builds_end();

        let process = Process::serve(&settings).await;
        // By itself it can't be shown before it is read again.
        let run = until("the end of the run", async || {
            process.front.runs_of(&world.alert).await.pop().filter(|run| !run["finished_at"].is_null())
        })
        .await;
        assert_eq!(run["state"], "done", "{column}: {run:#}");
        assert_eq!(run["escalation"]["state"], "held", "{column}: {run:#}");
        assert!(run["escalation"]["reason"].as_str().is_some_and(|why| why.contains("can't be read")), "{run:#}");
        diagnosis_note(&world, &run);
        assert_eq!(world.pagerduty.pages().len(), 0, "{column}");
    }
}

/// List and head say that it is not known whether somebody was paged, and nothing else of it.
async fn says_not_known(stage: &Stage, run: &str) {
    for path in ["/".to_owned(), format!("/runs/{run}")] {
        let view = stage.front.get_as(VIEWER_TOKEN, &path).await;
        let html = view.is(200).body.as_str().expect("a view");
        assert!(html.contains("Not known whether somebody was paged"), "{path}: {html}");
        assert!(!html.to_lowercase().contains("nobody was paged: it was tried"), "{path}: {html}");
    }
}

/// Before there is a diagnosis, too: a person has paged with what was known.
#[tokio::test]
async fn a_page_whose_state_is_not_known_is_said_to_be_so_before_the_diagnosis_too() {
    let stage = Stage::slow(&[("ESCALATION_MODE", "suggest")]).await;
    stage.alert("incident.triggered").await.is(202);
    until("a build", async || (!stage.world.jenkins.started().is_empty()).then_some(())).await;
    stage.front.post("/escalate", &stage.this_alert()).await.is(202);
    let run = until("the page", async || {
        let run = stage.front.runs_of(&stage.world.alert).await.remove(0);
        (run["escalation"]["state"] == "paged").then_some(run)
    })
    .await;
    assert!(run["diagnosis"].is_null(), "{run:#}");
    spoil(&stage.world, "UPDATE pages SET state = 'opening', told = 1").await;
    says_not_known(&stage, run["id"].as_str().expect("an id")).await;
}

/// It may be open: no other is opened, and people are told where to look.
#[tokio::test]
async fn a_page_whose_state_is_not_known_is_not_opened() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "auto")]).await;
    let run = stage.diagnosed().await;
    assert_eq!(run["escalation"]["state"], "paged");
    let id = run["id"].as_str().expect("an id").to_owned();
    spoil(&stage.world, "UPDATE pages SET state = 'opening', told = 0").await;
    let again = stage.front.post("/rerun", &stage.this_alert()).await;
    let second = stage.front.ended(again.is(202).body["run_id"].as_str().expect("an id")).await;
    assert_eq!(second["state"], "done", "{second:#}");
    assert_eq!(stage.world.pagerduty.pages().len(), 1, "no other");
    let note = stage.note_of(&second).content;
    assert!(note.lines().nth(2).is_some_and(|l| l.starts_with("Not known whether somebody was paged")), "{note}");
    let listed = stage.front.get("/api/runs").await;
    let shown = listed["runs"].as_array().into_iter().flatten().find(|run| run["id"] == json!(id)).expect("the run");
    assert_eq!(shown["unreadable"], json!(["the state of a page"]), "{shown:#}");
    says_not_known(&stage, &id).await;
    stage.front.get_as("", "/readyz").await.is(200);
}

/// It would seem that the database takes no writes, and the rest would wait.
#[tokio::test]
async fn a_task_of_an_unknown_kind_is_no_trouble_of_the_database() {
    let stage = Stage::quick(&[]).await;
    for sql in [
        "INSERT INTO tasks (id, kind, incident_id, data) VALUES ('dance:Q1:', 'dance', 'Q1', '')",
        "INSERT INTO work (key, kind, due_at, set_at) VALUES ('task/dance:Q1:', 'task', 0, 0)",
    ] {
        spoil(&stage.world, sql).await;
    }
    stage.diagnosed().await;
    stage.front.get_as("", "/readyz").await.is(200);
    let metrics = stage.front.get_as("", "/metrics").await;
    let text = metrics.body.as_str().unwrap_or_default();
    assert!(
        text.lines().any(|l| l.starts_with("se_responder_give_ups_total{kind=\"task\"} ") && !l.ends_with(" 0")),
        "{text}"
    );
}
