//! Several replicas of the real binary on one PostgreSQL database: whatever happens to one of them, and to the database.

use std::time::{Duration, Instant};

use outbound::clock::SystemClock;
use serde_json::json;
use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};
use simulators::postgres::Postgres;
use simulators::scenario::Scenario;
use simulators::world::{OPERATOR_TOKEN, World};
use sqlx::{Connection, Executor};
use store::LEASE;

use crate::harness::{QUICK, nothing_else_was_asked, quick, settings_on_postgres, showing, until};
use crate::process::Process;
use crate::restart::ends_well;
use crate::together::{self, REGION, all_have_one_page, third_line};

/// How long PagerDuty waits for the answer to a webhook.
const PAGERDUTY_WAITS: Duration = Duration::from_secs(5);

/// A world whose builds take a while, and the settings of replicas that page automatically.
async fn world() -> (World, Vec<(String, String)>) {
    let builds = |asked: &_| showing(asked, 0, 1, Duration::from_millis(800));
    let scenario = Box::leak(Box::new(Scenario { builds, ..*quick() }));
    let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
    let settings = settings_on_postgres(&world, &[QUICK, &[("ESCALATION_MODE", "auto")]].concat());
    (world, settings)
}

async fn alert(world: &World, process: &Process) -> (u16, String) {
    world.send(&process.front.url, "incident.triggered").await.expect("an answer")
}

/// Somebody has it diagnosed again.
async fn alert_again(world: &World, process: &Process) -> u16 {
    process.front.post_as(OPERATOR_TOKEN, "/rerun", &json!({"incident_id": world.alert}), None).await.status
}

fn accepted() -> (u16, String) {
    (202, "{\"status\":\"accepted\"}".to_owned())
}

/// lifecycle.md#crashes-clocks-replicas: an event, and a request under one key, count once over all replicas.
#[tokio::test]
async fn what_one_is_told_all_know_and_one_does() {
    let (world, settings) = world().await;
    let (a, b) = tokio::join!(Process::serve(&settings), Process::serve(&settings));
    let body = world.pagerduty.webhook_body("incident.triggered", &world.alert);
    assert_eq!(a.front.signed(&body).await.is(202).word(), "accepted");
    assert_eq!(b.front.signed(&body).await.is(202).word(), "duplicate", "the same event at another door");
    assert_eq!(alert(&world, &b).await.1, "{\"status\":\"ignored\"}");
    let run = ends_well(&world, &b).await;
    assert_eq!(a.front.run(run["id"].as_str().expect("an id")).await, b.front.end_of(&world.alert).await);
    // A request at one, and its repeat at the other.
    let request = json!({"region": "prod-eu-de"});
    let first = a.front.post_as(OPERATOR_TOKEN, "/rerun", &request, Some("k")).await;
    let again = b.front.post_as(OPERATOR_TOKEN, "/rerun", &request, Some("k")).await;
    assert_eq!(first.is(202).body["run_id"], again.is(202).body["run_id"]);
    b.front.ended(first.body["run_id"].as_str().expect("an id")).await;
}

/// lifecycle.md#crashes-clocks-replicas: a request under one key counts once, also where both come at one time.
#[tokio::test]
async fn one_key_at_two_replicas_at_once_makes_one_run_and_has_one_answer() {
    let (_world, settings) = world().await;
    let (a, b) = tokio::join!(Process::serve(&settings), Process::serve(&settings));
    for n in 0..10 {
        let (region, key) = (format!("prod-key-{n}"), format!("key-{n}"));
        let request = json!({"region": region});
        let ask = async |process: &Process| process.front.post_as(OPERATOR_TOKEN, "/rerun", &request, Some(&key)).await;
        let (one, other) = tokio::join!(ask(&a), ask(&b));
        let run = one.is(202).body["run_id"].clone();
        assert!(run.is_string() && run == other.is(202).body["run_id"], "{one:?} {other:?}");
        let runs = b.front.get(&format!("/api/runs?region={region}")).await;
        assert_eq!(runs["runs"].as_array().expect("runs").len(), 1, "{runs:#}");
        assert_eq!(ask(&b).await.is(202).body["run_id"], run, "and whenever it is asked again");
    }
}

/// A run that one replica works on, whose build does not end before it may; and another replica.
async fn at_work(world: &World, settings: &[(String, String)]) -> (Process, Process) {
    world.jenkins.hold_builds(1);
    let a = Process::serve(settings).await;
    assert_eq!(alert(world, &a).await, accepted());
    until("a build", async || (world.jenkins.started().len() == 1).then_some(())).await;
    (a, Process::serve(settings).await)
}

