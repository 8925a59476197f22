use super::*;

#[tokio::test]
async fn runs_are_listed_newest_first_by_filter_and_page_by_page() {
    let disk = Disk::new().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(disk.run(&format!("Q{n}")).await);
    }
    let Created::Now(Reply::Started(region)) = disk.store.create_run(&of_region("prod-eu-de"), None).await.unwrap()
    else {
        panic!()
    };
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    assert_eq!(lease.run_id(), ids[0], "the oldest is worked on first");
    disk.store.finish_run(&lease, &Finish::Failed(Failure::Note, "broken".into())).await.unwrap();
    ids.push(region);
    ids.reverse();
    let list = |filter: Filter| {
        let store = disk.store.clone();
        async move { store.runs(&filter).await.unwrap().into_iter().map(|run| run.id).collect::<Vec<_>>() }
    };
    let all = Filter { limit: 50, ..Filter::default() };
    assert_eq!(list(all.clone()).await, ids);
    assert_eq!(list(Filter { incident_id: Some("Q3".into()), ..all.clone() }).await, [ids[2].clone()]);
    assert_eq!(list(Filter { incident_id: Some("Q9".into()), ..all.clone() }).await, [""; 0]);
    assert_eq!(list(Filter { region: Some("prod-eu-de".into()), ..all.clone() }).await, [ids[0].clone()]);
    assert_eq!(list(Filter { state: Some(State::Failed), ..all.clone() }).await, [ids[5].clone()]);
    assert_eq!(list(Filter { state: Some(State::Queued), ..all.clone() }).await, ids[..5]);
    let both = Filter { state: Some(State::Queued), region: Some("prod-us-south".into()), ..all.clone() };
    assert_eq!(list(both).await, ids[1..5]);

    let first = list(Filter { limit: 4, ..all.clone() }).await;
    assert_eq!(first, ids[..4]);
    assert_eq!(list(Filter { limit: 4, before: first.last().cloned(), ..all.clone() }).await, ids[4..]);
    assert_eq!(list(Filter { before: ids.last().cloned(), ..all.clone() }).await, [""; 0]);
    // A filter is a value, never SQL.
    assert_eq!(list(Filter { region: Some("' OR 1=1 --".into()), ..all }).await, [""; 0]);
}

#[tokio::test]
async fn a_run_comes_back_as_it_was_made_and_as_it_ended() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    let run = disk.store.run(&id).await.unwrap().unwrap();
    assert_eq!((run.incident, run.created_at), (run_of("Q1").incident, disk.clock.now()));
    assert_eq!((run.state, run.trigger, run.finished_at, run.reason), (State::Queued, Trigger::Webhook, None, None));
    assert_eq!(disk.store.run("nobody").await.unwrap(), None);
    for (finish, state, reason) in [
        (Finish::Done, State::Done, None),
        (Finish::Failed(Failure::Note, "broken".into()), State::Failed, Some("broken")),
        (Finish::Cancelled("resolved".into()), State::Cancelled, Some("resolved")),
    ] {
        let disk = Disk::new().await;
        let id = disk.run("Q1").await;
        let lease = disk.store.claim_run().await.unwrap().unwrap();
        disk.clock.jump(Duration::from_secs(7));
        disk.store.finish_run(&lease, &finish).await.unwrap();
        let run = disk.store.run(&id).await.unwrap().unwrap();
        assert_eq!((run.state, run.reason.as_deref(), run.finished_at), (state, reason, Some(disk.clock.now())));
    }
}

#[tokio::test]
async fn a_page_is_shown_by_the_run_that_asked_for_it_and_by_later_ones_only() {
    let disk = Disk::new().await;
    let mut runs = Vec::new();
    for n in 0..3 {
        let Created::Now(Reply::Started(id)) = disk.store.create_run(&rerun_of("Q1"), None).await.unwrap() else {
            panic!()
        };
        let lease = disk.store.claim_run().await.unwrap().unwrap();
        if n == 1 {
            disk.store.request_page("Q1", &id, None).await.unwrap();
            let page = disk.store.claim_page().await.unwrap().unwrap();
            let result = PageResult { page: Some(("QP", "https://p")), joined: false, reason: Some("unassigned") };
            disk.store.finish_page(&page, &result).await.unwrap();
        }
        disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
        runs.push(id);
    }
    let mut shown = Vec::new();
    for id in &runs {
        let escalation = disk.store.run(id).await.unwrap().unwrap().escalation;
        shown.push((escalation.page.map(|page| page.id), escalation.reason));
    }
    let page = (Some("QP".to_owned()), Some("unassigned".to_owned()));
    assert_eq!(shown, [(None, None), page.clone(), page]);
}

