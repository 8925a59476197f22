use proptest::prelude::*;

use super::*;
use crate::run::Trigger;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn alert(id: &str) -> Alert {
    Alert::new(id.into(), id, "prod-us-south".parse().unwrap(), Some(at(100)))
}

prop_compose! {
    fn any_alert(id: &'static str)(
        triggered in proptest::option::of(0..9_i64),
        resolved in proptest::option::of(0..9_i64),
        held in proptest::option::of("[ab]"),
        follow_ups in 0..4_u32,
    ) -> Alert {
        Alert {
            triggered_at: triggered.map(at),
            resolved_at: resolved.map(at),
            held_by: held,
            follow_ups,
            ..alert(id)
        }
    }
}

proptest! {
    /// lifecycle.md#a-run-begins: the incident merged into is the alert from now on.
    #[test]
    fn what_was_said_of_either_holds_after_a_merge(one in any_alert("QA"), other in any_alert("QB")) {
        let mut merged = one.clone();
        merged.merge(&other);
        prop_assert_eq!((&merged.id, &merged.incident_id, merged.resolved_at), (&one.id, &one.incident_id, one.resolved_at));
        prop_assert_eq!(merged.triggered_at, one.triggered_at.max(other.triggered_at));
        prop_assert_eq!(merged.follow_ups, one.follow_ups.max(other.follow_ups));
        prop_assert_eq!(merged.held_by.is_some(), one.held_by.is_some() || other.held_by.is_some());
        prop_assert!(one.held_by.is_none() || merged.held_by == one.held_by, "who said it first");
        let mut again = merged.clone();
        again.merge(&other);
        prop_assert_eq!(again, merged);
    }

    #[test]
    fn in_whichever_order_three_are_merged_they_come_to_the_same(
        one in any_alert("QA"), second in any_alert("QB"), third in any_alert("QC"),
    ) {
        let merged = |mut into: Alert, others: [&Alert; 2]| {
            others.iter().for_each(|other| into.merge(other));
            Alert { held_by: into.held_by.map(|_| String::new()), ..into }
        };
        prop_assert_eq!(merged(one.clone(), [&second, &third]), merged(one, [&third, &second]));
    }

    #[test]
    fn what_is_split_off_is_open_and_held_by_nobody(merged in any_alert("QB")) {
        let own = merged.split("new".into(), "QA");
        prop_assert_eq!((own.id.as_str(), own.incident_id.as_str()), ("new", "QA"));
        prop_assert_eq!((own.resolved_at, own.held_by, own.follow_ups), (None, None, 0));
        prop_assert_eq!((own.region, own.triggered_at), (merged.region, merged.triggered_at));
    }

    /// lifecycle.md#commands: `/hold` holds automatic pages until the alert is reopened.
    #[test]
    fn reopened_its_life_begins_again(mut alert in any_alert("QA"), opened in proptest::option::of(0..9_i64)) {
        let before = alert.triggered_at;
        alert.reopen(opened.map(at));
        prop_assert_eq!((alert.resolved_at, alert.held_by, alert.follow_ups), (None, None, 0));
        prop_assert_eq!(alert.triggered_at, opened.map(at).or(before), "where the event does not say, as it was");
    }
}

#[test]
fn renamed_it_is_open_under_its_new_name() {
    let mut alert = Alert { resolved_at: Some(at(200)), held_by: Some("Olivia".into()), ..alert("QA") };
    alert.rename("QB");
    assert_eq!((alert.id.as_str(), alert.incident_id.as_str(), alert.resolved_at), ("QA", "QB", None));
    assert_eq!(alert.held_by.as_deref(), Some("Olivia"));
}

