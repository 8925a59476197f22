//! `doctor`: each thing that can be missing is named with what fixes it, all at once, and nothing is changed by
//! looking.

use std::time::Duration;

use jiff::SignedDuration;
use outbound::clock::SystemClock;
use se_responder::doctor::CHECKS;
use serde_json::Value;
use simulators::cluster::{self, Plan};
use simulators::jenkins::{self, Place};
use simulators::pagerduty::{Endpoint, Fault, PingFault, Setup, User};
use simulators::world::{VIEWER_TOKEN, World};

use crate::harness::{Answer, Stage, free_address, quick, settings_of, until};
use crate::process::{Ended, Process, run};

const PUBLIC: (&str, &str) = ("PUBLIC_URL", "https://se.example.com");
const AZ2: &str = "registry-prod-us-south-az2";

/// A world in which nothing is missing.
async fn world() -> World {
    let world = World::start(quick(), SystemClock::shared()).await.expect("a world");
    world.subscribe(PUBLIC.1);
    world
}

/// What `doctor --json` says of a world.
async fn examined(world: &World, settings: &[(&str, &str)]) -> (Ended, Value) {
    let ended = run(&["doctor", "--json"], &settings_of(world, &[&[PUBLIC], settings].concat()), "").await;
    let report = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:#?}"));
    (ended, report)
}

/// The checks of a report, each as `system name [subject] state`.
fn lines(report: &Value, state: &str) -> Vec<String> {
    let checks = report["checks"].as_array().expect("checks").iter().filter(|check| check["state"] == state);
    let word = |check: &Value, name: &str| check[name].as_str().map(|w| format!(" {w}")).unwrap_or_default();
    checks
        .map(|c| format!("{}{}{}", c["system"].as_str().expect("a system"), word(c, "name"), word(c, "subject")))
        .collect()
}

/// The one check of this name.
#[track_caller]
fn check<'a>(report: &'a Value, line: &str) -> &'a Value {
    let words: Vec<&str> = line.split(' ').collect();
    let is_it = |c: &&Value| {
        c["system"] == words[0] && c["name"] == words[1] && words.get(2).is_none_or(|subject| c["subject"] == *subject)
    };
    let found: Vec<&Value> = report["checks"].as_array().expect("checks").iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{line} in {report:#}");
    found[0]
}

/// Nothing was changed anywhere by looking.
#[track_caller]
fn untouched(world: &World) {
    assert_eq!(world.pagerduty.writes(), 0);
    assert!(world.pagerduty.requests().iter().all(|r| r.method == "GET"), "{:?}", world.pagerduty.requests());
    assert!(world.jenkins.requests().iter().all(|r| r.method == "GET"), "{:?}", world.jenkins.requests());
    assert!(world.jenkins.started().is_empty());
    assert!(world.clusters.iter().all(|c| c.writes().is_empty() && c.asked().is_empty()));
}

