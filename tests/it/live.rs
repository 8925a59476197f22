//! Live views and streams of several replicas: what one of them does shows on all.

use std::time::{Duration, Instant};

use outbound::clock::SystemClock;
use serde_json::Value;
use simulators::world::{VIEWER_TOKEN, World};

use crate::harness::{PATIENCE, QUICK, quick, settings_on_postgres, until};
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
