use super::*;
use runbook::alert::Region;
use runbook::writes::opening::{Other, Reservation, Shown, State as Theirs};
use runbook::writes::{Moment, Outcome, Times};

fn region() -> Region {
    "prod-us-south".parse().unwrap()
}

const OPEN: PageResult<'_> = PageResult { page: Some(("QPAGE", "https://page")), joined: false, reason: None };
const FAILED: PageResult<'_> = PageResult { page: None, joined: false, reason: Some("refused") };

fn unknown() -> Outcome {
    Outcome::Ambiguous("no answer".into())
}

async fn wanted(disk: &Disk, incident_id: &str) -> PageOf {
    let run = disk.run(incident_id).await;
    disk.store.request_page(incident_id, &run, None).await.unwrap();
    disk.store.claim_page().await.unwrap().unwrap()
}

async fn begin(disk: &Disk, lease: &PageOf, looked: &[Other]) -> Reservation {
    disk.store.begins_page(lease, &region(), None, looked).await.unwrap()
}

#[track_caller]
fn waits_for(reservation: &Reservation, alert: &str) {
    assert!(
        matches!(reservation, Reservation::WaitingFor { alert: by, doubt: false } if by == alert),
        "{reservation:?}"
    );
}

#[track_caller]
fn to_look_at(reservation: Reservation, alert: &str) -> Other {
    match reservation {
        Reservation::LookAt(other) if other.alert == alert => other,
        other => panic!("{other:?}"),
    }
}

/// The task that looks for what shows late, when it is due.
async fn look_is_due(disk: &Disk) -> Task {
    for _ in 0..2000 {
        if let Some(task) = disk.store.claim_task().await.unwrap() {
            assert_eq!(task.kind, TaskKind::Opening);
            return task;
        }
        disk.clock.jump(Duration::from_secs(1));
    }
    panic!("nobody looks");
}

async fn looks(disk: &Disk, task: &Task, found: Option<&str>) -> LateLook {
    let began = Moment { ours: disk.clock.now(), theirs: None };
    let shown: Vec<Shown> = found.into_iter().map(|id| shown(id, true)).collect();
    disk.store.looked_for_opening(task, &shown, began, &Times::OPENING).await.unwrap()
}

fn shown(id: &str, is_open: bool) -> Shown {
    Shown { id: id.to_owned(), is_open }
}

/// One look, when it is due, that shows all this.
async fn sees(disk: &Disk, shown: &[Shown]) -> LateLook {
    let task = look_is_due(disk).await;
    let began = Moment { ours: disk.clock.now(), theirs: None };
    let look = disk.store.looked_for_opening(&task, shown, began, &Times::OPENING).await.unwrap();
    match look.again_in {
        Some(wait) => disk.store.put_off_task(&task, "", wait).await.unwrap(),
        None => disk.store.finish_task(&task).await.unwrap(),
    }
    look
}

/// Opened twice, and both answers are lost.
async fn lost_twice(disk: &Disk) -> PageOf {
    let lease = wanted(disk, "Q1").await;
    for _ in 0..2 {
        assert_eq!(begin(disk, &lease, &[]).await, Reservation::Reserved);
        disk.store.ends_opening("Q1", &unknown()).await;
    }
    lease
}

const FIRST: PageResult<'_> = PageResult { page: Some(("QFIRST", "https://x")), joined: false, reason: None };
const SECOND: PageResult<'_> = PageResult { page: Some(("QSECOND", "https://x")), joined: false, reason: None };

