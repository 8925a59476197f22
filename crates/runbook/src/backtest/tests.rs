use std::cell::Cell;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::replay::{Isolated, Pages, Rules, Told, decide, isolated};
use super::report::{Line, Report, ShortVerdict, earns_auto, minutes_between};
use super::*;
use crate::alert::{Region, Zone};
use crate::decided;
use crate::diagnosis::verdict::diagnose;
use crate::diagnosis::{Console, Diagnosis, Earlier, Evidence, MagicBox, Reading};
use crate::gate::EscalationMode;
use crate::suppression;

const SUPPRESSION: suppression::Settings = suppression::Settings {
    recheck: Duration::from_secs(30),
    settle: Duration::from_secs(120),
    max: Duration::from_secs(900),
};

const RULES: Rules = Rules {
    suppression: SUPPRESSION,
    max_per_hour: 2,
    evidence_max_age: Duration::from_secs(600),
    alert_max_age: Duration::from_secs(6 * 3600),
};

fn at(seconds: i64) -> Timestamp {
    "2026-03-04T11:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn region() -> Region {
    "prod-us-south".parse().unwrap()
}

fn alert(ended: Option<i64>) -> Alert {
    Alert {
        incident_id: "Q1".into(),
        title: "All SE endpoints down in prod-us-south".into(),
        region: region(),
        at: at(0),
        ended_at: ended.map(at),
    }
}

/// Readings of all zones, each with these statuses.
fn diagnosis(readings: &[(i64, u8, i8)]) -> Diagnosis {
    let zones: Vec<Zone> = region().default_zones();
    let one = |zone: &Zone, se_status, upstream_status| MagicBox {
        name: format!("{zone}-1"),
        magic_box_id: format!("vm-{zone}"),
        node: "Ready".into(),
        backend_ip: "10.0.0.1".into(),
        frontend: "166.9.0.1/23".into(),
        se_status,
        upstream_status,
    };
    let readings: Vec<Reading> = readings
        .iter()
        .map(|(seconds, se, upstream)| Reading {
            build_url: None,
            at: at(*seconds),
            console: Console { boxes: zones.iter().map(|z| one(z, *se, *upstream)).collect(), ..Console::default() },
            warnings: Vec::new(),
            set_aside: Vec::new(),
        })
        .collect();
    diagnose(&Evidence {
        region: &region(),
        expected: &zones,
        readings: &readings,
        checks: &[],
        earlier: &Earlier::default(),
        listed: &[],
    })
}

fn told<'a>(diagnosis: &'a Diagnosis, seconds: i64, related: &'a [String]) -> Told<'a> {
    Told { diagnosis, at: at(seconds), related, page_open: false, region_listed: true, record: None }
}

/// contract: "Right: …", "Wrong page: …", "Missed page: …", "counted apart".
#[test]
fn each_outcome_is_judged_by_the_truth() {
    use {Judgement as J, Outcome as O, Truth as T};
    for (outcome, judged) in [
        (O::WouldPage, [J::Right, J::WrongPage, J::WrongPage, J::WrongPage, J::Unknown]),
        (O::Held, [J::MissedPage, J::Right, J::Right, J::Right, J::Unknown]),
        (O::NoPage, [J::MissedPage, J::Right, J::Right, J::Right, J::Unknown]),
        (O::NoEvidence, [J::Unknown; 5]),
    ] {
        let truths = [T::ServiceEndpoint, T::Registry, T::Client, T::Nothing, T::Unknown];
        assert_eq!(truths.map(|truth| judge(outcome, outcome != O::NoEvidence, truth)), judged, "{outcome}");
        // What was suppressed to its end, and nothing is known of, is counted apart.
        assert_eq!(truths.map(|truth| judge(outcome, false, truth)), [J::Unknown; 5], "{outcome}");
    }
    assert_eq!(O::WORDS, ["would-page", "held", "no-page", "no-evidence"]);
    assert_eq!(T::WORDS, ["service-endpoint", "registry", "client", "none", "unknown"]);
    assert_eq!(J::WORDS, ["right", "wrong-page", "missed-page", "unknown"]);
}

