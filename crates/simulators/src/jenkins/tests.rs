//! The simulation holds what the real Jenkins does, and is as strict.

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use super::*;
use outbound::http::http_client;

const ZONE: &str = "registry-prod-us-south-az1";

async fn ask(jenkins: &Jenkins, method: Method, url: &str, form: &[(&str, &str)]) -> Response {
    let (user, token) = jenkins.credentials();
    let request = http_client().unwrap().request(method, url).basic_auth(user, Some(token));
    request.form(form).send().await.unwrap()
}

async fn get(jenkins: &Jenkins, path: &str) -> Response {
    ask(jenkins, Method::GET, &format!("{}{path}", jenkins.job_url()), &[]).await
}

async fn start(jenkins: &Jenkins, query: &str, form: &[(&str, &str)]) -> Response {
    ask(jenkins, Method::POST, &format!("{}buildWithParameters{query}", jenkins.job_url()), form).await
}

async fn build(jenkins: &Jenkins, number: u64) -> Value {
    get(jenkins, &format!("{number}/api/json?tree=building,result,actions[parameters[name,value]]"))
        .await
        .json()
        .await
        .unwrap()
}

async fn ended(jenkins: &Jenkins, number: u64) -> Value {
    for _ in 0..1000 {
        let response = get(jenkins, &format!("{number}/api/json")).await;
        if response.status() == StatusCode::OK {
            let build: Value = response.json().await.unwrap();
            if build["building"] == false {
                return build;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("build {number} does not end")
}

fn quick() -> Setup {
    Setup::always(BuildPlan::showing(&[(ZONE, 1, 1, 1)], Duration::from_millis(30)))
}

#[tokio::test]
async fn nobody_is_let_in_without_an_api_token_and_nothing_starts_by_get() {
    let jenkins = Jenkins::start(quick()).await.unwrap();
    let client = http_client().unwrap();
    let anonymous = client.get(jenkins.job_url()).send().await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::FORBIDDEN);
    let wrong = client.get(jenkins.job_url()).basic_auth("se-responder", Some("x")).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let by_get = get(&jenkins, "buildWithParameters?CLUSTER=x").await;
    assert_eq!(by_get.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(jenkins.started().is_empty());
    assert_eq!(get(&jenkins, "api/json?tree=builds[").await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_missing_parameter_takes_its_default_and_an_unknown_one_vanishes() {
    let jenkins = Jenkins::start(quick()).await.unwrap();
    let response = start(&jenkins, "?delay=0sec", &[("cluster", "registry-prod-eu-de-az1"), ("X", "y")]).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    ended(&jenkins, 1).await;
    let parameters = &build(&jenkins, 1).await["actions"][0]["parameters"];
    assert_eq!(parameters.as_array().unwrap().len(), 1);
    assert_eq!(parameters[0]["value"], DEFAULT_CLUSTER);
}

#[tokio::test]
async fn without_a_delay_there_is_a_quiet_period_and_equal_ones_meet_in_it() {
    let jenkins = Jenkins::start(quick()).await.unwrap();
    let first = start(&jenkins, "", &[("CLUSTER", ZONE)]).await;
    let again = start(&jenkins, &format!("?CLUSTER={ZONE}"), &[]).await;
    let other = start(&jenkins, "", &[("CLUSTER", "registry-prod-us-south-az2")]).await;
    assert_eq!((first.status(), again.status()), (StatusCode::CREATED, StatusCode::SEE_OTHER));
    assert_eq!(first.headers()["location"], again.headers()["location"]);
    assert_ne!(first.headers()["location"], other.headers()["location"]);
    let queue = format!("{}queue/api/json?tree=items[why,_class]", jenkins.url());
    let queue: Value = ask(&jenkins, Method::GET, &queue, &[]).await.json().await.unwrap();
    assert_eq!(queue["items"][0]["why"], "In the quiet period");
    assert_eq!(queue["items"].as_array().unwrap().len(), 2);
    let old = Jenkins::start(Setup { old_core: true, ..quick() }).await.unwrap();
    for _ in 0..2 {
        assert_eq!(start(&old, "", &[("CLUSTER", ZONE)]).await.status(), StatusCode::CREATED);
    }
    assert_eq!(old.started().len(), 1);
}

#[tokio::test]
async fn builds_wait_for_one_another_unless_they_may_run_side_by_side() {
    for concurrent in [true, false] {
        let setup = Setup::always(BuildPlan::showing(&[], Duration::from_secs(60)));
        let jenkins = Jenkins::start(Setup { concurrent, ..setup }).await.unwrap();
        for zone in ["a", "b"] {
            start(&jenkins, "?delay=0sec", &[("CLUSTER", zone)]).await;
        }
        let status = get(&jenkins, "2/api/json").await.status();
        assert_eq!(status == StatusCode::OK, concurrent);
    }
}

#[tokio::test]
async fn queue_items_are_forgotten_after_a_while() {
    let jenkins = Jenkins::start(Setup { items_kept: Duration::from_millis(50), ..quick() }).await.unwrap();
    let response = start(&jenkins, "?delay=0sec", &[("CLUSTER", ZONE)]).await;
    let item = format!("{}api/json", response.headers()["location"].to_str().unwrap());
    for _ in 0..1000 {
        if ask(&jenkins, Method::GET, &item, &[]).await.status() == StatusCode::NOT_FOUND {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{item} is never forgotten");
}

#[tokio::test]
async fn a_console_comes_from_any_start_with_crlf_and_again_from_beyond_its_end() {
    let mut plan = BuildPlan::showing(&[(ZONE, 1, 0, -1)], Duration::from_millis(20));
    plan.noise = Noise { lines: 3000 };
    let jenkins = Jenkins::start(Setup::always(plan)).await.unwrap();
    start(&jenkins, "?delay=0sec", &[("CLUSTER", ZONE)]).await;
    ended(&jenkins, 1).await;
    let whole = get(&jenkins, "1/consoleText").await.text().await.unwrap();
    let raw = whole.replace("\r\n", "\n");
    assert_eq!(whole.matches("\r\n").count(), whole.matches('\n').count());
    assert_eq!(raw.matches("[Pipeline] + curl").count(), 3000);
    assert!(raw.ends_with("Finished: SUCCESS\n") && raw.contains(&format!("\n[\n  \"{ZONE}-1\",\n")));
    for (start, sent) in [
        (0, 0),
        (1, 1),
        (64, 64),
        (100_000, 100_000),
        (3000 * 64 + 5, 3000 * 64 + 5),
        (raw.len(), raw.len()),
        (raw.len() + 1, 0),
    ] {
        let response = get(&jenkins, &format!("1/logText/progressiveText?start={start}")).await;
        assert_eq!(response.headers()["x-text-size"], raw.len().to_string());
        assert!(!response.headers().contains_key("x-more-data"));
        let text = response.text().await.unwrap().replace("\r\n", "\n");
        assert!(text == raw[sent..], "from {start}: {} bytes", text.len());
    }
}

#[tokio::test]
async fn its_clock_is_its_own() {
    let skew = SignedDuration::from_hours(3);
    let jenkins = Jenkins::start(Setup { skew, ..quick() }).await.unwrap();
    let now = SystemClock::shared().now();
    start(&jenkins, "?delay=0sec", &[("CLUSTER", ZONE)]).await;
    let response = get(&jenkins, "api/json").await;
    let date = jiff::fmt::rfc2822::parse(response.headers()["date"].to_str().unwrap()).unwrap().timestamp();
    assert!(date.duration_since(now) > SignedDuration::from_mins(179), "{date}");
    let began = ended(&jenkins, 1).await["timestamp"].as_i64().unwrap();
    assert!(began - now.as_millisecond() > 179 * 60_000);
}

#[tokio::test]
async fn a_job_that_can_not_be_built_says_so_in_its_document_in_its_menu_and_when_it_is_asked() {
    type Spoil = fn(&Jenkins);
    let cases: [(Spoil, u16, bool, bool, bool); 4] = [
        (|_| (), 201, true, true, true),
        (|j| j.disable(), 409, false, true, false),
        (|j| j.forget_parameter(), 400, true, false, true),
        (|j| j.forbid_builds(), 403, true, true, false),
    ];
    for (spoil, status, buildable, parameter, link) in cases {
        let jenkins = Jenkins::start(quick()).await.unwrap();
        spoil(&jenkins);
        let job: Value = get(&jenkins, "api/json").await.json().await.unwrap();
        assert_eq!(job["buildable"], buildable);
        assert_eq!(job["property"][0]["parameterDefinitions"][0]["name"] == "CLUSTER", parameter, "{job}");
        let page = get(&jenkins, "").await.text().await.unwrap();
        assert!(page.contains("task-link") && page.contains("/build?delay=0sec") == link, "{page}");
        assert_eq!(start(&jenkins, "?delay=0sec", &[("CLUSTER", ZONE)]).await.status(), status);
        assert_eq!(jenkins.started().len(), usize::from(status == 201));
    }
}

#[tokio::test]
async fn it_ends_when_it_is_dropped() {
    let jenkins = Jenkins::start(quick()).await.unwrap();
    let url = jenkins.job_url();
    drop(jenkins);
    let client = http_client().unwrap();
    for _ in 0..1000 {
        if client.get(&url).send().await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{url} still answers");
}
