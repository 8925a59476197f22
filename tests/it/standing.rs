//! How an alert and its page stand after the note: the API, the event stream and the views say what the incident says.
//! In the API: `alert`, `escalation.page`, `note.text`, `activity`.

use serde_json::{Value, json};
use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};
use simulators::world::OPERATOR_TOKEN;

use crate::harness::{Stage, until};

const AUTO: (&str, &str) = ("ESCALATION_MODE", "auto");
const SUGGEST: (&str, &str) = ("ESCALATION_MODE", "suggest");
const SOON: (&str, &str) = ("PAGE_ACK_WAIT", "1s");

impl Stage {
    /// The run, once it looks like this.
    async fn shows(&self, id: &str, what: &str, like: impl Fn(&Value) -> bool) -> Value {
        until(what, async || Some(self.front.run(id).await).filter(|run| like(run))).await
    }

    async fn page_of(&self, path: &str) -> String {
        let answer = self.front.get_as(simulators::world::VIEWER_TOKEN, path).await;
        answer.is(200).body.as_str().expect("a page").to_owned()
    }

    async fn writes_command(&self, word: &str) {
        let note = self.world.pagerduty.annotate(&self.world.alert, Setup::ENGINEER, word).expect("a note");
        self.front.signed(&self.world.pagerduty.annotated_body(&self.world.alert, &note.id)).await.is(202);
    }
}

fn id(run: &Value) -> String {
    run["id"].as_str().expect("an id").to_owned()
}

/// What was done, and by whom.
fn did(run: &Value) -> Vec<(String, Option<String>)> {
    let activity = run["activity"].as_array().expect("activity");
    assert!(activity.iter().all(|a| a["at"].as_str().is_some_and(|at| at.ends_with('Z'))), "{activity:#?}");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    activity.iter().map(|a| (text(&a["what"]).expect("words"), text(&a["who"]))).collect()
}

fn has_done(run: &Value, what: &str, who: Option<&str>) -> bool {
    did(run).iter().any(|(did, by)| did.contains(what) && by.as_deref() == who)
}

#[tokio::test]
async fn the_page_its_acknowledgement_and_the_alerts_end_show_everywhere() {
    let stage = Stage::quick(&[AUTO, SOON]).await;
    let run = stage.diagnosed().await;
    let run_id = id(&run);
    let open = json!({"state": "open", "resolved_at": null, "held_by": null, "merged_into": null});
    assert_eq!(run["alert"], open, "{run:#}");
    let page = stage.world.pagerduty.pages().remove(0);
    let shown = &run["escalation"]["page"];
    assert_eq!(
        (&shown["id"], &shown["joined"], &shown["acknowledged_at"]),
        (&json!(page.id), &json!(false), &json!(null))
    );
    assert!(stage.page_of(&format!("/runs/{run_id}")).await.contains("Alert open · page not acknowledged yet"));

    // Nobody takes it: said on the incident, and here.
    let silent = stage
        .shows(&run_id, "the silence", |run| {
            has_done(run, "wrote: ", None) && {
                did(run).iter().any(|(what, _)| what.to_lowercase().contains("acknowledged"))
            }
        })
        .await;
    assert!(has_done(&silent, "paged Cloud Service Endpoint: ", None), "{:#}", silent["activity"]);

    stage.world.pagerduty.acknowledge(&page.id, Setup::ENGINEER);
    let taken = stage
        .shows(&run_id, "the acknowledgement", |run| !run["escalation"]["page"]["acknowledged_at"].is_null())
        .await;
    assert_eq!(taken["escalation"]["page"]["acknowledged_by"], "Earline Greenholt");
    assert!(has_done(&taken, "acknowledged the page", Some("Earline Greenholt")), "{:#}", taken["activity"]);
    assert!(stage.page_of(&format!("/runs/{run_id}")).await.contains("page acknowledged by Earline Greenholt since"));
    assert!(stage.page_of("/").await.contains("Page acknowledged"));

    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.alert("incident.resolved").await.is(202);
    let over = stage
        .shows(&run_id, "the end", |run| {
            run["alert"]["state"] == "resolved"
                && run["note"]["text"].as_str().is_some_and(|text| text.starts_with("RESOLVED"))
        })
        .await;
    assert!(over["alert"]["resolved_at"].is_string(), "{:#}", over["alert"]);
    assert!(has_done(&over, "edited the diagnosis note: the alert has resolved", None), "{:#}", over["activity"]);
    assert_eq!(over["note"]["text"], stage.note_of(&run).content, "as it stands on the incident");
    let view = stage.page_of(&format!("/runs/{run_id}")).await;
    assert!(view.contains("Alert resolved since") && view.contains("nothing urgent, the alert has closed"), "{view}");
    assert!(stage.page_of("/").await.contains("Alert resolved"));
    let listed = stage.front.runs_of(&stage.world.alert).await.remove(0);
    for field in ["alert", "escalation", "note", "activity"] {
        assert_eq!(listed[field], over[field], "{field} in the list");
    }
}

