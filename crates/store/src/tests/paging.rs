use super::*;
use runbook::alert::Region;
use runbook::writes::opening::Reservation;

async fn wanted(disk: &Disk, incident_id: &str, asked_by: Option<&str>) -> (String, PageOf) {
    let run = disk.run(incident_id).await;
    disk.store.request_page(incident_id, &run, asked_by).await.unwrap();
    (run, disk.store.claim_page().await.unwrap().unwrap())
}

const OPEN: PageResult<'_> = PageResult { page: Some(("QPAGE", "https://page")), joined: false, reason: None };
const FAILED: PageResult<'_> = PageResult { page: None, joined: false, reason: Some("refused") };

/// It has ended, and the alert's notes say so.
async fn finish(disk: &Disk, lease: &PageOf, result: &PageResult<'_>) -> Result<(), StoreError> {
    disk.store.finish_page(lease, result).await?;
    disk.store.set_page_told(lease).await?;
    disk.store.page_rests(lease).await
}

/// A region that no other alert has: pages of one region wait for each other.
fn of_its_own(lease: &PageOf) -> Region {
    lease.incident_id().to_lowercase().parse().unwrap()
}

async fn begin(
    store: &Store,
    lease: &PageOf,
    limit: Option<(jiff::Timestamp, u32)>,
) -> Result<Reservation, StoreError> {
    store.begins_page(lease, &of_its_own(lease), limit, &[]).await
}

#[tokio::test]
async fn what_became_of_a_page_is_told_also_after_a_crash() {
    for result in [OPEN, FAILED] {
        let disk = Disk::new().await;
        let (_, stale) = wanted(&disk, "Q1", None).await;
        disk.store.finish_page(&stale, &result).await.unwrap();
        assert_eq!(disk.store.claim_page().await.unwrap(), None, "it is being told of");
        disk.clock.jump(LEASE);
        let lease = disk.store.claim_page().await.unwrap().unwrap();
        lost(disk.store.set_page_told(&stale).await);
        disk.store.set_page_told(&lease).await.unwrap();
        disk.store.page_rests(&lease).await.unwrap();
        disk.clock.jump(LEASE);
        assert_eq!(disk.store.claim_page().await.unwrap(), None);
    }
}

/// lifecycle.md#the-page: an alert has one page, ever.
#[tokio::test]
async fn an_alert_has_one_page_ever() {
    let disk = Disk::new().await;
    let (run, lease) = wanted(&disk, "Q1", None).await;
    finish(&disk, &lease, &OPEN).await.unwrap();
    for asked_by in [None, Some("olivia")] {
        let page = disk.store.request_page("Q1", &run, asked_by).await.unwrap();
        assert_eq!((page.state, page.asked_by), (PageState::Paged, None));
        assert_eq!(page.page_url.as_deref(), Some("https://page"));
        assert_eq!(disk.store.claim_page().await.unwrap(), None);
    }
    disk.clock.jump(LEASE * 3);
    assert_eq!((disk.store.claim_page().await.unwrap(), disk.count("pages").await), (None, 1));
}

#[tokio::test]
async fn a_failed_page_is_tried_again_at_a_persons_word_only() {
    let disk = Disk::new().await;
    let (run, lease) = wanted(&disk, "Q1", None).await;
    finish(&disk, &lease, &FAILED).await.unwrap();
    let page = disk.store.request_page("Q1", &run, None).await.unwrap();
    assert_eq!((page.state, page.reason.as_deref()), (PageState::Failed, Some("refused")));
    assert_eq!(disk.store.claim_page().await.unwrap(), None);
    let page = disk.store.request_page("Q1", &run, Some("olivia")).await.unwrap();
    assert_eq!((page.state, page.asked_by.as_deref(), page.reason), (PageState::Requested, Some("olivia"), None));
    assert!(disk.store.claim_page().await.unwrap().is_some());
}