#[test]
fn an_alert_waits_for_a_bigger_outage_as_a_run_does() {
    let open = |from: i64, to: i64| move |now: Timestamp| at(from) <= now && now < at(to);
    let is =
        |alert: &Alert, explained: &dyn Fn(Timestamp) -> bool| isolated(alert, explained, &SUPPRESSION, at(86_400));
    assert_eq!(is(&alert(Some(3600)), &open(0, 0)), Isolated::From(at(0)));
    // What opens later is found before the note, not here.
    assert_eq!(is(&alert(Some(3600)), &open(10, 600)), Isolated::From(at(0)));
    // Closed at 300, settled two minutes later.
    assert_eq!(is(&alert(Some(3600)), &open(-60, 300)), Isolated::From(at(420)));
    assert_eq!(is(&alert(None), &open(-60, 300)), Isolated::From(at(420)));
    // Never closed: diagnosed anyway after SUPPRESSION_MAX.
    assert_eq!(is(&alert(Some(3600)), &open(-60, 7200)), Isolated::From(at(900)));
    // It resolved while it waited.
    assert_eq!(is(&alert(Some(400)), &open(-60, 300)), Isolated::Never);
    assert_eq!(is(&alert(Some(600)), &open(-60, 7200)), Isolated::Never);
    // Still open, and still waiting at the end of what is looked at.
    assert_eq!(isolated(&alert(None), open(-60, 7200), &SUPPRESSION, at(300)), Isolated::Never);
    // A recheck of no length makes no endless walk.
    let asked = Cell::new(0);
    let restless = suppression::Settings { recheck: Duration::ZERO, ..SUPPRESSION };
    let explained = |_| {
        asked.set(asked.get() + 1);
        true
    };
    assert_eq!(isolated(&alert(None), explained, &restless, at(86_400)), Isolated::From(at(900)));
    assert!(asked.get() <= 901);
}

#[test]
fn the_gate_decides_as_auto_would_have() {
    let persists = diagnosis(&[(60, 0, 1), (180, 0, 1)]);
    let (outcome, reason) = decide(&alert(None), &told(&persists, 180, &[]), &RULES, &mut Pages::default());
    assert_eq!((outcome, reason), (Outcome::WouldPage, persists.verdict.summary.clone()));

    let open = ["All Public endpoints down in prod-us-south".to_owned()];
    let held = |told: &Told<'_>, alert: &Alert| {
        let (outcome, reason) = decide(alert, told, &RULES, &mut Pages::default());
        assert_eq!(outcome, Outcome::Held, "{reason}");
        reason
    };
    assert!(held(&told(&persists, 180, &open), &alert(None)).contains("All Public endpoints down"));
    assert!(held(&told(&persists, 800, &[]), &alert(None)).contains("EVIDENCE_MAX_AGE"));
    let unlisted = Told { region_listed: false, ..told(&persists, 180, &[]) };
    assert!(held(&unlisted, &alert(None)).contains("the regions file does not list prod-us-south"));
    let titled = Alert { title: "All SE endpoints down in prod-us-south - bridge 1".into(), ..alert(None) };
    assert!(held(&told(&persists, 180, &[]), &titled).contains("bridge 1"));

    for other in [diagnosis(&[(60, 1, 1)]), diagnosis(&[(60, 0, 1)]), diagnosis(&[(60, 0, 1), (180, 1, 1)])] {
        let (outcome, reason) = decide(&alert(None), &told(&other, 180, &open), &RULES, &mut Pages::default());
        assert_eq!((outcome, reason), (Outcome::NoPage, other.verdict.summary.clone()));
    }
}

