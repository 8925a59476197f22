//! Killed at any instant and started again on the same database: nothing lost, nothing doubled.
//! lifecycle.md#crashes-clocks-replicas.

use std::time::{Duration, Instant};

use outbound::clock::SystemClock;
use serde_json::{Value, json};
use simulators::cluster::{Answer as Status, Plan};
use simulators::jenkins::Asked;
use simulators::pagerduty::{Endpoint, Fault};
use simulators::scenario::Scenario;
use simulators::world::World;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{
    QUICK, Signal, binary, diagnosis_note, nothing_else_was_asked, quick, settings_of, short_notes, showing, signal,
    told, until,
};
use crate::process::Process;

/// A world whose builds take a while, and the settings of a service that pages automatically.
async fn world() -> (World, Vec<(String, String)>) {
    let builds = |asked: &_| showing(asked, 0, 1, Duration::from_millis(400));
    let scenario = Box::leak(Box::new(Scenario { builds, ..*quick() }));
    let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
    let settings = settings_of(&world, &[QUICK, &[("ESCALATION_MODE", "auto")]].concat());
    (world, settings)
}

async fn alert(world: &World, process: &Process) {
    let (status, answer) = world.send(&process.front.url, "incident.triggered").await.expect("an answer");
    assert_eq!((status, answer.as_str()), (202, "{\"status\":\"accepted\"}"));
}

/// The run ends with one note and one page, which the note tells of, and no build was started twice.
pub(crate) async fn ends_well(world: &World, process: &Process) -> Value {
    let run = process.front.end_of(&world.alert).await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("paged")), "{run:#}");
    told(&process.front, world, &run).await;
    let note = diagnosis_note(world, &run).content;
    assert!(note.lines().nth(2).is_some_and(|l| l.starts_with("Paged: ")), "{note}");
    let (before, after) = short_notes(world, &run);
    assert_eq!((before.len(), after.len()), (1, 0), "an early word, once: {before:#?} {after:#?}");
    assert_eq!(world.pagerduty.pages().len(), 1);
    assert_eq!(world.jenkins.started().len(), 2, "one reading and one re-run: {:?}", world.jenkins.started());
    assert_eq!(process.front.runs_of(&world.alert).await.len(), 1);
    nothing_else_was_asked(world);
    run
}

#[tokio::test]
async fn killed_right_after_the_webhook_was_answered() {
    let (world, settings) = world().await;
    let process = Process::serve(&settings).await;
    alert(&world, &process).await;
    process.kill().await;
    ends_well(&world, &Process::serve(&settings).await).await;
}

#[tokio::test]
async fn killed_while_jenkins_runs() {
    for builds in [1, 2] {
        let (world, settings) = world().await;
        world.jenkins.hold_builds(builds);
        let process = Process::serve(&settings).await;
        alert(&world, &process).await;
        // Jenkins has queued it; whether its answer was kept is left to chance.
        until("a build", async || (world.jenkins.started().len() as u64 == builds).then_some(())).await;
        process.kill().await;
        world.jenkins.let_builds_end();
        let run = ends_well(&world, &Process::serve(&settings).await).await;
        let steps = run["steps"].as_array().expect("steps");
        assert!(steps.iter().any(|s| s["state"] == "interrupted"), "people see that it was cut off: {steps:#?}");
    }
}

/// What Jenkins shows no more, the run knows: what once rejected was not the client.
#[tokio::test]
async fn what_was_read_before_a_kill_counts_though_another_reading_decides() {
    // The first build rejects, and is too old to be evidence when the service is back; the next one is whole.
    let builds = |asked: &Asked| {
        let well = i32::from(asked.nth > 1);
        showing(asked, well, 1, Duration::from_millis(100))
    };
    let scenario = Box::leak(Box::new(Scenario { builds, ..*quick() }));
    let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
    let own = [("TRANSIENT_WAIT", "10m"), ("EVIDENCE_MAX_AGE", "1ms")];
    let settings = settings_of(&world, &[QUICK, &own].concat());
    let process = Process::serve(&settings).await;
    alert(&world, &process).await;
    begun(&world, &process, "wait_before_rerun").await;
    process.kill().await;
    let run = Process::serve(&settings).await.front.end_of(&world.alert).await;
    assert_eq!(world.jenkins.started().len(), 2, "the first build was too old: {run:#}");
    is_probably_a_cie(&world, &run);
}

