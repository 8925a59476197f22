use super::*;

fn theirs(title: &str) -> Opening {
    Opening::new(title, Setup::SERVICE_ENDPOINT)
}

/// lifecycle.md#the-page: an open incident of that service is joined by a note instead.
#[tokio::test]
async fn an_open_page_that_names_region_or_box_is_joined_by_one_note() {
    let boxed = format!("us-south-dal10-registry-{REGION}-az2-1-vm-d4533b5e");
    for title in [
        format!("{REGION} rejects connections"),
        format!("box {boxed} is down"),
        format!("SE DOWN IN {}.", REGION.to_uppercase()),
        format!("registry-{REGION}-az2: rejects"),
        format!("box registry-{REGION}-az2-1 is down"),
        format!("prod-us-south-2 and {REGION} are down"),
    ] {
        let bench = Bench::new().await;
        let lease = bench.wanted(None).await;
        let open = bench.account.open(theirs(&title)).id;
        bench.page(&lease).await;
        assert!(bench.account.pages().is_empty());
        let run = bench.shown().await;
        assert_eq!((run.escalation.state, run.escalation.page.unwrap().id), (EscalationState::Paged, open.clone()));
        assert!(bench.record().await.unwrap().joined);
        let notes = bench.notes_on(&open);
        assert!(notes.len() == 1 && notes[0].ends_with(&format!("se-responder alert {}", bench.alert)), "{notes:?}");
    }
}

#[tokio::test]
async fn a_joining_note_whose_answer_is_lost_is_not_written_twice_though_reads_lag() {
    for fault in ["reset", "half-answer", "status-500", "status-503", "html"] {
        let bench = Bench::new().await;
        let open = bench.account.open(theirs(&format!("{REGION} rejects connections"))).id;
        bench.clock.jump(LAG * 2);
        bench.account.set_lag(LAG);
        let lease = bench.wanted(None).await;
        bench.account.fail_once_done(Endpoint::AddNote, fault.parse().unwrap(), 1);
        bench.page(&lease).await;
        assert_eq!(bench.notes_on(&open).len(), 1, "{fault}");
        assert_eq!(bench.state().await, PageState::Paged);
    }
}

#[tokio::test]
async fn a_joining_note_of_a_worker_that_was_cut_off_is_found_and_anothers_is_not_ours() {
    let bench = Bench::new().await;
    let open = bench.account.open(theirs(&format!("{REGION} rejects connections"))).id;
    bench.clock.jump(LAG * 2);
    bench.account.set_lag(LAG);
    let first = bench.wanted(None).await;
    // Another alert's note, whose id begins with ours.
    bench.account.annotate(&open, Setup::RESPONDER, &format!("x\nse-responder alert {}0", bench.alert)).unwrap();
    bench.context.store.begin_join(&first, &open).await.unwrap();
    bench
        .context
        .pagerduty
        .add_note(&bench.context.permit, &open, &format!("x\nse-responder alert {}", bench.alert))
        .await
        .unwrap();
    bench.context.store.release_page(&first, Duration::ZERO).await.unwrap();
    let second = bench.context.store.claim_page().await.unwrap().unwrap();
    bench.page(&second).await;
    assert_eq!(bench.notes_on(&open).len(), 2);

    let bench = Bench::new().await;
    let open = bench.account.open(theirs(&format!("{REGION} rejects connections"))).id;
    bench.account.annotate(&open, Setup::RESPONDER, &format!("x\nse-responder alert {}0", bench.alert)).unwrap();
    let lease = bench.wanted(None).await;
    bench.page(&lease).await;
    assert_eq!(bench.notes_on(&open).len(), 2);
}

/// lifecycle.md#the-page: it is joined if it is of high urgency, younger than `RELATED_MAX_AGE` and names this region.
#[tokio::test]
async fn what_is_low_old_elsewhere_or_about_something_else_is_not_joined() {
    let title = format!("{REGION} rejects connections");
    let low = Opening { urgency: "low".into(), ..theirs(&title) };
    let day = SignedDuration::from_hours(24);
    let now: Timestamp = crate::run::bench::NOW.parse().unwrap();
    let old = Opening { created_at: Some(now - day), ..theirs(&title) };
    let elsewhere = Opening::new(&title, "PCLDSTG");
    let others = [
        "prod-us-south-2 rejects connections",
        "registry-prod-us-south-2-az1-1 rejects connections",
        "prod-us-south1 rejects connections",
        "preprod-us-south rejects connections",
        "dev-prod-us-south rejects connections",
        // As people see it, another region's too.
        "prod-us-south\u{200b}-2 rejects connections",
        "another-us-south-dal10-registry-prod-us-south-az2-1-vm-d4533b5e rejects connections",
        "a disk is full",
    ];
    for opening in [low, old, elsewhere].into_iter().chain(others.map(theirs)) {
        let bench = Bench::new().await;
        let lease = bench.wanted(None).await;
        let open = bench.account.open(opening.clone()).id;
        bench.page(&lease).await;
        bench.the_page();
        assert!(bench.notes_on(&open).is_empty() && !bench.record().await.unwrap().joined, "{opening:?}");
    }
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    let young = Opening { created_at: Some(now - day + SignedDuration::from_secs(60)), ..theirs(&title) };
    bench.account.open(young);
    bench.page(&lease).await;
    assert!(bench.account.pages().is_empty());
}

