//! What a run has seen.

use super::*;
use runbook::alert::{Region, Zone};
use runbook::diagnosis::client::{Answer, Look, RegionLook, Up};
use runbook::diagnosis::{Checks, Console, Earlier, Finding, MagicBox, Reading};
use runbook::record::EntryKind;

fn reading(at: jiff::Timestamp, se_status: u8) -> Reading {
    let of_one = MagicBox {
        name: "registry-prod-us-south-az1-1".into(),
        magic_box_id: "a \0 odd id".into(),
        node: "Ready".into(),
        backend_ip: "10.0.0.1".into(),
        frontend: "166.9.12.114/23".into(),
        se_status,
        upstream_status: 1,
    };
    let console = Console { boxes: vec![of_one.clone()], ..Console::default() };
    Reading { build_url: None, at, console, warnings: vec!["a warning".into()], set_aside: vec![of_one] }
}

fn checks(at: jiff::Timestamp, finding: Finding) -> Vec<(Zone, Checks)> {
    let checks = Checks {
        finding,
        konicle: None,
        ingress: vec![],
        status: None,
        konicle_pods: vec![],
        registry_pages: vec![],
        warnings: vec![],
        error: None,
        at,
        context: None,
    };
    vec![(Zone::new("registry-prod-us-south-az1"), checks)]
}

/// For streams of changes: each begin and each end is one.
#[tokio::test]
async fn steps_are_counted_as_they_begin_and_end() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let counted = async || disk.store.count_steps(&[&id, "another"]).await.unwrap().get(&id).copied();
    assert_eq!(counted().await, None);
    let step = disk.store.begin_step(&lease, "read_boxes").await.unwrap();
    assert_eq!(counted().await, Some((1, 0)));
    disk.store.end_step(&lease, step, None, None, &[]).await.unwrap();
    assert_eq!(counted().await, Some((1, 1)));
}

#[tokio::test]
async fn what_a_run_has_seen_is_kept_with_the_end_of_its_step() {
    let disk = Disk::new().await;
    disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let (at, store) = (disk.clock.now(), &disk.store);
    assert_eq!(store.evidence(lease.run_id()).await.unwrap(), Earlier::default());
    let (first, again) = (reading(at, 0), reading(at, 1));
    let (then, now) = (checks(at, Finding::KonicleFault), checks(at, Finding::Healthy));
    let region: Region = "prod-us-south".parse().unwrap();
    let (se, public) = (Answer { state: Some(Up::Down), at: Some(at), why: None }, Answer::not_asked("no connection"));
    let look = Look { regions: vec![RegionLook { region, se, public }], front_ends: Vec::new() };
    for saw in [
        Sight::Reading(&first),
        Sight::Checks(&then),
        Sight::Client(&look),
        Sight::Reading(&again),
        Sight::Checks(&now),
        Sight::Client(&look),
    ] {
        let step = store.begin_step(&lease, "a step").await.unwrap();
        store.end_step(&lease, step, None, Some(saw), &[]).await.unwrap();
    }
    let (readings, checks) = (vec![first, again], [then, now].concat());
    let all = Earlier { readings, checks, looks: vec![look.clone(), look], ..Earlier::default() };
    assert_eq!(store.evidence(lease.run_id()).await.unwrap(), all);
    let run_id = lease.run_id().to_owned();
    let disk = disk.restarted().await;
    assert_eq!(disk.store.evidence(&run_id).await.unwrap(), all);
    assert_eq!(disk.store.evidence("another").await.unwrap(), Earlier::default());
}

#[tokio::test]
async fn whoever_has_lost_a_run_adds_nothing_to_what_it_has_seen() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let step = disk.store.begin_step(&lease, "read_boxes").await.unwrap();
    disk.store.release_run(&lease, Duration::ZERO).await.unwrap();
    disk.store.claim_run().await.unwrap().expect("it, for somebody else");
    let seen = reading(disk.clock.now(), 0);
    lost(disk.store.end_step(&lease, step, None, Some(Sight::Reading(&seen)), &[]).await);
    assert_eq!(disk.store.evidence(&id).await.unwrap(), Earlier::default());
}

#[tokio::test]
async fn what_cannot_be_read_back_is_no_proof_that_all_was_well() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    for (step, kind, body) in [(1_i64, "reading", "{"), (2, "checks", "[1]"), (3, "dreams", "{}")] {
        sqlx::query(
            "INSERT INTO evidence (run_id, step, kind, body, region, at) VALUES ($1, $2, $3, $4, 'prod-us-south', 0)",
        )
        .bind(&id)
        .bind(step)
        .bind(kind)
        .bind(body)
        .execute(&disk.store.pool)
        .await
        .unwrap();
    }
    let seen = disk.store.evidence(&id).await.unwrap();
    assert_eq!((seen.readings.len(), seen.checks.len()), (3, 0));
    assert!(seen.readings.iter().all(|reading| reading.console.boxes.is_empty()), "{seen:?}");
}