async fn escalate(world: &World, process: &Process) -> u16 {
    process.front.post_as(OPERATOR_TOKEN, "/escalate", &json!({"incident_id": world.alert}), None).await.status
}

/// lifecycle.md#commands: it holds from its 202 on, whoever works on the alert; and so does the word that lifts it.
#[tokio::test]
async fn a_hold_and_an_escalation_count_at_another_replica_than_the_one_that_works_on_the_alert() {
    let (world, settings) = world().await;
    let (a, b) = at_work(&world, &settings).await;
    let note = world.pagerduty.annotate(&world.alert, Setup::ENGINEER, "/hold").expect("a note");
    b.front.signed(&world.pagerduty.annotated_body(&world.alert, &note.id)).await.is(202);
    world.jenkins.let_builds_end();
    let run = a.front.end_of(&world.alert).await;
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("held")), "{run:#}");
    assert!(run["escalation"]["reason"].as_str().is_some_and(|why| why.contains("said /hold")), "{run:#}");
    assert!(world.pagerduty.pages().is_empty());
    assert_eq!(escalate(&world, &b).await, 202);
    let run = until("the page", async || {
        let run = a.front.run(run["id"].as_str().expect("an id")).await;
        (run["escalation"]["state"] == "paged").then_some(run)
    })
    .await;
    assert!(run["alert"]["held_by"].is_null(), "{run:#}");
    assert_eq!((escalate(&world, &a).await, world.pagerduty.pages().len()), (409, 1));
    nothing_else_was_asked(&world);
}

/// lifecycle.md#the-page: a person's word pages at once, whoever diagnoses the alert meanwhile, and that is the alert's page.
#[tokio::test]
async fn a_person_pages_at_another_replica_while_one_diagnoses_the_alert() {
    let (world, settings) = world().await;
    let (a, b) = at_work(&world, &settings).await;
    assert_eq!(escalate(&world, &b).await, 202);
    until("the page", async || (world.pagerduty.pages().len() == 1).then_some(())).await;
    let run = a.front.runs_of(&world.alert).await.remove(0);
    assert!(run["finished_at"].is_null() && run["diagnosis"].is_null(), "{run:#}");
    world.jenkins.let_builds_end();
    let run = a.front.end_of(&world.alert).await;
    assert_eq!(run["escalation"]["state"], "paged", "{run:#}");
    assert_eq!((escalate(&world, &a).await, world.pagerduty.pages().len()), (409, 1));
}

/// Each follows the other's build for a while first: a quarter of the time, which is shorter than a build.
#[tokio::test]
async fn the_builds_of_all_are_no_more_than_allowed() {
    let builds = |asked: &_| showing(asked, 1, 0, Duration::from_millis(3400));
    let scenario = Box::leak(Box::new(Scenario { builds, ..*quick() }));
    let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
    let settings =
        settings_on_postgres(&world, &[QUICK, &[("JENKINS_MAX_BUILDS", "1"), ("JENKINS_TIMEOUT", "12s")]].concat());
    let (a, b) = tokio::join!(Process::serve(&settings), Process::serve(&settings));
    let mut runs = Vec::new();
    for (process, region) in [(&a, "prod-us-south"), (&b, "prod-eu-de")] {
        let answer = process.front.post_as(OPERATOR_TOKEN, "/rerun", &json!({"region": region}), None).await;
        runs.push(answer.is(202).body["run_id"].as_str().expect("an id").to_owned());
        until("a build", async || (world.jenkins.ours_at_once() > 0).then_some(())).await;
    }
    let mut most = 0;
    until("both to end", async || {
        most = most.max(world.jenkins.ours_at_once());
        let ended = async |id: &str| !a.front.run(id).await["finished_at"].is_null();
        (ended(&runs[0]).await && ended(&runs[1]).await).then_some(())
    })
    .await;
    assert_eq!(most, 1, "{:?}", world.jenkins.started());
    assert!(world.jenkins.started().iter().any(|zone| zone.starts_with("registry-prod-eu-de")), "each has its own");
}

