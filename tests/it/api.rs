//! The API: who may, `POST /rerun`, `POST /escalate`, listings, and what a run looks like.

use std::time::Duration;

use serde_json::{Value, json};
use simulators::jenkins::Asked;
use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};
use simulators::scenario::Scenario;
use simulators::world::{OPERATOR_TOKEN, VIEWER_TOKEN};

use crate::harness::{Answer, Front, QUICK, Stage, quick, showing, until};

const TITLE: &str = "All SE endpoints down in prod-us-south";

#[tokio::test]
async fn viewers_read_operators_act_and_others_do_neither() {
    let stage = Stage::quick(&[]).await;
    let front = &stage.front;
    for path in ["/api/runs", "/api/runs/none"] {
        front.get_as("", path).await.is_problem(401);
        let answer = front.get_as("unknown", path).await;
        assert_eq!(answer.is_problem(401).headers["www-authenticate"], "Bearer");
        Answer::of(front.http.get(format!("{}{path}", front.url))).await.is_problem(401);
        let basic = front.http.get(format!("{}{path}", front.url)).basic_auth("victor", Some(VIEWER_TOKEN));
        Answer::of(basic).await.is_problem(401);
    }
    for token in [VIEWER_TOKEN, OPERATOR_TOKEN] {
        front.get_as(token, "/api/runs").await.is(200);
        front.get_as(token, "/api/runs/none").await.is_problem(404);
    }
    for path in ["/rerun", "/escalate"] {
        front.post_as("", path, &stage.this_alert(), None).await.is_problem(401);
        front.post_as("unknown", path, &stage.this_alert(), None).await.is_problem(401);
        front.post_as(VIEWER_TOKEN, path, &stage.this_alert(), None).await.is_problem(403);
    }
    assert_eq!(front.get("/api/runs").await["runs"], json!([]), "nobody who may not has made a run");
}

#[tokio::test]
async fn tokens_may_be_in_files_and_are_read_again() {
    let mut stage = Stage::quick(&[]).await;
    let path = stage.world.path("operators");
    std::fs::write(&path, "olga:first-token\n").expect("written");
    let file = path.display().to_string();
    stage.restart(&[("OPERATOR_TOKENS", ""), ("OPERATOR_TOKENS_FILE", &file), ("VIEWER_TOKENS", "")]).await;
    stage.front.get_as("first-token", "/api/runs").await.is(200);
    stage.front.get_as(VIEWER_TOKEN, "/api/runs").await.is_problem(401);
    stage.front.post_as("first-token", "/rerun", &json!({"region": "prod-eu-de"}), None).await.is(202);
    std::fs::write(&path, "olga:second-token\n").expect("written");
    stage.front.get_as("first-token", "/api/runs").await.is_problem(401);
    stage.front.get_as("second-token", "/api/runs").await.is(200);
}

/// lifecycle.md#a-run-begins: `POST /rerun` makes another run.
#[tokio::test]
async fn a_rerun_of_an_incident_is_another_run_with_a_note_of_its_own() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "off")]).await;
    let first = stage.diagnosed().await;
    let answer = stage.front.post("/rerun", &stage.this_alert()).await;
    let id = answer.is(202).body["run_id"].as_str().expect("an id");
    assert_eq!(answer.body["url"], format!("{}/runs/{id}", stage.front.url));
    let again = stage.front.ended(id).await;
    assert_eq!((&again["trigger"], &again["state"]), (&json!("rerun"), &json!("done")));
    assert_eq!((&again["escalation"]["state"], &first["trigger"]), (&json!("none"), &json!("webhook")));
    assert_ne!(stage.note_of(&first).id, stage.note_of(&again).id);
    // One early word each, and no other.
    assert_eq!(stage.notes().len(), 4);
}

/// lifecycle.md#a-run-begins: `POST /rerun` by region posts nothing.
#[tokio::test]
async fn a_rerun_by_region_posts_nothing() {
    let stage = Stage::quick(&[]).await;
    let answer = stage.front.post("/rerun", &json!({"region": "prod-us-south"})).await;
    let run = stage.front.ended(answer.is(202).body["run_id"].as_str().expect("an id")).await;
    assert_eq!((&run["incident"], &run["note"]), (&Value::Null, &Value::Null));
    assert_eq!((&run["state"], &run["escalation"]["state"]), (&json!("done"), &json!("none")));
    assert_eq!(run["diagnosis"]["verdict"]["kind"], "service_endpoint");
    assert_eq!(stage.world.pagerduty.writes(), 0);
}

