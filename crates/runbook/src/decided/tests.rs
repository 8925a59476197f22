//! A decision that is kept is read back as it was, and decided once more comes to the same; a rule that has changed is seen.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::diagnosis::{Console, MagicBox};
use crate::gate::Decision;
use crate::life::{Active, FollowUp, Why};
use crate::plan::run::{AlertNow, Isolated};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).expect("a time")
}

fn region() -> Region {
    "prod-us-south".parse().expect("a region")
}

/// As it is stored and read back.
fn kept(decided: &Decided) -> Decided {
    let text = serde_json::to_string(decided).expect("text");
    let read = serde_json::from_str(&text).expect("a decision");
    assert_eq!(*decided, read);
    read
}

/// The same, where something else was decided by the same facts.
fn otherwise(decided: &Decided, change: impl FnOnce(&mut Value)) -> Otherwise {
    let mut value = serde_json::to_value(decided).expect("a value");
    change(&mut value);
    let changed: Decided = serde_json::from_value(value).expect("a decision");
    changed.again().expect_err("another decision")
}

fn alert() -> Alert {
    Alert::new("A1".into(), "Q1", region(), Some(at(0)))
}

fn reading(se: u8, upstream: i8) -> Reading {
    let boxes = (1..=3)
        .map(|n| MagicBox {
            name: format!("registry-prod-us-south-az{n}-1"),
            magic_box_id: format!("box-{n}"),
            node: "Ready".into(),
            backend_ip: "10.0.0.1".into(),
            frontend: "166.9.0.1/23".into(),
            se_status: se,
            upstream_status: upstream,
        })
        .collect();
    let console = Console { boxes, ..Console::default() };
    Reading { build_url: None, at: at(60), console, warnings: Vec::new(), set_aside: Vec::new() }
}

fn evidence(readings: &[Reading]) -> (OwnedEvidence, Diagnosis) {
    let evidence = OwnedEvidence {
        region: region(),
        expected: region().default_zones(),
        readings: readings.to_vec(),
        checks: Vec::new(),
        earlier: Earlier { readings: readings.to_vec(), ..Earlier::default() },
        listed: vec![(Zone::new("registry-prod-us-south-az1"), region())],
    };
    let diagnosis = diagnose(&evidence.evidence());
    (evidence, diagnosis)
}

#[test]
fn whether_a_run_begins_is_decided_once_more() {
    let runs = Runs { active: Some(Active { run_id: "r1".into(), is_suppressed: true }), last: None };
    for (trigger, reply) in [
        (Trigger::Webhook, Reply::Ignored(Why::Active("r1".into()))),
        (Trigger::Rerun, Reply::SuppressionSkipped("r1".into())),
    ] {
        let asked = Asked { run_id: "r2", trigger, reopened: false, at: Some(at(1)) };
        let decided = Decided::begin(Some(alert()), &runs, asked, &reply);
        assert_eq!(kept(&decided).again(), Ok(()));
        let other = otherwise(&decided, |value| value["reply"] = json!({"started": "r2"}));
        assert!(other.was.contains("begins") && !other.is.contains("begins"), "{other}");
    }
}

#[test]
fn each_rung_is_decided_once_more() {
    let mut standing = Standing::new(true);
    for (alert, isolated) in [
        (AlertNow::Unasked, Isolated::Unasked),
        (AlertNow::Open, Isolated::Unasked),
        (AlertNow::Open, Isolated::No),
        (AlertNow::Open, Isolated::Yes),
        (AlertNow::Elsewhere, Isolated::Yes),
    ] {
        (standing.alert, standing.isolated) = (alert, isolated);
        let decided = Decided::Rung { standing, rung: rung(&standing) };
        assert_eq!(kept(&decided).again(), Ok(()), "{decided:?}");
        let other = otherwise(&decided, |value| value["rung"] = json!({"Ended": "GivenUp"}));
        assert_eq!(other.was, "end: the note could not be written");
    }
}

#[test]
fn whether_a_run_waits_is_decided_once_more() {
    let settings = suppression::Settings {
        recheck: Duration::from_secs(30),
        settle: Duration::from_secs(120),
        max: Duration::from_secs(900),
    };
    let was = Suppression { since: Some(at(0)), closed_since: None, go_on: false };
    for (open, now) in [(Some(true), at(10)), (Some(false), at(10)), (None, at(10)), (Some(true), at(900))] {
        let next = suppression::next(was, open, now, &settings);
        let decided = Decided::Suppression { was, open, now, settings, next };
        assert_eq!(kept(&decided).again(), Ok(()), "{decided:?}");
        let other = match next {
            suppression::Next::GoOn => {
                json!({"Park": {"since": at(0), "closed_since": null, "wait": {"secs": 1, "nanos": 0}}})
            }
            suppression::Next::Park { .. } => json!("GoOn"),
        };
        otherwise(&decided, |value| value["next"] = other);
    }
}