/// contract: "as far as the record has what the gate asks".
#[test]
fn what_the_gate_was_told_then_counts_where_the_record_has_it() {
    let persists = diagnosis(&[(60, 0, 1), (180, 0, 1)]);
    let record = decided::Told {
        diagnosis: persists.clone(),
        mode: EscalationMode::Suggest,
        drill: false,
        has_incident: true,
        title: None,
        said_resolved: false,
        foreign_run: false,
        unreadable: false,
        held_by: None,
        related: Ok(Vec::new()),
        related_at: None,
        region_listed: true,
        pages_this_hour: 99,
        may_join: false,
        max_per_hour: 0,
        evidence_max_age: Duration::ZERO,
        alert_triggered_at: None,
        alert_max_age: Duration::ZERO,
        now: at(180),
    };
    let replayed = |record: &decided::Told| {
        let told = Told { record: Some(record), ..told(&persists, 180, &[]) };
        decide(&alert(None), &told, &RULES, &mut Pages::default())
    };
    assert_eq!(replayed(&record).0, Outcome::WouldPage, "settings, hour and related pages are the replay's own");
    for (record, reason) in [
        (decided::Told { held_by: Some("Earline".into()), ..record.clone() }, "Earline said /hold"),
        (decided::Told { foreign_run: true, ..record.clone() }, "not in this database"),
        (decided::Told { said_resolved: true, ..record.clone() }, "says that the alert is resolved"),
        (decided::Told { unreadable: true, ..record.clone() }, "can't be read"),
    ] {
        let (outcome, why) = replayed(&record);
        assert!(outcome == Outcome::Held && why.contains(reason), "{reason}: {why}");
    }
}

/// contract: "the hour's pages over the replayed ones".
#[test]
fn pages_of_the_hour_are_those_that_the_replay_opened() {
    let persists = diagnosis(&[(60, 0, 1), (180, 0, 1)]);
    let mut pages = Pages::default();
    let mut page = |region: &str, seconds: i64, ended: i64| {
        let alert = Alert {
            title: format!("All SE endpoints down in {region}"),
            region: region.parse().unwrap(),
            at: at(seconds - 180),
            ..alert(Some(ended))
        };
        let region: Region = region.parse().unwrap();
        let diagnosis = Diagnosis { region, readings: Vec::new(), ..persists.clone() };
        decide(&alert, &told(&diagnosis, seconds, &[]), &RULES, &mut pages)
    };
    assert_eq!(page("prod-us-south", 0, 600).0, Outcome::WouldPage);
    // The same region again: it joins, whatever the hour has.
    let (outcome, reason) = page("prod-us-south", 300, 600);
    assert!(outcome == Outcome::WouldPage && reason.ends_with("It joins the page that is open."), "{reason}");
    assert_eq!(page("prod-eu-de", 400, 900).0, Outcome::WouldPage);
    let (outcome, reason) = page("prod-jp-tok", 500, 900);
    assert!(outcome == Outcome::Held && reason.contains("ESCALATION_MAX_PER_HOUR"), "{reason}");
    assert_eq!(page("prod-jp-tok", 3600, 9000).0, Outcome::WouldPage, "an hour after the first");
}

fn report(judged: &[(Outcome, Truth)], age_days: i64) -> Report {
    let line = |(outcome, truth): &(Outcome, Truth)| Line {
        incident_id: "Q1".into(),
        at: at(0),
        region: region(),
        verdict: (*outcome != Outcome::NoEvidence).then(|| {
            let verdict = diagnosis(&[(60, 0, 1), (180, 0, 1)]).verdict;
            ShortVerdict { kind: verdict.kind, rule: verdict.rule }
        }),
        outcome: *outcome,
        reason: "why".into(),
        truth: *truth,
        judgement: judge(*outcome, *outcome != Outcome::NoEvidence, *truth),
    };
    let now = at(-age_days * 86_400);
    Report::of(now, (at(-86_400), at(86_400)), judged.iter().map(line).collect(), [12, -3])
}

#[test]
fn minutes_are_rounded_toward_zero() {
    for (seconds, minutes) in [(0, 0), (59, 0), (60, 1), (119, 1), (-59, 0), (-60, -1), (-119, -1), (3600, 60)] {
        assert_eq!(minutes_between(at(0), at(seconds)), minutes, "{seconds}");
    }
}