#[tokio::test]
async fn a_persons_word_takes_over_an_automatic_wish_and_can_not_be_held() {
    let disk = Disk::new().await;
    let (run, lease) = wanted(&disk, "Q1", None).await;
    disk.store.request_page("Q1", &run, Some("olivia")).await.unwrap();
    assert!(!disk.store.hold_page(&lease, "related pages", None, None).await.unwrap());
    // The second person's word changes nothing.
    let page = disk.store.request_page("Q1", &run, Some("oscar")).await.unwrap();
    assert_eq!((page.state, page.asked_by.as_deref()), (PageState::Requested, Some("olivia")));
    finish(&disk, &lease, &OPEN).await.unwrap();
    assert_eq!(disk.store.page("Q1").await.unwrap().unwrap().state, PageState::Paged);
}

#[tokio::test]
async fn a_held_wish_is_gone_and_its_run_says_why() {
    let disk = Disk::new().await;
    let (run, lease) = wanted(&disk, "Q1", None).await;
    assert!(disk.store.hold_page(&lease, "related pages", None, None).await.unwrap());
    disk.store.page_rests(&lease).await.unwrap();
    assert_eq!(disk.store.page("Q1").await.unwrap(), None);
    let escalation = disk.store.run(&run).await.unwrap().unwrap().escalation;
    assert_eq!(
        (escalation.state, escalation.reason.as_deref()),
        (runbook::run::EscalationState::Held, Some("related pages"))
    );
    // A person may still want it.
    disk.store.request_page("Q1", &run, Some("olivia")).await.unwrap();
    assert!(disk.store.claim_page().await.unwrap().is_some());
}

#[tokio::test]
async fn a_worker_that_lost_its_page_can_write_nothing_at_all() {
    for same_process in [false, true] {
        let disk = Disk::new().await;
        let (run, stale) = wanted(&disk, "Q1", None).await;
        disk.clock.jump(LEASE - Duration::from_millis(1));
        assert_eq!(disk.other().claim_page().await.unwrap(), None);
        disk.clock.jump(Duration::from_millis(1));
        let owner = if same_process { disk.store.clone() } else { disk.other() };
        let lease = owner.claim_page().await.unwrap().unwrap();
        let before = disk.store.page("Q1").await.unwrap();
        lost(disk.store.check_claim(stale.claim()).await);
        lost(disk.store.set_page_told(&stale).await);
        lost(disk.store.release_page(&stale, Duration::ZERO).await);
        lost(disk.store.begins_page(&stale, &of_its_own(&stale), None, &[]).await);
        lost(disk.store.wait_for_opening(&stale, false, None, false).await);
        lost(disk.store.forget_tries(&stale).await);
        lost(disk.store.begin_join(&stale, "QPAGE").await);
        lost(disk.store.finish_page(&stale, &OPEN).await);
        lost(disk.store.hold_page(&stale, "x", None, None).await);
        assert_eq!(disk.store.page("Q1").await.unwrap(), before);
        let escalation = disk.store.run(&run).await.unwrap().unwrap().escalation;
        assert_eq!((escalation.state, escalation.reason), (runbook::run::EscalationState::Requested, None));
        owner.check_claim(lease.claim()).await.unwrap();
        assert_eq!(owner.begins_page(&lease, &of_its_own(&lease), None, &[]).await.unwrap(), Reservation::Reserved);
        owner.finish_page(&lease, &OPEN).await.unwrap();
    }
}

#[tokio::test]
async fn a_page_that_is_given_back_is_due_after_its_rest() {
    let disk = Disk::new().await;
    let (_, lease) = wanted(&disk, "Q1", None).await;
    disk.store.release_page(&lease, Duration::from_secs(5)).await.unwrap();
    disk.clock.jump(Duration::from_millis(4999));
    assert_eq!(disk.store.claim_page().await.unwrap(), None);
    disk.clock.jump(Duration::from_millis(1));
    assert!(disk.store.claim_page().await.unwrap().is_some());
}