/// lifecycle.md#a-bigger-outage-is-open: a run by region is never suppressed.
#[tokio::test]
async fn a_rerun_by_region_waits_for_no_bigger_outage() {
    let stage = Stage::quick(&[("SUPPRESSION_MAX", "10m")]).await;
    stage.world.pagerduty.open(Opening::new("All Public endpoints down in prod-us-south", Setup::REGISTRY));
    let answer = stage.front.post("/rerun", &json!({"region": "prod-us-south"})).await;
    let run = stage.front.ended(answer.is(202).body["run_id"].as_str().expect("an id")).await;
    assert_eq!((&run["state"], &run["note"]), (&json!("done"), &Value::Null));
    assert_eq!(run["diagnosis"]["verdict"]["kind"], "service_endpoint");
}

/// lifecycle.md#a-run-begins: `POST /rerun` is of an alert, or of a region that can be.
#[tokio::test]
async fn a_rerun_needs_an_alert_that_pagerduty_knows_or_a_region_that_can_be() {
    let stage = Stage::quick(&[]).await;
    let pagerduty = &stage.world.pagerduty;
    let other = pagerduty.open(Opening::new("Disk full", Setup::REGISTRY)).id;
    let page = pagerduty.open(Opening::new(TITLE, Setup::SERVICE_ENDPOINT)).id;
    let mut ours = Opening::new(TITLE, Setup::REGISTRY);
    ours.incident_key = Some("se-responder/QX".into());
    let ours = pagerduty.open(ours).id;
    for (body, status) in [
        (json!({"incident_id": "QNOTTHERE"}), 404),
        (json!({"incident_id": "../services"}), 404),
        (json!({"incident_id": other}), 422),
        (json!({"incident_id": page}), 422),
        (json!({"incident_id": ours}), 422),
        (json!({"region": "Prod_US"}), 422),
        (json!({"region": ""}), 422),
        (json!({}), 422),
        (json!({"region": "prod-us-south", "incident_id": "Q1"}), 422),
        (json!({"regoin": "prod-us-south"}), 422),
    ] {
        let answer = stage.front.post("/rerun", &body).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        answer.is_problem(status);
    }
    pagerduty.fail(Endpoint::Incident, Fault::Status(401), 1);
    stage.front.post("/rerun", &stage.this_alert()).await.is_problem(503);
    // Whoever asks is not kept waiting for as long as PagerDuty would be.
    pagerduty.fail(Endpoint::Incident, Fault::Hang, u32::MAX);
    stage.front.post("/rerun", &stage.this_alert()).await.is_problem(503);
    assert_eq!(stage.front.get("/api/runs").await["runs"], json!([]));
}

/// lifecycle.md#words: an alert has at most one active run.
#[tokio::test]
async fn a_rerun_beside_an_active_run_is_refused_with_that_run() {
    let stage = Stage::slow(&[]).await;
    stage.alert("incident.triggered").await.is(202);
    let active = stage.front.runs_of(&stage.world.alert).await.remove(0);
    let answer = stage.front.post("/rerun", &stage.this_alert()).await;
    assert_eq!(answer.is_problem(409).body["run_id"], active["id"]);
    // By region, a run of an incident of that region is not in the way; another without one is.
    let region = json!({"region": "prod-us-south"});
    let first = stage.front.post("/rerun", &region).await.is(202).body["run_id"].clone();
    assert_eq!(stage.front.post("/rerun", &region).await.is_problem(409).body["run_id"], first);
    stage.front.post("/rerun", &json!({"region": "prod-eu-de"})).await.is(202);
}

/// lifecycle.md#a-run-begins: `POST /rerun` once more under its `Idempotency-Key` makes no other run.
#[tokio::test]
async fn an_idempotency_key_answers_a_repeat_as_before() {
    let stage = Stage::slow(&[("OPERATOR_TOKENS", "olivia:token-one,otto:token-two")]).await;
    let (here, there) = (json!({"region": "prod-us-south"}), json!({"region": "prod-eu-de"}));
    let post = async |token, body, key| stage.front.post_as(token, "/rerun", body, Some(key)).await;
    let first = post("token-one", &here, "k1").await;
    let again = post("token-one", &here, "k1").await;
    assert_eq!((first.is(202).body.clone(), first.status), (again.body, again.status));
    post("token-one", &there, "k1").await.is_problem(422);
    assert_eq!(post("token-two", &there, "k1").await.is(202).body["run_id"].as_str().map(str::len), Some(36));
    post("token-one", &here, "k2").await.is_problem(409);
    let long = "k".repeat(256);
    for bad in ["", &long] {
        post("token-one", &here, bad).await.is_problem(400);
    }
    // Many repeats at once are one request.
    let body = json!({"region": "prod-jp-tok"});
    let many =
        futures::future::join_all((0..8).map(async |_| post("token-one", &body, "k3").await.is(202).body.clone()))
            .await;
    assert!(many.iter().all(|b| *b == many[0]), "{many:?}");
    assert_eq!(stage.front.get("/api/runs").await["runs"].as_array().map(Vec::len), Some(3));
}

