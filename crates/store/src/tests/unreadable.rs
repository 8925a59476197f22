//! What stands in the database and can't be read, as after a newer version or a hand's slip: an error of that row alone,
//! and never a reason for a page.

use super::*;
use runbook::run::{EscalationState, Facts};

impl Disk {
    async fn set(&self, sql: &str) {
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&self.store.pool).await.unwrap();
    }

    async fn list(&self) -> Vec<Result<runbook::run::Run, UnreadableRun>> {
        self.store.list_runs(&Filter { limit: 10, ..Filter::default() }).await.unwrap()
    }
}

const FAR: &str = "9223372036854775807";

#[tokio::test]
async fn a_run_is_shown_as_far_as_it_can_be_read_and_hides_no_other() {
    for (set, what) in [
        ("diagnosis = '{'", "a diagnosis"),
        ("diagnosis = '{\"region\":\"x\"}'", "a diagnosis"),
        ("related = 'x'", "related pages"),
        ("incident = '[]'", "an incident"),
        (&format!("finished_at = {FAR}"), "a time"),
        ("finished_at = 'x'", "finished_at"),
        ("note_text = x'ff'", "note_text"),
        ("diagnosis = x'ff'", "diagnosis"),
    ] {
        let disk = Disk::new().await;
        let (spoilt, well) = (disk.run("Q1").await, disk.run("Q2").await);
        disk.set(&format!("UPDATE runs SET {set} WHERE id = '{spoilt}'")).await;
        let listed = disk.list().await;
        let [Ok(first), Ok(second)] = &listed[..] else { panic!("{set}: {listed:?}") };
        assert_eq!((first.id.as_str(), first.unreadable.len()), (well.as_str(), 0));
        assert_eq!(
            (second.id.as_str(), second.unreadable.as_slice()),
            (spoilt.as_str(), &[what.to_owned()][..]),
            "{set}"
        );
        assert_eq!(second.incident.as_ref().unwrap().id, "Q1", "{set}");
        assert_ne!(second.escalation.state, EscalationState::Requested);
        // By itself it is an error, but for who can do without.
        let error = disk.store.run(&spoilt).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        assert_eq!(disk.store.readable_run(&spoilt).await.unwrap().unwrap().unreadable, [what]);
        disk.store.run(&well).await.unwrap().unwrap();
    }
}

/// What stands beside a run (its alert, its page, its steps) is as little a reason to hide it, or another.
#[tokio::test]
async fn a_run_is_shown_though_what_stands_beside_it_can_not_be_read() {
    for (set, what) in [
        ("alerts SET resolved_at = 'x'", &["resolved_at"][..]),
        ("alerts SET held_by = x'ff'", &["held_by"]),
        ("steps SET state = x'ff', started_at = 'x'", &[]),
        ("record SET at = 'x'", &[]),
    ] {
        let disk = Disk::new().await;
        let (spoilt, well) = (disk.run("Q1").await, disk.run("Q2").await);
        disk.set(&format!(
            "INSERT INTO steps (run_id, seq, name, state, started_at) VALUES ('{spoilt}', 9, 'x', 'done', 0)"
        ))
        .await;
        disk.set("INSERT INTO record (id, incident_id, at, text) VALUES ('a', 'Q1', 1, 'x')").await;
        disk.set(&format!("UPDATE runs SET state = 'done', finished_at = 0 WHERE id = '{spoilt}'")).await;
        disk.set(&format!("UPDATE {set}")).await;
        let listed = disk.list().await;
        assert!(matches!(&listed[..], [Ok(_), Ok(_)]), "{set}: {listed:?}");
        let shown = disk.store.readable_run(&spoilt).await.unwrap().unwrap();
        assert_eq!(shown.unreadable, what, "{set}");
        let beside = (shown.steps.is_empty(), shown.activity.is_empty());
        assert_eq!(beside, (set.starts_with("steps"), set.starts_with("record")), "{set}");
        let state = shown.alert.unwrap().state;
        assert_eq!(state == runbook::run::AlertPhase::Unknown, set.contains("resolved_at"), "{set}: {state:?}");
        assert!(disk.store.readable_run(&well).await.unwrap().is_some(), "{set}");
    }
}

