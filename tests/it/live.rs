//! Live views and streams of several replicas: what one of them does shows on all.

use std::time::{Duration, Instant};

use outbound::clock::SystemClock;
use serde_json::Value;
use simulators::world::{VIEWER_TOKEN, World};

use crate::harness::{PATIENCE, QUICK, quick, settings_of, settings_on_postgres, until};
use crate::process::Process;

/// How late a change may show on the replica that made it, and on the others.
const HERE: Duration = Duration::from_secs(1);
const ELSEWHERE: Duration = Duration::from_secs(3);
/// The machine does something else too.
const SLACK: u32 = 3;

/// Asks a process for a stream.
async fn stream(process: &Process, path: &str) -> reqwest::Response {
    let request = process.front.http.get(format!("{}{path}", process.front.url)).bearer_auth(VIEWER_TOKEN);
    request.send().await.expect("a stream").error_for_status().expect("a stream")
}

/// When a stream told that a run is done.
async fn told_done(mut answer: reqwest::Response, run_id: &str) -> Instant {
    let mut text = String::new();
    let is_done = |line: &str| {
        let run: Value =
            line.strip_prefix("data: ").and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
        run["id"] == run_id && run["state"] == "done"
    };
    let read = async {
        while let Some(chunk) = answer.chunk().await.expect("a whole stream") {
            text.push_str(&String::from_utf8_lossy(&chunk));
            while let Some((line, rest)) = text.split_once('\n') {
                if is_done(line) {
                    return Instant::now();
                }
                text = rest.to_owned();
            }
        }
        panic!("the stream ended before the run did");
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the run's end in the stream")
}

#[tokio::test]
async fn a_change_shows_on_the_replica_that_made_it_within_1_s_and_on_every_other_within_3_s() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let settings = settings_on_postgres(&world, QUICK);
    let (works, other) = tokio::join!(Process::serve(&settings), Process::serve(&settings));
    world.jenkins.hold_builds(1);
    world.send(&works.front.url, "incident.triggered").await.expect("an answer");
    // Who takes a webhook works on it.
    until("a build", async || (!world.jenkins.started().is_empty()).then_some(())).await;
    let id = works.front.runs_of(&world.alert).await[0]["id"].as_str().expect("an id").to_owned();
    let mut streams = Vec::new();
    for (process, within) in [(&works, HERE), (&other, ELSEWHERE)] {
        for path in [format!("/api/runs/{id}/events"), "/api/events".to_owned()] {
            let answer = stream(process, &path).await;
            streams.push((format!("{path} within {within:?}"), within, told_done(answer, &id)));
        }
    }
    world.jenkins.let_builds_end();
    let done = async {
        until("the run's end", async || (works.front.run(&id).await["state"] == "done").then(Instant::now)).await
    };
    let told =
        futures::future::join_all(streams.into_iter().map(async |(what, within, told)| (what, within, told.await)));
    let (done, told) = tokio::join!(done, told);
    for (what, within, at) in told {
        let late = at.saturating_duration_since(done);
        assert!(late < within * SLACK, "{what}: {late:?}");
    }
}

/// How often a process asked its database for runs to show, by its log.
fn looks(process: &Process) -> usize {
    let is_look = |line: &&str| line.contains("sqlx::query") && line.contains("SELECT r.id, r.incident_id");
    process.said().lines().filter(is_look).count()
}

#[tokio::test]
async fn a_replica_without_an_open_stream_looks_for_nothing_to_show() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let settings = settings_on_postgres(&world, &[QUICK, &[("RUST_LOG", "info,sqlx=debug")]].concat());
    let (streams, other) = tokio::join!(Process::serve(&settings), Process::serve(&settings));
    let answer = stream(&streams, "/api/events").await;
    // Four questions a look.
    until("the stream to look for what others change", async || (looks(&streams) >= 5 * 4).then_some(())).await;
    assert_eq!(looks(&other), 0, "{}", other.said());
    drop(answer);
}

#[tokio::test]
async fn the_list_asks_once_for_the_runs_that_it_shows() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let settings =
        settings_of(&world, &[QUICK, &[("RUST_LOG", "info,sqlx=debug"), ("RECONCILE_INTERVAL", "0s")]].concat());
    let process = Process::serve(&settings).await;
    assert_eq!(looks(&process), 0, "{}", process.said());
    process.front.get_as(VIEWER_TOKEN, "/").await.is(200);
    // Whatever else it asked would stand before what the next asks.
    process.front.get_as(VIEWER_TOKEN, "/?region=prod-eu-de").await.is(200);
    let asked_next = || process.said().contains("SELECT id FROM runs WHERE region = $1");
    until("what the next asked", async || asked_next().then_some(())).await;
    assert_eq!(looks(&process), 2, "{}", process.said());
}

#[tokio::test]
async fn streams_of_views_tell_them_that_they_are_alive_and_no_other_client() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let process = Process::serve(&settings_of(&world, QUICK)).await;
    let run = process.front.post("/rerun", &serde_json::json!({"region": "prod-eu-gb"})).await;
    let id = run.is(202).body["run_id"].as_str().expect("an id").to_owned();
    process.front.ended(&id).await;
    let hears = async |path: String| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the service's client gives up on a stream while that may be silent"
        )]
        let patient = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = patient.get(format!("{}{path}", process.front.url)).bearer_auth(VIEWER_TOKEN);
        let mut answer = request.send().await.expect("a stream").error_for_status().expect("a stream");
        let mut text = String::new();
        let quiet = async {
            // A comment, or an event.
            while !text.contains("\n:") && !text.starts_with(':') && !text.contains("event: alive") {
                text.push_str(&String::from_utf8_lossy(&answer.chunk().await.expect("a stream").expect("more of it")));
            }
        };
        tokio::time::timeout(PATIENCE, quiet).await.expect("a sign of life");
        text.contains("event: alive")
    };
    let [views, api] =
        [["/live".to_owned(), format!("/runs/{id}/live")], ["/api/events".into(), format!("/api/runs/{id}/events")]];
    let (views, api) =
        tokio::join!(futures::future::join_all(views.map(&hears)), futures::future::join_all(api.map(&hears)));
    assert_eq!((views, api), (vec![true; 2], vec![false; 2]));
}