/// lifecycle.md#a-run-begins: "If it has an active run, this one is cancelled"; and the note that such a run has written
/// meanwhile is the one of both.
#[test]
fn of_two_that_ran_when_they_were_merged_one_writes_the_note() {
    let theirs = |ended: Option<i64>| Theirs { run_id: "r2".into(), ended_at: ended.map(at) };
    let course = |ended, merged: Option<i64>| after_merge(at(40), Some(&theirs(ended)), merged.map(at));
    assert_eq!(after_merge(at(40), None, Some(at(50))), Ok(()), "nobody diagnosed the other");
    assert_eq!(course(None, Some(50)), Err(Idle::Active("r2".into())));
    assert_eq!(course(None, None), Err(Idle::Active("r2".into())));
    for (ended, merged, goes_on) in [(49, 50, true), (50, 50, false), (51, 50, false)] {
        let wanted = if goes_on { Ok(()) } else { Err(Idle::Noted("r2".into())) };
        assert_eq!(course(Some(ended), Some(merged)), wanted, "ended {ended}, merged {merged}");
    }
    assert_eq!(course(Some(51), None), Ok(()), "it is not known when they were merged");
    let asked_later = |began| after_merge(at(began), Some(&theirs(Some(60))), Some(at(50)));
    assert_eq!(asked_later(50), Err(Idle::Noted("r2".into())));
    assert_eq!(asked_later(51), Ok(()), "a person asked for it since");
    let why = |idle: Idle| format!("the alert was merged into the incident QB, {idle}");
    assert_eq!(why(Idle::Active("r2".into())), "the alert was merged into the incident QB, whose run r2 is active");
    assert_eq!(
        why(Idle::Noted("r2".into())),
        "the alert was merged into the incident QB, whose run r2 was active then, and has written its note"
    );
}