/// A cluster that had a fault when it was first asked, and is well when it is asked again.
#[tokio::test]
async fn what_a_cluster_said_before_a_kill_counts_though_it_is_well_again() {
    let clusters = |plan: Plan, n| Some(if n == 2 { plan.answering(Status::Status(404)) } else { plan });
    let builds = |asked: &_| showing(asked, 1, 1, Duration::from_millis(100));
    let scenario = Box::leak(Box::new(Scenario { builds, clusters, ..*quick() }));
    let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
    let settings = settings_of(&world, QUICK);
    world.jenkins.hold_builds(1);
    let process = Process::serve(&settings).await;
    alert(&world, &process).await;
    until("the clusters' answers", async || {
        let steps = process.front.runs_of(&world.alert).await.remove(0);
        let steps = process.front.run(steps["id"].as_str().expect("an id")).await["steps"].clone();
        let done = |step: &Value| step["name"] == "check_clusters" && !step["finished_at"].is_null();
        steps.as_array().expect("steps").iter().any(done).then_some(())
    })
    .await;
    process.kill().await;
    world.jenkins.let_builds_end();
    world.clusters[1].change(|plan| *plan = plan.clone().answering(Status::Status(200)));
    let run = Process::serve(&settings).await.front.end_of(&world.alert).await;
    assert_eq!(world.jenkins.started().len(), 1, "its build was picked up: {run:#}");
    for zone in run["diagnosis"]["zones"].as_array().expect("zones") {
        assert_eq!(zone["checks"]["finding"], "healthy", "{zone}");
    }
    is_probably_a_cie(&world, &run);
}

async fn begun(world: &World, process: &Process, step: &str) {
    until(step, async || {
        let run = process.front.runs_of(&world.alert).await.remove(0);
        let run = process.front.run(run["id"].as_str().expect("an id")).await;
        run["steps"].as_array().expect("steps").iter().any(|s| s["name"] == step).then_some(())
    })
    .await;
}

/// All is well by what is shown, and yet it was not the client.
#[track_caller]
fn is_probably_a_cie(world: &World, run: &Value) {
    let diagnosis = &run["diagnosis"];
    assert_eq!(diagnosis["verdict"]["rule"], "all-se-accepting", "{diagnosis:#}");
    assert_eq!(
        (&diagnosis["class"], &diagnosis["client_suspected"]),
        (&json!("pCIE, probably a CIE"), &json!(false)),
        "{diagnosis:#}"
    );
    let note = diagnosis_note(world, run).content;
    assert!(note.contains("\nWhat is shown here looks healthy, but earlier in this run "), "{note}");
}

#[tokio::test]
async fn killed_before_jenkins_answered_that_it_has_queued_the_build() {
    use simulators::jenkins;
    let (world, settings) = world().await;
    let process = Process::serve(&settings).await;
    world.jenkins.fault(jenkins::Place::Start, jenkins::Fault::LostAnswer, 1);
    alert(&world, &process).await;
    until("a build", async || (!world.jenkins.started().is_empty()).then_some(())).await;
    process.kill().await;
    ends_well(&world, &Process::serve(&settings).await).await;
}

#[tokio::test]
async fn killed_when_the_note_is_there_and_its_answer_is_not() {
    for lag in [Duration::ZERO, Duration::from_secs(2)] {
        let (world, settings) = world().await;
        let process = Process::serve(&settings).await;
        alert(&world, &process).await;
        let notes = || world.pagerduty.notes_of(&world.alert).len();
        until("the early word", async || (notes() == 1).then_some(())).await;
        world.pagerduty.fail_once_done(Endpoint::AddNote, Fault::Hang, 1);
        until("the note", async || (notes() == 2).then_some(())).await;
        world.pagerduty.set_lag(lag);
        process.kill().await;
        ends_well(&world, &Process::serve(&settings).await).await;
    }
}