/// lifecycle.md#the-page: of several alerts of one region one opens it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_alerts_of_a_region_at_once_one_begins_and_the_others_are_as_if_never_begun() {
    let disk = Disk::new().await;
    let mut leases = Vec::new();
    for n in 0..8 {
        leases.push(wanted(&disk, &format!("Q{n}")).await);
    }
    let elsewhere = wanted(&disk, "Q9").await;
    let region = region();
    let all = leases.iter().map(|lease| disk.store.begins_page(lease, &region, None, &[]));
    let begun: Vec<_> = futures::future::join_all(all).await.into_iter().map(Result::unwrap).collect();
    let first = begun.iter().position(|begun| *begun == Reservation::Reserved).unwrap();
    for (n, (lease, begun)) in leases.iter().zip(begun).enumerate() {
        let record = disk.store.page(lease.incident_id()).await.unwrap().unwrap();
        assert_eq!(record.begun_at.is_some(), n == first);
        if n != first {
            waits_for(&begun, leases[first].incident_id());
        }
    }
    // The one may begin again, its answer being lost; another region is another matter.
    assert_eq!(begin(&disk, &leases[first], &[]).await, Reservation::Reserved);
    let other: Region = "prod-eu-de".parse().unwrap();
    assert_eq!(disk.store.begins_page(&elsewhere, &other, None, &[]).await.unwrap(), Reservation::Reserved);
    let (own, others) = disk.store.openings(&region, leases[first].incident_id()).await.unwrap();
    assert_eq!((own.holds_right, others), (true, Vec::new()));
}

#[tokio::test]
async fn what_another_opened_is_in_the_way_until_it_was_looked_at() {
    for result in [Some(OPEN), Some(FAILED), None] {
        let disk = Disk::new().await;
        let (first, second) = (wanted(&disk, "Q1").await, wanted(&disk, "Q2").await);
        assert_eq!(begin(&disk, &first, &[]).await, Reservation::Reserved);
        let (_, before) = disk.store.openings(&region(), "Q2").await.unwrap();
        // Not while it is under way, whatever was found before.
        waits_for(&begin(&disk, &second, &before).await, "Q1");
        let opened = result.as_ref().and_then(|result| result.page);
        let outcome = opened.map_or(Outcome::Refused("no".into()), |(id, _)| Outcome::Done(id.to_owned()));
        disk.store.ends_opening("Q1", &outcome).await;
        match &result {
            Some(result) => assert_eq!(disk.store.finish_page(&first, result).await.unwrap(), None),
            None => assert!(disk.store.hold_page(&first, "related pages", None, None).await.unwrap()),
        }
        if let Some((id, _)) = opened {
            let other = to_look_at(begin(&disk, &second, &before).await, "Q1");
            assert_eq!((other.page_id(), other.page.as_ref().map(|page| page.state)), (Some(id), Some(Theirs::Paged)));
            assert_eq!(begin(&disk, &second, &[other]).await, Reservation::Reserved);
        } else {
            // It was certainly not opened.
            assert_eq!(begin(&disk, &second, &[]).await, Reservation::Reserved);
        }
        // From now on it is the second's.
        let (_, others) = disk.store.openings(&region(), "Q3").await.unwrap();
        assert_eq!(others.iter().map(|other| other.alert.as_str()).collect::<Vec<_>>(), ["Q2"]);
    }
}

#[tokio::test]
async fn each_that_may_yet_be_opened_is_in_the_way_also_of_one_that_was_not_the_last() {
    let disk = Disk::new().await;
    let (first, second, third) = (wanted(&disk, "Q1").await, wanted(&disk, "Q2").await, wanted(&disk, "Q3").await);
    assert_eq!(begin(&disk, &first, &[]).await, Reservation::Reserved);
    disk.store.ends_opening("Q1", &unknown()).await;
    disk.store.finish_page(&first, &FAILED).await.unwrap();
    // A person does not wait for that, once it is looked at.
    let run = disk.store.page("Q2").await.unwrap().unwrap().run_id;
    disk.store.request_page("Q2", &run, Some("olivia")).await.unwrap();
    let other = to_look_at(begin(&disk, &second, &[]).await, "Q1");
    assert_eq!(begin(&disk, &second, &[other]).await, Reservation::Reserved);
    disk.store.opens_no_page(&second).await;
    disk.store.finish_page(&second, &FAILED).await.unwrap();
    let other = to_look_at(begin(&disk, &third, &[]).await, "Q1");
    let waits = begin(&disk, &third, &[other]).await;
    assert_eq!(waits, Reservation::WaitingFor { alert: "Q1".into(), doubt: true });
    // Until a look that began late enough.
    loop {
        let task = look_is_due(&disk).await;
        if looks(&disk, &task, None).await.again_in.is_none() {
            disk.store.finish_task(&task).await.unwrap();
            break;
        }
        disk.store.put_off_task(&task, "", Duration::from_secs(30)).await.unwrap();
    }
    assert_eq!(begin(&disk, &third, &[]).await, Reservation::Reserved);
}