/// lifecycle.md#a-run-begins and commands: every trigger at every stage of an alert.
#[test]
fn every_trigger_at_every_stage_has_its_reply() {
    const TRIGGERS: [(Trigger, bool); 8] = [
        (Trigger::Webhook, false),
        (Trigger::Webhook, true),
        (Trigger::Reconcile, false),
        (Trigger::Reconcile, true),
        (Trigger::Rerun, false),
        (Trigger::Note, false),
        (Trigger::FollowUp, false),
        (Trigger::RelatedResolved, false),
    ];
    let active = |is_suppressed| Runs { active: Some(Active { run_id: "r1".into(), is_suppressed }), last: None };
    let over = Runs { active: None, last: Some("r1".into()) };
    // Nobody knows it; its run has ended; it is over, and its runs are pruned; its run is active; its run waits for a bigger
    // outage; it is open, and its run went with a name that was split off.
    let (unknown, open) = (None, Some(None));
    let stages = [
        (unknown, Runs::default()),
        (open, over),
        (Some(Some(at(100))), Runs::default()),
        (open, active(false)),
        (open, active(true)),
        (open, Runs::default()),
    ];
    let mut table = String::new();
    for (trigger, reopened) in TRIGGERS {
        let replies: Vec<&str> = stages
            .iter()
            .map(|(known, runs)| {
                let mut known = known.map(|resolved_at| Alert { follow_ups: 1, resolved_at, ..alert("QA") });
                let asked = Asked { run_id: "r2", trigger, reopened, at: Some(at(300)) };
                let reply = begin(known.as_mut(), runs, asked);
                if let (Reply::Ignored(why), Some(run)) = (&reply, runs.active.as_ref()) {
                    assert!(why.to_string().contains(&run.run_id), "{why}");
                }
                match reply {
                    Reply::Started(id) if id == "r2" => "started",
                    Reply::SuppressionSkipped(id) if id == "r1" => "diagnosed at once",
                    Reply::Active(id) if id == "r1" => "active",
                    Reply::Ignored(Why::Active(id)) if id == "r1" => "ignored, active",
                    Reply::Ignored(Why::HadRun(id)) if id == "r1" => "ignored, had one",
                    Reply::Ignored(Why::HadPrunedRun) => "ignored, had one once",
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        let said = if reopened { " (reopened)" } else { "" };
        table += &format!("{}{said}: {}\n", trigger.as_str(), replies.join(" | "));
    }
    let wanted = "\
webhook: started | ignored, had one | ignored, had one once | ignored, active | ignored, active | started
webhook (reopened): started | started | started | ignored, active | ignored, active | started
reconcile: started | ignored, had one | ignored, had one once | ignored, active | ignored, active | started
reconcile (reopened): started | started | started | ignored, active | ignored, active | started
rerun: started | started | started | active | diagnosed at once | started
note: started | started | started | active | diagnosed at once | started
follow-up: started | started | started | active | active | started
related-resolved: started | started | started | active | active | started
";
    assert_eq!(table, wanted, "{table}");
}

/// lifecycle.md#looking-again: at most three times since the alert was last triggered, reopened or commanded.
#[test]
fn follow_ups_are_three_at_most_until_a_person_or_a_webhook_says_so() {
    let mut known = alert("QA");
    let asks = |known: &mut Alert, trigger, reopened, runs: &Runs| {
        begin(Some(known), runs, Asked { run_id: "r2", trigger, reopened, at: None })
    };
    let over = Runs { active: None, last: Some("r1".into()) };
    let busy = Runs { active: Some(Active { run_id: "r1".into(), is_suppressed: false }), last: None };
    for (trigger, reopened) in [(Trigger::Webhook, true), (Trigger::Reconcile, true)] {
        for _ in 0..FOLLOW_UPS {
            assert_eq!(asks(&mut known, Trigger::FollowUp, false, &busy), Reply::Active("r1".into()), "not counted");
            assert_eq!(asks(&mut known, Trigger::FollowUp, false, &over), Reply::Started("r2".into()));
        }
        assert_eq!(asks(&mut known, Trigger::FollowUp, false, &over), Reply::Ignored(Why::EnoughFollowUps));
        assert_eq!(asks(&mut known, Trigger::RelatedResolved, false, &over), Reply::Started("r2".into()), "is none");
        assert_eq!(asks(&mut known, Trigger::FollowUp, false, &over), Reply::Ignored(Why::EnoughFollowUps));
        asks(&mut known, trigger, reopened, &over);
        assert_eq!(known.follow_ups, 0, "{trigger:?}");
    }
}

/// What happens to an alert that is looked at again.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Asked(Trigger, bool),
    Commanded,
    RunEnds,
}

fn happens() -> impl Strategy<Value = Happens> {
    let triggers = [
        (Trigger::Webhook, false),
        (Trigger::Webhook, true),
        (Trigger::Reconcile, true),
        (Trigger::Rerun, false),
        (Trigger::RelatedResolved, false),
    ];
    prop_oneof![
        3 => Just(Happens::Asked(Trigger::FollowUp, false)),
        1 => proptest::sample::select(triggers.to_vec()).prop_map(|(trigger, reopened)| Happens::Asked(trigger, reopened)),
        1 => Just(Happens::Commanded),
        4 => Just(Happens::RunEnds),
    ]
}

proptest! {
    /// lifecycle.md#looking-again: at most three since the alert was last triggered, reopened or commanded, and never beside
    /// an active run.
    #[test]
    fn whatever_happens_follow_ups_are_three_at_most_and_none_beside_another_run(
        all in proptest::collection::vec(happens(), 1..60)
    ) {
        let (mut known, mut active, mut follow_ups) = (alert("QA"), false, 0);
        for happens in all {
            match happens {
                Happens::RunEnds => active = false,
                Happens::Commanded => {
                    known.commanded();
                    follow_ups = 0;
                }
                Happens::Asked(trigger, reopened) => {
                    let run = Active { run_id: "r1".into(), is_suppressed: false };
                    let runs = Runs { active: active.then_some(run), last: Some("r1".into()) };
                    let reply = begin(Some(&mut known), &runs, Asked { run_id: "r2", trigger, reopened, at: None });
                    let started = matches!(reply, Reply::Started(_));
                    if trigger == Trigger::FollowUp {
                        prop_assert_eq!(started, !active && follow_ups < FOLLOW_UPS, "{:?}", reply);
                        follow_ups += u32::from(started);
                    }
                    if reopened {
                        follow_ups = 0;
                    }
                    active |= started;
                }
            }
        }
    }
}

#[test]
fn only_an_alert_that_was_reopened_since_its_run_saw_its_end_is_owed_another() {
    let open = alert("QA");
    assert!(is_owed_another(&open, at(100), None));
    assert!(is_owed_another(&open, at(100), Some(at(99))));
    assert!(is_owed_another(&open, at(100), Some(at(100))), "within the second");
    assert!(!is_owed_another(&open, at(100), Some(at(101))), "it has ended once more, and the run knows");
    let resolved = |second| Alert { resolved_at: Some(at(second)), ..open.clone() };
    assert!(!is_owed_another(&resolved(102), at(100), None), "a webhook says so");
    assert!(
        is_owed_another(&resolved(98), at(100), Some(at(98))),
        "the webhook of its end came after that it is open again"
    );
}