/// lifecycle.md#crashes-clocks-replicas: a running build is picked up, one note, one page.
#[tokio::test]
async fn where_one_is_killed_midway_another_goes_on() {
    let (world, settings) = world().await;
    world.jenkins.hold_builds(1);
    let a = Process::serve(&settings).await;
    assert_eq!(alert(&world, &a).await, accepted());
    until("a build", async || (world.jenkins.started().len() == 1).then_some(())).await;
    let b = Process::serve(&settings).await;
    a.kill().await;
    world.jenkins.let_builds_end();
    // Its lease runs out first.
    let run = ends_well(&world, &b).await;
    let steps = run["steps"].as_array().expect("steps");
    assert!(steps.iter().any(|s| s["state"] == "interrupted"), "people see that it was cut off: {steps:#?}");
}

/// lifecycle.md#crashes-clocks-replicas: every stored webhook is acted on.
/// Nobody can claim a run, and it is worked on: it belongs to the one that has stored it.
#[tokio::test]
async fn the_one_that_takes_a_webhook_works_on_it_and_another_goes_on_when_it_is_dead() {
    let (world, mut settings) = world().await;
    world.jenkins.hold_builds(1);
    let url = Postgres::shared().database().expect("a database");
    settings.push(("DATABASE_URL".into(), url.clone()));
    let (a, b) = tokio::join!(Process::serve(&settings), Process::serve(&settings));
    let mut database = sqlx::PgConnection::connect(&url).await.expect("a connection");
    database
        .execute(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'nobody claims'; END $$;
             CREATE TRIGGER no_claims BEFORE UPDATE OF owner ON work FOR EACH ROW
             WHEN (NEW.kind = 'run' AND NEW.owner IS NOT NULL) EXECUTE FUNCTION no()",
        )
        .await
        .expect("a trigger");
    assert_eq!(alert(&world, &b).await, accepted());
    until("a build", async || (world.jenkins.started().len() == 1).then_some(())).await;
    database.execute("DROP TRIGGER no_claims ON work").await.expect("no trigger");
    b.kill().await;
    world.jenkins.let_builds_end();
    ends_well(&world, &a).await;
}

#[tokio::test]
async fn one_that_stops_gives_back_what_it_had_begun() {
    let (world, settings) = world().await;
    world.jenkins.hold_builds(1);
    let mut a = Process::serve(&settings).await;
    assert_eq!(alert(&world, &a).await, accepted());
    until("a build", async || (world.jenkins.started().len() == 1).then_some(())).await;
    let b = Process::serve(&settings).await;
    a.terminate();
    assert_eq!(a.ended().await, Some(0), "{}", a.said());
    world.jenkins.let_builds_end();
    let ended = Instant::now();
    ends_well(&world, &b).await;
    assert!(ended.elapsed() < LEASE * 2 / 3, "its leases were not given back, but ran out: {:?}", ended.elapsed());
}