#[tokio::test]
async fn what_was_certainly_not_opened_takes_nothing_of_the_hours_pages_and_what_may_have_been_does() {
    let disk = Disk::new().await;
    let start = disk.clock.now();
    let (first, second) = (wanted(&disk, "Q1").await, wanted(&disk, "Q2").await);
    let limit = Some((start, 1));
    assert_eq!(disk.store.begins_page(&first, &region(), limit, &[]).await.unwrap(), Reservation::Reserved);
    disk.store.opens_no_page(&first).await;
    disk.store.finish_page(&first, &FAILED).await.unwrap();
    assert_eq!(disk.store.begins_page(&second, &region(), limit, &[]).await.unwrap(), Reservation::Reserved);
    assert_eq!(disk.store.automatic_pages_since(start, "").await.unwrap(), 1);
    // Also where it is held by now, and has no row.
    disk.store.ends_opening("Q2", &unknown()).await;
    assert!(disk.store.hold_page(&second, "related pages", None, None).await.unwrap());
    let elsewhere = wanted(&disk, "Q3").await;
    let other: Region = "prod-eu-de".parse().unwrap();
    let full = disk.store.begins_page(&elsewhere, &other, limit, &[]).await.unwrap();
    assert_eq!(full, Reservation::HourFull(1));
}

#[tokio::test]
async fn a_page_that_failed_or_was_held_in_doubt_is_wanted_again_once_it_is_found() {
    for held in [false, true] {
        let disk = Disk::new().await;
        let lease = wanted(&disk, "Q1").await;
        let run = disk.store.page("Q1").await.unwrap().unwrap().run_id;
        assert_eq!(begin(&disk, &lease, &[]).await, Reservation::Reserved);
        disk.store.ends_opening("Q1", &unknown()).await;
        if held {
            assert!(disk.store.hold_page(&lease, "related pages", None, None).await.unwrap());
            disk.store.page_rests(&lease).await.unwrap();
        } else {
            assert_eq!(disk.store.finish_page(&lease, &FAILED).await.unwrap(), None);
            disk.store.set_page_told(&lease).await.unwrap();
            disk.store.page_rests(&lease).await.unwrap();
        }
        assert_eq!(disk.store.claim_page().await.unwrap(), None);
        let task = look_is_due(&disk).await;
        let seen = looks(&disk, &task, None).await;
        assert_eq!((seen.news, seen.again_in), (None, Some(Duration::from_secs(90))), "at 2 min next");
        assert_eq!(disk.store.claim_page().await.unwrap(), None);
        let seen = looks(&disk, &task, Some("QLATE")).await;
        assert_eq!((seen.news.as_deref(), seen.again_in), (Some("QLATE"), None));
        let again = disk.store.claim_page().await.unwrap().expect("somebody to tell of it");
        let record = disk.store.page("Q1").await.unwrap().unwrap();
        assert_eq!((record.state, record.after_all, record.reason), (PageState::Requested, true, None));
        assert_eq!((record.run_id, record.asked_by), (run, None));
        // It is known to stand: nobody calls it failed or held.
        assert_eq!(disk.store.finish_page(&again, &FAILED).await.unwrap(), Some("QLATE".to_owned()));
        assert!(!disk.store.hold_page(&again, "related pages", None, None).await.unwrap());
        assert_eq!(disk.store.page("Q1").await.unwrap().unwrap().state, PageState::Requested);
        // Once, whatever else is found.
        disk.store.vanished_opening("Q1", disk.store.moment(), &Times::OPENING).await.unwrap();
        disk.store.finish_page(&again, &FAILED).await.unwrap();
        let task = look_is_due(&disk).await;
        assert_eq!(looks(&disk, &task, Some("QLATE")).await.news, None);
        assert_eq!(disk.store.page("Q1").await.unwrap().unwrap().state, PageState::Failed);
    }
}

