//! The alerts of a time: what regions are drawn by.

use jiff::Timestamp;
use runbook::diagnosis::{Rule, VerdictKind};

use super::*;

impl Disk {
    /// A run that is done, diagnosed a second after its begin; the clock is a minute further.
    async fn diagnosed(&self, incident: &str) -> String {
        let id = self.run(incident).await;
        self.clock.jump(Duration::from_secs(1));
        let lease = self.store.claim_run().await.unwrap().unwrap();
        let diagnosis = leases::diagnosis();
        self.store.set_diagnosis(&lease, &diagnosis, (runbook::run::EscalationState::None, None), &[]).await.unwrap();
        self.store.finish_run(&lease, &Finish::Done).await.unwrap();
        self.clock.jump(Duration::from_secs(59));
        id
    }

    async fn past(&self, ago: u64, limit: i64) -> Vec<(String, Vec<String>)> {
        let since = self.clock.now() - jiff::SignedDuration::from_secs(i64::try_from(ago).unwrap());
        let alerts = self.store.past_alerts(since, limit).await.unwrap().alerts;
        let ids = |alert: &PastAlert| alert.runs.iter().map(|run| run.id.clone()).collect();
        let mut found: Vec<_> = alerts.iter().map(|alert| (alert.incident_id.clone(), ids(alert))).collect();
        found.sort();
        found
    }
}

#[tokio::test]
async fn alerts_are_those_that_are_open_or_resolved_since_with_all_their_runs() {
    let disk = Disk::new().await;
    let (first, again) = (disk.diagnosed("Q1").await, disk.diagnosed("Q1").await);
    disk.store.set_resolved("Q1", None).await.unwrap();
    disk.clock.jump(Duration::from_secs(3600));
    let open = disk.diagnosed("Q2").await;
    let over = disk.diagnosed("Q3").await;
    disk.store.set_resolved("Q3", None).await.unwrap();
    // No alerts: a region's run, and a drill.
    disk.store.create_run(&of_region("prod-eu-de"), None).await.unwrap();
    let drill = run_of("QDRILL").incident.unwrap();
    let event = NewEvent { id: "E1", event_type: "incident.triggered", incident_id: Some("QDRILL"), body: "{}" };
    let follow = Follow::Drill { incident: drill, region: "prod-us-south".parse().unwrap() };
    disk.store.accept(event, Ok(follow)).await.unwrap();
    let (q1, q2, q3) =
        (("Q1".to_owned(), vec![first, again]), ("Q2".to_owned(), vec![open]), ("Q3".to_owned(), vec![over]));
    assert_eq!(disk.past(7200, 50).await, [q1.clone(), q2.clone(), q3.clone()]);
    assert_eq!(disk.past(600, 50).await, [q2.clone(), q3.clone()], "what was over before is not asked for");
    assert_eq!(disk.past(7200, 1).await, [q2.clone(), q3.clone()], "of what is over the last");
    disk.clock.jump(Duration::from_secs(90_000));
    assert_eq!(disk.past(60, 50).await, [q2], "what is open is, however old");

    let since = disk.clock.now() - jiff::SignedDuration::from_hours(48);
    let alerts = disk.store.past_alerts(since, 50).await.unwrap().alerts;
    let run = &alerts.iter().find(|alert| alert.incident_id == "Q1").unwrap().runs[0];
    let diagnosis = leases::diagnosis();
    assert_eq!(run.verdict, Some((diagnosis.verdict.kind, diagnosis.verdict.rule)));
    let took = |at: Option<Timestamp>| at.map(|at| at.duration_since(run.created_at).as_secs());
    assert_eq!((took(run.diagnosed_at), took(run.finished_at)), (Some(1), Some(1)));
    assert_eq!((run.incident_id.as_str(), run.region.as_str(), run.was_suppressed), ("Q1", "prod-us-south", false));
    assert_eq!((run.trigger, run.state), (Trigger::Webhook, State::Done));
}

#[tokio::test]
async fn what_is_not_here_for_a_limit_is_said() {
    let disk = Disk::new().await;
    for incident in ["Q1", "Q2"] {
        disk.diagnosed(incident).await;
        disk.store.set_resolved(incident, None).await.unwrap();
    }
    let beyond = |past: PastAlerts| (past.more_open, past.more_until.is_some(), past.runs_from.is_some());
    let past = async |limit| beyond(disk.store.past_alerts(Timestamp::UNIX_EPOCH, limit).await.unwrap());
    assert_eq!(past(2).await, (false, false, false), "as many as may be are all");
    assert_eq!(past(1).await, (false, true, false));
    disk.diagnosed("Q3").await;
    assert_eq!(past(1).await, (false, true, false));
    disk.diagnosed("Q4").await;
    assert_eq!(past(1).await, (true, true, false));
    // Of two of each, more runs than sixteen.
    for _ in 0..16 {
        disk.diagnosed("Q4").await;
    }
    let all = disk.store.past_alerts(Timestamp::UNIX_EPOCH, 2).await.unwrap();
    let oldest = all.alerts.iter().flat_map(|alert| &alert.runs).map(|run| run.created_at).min();
    assert_eq!((all.alerts.iter().map(|alert| alert.runs.len()).sum::<usize>(), all.runs_from), (16, oldest));
}

#[tokio::test]
async fn what_was_merged_into_an_alert_is_a_run_of_it_and_a_bigger_outage_is_known() {
    let disk = Disk::new().await;
    let id = disk.run("QA").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let into = run_of("QB").incident.unwrap();
    disk.store.merge_alert(&lease, "QA", &into, true, None).await.unwrap().unwrap();
    let now = disk.clock.now();
    disk.store.park_run(&lease, now, None, None, Duration::from_secs(60)).await.unwrap();
    let alerts = disk.store.past_alerts(now, 50).await.unwrap().alerts;
    assert_eq!((alerts.len(), alerts[0].incident_id.as_str(), alerts[0].resolved_at), (1, "QB", None));
    assert_eq!((alerts[0].runs[0].id.as_str(), alerts[0].runs[0].was_suppressed), (id.as_str(), true));
}

#[tokio::test]
async fn one_row_that_can_not_be_read_hides_no_other() {
    let disk = Disk::new().await;
    disk.diagnosed("Q1").await;
    let other = disk.diagnosed("Q2").await;
    disk.store.spoil("UPDATE runs SET region = 'No Region' WHERE incident_id = 'Q1'").await;
    disk.store.spoil("UPDATE runs SET rule = 'no rule' WHERE incident_id = 'Q2'").await;
    assert_eq!(disk.past(7200, 50).await, [("Q2".to_owned(), vec![other])]);
    let alerts = disk.store.past_alerts(Timestamp::UNIX_EPOCH, 50).await.unwrap().alerts;
    assert_eq!(alerts[0].runs[0].verdict, None::<(VerdictKind, Rule)>, "a verdict that is none is no verdict");
}

#[tokio::test]
async fn something_is_recorded_since_the_first_webhook_or_run() {
    let disk = Disk::new().await;
    assert_eq!(disk.store.recorded_since().await.unwrap(), None);
    let first = disk.clock.now();
    let event = NewEvent { id: "E1", event_type: "incident.acknowledged", incident_id: None, body: "{}" };
    disk.store.accept(event, Err("no event that starts anything".into())).await.unwrap();
    disk.clock.jump(Duration::from_secs(60));
    disk.run("Q1").await;
    assert_eq!(disk.store.recorded_since().await.unwrap(), Some(first));
}
