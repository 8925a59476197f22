//! What every request has in common: a span in the log, its id in the answer, compression, and who takes which method.

use std::collections::BTreeSet;

use outbound::clock::SystemClock;
use reqwest::Method;
use serde_json::{Value, json};
use simulators::world::{OPERATOR_TOKEN, VIEWER_TOKEN, World};

use crate::harness::{Answer, Front, QUICK, Stage, quick, settings_of, until};
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

/// An answer as a client gets it that takes these encodings: its `Content-Encoding`, and its bytes.
async fn encoded(front: &Front, path: &str, takes: &str, headers: &[(&str, &str)]) -> (Option<String>, Vec<u8>) {
    let mut request = front.http.get(format!("{}{path}", front.url)).header("accept-encoding", takes);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer").error_for_status().expect("a good one");
    let encoding = answer.headers().get("content-encoding").map(|e| e.to_str().expect("a word").to_owned());
    (encoding, answer.bytes().await.expect("all of it").to_vec())
}

#[tokio::test]
async fn what_is_long_is_compressed_for_who_takes_it_but_neither_streams_nor_a_secret_beside_a_query() {
    let stage = Stage::quick(&[]).await;
    let run = stage.diagnosed().await;
    let front = &stage.front;
    let bearer = format!("Bearer {VIEWER_TOKEN}");
    let (bearer, session) = (("authorization", bearer.as_str()), front.signed_in(VIEWER_TOKEN).await);
    let session = ("cookie", session.as_str());
    let view = format!("/runs/{}", run["id"].as_str().expect("an id"));
    let api = format!("/api{view}");
    for (path, who) in [
        (view.as_str(), bearer),
        (view.as_str(), session),
        ("/", session),
        ("/?region=prod-us-south", bearer),
        (api.as_str(), bearer),
        ("/api/runs?region=prod-us-south", bearer),
        ("/metrics", bearer),
        ("/openapi.json", bearer),
        ("/assets/style.css", bearer),
    ] {
        let (encoding, bytes) = encoded(front, path, "br, gzip;q=0.9, identity;q=0", &[who]).await;
        assert_eq!(encoding.as_deref(), Some("gzip"), "{path}");
        let (none, plain) = encoded(front, path, "br, gzip;q=0, identity;q=0", &[who]).await;
        assert_eq!(none, None, "{path}");
        assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < plain.len() / 2, "{path}: {}", bytes.len());
        // Its end says how long it is when it is whole.
        if path == "/openapi.json" {
            let length = bytes.last_chunk().map(|end| u32::from_le_bytes(*end));
            assert_eq!(length, u32::try_from(plain.len()).ok());
        }
    }
    let beside = encoded(front, "/?region=prod-us-south", "gzip", &[session]).await;
    assert_eq!(beside.0, None, "the filter stands beside the key of the session's forms");
    for path in [format!("{api}/events"), "/api/events".to_owned(), format!("{view}/live")] {
        let request = front.http.get(format!("{}{path}", front.url)).header("accept-encoding", "gzip");
        let answer = request.header(bearer.0, bearer.1).send().await.expect("a stream");
        assert_eq!(answer.headers()["content-type"], "text/event-stream", "{path}");
        assert!(answer.headers().get("content-encoding").is_none(), "{path}");
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