#[tokio::test]
async fn every_alert_of_the_last_hour_is_counted_once_however_many_there_were() {
    let disk = Disk::new().await;
    disk.run("QOLD").await;
    disk.clock.jump(Duration::from_secs(3601));
    for n in 0..30 {
        let id = disk.run(&format!("Q{n}")).await;
        let run = disk.store.run(&id).await.unwrap().unwrap();
        assert_eq!(disk.store.alerts_in_the_hour_before(&run).await.unwrap(), n + 1);
        disk.clock.jump(Duration::from_secs(60));
    }
    let other = NewRun { region: "prod-eu-de".parse().unwrap(), ..run_of("QEU") };
    let Created::Now(Reply::Started(id)) = disk.store.create_run(&other, None).await.unwrap() else { panic!() };
    let run = disk.store.run(&id).await.unwrap().unwrap();
    assert_eq!(disk.store.alerts_in_the_hour_before(&run).await.unwrap(), 1, "of its own region");
}

/// A list asks once for what was done about all its alerts, and shows of each what it shows by itself.
#[tokio::test]
async fn what_was_done_is_the_same_in_a_list_as_by_itself() {
    let disk = Disk::new().await;
    let done = async |incident_id: &str, what: &str| {
        disk.clock.jump(Duration::from_secs(1));
        disk.store.add_entry(NewEntry::new(incident_id, runbook::record::EntryKind::Other, what)).await.unwrap();
    };
    let end = async |id: &str| {
        let lease = disk.store.claim_run().await.unwrap().unwrap();
        assert_eq!(lease.run_id(), id);
        disk.clock.jump(Duration::from_secs(1));
        disk.store.finish_run(&lease, &Finish::Done).await.unwrap();
    };
    let again = async |incident_id: &str| {
        let run = NewRun { reopened: false, trigger: Trigger::Rerun, ..run_of(incident_id) };
        let Created::Now(Reply::Started(id)) = disk.store.create_run(&run, None).await.unwrap() else { panic!() };
        end(&id).await;
    };
    // Two runs of one alert, one of another, one that has become a third incident, one that goes on, one by region.
    again("Q1").await;
    done("Q1", "between").await;
    again("Q1").await;
    again("Q2").await;
    again("QOLD").await;
    done("QOLD", "before the merge").await;
    disk.run("QNEW").await;
    for sql in [
        "UPDATE incidents SET alert_id = (SELECT alert_id FROM incidents WHERE incident_id = 'QNEW') WHERE incident_id = 'QOLD'",
        "UPDATE runs SET alert_id = (SELECT alert_id FROM incidents WHERE incident_id = 'QNEW') WHERE incident_id = 'QOLD'",
    ] {
        sqlx::query(sql).execute(&disk.store.pool).await.unwrap();
    }
    for (incident_id, what) in [("Q1", "one"), ("Q2", "two"), ("QNEW", "after the merge"), ("Q9", "nobody's")] {
        done(incident_id, what).await;
    }
    for n in 0..210 {
        done("Q2", &n.to_string()).await;
    }
    disk.store.create_run(&of_region("prod-eu-de"), None).await.unwrap();
    let mut listed = disk.store.runs(&Filter { limit: 50, ..Filter::default() }).await.unwrap();
    disk.store.fill_activity(&mut listed).await.unwrap();
    let mut counts = Vec::new();
    for run in &listed {
        let alone = disk.store.run(&run.id).await.unwrap().unwrap();
        assert_eq!(run.activity, alone.activity, "{}", run.id);
        assert!(run.activity.is_sorted_by_key(|done| done.at));
        counts.push(run.activity.len());
    }
    assert_eq!(counts, [0, 0, 2, 200, 1, 2], "newest first");
    let last = listed[3].activity.last().map(|done| done.what.as_str());
    assert_eq!((last, listed[2].activity[1].what.as_str()), (Some("209"), "after the merge"));
    disk.store.fill_activity(&mut []).await.unwrap();
}

#[tokio::test]
async fn a_run_has_when_its_page_was_seen_resolved_and_when_its_own_alert_was_last_triggered() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    disk.store.request_page("Q1", &id, None).await.unwrap();
    let lease = disk.store.claim_page().await.unwrap().unwrap();
    let open = PageResult { page: Some(("P1", "https://x/P1")), joined: false, reason: None };
    disk.store.finish_page(&lease, &open).await.unwrap();
    let closed_at = async || disk.store.run(&id).await.unwrap().unwrap().escalation.page.unwrap().closed_at;
    assert_eq!(closed_at().await, None);
    disk.store.set_page_closed(lease.alert(), "P1").await.unwrap();
    assert!(closed_at().await.is_some());
    let triggered_at = async || disk.store.run(&id).await.unwrap().unwrap().triggered_at;
    disk.store.spoil("UPDATE alerts SET triggered_at = 7000").await;
    assert_eq!(triggered_at().await, Some(jiff::Timestamp::from_second(7).unwrap()));
    disk.store.spoil("UPDATE alerts SET incident_id = 'Q2'").await;
    assert_eq!(triggered_at().await, None, "it was merged: that is the other's");
}