/// lifecycle.md#the-page: it is joined if it is ours for this region.
#[tokio::test]
async fn a_page_of_ours_for_the_same_region_is_joined_whatever_its_urgency_and_age() {
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    let now = bench.context.clock.now();
    let ours = Opening {
        urgency: "low".into(),
        created_at: Some(now - SignedDuration::from_hours(100)),
        incident_key: Some("se-responder/QOTHER".into()),
        ..theirs(&format!("All SE endpoints are down in registry region {REGION}"))
    };
    let ours = bench.account.open(ours).id;
    bench.page(&lease).await;
    assert_eq!(bench.shown().await.escalation.page.unwrap().id, ours);
    assert!(bench.account.pages().is_empty());
}

#[tokio::test]
async fn a_page_of_ours_is_joined_for_its_region_whatever_its_title_became_and_for_no_other() {
    let bench = Bench::new().await;
    let earlier = bench.account.open(Opening::new(&format!("All SE endpoints down in {REGION}"), Setup::REGISTRY)).id;
    bench.queued(&earlier).await;
    let run = bench.context.store.claim_run().await.unwrap().unwrap();
    bench.context.store.finish_run(&run, &store::Finish::Done).await.unwrap();
    let lease = bench.wanted(None).await;
    let mut ours = theirs("SE incident 42, see the bridge");
    ours.incident_key = Some(Context::page_key(&earlier));
    let ours = bench.account.open(ours).id;
    bench.page(&lease).await;
    assert_eq!((bench.shown().await.escalation.page.unwrap().id, bench.account.pages().len()), (ours, 0));
}

/// lifecycle.md#the-page: other open ones that name them are linked.
#[tokio::test]
async fn others_that_name_it_are_linked() {
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    let other = bench.account.open(Opening { urgency: "low".into(), ..theirs(&format!("{REGION} is slow")) }).id;
    bench.page(&lease).await;
    let body = bench.the_page().body.unwrap();
    assert!(body.contains(&format!("{REGION} is slow https://sim.pagerduty.com/incidents/{other}")), "{body}");
}

#[tokio::test]
async fn others_that_name_it_are_linked_in_the_page_that_is_joined_too() {
    let bench = Bench::new().await;
    let lease = bench.wanted(None).await;
    let joined = bench.account.open(theirs(&format!("{REGION} is down"))).id;
    let other = bench.account.open(Opening { urgency: "low".into(), ..theirs(&format!("{REGION} is slow")) }).id;
    bench.page(&lease).await;
    let notes = bench.account.notes_of(&joined);
    let line = format!("Also open on this service: {REGION} is slow https://sim.pagerduty.com/incidents/{other}");
    assert!(notes.len() == 1 && notes[0].content.lines().any(|l| l == line), "{notes:#?}");
}

/// There may be more open than PagerDuty lists: of one service there are fewer.
#[tokio::test]
async fn a_person_pages_though_not_everything_that_is_open_can_be_listed() {
    let bench = Bench::new().await;
    let lease = bench.wanted(Some("olivia")).await;
    let open = bench.account.open(theirs(&format!("{REGION} rejects connections"))).id;
    let (record, run) = (bench.record().await.unwrap(), bench.shown().await);
    let facts = bench.context.store.facts(&run.id).await.unwrap();
    let subject = Subject { context: &bench.context, of: &lease, record, run, earlier: None, facts };
    let service = bench.context.escalation_service().await.unwrap().unwrap();
    let unknown = Err(Error::malformed("listing PagerDuty's open incidents", "more than 10000 entries"));
    let joining = subject.open_pages(&service, &unknown).await.unwrap();
    assert_eq!(joining.joined.unwrap().id, open);
}