#[tokio::test]
async fn killed_when_the_early_word_is_there_and_its_answer_is_not() {
    let (world, settings) = world().await;
    let process = Process::serve(&settings).await;
    world.pagerduty.fail_once_done(Endpoint::AddNote, Fault::Hang, 1);
    alert(&world, &process).await;
    until("the word", async || (world.pagerduty.notes_of(&world.alert).len() == 1).then_some(())).await;
    process.kill().await;
    ends_well(&world, &Process::serve(&settings).await).await;
}

#[tokio::test]
async fn killed_when_the_page_is_open_and_its_answer_is_not_there() {
    for lag in [Duration::ZERO, Duration::from_secs(2)] {
        let (world, settings) = world().await;
        let process = Process::serve(&settings).await;
        world.pagerduty.fail_once_done(Endpoint::CreateIncident, Fault::Hang, 1);
        alert(&world, &process).await;
        until("the page", async || (world.pagerduty.pages().len() == 1).then_some(())).await;
        world.pagerduty.set_lag(lag);
        process.kill().await;
        ends_well(&world, &Process::serve(&settings).await).await;
    }
}

#[tokio::test]
async fn killed_between_the_note_and_the_page() {
    let (world, settings) = world().await;
    let process = Process::serve(&settings).await;
    world.pagerduty.fail(Endpoint::Services, Fault::Status(503), 100_000);
    alert(&world, &process).await;
    until("the note", async || (world.pagerduty.notes_of(&world.alert).len() == 2).then_some(())).await;
    process.kill().await;
    world.pagerduty.mend();
    // It goes straight to the page: no reading, no note beside those that are there.
    ends_well(&world, &Process::serve(&settings).await).await;
}

#[tokio::test]
async fn killed_before_the_note_tells_of_the_page() {
    let (world, settings) = world().await;
    let process = Process::serve(&settings).await;
    world.pagerduty.fail(Endpoint::EditNote, Fault::Hang, 100_000);
    alert(&world, &process).await;
    let edits = || world.pagerduty.requests().iter().filter(|r| r.method == "PUT").count();
    until("an edit that hangs", async || (world.pagerduty.pages().len() == 1 && edits() > 0).then_some(())).await;
    process.kill().await;
    world.pagerduty.mend();
    ends_well(&world, &Process::serve(&settings).await).await;
}

#[tokio::test]
async fn killed_again_and_again() {
    let (world, settings) = world().await;
    let asked = || world.pagerduty.requests().len() + world.jenkins.requests().len();
    let mut process = Process::serve(&settings).await;
    alert(&world, &process).await;
    for further in [1, 2, 3, 5, 8, 13, 21, 34] {
        let enough = asked() + further;
        let over = until("some more questions", async || {
            let run = process.front.runs_of(&world.alert).await.remove(0);
            (asked() >= enough || !run["finished_at"].is_null()).then_some(!run["finished_at"].is_null())
        })
        .await;
        process.kill().await;
        process = Process::serve(&settings).await;
        if over {
            break;
        }
    }
    ends_well(&world, &process).await;
}

#[tokio::test]
async fn what_is_done_stays_done() {
    let (world, settings) = world().await;
    let process = Process::serve(&settings).await;
    alert(&world, &process).await;
    let before = ends_well(&world, &process).await;
    process.kill().await;
    let again = Process::serve(&settings).await;
    // Whatever it would do at its start, it does before it takes up this one, which waits for its turn.
    let other = again.front.post("/rerun", &json!({"region": "prod-eu-de"})).await.is(202).body["run_id"].clone();
    again.front.ended(other.as_str().expect("an id")).await;
    // What is told of the page after its run has ended may come after `before`.
    let settled = |mut run: Value| {
        run["activity"] = Value::Null;
        run["note"]["text"] = Value::Null;
        run
    };
    assert_eq!(settled(again.front.end_of(&world.alert).await), settled(before));
    assert_eq!((world.pagerduty.notes_of(&world.alert).len(), world.pagerduty.pages().len()), (2, 1));
}

/// `SHUTDOWN_GRACE` of 3 s, and what a busy machine takes beside; without it what hangs would be waited for for minutes.
const IN_TIME: Duration = Duration::from_secs(20);

