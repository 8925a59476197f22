use serde_json::json;

use super::*;
use crate::alert::Zone;
use crate::diagnosis::{Checks, Console, Finding, MagicBox, Reading};

fn at(text: &str) -> Timestamp {
    format!("2026-08-20T{text}Z").parse().unwrap()
}

fn region() -> Region {
    "prod-us-south".parse().unwrap()
}

fn own(time: &str, source: Source, kind: &str, text: &str) -> Entry {
    Entry { at: at(time), source, kind: kind.into(), text: text.into(), who: None, url: None }
}

fn record(entries: Vec<Entry>) -> Record {
    Record {
        alert: "Q2".into(),
        region: Some(region()),
        class: Some(Class::Pcie),
        summary: Summary::default(),
        entries,
    }
}

fn entry(id: &str, kind: &str, time: &str) -> LogEntry {
    LogEntry {
        id: id.into(),
        kind: format!("{kind}_log_entry"),
        at: at(time),
        summary: format!("{kind} by Ann"),
        who: Some("Ann".into()),
        url: Some(format!("https://pd.example/log_entries/{id}")),
    }
}

fn log(incident_id: &str, of: Of, entries: Vec<LogEntry>) -> Log {
    Log { incident_id: incident_id.into(), of, entries: Ok(entries), left_out: 0 }
}

fn texts(timeline: &Timeline) -> Vec<String> {
    timeline.entries.iter().map(|e| format!("{} {} {} {}", e.at.strftime("%S"), e.source, e.kind, e.text)).collect()
}

#[test]
fn entries_go_by_second_then_source_then_text_whatever_their_order_was() {
    let entries = vec![
        own("03:00:02.900", Source::Service, "verdict", "b"),
        own("03:00:02.100", Source::Service, "verdict", "c"),
        own("03:00:02.999", Source::Service, "held", "a"),
        own("03:00:02.500", Source::Cluster, "checks", "z"),
        own("03:00:01.999", Source::Slack, "notified", "z"),
        own("03:00:02.001", Source::Slack, "notified", "z"),
    ];
    let logs = [log("Q2", Of::Alert, vec![entry("R1", "trigger", "03:00:02.950")])];
    let expected = [
        "01 slack notified z",
        "02 cluster checks z",
        "02 pagerduty trigger trigger by Ann",
        "02 service held a",
        "02 service verdict b",
        "02 service verdict c",
        "02 slack notified z",
    ];
    let timeline = Timeline::of(record(entries.clone()), &logs);
    assert_eq!(texts(&timeline), expected);
    let backward = Timeline::of(record(entries.into_iter().rev().collect()), &logs);
    assert_eq!(serde_json::to_vec(&backward).unwrap(), serde_json::to_vec(&timeline).unwrap());
}

#[test]
fn what_has_a_log_entry_is_not_said_again_and_each_entry_once() {
    let all: Vec<Entry> = ["triggered", "acknowledged", "resolved", "reopened", "reassigned", "note", "page"]
        .iter()
        .chain(&OWN)
        .map(|kind| own("03:00:00", Source::Service, kind, kind))
        .collect();
    let shared = entry("R2", "merge", "03:00:05");
    let logs = [
        log("Q2", Of::Alert, vec![entry("R1", "trigger", "03:00:00"), shared.clone()]),
        log("Q1", Of::Merged, vec![shared, entry("R3", "resolve", "03:00:06")]),
        log("P1", Of::Page, vec![entry("R4", "trigger", "03:00:07")]),
    ];
    let timeline = Timeline::of(record(all), &logs);
    let mut kinds: Vec<&str> =
        timeline.entries.iter().filter(|e| e.source == Source::Service).map(|e| e.kind.as_str()).collect();
    let mut wanted = OWN.to_vec();
    kinds.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(kinds, wanted);
    let there: Vec<&str> =
        timeline.entries.iter().filter(|e| e.source == Source::Pagerduty).map(|e| e.kind.as_str()).collect();
    assert_eq!(there, ["trigger", "merge", "resolve", "trigger"]);
    assert!(timeline.complete && timeline.missing.is_empty());
}

