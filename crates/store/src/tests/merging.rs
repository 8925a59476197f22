//! Alerts that are merged, and opened again: lifecycle.md#a-run-begins.

use super::*;
use runbook::life::Idle;

fn incident(id: &str) -> AlertIncident {
    run_of(id).incident.unwrap()
}

impl Disk {
    /// `QA` is merged into `QB` once the note of its run is written: the run goes on, and stays that of `QA`.
    async fn merged_after_the_note(&self) -> Lease {
        self.run("QA").await;
        let lease = self.store.claim_run().await.unwrap().unwrap();
        self.store.set_note(&lease, "PNOTE", "text").await.unwrap();
        assert!(self.store.merge_alert(&lease, "QA", &incident("QB"), true, None).await.unwrap().is_ok());
        lease
    }

    async fn heard_of_its_end(&self, lease: &Lease) -> bool {
        self.store.suppression(lease.run_id()).await.unwrap().alert_resolved_at.is_some()
    }
}

#[tokio::test]
async fn merged_once_more_after_the_note_all_are_one_alert_with_one_page() {
    let disk = Disk::new().await;
    let lease = disk.merged_after_the_note().await;
    disk.store.request_page("QB", lease.run_id(), None).await.unwrap();
    assert!(disk.store.merge_alert(&lease, "QA", &incident("QC"), true, None).await.unwrap().is_ok());
    for id in ["QA", "QB", "QC"] {
        assert_eq!(disk.store.alert(id).await.unwrap().unwrap().incident_id, "QC", "{id}");
        assert!(disk.store.page_of_alert(id).await.unwrap().is_some(), "{id}");
    }
}

#[tokio::test]
async fn the_run_that_stays_is_the_active_one_of_the_incident_merged_into() {
    let disk = Disk::new().await;
    let lease = disk.merged_after_the_note().await;
    let active = Created::Now(Reply::Active(lease.run_id().to_owned()));
    for id in ["QA", "QB"] {
        assert_eq!(disk.store.create_run(&rerun_of(id), None).await.unwrap(), active, "{id}");
    }
    disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
    assert!(matches!(disk.store.create_run(&rerun_of("QB"), None).await.unwrap(), Created::Now(Reply::Started(_))));
}

#[tokio::test]
async fn the_run_that_stays_hears_of_the_end_of_the_incident_merged_into_and_of_its_reopening() {
    let disk = Disk::new().await;
    let lease = disk.merged_after_the_note().await;
    disk.store.set_resolved("QB", None).await.unwrap();
    assert!(disk.heard_of_its_end(&lease).await);
    let event = NewEvent { id: "E1", event_type: "incident.reopened", incident_id: Some("QB"), body: "{}" };
    let again = NewRun { reopened: true, ..run_of("QB") };
    let accepted = disk.store.accept(event, Ok(Follow::Start(again))).await.unwrap();
    assert!(matches!(accepted, Accepted::Ignored(_)), "{accepted:?}");
    assert!(!disk.heard_of_its_end(&lease).await);
}

impl Disk {
    /// `QA` is merged into `QB` while both have an active run, a second ago: the claims of both, that of `QA` first.
    async fn both_run(&self) -> (Lease, Lease) {
        let (mine, theirs) = (self.run("QA").await, self.run("QB").await);
        let (one, other) = (self.store.claim_run().await, self.store.claim_run().await);
        let (one, other) = (one.unwrap().unwrap(), other.unwrap().unwrap());
        assert_eq!((one.run_id(), other.run_id()), (mine.as_str(), theirs.as_str()));
        self.clock.jump(Duration::from_secs(1));
        (one, other)
    }

    /// The run of `QA` hears that it was merged into `QB`, so long ago.
    async fn hears_of_its_merge(&self, lease: &Lease, ago: Duration) -> Result<(), Idle> {
        let at = self.clock.now() - ago;
        self.store.merge_alert(lease, "QA", &incident("QB"), false, Some(at)).await.unwrap()
    }

