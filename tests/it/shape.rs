//! What a run looks like in the API: names, types, and its rules of what is null.

use serde_json::{Value, json};

use crate::harness::Stage;

/// `"?"` after a type: or null. A list's one element is the shape of each. What is no shape is the value itself.
fn check(path: &str, value: &Value, shape: &Value) {
    match shape {
        Value::Object(fields) => {
            let has: Vec<&String> = value.as_object().unwrap_or_else(|| panic!("{path}: {value}")).keys().collect();
            assert_eq!(has, fields.keys().collect::<Vec<_>>(), "the fields of {path}");
            fields.iter().for_each(|(name, shape)| check(&format!("{path}.{name}"), &value[name], shape));
        }
        Value::Array(shapes) => {
            let values = value.as_array().unwrap_or_else(|| panic!("{path}: {value}"));
            values.iter().for_each(|value| check(&format!("{path}[]"), value, &shapes[0]));
        }
        Value::String(kind) => {
            let holds = match kind.trim_end_matches('?') {
                _ if kind.ends_with('?') && value.is_null() => true,
                "text" => value.is_string(),
                "number" => value.is_i64(),
                "yes/no" => value.is_boolean(),
                "time" => value.as_str().is_some_and(|t| t.ends_with('Z') && t.parse::<jiff::Timestamp>().is_ok()),
                other => panic!("{other} is no kind"),
            };
            assert!(holds, "{path} is {value}, not {kind}");
        }
        other => assert_eq!(value, other, "{path}"),
    }
}

fn page() -> Value {
    json!({"id": "text", "title": "text", "html_url": "text"})
}

fn pod() -> Value {
    json!({"name": "text", "status": "text", "ready": "text", "restarts": "number"})
}

/// What it has beside the least: `reason`, `expected`, `unread`, `at`, `context`.
fn run_shape() -> Value {
    let magic_box = json!({"name": "text", "magic_box_id": "text", "node": "text", "backend_ip": "text",
        "frontend": "text", "se_status": "number", "upstream_status": "number"});
    let checks = json!({"finding": "text", "konicle": {"ready": "text?", "private_override": "text?"},
        "ingress": [pod()], "status": {"http_status": "number?", "pod": "text", "error": "text?"},
        "konicle_pods": [pod()], "registry_pages": [page()], "warnings": ["text"], "error": "text?",
        "at": "time", "context": "text?"});
    json!({
        "id": "text", "incident": {"id": "text", "number": "number", "title": "text", "html_url": "text"},
        "region": "text", "trigger": "text", "state": "text", "reason": "text?", "created_at": "time",
        "finished_at": "time?",
        "diagnosis": {"region": "text", "verdict": {"kind": "text", "rule": "text", "summary": "text"},
            "class": "text", "client_suspected": "yes/no", "client": null, "focus": ["text"],
            "zones": [{"cluster": "text", "broken_at": "text", "boxes": [magic_box], "checks": checks,
                "expected": "yes/no", "unread": "yes/no"}],
            "readings": [{"build_url": "text?", "at": "time", "boxes": "number", "warnings": ["text"]}],
            "other_regions": [{"region": "text", "boxes": "number", "whole": "number"}]},
        "related": [page()],
        "escalation": {"state": "text", "reason": "text?", "page": {"id": "text", "html_url": "text", "joined": "yes/no",
            "acknowledged_at": "time?", "acknowledged_by": "text?"}},
        "alert": {"state": "text", "resolved_at": "time?", "held_by": "text?", "merged_into": "text?"},
        "note": {"id": "text", "text": "text"},
        "activity": [{"at": "time", "what": "text", "who": "text?"}],
        "steps": [{"name": "text", "state": "text", "started_at": "time", "finished_at": "time?", "error": "text?"}],
    })
}

#[tokio::test]
async fn a_run_with_everything() {
    let stage = Stage::quick(&[]).await;
    let run = stage.diagnosed().await;
    check("run", &run, &run_shape());
    let diagnosis = &run["diagnosis"];
    assert_eq!(diagnosis["class"], "pCIE, probably a CIE");
    assert_eq!(diagnosis["focus"].as_array().map(Vec::len), Some(3));
    assert_eq!(diagnosis["readings"].as_array().map(Vec::len), Some(2), "one entry a (re-)run");
    assert_eq!(diagnosis["zones"][0]["checks"]["konicle"], json!({"ready": "true", "private_override": "true"}));
    assert_eq!(run["steps"][0]["name"], "confirm_alert");
}

#[tokio::test]
async fn a_listed_run_is_as_a_run_alone_but_for_its_steps_and_zones() {
    let stage = Stage::quick(&[]).await;
    let run = stage.diagnosed().await;
    // What was told of the page since is in both.
    let run = stage.front.run(run["id"].as_str().expect("an id")).await;
    let listed = stage.front.runs_of(&stage.world.alert).await.remove(0);
    for (name, value) in listed.as_object().expect("a run").iter().filter(|(n, _)| *n != "steps" && *n != "diagnosis") {
        assert_eq!(*value, run[name], "{name}");
    }
    assert_eq!(listed["diagnosis"]["verdict"], run["diagnosis"]["verdict"]);
}

#[tokio::test]
async fn a_run_before_its_diagnosis() {
    let stage = Stage::slow(&[]).await;
    stage.alert("incident.triggered").await.is(202);
    let id = stage.front.runs_of(&stage.world.alert).await[0]["id"].as_str().expect("an id").to_owned();
    let run = stage.front.run(&id).await;
    let mut shape = run_shape();
    for (name, value) in [
        ("diagnosis", Value::Null),
        ("note", Value::Null),
        ("finished_at", Value::Null),
        ("escalation", json!({"state": "text", "page": null, "reason": null})),
    ] {
        shape[name] = value;
    }
    check("run", &run, &shape);
    assert_eq!(run["escalation"]["state"], "none");
}

#[tokio::test]
async fn a_run_by_region_without_a_cluster_that_answers() {
    let stage = Stage::of("clusters-closed", &[("TRANSIENT_RERUNS", "0")]).await;
    let answer = stage.front.post("/rerun", &json!({"region": "prod-us-south"})).await;
    let run = stage.front.ended(answer.is(202).body["run_id"].as_str().expect("an id")).await;
    assert_eq!((&run["incident"], &run["note"], &run["related"]), (&Value::Null, &Value::Null, &json!([])));
    // No context, so nothing was read of it: what is not known is null or empty, and why is said.
    let checks = &run["diagnosis"]["zones"][1]["checks"];
    assert_eq!(
        (&checks["finding"], &checks["konicle"], &checks["status"]),
        (&json!("unknown"), &Value::Null, &Value::Null)
    );
    assert_eq!((&checks["ingress"], &checks["konicle_pods"]), (&json!([]), &json!([])));
    assert!(checks["error"].as_str().is_some_and(|e| e.contains("no context")), "{checks}");
}