#[test]
fn what_is_missing_is_said() {
    let mut part = log("P1", Of::Page, vec![]);
    part.left_out = 2;
    let away = Log { entries: Err("no answer in time".into()), ..log("Q2", Of::Alert, vec![]) };
    let known = record(vec![own("03:00:00", Source::Service, "verdict", "v")]);
    let timeline = Timeline::of(known, &[away, log("Q1", Of::Merged, vec![]), part]);
    assert!(!timeline.complete && timeline.entries.len() == 1);
    assert_eq!(
        timeline.missing,
        [
            "PagerDuty's log of Q2 (the alert): no answer in time",
            "2 entries of PagerDuty's log of P1 (the page): can't be read"
        ]
    );
    assert!(timeline.markdown().contains("**Not complete.** Missing:\n\n- PagerDuty's log of Q2"));
}

#[test]
fn the_summary_is_of_the_log_and_else_of_what_the_service_knows() {
    let known = Summary {
        triggered_at: Some(at("02:00:00.400")),
        noted_at: Some(at("03:01:00.400")),
        paged_at: Some(at("03:01:05.400")),
        acknowledged_at: Some(at("03:02:00.400")),
        resolved_at: Some(at("04:00:00.400")),
    };
    let of = |logs: &[Log]| Timeline::of(Record { summary: known.clone(), ..record(vec![]) }, logs).summary;
    let time = |text: &str| Some(at(text));
    let alone = of(&[]);
    assert_eq!((alone.triggered_at, alone.noted_at), (time("02:00:00"), time("03:01:00")));
    assert_eq!((alone.paged_at, alone.acknowledged_at), (time("03:01:05"), time("03:02:00")));
    assert_eq!(alone.resolved_at, time("04:00:00"));
    let alert = |more: &[(&str, &str)]| {
        let mut entries = vec![entry("R1", "trigger", "03:00:00"), entry("R2", "acknowledge", "03:00:30")];
        entries.extend(more.iter().enumerate().map(|(n, (kind, at))| entry(&format!("R3{n}"), kind, at)));
        log("Q2", Of::Alert, entries)
    };
    // Without a page the alert's acknowledgement counts.
    assert_eq!(of(&[alert(&[])]).acknowledged_at, time("03:00:30"));
    let page = log("P1", Of::Page, vec![entry("R5", "trigger", "03:01:05"), entry("R6", "acknowledge", "03:03:00")]);
    let merged = log("Q1", Of::Merged, vec![entry("R7", "trigger", "02:59:00"), entry("R8", "resolve", "03:30:00")]);
    let all = of(&[alert(&[("resolve", "05:00:00")]), merged.clone(), page]);
    assert_eq!((all.triggered_at, all.acknowledged_at), (time("02:59:00"), time("03:03:00")));
    assert_eq!(all.resolved_at, time("05:00:00"), "not the merged one's");
    // Opened again it is not resolved, until it is.
    assert_eq!(of(&[alert(&[("resolve", "05:00:00"), ("reopen", "05:10:00")])]).resolved_at, None);
    let twice = alert(&[("resolve", "05:00:00"), ("reopen", "05:10:00"), ("resolve", "06:00:00")]);
    assert_eq!(of(&[twice]).resolved_at, time("06:00:00"));
    let away = Log { entries: Err("away".into()), ..log("P1", Of::Page, vec![]) };
    assert_eq!(of(&[alert(&[]), away]).acknowledged_at, time("03:02:00"), "the page's, as far as it is known");
}

fn hostile() -> Timeline {
    let mut odd =
        own("03:00:01", Source::Service, "command", "=1+1, \"said\"\r\nsecond | line <b>*x*</b> [a](b) \u{202e}");
    odd.who = Some("@ann, Bob".into());
    odd.url = Some("https://x.example/a(b)|c".into());
    let mut more = own("03:00:02", Source::Service, "verdict", "-5");
    more.url = Some("javascript:alert(1)".into());
    Timeline::of(record(vec![odd, more, own("03:00:03", Source::Slack, "notified", "+1 plain")]), &[])
}

#[test]
fn csv_is_rfc_4180_and_no_value_is_a_formula() {
    assert_eq!(
        hostile().csv(),
        "at,source,kind,text,who,url\r\n\
         2026-08-20T03:00:01Z,service,command,\"'=1+1, \"\"said\"\"\r\nsecond | line <b>*x*</b> [a](b) \u{202e}\",\
         \"'@ann, Bob\",https://x.example/a(b)|c\r\n\
         2026-08-20T03:00:02Z,service,verdict,'-5,,javascript:alert(1)\r\n\
         2026-08-20T03:00:03Z,slack,notified,'+1 plain,,\r\n"
    );
}

