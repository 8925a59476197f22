//! The client's questions against Debian's own `prometheus` and `prometheus-blackbox-exporter`, from files with static targets.
//! Ignored where somebody runs `cargo test`: `scripts/test` installs both and runs it.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use outbound::clock::SystemClock;
use outbound::http::http_client;
use prometheus::{Prometheus, PrometheusSettings};
use runbook::diagnosis::client::sample::{NO_AGE, has_no_age};
use runbook::diagnosis::client::{Reached, front_end};
use runbook::span::after;
use serde_json::{Value, json};
use simulators::scenario::{Client, Scenario};
use tempfile::TempDir;

use crate::harness::{QUICK, Stage, free_address, quick, showing, until};

const SELECTOR: &str = "probe_success{job=\"se\",region=\"prod-us-south\"}";
const PUBLIC: &str = "probe_success{job=\"public\",region=\"prod-us-south\"}";

/// A process that ends with the story.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &str, arguments: &[String]) -> Running {
    let child = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Running(child.unwrap_or_else(|e| panic!("{program}: {e}; apt-get install --no-install-recommends {program}")))
}

/// A front end whose `/status` answers with a status that the story sets.
async fn front_end(status: Arc<AtomicU16>) -> String {
    let answer = move || {
        let status = status.load(Ordering::SeqCst);
        async move { StatusCode::from_u16(status).expect("a status") }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/status", get(answer))).await });
    address
}

struct Real {
    url: String,
    exporter: String,
    exporting: Option<Running>,
    _prometheus: Running,
    _folder: TempDir,
}

/// Both, testing this front end as the region's Service Endpoints, and another as its public one.
fn real(se: &str, public: &str) -> Real {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (address, exporter) = (free_address(), free_address());
    let module =
        "modules:\n  http_2xx:\n    prober: http\n    timeout: 1s\n    http:\n      preferred_ip_protocol: ip4\n";
    std::fs::write(path("blackbox.yml"), module).expect("written");
    let job = |job: &str, target: &str| {
        format!(
            "  - job_name: {job}\n    metrics_path: /probe\n    params:\n      module: [http_2xx]\n      target: [\"http://{target}/status\"]\n    \
             static_configs:\n      - targets: [\"{exporter}\"]\n        labels: {{region: prod-us-south}}\n"
        )
    };
    let global = "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n";
    std::fs::write(path("prometheus.yml"), format!("{global}{}{}", job("se", se), job("public", public)))
        .expect("written");
    let exporting = start(
        "prometheus-blackbox-exporter",
        &[format!("--config.file={}", path("blackbox.yml")), format!("--web.listen-address={exporter}")],
    );
    let url = format!("http://{address}/prom/");
    let prometheus = start(
        "prometheus",
        &[
            format!("--config.file={}", path("prometheus.yml")),
            format!("--storage.tsdb.path={}", path("data")),
            format!("--web.listen-address={address}"),
            format!("--web.external-url={url}"),
        ],
    );
    Real { url, exporter, exporting: Some(exporting), _prometheus: prometheus, _folder: folder }
}

/// The value of this test, once it is this one; `None`: no sample.
async fn wait_for(client: &Prometheus, selector: &str, expected: Option<f64>) {
    until(&format!("{expected:?} of {selector}"), async || {
        let deadline = after(SystemClock::shared().now(), Duration::from_secs(5));
        let answer = client.query(selector, deadline).await.ok()?;
        (answer.samples.first().map(|sample| sample.value) == expected).then_some(())
    })
    .await;
}

/// What a run finds with this Prometheus and this query.
async fn found(url: &str, query_se: &str) -> Value {
    let scenario = Scenario {
        builds: |asked| showing(asked, 1, 1, Duration::from_millis(100)),
        client: Some(Client { prometheus: |_| {}, exporter: None }),
        ..*quick()
    };
    let mut stage = Stage::on(Box::leak(Box::new(scenario)), QUICK).await;
    let file = stage.world.path("regions.toml");
    let simulated = stage.world.prometheus.as_ref().expect("a Prometheus").url();
    let text = std::fs::read_to_string(&file).expect("a file").replace(&simulated, url);
    let own = "probe_success{job=\"se\",region=\"{region}\"}";
    std::fs::write(&file, text.replace(own, query_se)).expect("written");
    stage.restart(&[]).await;
    let run = stage.diagnosed().await;
    run["diagnosis"]["client"].clone()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's prometheus and prometheus-blackbox-exporter; scripts/test runs it with them"]
async fn debians_prometheus_and_exporter_answer_as_the_simulated_ones_do() {
    let status = Arc::new(AtomicU16::new(200));
    let (se, public) = (front_end(Arc::clone(&status)).await, front_end(Arc::new(AtomicU16::new(200))).await);
    let mut real = real(&se, &public);
    let settings = PrometheusSettings { url: real.url.parse().expect("a URL"), token: None };
    let client = Prometheus::new(settings, SystemClock::shared()).expect("a client");
    let plain = "probe_success{job=\"se\",region=\"{region}\"}";
    // Each job is scraped at an offset of its own.
    wait_for(&client, SELECTOR, Some(1.0)).await;
    wait_for(&client, PUBLIC, Some(1.0)).await;
    let seen = |se: Value| json!([{"region": "prod-us-south", "se": se, "public": "up"}]);
    let over = found(&real.url, plain).await;
    assert_eq!((&over["finding"], &over["regions"]), (&json!("over"), &seen(json!("up"))), "{over}");

    // Of what is grouped it does not tell the age: it counts as not asked.
    let grouped = found(&real.url, "max by (region) (probe_success{job=\"se\",region=\"{region}\"})").await;
    assert_eq!((&grouped["finding"], &grouped["regions"]), (&json!("unknown"), &seen(Value::Null)), "{grouped}");
    assert!(grouped["error"].as_str().is_some_and(|error| error.contains(NO_AGE)), "{grouped}");
    let deadline = || after(SystemClock::shared().now(), Duration::from_secs(5));
    let grouped = format!("max by (region) ({SELECTOR})");
    let stamps = client.query(&format!("timestamp({grouped})"), deadline()).await.expect("an answer");
    assert!(has_no_age(&client.query(&grouped, deadline()).await.expect("an answer"), &stamps), "{stamps:?}");
    for wrong in ["probe_success{", "1", "probe_success[5m]", "\"text\""] {
        let error = client.query(wrong, deadline()).await.expect_err("no vector").to_string();
        assert!(error.contains("query_se"), "{wrong}: {error}");
    }

    // The exporter's own words.
    let probe = async || {
        let url = format!("http://{}/probe?module=http_2xx&target=http%3A%2F%2F{se}%2Fstatus", real.exporter);
        let answer = http_client().expect("a client").get(url).send().await.expect("an answer");
        front_end::read_probe(&answer.text().await.expect("a text"))
    };
    assert_eq!(probe().await, Ok(Reached::Answers));
    status.store(503, Ordering::SeqCst);
    assert_eq!(probe().await, Ok(Reached::Fails));
    wait_for(&client, SELECTOR, Some(0.0)).await;
    let down = found(&real.url, plain).await;
    assert_eq!((&down["finding"], &down["regions"]), (&json!("front-end-path"), &seen(json!("down"))), "{down}");

    // Nobody tests any more.
    real.exporting = None;
    wait_for(&client, SELECTOR, None).await;
    let absent = found(&real.url, plain).await;
    assert_eq!(absent["regions"][0]["se"], "absent", "{absent}");
    assert_eq!(absent["finding"], "client-broken", "{absent}");
}