    async fn are_one_alert(&self) {
        let alert = async |id| self.store.alert(id).await.unwrap().unwrap();
        let (one, other) = (alert("QA").await, alert("QB").await);
        assert_eq!((&one, one.incident_id.as_str()), (&other, "QB"));
        assert_eq!(self.count("alerts").await, 1);
    }
}

#[tokio::test]
async fn of_two_active_runs_that_of_the_alert_merged_away_is_ended_at_once() {
    let disk = Disk::new().await;
    let (mine, theirs) = disk.both_run().await;
    disk.store.begin_step(&mine, "confirm_alert").await.unwrap();
    let idle = disk.hears_of_its_merge(&mine, Duration::ZERO).await.unwrap_err();
    assert_eq!(idle, Idle::Active(theirs.run_id().to_owned()));
    let run = disk.store.run(mine.run_id()).await.unwrap().unwrap();
    let why = format!("the alert was merged into the incident QB, whose run {} is active", theirs.run_id());
    assert_eq!((run.state, run.reason), (State::Cancelled, Some(why)));
    assert_eq!(run.steps[0].finished_at, run.finished_at, "with its steps");
    lost(disk.store.finish_run(&mine, &Finish::Done).await);
    disk.are_one_alert().await;
    assert_eq!(disk.state(theirs.run_id()).await, State::Running);
    disk.store.finish_run(&theirs, &Finish::Done).await.unwrap();
    assert_eq!(disk.count("work").await, 0, "nothing is left of either");
}

/// Whichever ends first, two that were active when they were merged leave one diagnosis note.
#[tokio::test]
async fn one_that_has_written_its_note_since_the_merge_leaves_the_other_nothing_to_do() {
    for (ago, is_noted, goes_on) in [(2, true, false), (1, true, false), (0, true, true), (2, false, true)] {
        let disk = Disk::new().await;
        let (mine, theirs) = disk.both_run().await;
        if is_noted {
            disk.store.set_note(&theirs, "PNOTE", "text").await.unwrap();
        }
        disk.store.finish_run(&theirs, &Finish::Done).await.unwrap();
        disk.clock.jump(Duration::from_secs(1));
        let course = disk.hears_of_its_merge(&mine, Duration::from_secs(ago)).await;
        let wanted = if goes_on { Ok(()) } else { Err(Idle::Noted(theirs.run_id().to_owned())) };
        assert_eq!(course, wanted, "merged {ago} s ago, noted: {is_noted}");
        disk.are_one_alert().await;
        let run = disk.store.run(mine.run_id()).await.unwrap().unwrap();
        let where_it_is = if goes_on { ("QB", State::Running) } else { ("QA", State::Cancelled) };
        assert_eq!((run.incident.unwrap().id.as_str(), run.state), where_it_is);
    }
}

/// PagerDuty resolves what it merges away, and may show it open for a while after that.
#[tokio::test]
async fn what_is_said_of_a_name_that_was_merged_away_is_nothing_about_the_alert() {
    let disk = Disk::new().await;
    let (mine, theirs) = disk.both_run().await;
    disk.hears_of_its_merge(&mine, Duration::ZERO).await.unwrap_err();
    let resolved = async || disk.store.alert("QA").await.unwrap().unwrap().resolved_at.is_some();
    disk.store.set_resolved("QA", None).await.unwrap();
    assert!(!resolved().await && !disk.heard_of_its_end(&theirs).await);
    disk.store.set_resolved("QB", None).await.unwrap();
    assert!(resolved().await && disk.heard_of_its_end(&theirs).await);
    let heard = async || disk.store.suppression(theirs.run_id()).await.unwrap().news;
    let before = heard().await;
    // Of another incident nothing is changed, and the run has heard.
    disk.store.unset_resolved(&theirs, "QA", before).await.unwrap();
    assert!(resolved().await && !disk.heard_of_its_end(&theirs).await);
    // It was resolved once more since it was asked for: what was seen says nothing of that.
    disk.store.set_resolved("QB", None).await.unwrap();
    disk.store.unset_resolved(&theirs, "QB", before).await.unwrap();
    assert!(resolved().await && disk.heard_of_its_end(&theirs).await);
    disk.store.unset_resolved(&theirs, "QB", heard().await).await.unwrap();
    assert!(!resolved().await && !disk.heard_of_its_end(&theirs).await);
}

