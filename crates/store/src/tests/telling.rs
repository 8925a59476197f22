//! What others are to be told of.

use super::*;

async fn set_page_id(disk: &Disk, page_id: Option<&str>) {
    sqlx::query("UPDATE pages SET page_id = $1").bind(page_id).execute(&disk.store.pool).await.unwrap();
}

/// told.md: what comes while nobody's page is looked at is looked at too, before its item of the queue ends.
#[tokio::test]
async fn news_that_come_while_a_page_is_nobodys_keep_it_in_the_queue() {
    let disk = Disk::new().await;
    disk.store.tell_others();
    let run = disk.run("Q1").await;
    disk.store.request_page("Q1", &run, None).await.unwrap();
    let page = disk.store.claim_page().await.unwrap().unwrap();
    let open = PageResult { page: Some(("QPAGE", "https://page")), joined: false, reason: None };
    disk.store.finish_page(&page, &open).await.unwrap();
    let lease = loop {
        let lease = disk.store.claim_notify().await.unwrap().expect("the page is to be told of");
        if lease.subject() == &Subject::Page("QPAGE".to_owned()) {
            break lease;
        }
    };
    // It is being opened once more, say, and is no alert's meanwhile.
    set_page_id(&disk, None).await;
    let (news, said) = disk.store.page_said(&lease, "QPAGE").await.unwrap();
    assert!(said.is_none());
    // It is the alert's again, and told of, before whoever looked has ended.
    set_page_id(&disk, Some("QPAGE")).await;
    let mut tx = disk.store.write("a test").await.unwrap();
    disk.store.news_in(&mut tx, "Q1").await.unwrap();
    tx.commit().await.unwrap();
    while disk.store.claim_notify().await.unwrap().is_some() {}
    assert!(!disk.store.rest_notify(&lease, news, None).await.unwrap(), "something has come");
    let (news, said) = disk.store.page_said(&lease, "QPAGE").await.unwrap();
    assert_eq!(said.unwrap().alerts, ["Q1"]);
    assert!(disk.store.rest_notify(&lease, news, None).await.unwrap());
    lost(disk.store.rest_notify(&lease, news, None).await);
}