/// Older accounts can't edit notes: a short note says it, and the view asks nobody to do what is over.
#[tokio::test]
async fn where_the_note_can_not_be_edited_the_view_still_says_what_is_over() {
    let stage = Stage::quick(&[AUTO]).await;
    let run = stage.diagnosed().await;
    stage.world.pagerduty.fail(Endpoint::EditNote, Fault::Status(403), u32::MAX);
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.alert("incident.resolved").await.is(202);
    let run_id = id(&run);
    let over = stage.shows(&run_id, "the end", |run| run["alert"]["state"] == "resolved").await;
    assert_eq!(over["note"]["text"], stage.note_of(&run).content, "it was not edited");
    let view = stage.page_of(&format!("/runs/{run_id}")).await;
    assert!(view.contains("Alert resolved since") && view.contains("nothing urgent, the alert has closed"), "{view}");
}

/// Nobody is offered to page for what is over.
#[tokio::test]
async fn there_is_no_button_to_page_once_the_alert_has_resolved() {
    let stage = Stage::quick(&[SUGGEST]).await;
    let path = format!("/runs/{}", id(&stage.diagnosed().await));
    let cookie = stage.front.signed_in(OPERATOR_TOKEN).await;
    let views = async || {
        let by_operator = stage.front.page(&path, &[("cookie", &cookie)]).await;
        let by_operator = by_operator.is(200).body.as_str().expect("a view").to_owned();
        [
            (by_operator, "id=\"escalate\""),
            (stage.page_of(&path).await, "To page, reply <code>/escalate</code> as a note on the incident"),
        ]
    };
    for (view, offer) in views().await {
        assert!(view.contains(offer), "{offer}: {view}");
    }
    stage.world.pagerduty.resolve(&stage.world.alert, None);
    stage.alert("incident.resolved").await.is(202);
    let over = until("the end", async || {
        let views = views().await;
        views.iter().all(|(view, _)| view.contains("Alert resolved since")).then_some(views)
    })
    .await;
    for (view, offer) in over {
        assert!(!view.contains(offer), "{offer}: {view}");
    }
}

