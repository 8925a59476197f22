//! Was it the client? Prometheus and the exporter of the healthcheck cluster, asked through the front door.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulators::cluster::{Exporter, Fault as ClusterFault, Probe};
use simulators::jenkins::{Asked, BuildPlan};
use simulators::prometheus::{Fault, Prometheus};
use simulators::scenario::{Client, Scenario};

use crate::harness::{Stage, quick, settings_of, showing, until};
use crate::process::run;

const SOUTH: &str = "prod-us-south";
const EU: &str = "prod-eu-de";

/// What the client may cost a note once all else is done; three times it, on a busy machine.
const SLACK: SignedDuration = SignedDuration::from_secs(6);

fn down(prometheus: &Prometheus) {
    prometheus.tests(SOUTH, Some("0"), Some("1"));
    prometheus.tests(EU, Some("1"), Some("1"));
}

fn over(prometheus: &Prometheus) {
    prometheus.tests(SOUTH, Some("1"), Some("1"));
}

fn whole(asked: &Asked) -> BuildPlan {
    showing(asked, 1, 1, Duration::from_millis(100))
}

/// A quick world with a client.
fn with(client: Client, builds: fn(&Asked) -> BuildPlan) -> &'static Scenario {
    Box::leak(Box::new(Scenario { client: Some(client), builds, other_regions: &[EU], ..*quick() }))
}

async fn stage(prometheus: fn(&Prometheus), builds: fn(&Asked) -> BuildPlan, settings: &[(&str, &str)]) -> Stage {
    Stage::on(with(Client { prometheus, exporter: None }, builds), &[crate::harness::QUICK, settings].concat()).await
}

fn prometheus(stage: &Stage) -> &Prometheus {
    stage.world.prometheus.as_ref().expect("a Prometheus")
}

fn client(run: &Value) -> &Value {
    &run["diagnosis"]["client"]
}

fn second_line(note: &str) -> &str {
    note.lines().nth(1).unwrap_or_default()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().expect("a time").parse().expect("a time")
}

#[track_caller]
fn step<'a>(run: &'a Value, name: &str) -> &'a Value {
    let steps = run["steps"].as_array().expect("steps");
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name}: {steps:#?}"))
}

/// How long after the readings and checks the note was begun.
fn note_waited(run: &Value) -> SignedDuration {
    let of = |name: &str| time(&step(run, name)["finished_at"]);
    let rest = of("read_boxes").max(of("check_clusters"));
    time(&step(run, "post_note")["started_at"]).duration_since(rest)
}