#[tokio::test]
async fn the_record_of_an_alert_outlives_its_runs_its_merges_and_the_alert() {
    let disk = Disk::new().await;
    let id = disk.run("QA").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let store = &disk.store;
    let (saw, step) = (reading(disk.clock.now(), 0), store.begin_step(&lease, "read_boxes").await.unwrap());
    store.end_step(&lease, step, None, Some(Sight::Reading(&saw)), &[]).await.unwrap();
    let note = NewEntry { run_id: Some(&id), ..NewEntry::new("QA", EntryKind::Edit, "edited \0") };
    store.add_entry(note).await.unwrap();
    let page = NewEntry { data: Some("QPAGE".into()), ..NewEntry::new("QA", EntryKind::Page, "paged") };
    store.add_entry(page).await.unwrap();
    let verdict = NewEntry { data: Some("pCIE".into()), ..NewEntry::new("QA", EntryKind::Verdict, "why") };
    store.add_entry(verdict).await.unwrap();
    let rung = runbook::plan::run::Standing::new(true);
    let decided = runbook::decided::Decided::Rung { standing: rung, rung: runbook::plan::run::rung(&rung) };
    let decision = NewDecision { at: disk.clock.now(), decided: decided.clone() };
    store.finish_decided(&lease, &Finish::Done, &[decision]).await.unwrap();
    // It is another incident from then on.
    let other = disk.run("QB").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let decision = NewDecision { at: disk.clock.now(), decided: decided.clone() };
    store.add_decisions(&other, &[decision]).await.unwrap();
    store.add_entry(NewEntry::new("QB", EntryKind::Other, "of QB")).await.unwrap();
    let into = run_of("QA").incident.unwrap();
    store.merge_alert(&lease, "QB", &into, false, None).await.unwrap().unwrap();
    store.finish_run(&lease, &Finish::Done).await.unwrap();
    let told = async |name: &str| {
        let record = store.record_of(name).await.unwrap().expect("a record");
        assert_eq!((record.incident_id.as_str(), record.region.as_deref()), ("QA", Some("prod-us-south")), "{name}");
        assert_eq!((record.pages, record.classes), (vec!["QPAGE".to_owned()], vec!["pCIE".to_owned()]));
        assert!(
            matches!(&record.seen[..], [Seen { run_id, sight: Ok(OwnedSight::Reading(read)), .. }]
            if *run_id == id && *read == saw),
            "{:?}",
            record.seen
        );
        let of = |kind| record.entries.iter().filter(|entry| entry.kind == kind).collect::<Vec<_>>();
        let edits = of(EntryKind::Edit);
        assert_eq!(
            (edits.len(), edits[0].text.as_str(), edits[0].run_id.as_deref()),
            (1, "edited \u{fffd}", Some(&*id))
        );
        assert!(record.entries.iter().any(|entry| entry.text == "of QB"), "{:?}", record.entries);
        let decisions = store.decisions(Of::AlertOf(&id), 0, 100).await.unwrap().expect("decisions");
        for run_id in [&id, &other] {
            let is_it = |d: &Decision| d.run_id.as_ref() == Some(run_id) && d.decided.as_ref().ok() == Some(&decided);
            assert!(decisions.iter().any(is_it), "{decisions:?}");
        }
    };
    told("QA").await;
    told("QB").await;
    store.set_resolved("QA", None).await.unwrap();
    while let Some(lease) = store.claim_alert().await.unwrap() {
        let now = store.alert_now(&lease).await.unwrap().unwrap();
        store.rest_alert(&lease, now.version, &Beside::default(), None, None, &[]).await.unwrap();
    }
    disk.clock.jump(Duration::from_secs(100 * 86_400));
    let day = Duration::from_secs(86_400);
    store.prune(disk.clock.now(), Keep { runs: day * 90, evidence: day * 400 }).await.unwrap();
    assert_eq!((disk.count("alerts").await, disk.count("runs").await), (0, 0));
    told("QA").await;
    assert!(
        store.record_of("QX").await.unwrap().is_none()
            && store.decisions(Of::AlertOf("another"), 0, 9).await.unwrap().is_none()
    );
}

#[tokio::test]
async fn what_was_merged_and_is_open_again_has_a_record_of_its_own() {
    let disk = Disk::new().await;
    let store = &disk.store;
    let id = disk.run("QB").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    store.add_entry(NewEntry::new("QB", EntryKind::Other, "of QB")).await.unwrap();
    store.set_note(&lease, "PNOTE", "text").await.unwrap();
    let standing = runbook::plan::run::Standing::new(true);
    let decided = runbook::decided::Decided::Rung { standing, rung: runbook::plan::run::rung(&standing) };
    store.add_decisions(&id, &[NewDecision { at: disk.clock.now(), decided }]).await.unwrap();
    store.merge_alert(&lease, "QB", &run_of("QA").incident.unwrap(), true, None).await.unwrap().unwrap();
    store.finish_run(&lease, &Finish::Done).await.unwrap();
    let has = async |name: &str| {
        let record = store.record_of(name).await.unwrap().expect("a record");
        record.entries.iter().any(|entry| entry.text == "of QB")
    };
    assert!(has("QA").await && has("QB").await);
    let again = NewRun { reopened: true, ..run_of("QB") };
    store.create_run(&again, None).await.unwrap();
    assert!(!has("QA").await && has("QB").await);
    let decisions = store.decisions(Of::AlertOf(&id), 0, 100).await.unwrap().expect("decisions");
    assert!(decisions.iter().any(|d| d.run_id.as_deref() == Some(&*id)), "{decisions:?}");
}

#[tokio::test]
async fn a_database_that_is_in_use_is_read_beside_and_takes_no_write() {
    let disk = Disk::new().await;
    let id = disk.run("QA").await;
    let url = disk.url.clone();
    let beside = Store::open_to_read(&url, disk.store.clock.clone()).await.unwrap().expect("a database");
    assert_eq!(beside.run(&id).await.unwrap().expect("a run").id, id);
    assert!(beside.add_entry(NewEntry::new("QA", EntryKind::Other, "no")).await.is_err());
    beside.close().await;
    disk.store.add_entry(NewEntry::new("QA", EntryKind::Other, "yes")).await.unwrap();
}