#[test]
fn the_report_is_a_line_an_alert_and_sums() {
    let all = [
        (Outcome::WouldPage, Truth::ServiceEndpoint),
        (Outcome::Held, Truth::ServiceEndpoint),
        (Outcome::WouldPage, Truth::Registry),
        (Outcome::NoEvidence, Truth::Nothing),
    ];
    let report = report(&all, 0);
    insta::assert_snapshot!(report.text(&["Taken as open: cluster checks.".to_owned()]), @r"
    2026-03-04T11:00:00Z  prod-us-south  service_endpoint (all-se-rejecting-upstream-up)  would-page: why  truth: service-endpoint  right
    2026-03-04T11:00:00Z  prod-us-south  service_endpoint (all-se-rejecting-upstream-up)  held: why  truth: service-endpoint  missed-page
    2026-03-04T11:00:00Z  prod-us-south  service_endpoint (all-se-rejecting-upstream-up)  would-page: why  truth: registry  wrong-page
    2026-03-04T11:00:00Z  prod-us-south  no verdict  no-evidence: why  truth: none  unknown

    Alerts from 2026-03-03T11:00:00Z to 2026-03-05T11:00:00Z: 4
      right         1
      wrong pages   1
      missed pages  1
      unknown       1
    minutes_earlier: 9, over the right pages that a person opened too: from the last reading to the person's page
    Taken as open: cluster checks.
    ");
    insta::assert_snapshot!(serde_json::to_string(&report.alerts[3]).unwrap(), @r#"{"incident_id":"Q1","at":"2026-03-04T11:00:00Z","region":"prod-us-south","verdict":null,"outcome":"no-evidence","reason":"why","truth":"none","judgement":"unknown"}"#);
    insta::assert_snapshot!(serde_json::to_string(&report.sums).unwrap(), @r#"{"alerts":4,"right":1,"wrong_pages":1,"missed_pages":1,"unknown":1,"minutes_earlier":9}"#);
}

/// contract: "its `at` no more than 180 days ago, with at least ten alerts and no wrong page".
#[test]
fn auto_is_earned_by_a_report_that_is_young_large_and_without_a_wrong_page() {
    let right = [(Outcome::WouldPage, Truth::ServiceEndpoint); 10];
    let earns = |report: &Report| earns_auto(serde_json::to_string(report).unwrap().as_bytes(), at(0));
    assert_eq!(earns(&report(&right, 0)), Ok(()));
    assert_eq!(earns(&report(&right, 180)), Ok(()));
    assert_eq!(earns(&report(&[(Outcome::NoEvidence, Truth::Unknown); 10], 0)), Ok(()));
    let not = |report: &Report| earns(report).unwrap_err();
    assert!(not(&report(&right, 181)).contains("181 days old"));
    assert!(not(&report(&right, -2)).contains("has not come yet"));
    assert_eq!(not(&report(&right[..9], 0)), "it is over 9 alerts, at least ten are needed");
    let mut wrong = right.to_vec();
    wrong.push((Outcome::WouldPage, Truth::Client));
    assert_eq!(not(&report(&wrong, 0)), "it has a wrong page");
    wrong.push((Outcome::WouldPage, Truth::Nothing));
    assert_eq!(not(&report(&wrong, 0)), "it has 2 wrong pages");
    // Sums that were written by hand convince nobody.
    let mut dressed_up = report(&wrong, 0);
    dressed_up.sums.wrong_pages = 0;
    assert_eq!(not(&dressed_up), "it has 2 wrong pages");
    for other in ["", "{}", "[]", "not json", "{\"at\":\"yesterday\",\"alerts\":[],\"sums\":{\"wrong_pages\":0}}"] {
        assert!(earns_auto(other.as_bytes(), at(0)).unwrap_err().contains("backtest --json"), "{other}");
    }
}
