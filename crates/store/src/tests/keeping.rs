//! What is kept, what is pruned, and how a run's time is counted.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

impl Disk {
    /// A run of this incident that has ended, with all that may hang on one.
    async fn ended(&self, incident_id: &str) -> String {
        let id = self.run(incident_id).await;
        let lease = self.store.claim_run().await.unwrap().unwrap();
        assert_eq!(lease.run_id(), id);
        let step = self.store.begin_step(&lease, "check_clusters").await.unwrap();
        self.store.end_step(&lease, step, None, Some(Sight::Checks(&[])), &[]).await.unwrap();
        let key = format!("early:{id}");
        self.store.begin_short(&key, incident_id, 0).await.unwrap();
        self.store.set_short(&key, incident_id, "P1").await;
        let standing = runbook::plan::run::Standing::new(true);
        let rung = runbook::plan::run::rung(&standing);
        let decided = runbook::decided::Decided::Rung { standing, rung };
        let decision = NewDecision { at: self.clock.now(), decided };
        self.store.finish_decided(&lease, &Finish::Done, &[decision]).await.unwrap();
        id
    }

    async fn event(&self, id: &str, incident_id: &str) {
        let event = NewEvent { id, event_type: "incident.triggered", incident_id: Some(incident_id), body: "{}" };
        self.store.accept(event, Err("nothing".into())).await.unwrap();
    }

    /// The page of this incident is opened and told of.
    async fn paged(&self, incident_id: &str, run_id: &str) {
        self.store.request_page(incident_id, run_id, None).await.unwrap();
        let lease = self.store.claim_page().await.unwrap().unwrap();
        let result = PageResult { page: Some(("QPAGE", "https://x/QPAGE")), joined: false, reason: None };
        self.store.finish_page(&lease, &result).await.unwrap();
        self.store.set_page_told(&lease).await.unwrap();
        self.store.page_rests(&lease).await.unwrap();
    }

    /// What is under way for alerts is done.
    async fn all_said(&self) {
        while let Some(lease) = self.store.claim_alert().await.unwrap() {
            let now = self.store.alert_now(&lease).await.unwrap().unwrap();
            self.store.rest_alert(&lease, now.version, &Beside::default(), None, None, &[]).await.unwrap();
        }
    }

    async fn counts(&self) -> [i64; 6] {
        let mut counts = [0; 6];
        for (count, table) in counts.iter_mut().zip(["runs", "steps", "alerts", "pages", "writes", "webhooks"]) {
            *count = self.count(table).await;
        }
        counts
    }
}

#[tokio::test]
async fn what_is_over_for_long_enough_is_pruned_with_all_that_hangs_on_it() {
    let disk = Disk::new().await;
    for n in 0..120 {
        let incident = format!("Q{n}");
        let run = disk.ended(&incident).await;
        disk.event(&format!("E{n}"), &incident).await;
        if n % 10 == 0 {
            disk.paged(&incident, &run).await;
        }
        disk.store.set_resolved(&incident, None).await.unwrap();
        // Its last word, said.
        disk.all_said().await;
    }
    assert_eq!(disk.counts().await, [120, 120, 120, 12, 120, 120]);
    assert_eq!(disk.count("evidence").await, 120);
    disk.clock.jump(DAY * 89);
    assert_eq!(disk.store.prune(disk.clock.now(), DAY * 90).await.unwrap(), 0);
    disk.clock.jump(DAY * 2);
    let keep = Keep { runs: DAY * 90, evidence: DAY * 400 };
    assert_eq!(disk.store.prune(disk.clock.now(), keep).await.unwrap(), 360, "runs, alerts, events");
    let record = async || (disk.count("record").await, disk.count("evidence").await, disk.count("decisions").await);
    let (entries, seen, decisions) = record().await;
    assert_eq!((disk.counts().await, seen), ([0; 6], 120), "what was seen and decided stays");
    assert!(entries > 120 && decisions == 120, "{entries} {decisions}");
    assert_eq!(disk.store.prune(disk.clock.now(), keep).await.unwrap(), 0);
    disk.clock.jump(DAY * 310);
    assert_ne!(disk.store.prune(disk.clock.now(), keep).await.unwrap(), 0);
    assert_eq!(record().await, (0, 0, 0));
    assert_eq!(disk.store.prune(disk.clock.now(), keep).await.unwrap(), 0);
}