#[tokio::test]
async fn opened_again_it_is_an_alert_of_its_own_with_a_run_of_its_own() {
    let disk = Disk::new().await;
    let (mine, theirs) = disk.both_run().await;
    disk.hears_of_its_merge(&mine, Duration::ZERO).await.unwrap_err();
    disk.store.spoil("UPDATE alerts SET held_by = 'Olivia' WHERE incident_id = 'QB'").await;
    let event = NewEvent { id: "E1", event_type: "incident.reopened", incident_id: Some("QA"), body: "{}" };
    let again = NewRun { reopened: true, ..run_of("QA") };
    let accepted = disk.store.accept(event, Ok(Follow::Start(again))).await.unwrap();
    let Accepted::Run(id) = accepted else { panic!("the other's run is none of its: {accepted:?}") };
    let alert = async |id| disk.store.alert(id).await.unwrap().unwrap();
    let (own, other) = (alert("QA").await, alert("QB").await);
    assert_ne!(own.id, other.id);
    assert_eq!((own.incident_id.as_str(), own.held_by.as_deref()), ("QA", None));
    assert_eq!((other.incident_id.as_str(), other.held_by.as_deref()), ("QB", Some("Olivia")));
    let ids = async |incident_id: &str| -> Vec<String> {
        disk.store.last_runs(incident_id, None).await.unwrap().into_iter().map(|run| run.id).collect()
    };
    assert_eq!(ids("QA").await, [id, mine.run_id().to_owned()]);
    assert_eq!(ids("QB").await, [theirs.run_id()]);
}

/// What was split off takes its run along: what is left is open without one, and gets one by the next that tells of it.
#[tokio::test]
async fn what_a_split_leaves_without_a_run_gets_one() {
    let disk = Disk::new().await;
    let lease = disk.merged_after_the_note().await;
    disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
    for (id, kind, of, reopened) in [("E1", "incident.reopened", "QA", true), ("E2", "incident.triggered", "QB", false)]
    {
        let event = NewEvent { id, event_type: kind, incident_id: Some(of), body: "{}" };
        let run = NewRun { reopened, ..run_of(of) };
        let accepted = disk.store.accept(event, Ok(Follow::Start(run))).await.unwrap();
        assert!(matches!(accepted, Accepted::Run(_)), "{of}: {accepted:?}");
    }
}

/// What was remembered, said and counted was that of what was split off.
#[tokio::test]
async fn what_a_split_leaves_begins_anew_in_its_own_region() {
    let theirs = "prod-eu-gb".parse::<runbook::alert::Region>().unwrap();
    for trigger in [Trigger::Webhook, Trigger::Reconcile, Trigger::Rerun] {
        let disk = Disk::new().await;
        let lease = disk.merged_after_the_note().await;
        disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
        let held = "UPDATE alerts SET held_by = 'Olivia', follow_ups = 3 WHERE incident_id = 'QB'";
        sqlx::query(held).execute(&disk.store.pool).await.unwrap();
        let again = NewRun { reopened: true, ..run_of("QA") };
        disk.store.create_run(&again, None).await.unwrap();
        // As whoever asks remembers it.
        let mut left = NewRun { trigger, alert_at: Some(disk.clock.now()), ..run_of("QB") };
        left.incident.as_mut().unwrap().title = "All SE endpoints down in prod-eu-gb".into();
        let Created::Now(Reply::Started(id)) = disk.store.create_run(&left, None).await.unwrap() else { panic!() };
        let alert = disk.store.alert("QB").await.unwrap().unwrap();
        assert_eq!((&alert.region, alert.held_by, alert.follow_ups), (&theirs, None, 0), "{trigger:?}");
        assert_eq!(alert.triggered_at, left.alert_at);
        assert_eq!(disk.store.run(&id).await.unwrap().unwrap().region, theirs);
        let own = disk.store.alert("QA").await.unwrap().unwrap();
        assert_eq!(own.region, run_of("QA").region, "what was split off keeps its own");
    }
}
