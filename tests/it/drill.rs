//! `trigger`: a drill is a full run of which PagerDuty hears nothing; with an incident's id it is a webhook like any.

use serde_json::Value;
use simulators::pagerduty::Setup;
use simulators::world::{VIEWER_TOKEN, WEBHOOK_SECRET};

use crate::harness::{Answer, Stage, until};
use crate::process::run;

const TITLE: &str = "All SE endpoints down in prod-us-south";

fn settings(stage: &Stage) -> Vec<(String, String)> {
    let secrets = format!("{WEBHOOK_SECRET},another");
    let address = stage.front.url.trim_start_matches("http://").to_owned();
    vec![("PAGERDUTY_WEBHOOK_SECRETS".into(), secrets), ("LISTEN_ADDR".into(), address)]
}

async fn newest(stage: &Stage) -> Value {
    let listed = stage.front.get("/api/runs").await;
    let id = listed["runs"][0]["id"].as_str().expect("a run").to_owned();
    stage.front.ended(&id).await
}

#[tokio::test]
async fn a_drill_is_a_full_run_and_pagerduty_hears_nothing_of_it() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "auto"), ("PAGERDUTY_SERVICE_IDS", "PREGSTR")]).await;
    let sent = run(&["trigger", "--title", TITLE], &settings(&stage), "").await;
    assert_eq!((sent.code, sent.stdout.trim()), (Some(0), r#"{"status":"accepted"}"#), "{}", sent.stderr);
    let drill = newest(&stage).await;
    assert_eq!((drill["state"].as_str(), drill["incident"].is_null()), (Some("done"), true), "{drill:#}");
    let id = drill["drill"]["id"].as_str().expect("what it would be");
    assert!(id.starts_with("DRILL"), "{drill:#}");
    assert_eq!(drill["diagnosis"]["verdict"]["kind"], "service_endpoint");
    assert_eq!(drill["escalation"]["state"], "held");
    assert!(drill["escalation"]["reason"].as_str().is_some_and(|why| why.contains("drill")), "{drill:#}");
    assert!(!stage.world.jenkins.started().is_empty(), "Jenkins is asked for real");

    assert_eq!(stage.world.pagerduty.writes(), 0, "nothing is written in PagerDuty");
    let asked = stage.world.pagerduty.requests().iter().any(|request| request.path.contains("DRILL"));
    assert!(!asked, "PagerDuty isn't asked about it");
    let page = stage.front.http.get(format!("{}/runs/{}", stage.front.url, drill["id"].as_str().expect("an id")));
    let page = Answer::of(page.bearer_auth(VIEWER_TOKEN)).await;
    let shown = page.is(200).body.as_str().expect("a page");
    for words in [
        "DRILL",
        "The note (of a drill: it is shown here only)",
        "SERVICE ENDPOINT problem in prod-us-south: every Magic Box rejects connections\nDo now: check why the page is held, then page \
         Cloud Service Endpoint with the Magic Box IDs below.\nNOBODY WAS PAGED. The automatic page to Cloud Service Endpoint is held: \
         this is a drill: nobody is paged, and nothing is written in PagerDuty.\n\nWHY\n",
        "WHO TO PAGE",
        "it persists, so this is an SE problem.",
        "MAGIC BOXES",
    ] {
        assert!(shown.contains(words), "its note is on its view, and says {words:?}: {shown}");
    }

    let request = serde_json::json!({"incident_id": id});
    stage.front.post("/escalate", &request).await.is_problem(409);
    stage.front.post("/escalate", &serde_json::json!({"incident_id": "DRILL0"})).await.is_problem(404);
    stage.front.post("/rerun", &request).await.is_problem(404);
    assert!(stage.world.pagerduty.pages().is_empty());

    // A real alert beside it counts as the first, and says nothing of it.
    let real = stage.diagnosed().await;
    let note = stage.note_of(&real).content;
    for words in ["EARLIER RUNS", "FLAPPING", "time in an hour", "alerts now", "within 5 min", "drill", "DRILL"] {
        assert!(!note.contains(words), "{words}: {note}");
    }
    assert!(
        note.lines().nth(2).is_some_and(|line| line.starts_with("Paged: Cloud Service Endpoint, automatically. ")),
        "{note}"
    );
    assert_eq!(real["escalation"]["state"], "paged");
}

/// Also where only alerts of some services are handled.
#[tokio::test]
async fn with_an_incidents_id_it_is_a_webhook_like_any() {
    for services in [None, Some(Setup::REGISTRY)] {
        let listed = services.map(|ids| ("PAGERDUTY_SERVICE_IDS", ids));
        let stage = Stage::quick(listed.as_slice()).await;
        let alert = stage.world.alert.clone();
        let to = format!("{}/webhooks/pagerduty", stage.front.url);
        let arguments = ["trigger", "--title", TITLE, "--incident-id", &alert, "--url", &to];
        let mut only = vec![("PAGERDUTY_WEBHOOK_SECRETS".to_owned(), WEBHOOK_SECRET.to_owned())];
        only.extend(listed.map(|(name, ids)| (name.to_owned(), ids.to_owned())));
        let sent = run(&arguments, &only, "").await;
        assert_eq!((sent.code, sent.stdout.contains("accepted")), (Some(0), true), "{} {}", sent.stdout, sent.stderr);
        until("its run", async || (stage.front.runs_of(&alert).await.len() == 1).then_some(())).await;
        let run_of_it = stage.front.end_of(&alert).await;
        assert!(run_of_it.get("drill").is_none() && !run_of_it["note"].is_null(), "{run_of_it:#}");
    }
}

#[tokio::test]
async fn what_trigger_lacks_is_told_at_once() {
    let stage = Stage::quick(&[]).await;
    let unset = run(&["trigger", "--title", TITLE], &[], "").await;
    assert_eq!(unset.code, Some(2));
    assert!(unset.stderr.contains("PAGERDUTY_WEBHOOK_SECRETS"), "{}", unset.stderr);
    let odd = run(&["trigger", "--title", "Lunch", "--incident-id", "../Q1"], &settings(&stage), "").await;
    assert_eq!(odd.code, Some(2));
    assert!(odd.stderr.contains("--title") && odd.stderr.contains("--incident-id"), "{}", odd.stderr);
    let mut wrong = settings(&stage);
    wrong[0].1 = "a wrong secret".into();
    let refused = run(&["trigger", "--title", TITLE], &wrong, "").await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("403") && refused.stderr.contains("PAGERDUTY_WEBHOOK_SECRETS"),
        "{}",
        refused.stderr
    );
}