#[tokio::test]
async fn what_an_alert_needs_that_is_not_over_is_kept() {
    let disk = Disk::new().await;
    // Open: its newest run and the one that paged are kept, the one between is not.
    let paged = disk.ended("QOPEN").await;
    disk.paged("QOPEN", &paged).await;
    let (between, newest) = (disk.ended("QOPEN").await, disk.ended("QOPEN").await);
    // Its note is to say how it ended, though others have looked since.
    let (noted, silent, last) = (disk.ended("QNOTED").await, disk.ended("QNOTED").await, disk.ended("QNOTED").await);
    for (id, note) in [(&noted, Some("PNOTE")), (&silent, None), (&last, None)] {
        let sql = sqlx::query("UPDATE runs SET note_id = $1 WHERE id = $2").bind(note).bind(id);
        sql.execute(&disk.store.pool).await.unwrap();
    }
    // Active, however old.
    let active = disk.run("QACTIVE").await;
    // By region: nothing remembers it.
    let by_region = match disk.store.create_run(&of_region("prod-eu-de"), None).await.unwrap() {
        Created::Now(Reply::Started(id)) => id,
        other => panic!("{other:?}"),
    };
    let lease = loop {
        let lease = disk.store.claim_run().await.unwrap().unwrap();
        if lease.run_id() == by_region {
            break lease;
        }
    };
    disk.store.finish_run(&lease, &Finish::Failed(Failure::Note, "x".into())).await.unwrap();
    disk.clock.jump(DAY * 400);
    disk.store.prune(disk.clock.now(), DAY * 90).await.unwrap();
    for (what, id, kept) in [
        ("paged", &paged, true),
        ("between", &between, false),
        ("newest", &newest, true),
        ("noted", &noted, true),
        ("silent", &silent, false),
        ("last", &last, true),
        ("active", &active, true),
        ("by region", &by_region, false),
    ] {
        assert_eq!(disk.store.run(id).await.unwrap().is_some(), kept, "{what}");
    }
    assert_eq!(disk.store.page("QOPEN").await.unwrap().unwrap().page_id.as_deref(), Some("QPAGE"));
    assert!(disk.store.alert("QOPEN").await.unwrap().is_some());
}

/// As long as something of it is young all of it stays, and then all of it goes.
#[tokio::test]
async fn an_alert_that_is_over_goes_whole_or_not_at_all() {
    let disk = Disk::new().await;
    let first = disk.ended("Q1").await;
    disk.paged("Q1", &first).await;
    let between = disk.ended("Q1").await;
    // It is open for long, and its last run is young.
    disk.clock.jump(DAY * 100);
    let last = disk.ended("Q1").await;
    disk.store.set_resolved("Q1", None).await.unwrap();
    disk.all_said().await;
    let fill = [
        "INSERT INTO openings (incident_id, region, automatic, holds_right, begun_at) VALUES ('Q1', 'prod-us-south', 1, 1, 1)",
        "INSERT INTO writes (key, incident_id, text, begun_at) VALUES ('end:Q1', 'Q1', 'It is over.', 1)",
        "INSERT INTO incidents (incident_id, alert_id) SELECT 'QMERGED', alert_id FROM incidents WHERE incident_id = 'Q1'",
        "INSERT INTO record (id, incident_id, at, text) VALUES ('merged', 'QMERGED', 1, 'was merged')",
        "INSERT INTO writes (key, incident_id, text, begun_at) VALUES ('join:Q1:QPAGE', 'QPAGE', '', 1)",
    ];
    for sql in fill {
        sqlx::query(sql).execute(&disk.store.pool).await.unwrap();
    }
    let tables = ["runs", "steps", "evidence", "writes", "pages", "openings", "record", "incidents", "alerts"];
    let counts = async || {
        let mut counts = Vec::new();
        for table in tables {
            counts.push(disk.count(table).await);
        }
        counts
    };
    let all = counts().await;
    disk.clock.jump(DAY * 89);
    disk.store.prune(disk.clock.now(), DAY * 90).await.unwrap();
    let mut kept = all.clone();
    // But for the note on a page that was joined, which is on no alert.
    kept[3] -= 1;
    assert_eq!(counts().await, kept, "{tables:?}");
    for id in [&first, &between] {
        assert!(disk.store.run(id).await.unwrap().is_some(), "{id}");
    }
    disk.clock.jump(DAY * 2);
    disk.store.prune(disk.clock.now(), DAY * 90).await.unwrap();
    assert_eq!(counts().await, [0; 9], "{tables:?}");
    assert_eq!(disk.store.run(&last).await.unwrap(), None);
}

/// No transaction takes more than some of its runs, and the newest goes last, with the rest of it.
#[tokio::test]
async fn an_alert_with_many_runs_goes_in_parts() {
    let disk = Disk::new().await;
    for _ in 0..50 {
        disk.ended("Q1").await;
    }
    disk.store.set_resolved("Q1", None).await.unwrap();
    disk.all_said().await;
    disk.clock.jump(DAY * 91);
    let keep = Keep { runs: DAY * 90, evidence: DAY * 400 };
    assert_eq!(disk.store.prune(disk.clock.now(), keep).await.unwrap(), 51);
    assert_eq!((disk.counts().await, disk.count("incidents").await), ([0; 6], 0));
}