#[tokio::test]
async fn a_hold_shows_until_it_no_longer_holds() {
    let stage = Stage::quick(&[SUGGEST]).await;
    let run = stage.diagnosed().await;
    let run_id = id(&run);
    stage.writes_command("/hold").await;
    let held = stage.shows(&run_id, "the hold", |run| run["alert"]["held_by"] == "Earline Greenholt").await;
    assert!(stage.page_of(&format!("/runs/{run_id}")).await.contains("automatic paging on hold, by Earline Greenholt"));
    assert!(has_done(&held, "/hold", Some("Earline Greenholt")), "{:#}", held["activity"]);
    stage.writes_command("/escalate").await;
    let paged = stage.shows(&run_id, "the page", |run| run["escalation"]["state"] == "paged").await;
    assert_eq!(paged["alert"]["held_by"], json!(null));
    let told = stage
        .shows(&run_id, "the page in the note", |run| {
            run["note"]["text"]
                .as_str()
                .is_some_and(|text| text.lines().nth(2).is_some_and(|line| line.starts_with("Paged")))
        })
        .await;
    assert!(
        has_done(&told, "/escalate", Some("Earline Greenholt")) && has_done(&told, "edited the diagnosis note", None)
    );
    assert_eq!(told["note"]["text"], stage.note_of(&run).content);
    // In the order of time, and nothing of before the diagnosis.
    let at = |a: &Value| a["at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok()).expect("a time");
    let times: Vec<_> = told["activity"].as_array().expect("activity").iter().map(at).collect();
    assert!(times.is_sorted() && !has_done(&told, "Still diagnosing", None), "{:#}", told["activity"]);
}

#[tokio::test]
async fn who_asked_over_http_is_named_and_a_page_that_was_joined_says_so() {
    let stage = Stage::quick(&[SUGGEST]).await;
    let theirs = Opening::new("SE is down in prod-us-south", Setup::SERVICE_ENDPOINT);
    let theirs = stage.world.pagerduty.open(theirs).id;
    let run = stage.diagnosed().await;
    stage.front.post("/escalate", &stage.this_alert()).await.is(202);
    let joined = stage.shows(&id(&run), "the page", |run| run["escalation"]["state"] == "paged").await;
    assert_eq!(
        (&joined["escalation"]["page"]["id"], &joined["escalation"]["page"]["joined"]),
        (&json!(theirs), &json!(true))
    );
    assert!(has_done(&joined, "joined an open page", None), "{:#}", joined["activity"]);
    assert!(
        did(&joined).iter().any(|(what, who)| what.contains("asked to page") && who.is_some()),
        "{:#}",
        joined["activity"]
    );
}

#[tokio::test]
async fn a_merge_shows_and_what_is_done_there_is_shown_here() {
    let stage = Stage::quick(&[SUGGEST]).await;
    let run = stage.diagnosed().await;
    let bigger = stage.world.pagerduty.open(Opening::new("Registry is in trouble", Setup::REGISTRY)).id;
    stage.world.pagerduty.merge(&stage.world.alert, &bigger, None);
    stage.alert("incident.resolved").await.is(202);
    let run_id = id(&run);
    let merged = stage.shows(&run_id, "the merge", |run| run["alert"]["state"] == "merged").await;
    assert_eq!((&merged["alert"]["merged_into"], &merged["alert"]["resolved_at"]), (&json!(bigger), &json!(null)));
    let note = stage.world.pagerduty.annotate(&bigger, Setup::ENGINEER, "/status").expect("a note");
    stage.front.signed(&stage.world.pagerduty.annotated_body(&bigger, &note.id)).await.is(202);
    stage.shows(&run_id, "the command", |run| has_done(run, "/status", Some("Earline Greenholt"))).await;
    assert!(stage.page_of(&format!("/runs/{run_id}")).await.contains(&format!("Alert merged into {bigger}")));
}

/// What a person asks for by the API is told like a command, with who it was.
#[tokio::test]
async fn a_rerun_that_was_asked_for_is_told_of_once_with_who_asked() {
    let stage = Stage::quick(&[SUGGEST]).await;
    let run_id = id(&stage.diagnosed().await);
    let again = async || stage.front.post_as(OPERATOR_TOKEN, "/rerun", &stage.this_alert(), Some("once")).await;
    let first = again().await.is(202).body.clone();
    assert_eq!(again().await.is(202).body, first);
    stage.front.ended(first["run_id"].as_str().expect("an id")).await;
    let run = stage.front.run(&run_id).await;
    let asked: Vec<_> = did(&run).into_iter().filter(|(what, _)| what == "asked for another diagnosis").collect();
    assert_eq!(asked, [("asked for another diagnosis".to_owned(), Some("olivia".to_owned()))], "{:#}", run["activity"]);
}

#[tokio::test]
async fn a_command_that_is_not_obeyed_is_told_too_and_a_restart_forgets_nothing() {
    let mut stage = Stage::quick(&[("COMMAND_USERS", "PNOBODY")]).await;
    let run = stage.diagnosed().await;
    let run_id = id(&run);
    stage.writes_command("/rerun").await;
    let told = stage.shows(&run_id, "the answer", |run| has_done(run, "wrote: ", None)).await;
    assert!(has_done(&told, "/rerun, not obeyed", Some("Earline Greenholt")), "{:#}", told["activity"]);
    stage.restart(&[]).await;
    let after = stage.front.run(&run_id).await;
    for field in ["alert", "escalation", "note", "activity"] {
        assert_eq!(after[field], told[field], "{field} after a restart");
    }
}

/// The stream of a run brings each of these changes, as the run's JSON.
#[tokio::test]
async fn the_stream_of_a_run_brings_what_comes_after_its_note() {
    let stage = Stage::quick(&[SUGGEST]).await;
    let run = stage.diagnosed().await;
    let url = format!("{}/api/runs/{}/events", stage.front.url, id(&run));
    let mut answer =
        stage.front.http.get(url).bearer_auth(simulators::world::VIEWER_TOKEN).send().await.expect("a stream");
    stage.writes_command("/hold").await;
    let waited = tokio::time::timeout(crate::harness::PATIENCE, async {
        let mut seen = String::new();
        while let Ok(Some(bytes)) = answer.chunk().await {
            seen.push_str(&String::from_utf8_lossy(&bytes));
            if seen.contains("\"held_by\":\"Earline Greenholt\"") && seen.contains("\"what\":\"/hold\"") {
                return true;
            }
        }
        false
    });
    assert!(waited.await.unwrap_or_default(), "the hold shows in the stream");
}

/// By region there is no incident that anything could be done about.
#[tokio::test]
async fn a_run_by_region_has_no_alert() {
    let stage = Stage::quick(&[SUGGEST]).await;
    let answer = stage.front.post("/rerun", &json!({"region": "prod-us-south"})).await;
    let run = stage.front.ended(answer.is(202).body["run_id"].as_str().expect("an id")).await;
    assert_eq!((&run["alert"], &run["note"], &run["activity"]), (&json!(null), &json!(null), &json!([])), "{run:#}");
}
