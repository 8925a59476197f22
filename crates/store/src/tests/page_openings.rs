use super::*;
use runbook::alert::Region;

fn region() -> Region {
    "prod-us-south".parse().unwrap()
}

const OPEN: PageResult<'_> = PageResult { page: Some(("QPAGE", "https://page")), joined: false, reason: None };
const FAILED: PageResult<'_> = PageResult { page: None, joined: false, reason: Some("refused") };

async fn wanted(disk: &Disk, incident_id: &str) -> PageLease {
    let run = disk.run(incident_id).await;
    disk.store.request_page(incident_id, &run, None).await.unwrap();
    disk.store.claim_page().await.unwrap().unwrap()
}

async fn begin(disk: &Disk, lease: &PageLease, over: Option<&str>) -> Beginning {
    disk.store.begins_page(lease, &region(), None, over).await.unwrap()
}

#[track_caller]
fn taken(beginning: Beginning, by: &str) -> Opening {
    match beginning {
        Beginning::Taken(other) if other.incident_id == by => *other,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_alerts_of_a_region_at_once_one_begins_and_the_others_are_as_if_never_begun() {
    let disk = Disk::new().await;
    let mut leases = Vec::new();
    for n in 0..8 {
        leases.push(wanted(&disk, &format!("Q{n}")).await);
    }
    let elsewhere = wanted(&disk, "Q9").await;
    let region = region();
    let all = leases.iter().map(|lease| disk.store.begins_page(lease, &region, None, None));
    let begun: Vec<_> = futures::future::join_all(all).await.into_iter().map(Result::unwrap).collect();
    let first = begun.iter().position(|begun| *begun == Beginning::Begun).unwrap();
    for (n, (lease, beginning)) in leases.iter().zip(begun).enumerate() {
        let record = disk.store.page(lease.incident_id()).await.unwrap().unwrap();
        assert_eq!(record.begun_at.is_some(), n == first);
        if n != first {
            assert!(taken(beginning, leases[first].incident_id()).is_under_way());
        }
    }
    // The one may begin again, its answer being lost; another region is another matter.
    assert_eq!(begin(&disk, &leases[first], None).await, Beginning::Begun);
    let other: Region = "prod-eu-de".parse().unwrap();
    assert_eq!(disk.store.begins_page(&elsewhere, &other, None, None).await.unwrap(), Beginning::Begun);
    assert_eq!(disk.store.opening(&region, leases[first].incident_id()).await.unwrap(), None);
}

#[tokio::test]
async fn what_another_opened_is_in_the_way_until_it_is_found_to_be_over() {
    for result in [Some(OPEN), Some(FAILED), None] {
        let disk = Disk::new().await;
        let (first, second) = (wanted(&disk, "Q1").await, wanted(&disk, "Q2").await);
        assert_eq!(begin(&disk, &first, None).await, Beginning::Begun);
        // Not while it is under way, whatever was found before.
        assert!(taken(begin(&disk, &second, Some("Q1")).await, "Q1").is_under_way());
        match &result {
            Some(result) => disk.store.finish_page(&first, result).await.unwrap(),
            None => assert!(disk.store.hold_page(&first, "related pages", None, None).await.unwrap()),
        }
        let other = taken(begin(&disk, &second, None).await, "Q1");
        let page = other.page.and_then(|page| page.page_id);
        assert_eq!(page.as_deref(), result.as_ref().and_then(|result| result.page).map(|(id, _)| id));
        taken(begin(&disk, &second, Some("Q3")).await, "Q1");
        assert_eq!(begin(&disk, &second, Some("Q1")).await, Beginning::Begun);
        // From now on it is the second's.
        assert_eq!(disk.store.opening(&region(), "Q3").await.unwrap().unwrap().incident_id, "Q2");
    }
}

#[tokio::test]
async fn what_was_certainly_not_opened_takes_nothing_of_the_hours_pages() {
    let disk = Disk::new().await;
    let start = disk.clock.now();
    let (first, second) = (wanted(&disk, "Q1").await, wanted(&disk, "Q2").await);
    let limit = Some((start, 1));
    assert_eq!(disk.store.begins_page(&first, &region(), limit, None).await.unwrap(), Beginning::Begun);
    disk.store.opens_no_page(&first).await;
    disk.store.finish_page(&first, &FAILED).await.unwrap();
    assert_eq!(disk.store.begins_page(&second, &region(), limit, Some("Q1")).await.unwrap(), Beginning::Begun);
    assert_eq!(disk.store.automatic_pages_since(start, "").await.unwrap(), 1);
}

#[tokio::test]
async fn who_waits_gives_its_claim_back_and_is_counted_from_its_first_try() {
    let disk = Disk::new().await;
    let lease = wanted(&disk, "Q1").await;
    let began = disk.clock.now();
    disk.store.wait_for_opening(&lease, Duration::from_secs(5)).await.unwrap();
    disk.clock.jump(Duration::from_millis(4999));
    assert_eq!(disk.store.claim_page().await.unwrap(), None);
    disk.clock.jump(Duration::from_millis(1));
    let lease = disk.store.claim_page().await.unwrap().unwrap();
    disk.store.wait_for_opening(&lease, Duration::ZERO).await.unwrap();
    let tried = async || disk.store.page("Q1").await.unwrap().unwrap().tried_since;
    assert_eq!(tried().await, Some(began));
    // Held for its old evidence, and wanted again by its run: counted on. By a person: from the beginning.
    let lease = disk.store.claim_page().await.unwrap().unwrap();
    let run = disk.store.page("Q1").await.unwrap().unwrap().run_id;
    assert!(disk.store.hold_page(&lease, "too old", None, None).await.unwrap());
    disk.store.request_page("Q1", &run, None).await.unwrap();
    assert_eq!(tried().await, Some(began));
    disk.store.request_page("Q1", &run, Some("olivia")).await.unwrap();
    assert_eq!(tried().await, None);
}
