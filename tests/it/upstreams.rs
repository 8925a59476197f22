//! Upstreams that can't even be found.

use serde_json::json;

use crate::harness::{QUICK, Stage, quick, told, until};

/// A name that no resolver knows (RFC 6761).
const NOWHERE: &str = "http://nowhere.invalid";

#[tokio::test]
async fn a_jenkins_whose_name_does_not_resolve_is_said_in_the_note() {
    let url = format!("{NOWHERE}/job/ServiceEndpointStatus/");
    let stage = Stage::on(quick(), &[QUICK, &[("JENKINS_JOB_URL", url.as_str())]].concat()).await;
    let run = stage.diagnosed().await;
    let verdict = &run["diagnosis"]["verdict"];
    assert_eq!((&verdict["kind"], &verdict["rule"]), (&json!("inconclusive"), &json!("no-reading")), "{run:#}");
    let note = stage.note_of(&run).content;
    assert!(note.contains("nowhere.invalid") && note.contains("no connection"), "{note}");
    assert_eq!(stage.world.pagerduty.pages().len(), 0);
}

#[tokio::test]
async fn a_run_waits_for_a_pagerduty_whose_name_does_not_resolve_and_writes_its_note_later() {
    let mut stage = Stage::on(quick(), &[QUICK, &[("PAGERDUTY_API_URL", NOWHERE)]].concat()).await;
    assert_eq!(stage.alert("incident.triggered").await.is(202).word(), "accepted");
    let run = until("a diagnosis", async || {
        let run = stage.front.runs_of(&stage.world.alert).await.pop()?;
        (!run["diagnosis"].is_null()).then_some(run)
    })
    .await;
    assert_eq!((&run["state"], &run["note"]), (&json!("running"), &json!(null)), "{run:#}");
    let url = stage.world.pagerduty.settings().api_url.to_string();
    stage.restart(&[("PAGERDUTY_API_URL", &url)]).await;
    let run = stage.front.end_of(&stage.world.alert).await;
    assert_eq!(run["state"], "done", "{run:#}");
    told(&stage.world, &run).await;
    let note = stage.note_of(&run).content;
    assert!(note.starts_with("SERVICE ENDPOINT"), "{note}");
}