#[tokio::test]
async fn automatic_pages_that_were_opened_or_may_have_been_count() {
    let disk = Disk::new().await;
    let start = disk.clock.now();
    let begun = |incident: &'static str, asked_by| {
        let disk = &disk;
        async move {
            let (_, lease) = wanted(disk, incident, asked_by).await;
            assert_eq!(begin(&disk.store, &lease, None).await.unwrap(), Reservation::Reserved);
            lease
        }
    };
    let open = begun("Q1", None).await;
    finish(&disk, &open, &OPEN).await.unwrap();
    begun("Q2", None).await;
    let joined = begun("Q3", None).await;
    disk.store.opens_no_page(&joined).await;
    finish(&disk, &joined, &PageResult { joined: true, ..OPEN }).await.unwrap();
    begun("Q4", Some("olivia")).await;
    wanted(&disk, "Q5", None).await;
    let count = |since, except: &'static str| {
        let store = disk.store.clone();
        async move { store.automatic_pages_since(since, except).await.unwrap() }
    };
    assert_eq!(count(start, "").await, 2, "neither joined, nor asked for by a person, nor not begun");
    assert_eq!(count(start, "Q1").await, 1);
    assert_eq!(count(start + jiff::SignedDuration::from_millis(1), "").await, 0);
}

/// note.md#what-holds-an-automatic-page: the hour's pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_automatic_pages_at_once_no_more_begin_than_may() {
    let disk = Disk::new().await;
    let mut leases = Vec::new();
    for n in 0..8 {
        leases.push(wanted(&disk, &format!("Q{n}"), None).await.1);
    }
    let limit = Some((disk.clock.now(), 3));
    let begun = futures::future::join_all(leases.iter().map(|lease| begin(&disk.store, lease, limit))).await;
    assert_eq!(begun.iter().filter(|begun| matches!(begun, Ok(Reservation::Reserved))).count(), 3, "{begun:?}");
    // Those that began may begin again, an answer being lost; the others are as if never begun.
    for (lease, begun) in leases.iter().zip(begun) {
        let record = disk.store.page(lease.incident_id()).await.unwrap().unwrap();
        assert_eq!(record.begun_at.is_some(), begun.unwrap() == Reservation::Reserved);
        if record.begun_at.is_some() {
            assert_eq!(begin(&disk.store, lease, limit).await.unwrap(), Reservation::Reserved);
        }
    }
    // The hour over, the next may.
    let later = Some((disk.clock.now() + jiff::SignedDuration::from_millis(1), 3));
    let waiting = futures::future::join_all(leases.iter().map(|lease| disk.store.page(lease.incident_id()))).await;
    let waiting = waiting.into_iter().position(|page| page.unwrap().unwrap().begun_at.is_none()).unwrap();
    assert_eq!(begin(&disk.store, &leases[waiting], later).await.unwrap(), Reservation::Reserved);
}

#[tokio::test]
async fn a_persons_wish_names_the_newest_run_and_an_automatic_one_stays_the_firsts() {
    let disk = Disk::new().await;
    let (first, lease) = wanted(&disk, "Q1", None).await;
    finish(&disk, &lease, &FAILED).await.unwrap();
    let run = disk.store.claim_run().await.unwrap().unwrap();
    disk.store.finish_run(&run, &Finish::Done).await.unwrap();
    let newest = match disk.store.create_run(&NewRun { reopened: true, ..run_of("Q1") }, None).await.unwrap() {
        Created::Now(Reply::Started(id)) => id,
        other => panic!("{other:?}"),
    };
    assert_eq!(disk.store.request_page("Q1", &newest, None).await.unwrap().run_id, first);
    assert_eq!(disk.store.request_page("Q1", &newest, Some("olivia")).await.unwrap().run_id, newest);
}

fn changed<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::PageChanged)), "{result:?}");
}