/// The first is told of, and resolved; then the second opens late too, and nobody would look for it.
#[tokio::test]
async fn of_two_pages_that_open_late_each_is_told_of_once() {
    let disk = Disk::new().await;
    let lease = lost_twice(&disk).await;
    assert_eq!(disk.store.finish_page(&lease, &FAILED).await.unwrap(), None);
    disk.store.set_page_told(&lease).await.unwrap();
    disk.store.page_rests(&lease).await.unwrap();
    assert_eq!(sees(&disk, &[shown("QFIRST", true)]).await.news.as_deref(), Some("QFIRST"));
    let lease = disk.store.claim_page().await.unwrap().expect("somebody to tell of it");
    assert_eq!(disk.store.finish_page(&lease, &FIRST).await.unwrap(), None);
    disk.store.set_page_told(&lease).await.unwrap();
    disk.store.page_rests(&lease).await.unwrap();
    let both = [shown("QFIRST", false), shown("QSECOND", true)];
    assert_eq!(sees(&disk, &both).await, LateLook { news: Some("QSECOND".into()), again_in: None });
    let record = disk.store.page("Q1").await.unwrap().unwrap();
    assert_eq!((record.state, record.after_all, record.page_id), (PageState::Requested, true, None));
    assert_eq!(record.no_news, ["QFIRST", "QSECOND"]);
    // The first one's answer comes now: that is not what people have.
    disk.store.ends_opening("Q1", &Outcome::Done("QFIRST".into())).await;
    assert_eq!(disk.store.opening_of("Q1").await.unwrap().id.as_deref(), Some("QSECOND"));
    let lease = disk.store.claim_page().await.unwrap().expect("somebody to tell of that too");
    assert_eq!(disk.store.finish_page(&lease, &SECOND).await.unwrap(), None);
    disk.store.set_page_told(&lease).await.unwrap();
    disk.store.page_rests(&lease).await.unwrap();
    while disk.store.opening_of("Q1").await.unwrap().is_in_doubt() {
        assert_eq!(sees(&disk, &both).await.news, None);
    }
    assert_eq!(disk.store.claim_page().await.unwrap(), None);
}

#[tokio::test]
async fn a_page_that_is_closed_beside_one_that_was_joined_is_seen_once_and_is_no_news() {
    let disk = Disk::new().await;
    let lease = lost_twice(&disk).await;
    let theirs = PageResult { page: Some(("QTHEIRS", "https://x")), joined: true, reason: None };
    assert_eq!(disk.store.finish_page(&lease, &theirs).await.unwrap(), None);
    disk.store.set_page_told(&lease).await.unwrap();
    disk.store.page_rests(&lease).await.unwrap();
    assert_eq!(sees(&disk, &[shown("QFIRST", false)]).await.news, None);
    let record = disk.store.page("Q1").await.unwrap().unwrap();
    assert_eq!((record.page_id.as_deref(), record.no_news), (Some("QTHEIRS"), vec!["QFIRST".to_owned()]));
    let due_in = sees(&disk, &[shown("QFIRST", false)]).await.again_in;
    assert!(due_in.is_some_and(|wait| wait > Duration::from_secs(60)), "not at once: {due_in:?}");
    // Its own is open beside it: that is.
    assert_eq!(sees(&disk, &[shown("QFIRST", false), shown("QSECOND", true)]).await.news.as_deref(), Some("QSECOND"));
}

/// Whoever works on the page has read the first as open, when the second is found: nothing is due any more by then.
#[tokio::test]
async fn what_is_found_while_another_is_being_recorded_is_told_of_at_once() {
    let disk = Disk::new().await;
    let lease = lost_twice(&disk).await;
    disk.store.found_opening("Q1", "QFIRST", disk.store.moment(), &Times::OPENING).await.unwrap();
    let both = [shown("QFIRST", false), shown("QSECOND", true)];
    assert_eq!(sees(&disk, &both).await, LateLook { news: None, again_in: None });
    // A look that has begun before this is recorded does not end after it.
    assert_eq!(disk.store.finish_page(&lease, &FIRST).await.unwrap(), None);
    let task = disk.store.claim_task().await.unwrap().expect("at once");
    disk.store.finish_page(&lease, &FIRST).await.unwrap();
    let moment = disk.store.moment();
    let old = disk.store.looked_for_opening(&task, &both, moment, &Times::OPENING).await;
    assert!(matches!(old, Err(StoreError::LeaseLost)), "{old:?}");
    assert_eq!(sees(&disk, &both).await.news.as_deref(), Some("QSECOND"));
}