/// The rest can be shown, and nobody is paged by it.
#[tokio::test]
async fn a_decision_about_a_page_that_can_not_be_read_is_none() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    disk.set("UPDATE runs SET escalation = 'perhaps'").await;
    let run = disk.store.run(&id).await.unwrap().unwrap();
    assert_eq!(run.unreadable, ["what was decided about a page"]);
    assert_eq!((run.escalation.state, run.escalation.page), (EscalationState::Held, None));
}

/// Each word is the enum's own: what is kept of a decision comes back as it was, and what is no decision is none.
#[tokio::test]
async fn a_decision_comes_back_and_what_becomes_of_a_page_is_no_decision() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let diagnosis = leases::diagnosis();
    for state in EscalationState::ALL {
        disk.store.set_diagnosis(&lease, &diagnosis, (*state, None), &[]).await.unwrap();
        let run = disk.store.run(&id).await.unwrap().unwrap();
        let decided = matches!(state, EscalationState::None | EscalationState::Suggested | EscalationState::Held);
        assert_eq!(run.escalation.state, if decided { *state } else { EscalationState::None }, "{state}");
        disk.set(&format!("UPDATE runs SET escalation = '{state}'")).await;
        let run = disk.store.run(&id).await.unwrap().unwrap();
        assert_eq!(run.escalation.state, if decided { *state } else { EscalationState::Held }, "{state}");
        assert_eq!(run.unreadable.is_empty(), decided, "{state}");
    }
}