#[test]
fn the_key_of_a_link_is_not_kept() {
    let alert = alert();
    let known = plan::Known {
        alert: &alert,
        newest: None,
        is_active: false,
        page: None,
        pages: &[],
        answered: &[],
        related_changed_at: None,
        run_url: "https://here/runs/r1?key=secret",
    };
    let policy = Policy {
        ack_wait: Duration::ZERO,
        recheck: Duration::ZERO,
        settle: Duration::ZERO,
        command_users: Vec::new(),
        jitter: 0.0,
    };
    let (mut after, now) = (Beside::default(), Moment { ours: at(0), theirs: None });
    let next = plan::advance(&mut after, &known, &Answers::default(), &policy, now);
    let decided = Decided::plan(Beside::default(), &known, &Answers::default(), (&policy, now), &after, &next);
    let text = serde_json::to_string(&decided).expect("text");
    assert!(text.contains("https://here/runs/r1") && !text.contains("secret"), "{text}");
}

#[test]
fn a_verdict_is_found_once_more_in_what_was_read() {
    let readings = [reading(0, 1), reading(0, 1), reading(0, 1)];
    let (evidence, diagnosis) = evidence(&readings);
    assert_eq!(diagnosis.verdict.kind, VerdictKind::ServiceEndpoint);
    let decided = Decided::verdict(&evidence.evidence(), &diagnosis);
    assert_eq!(kept(&decided).again(), Ok(()));
    assert!(decided.said().starts_with("service_endpoint (all-se-rejecting-upstream-up)"), "{}", decided.said());
    for (member, word) in [("kind", "registry"), ("rule", "mixed-status"), ("class", "pCIE")] {
        otherwise(&decided, |value| value["found"][member] = json!(word));
    }
    otherwise(&decided, |value| value["found"]["focus"] = json!([]));
    otherwise(&decided, |value| value["found"]["client_suspected"] = json!(true));
    let other = otherwise(&decided, |value| value["evidence"]["readings"] = json!([]));
    assert!(other.is.contains("no-reading"), "{other}");
}

#[test]
fn what_the_gate_was_told_is_decided_once_more() {
    let (_, diagnosis) = evidence(&[reading(0, 1), reading(0, 1)]);
    let related = ["All Public endpoints down in prod-us-south".to_owned()];
    let mut known = gate::Known {
        diagnosis: &diagnosis,
        mode: EscalationMode::Auto,
        drill: false,
        has_incident: true,
        title: Some("All SE endpoints down in prod-us-south"),
        said_resolved: false,
        foreign_run: false,
        unreadable: false,
        held_by: None,
        related: Ok(&[]),
        related_at: Some(at(61)),
        region_listed: true,
        pages_this_hour: 0,
        may_join: false,
        max_per_hour: 6,
        evidence_max_age: Duration::from_secs(600),
        alert_triggered_at: Some(at(0)),
        alert_max_age: Duration::from_secs(21_600),
        now: at(62),
    };
    let page = Decided::gate(&known, &gate::decide(&known));
    assert_eq!((kept(&page).again(), page.said().as_str()), (Ok(()), "page"));
    known.related = Ok(&related);
    known.held_by = Some("Jane");
    let held = Decided::gate(&known, &gate::decide(&known));
    assert_eq!(kept(&held).again(), Ok(()));
    // What a reason says is no decision; that there is one more is.
    let mut reworded = held.clone();
    if let Decided::Gate { decision: Decision::Hold(reasons), .. } = &mut reworded {
        reasons.iter_mut().for_each(|reason| *reason = "in other words".into());
    }
    assert_eq!(reworded.again(), Ok(()));
    if let Decided::Gate { decision: Decision::Hold(reasons), .. } = &mut reworded {
        reasons.pop();
    }
    assert!(reworded.again().is_err_and(|other| other.is.contains("Jane")));
    known.related = Err("PagerDuty did not answer");
    for (known, other) in [(&known, "Page"), (&known, "NotWanted")] {
        let decided = Decided::gate(known, &gate::decide(known));
        assert_eq!(kept(&decided).again(), Ok(()));
        otherwise(&decided, |value| value["decision"] = json!(other));
    }
}

#[test]
fn a_turn_of_the_plan_is_taken_once_more() {
    let due = at(600);
    let before = Beside { follow_up: Some(FollowUp { run_id: "r1".into(), due }), ..Beside::default() };
    let alert = alert();
    let newest = Newest { run_id: "r1".into(), is_active: false };
    let policy = Policy {
        ack_wait: Duration::from_secs(600),
        recheck: Duration::from_secs(30),
        settle: Duration::from_secs(120),
        command_users: Vec::new(),
        jitter: 0.25,
    };
    let known = plan::Known {
        alert: &alert,
        newest: Some(&newest),
        is_active: false,
        page: None,
        pages: &[],
        answered: &[],
        related_changed_at: None,
        run_url: "http://here/runs/r1",
    };
    let answers = Answers::default();
    for now in [at(0), due] {
        let (mut after, now) = (before.clone(), Moment { ours: now, theirs: None });
        let next = plan::advance(&mut after, &known, &answers, &policy, now);
        let decided = Decided::plan(before.clone(), &known, &answers, (&policy, now), &after, &next);
        assert_eq!(kept(&decided).again(), Ok(()), "{decided:?}");
        otherwise(&decided, |value| value["actions"] = json!(["say:something"]));
        otherwise(&decided, |value| value["wake_at"] = json!(at(1)));
        let other = otherwise(&decided, |value| value["after"]["follow_up"] = json!({"run_id": "r9", "due": due}));
        assert!(other.was.contains("r9"), "{other}");
    }
}