/// A person has asked since: what could not be shown then may be by now.
#[tokio::test]
async fn a_page_that_could_not_be_told_of_is_news_again_once_a_person_has_asked() {
    let disk = Disk::new().await;
    let lease = lost_twice(&disk).await;
    assert_eq!(disk.store.finish_page(&lease, &FAILED).await.unwrap(), None);
    sees(&disk, &[shown("QFIRST", true)]).await;
    let record = disk.store.page("Q1").await.unwrap().unwrap();
    assert_eq!(record.no_news, ["QFIRST"]);
    let asked = disk.store.request_page("Q1", &record.run_id, Some("olivia")).await.unwrap();
    assert_eq!((asked.no_news, asked.after_all), (Vec::<String>::new(), false));
}

/// A worker that was frozen has it answered, when the next has given it up.
#[tokio::test]
async fn a_page_that_is_answered_after_it_failed_is_told_of_at_once() {
    let disk = Disk::new().await;
    let lease = wanted(&disk, "Q1").await;
    assert_eq!(begin(&disk, &lease, &[]).await, Reservation::Reserved);
    assert_eq!(disk.store.finish_page(&lease, &FAILED).await.unwrap(), None);
    disk.store.set_page_told(&lease).await.unwrap();
    disk.store.page_rests(&lease).await.unwrap();
    disk.store.ends_opening("Q1", &Outcome::Done("QLATE".into())).await;
    let task = disk.store.claim_task().await.unwrap().expect("at once");
    assert_eq!(looks(&disk, &task, None).await, LateLook { news: Some("QLATE".into()), again_in: None });
    assert_eq!(disk.store.page("Q1").await.unwrap().unwrap().state, PageState::Requested);
}

#[tokio::test]
async fn who_waits_is_counted_from_its_first_try() {
    let disk = Disk::new().await;
    let lease = wanted(&disk, "Q1").await;
    let began = disk.clock.now();
    let tried = async || disk.store.page("Q1").await.unwrap().unwrap().tried_since;
    disk.store.wait_for_opening(&lease, false, None, false).await.unwrap();
    disk.clock.jump(Duration::from_secs(5));
    disk.store.wait_for_opening(&lease, false, Some("Q9"), false).await.unwrap();
    assert_eq!(tried().await, Some(began));
    // Nobody could be asked meanwhile.
    disk.store.wait_for_opening(&lease, false, Some("Q9"), true).await.unwrap();
    let began = disk.clock.now();
    assert_eq!(tried().await, Some(began));
    // Held for its old evidence, and wanted again by its run: counted on. By a person: from the beginning.
    let run = disk.store.page("Q1").await.unwrap().unwrap().run_id;
    assert!(disk.store.hold_page(&lease, "too old", None, None).await.unwrap());
    disk.store.request_page("Q1", &run, None).await.unwrap();
    assert_eq!(tried().await, Some(began));
    disk.store.request_page("Q1", &run, Some("olivia")).await.unwrap();
    assert_eq!(tried().await, None);
}

#[tokio::test]
async fn who_waits_does_not_where_a_person_has_asked_for_it_meanwhile() {
    let disk = Disk::new().await;
    let lease = wanted(&disk, "Q1").await;
    let run = disk.store.page("Q1").await.unwrap().unwrap().run_id;
    let before = disk.store.alert_now(&lease.lease).await.unwrap().unwrap();
    disk.store.request_page("Q1", &run, Some("olivia")).await.unwrap();
    assert!(!disk.store.wait_for_opening(&lease, false, Some("Q9"), false).await.unwrap());
    let record = disk.store.page("Q1").await.unwrap().unwrap();
    assert_eq!((record.tried_since, record.waits_for), (None, None));
    let due = Some(disk.clock.now() + jiff::SignedDuration::from_secs(30));
    disk.store.rest_alert(&lease.lease, before.version, &before.beside, due, None, &[]).await.unwrap();
    let lease = disk.store.claim_page().await.unwrap().expect("at once");
    assert!(disk.store.wait_for_opening(&lease, true, Some("Q9"), false).await.unwrap(), "that was known");

    // For whom, is said once: until another is waited for, or a person asks.
    let waits =
        async |lease: &PageOf, by_hand, alert| disk.store.wait_for_opening(lease, by_hand, alert, false).await.unwrap();
    let lease = wanted(&disk, "Q2").await;
    let mut changed = Vec::new();
    for alert in [Some("Q8"), Some("Q8"), Some("Q9"), None, Some("Q9")] {
        changed.push(waits(&lease, false, alert).await);
        assert_eq!(disk.store.page("Q2").await.unwrap().unwrap().waits_for.as_deref(), alert);
    }
    assert_eq!(changed, [true, false, true, true, true]);
    let run = disk.store.page("Q2").await.unwrap().unwrap().run_id;
    let asked = disk.store.request_page("Q2", &run, Some("olivia")).await.unwrap();
    assert_eq!(asked.waits_for, None);
}