/// Another session's lock, as of a migration by hand: nothing can be stored, and no answer comes from the database.
#[tokio::test]
async fn a_database_that_hangs_is_a_503_before_pagerduty_gives_up_waiting() {
    let (world, mut settings) = world().await;
    let url = Postgres::shared().database().expect("a database");
    settings.push(("DATABASE_URL".into(), url.clone()));
    let process = Process::serve(&settings).await;
    let mut other = sqlx::PgConnection::connect(&url).await.expect("a connection");
    other.execute("BEGIN; LOCK TABLE webhooks IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let body = world.pagerduty.webhook_body("incident.triggered", &world.alert);
    // A machine that does something else for a moment is not the service's: one of three is in time.
    let mut soonest = Duration::MAX;
    for _ in 0..3 {
        let asked = Instant::now();
        let answer = process.front.signed(&body).await;
        soonest = soonest.min(asked.elapsed());
        answer.is_problem(503);
        assert!(answer.headers["retry-after"].to_str().is_ok_and(|s| s.parse::<u32>().is_ok()), "{answer:?}");
        if soonest < PAGERDUTY_WAITS {
            break;
        }
    }
    assert!(soonest < PAGERDUTY_WAITS, "{soonest:?}");
    other.execute("ROLLBACK").await.expect("unlocked");
    until("it to be taken", async || (process.front.signed(&body).await.status == 202).then_some(())).await;
    ends_well(&world, &process).await;
}

/// PagerDuty counts a key: each request to it has a turn of those that the replicas share. And who stops gives back what
/// was its own to do; the build that it waited for is counted on.
#[tokio::test]
async fn requests_to_pagerduty_have_turns_of_all_and_who_stops_keeps_no_lease() {
    let (world, mut settings) = world().await;
    world.jenkins.hold_builds(1);
    let url = Postgres::shared().database().expect("a database");
    settings.push(("DATABASE_URL".into(), url.clone()));
    let mut process = Process::serve(&settings).await;
    assert_eq!(alert(&world, &process).await, accepted());
    let mut database = sqlx::PgConnection::connect(&url).await.expect("a connection");
    let mut count =
        async |sql: &'static str| -> i64 { sqlx::query_scalar(sql).fetch_one(&mut database).await.expect("a number") };
    until("a build", async || (world.jenkins.started().len() == 1).then_some(())).await;
    let building = "SELECT COUNT(*) FROM work WHERE building = 1";
    assert_eq!(count(building).await, 1, "one build, which counts");
    world.jenkins.let_builds_end();
    ends_well(&world, &process).await;
    let turns = count("SELECT CAST(COALESCE(SUM(taken), 0) AS BIGINT) FROM turns").await;
    let asked = world.pagerduty.requests().len();
    assert!(turns >= i64::try_from(asked).expect("few") && asked > 0, "{turns} turns for {asked} requests");
    world.jenkins.hold_builds(3);
    assert_eq!(alert_again(&world, &process).await, 202);
    until("another build", async || (world.jenkins.started().len() == 3).then_some(())).await;
    process.terminate();
    assert_eq!(process.ended().await, Some(0), "{}", process.said());
    assert_eq!(count(building).await, 1, "it runs on, and whoever takes the run up goes on with it");
    assert_eq!(
        count("SELECT COUNT(*) FROM workers").await,
        0,
        "whoever comes next need not wait until its lease runs out"
    );
}

#[tokio::test]
async fn one_looks_for_alerts_that_no_webhook_told_of_and_another_when_it_is_dead() {
    let (world, mut settings) = world().await;
    settings.push(("RECONCILE_INTERVAL".into(), "400ms".into()));
    let a = Process::serve(&settings).await;
    let b = Process::serve(&settings).await;
    ends_well(&world, &b).await;
    a.kill().await;
    let second = world.pagerduty.open(Opening::new("All SE endpoints down in prod-us-south", Setup::REGISTRY));
    until("a run for it", async || b.front.runs_of(&second.id).await.pop()).await;
}

#[tokio::test]
async fn a_database_that_dies_under_a_run_costs_nothing_but_time() {
    let (world, mut settings) = world().await;
    let server = Postgres::start().expect("a server");
    settings.push(("DATABASE_URL".into(), server.database().expect("a database")));
    let mut process = Process::serve(&settings).await;
    assert_eq!(alert(&world, &process).await, accepted());
    until("a build", async || (world.jenkins.started().len() == 1).then_some(())).await;
    server.crash().expect("it dies");
    // A second alert meanwhile: not taken, and PagerDuty is told to come again.
    let body = world.pagerduty.webhook_body("incident.triggered", "Q2ND");
    let answer = process.front.signed(&body).await;
    answer.is_problem(503);
    assert!(answer.headers["retry-after"].to_str().is_ok_and(|s| s.parse::<u32>().is_ok()), "{answer:?}");
    process.front.get_as("", "/readyz").await.is_problem(503);
    process.front.get_as("", "/healthz").await.is(200);
    server.start_again().expect("it is back");
    until("it to be ready", async || (process.front.get_as("", "/readyz").await.status == 200).then_some(())).await;
    ends_well(&world, &process).await;
    process.terminate();
    assert_eq!(process.ended().await, Some(0), "{}", process.said());
}

/// Several alerts of one region at replicas of their own: one page, which the others join.
#[tokio::test]
async fn several_replicas_that_page_for_one_region_at_once_open_one_page() {
    let (world, settings) = world().await;
    world.pagerduty.set_latency(Duration::from_millis(50));
    let (a, b, c) = tokio::join!(Process::serve(&settings), Process::serve(&settings), Process::serve(&settings));
    let title = "All SE endpoints down in prod-us-south";
    let alerts: Vec<String> = (0..15).map(|_| world.pagerduty.open(Opening::new(title, Setup::REGISTRY)).id).collect();
    let sent = alerts.iter().zip([&a, &b, &c].into_iter().cycle()).map(|(alert, process)| {
        let body = world.pagerduty.webhook_body("incident.triggered", alert);
        async move { process.front.taken(&body).await }
    });
    futures::future::join_all(sent).await;
    let mut pages = std::collections::HashSet::new();
    for alert in &alerts {
        let run = b.front.end_of(alert).await;
        assert_eq!(run["escalation"]["state"], "paged", "{run:#}");
        pages.insert(run["escalation"]["page"]["id"].to_string());
    }
    assert_eq!((pages.len(), world.pagerduty.pages().len()), (1, 1), "{pages:?}");
}

/// lifecycle.md#the-page: of several alerts of one region one opens it, and the others join it.
/// Whoever opens the page is killed while nothing shows of it: PagerDuty opens it later, when all replicas are started again
/// and nobody has taken the work of the dead ones up yet. The others are killed while they read boxes, write their notes and
/// wait for the page.
#[tokio::test]
async fn of_fifty_alerts_at_replicas_that_are_killed_one_opens_a_page_and_the_others_join_it() {
    let (world, settings) = world().await;
    let pagerduty = &world.pagerduty;
    pagerduty.set_latency(Duration::from_millis(50));
    // What is sent again before the kill comes to nothing.
    pagerduty.fail(Endpoint::CreateIncident, Fault::Late(20), 1);
    pagerduty.fail(Endpoint::CreateIncident, Fault::Hang, u32::MAX);
    let (a, b, c) = tokio::join!(Process::serve(&settings), Process::serve(&settings), Process::serve(&settings));
    let mut alerts = together::alerts(&world, REGION, 49);
    alerts.push(world.alert.clone());
    let sent = alerts.iter().zip([&a, &b, &c].into_iter().cycle()).map(|(alert, process)| {
        let body = pagerduty.webhook_body("incident.triggered", alert);
        async move { process.front.taken(&body).await }
    });
    futures::future::join_all(sent).await;
    let is_asked_for = || pagerduty.requests().iter().any(|r| r.method == "POST" && r.path == "/incidents");
    until("a page to be asked for", async || is_asked_for().then_some(())).await;
    // Some of the others have come to where they would open one, and look for it again and again.
    let is_noted = |alert: &&String| pagerduty.notes_of(alert).iter().any(|note| note.content.contains("\nrun "));
    until("some notes", async || (alerts.iter().filter(is_noted).count() >= 15).then_some(())).await;
    let mut replicas = Vec::new();
    for replica in [a, b, c] {
        replica.kill().await;
        replicas.push(Process::serve(&settings).await);
    }
    pagerduty.mend_only(Endpoint::CreateIncident);
    let runs = together::ended(&world, &replicas[0].front, &alerts).await;
    let page = all_have_one_page(&world, &alerts, &runs);
    let joined = runs.iter().filter(|run| run["escalation"]["page"]["joined"] == true);
    assert_eq!(joined.count(), alerts.len() - 1);
    for (alert, run) in alerts.iter().zip(&runs) {
        let line = third_line(&world, alert, run).expect("a note");
        assert!(line.ends_with(&format!("/incidents/{}", page.id)), "{alert}: {line}");
        let notes = pagerduty.notes_of(alert);
        let of_runs = notes.iter().filter(|n| n.content.lines().next_back().is_some_and(|l| l.starts_with("run ")));
        assert_eq!(of_runs.count(), 1, "{alert}: {notes:#?}");
    }
}

#[tokio::test]
async fn each_of_many_alerts_has_one_early_word_of_whichever_replica() {
    let builds = |asked: &_| showing(asked, 1, 1, Duration::from_secs(600));
    let scenario = Box::leak(Box::new(Scenario { builds, clusters: |_, _| None, ..*quick() }));
    let world = World::start(scenario, SystemClock::shared()).await.expect("a world");
    let settings = settings_on_postgres(&world, &[("NOTE_BY", "5s"), ("JENKINS_TIMEOUT", "10m")]);
    let (a, b) = tokio::join!(Process::serve(&settings), Process::serve(&settings));
    let title = "All SE endpoints down in prod-us-south";
    let alerts: Vec<String> = (0..150).map(|_| world.pagerduty.open(Opening::new(title, Setup::REGISTRY)).id).collect();
    let sent = alerts.iter().zip([&a, &b].into_iter().cycle()).map(|(alert, process)| {
        let body = world.pagerduty.webhook_body("incident.triggered", alert);
        async move { process.front.taken(&body).await }
    });
    futures::future::join_all(sent).await;
    let words = |alert: &String| world.pagerduty.notes_of(alert).len();
    until("a word for half of them", async || (alerts.iter().filter(|a| words(a) > 0).count() > 75).then_some(()))
        .await;
    // Whichever wrote them: the other goes on.
    a.kill().await;
    until("a word for each", async || alerts.iter().all(|alert| words(alert) > 0).then_some(())).await;
    assert!(alerts.iter().all(|alert| words(alert) == 1), "{:?}", alerts.iter().map(words).collect::<Vec<_>>());
}
