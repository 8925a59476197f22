//! An alert that is reopened while its run is active: lifecycle.md#a-run-begins, "a run is queued".

use super::*;
use runbook::run::Facts;

impl Disk {
    /// A claimed run of `Q1` that has found its alert resolved, `ago`; or open.
    async fn found(&self, resolved: Option<Duration>) -> Lease {
        self.run("Q1").await;
        let lease = self.store.claim_run().await.unwrap().unwrap();
        let resolved_at = resolved.map(|ago| self.clock.now() - ago);
        self.store.set_facts(&lease, None, &Facts { resolved_at, ..Facts::default() }, &[]).await.unwrap();
        lease
    }

    /// It is reopened now, as its webhook says.
    async fn reopened(&self) {
        let event = NewEvent { id: "E1", event_type: "incident.reopened", incident_id: Some("Q1"), body: "{}" };
        let run = NewRun { reopened: true, alert_at: Some(self.clock.now()), ..run_of("Q1") };
        let accepted = self.store.accept(event, Ok(Follow::Start(run))).await.unwrap();
        assert!(matches!(&accepted, Accepted::Ignored(why) if why.contains("is active")), "{accepted:?}");
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn reopened_after_its_run_saw_it_resolved_it_gets_another_once_that_has_ended() {
    let failed = Finish::Failed(Failure::Note, "refused".into());
    for finish in [Finish::Done, Finish::Cancelled("resolved".into()), failed] {
        let disk = Disk::new().await;
        let lease = disk.found(Some(SECOND)).await;
        disk.reopened().await;
        assert_eq!(disk.count("runs").await, 1, "one active run an incident");
        disk.store.finish_run(&lease, &finish).await.unwrap();
        lost(
            disk.store
                .finish_run(&Lease { claim: Claim { attempt: 9, ..lease.claim().clone() }, ..lease.clone() }, &finish)
                .await,
        );
        assert_eq!(disk.count("runs").await, 2, "{finish:?}");
        let next = disk.store.claim_run().await.unwrap().expect("a run that is due");
        let run = disk.store.run(next.run_id()).await.unwrap().unwrap();
        assert_eq!((run.trigger, run.incident.unwrap().id.as_str()), (Trigger::Webhook, "Q1"));
        // It sees the alert open: that is all that is wanted.
        disk.store.finish_run(&next, &Finish::Done).await.unwrap();
        assert_eq!(disk.count("runs").await, 2);
    }
}

#[tokio::test]
async fn an_alert_that_is_reopened_while_its_run_is_active_gets_another_unless_it_is_over() {
    // The run has seen it open since; it was never reopened; it has ended once more, and the run knows, or a webhook says
    // so.
    for (case, runs) in [(0, 2), (1, 1), (2, 1), (3, 1)] {
        let disk = Disk::new().await;
        let lease = disk.found(Some(SECOND)).await;
        if case != 1 {
            disk.reopened().await;
        }
        disk.clock.jump(SECOND * 2);
        let resolved_at = match case {
            0 => None,
            2 => Some(disk.clock.now()),
            _ => Some(disk.clock.now() - SECOND * 3),
        };
        let facts = Facts { resolved_at, ..Facts::default() };
        disk.store.set_facts(&lease, None, &facts, &[]).await.unwrap();
        if case == 3 {
            disk.store.set_resolved("Q1", None).await.unwrap();
        }
        disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
        assert_eq!(disk.count("runs").await, runs, "{case}");
    }
}