/// Its own page shows while another's is being joined: nobody may forget the first.
#[tokio::test]
async fn another_is_not_joined_where_its_own_page_is_heard_of_meanwhile() {
    let disk = Disk::new().await;
    let lease = wanted(&disk, "Q1").await;
    assert_eq!(begin(&disk, &lease, &[]).await, Reservation::Reserved);
    disk.store.ends_opening("Q1", &Outcome::Done("QOWN".into())).await;
    let theirs = PageResult { page: Some(("QTHEIRS", "https://x")), joined: true, reason: None };
    assert_eq!(disk.store.finish_page(&lease, &theirs).await.unwrap().as_deref(), Some("QOWN"));
    assert_eq!(disk.store.page("Q1").await.unwrap().unwrap().state, PageState::Requested);
    let own = PageResult { page: Some(("QOWN", "https://x")), joined: false, reason: None };
    assert_eq!(disk.store.finish_page(&lease, &own).await.unwrap(), None);
}

/// After a merge all names are one alert's: what it has opened is looked at, and not counted as one more in the hour.
#[tokio::test]
async fn what_was_opened_under_another_of_its_names_is_looked_at_and_not_counted() {
    let disk = Disk::new().await;
    let lease = wanted(&disk, "Q1").await;
    assert_eq!(begin(&disk, &lease, &[]).await, Reservation::Reserved);
    disk.store.ends_opening("Q1", &Outcome::Done("QOWN".into())).await;
    let hour_ago = disk.clock.now() - jiff::SignedDuration::from_hours(1);
    let region = "prod-us-south".parse().unwrap();
    let seen = async |name: &str| {
        let others = disk.store.openings(&region, name).await.unwrap().1.len();
        (others, disk.store.automatic_pages_since(hour_ago, name).await.unwrap())
    };
    assert_eq!(seen("Q2").await, (1, 1));
    let same =
        "INSERT INTO incidents (incident_id, alert_id) SELECT 'Q2', alert_id FROM incidents WHERE incident_id = 'Q1'";
    sqlx::query(same).execute(&disk.store.pool).await.unwrap();
    assert_eq!(seen("Q2").await, (1, 0));
}

/// lifecycle.md#commands: `/hold` holds automatic pages until `/escalate`, whichever replica has stored it.
/// Somebody writes `/hold` between the last look and the page: it is stored, and obeyed by nobody yet.
#[tokio::test]
async fn a_hold_that_is_stored_at_the_last_moment_holds_an_automatic_page() {
    let disk = Disk::new().await;
    let lease = wanted(&disk, "Q1").await;
    let hold = r#"{"event_id":"N1:hold","word":"hold","said":"/hold","user_id":"PANN","user":"Ann","at":null}"#;
    let command = serde_json::from_str(hold).unwrap();
    disk.store.tell_alert("Q1", Input::Said(command)).await.unwrap();
    assert_eq!(begin(&disk, &lease, &[]).await, Reservation::HeldBy("Ann".to_owned()));
    assert_eq!(disk.store.opening_of("Q1").await.unwrap().attempt, 0, "nothing was begun");
    // A person's word passes it.
    disk.store.escalate("Q1", "olivia", false).await.unwrap();
    assert_eq!(begin(&disk, &lease, &[]).await, Reservation::Reserved);
}