/// lifecycle.md#the-page: a person's `/escalate` pages; paged already, it is refused with the page's link.
#[tokio::test]
async fn an_operator_pages_and_only_once() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    stage.front.post("/escalate", &stage.this_alert()).await.is_problem(404);
    stage.front.post("/escalate", &json!({"incident_id": "QNOTTHERE"})).await.is_problem(404);
    stage.front.post("/escalate", &json!({"incident_id": "../x"})).await.is_problem(404);
    stage.front.post("/escalate", &json!({})).await.is_problem(422);
    let run = stage.diagnosed().await;
    assert_eq!(run["escalation"]["state"], "suggested");
    assert_eq!(stage.front.post("/escalate", &stage.this_alert()).await.is(202).body["run_id"], run["id"]);
    let paged = paged(&stage.front, &run["id"]).await;
    let page = stage.world.pagerduty.pages().remove(0);
    assert_eq!(paged["escalation"]["page"]["id"], page.id);
    let refused = stage.front.post("/escalate", &stage.this_alert()).await;
    assert_eq!(refused.is_problem(409).body["page"], paged["escalation"]["page"]["html_url"]);
    let note = until("the note to say so", async || {
        Some(stage.note_of(&run).content).filter(|n| n.contains("asked for by olivia"))
    })
    .await;
    assert!(note.lines().nth(2).is_some_and(|l| l.starts_with("Paged: Cloud Service Endpoint")), "{note}");
    assert_eq!((stage.world.pagerduty.pages().len(), stage.short_notes(&run).1.len()), (1, 0));
}

/// The run, once its page is open.
async fn paged(front: &Front, id: &Value) -> Value {
    until("the page", async || {
        let run = front.run(id.as_str().expect("an id")).await;
        (run["escalation"]["state"] == "paged").then_some(run)
    })
    .await
}

/// lifecycle.md#the-page: a person's `/escalate` is accepted while the page is on its way.
#[tokio::test]
async fn a_page_that_is_on_its_way_is_accepted_again() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "off")]).await;
    let run = stage.diagnosed().await;
    stage.world.pagerduty.fail(Endpoint::CreateIncident, Fault::Status(503), 1000);
    for _ in 0..3 {
        stage.front.post("/escalate", &stage.this_alert()).await.is(202);
        let now = stage.front.run(run["id"].as_str().expect("an id")).await;
        assert_eq!(now["escalation"]["state"], "requested");
    }
    stage.world.pagerduty.mend();
    paged(&stage.front, &run["id"]).await;
    assert_eq!(stage.world.pagerduty.pages().len(), 1);
}

/// lifecycle.md#the-page: a person's `/escalate` pages in each mode, before there is a diagnosis too.
#[tokio::test]
async fn before_there_is_a_diagnosis_a_person_pages_with_what_is_known() {
    let stage = Stage::slow(&[("ESCALATION_MODE", "off")]).await;
    stage.alert("incident.triggered").await.is(202);
    let run = stage.front.post("/escalate", &stage.this_alert()).await.is(202).body["run_id"].clone();
    let run = paged(&stage.front, &run).await;
    assert_eq!((&run["diagnosis"], &run["state"]), (&Value::Null, &json!("running")));
    let page = stage.world.pagerduty.pages().remove(0);
    assert!(page.title.contains("prod-us-south"), "{}", page.title);
    let body = page.body.expect("a body");
    for words in ["prod-us-south", "olivia", run["id"].as_str().expect("an id"), TITLE] {
        assert!(body.contains(words), "{words:?} in {body}");
    }
    assert_eq!(
        (page.urgency.as_str(), page.incident_key),
        ("high", Some(format!("se-responder/{}", stage.world.alert)))
    );
}