#[test]
fn markdown_keeps_what_strangers_wrote_as_text() {
    insta::assert_snapshot!(hostile().markdown(), @r#"
    # All SE endpoints down in prod-us-south: timeline of Q2

    - Class: pCIE
    - Triggered: -
    - First diagnosis note: -
    - Service Endpoint team paged: -
    - Acknowledged: -
    - Resolved: -

    | time (UTC) | source | kind | what | who |
    |---|---|---|---|---|
    | 2026-08-20 03:00:01 | service | command | [=1+1, "said" second \| line &lt;b&gt;\*x\*&lt;/b&gt; \[a\](b)](https://x.example/a%28b%29%7Cc) | @ann, Bob |
    | 2026-08-20 03:00:02 | service | verdict | -5 |  |
    | 2026-08-20 03:00:03 | slack | notified | +1 plain |  |
    "#);
}

#[test]
fn the_api_has_the_contracts_members_in_whole_seconds() {
    let logs = [log("Q2", Of::Alert, vec![entry("R1", "trigger", "03:00:00.700")])];
    let shown = serde_json::to_value(Timeline::of(Record { class: None, ..record(vec![]) }, &logs)).unwrap();
    assert_eq!(
        shown,
        json!({
            "alert": "Q2", "region": "prod-us-south", "class": null, "complete": true, "missing": [],
            "summary": {
                "triggered_at": "2026-08-20T03:00:00Z", "noted_at": null, "paged_at": null, "acknowledged_at": null,
                "resolved_at": null,
            },
            "entries": [{
                "at": "2026-08-20T03:00:00Z", "source": "pagerduty", "kind": "trigger", "text": "trigger by Ann",
                "who": "Ann", "url": "https://pd.example/log_entries/R1",
            }],
        })
    );
}

#[test]
fn what_was_read_is_said_in_words() {
    let one = |name: &str, se_status, upstream_status| MagicBox {
        name: name.into(),
        magic_box_id: "vm".into(),
        node: "Ready".into(),
        backend_ip: "10.0.0.1".into(),
        frontend: "166.9.12.114/23".into(),
        se_status,
        upstream_status,
    };
    let boxes = vec![
        one("registry-prod-us-south-az1-1", 0, 1),
        one("registry-prod-us-south-az2-1", 0, 1),
        one("registry-prod-us-south-az3-1", 1, -1),
        one("registry-prod-eu-de-az1-1", 1, 1),
    ];
    let console = Console { boxes, unreadable: vec![], warnings: vec!["odd".into()] };
    let url = Some("https://jenkins.example/job/x/17/".to_owned());
    let read = Reading { build_url: url.clone(), at: at("03:00:10.5"), console, warnings: vec![], set_aside: vec![] };
    let entry = seen::reading(Some(&region()), &[], &read);
    assert_eq!(
        entry.text,
        "Build 17: 3 Magic Boxes of prod-us-south: 2 with SE=0 upstream=1, 1 with SE=1 upstream=-1; 1 warning"
    );
    assert_eq!((entry.source, entry.kind.as_str(), entry.url), (Source::Jenkins, "reading", url));
    let none = Reading { build_url: None, console: Console::default(), warnings: vec![], ..read };
    assert_eq!(seen::reading(Some(&region()), &[], &none).text, "Reading: no Magic Box of prod-us-south could be read");

    let checks = |finding, time: &str| Checks {
        finding,
        konicle: None,
        ingress: vec![],
        status: None,
        konicle_pods: vec![],
        registry_pages: vec![],
        warnings: vec![],
        error: None,
        at: at(time),
        context: None,
    };
    let zones = [
        (Zone::new("registry-prod-us-south-az1"), checks(Finding::Healthy, "03:00:04")),
        (Zone::new("registry-prod-us-south-az2"), checks(Finding::Unknown, "03:00:06")),
    ];
    let entry = seen::checks(&zones).unwrap();
    assert_eq!(
        entry.text,
        "registry-prod-us-south-az1: status check 200 OK, healthy; registry-prod-us-south-az2: this service could not check the cluster"
    );
    assert_eq!((entry.at, entry.source), (at("03:00:06"), Source::Cluster));
    assert_eq!(seen::checks(&[]), None);
}