/// lifecycle.md#the-page: a person asks for it while the automatic try ends.
#[tokio::test]
async fn a_page_that_failed_is_tried_once_more_where_a_person_asked_for_it_meanwhile() {
    let disk = Disk::new().await;
    let (run, lease) = wanted(&disk, "Q1", None).await;
    let automatic = disk.store.page("Q1").await.unwrap().unwrap().requested_at;
    disk.clock.jump(Duration::from_millis(1));
    let by_hand = disk.store.request_page("Q1", &run, Some("olivia")).await.unwrap().requested_at;
    changed(disk.store.fail_page(&lease, "refused", automatic).await);
    assert_eq!(disk.store.page("Q1").await.unwrap().unwrap().state, PageState::Requested);
    assert_eq!(disk.store.fail_page(&lease, "refused", by_hand).await.unwrap(), None);
    assert_eq!(disk.store.page("Q1").await.unwrap().unwrap().state, PageState::Failed);
}

#[tokio::test]
async fn of_a_page_that_is_gone_nothing_is_written_and_the_alerts_claim_holds() {
    let disk = Disk::new().await;
    let (_, lease) = wanted(&disk, "Q1", None).await;
    assert!(disk.store.hold_page(&lease, "related pages", None, None).await.unwrap());
    changed(disk.store.finish_page(&lease, &OPEN).await);
    changed(disk.store.fail_page(&lease, "refused", disk.clock.now()).await);
    changed(disk.store.hold_page(&lease, "x", None, None).await);
    changed(disk.store.set_page_told(&lease).await);
    changed(disk.store.forget_tries(&lease).await);
    changed(disk.store.begins_page(&lease, &of_its_own(&lease), None, &[]).await);
    assert_eq!(disk.store.page("Q1").await.unwrap(), None);
    // Nor of one that goes by a name of another alert.
    disk.run("Q2").await;
    changed(disk.store.forget_tries(&lease.alert().page("Q2")).await);
    disk.store.check_claim(lease.claim()).await.unwrap();
}

/// An alert with a page has a place where those without one have none left.
#[tokio::test]
async fn alerts_with_a_page_are_claimed_apart_for_as_long_as_it_is_wanted_or_to_be_told_of() {
    let disk = Disk::new().await;
    let claim = async |alerts| {
        let lease = disk.store.claim_alert_of(alerts).await.unwrap()?;
        let name = disk.store.alert_now(&lease).await.unwrap().unwrap().alert.incident_id;
        Some((name, lease.has_page(), lease))
    };
    let may_change = || Input::MayChange { run_id: "r1".to_owned(), after: Duration::ZERO };
    disk.run("Q1").await;
    disk.store.tell_alert("Q1", may_change()).await.unwrap();
    let run = disk.run("Q2").await;
    disk.store.request_page("Q2", &run, None).await.unwrap();
    let (first, has_page, other) = claim(Alerts::WithoutPage).await.unwrap();
    assert_eq!((first.as_str(), has_page), ("Q1", false));
    assert!(claim(Alerts::WithoutPage).await.is_none());
    let (second, has_page, lease) = claim(Alerts::WithPage).await.unwrap();
    assert_eq!((second.as_str(), has_page), ("Q2", true));
    assert!(claim(Alerts::WithPage).await.is_none() && claim(Alerts::All).await.is_none());
    // What else comes changes nothing of that; it rests with its page, and without.
    disk.store.tell_alert("Q2", may_change()).await.unwrap();
    disk.store.release(lease.claim(), Duration::ZERO).await.unwrap();
    assert!(claim(Alerts::WithoutPage).await.is_none());
    let (_, _, lease) = claim(Alerts::WithPage).await.unwrap();
    let page = lease.page("Q2");
    finish(&disk, &page, &FAILED).await.unwrap();
    assert!(claim(Alerts::WithPage).await.is_none());
    let (second, has_page, _) = claim(Alerts::WithoutPage).await.unwrap();
    assert_eq!((second.as_str(), has_page), ("Q2", false), "its second look");
    // One that is wanted while the alert is in somebody's hands.
    disk.store.request_page("Q1", &run, Some("olivia")).await.unwrap();
    disk.store.release(other.claim(), Duration::ZERO).await.unwrap();
    assert!(claim(Alerts::WithPage).await.is_some());
}