#[tokio::test]
async fn while_another_run_has_found_nothing_yet_a_person_pages_with_what_the_last_one_found() {
    // The rerun's build takes longer than any story.
    let builds = |asked: &Asked| showing(asked, 0, 1, Duration::from_millis(if asked.nth <= 2 { 50 } else { 600_000 }));
    for joined in [false, true] {
        let scenario: &'static Scenario = Box::leak(Box::new(Scenario { builds, ..*quick() }));
        let stage = Stage::on(scenario, &[QUICK, &[("ESCALATION_MODE", "suggest")]].concat()).await;
        let first = stage.diagnosed().await;
        let id = first["diagnosis"]["zones"][0]["boxes"][0]["magic_box_id"].as_str().expect("an id");
        stage.front.post("/rerun", &stage.this_alert()).await.is(202);
        let theirs = joined.then(|| {
            stage.world.pagerduty.open(Opening::new(&format!("Magic Box {id} is down"), Setup::SERVICE_ENDPOINT)).id
        });
        let again = stage.front.post("/escalate", &stage.this_alert()).await.is(202).body["run_id"].clone();
        assert_ne!(again, first["id"]);
        let again = paged(&stage.front, &again).await;
        assert_eq!(again["diagnosis"], Value::Null);
        let text = match &theirs {
            Some(page) => {
                assert_eq!(&again["escalation"]["page"]["id"], page);
                stage.world.pagerduty.notes_of(page).remove(0).content
            }
            None => stage.world.pagerduty.pages().remove(0).body.expect("a body"),
        };
        let (run_1, run_2) = (first["id"].as_str().expect("an id"), again["id"].as_str().expect("an id"));
        for words in [id, "what an earlier look found, at 20", run_1, run_2] {
            assert!(text.contains(words), "{words:?} in {text}");
        }
        assert!(!text.contains("not known yet"), "{text}");
        assert_eq!(stage.world.pagerduty.pages().len(), usize::from(!joined));
    }
}

/// lifecycle.md#commands: on a closed alert it is refused, `POST /escalate` too.
#[tokio::test]
async fn a_closed_alert_is_not_paged_for() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    stage.diagnosed().await;
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.front.post("/escalate", &stage.this_alert()).await.is_problem(409);
    assert!(stage.world.pagerduty.pages().is_empty());
}

#[tokio::test]
async fn runs_are_listed_newest_first_by_filter_and_page_by_page() {
    let stage = Stage::slow(&[]).await;
    let regions: Vec<String> = (1..=7).map(|n| format!("prod-r{n}")).collect();
    let mut ids = Vec::new();
    for region in &regions {
        let answer = stage.front.post("/rerun", &json!({"region": region})).await;
        ids.insert(0, answer.is(202).body["run_id"].as_str().expect("an id").to_owned());
    }
    stage.alert("incident.triggered").await.is(202);
    let of_alert = stage.front.runs_of(&stage.world.alert).await.remove(0)["id"].as_str().expect("an id").to_owned();
    ids.insert(0, of_alert.clone());
    let list = async |query: String| {
        let listed = stage.front.get(&format!("/api/runs?{query}")).await;
        let ids: Vec<String> =
            listed["runs"].as_array().expect("runs").iter().map(|r| r["id"].as_str().expect("an id").into()).collect();
        (ids, listed["next"].as_str().map(str::to_owned))
    };
    assert_eq!(list(String::new()).await, (ids.clone(), None));
    let (mut seen, mut before) = (Vec::new(), String::new());
    loop {
        let (mut page, next) = list(format!("limit=3{before}")).await;
        seen.append(&mut page);
        let Some(next) = next else { break };
        before = format!("&before={next}");
    }
    assert_eq!(seen, ids);
    assert_eq!(list("limit=8".into()).await, (ids.clone(), None), "no page is promised that is empty");
    assert_eq!(list("limit=100000".into()).await.0.len(), 8, "more than may be is as many as may be");
    // As a script that fills in what it has.
    assert_eq!(list("incident_id=&region=&state=&before=".into()).await.0, ids);
    assert_eq!(list("region=prod-r3".into()).await.0, [ids[5].clone()]);
    assert_eq!(list(format!("incident_id={}", stage.world.alert)).await.0, [of_alert]);
    assert_eq!(list("state=done".into()).await.0, Vec::<String>::new());
    assert_eq!(list("state=running&region=prod-r3&limit=1".into()).await.1, None);
    for bad in ["limit=0", "limit=-1", "limit=x", "state=unheard-of"] {
        stage.front.get_as(VIEWER_TOKEN, &format!("/api/runs?{bad}")).await.is_problem(400);
    }
}
