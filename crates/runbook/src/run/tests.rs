use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

/// Every time of a value, by where it stands.
fn times(value: &Value, place: &str, found: &mut BTreeMap<String, Timestamp>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, v)| times(v, &format!("{place}.{name}"), found)),
        Value::Array(all) => all.iter().enumerate().for_each(|(n, v)| times(v, &format!("{place}.{n}"), found)),
        Value::String(text) => found.extend(text.parse().ok().map(|at| (place.to_owned(), at))),
        _ => {}
    }
}

fn times_of(run: &Run) -> BTreeMap<String, Timestamp> {
    let mut found = BTreeMap::new();
    times(&serde_json::to_value(run).unwrap(), "run", &mut found);
    found
}

#[test]
fn all_times_are_shown_by_peoples_clocks() {
    let mut run: Run = serde_json::from_str(include_str!("../../../../src/http/example_run.json")).unwrap();
    let at: Timestamp = "2026-11-26T02:55:00Z".parse().unwrap();
    (run.diagnosed_at, run.unchanged) = (Some(at), Some(Unchanged { run_id: "r1".into(), at }));
    run.escalation.page = Some(PageRef {
        id: "QPAGE".into(),
        html_url: "https://example.pagerduty.com/incidents/QPAGE".into(),
        joined: false,
        acknowledged_at: Some(at),
        acknowledged_by: Some("Earline Greenholt".into()),
        closed_at: Some(at),
    });
    let hour = SignedDuration::from_hours(1);
    let earlier = run.clone().earlier(hour);
    let before = times_of(&run);
    assert!(before.contains_key("run.escalation.page.acknowledged_at") && before.len() > 8, "{before:#?}");
    assert_eq!(times_of(&earlier), before.into_iter().map(|(place, at)| (place, at - hour)).collect());
    // These the API does not show.
    assert_eq!(earlier.escalation.page.as_ref().unwrap().closed_at, Some(at - hour));
    assert_eq!((earlier.diagnosed_at, earlier.unchanged.unwrap().at), (Some(at - hour), at - hour));
    assert_eq!(run.clone().earlier(SignedDuration::ZERO), run);
}

/// What an older version kept of a merged alert's title is no longer gone by.
#[test]
fn facts_of_an_older_version_are_read() {
    let facts: Facts = serde_json::from_str(r#"{"title_before_merge":"Registry is slow","explaining":1}"#).unwrap();
    assert_eq!(facts, Facts { explaining: 1, ..Facts::default() });
    let alert = AlertIncident { id: "Q1".into(), number: 1, title: "as it is now".into(), html_url: String::new() };
    assert_eq!(facts.alert_title(Some(&alert)), Some("as it is now"));
}