#[tokio::test]
async fn sigterm_ends_it_in_time_and_the_run_goes_on_later() {
    let (world, mut settings) = world().await;
    settings.push(("SHUTDOWN_GRACE".into(), "3s".into()));
    let mut process = Process::serve(&settings).await;
    alert(&world, &process).await;
    until("a build", async || (!world.jenkins.started().is_empty()).then_some(())).await;
    // Somebody who has sent half a request must not keep it.
    let address = process.front.url.trim_start_matches("http://").to_owned();
    let mut half = TcpStream::connect(address).await.expect("a socket");
    half.write_all(b"POST /webhooks/pagerduty HTTP/1.1\r\ncontent-length: 10\r\nhost: x\r\n\r\n12")
        .await
        .expect("sent");
    let asked_to = Instant::now();
    process.terminate();
    assert_eq!(process.ended().await, Some(0), "{}", process.said());
    assert!(asked_to.elapsed() < IN_TIME, "{:?}", asked_to.elapsed());
    ends_well(&world, &Process::serve(&settings).await).await;
}

#[tokio::test]
async fn sigterm_ends_it_in_time_while_every_upstream_hangs_and_clients_keep_their_connections() {
    use simulators::{cluster, jenkins};
    let (world, mut settings) = world().await;
    settings.push(("SHUTDOWN_GRACE".into(), "3s".into()));
    world.jenkins.fault(jenkins::Place::Any, jenkins::Fault::Hang, u32::MAX);
    for zone in &world.clusters {
        zone.change(|plan| plan.fault = Some(cluster::Fault::Silent));
    }
    let mut process = Process::serve(&settings).await;
    // Its client keeps the connection.
    alert(&world, &process).await;
    process.front.get_as("", "/healthz").await.is(200);
    let asked = || world.jenkins.requests().len().min(world.clusters[0].requests().len());
    until("questions that hang", async || (asked() > 0).then_some(())).await;
    for call in [Endpoint::Incidents, Endpoint::Incident, Endpoint::Notes] {
        world.pagerduty.fail(call, Fault::Hang, u32::MAX);
    }
    world.pagerduty.forget_requests();
    let note = json!({"incident_id": world.alert});
    assert_eq!(process.front.post("/escalate", &note).await.status, 202);
    until("a page that hangs", async || (!world.pagerduty.requests().is_empty()).then_some(())).await;
    let asked_to = Instant::now();
    process.terminate();
    assert_eq!(process.ended().await, Some(0), "{}", process.said());
    assert!(asked_to.elapsed() < IN_TIME, "{:?}", asked_to.elapsed());
    assert!(!process.said().contains("not everything ended"), "{}", process.said());
    world.pagerduty.mend();
    let again = Process::serve(&settings).await;
    until("the page", async || (world.pagerduty.pages().len() == 1).then_some(())).await;
    again.kill().await;
}

#[tokio::test]
async fn sigterm_while_it_starts_is_no_failure() {
    let (world, mut settings) = world().await;
    // A database that takes its connection and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = silent.local_addr().expect("an address");
    settings.push(("DATABASE_URL".into(), format!("postgres://u@{address}/d")));
    let mut command = tokio::process::Command::from(binary(&world.path(""), &settings));
    let command = command.arg("serve").stderr(std::process::Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("it starts");
    let _connection = silent.accept().await.expect("it asks");
    signal(child.id().expect("it runs"), Signal::TERM);
    assert_eq!(child.wait().await.expect("a status").code(), Some(0));
}

#[tokio::test]
async fn no_secret_is_ever_logged() {
    let (world, mut settings) = world().await;
    settings.push(("RUST_LOG".into(), "trace".into()));
    let process = Process::serve(&settings).await;
    alert(&world, &process).await;
    process.front.signed("{").await.is(202);
    process.front.get_as("an-unknown-token", "/api/runs").await.is(401);
    ends_well(&world, &process).await;
    let said = process.said();
    assert!(said.contains("diagnosed"), "{said}");
    let secret = |name: &str| name.contains("TOKEN") || name.contains("SECRET");
    for (name, value) in settings.iter().filter(|(name, _)| secret(name)) {
        for value in value.split(',') {
            let value = value.rsplit(':').next().unwrap_or(value);
            assert!(!said.contains(value), "{name} is in the log: {value}");
        }
    }
    assert!(!said.contains("an-unknown-token"));
    for cluster in &world.clusters {
        assert!(!said.contains(cluster.token()), "a cluster's token is in the log");
    }
}