#[tokio::test]
async fn where_nothing_is_missing_it_says_so_and_has_changed_nothing() {
    let world = world().await;
    let elsewhere = world.elsewhere();
    let mut settings = vec![("ESCALATION_ROUTING_KEY", Setup::ROUTING_KEY), ("PAGERDUTY_SERVICE_IDS", Setup::REGISTRY)];
    settings.extend(elsewhere.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let (ended, report) = examined(&world, &settings).await;
    assert_eq!((ended.code, ended.stderr.as_str(), &report["ok"]), (Some(0), "", &Value::Bool(true)), "{report:#}");
    assert_eq!((lines(&report, "failed"), lines(&report, "warning")), (vec![], vec![]), "{report:#}");
    // The client is not configured here: it has a story of its own.
    for (system, names) in CHECKS.iter().filter(|(system, _)| system.as_str() != "client") {
        for name in *names {
            let is_it = |c: &Value| c["system"] == system.as_str() && c["name"] == *name && c["mend"].is_null();
            let found = report["checks"].as_array().expect("checks").iter().filter(|c| is_it(c)).count();
            let subjects = match system.as_str() {
                "cluster" => 3,
                "slack" => 2,
                _ => 1,
            };
            assert_eq!(found, subjects, "{} {name} in {report:#}", system.as_str());
        }
    }
    let text = run(&["doctor"], &settings_of(&world, &[PUBLIC]), "").await;
    assert_eq!((text.code, text.stderr.as_str(), text.left.is_empty()), (Some(0), "", true), "{text:#?}");
    assert!(text.stdout.ends_with("\nEverything is OK.\n") && !text.stdout.contains('\u{1b}'), "{}", text.stdout);
    untouched(&world);
    assert!(!world.path("se-responder.db").exists() && !world.path("se-responder.db.lock").exists());
    for secret in [world.pagerduty.token(), world.jenkins.credentials().1, Setup::ROUTING_KEY.to_owned()] {
        assert!(!ended.stdout.contains(&secret) && !text.stdout.contains(&secret));
    }
}

/// What is wrong, in PagerDuty; which check says so, in which state; what fixes it.
type InPagerDuty = (fn(&World), &'static [(&'static str, &'static str)], &'static str, &'static str, &'static str);

#[tokio::test]
async fn what_is_missing_in_pagerduty() {
    let cases: [InPagerDuty; 21] = [
        (|_| (), &[("PAGERDUTY_API_TOKEN", "another")], "pagerduty api", "failed", "must be a REST API key"),
        (
            |w| {
                // One whose address only contains it is somebody else.
                let user = |id: &str, email: &str| User { id: id.into(), name: "Sam".into(), email: email.into() };
                w.pagerduty.remove_user(Setup::FROM);
                w.pagerduty.add_user(user("PSAM", &format!("not-{}", Setup::FROM)));
            },
            &[],
            "pagerduty from",
            "failed",
            "set PAGERDUTY_FROM",
        ),
        (
            |w| w.pagerduty.fail(Endpoint::Users, Fault::Status(403), 9),
            &[],
            "pagerduty from",
            "warning",
            "TOKEN may not",
        ),
        (
            |w| w.pagerduty.fail(Endpoint::Incidents, Fault::Status(403), 9),
            &[],
            "pagerduty related_pages",
            "failed",
            "",
        ),
        (
            |w| w.pagerduty.fail(Endpoint::Services, Fault::Html, 99),
            &[],
            "pagerduty escalation_service",
            "failed",
            "sign-in",
        ),
        (
            |_| (),
            &[("ESCALATION_SERVICE", "Cloud")],
            "pagerduty escalation_service",
            "failed",
            "set ESCALATION_SERVICE",
        ),
        (
            |w| w.pagerduty.set_service_status(Setup::SERVICE_ENDPOINT, "disabled"),
            &[("ESCALATION_SERVICE", Setup::SERVICE_ENDPOINT)],
            "pagerduty escalation_service",
            "failed",
            "enable it on https://",
        ),
        (
            |w| w.pagerduty.set_service_status(Setup::SERVICE_ENDPOINT, "maintenance"),
            &[],
            "pagerduty escalation_service",
            "failed",
            "wait for the window to end",
        ),
        (
            |w| w.pagerduty.remove_policy(Setup::SERVICE_ENDPOINT),
            &[],
            "pagerduty escalation_service",
            "failed",
            "give it an escalation policy",
        ),
        (
            |w| w.pagerduty.set_service_status(Setup::SERVICE_ENDPOINT, "disabled"),
            &[("ESCALATION_MODE", "off")],
            "pagerduty escalation_service",
            "skipped",
            "",
        ),
        (
            // A subscription of the whole account covers them all.
            |w| w.pagerduty.subscriptions(|all| all[0].service_id.clear()),
            &[("PAGERDUTY_SERVICE_IDS", "PREGSTR,PNOBODY")],
            "pagerduty services PNOBODY",
            "failed",
            "SERVICE_IDS",
        ),
        (|w| w.pagerduty.subscriptions(Vec::clear), &[], "pagerduty subscription", "failed", "se-responder subscribe"),
        (
            |w| w.pagerduty.subscriptions(|all| all[0].temporarily_disabled = true),
            &[],
            "pagerduty subscription",
            "failed",
            "Generic Webhooks",
        ),
        (|w| w.pagerduty.subscriptions(|all| all[0].active = false), &[], "pagerduty subscription", "failed", "fix it"),
        (
            |w| w.pagerduty.subscriptions(|all| all[0].events.truncate(3)),
            &[],
            "pagerduty subscription",
            "failed",
            "fix it",
        ),
        (
            |w| w.pagerduty.subscriptions(|all| all[0].service_id = "PCLDSTG".into()),
            &[("PAGERDUTY_SERVICE_IDS", "PREGSTR")],
            "pagerduty subscription",
            "failed",
            "fix it",
        ),
        (
            |w| w.pagerduty.fail(Endpoint::Subscriptions, Fault::Status(403), 9),
            &[],
            "pagerduty subscription",
            "warning",
            "PAGERDUTY_API_TOKEN may not",
        ),
        (|_| (), &[("PUBLIC_URL", "")], "pagerduty subscription", "warning", "set PUBLIC_URL"),
        (|w| w.pagerduty.set_skew(SignedDuration::from_mins(-10)), &[], "pagerduty clock", "failed", "NTP"),
        (|_| (), &[("ESCALATION_ROUTING_KEY", "short")], "pagerduty events_api", "failed", "ESCALATION_ROUTING_KEY"),
        (
            |_| (),
            &[("ESCALATION_ROUTING_KEY", Setup::ROUTING_KEY), ("PAGERDUTY_EVENTS_URL", "http://127.0.0.1:9")],
            "pagerduty events_api",
            "failed",
            "PAGERDUTY_EVENTS_URL",
        ),
    ];
    for (spoil, settings, line, state, mend) in cases {
        let world = world().await;
        spoil(&world);
        let (ended, report) = examined(&world, settings).await;
        let found = check(&report, line);
        assert_eq!(found["state"], state, "{line} {settings:?}: {found:#}");
        assert!(found["mend"].as_str().unwrap_or_default().contains(mend), "{line}: {mend:?} in {found:#}");
        let missing = i32::from(state == "failed");
        assert_eq!((ended.code, report["ok"] == false), (Some(missing), missing == 1), "{line}: {report:#}");
        assert_eq!(lines(&report, "failed").len(), usize::from(state == "failed"), "nothing else: {report:#}");
        untouched(&world);
    }
}

#[tokio::test]
async fn what_is_missing_in_jenkins() {
    type Case = (fn(&World), &'static str, &'static str, &'static str);
    let cases: [Case; 8] = [
        (|w| w.jenkins.fault(Place::Job, jenkins::Fault::Unauthorized, 99), "jenkins job", "failed", "JENKINS_USER"),
        (
            |w| w.jenkins.fault(Place::Job, jenkins::Fault::NotFound, 99),
            "jenkins job",
            "failed",
            "check JENKINS_JOB_URL",
        ),
        (|w| w.jenkins.fault(Place::Job, jenkins::Fault::SignInPage, 99), "jenkins job", "failed", "sign-in page"),
        (|w| w.jenkins.fault(Place::Job, jenkins::Fault::SentToSignIn, 99), "jenkins job", "failed", "not followed"),
        (|w| w.jenkins.disable(), "jenkins buildable", "failed", "enable it on http"),
        (|w| w.jenkins.forget_parameter(), "jenkins parameter", "failed", "parameter CLUSTER"),
        (|w| w.jenkins.forbid_builds(), "jenkins permission", "failed", "Job/Build"),
        (|w| w.jenkins.set_skew(SignedDuration::from_mins(47)), "jenkins clock", "warning", "NTP"),
    ];
    for (spoil, line, state, mend) in cases {
        let world = world().await;
        spoil(&world);
        let (ended, report) = examined(&world, &[]).await;
        let found = check(&report, line);
        assert_eq!(found["state"], state, "{line}: {found:#}");
        assert!(found["mend"].as_str().unwrap_or_default().contains(mend), "{line}: {mend:?} in {found:#}");
        assert_eq!(ended.code, Some(i32::from(state == "failed")), "{line}: {report:#}");
        assert_eq!(lines(&report, "failed").len(), usize::from(state == "failed"), "nothing else: {report:#}");
        untouched(&world);
    }
}

#[tokio::test]
async fn what_is_missing_in_one_zone_is_said_of_that_zone_with_the_command_that_fixes_it() {
    let context = format!("--context {}", Plan::healthy(AZ2).context);
    let rbac = format!("kubectl {context} apply -f deploy/kubernetes/registry-cluster/rbac.yaml");
    type Spoil = fn(&mut Plan);
    type Case<'a> = (Spoil, &'a [(&'a str, &'a str)], &'a str, &'a str, &'a str);
    let cases: [Case<'_>; 10] = [
        (|p| p.fault = Some(cluster::Fault::Expired), &[], "api", "failed", &context),
        (|p| p.fault = Some(cluster::Fault::HtmlPage), &[], "api", "failed", &context),
        (|p| p.fault = Some(cluster::Fault::Silent), &[], "api", "failed", &context),
        (|p| p.fault = Some(cluster::Fault::NoReviews), &[], "list_ingress_pods", "warning", "auth can-i"),
        (|p| *p = p.clone().refusing("get", "configmaps"), &[], "read_konicle", "failed", &rbac),
        (|p| *p = p.clone().refusing("get", "pods/portforward"), &[], "status_check", "warning", &rbac),
        (
            |p| *p = p.clone().refusing("get", "pods/portforward"),
            &[("CLUSTER_PROBE", "port-forward")],
            "status_check",
            "failed",
            &rbac,
        ),
        (
            |p| *p = p.clone().refusing("create", "pods/exec"),
            &[("CLUSTER_PROBE", "exec")],
            "status_check",
            "warning",
            "pods/exec",
        ),
        (|p| p.skew = SignedDuration::from_mins(5), &[], "clock", "warning", "NTP"),
        (|p| *p = p.clone().refusing("list", "pods"), &[], "list_ingress_pods", "failed", &rbac),
    ];
    for (spoil, settings, name, state, mend) in cases {
        let world = world().await;
        world.clusters[1].change(spoil);
        let (ended, report) = examined(&world, settings).await;
        let found = check(&report, &format!("cluster {name} {AZ2}"));
        assert_eq!(found["state"], state, "{name}: {found:#}");
        assert!(found["mend"].as_str().unwrap_or_default().contains(mend), "{name}: {mend:?} in {found:#}");
        assert_eq!(ended.code, Some(i32::from(state == "failed")), "{name}: {report:#}");
        for line in [lines(&report, "failed"), lines(&report, "warning")].concat() {
            assert!(line.ends_with(AZ2), "nothing else: {line} of {name}");
        }
        untouched(&world);
    }
}

#[tokio::test]
async fn a_zone_without_a_context_is_named() {
    let world = world().await;
    std::fs::write(world.path("kubeconfig"), cluster::kubeconfig(&[&world.clusters[0], &world.clusters[2]]))
        .expect("written");
    let (ended, report) = examined(&world, &[]).await;
    let found = check(&report, &format!("cluster kubeconfig {AZ2}"));
    assert!(found["detail"].as_str().expect("words").contains(&format!("there is no context \"{AZ2}\"")), "{found:#}");
    assert!(found["mend"].as_str().expect("words").contains("kubectl config get-contexts"), "{found:#}");
    assert_eq!((ended.code, lines(&report, "failed").len()), (Some(1), 1), "{report:#}");
}

#[tokio::test]
async fn a_half_configured_machine_is_told_everything_at_once() {
    let world = world().await;
    world.clusters[0].change(|plan| *plan = plan.clone().refusing("list", "pods"));
    world.pagerduty.remove_user(Setup::FROM);
    let mut settings = settings_of(&world, &[("NOTE_BY", "soon"), ("LOG_FORMAT", "xml")]);
    settings.retain(|(name, _)| !["JENKINS_USER", "PAGERDUTY_WEBHOOK_SECRETS"].contains(&name.as_str()));
    let ended = run(&["doctor", "--json"], &settings, "").await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    for name in ["JENKINS_USER", "PAGERDUTY_WEBHOOK_SECRETS", "NOTE_BY", "LOG_FORMAT"] {
        let found = check(&report, &format!("settings valid {name}"));
        assert!(found["state"] == "failed" && found["mend"].as_str().expect("words").contains(name), "{found:#}");
        assert!(ended.stderr.contains(&format!("\n  {name}: ")), "{}", ended.stderr);
    }
    assert_eq!(check(&report, "settings sound PUBLIC_URL")["state"], "warning");
    // What the rest permits is looked at all the same.
    assert_eq!(check(&report, "pagerduty from")["state"], "failed");
    assert_eq!(check(&report, "cluster list_ingress_pods registry-prod-us-south-az1")["state"], "failed");
    assert_eq!(check(&report, "database reachable")["state"], "ok");
    let jenkins = check(&report, "jenkins job");
    assert!(jenkins["state"] == "skipped" && jenkins["detail"].as_str().expect("words").contains("JENKINS_USER"));
    assert!(world.jenkins.requests().is_empty(), "{:?}", world.jenkins.requests());
    untouched(&world);

    // An address that no header can hold keeps nobody from asking the rest.
    let odd = settings_of(&world, &[PUBLIC, ("PAGERDUTY_FROM", "a\u{1}b@example.com")]);
    let ended = run(&["doctor", "--json"], &odd, "").await;
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let state = |line: &str| check(&report, line)["state"].clone();
    assert_eq!((ended.code, state("pagerduty from")), (Some(2), "skipped".into()), "{report:#}");
    assert_eq!((state("pagerduty api"), state("pagerduty subscription")), ("ok".into(), "ok".into()), "{report:#}");

    let nothing = run(&["doctor"], &[], "").await;
    assert_eq!((nothing.code, nothing.left.is_empty()), (Some(2), true), "{nothing:#?}");
    for name in ["PAGERDUTY_API_TOKEN", "PAGERDUTY_FROM", "JENKINS_JOB_URL"] {
        assert!(nothing.stdout.contains(&format!("FAILED  {name}: is missing")), "{}", nothing.stdout);
    }
    assert!(
        nothing.stdout.contains("ok      reachable: there is no database se-responder.db yet"),
        "{}",
        nothing.stdout
    );
}

#[tokio::test]
async fn one_that_hangs_never_stops_the_others() {
    let world = world().await;
    for endpoint in [Endpoint::Incidents, Endpoint::Users, Endpoint::Services, Endpoint::Subscriptions] {
        world.pagerduty.fail(endpoint, Fault::Hang, 99);
    }
    world.jenkins.fault(Place::Any, jenkins::Fault::Hang, 99);
    world.clusters[1].change(|plan| plan.fault = Some(cluster::Fault::Silent));
    let before = std::time::Instant::now();
    let (ended, report) = examined(&world, &[]).await;
    assert!(before.elapsed() < Duration::from_secs(45), "all at once: {:?}", before.elapsed());
    assert_eq!(ended.code, Some(1), "{report:#}");
    let failed = ["pagerduty api", "jenkins job", &format!("cluster api {AZ2}")].map(str::to_owned);
    assert_eq!(lines(&report, "failed"), failed, "each is said once: {report:#}");
    for line in [
        "database reachable",
        "cluster api registry-prod-us-south-az1",
        "cluster status_check registry-prod-us-south-az3",
    ] {
        assert_eq!(check(&report, line)["state"], "ok");
    }
    assert_eq!(check(&report, "pagerduty from")["state"], "skipped");
}

#[tokio::test]
async fn the_database_is_looked_at_beside_the_service_and_neither_made_nor_changed() {
    let stage = Stage::quick(&[]).await;
    let ask = async |settings: &[(&str, &str)]| {
        let (_, report) = examined(&stage.world, settings).await;
        ["reachable", "schema", "writable"].map(|name| {
            let found = check(&report, &format!("database {name}"));
            (found["state"].as_str().expect("a state").to_owned(), found["detail"].as_str().expect("words").to_owned())
        })
    };
    let running = ask(&[]).await;
    assert!(running.iter().all(|(state, _)| state == "ok"), "{running:?}");
    assert!(running[1].1.contains("those of this version"), "{running:?}");

    let junk = stage.world.path("junk.db");
    std::fs::write(&junk, "Dear diary,\n".repeat(1000)).expect("written");
    let url = format!("sqlite://{}", junk.display());
    let found = ask(&[("DATABASE_URL", &url)]).await;
    assert!(found[0].0 == "failed" && found[0].1.contains("not a database"), "{found:?}");

    let empty = stage.world.path("empty.db");
    std::fs::write(&empty, "").expect("written");
    let url = format!("sqlite://{}", empty.display());
    let found = ask(&[("DATABASE_URL", &url)]).await;
    assert!(found[1].0 == "ok" && found[1].1.contains("migrations are pending"), "{found:?}");
    assert_eq!(std::fs::read(&empty).expect("it").len(), 0, "nothing is made in it");

    let found = ask(&[("DATABASE_URL", "sqlite:///no/such/folder/x.db")]).await;
    assert!(found[0].0 == "failed" && found[0].1.contains("does the folder exist"), "{found:?}");
    let found = ask(&[("DATABASE_URL", "postgres://me:hush@127.0.0.1:9/x")]).await;
    assert!(
        found[0].0 == "failed" && found[0].1.contains("x on 127.0.0.1:9") && !found[0].1.contains("hush"),
        "{found:?}"
    );
}

/// What an address of the service answers, as text.
async fn text_of(process: &Process, path: &str) -> String {
    let request = process.front.http.get(format!("{}{path}", process.front.url)).bearer_auth(VIEWER_TOKEN);
    let answer = Answer::of(request.header("accept", "text/html")).await;
    answer.is(200).body.as_str().expect("text").to_owned()
}

/// The value of a metric.
async fn metric(process: &Process, name: &str) -> f64 {
    let text = text_of(process, "/metrics").await;
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
    line.rsplit_once(' ').expect("a value").1.parse().expect("a number")
}

#[tokio::test]
async fn serve_looks_again_and_again_and_says_each_change_once() {
    let world = world().await;
    let address = free_address();
    let door = format!("http://{address}/webhooks/pagerduty");
    world.pagerduty.spoil_pings("PSUB1", Some(PingFault::Elsewhere(door)));
    let settings = settings_of(&world, &[PUBLIC, ("SELF_CHECK_INTERVAL", "200ms"), ("LISTEN_ADDR", &address)]);
    let process = Process::serve(&settings).await;
    let (from, at) = (
        "se_responder_self_check_trouble{system=\"pagerduty\",check=\"from\"}",
        "se_responder_self_check_timestamp_seconds",
    );
    until("a first look", async || (metric(&process, at).await > 0.0).then_some(())).await;
    assert_eq!((metric(&process, from).await as i64, text_of(&process, "/readyz").await.as_str()), (0, "ready\n"));
    let page = text_of(&process, "/").await;
    assert!(page.contains("id=\"health\"") && page.contains(">OK<") && !page.contains(">Failing<"), "{page}");

    world.pagerduty.remove_user(Setup::FROM);
    until("it to be counted", async || (metric(&process, from).await as i64 == 1).then_some(())).await;
    // Readiness is the database's alone, and says nothing to anybody of what was found.
    let ready = text_of(&process, "/readyz").await;
    assert!(ready.starts_with("ready\nself-check: pagerduty from failed\n"), "{ready}");
    let page = text_of(&process, "/").await;
    for words in [">Failing<", "no user of this account has the address", "Fix: set PAGERDUTY_FROM", "PagerDuty, from"]
    {
        assert!(page.contains(words), "{words} in {page}");
    }
    let looks = || world.pagerduty.requests().iter().filter(|r| r.path == "/users").count();
    let before = looks();
    until("three more looks", async || (looks() > before + 3).then_some(())).await;
    let said = |words: &str| process.said().lines().filter(|line| line.contains(words)).count();
    let failed = "SELF-CHECK FAILED: no user of this account has the address";
    assert_eq!(said(failed), 1, "once, not each time: {}", process.said());
    assert!(process.said().contains("PAGERDUTY_FROM"), "with what mends it: {}", process.said());

    let (id, name, email) = (Setup::RESPONDER.to_owned(), "SE Responder".to_owned(), Setup::FROM.to_owned());
    world.pagerduty.add_user(User { id, name, email });
    until("it to be mended", async || (metric(&process, from).await as i64 == 0).then_some(())).await;
    until("it to be said", async || (said("self-check: fixed: notes and pages are written as") == 1).then_some(()))
        .await;
    // Nor does PagerDuty ping for a user that it does not know.
    until("all to be well", async || (text_of(&process, "/readyz").await == "ready\n").then_some(())).await;
    assert!(world.clusters.iter().all(|c| c.writes().is_empty()) && world.pagerduty.writes() == 0);
    assert!(world.jenkins.started().is_empty());
}

#[tokio::test]
async fn a_look_that_hangs_holds_nothing_up_and_with_0s_there_is_none() {
    let world = world().await;
    world.pagerduty.fail(Endpoint::Users, Fault::Hang, 99);
    let settings = settings_of(&world, &[PUBLIC, ("SELF_CHECK_INTERVAL", "1ms")]);
    let mut process = Process::serve(&settings).await;
    let asked = || world.pagerduty.requests().iter().any(|r| r.path == "/users");
    until("a look that hangs", async || asked().then_some(())).await;
    assert!(text_of(&process, "/").await.contains("First check runs 1 min after start"));
    let (status, answer) = world.send(&process.front.url, "incident.triggered").await.expect("an answer");
    assert_eq!(status, 202, "{answer}");
    process.front.end_of(&world.alert).await;
    process.terminate();
    assert_eq!(process.ended().await, Some(0), "it stops at once: {}", process.said());

    let stage = Stage::quick(&[PUBLIC]).await;
    stage.diagnosed().await;
    assert!(!stage.world.pagerduty.requests().iter().any(|r| r.path == "/users"));
    let page = stage.front.get_as(VIEWER_TOKEN, "/").await.is(200).body.as_str().expect("a page").to_owned();
    assert!(page.contains("Never checked: SELF_CHECK_INTERVAL is 0s"), "{page}");
}

/// told.md: each fault of Slack and GHE is named with what fixes it, and without them nothing is said of either.
#[tokio::test]
async fn slack_and_ghe_are_asked_and_each_fault_is_named_with_its_fix() {
    let world = world().await;
    let (_, report) = examined(&world, &[]).await;
    let is_of = |report: &Value, system: &str| {
        report["checks"].as_array().expect("checks").iter().any(|c| c["system"] == system)
    };
    assert!(!is_of(&report, "slack") && !is_of(&report, "ghe"), "{report:#}");
    assert_eq!((world.slack.requests(), world.github.requests()), (0, 0));

    let elsewhere = world.elsewhere();
    let wrong = [
        ("SLACK_REGISTRY_TOKEN", "xoxb-wrong"),
        ("SLACK_SE_CHANNEL", "C0ELSEWHERE"),
        ("GHE_REPO", "alchemy-registry/another"),
    ];
    let settings: Vec<(&str, &str)> =
        elsewhere.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(wrong).collect();
    let (ended, report) = examined(&world, &settings).await;
    assert_eq!(ended.code, Some(1), "{report:#}");
    for (line, state, fix) in [
        ("slack token SLACK_REGISTRY_TOKEN", "failed", "Bot User OAuth Token"),
        ("slack channel SLACK_REGISTRY_CHANNEL", "skipped", ""),
        ("slack token SLACK_SE_TOKEN", "ok", ""),
        ("slack channel SLACK_SE_CHANNEL", "failed", "channel's id"),
        ("ghe token", "ok", ""),
        ("ghe issues", "failed", "GHE_REPO"),
    ] {
        let check = check(&report, line);
        assert_eq!(check["state"], state, "{check:#}");
        assert!(check["mend"].as_str().unwrap_or_default().contains(fix), "{check:#}");
        assert!(!check.to_string().contains("xoxb-wrong"), "{check:#}");
    }
    assert!(world.slack.messages().is_empty() && world.github.issues().is_empty());
}