/// A key makes the same request answer the same for a day, and keeps its run for that long; two operators may use one.
#[tokio::test]
async fn an_operators_key_is_kept_for_a_day() {
    let disk = Disk::new().await;
    let ask = async |who: &str| disk.store.create_run(&rerun_of("Q1"), Some((who, "key", "hash"))).await.unwrap();
    let Created::Now(Reply::Started(first)) = ask("alice").await else { panic!() };
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
    disk.clock.jump(DAY - Duration::from_secs(60));
    let Created::Now(Reply::Started(_)) = ask("bob").await else { panic!() };
    disk.store.prune(disk.clock.now(), Duration::from_secs(1)).await.unwrap();
    assert_eq!(ask("alice").await, Created::Before(first.clone()));
    disk.clock.jump(Duration::from_secs(120));
    disk.store.prune(disk.clock.now(), Duration::from_secs(1)).await.unwrap();
    assert_eq!((disk.count("idempotency_keys").await, disk.store.run(&first).await.unwrap()), (1, None));
}

/// PagerDuty sends an event again for two days: however short the retention, it starts no second run, no second page.
#[tokio::test]
async fn a_short_retention_forgets_no_event_and_no_alert_too_soon() {
    let disk = Disk::new().await;
    let run = disk.ended("Q1").await;
    disk.event("E1", "Q1").await;
    let paged = disk.ended("Q2").await;
    disk.paged("Q2", &paged).await;
    for incident in ["Q1", "Q2"] {
        disk.store.set_resolved(incident, None).await.unwrap();
    }
    disk.all_said().await;
    disk.clock.jump(DAY * 2);
    disk.store.prune(disk.clock.now(), Duration::from_secs(1)).await.unwrap();
    assert_eq!(disk.store.run(&run).await.unwrap(), None);
    assert!(disk.store.run(&paged).await.unwrap().is_some(), "its page may yet be asked for");
    let event = NewEvent { id: "E1", event_type: "incident.triggered", incident_id: Some("Q1"), body: "{}" };
    assert_eq!(disk.store.accept(event, Ok(run_of("Q1").into())).await.unwrap(), Accepted::Duplicate);
    let event = NewEvent { id: "E2", event_type: "incident.triggered", incident_id: Some("Q1"), body: "{}" };
    let accepted = disk.store.accept(event, Ok(run_of("Q1").into())).await.unwrap();
    assert!(matches!(&accepted, Accepted::Ignored(why) if why.contains("RETENTION")), "{accepted:?}");
    disk.clock.jump(DAY * 2);
    disk.store.prune(disk.clock.now(), Duration::from_secs(1)).await.unwrap();
    assert_eq!(disk.counts().await, [0, 0, 0, 0, 0, 1], "the second event is two days old");
}

#[tokio::test]
async fn time_is_counted_while_the_service_is_up_and_not_while_it_is_down() {
    let disk = Disk::new().await;
    disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    assert_eq!(lease.spent(), Duration::ZERO);
    for _ in 0..6 {
        disk.clock.jump(LEASE / 3);
        disk.store.renew().await.unwrap();
    }
    // Down for a day: of that, a lease counts.
    disk.clock.jump(DAY);
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    assert_eq!(lease.spent(), LEASE * 3);
    // Given back and taken up again and again, as where the database fails it: that counts too.
    let mut lease = lease;
    for _ in 0..10 {
        disk.store.release_run(&lease, Duration::from_secs(5)).await.unwrap();
        disk.clock.jump(Duration::from_secs(5));
        lease = disk.store.claim_run().await.unwrap().unwrap();
    }
    assert_eq!(lease.spent(), LEASE * 3 + Duration::from_secs(50));
}

#[tokio::test]
async fn an_ended_session_is_remembered_for_longer_than_it_would_have_lasted() {
    let disk = Disk::new().await;
    let until = disk.store.now() / 1000 + 12 * 3600;
    for _ in 0..2 {
        disk.store.end_session("one", until).await.unwrap();
    }
    disk.store.end_session("later", until + 10 * 86_400).await.unwrap();
    for (days, kept) in [(0, [true, true]), (2, [true, true]), (2, [false, true])] {
        disk.clock.advance(DAY * days).await;
        disk.store.prune(disk.clock.now(), Duration::from_secs(1)).await.unwrap();
        let ended = [disk.store.is_session_ended("one").await, disk.store.is_session_ended("later").await];
        assert_eq!(ended.map(Result::unwrap), kept, "{days}");
    }
    assert!(!disk.store.is_session_ended("two").await.unwrap());
}
