//! An incident may be named by its address in PagerDuty, as the browser shows it, wherever its id may stand.

use serde_json::{Value, json};
use simulators::pagerduty::{Opening, Setup};

use crate::harness::{Stage, until};

fn named(text: &str) -> Value {
    json!({ "incident_id": text })
}

/// What a person may copy: the address itself, and what browsers and chats make of it.
fn forms(id: &str) -> Vec<String> {
    let address = format!("https://sim.pagerduty.com/incidents/{id}");
    vec![
        address.clone(),
        format!("{address}/"),
        format!("{address}/timeline"),
        format!("{address}?utm_source=slack"),
        format!("{address}#notes"),
        format!("HTTPS://SIM.PagerDuty.com/incidents/{id}"),
        format!("http://sim.pagerduty.com/incidents/{id}/timeline/?page=2#top"),
        format!(" \t{address}/\r\n"),
        format!("\u{a0}{address}\u{a0}"),
        id.to_owned(),
        format!("  {id} "),
        format!("\u{a0}{id}\n"),
    ]
}

/// What names no incident of ours.
fn strangers(id: &str) -> Vec<String> {
    vec![
        format!("https://other.pagerduty.com/incidents/{id}"),
        format!("https://sim.pagerduty.com.example.com/incidents/{id}"),
        format!("https://sim.pagerduty.com@example.com/incidents/{id}"),
        format!("https://sim.pagerduty.com/services/{id}"),
        format!("sim.pagerduty.com/incidents/{id}"),
        "https://sim.pagerduty.com/incidents/QNOTTHERE".into(),
        "https://sim.pagerduty.com/incidents/".into(),
    ]
}

#[tokio::test]
async fn a_rerun_takes_the_incidents_address() {
    let stage = Stage::slow(&[]).await;
    let (alert, pagerduty) = (&stage.world.alert, &stage.world.pagerduty);
    for stranger in strangers(alert) {
        stage.front.post("/rerun", &named(&stranger)).await.is_problem(404);
    }
    let other = pagerduty.open(Opening::new("Disk full", Setup::REGISTRY)).id;
    stage.front.post("/rerun", &named(&format!("https://sim.pagerduty.com/incidents/{other}"))).await.is_problem(422);
    assert_eq!(stage.front.get("/api/runs").await["runs"], json!([]));

    let token = simulators::world::OPERATOR_TOKEN;
    let post = async |body: &Value| stage.front.post_as(token, "/rerun", body, Some("k1")).await;
    let address = named(&forms(alert)[0]);
    let made = post(&address).await.is(202).body.clone();
    assert_eq!(stage.front.runs_of(alert).await[0]["id"], made["run_id"], "it is a run of that incident");
    assert_eq!(post(&address).await.is(202).body, made, "the same request again");
    // The same incident, but another body: the key is for this one.
    post(&named(alert)).await.is_problem(422);
    for form in forms(alert) {
        let answer = stage.front.post("/rerun", &named(&form)).await;
        assert_eq!(answer.is_problem(409).body["run_id"], made["run_id"], "{form}");
    }
}

#[tokio::test]
async fn a_page_is_asked_for_by_the_incidents_address() {
    let stage = Stage::quick(&[("ESCALATION_MODE", "suggest")]).await;
    let (alert, pagerduty) = (&stage.world.alert, &stage.world.pagerduty);
    let address = forms(alert)[0].clone();
    stage.front.post("/escalate", &named(&address)).await.is_problem(404);
    let run = stage.diagnosed().await;
    assert_eq!(run["incident"]["html_url"], address);
    for stranger in strangers(alert) {
        stage.front.post("/escalate", &named(&stranger)).await.is_problem(404);
    }
    let now = stage.front.run(run["id"].as_str().expect("an id")).await;
    assert_eq!((&now["escalation"]["state"], pagerduty.pages().len()), (&json!("suggested"), 0), "nobody was paged");
    assert_eq!(stage.front.post("/escalate", &named(&address)).await.is(202).body["run_id"], run["id"]);
    until("the page", async || (pagerduty.pages().len() == 1).then_some(())).await;
    until("every form to be told that it is paged", async || {
        for form in forms(alert) {
            let answer = stage.front.post("/escalate", &named(&form)).await;
            if answer.status == 202 {
                return None;
            }
            answer.is_problem(409);
        }
        Some(())
    })
    .await;
    assert_eq!(pagerduty.pages().len(), 1);
}