#[tokio::test]
async fn a_run_of_which_nothing_can_be_shown_is_named_and_hides_no_other() {
    for (set, what) in [
        ("region = 'Ü'", "a region"),
        ("state = 'resting'", "a state"),
        ("triggered_by = 'magic'", "a trigger"),
        (&format!("created_at = {FAR}"), "a time"),
        ("created_at = 'x'", "created_at"),
        ("region = x'ff'", "region"),
    ] {
        let disk = Disk::new().await;
        let (spoilt, well) = (disk.run("Q1").await, disk.run("Q2").await);
        disk.set(&format!("UPDATE runs SET {set} WHERE id = '{spoilt}'")).await;
        let listed = disk.list().await;
        let [Ok(first), Err(second)] = &listed[..] else { panic!("{set}: {listed:?}") };
        assert_eq!((&first.id, second), (&well, &UnreadableRun { id: spoilt.clone(), what }));
        assert_eq!(disk.store.runs(&Filter { limit: 10, ..Filter::default() }).await.unwrap().len(), 1);
        assert!(matches!(disk.store.readable_run(&spoilt).await, Err(StoreError::Corrupt { .. })));
        // And who claims what is due gets the other.
        disk.store.claim_run().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_page_in_a_state_that_is_not_known_is_never_opened_nor_overwritten_but_by_a_person() {
    for set in [
        "state = 'opening', told = 0".to_owned(),
        "state = ''".to_owned(),
        format!("requested_at = {FAR}, told = 1, state = 'paged'"),
        format!("tried_since = {FAR}, state = 'failed', told = 1"),
        "requested_at = 'x', told = 1, state = 'paged'".to_owned(),
        "page_id = x'ff', told = 1, state = 'paged'".to_owned(),
        "reason = x'ff', told = 1, state = 'failed'".to_owned(),
    ] {
        let disk = Disk::new().await;
        let id = disk.run("Q1").await;
        disk.store.request_page("Q1", &id, None).await.unwrap();
        disk.set(&format!("UPDATE pages SET {set}")).await;
        assert_eq!(disk.store.claim_page().await.unwrap(), None, "{set}");
        let page = disk.store.page("Q1").await.unwrap().unwrap();
        assert_eq!(page.state, PageState::Unreadable, "{set}");
        assert!(page.reason.unwrap().contains("look in PagerDuty"), "{set}");
        // The same is wanted automatically once more.
        assert_eq!(disk.store.request_page("Q1", &id, None).await.unwrap().state, PageState::Unreadable);
        assert_eq!(disk.store.claim_page().await.unwrap(), None, "{set}");
        assert!(disk.list().await.into_iter().flatten().all(|run| run.escalation.state != EscalationState::Requested));
    }
}

#[tokio::test]
async fn a_person_may_page_where_the_page_before_can_not_be_read() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    disk.store.request_page("Q1", &id, None).await.unwrap();
    disk.set("UPDATE pages SET state = 'opening'").await;
    // Its key is looked up before one is opened.
    let page = disk.store.request_page("Q1", &id, Some("alice")).await.unwrap();
    assert_eq!((page.state, page.asked_by.as_deref()), (PageState::Requested, Some("alice")));
    disk.store.claim_page().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_task_of_an_unknown_kind_keeps_nobody_from_the_others() {
    let disk = Disk::new().await;
    let task = |incident_id: &str| NewTask {
        kind: TaskKind::FollowUp,
        incident_id: incident_id.into(),
        run_id: None,
        mark: String::new(),
        data: String::new(),
        after: Duration::ZERO,
    };
    disk.store.add_task(&task("Q1")).await.unwrap();
    disk.set("UPDATE tasks SET kind = 'dance'").await;
    disk.clock.jump(Duration::from_secs(1));
    disk.store.add_task(&task("Q2")).await.unwrap();
    assert_eq!(disk.store.claim_task().await.unwrap().unwrap().incident_id, "Q2");
    assert!(disk.store.claim_task().await.unwrap().is_none());
    assert_eq!(disk.count("tasks").await, 2, "a newer version may come back");
}

#[tokio::test]
async fn what_is_kept_of_builds_and_of_the_canary_is_looked_for_again_where_it_can_not_be_read() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    disk.set(&format!("INSERT INTO builds (run_id, reading, zone, record) VALUES ('{id}', 0, 'z', '{{')")).await;
    assert_eq!(disk.store.builds(&id).await.unwrap(), []);
    disk.store.plan_canary(Duration::ZERO).await.unwrap();
    let due = disk.store.canary().await.unwrap().unwrap();
    let region = "prod-us-south".parse().unwrap();
    disk.store.begin_watches(&[Watch::Canary]).await.unwrap();
    let watch = disk.store.claim_watch(&[Watch::Canary]).await.unwrap().unwrap();
    let lease = disk.store.begin_canary(&watch, &due, &region, Duration::from_secs(60)).await.unwrap().unwrap();
    disk.set(&format!("UPDATE canary SET builds = 'x', outcome = 'splendid', region = 'Ü', good_at = {FAR}")).await;
    assert_eq!(disk.store.canary_builds(&lease).await.unwrap(), []);
    let canary = disk.store.canary().await.unwrap().unwrap();
    assert_eq!((canary.outcome, canary.region, canary.good_at), (None, None, None));
}

#[tokio::test]
async fn facts_that_can_not_be_read_are_known_to_be_missing() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    assert!(!disk.store.readable_facts(&id).await.unwrap().unreadable);
    disk.set("UPDATE runs SET facts = '['").await;
    assert_eq!(disk.store.readable_facts(&id).await.unwrap(), Facts { unreadable: true, ..Facts::default() });
    assert!(matches!(disk.store.facts(&id).await, Err(StoreError::Corrupt { .. })));
}

/// Who looks for open alerts without a run must not take one for such, and begin another.
#[tokio::test]
async fn an_alert_whose_only_run_can_not_be_read_has_had_one() {
    let disk = Disk::new().await;
    assert!(!disk.store.had_run("Q1").await.unwrap());
    disk.run("Q1").await;
    disk.set("UPDATE runs SET region = 'No Region'").await;
    assert!(disk.store.newest_run("Q1").await.is_ok_and(|run| run.is_none()), "a list leaves it out");
    assert!(disk.store.had_run("Q1").await.unwrap());
}
