//! The client against the simulated Prometheus.

use std::time::Duration;

use outbound::clock::SystemClock;
use runbook::diagnosis::client::sample::Sample;
use runbook::span::after;
use simulators::prometheus::{Fault, Prometheus as Simulated, Series};
use simulators::tap::Tap;

use super::*;

const QUERY: &str = "probe_success{job=\"se\",region=\"prod-us-south\"}";

async fn simulated() -> Simulated {
    let simulated = Simulated::start(SystemClock::shared(), Tap::default()).await.expect("a Prometheus");
    simulated.tests("prod-us-south", Some("1"), Some("0"));
    simulated.tests("prod-eu-de", Some("NaN"), None);
    simulated
}

fn client(simulated: &Simulated, url: &str) -> Prometheus {
    let settings =
        PrometheusSettings { url: url.parse().expect("a URL"), token: Some(simulated.token().as_str().into()) };
    Prometheus::new(settings, SystemClock::shared()).expect("a client")
}

async fn ask(client: &Prometheus, query: &str) -> Result<Vector, Error> {
    client.query(query, after(SystemClock::shared().now(), Duration::from_secs(10))).await
}

#[tokio::test]
async fn samples_come_with_their_labels_and_the_time_of_evaluation() {
    let simulated = simulated().await;
    // A path in the URL is kept, with or without a final slash.
    for url in [simulated.url(), simulated.url().trim_end_matches('/').to_owned()] {
        let client = client(&simulated, &url);
        let answer = ask(&client, QUERY).await.expect("an answer");
        let [Sample { labels, value, evaluated_ms }] = answer.samples.as_slice() else { panic!("{answer:?}") };
        assert_eq!(
            (labels["region"].as_str(), labels["__name__"].as_str(), *value),
            ("prod-us-south", "probe_success", 1.0)
        );
        let now = SystemClock::shared().now().as_millisecond();
        assert!((now - 10_000..=now + 10_000).contains(evaluated_ms), "{evaluated_ms} at {now}");
        let stamps = ask(&client, &format!("timestamp({QUERY})")).await.expect("an answer");
        let age = stamps.samples[0].evaluated_ms as f64 / 1000.0 - stamps.samples[0].value;
        assert!((6.9..7.1).contains(&age) && !stamps.samples[0].labels.contains_key("__name__"), "{age}");
    }
    let client = client(&simulated, &simulated.url());
    assert!(ask(&client, "probe_success{region=\"prod-eu-de\"}").await.expect("an answer").samples[0].value.is_nan());
    assert_eq!(ask(&client, "probe_success{region=\"nowhere\"}").await.expect("an answer"), Vector::default());
    let seen = simulated.requests();
    assert!(seen.iter().all(|seen| seen.method == "GET" && seen.path == "/prom/api/v1/query"), "{seen:?}");
}

#[tokio::test]
async fn what_is_no_vector_is_said_with_what_to_do_about_it() {
    let simulated = simulated().await;
    let client = client(&simulated, &simulated.url());
    let wrong = ask(&client, "probe_success{").await.expect_err("no query").to_string();
    assert!(wrong.contains("parse error") && wrong.contains("correct query_se or query_public"), "{wrong}");
    for (fault, part) in [
        (Fault::Status(403), "check PROMETHEUS_TOKEN"),
        (Fault::Status(404), "under another path"),
        (Fault::Status(422), "correct query_se"),
        (Fault::HtmlPage, "an HTML page instead of JSON"),
        (Fault::ErrorIn200, "query timed out in expression evaluation"),
        (Fault::Scalar, "a scalar where a vector is needed"),
        (Fault::SentElsewhere(9), "redirects are not followed"),
        (Fault::Status(503), "no healthy upstream"),
        (Fault::Away, "prometheus_url"),
    ] {
        simulated.fault(Some(fault.clone()));
        let error = ask(&client, QUERY).await.expect_err("no answer").to_string();
        assert!(error.contains(part) && error.contains(&simulated.url()), "{fault:?}: {error}");
        assert!(!error.contains(&simulated.token()), "{error}");
    }
    simulated.fault(Some(Fault::Warning("a store is away".into())));
    assert_eq!(ask(&client, QUERY).await.expect("an answer").warnings, ["a store is away"]);
}

#[tokio::test]
async fn an_entry_that_can_not_be_read_is_left_out_and_counted() {
    let simulated = simulated().await;
    let client = client(&simulated, &simulated.url());
    simulated.fault(Some(Fault::OddEntries));
    let answer = ask(&client, "probe_success").await.expect("an answer");
    assert_eq!((answer.samples.len(), answer.left_out), (3, 2), "{answer:?}");
    simulated.fault(None);
    simulated.has([Series::test("se", "prod-us-south", "many", Duration::from_secs(1))]);
    let answer = ask(&client, "probe_success").await.expect("an answer");
    assert_eq!((answer.samples.len(), answer.left_out), (0, 1));
}

#[tokio::test]
async fn the_token_is_asked_for_and_goes_to_prometheus_only() {
    let simulated = simulated().await;
    let settings = PrometheusSettings { url: simulated.url().parse().expect("a URL"), token: None };
    let without = Prometheus::new(settings, SystemClock::shared()).expect("a client");
    let error = ask(&without, QUERY).await.expect_err("no answer");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(401), "{error}");
    assert!(simulated.requests().iter().all(|seen| seen.authorization.is_none()));
    let other = Simulated::start(SystemClock::shared(), Tap::default()).await.expect("another");
    let port = other.url().split(':').nth(2).and_then(|rest| rest.split('/').next()?.parse().ok()).expect("a port");
    simulated.fault(Some(Fault::SentElsewhere(port)));
    ask(&client(&simulated, &simulated.url()), QUERY).await.expect_err("it is sent on");
    assert_eq!(other.requests(), [], "no redirect is followed");
}

#[tokio::test]
async fn who_never_answers_is_given_up_in_time() {
    let simulated = simulated().await;
    let client = client(&simulated, &simulated.url());
    simulated.fault(Some(Fault::Silent));
    let began = std::time::Instant::now();
    let deadline = after(SystemClock::shared().now(), Duration::from_millis(300));
    let error = client.query(QUERY, deadline).await.expect_err("no answer");
    assert!(error.to_string().contains("not done in time"), "{error}");
    // Three times the slack, and more: it is a busy machine.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
