//! Alerts that are merged while the note of their run stands where it was, lifecycle.md#a-run-begins.

use super::*;

fn incident(id: &str) -> AlertIncident {
    run_of(id).incident.unwrap()
}

fn rerun(id: &str) -> NewRun {
    NewRun { trigger: Trigger::Rerun, again: true, ..run_of(id) }
}

impl Disk {
    /// `QA` is merged into `QB` once the note of its run is written: the run goes on, and stays that of `QA`.
    async fn merged_after_the_note(&self) -> Lease {
        self.run("QA").await;
        let lease = self.store.claim_run().await.unwrap().unwrap();
        self.store.set_note(&lease, "PNOTE", "text").await.unwrap();
        assert!(self.store.merge_alert(&lease, "QA", &incident("QB"), true).await.unwrap());
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
    assert!(disk.store.merge_alert(&lease, "QA", &incident("QC"), true).await.unwrap());
    for id in ["QA", "QB", "QC"] {
        assert_eq!(disk.store.alert(id).await.unwrap().unwrap().alert_id, "QC", "{id}");
        assert!(disk.store.page_of_alert(id).await.unwrap().is_some(), "{id}");
    }
}

#[tokio::test]
async fn the_run_that_stays_is_the_active_one_of_the_incident_merged_into() {
    let disk = Disk::new().await;
    let lease = disk.merged_after_the_note().await;
    let active = Created::Active(lease.run_id().to_owned());
    for id in ["QA", "QB"] {
        assert_eq!(disk.store.create_run(&rerun(id), None).await.unwrap(), active, "{id}");
    }
    disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
    assert!(matches!(disk.store.create_run(&rerun("QB"), None).await.unwrap(), Created::Run(_)));
}

#[tokio::test]
async fn the_run_that_stays_hears_of_the_end_of_the_incident_merged_into_and_of_its_reopening() {
    let disk = Disk::new().await;
    let lease = disk.merged_after_the_note().await;
    disk.store.set_resolved("QB", None).await.unwrap();
    assert!(disk.heard_of_its_end(&lease).await);
    let event = NewEvent { id: "E1", event_type: "incident.reopened", incident_id: Some("QB"), body: "{}" };
    let again = NewRun { again: true, ..run_of("QB") };
    let accepted = disk.store.accept(event, Ok(Follow::Start(again))).await.unwrap();
    assert!(matches!(accepted, Accepted::Ignored(_)), "{accepted:?}");
    assert!(!disk.heard_of_its_end(&lease).await);
}