#[tokio::test]
async fn the_clients_object_class_and_second_line_for_each_finding() {
    type Case = (fn(&Prometheus), fn(&Asked) -> BuildPlan, &'static str, Value, &'static str, bool, &'static str);
    let regions = |se: Value, public: Value, eu: Value| json!([{"region": SOUTH, "se": se, "public": public}, {"region": EU, "se": eu, "public": eu}]);
    let cases: Vec<Case> = vec![
        (over, whole, "over", regions(json!("up"), json!("up"), json!("absent")), "pCIE", false, "already over"),
        (
            |p| p.tests(EU, Some("1"), Some("1")),
            whole,
            "client-broken",
            regions(json!("absent"), json!("absent"), json!("up")),
            "pCIE",
            true,
            "check the healthcheck cluster",
        ),
        (
            |p| {
                p.tests(SOUTH, Some("0"), Some("NaN"));
                p.tests(EU, Some("0"), Some("0"));
            },
            whole,
            "client-broken",
            regions(json!("down"), json!("down"), json!("down")),
            "pCIE",
            true,
            "check the healthcheck cluster",
        ),
        (
            down,
            whole,
            "front-end-path",
            regions(json!("down"), json!("up"), json!("up")),
            "pCIE",
            true,
            "from the healthcheck cluster to the front ends",
        ),
        (
            down,
            |asked| showing(asked, 1, 0, Duration::from_millis(100)),
            "not-client",
            regions(json!("down"), json!("up"), json!("up")),
            "pCIE, probably a CIE",
            false,
            "port 10443",
        ),
    ];
    for (prometheus, builds, finding, regions, class, suspected, second) in cases {
        let stage = stage(prometheus, builds, &[]).await;
        let run = stage.diagnosed().await;
        let expected = json!({"finding": finding, "error": null, "regions": regions, "front_ends": []});
        assert_eq!(client(&run), &expected, "{finding}");
        assert_eq!(run["diagnosis"]["verdict"]["kind"], "registry", "the verdict never changes by it");
        assert_eq!(
            (&run["diagnosis"]["class"], &run["diagnosis"]["client_suspected"]),
            (&json!(class), &json!(suspected))
        );
        let note = stage.note_of(&run).content;
        assert!(second_line(&note).contains(second), "{finding}: {note}");
        if finding != "not-client" {
            assert!(second_line(&note).contains("the path looks whole"), "{note}");
            assert!(second_line(&note).contains("No other region alerts now."), "{note}");
        }
        assert!(note.contains(&format!("\n- {SOUTH}: SE ")) && note.contains("\nCLIENT ("), "{note}");
        if finding != "client-broken" {
            // With the time of its sample.
            let line = note.lines().find(|line| line.starts_with(&format!("- {SOUTH}: SE "))).expect("a line");
            assert!(line.contains(" UTC)"), "{line}");
        }
    }
}

#[tokio::test]
async fn over_holds_an_automatic_page_and_a_persons_word_passes() {
    let stage = Stage::on(
        with(Client { prometheus: over, exporter: None }, crate::harness::rejecting),
        &[crate::harness::QUICK, &[("ESCALATION_MODE", "auto")]].concat(),
    )
    .await;
    let run = stage.diagnosed().await;
    assert_eq!(
        (&run["escalation"]["state"], client(&run)["finding"].as_str()),
        (&json!("held"), Some("over")),
        "{run:#}"
    );
    let reason = run["escalation"]["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("it is over: the healthcheck cluster's test of prod-us-south passes again (sample of "),
        "{reason}"
    );
    assert_eq!(run["diagnosis"]["verdict"]["kind"], "service_endpoint", "the verdict never changes by it");
    assert_eq!(run["diagnosis"]["class"], "pCIE, probably a CIE", "what is over can still have been a CIE");
    let note = stage.note_of(&run).content;
    assert!(second_line(&note).contains("already over") && note.contains("NOBODY WAS PAGED"), "{note}");
    assert_eq!(stage.world.pagerduty.pages().len(), 0);
    stage.front.post("/escalate", &stage.this_alert()).await.is(202);
    until("the page", async || (stage.world.pagerduty.pages().len() == 1).then_some(())).await;
}

#[tokio::test]
async fn with_prometheus_slow_silent_or_away_the_note_waits_no_more_than_2_s() {
    for fault in [Fault::Slow(Duration::from_secs(60)), Fault::Silent, Fault::Away, Fault::Status(503)] {
        let stage = stage(down, whole, &[("CLIENT_CHECK_TIMEOUT", "2m")]).await;
        prometheus(&stage).fault(Some(fault.clone()));
        let run = stage.diagnosed().await;
        assert!(note_waited(&run) < SLACK, "{fault:?}: {}", note_waited(&run));
        let client = client(&run);
        assert_eq!(client["finding"], "unknown", "{fault:?}: {client}");
        assert_eq!(client["regions"][0], json!({"region": SOUTH, "se": null, "public": null}), "{client}");
        let error = client["error"].as_str().expect("an error");
        assert!(error.contains("Prometheus") && error.contains("SE of prod-us-south"), "{fault:?}: {error}");
        assert_eq!(run["diagnosis"]["client_suspected"], true, "as the path says");
        assert!(stage.note_of(&run).content.contains("- What the healthcheck cluster says: Prometheus"), "{fault:?}");
        assert!(["ask_client", "ask_client_again"].iter().all(|name| !step(&run, name)["error"].is_null()), "{run:#}");
    }
}

#[tokio::test]
async fn it_is_asked_beside_jenkins_and_once_more_and_the_later_answer_counts() {
    let long = |asked: &Asked| showing(asked, 1, 1, Duration::from_millis(1500));
    for (later, finding) in [
        // Over meanwhile.
        ((|prometheus| over(prometheus)) as fn(&Prometheus), "over"),
        // No later answer: the earlier counts.
        (|prometheus| prometheus.fault(Some(Fault::Away)), "front-end-path"),
    ] {
        let stage = stage(down, long, &[]).await;
        stage.alert("incident.triggered").await.is(202);
        let ended = async || {
            let runs = stage.front.runs_of(&stage.world.alert).await;
            let run = stage.front.run(runs.first()?["id"].as_str()?).await;
            let steps = run["steps"].as_array()?.clone();
            let is_over = |step: &&Value| step["name"] == "ask_client" && !step["finished_at"].is_null();
            steps.iter().find(is_over).map(|step| time(&step["finished_at"]))
        };
        let first = until("the first look", ended).await;
        later(prometheus(&stage));
        let run = stage.front.end_of(&stage.world.alert).await;
        assert_eq!(client(&run)["finding"], finding, "{run:#}");
        let boxes = step(&run, "read_boxes");
        assert!(first < time(&boxes["finished_at"]), "it was asked beside Jenkins");
        assert!(time(&step(&run, "ask_client_again")["started_at"]) >= time(&boxes["finished_at"]), "and once more");
        if finding == "front-end-path" {
            assert_eq!(client(&run)["error"], Value::Null, "nothing is missing");
            let times = &run["diagnosis"]["client_times"]["regions"][0];
            assert!(time(&times["se"]) <= first, "with its time");
        }
    }
}

#[tokio::test]
async fn old_samples_are_none_and_where_the_age_can_not_be_known_nothing_counts() {
    let old = stage(down, whole, &[]).await;
    prometheus(&old).change(|all| all.iter_mut().for_each(|series| series.age = Duration::from_secs(200)));
    let run = old.diagnosed().await;
    assert_eq!(client(&run)["regions"][0], json!({"region": SOUTH, "se": "absent", "public": "absent"}));
    assert_eq!(client(&run)["finding"], "client-broken");
    assert!(old.note_of(&run).content.contains("has no fresh sample (the last is of "));

    let grouped = stage(over, whole, &[]).await;
    let file = grouped.world.path("regions.toml");
    let text = std::fs::read_to_string(&file).expect("a file");
    let selector = "probe_success{job=\"se\",region=\"{region}\"}";
    std::fs::write(&file, text.replace(selector, &format!("max by (region) ({selector})"))).expect("written");
    let mut grouped = grouped;
    grouped.restart(&[]).await;
    let run = grouped.diagnosed().await;
    assert_eq!(client(&run)["regions"][0], json!({"region": SOUTH, "se": null, "public": "up"}), "{}", client(&run));
    assert_eq!(client(&run)["finding"], "unknown", "a test that passes, but nobody knows when");
    let note = grouped.note_of(&run).content;
    assert!(note.contains("how old its samples are can't be known: the query is not a plain selector"), "{note}");
}

/// Labels that lie, or that are matched wrongly: each sample has its own age.
#[tokio::test]
async fn another_samples_freshness_does_not_vouch_for_an_old_one() {
    let stage = stage(down, whole, &[]).await;
    prometheus(&stage).change(|all| {
        let own = all.iter().find(|s| s.labels.contains(&("job".into(), "se".into()))).expect("a test").clone();
        let mut passed = own.clone().labelled("instance", "a\n\"}evil{\u{202e}").labelled("region_of", EU);
        (passed.value, passed.age) = ("1".into(), Duration::from_secs(250));
        all.insert(0, passed);
    });
    let run = stage.diagnosed().await;
    assert_eq!(client(&run)["regions"][0]["se"], "down", "{}", client(&run));
}

#[tokio::test]
async fn an_answer_that_is_no_vector_is_named_and_does_not_count() {
    for (fault, part) in [
        (Fault::ErrorIn200, "query timed out"),
        (Fault::Scalar, "a scalar where a vector is needed"),
        (Fault::HtmlPage, "an HTML page"),
        (Fault::Status(401), "PROMETHEUS_TOKEN"),
        (Fault::Warning("a store is away".into()), "a store is away"),
    ] {
        let stage = stage(down, whole, &[]).await;
        prometheus(&stage).fault(Some(fault.clone()));
        let run = stage.diagnosed().await;
        assert_eq!(client(&run)["finding"], "unknown", "{fault:?}");
        assert!(client(&run)["error"].as_str().expect("an error").contains(part), "{fault:?}: {}", client(&run));
        assert!(!stage.note_of(&run).content.contains(&prometheus(&stage).token()));
    }
}

#[tokio::test]
async fn front_ends_are_asked_by_the_exporter_those_of_this_reading_only() {
    let client_of = |exporter| Client { prometheus: down, exporter: Some(exporter) };
    for (exporter, result, finding) in [
        ((|| Exporter::seeing(Probe::Answers)) as fn() -> Exporter, "answers", "client-broken"),
        (|| Exporter::seeing(Probe::Fails), "fails", "front-end-path"),
        (|| Exporter::seeing(Probe::Silent), "unknown", "front-end-path"),
        (|| Exporter::seeing(Probe::Status(404)), "unknown", "front-end-path"),
    ] {
        let stage = Stage::on(with(client_of(exporter), whole), crate::harness::QUICK).await;
        let run = stage.diagnosed().await;
        assert_eq!(client(&run)["finding"], finding, "{}", client(&run));
        let boxes: Vec<Value> = (run["diagnosis"]["zones"].as_array().expect("zones").iter())
            .flat_map(|zone| zone["boxes"].as_array().expect("boxes").clone())
            .map(|b| json!(b["frontend"].as_str().expect("a front end").split('/').next()))
            .map(|address| json!({"address": address, "result": result}))
            .collect();
        assert_eq!((boxes.len(), &client(&run)["front_ends"]), (3, &Value::Array(boxes)), "{}", client(&run));
        assert_eq!(client(&run)["error"].is_null(), result != "unknown", "{}", client(&run));
        assert!(note_waited(&run) < SLACK, "{}", note_waited(&run));
        let cluster = stage.world.healthcheck.as_ref().expect("a cluster");
        assert_eq!(cluster.writes(), [], "it is only read");
        let plan = cluster.asked();
        assert!(plan.iter().all(|asked| asked.what == "port 9115" && asked.pod.ends_with("9wz7m")), "{plan:?}");
    }
}

/// Only within 166.8.0.0/14: what a box claims to be its front end is asked nowhere else.
#[tokio::test]
async fn a_front_end_from_elsewhere_is_unknown_and_never_asked() {
    static ASKED: std::sync::OnceLock<Exporter> = std::sync::OnceLock::new();
    fn exporter() -> Exporter {
        ASKED.get_or_init(|| Exporter::seeing(Probe::Answers)).clone()
    }
    let strange = |asked: &Asked| {
        let mut plan = whole(asked);
        let mut n = 0;
        for (_, line) in &mut plan.console {
            if line.contains("\"166.9.") {
                *line = ["  \"169.254.169.254/32\"", "  \"localhost/8\"", "  \"166.9.12.114/23\""][n % 3].to_owned();
                n += 1;
            }
        }
        plan
    };
    let stage =
        Stage::on(with(Client { prometheus: down, exporter: Some(exporter) }, strange), crate::harness::QUICK).await;
    let run = stage.diagnosed().await;
    let front_ends = &client(&run)["front_ends"];
    let unknown = |address: &str| json!({"address": address, "result": "unknown"});
    assert!(front_ends.as_array().expect("a list").contains(&unknown("169.254.169.254")), "{run:#}");
    assert!(client(&run)["error"].as_str().expect("an error").contains("not within 166.8.0.0/14"), "{}", client(&run));
    assert_eq!(exporter().asked(), ["https://166.9.12.114/status"], "no other is ever asked");
}

#[tokio::test]
async fn a_region_that_the_file_lacks_is_asked_for_too() {
    let stage = stage(down, whole, &[]).await;
    prometheus(&stage).tests("prod-jp-tok", Some("1"), Some("0"));
    let answer = stage.front.post("/rerun", &json!({"region": "prod-jp-tok"})).await;
    let run = stage.front.ended(answer.is(202).body["run_id"].as_str().expect("an id")).await;
    let names: Vec<_> =
        client(&run)["regions"].as_array().expect("regions").iter().map(|r| r["region"].clone()).collect();
    assert_eq!(names, [SOUTH, EU, "prod-jp-tok"]);
    assert_eq!(client(&run)["finding"], "over");
}

#[tokio::test]
async fn what_was_seen_before_a_restart_is_not_forgotten() {
    let long = |asked: &Asked| showing(asked, 1, 1, Duration::from_secs(3));
    let mut stage = stage(down, long, &[]).await;
    stage.alert("incident.triggered").await.is(202);
    until("the first look", async || {
        let runs = stage.front.runs_of(&stage.world.alert).await;
        let run = stage.front.run(runs.first()?["id"].as_str()?).await;
        let is_over = |step: &Value| step["name"] == "ask_client" && !step["finished_at"].is_null();
        run["steps"].as_array()?.iter().any(is_over).then_some(())
    })
    .await;
    prometheus(&stage).fault(Some(Fault::Away));
    stage.restart(&[]).await;
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(client(&run)["finding"], "front-end-path", "{run:#}");
}

#[tokio::test]
async fn without_a_client_nothing_is_asked_and_nothing_is_said() {
    let stage = Stage::quick(&[("PROMETHEUS_TOKEN", "unused"), ("CLIENT_CHECK_TIMEOUT", "1s")]).await;
    let run = stage.diagnosed().await;
    assert_eq!(client(&run), &Value::Null, "null where not configured");
    let steps = run["steps"].as_array().expect("steps");
    assert!(!steps.iter().any(|step| step["name"].as_str().is_some_and(|name| name.starts_with("ask_client"))));
    assert!(!stage.note_of(&run).content.contains("CLIENT ("));
    let report = run_doctor(&stage).await;
    assert!(!report.as_array().expect("checks").iter().any(|check| check["system"] == "client"), "{report:#}");
}

/// What `doctor` says of a world.
async fn run_doctor(stage: &Stage) -> Value {
    let settings = settings_of(&stage.world, &[("PUBLIC_URL", "https://se.example.com")]);
    let ended = run(&["doctor", "--json"], &settings, "").await;
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:#?}"));
    report["checks"].clone()
}

/// The checks of the client, each as `name [subject] state`, with what fixes those that are not well.
fn of_client(checks: &Value) -> Vec<(String, String)> {
    let word = |check: &Value, name: &str| check[name].as_str().map(|w| format!("{w} ")).unwrap_or_default();
    (checks.as_array().expect("checks").iter())
        .filter(|check| check["system"] == "client")
        .map(|c| (format!("{}{}{}", word(c, "name"), word(c, "subject"), word(c, "state").trim()), word(c, "mend")))
        .collect()
}

#[tokio::test]
async fn doctor_asks_for_all_that_the_client_needs() {
    let client = Client { prometheus: down, exporter: Some(|| Exporter::seeing(Probe::Answers)) };
    let stage = Stage::on(with(client, whole), &[]).await;
    let lines = |checks: &Value| of_client(checks).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
    let all = [
        "prometheus ok",
        "queries query_se ok",
        "queries query_public ok",
        "series prod-us-south ok",
        "series prod-eu-de ok",
        "kubeconfig ok",
        "credentials ok",
        "exporter ok",
        "port_forward ok",
    ];
    assert_eq!(lines(&run_doctor(&stage).await), all);
    assert!(stage.world.healthcheck.as_ref().expect("a cluster").asked().is_empty(), "no front end is asked");
    let fixes = async |line: &str, fix: &str| {
        let checks = of_client(&run_doctor(&stage).await);
        let found = checks.iter().find(|(known, _)| known == line).unwrap_or_else(|| panic!("{line} in {checks:#?}"));
        assert!(found.1.contains(fix), "{line}: {}", found.1);
    };
    prometheus(&stage).fault(Some(Fault::Away));
    fixes("prometheus failed", "prometheus_url").await;
    prometheus(&stage).fault(Some(Fault::Status(403)));
    fixes("prometheus failed", "PROMETHEUS_TOKEN").await;
    prometheus(&stage).fault(None);
    prometheus(&stage).tests(EU, Some("1"), None);
    fixes("series prod-eu-de failed", "query_public").await;
    prometheus(&stage).change(|all| all.iter_mut().for_each(|series| series.age = Duration::from_secs(200)));
    fixes("series prod-us-south warning", "max_age").await;
    let cluster = stage.world.healthcheck.as_ref().expect("a cluster");
    cluster.change(|plan| plan.pods.retain(|pod| !pod.name.starts_with("blackbox")));
    fixes("exporter failed", "kubectl --context registry-healthcheck -n monitoring get po").await;
    cluster
        .change(|plan| *plan = plan.clone().refusing("get", "pods/portforward").refusing("create", "pods/portforward"));
    fixes("port_forward failed", "get and create on pods/portforward").await;
    cluster.change(|plan| plan.fault = Some(ClusterFault::Expired));
    fixes("kubeconfig failed", "kubectl --context registry-healthcheck version").await;

    let file = stage.world.path("regions.toml");
    let text = std::fs::read_to_string(&file).expect("a file");
    let selector = "probe_success{job=\"se\",region=\"{region}\"}";
    down(prometheus(&stage));
    std::fs::write(&file, text.replace(selector, &format!("max by (region) ({selector})"))).expect("written");
    fixes("queries query_se failed", "a plain selector").await;
    std::fs::write(&file, text.replace(selector, "probe_success{region=\"{region}\"")).expect("written");
    fixes("queries query_se failed", "correct query_se").await;
}

#[tokio::test]
async fn whatever_is_wrong_with_it_is_named_at_once_with_exit_2() {
    let stage = Stage::on(with(Client { prometheus: down, exporter: None }, whole), &[]).await;
    let file = stage.world.path("regions.toml");
    std::fs::write(&file, "[healthcheck]\nquery_se = 'up'\nport = 0\nmax_age = \"soon\"\n").expect("written");
    let settings = settings_of(&stage.world, &[("CLIENT_CHECK_TIMEOUT", "0s")]);
    let ended = run(&["serve"], &settings, "").await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    for part in ["CLIENT_CHECK_TIMEOUT", "prometheus_url", "query_se", "query_public", "port", "max_age"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
}

/// `diagnose` asks it too, once Jenkins and the clusters have answered; not beside consoles from files.
#[tokio::test]
async fn diagnose_asks_the_client_too() {
    let stage = stage(down, whole, &[]).await;
    let ended = run(&["diagnose", SOUTH, "--json"], &settings_of(&stage.world, &[]), "").await;
    let diagnosis: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:#?}"));
    assert_eq!(diagnosis["client"]["finding"], "front-end-path", "{diagnosis:#}");
    let before = prometheus(&stage).requests().len();
    let arguments = ["diagnose", SOUTH, "--console", "-", "--no-clusters", "--json"];
    let ended = run(&arguments, &settings_of(&stage.world, &[]), "nothing\n").await;
    let diagnosis: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:#?}"));
    assert_eq!((&diagnosis["client"], prometheus(&stage).requests().len()), (&Value::Null, before));
}
