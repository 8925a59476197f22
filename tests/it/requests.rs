//! What every request has in common: a span in the log, its id in the answer, and who takes which method.

use std::collections::BTreeSet;

use outbound::clock::SystemClock;
use reqwest::Method;
use serde_json::{Value, json};
use simulators::world::{OPERATOR_TOKEN, VIEWER_TOKEN, World};

use crate::harness::{Answer, QUICK, Stage, quick, settings_of, until};
use crate::process::Process;

fn id_of(answer: &Answer) -> String {
    answer.headers["x-request-id"].to_str().expect("an id").to_owned()
}

/// The lines of a log about a request, once they are there.
async fn lines_about(process: &Process, answer: &Answer, wanted: &str) -> Vec<String> {
    let id = id_of(answer);
    until(wanted, async || {
        let lines: Vec<String> = process.said().lines().filter(|line| line.contains(&id)).map(str::to_owned).collect();
        lines.iter().any(|line| line.contains(wanted)).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn what_is_logged_for_a_request_says_for_which_and_reading_is_not_logged() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let process = Process::serve(&settings_of(&world, QUICK)).await;
    let read = process.front.get_as(VIEWER_TOKEN, "/api/runs?region=prod-us-south").await;
    read.is(200);
    let refused = process.front.post_as(VIEWER_TOKEN, "/rerun", &json!({"region": "prod-us-south"}), None).await;
    refused.is_problem(403);
    let changed = process.front.post_as(OPERATOR_TOKEN, "/rerun", &json!({"region": "prod-us-south"}), None).await;
    changed.is(202);
    let lines = lines_about(&process, &changed, "answered").await;
    // What the handler says beside it too.
    for words in ["a rerun is asked for", "answered"] {
        let line = lines.iter().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {lines:#?}"));
        for part in ["INFO", "request{request.id=", "http.method=\"POST\"", "http.route=\"/rerun\""] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    let last = lines.last().expect("a line");
    assert!(last.contains("http.status=202") && last.contains("took_ms="), "{last}");
    let said = process.said();
    assert!(!said.contains(&id_of(&read)) && !said.contains(&id_of(&refused)), "{said}");
}

#[tokio::test]
async fn at_debug_every_request_is_logged_and_never_what_it_carries() {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    let mut settings = settings_of(&world, QUICK);
    settings.push(("RUST_LOG".into(), "trace".into()));
    let process = Process::serve(&settings).await;
    let front = &process.front;
    let mut carried = vec!["a-link-key-of-somebody", "a-token-that-nobody-has", "a-region-that-is-asked-for"];
    let linked = front.page(&format!("/runs/none?key={}", carried[0]), &[]).await;
    linked.is(401);
    let http = front.http.clone();
    let form = http.post(format!("{}/sign-in", front.url)).form(&[("token", carried[1])]);
    Answer::of(form).await.is(401);
    let cookie = front.signed_in(OPERATOR_TOKEN).await;
    let listed = front.page(&format!("/?region={}", carried[2]), &[("cookie", &cookie)]).await;
    listed.is(200);
    let lines = lines_about(&process, &listed, "answered").await;
    assert!(
        lines.iter().any(|line| line.contains("http.route=\"/\"") && line.contains("http.status=200")),
        "{lines:#?}"
    );
    lines_about(&process, &linked, "http.status=401").await;
    let cookie = cookie.split_once('=').expect("a value").1;
    carried.extend([OPERATOR_TOKEN, cookie]);
    let said = process.said();
    for secret in carried {
        assert!(!said.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn every_address_takes_the_methods_that_are_described_and_no_other() {
    let stage = Stage::quick(&[]).await;
    let front = &stage.front;
    let description: Value = front.get("/openapi.json").await;
    let paths = description["paths"].as_object().expect("paths");
    assert!(paths.len() > 15, "{paths:?}");
    let all = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    for (path, described) in paths {
        let described: BTreeSet<String> =
            described.as_object().expect("methods").keys().map(|method| method.to_uppercase()).collect();
        let address = format!("{}{}", front.url, path.replace("{id}", "none").replace("{name}", "none"));
        let mut taken = BTreeSet::new();
        for method in &all {
            let answer = front.http.request(method.clone(), &address).send().await.expect("an answer");
            if answer.status() != 405 {
                taken.insert(method.to_string());
            }
        }
        assert_eq!(taken, described, "{path}");
    }
}
