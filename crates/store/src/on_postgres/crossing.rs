//! Two who change the same thing at the same moment: the one is held midway, by a lock that the test has, until the other
//! waits for it. Whoever comes first, nothing is lost and nothing is had twice.

use sqlx::AssertSqlSafe;
use tokio::task::JoinHandle;

use super::*;

/// Two processes on a new database, whose sessions wait as long as a busy machine needs.
struct Two {
    disk: Disk,
    one: Store,
    other: Store,
}

/// What the test itself has locked.
struct Hand(Transaction<'static, Any>);

impl Two {
    async fn new() -> Self {
        let disk = Disk::new().await;
        let mut stores = Vec::new();
        for name in ["one", "other"] {
            let store = Store::open(&disk.url, disk.clock.clone()).await.unwrap();
            stores.push(Store { owner: name.into(), ..store });
        }
        let [one, other] = stores.try_into().unwrap();
        for store in [&disk.store, &one, &other] {
            everywhere(store, "SET lock_timeout = '60s'").await;
            everywhere(store, "SET statement_timeout = '60s'").await;
            everywhere(store, "SET idle_in_transaction_session_timeout = '60s'").await;
        }
        Self { disk, one, other }
    }

    async fn sql(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&self.disk.store.pool).await.unwrap();
    }

    /// Whoever writes what this statement locks waits from now on.
    async fn hand(&self, sql: &'static str) -> Hand {
        let mut tx = self.disk.store.pool.begin().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        Hand(tx)
    }

    /// Does something beside the test, until so many wait for locks, or it has passed them by.
    async fn meanwhile<T: Send + 'static>(
        &self,
        waiting: i64,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let task = tokio::spawn(work);
        let sql = "SELECT COUNT(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        loop {
            let (count,): (i64,) = sqlx::query_as(sql).fetch_one(&self.disk.store.pool).await.unwrap();
            if count >= waiting || task.is_finished() {
                return task;
            }
            tokio::task::yield_now().await;
        }
    }

    /// A run of `Q1` that this one works on.
    async fn claimed(&self, by: &Store) -> Lease {
        self.disk.run("Q1").await;
        by.claim_run().await.unwrap().unwrap()
    }
}

impl Hand {
    async fn off(self) {
        self.0.commit().await.unwrap();
    }
}

/// In every session that the store may have.
async fn everywhere(store: &Store, sql: &'static str) {
    let mut all = Vec::new();
    for _ in 0..store.dialect.connections() {
        let mut session = store.pool.acquire().await.unwrap();
        sqlx::query(sql).execute(&mut *session).await.unwrap();
        all.push(session);
    }
}

#[tokio::test]
async fn a_reopening_that_meets_the_end_of_a_run_is_not_lost() {
    for reopened_first in [false, true] {
        let two = Two::new().await;
        let lease = two.claimed(&two.one).await;
        let run = lease.run_id().to_owned();
        let (one, other) = (two.one.clone(), two.other.clone());
        let ending = async move { one.finish_run(&lease, &Finish::Done).await };
        let reopening = async move {
            let event = NewEvent { id: "E1", event_type: "incident.reopened", incident_id: Some("Q1"), body: "{}" };
            other.accept(event, Ok(Follow::Start(NewRun { reopened: true, ..run_of("Q1") }))).await
        };
        // Whoever comes first has the item, and waits for the run.
        let hand = two.hand("SELECT id FROM runs FOR UPDATE").await;
        let (ending, reopening) = if reopened_first {
            let reopening = two.meanwhile(1, reopening).await;
            (two.meanwhile(2, ending).await, reopening)
        } else {
            let ending = two.meanwhile(1, ending).await;
            (ending, two.meanwhile(2, reopening).await)
        };
        hand.off().await;
        ending.await.unwrap().unwrap();
        let accepted = reopening.await.unwrap().unwrap();
        assert_eq!(matches!(accepted, Accepted::Ignored(_)), reopened_first, "{accepted:?}");
        assert_eq!(two.disk.state(&run).await, State::Done);
        let next = two.one.claim_run().await.unwrap().expect("a run for the reopened alert");
        assert!(next.run_id() != run && two.disk.count("runs").await == 2, "{next:?}");
    }
}

/// The one's look began before the other claimed, and comes to the item after that: by what it sees, nobody has a lease who
/// had none when it began.
#[tokio::test]
async fn two_who_claim_one_item_at_once_do_not_both_get_it() {
    for had_before in [false, true] {
        let two = Two::new().await;
        two.disk.run("Q1").await;
        if had_before {
            two.disk.store.claim_run().await.unwrap().unwrap();
            two.disk.clock.jump(LEASE);
        }
        two.sql("ALTER TABLE work RENAME TO work_behind").await;
        two.sql(
            "CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                 IF current_setting('tests.gated', true) = 'yes' THEN PERFORM pg_advisory_xact_lock_shared(7); END IF;
                 RETURN true;
             END $$",
        )
        .await;
        two.sql("CREATE VIEW work AS SELECT * FROM work_behind WHERE gate()").await;
        everywhere(&two.other, "SET tests.gated = 'yes'").await;
        let hand = two.hand("SELECT pg_advisory_xact_lock(7)").await;
        let other = two.other.clone();
        let late = two.meanwhile(1, async move { other.claim_run().await }).await;
        let first = two.one.claim_run().await.unwrap().expect("nobody has it yet");
        hand.off().await;
        assert_eq!(late.await.unwrap().unwrap(), None, "both have it");
        two.one.check_claim(first.claim()).await.unwrap();
    }
}

#[tokio::test]
async fn a_holder_that_wakes_while_another_claims_what_it_had_loses_it() {
    let two = Two::new().await;
    let lease = two.claimed(&two.one).await;
    two.disk.clock.jump(LEASE);
    let hand = two.hand("SELECT id FROM runs FOR UPDATE").await;
    let (one, other) = (two.one.clone(), two.other.clone());
    let claiming = two.meanwhile(1, async move { other.claim_run().await }).await;
    let renewing = two.meanwhile(2, async move { one.renew().await }).await;
    hand.off().await;
    let taken = claiming.await.unwrap().unwrap().expect("its lease was over");
    let ours = renewing.await.unwrap().unwrap();
    assert!(!ours.contains(lease.claim()), "both have it");
    lost(two.one.check_claim(lease.claim()).await);
    two.other.check_claim(taken.claim()).await.unwrap();
}

#[tokio::test]
async fn a_holder_that_has_renewed_its_lease_while_another_was_about_to_claim_keeps_what_it_has() {
    let two = Two::new().await;
    let lease = two.claimed(&two.one).await;
    two.disk.clock.jump(LEASE);
    // As `renew` does, which is not done yet.
    let mut renewing = two.one.pool.begin().await.unwrap();
    sqlx::query("UPDATE workers SET lease_until = $1 WHERE id = $2")
        .bind(two.one.in_millis(LEASE))
        .bind(&*two.one.owner)
        .execute(&mut *renewing)
        .await
        .unwrap();
    let other = two.other.clone();
    let claiming = two.meanwhile(1, async move { other.claim_run().await }).await;
    renewing.commit().await.unwrap();
    assert_eq!(claiming.await.unwrap().unwrap(), None, "both have it");
    two.one.check_claim(lease.claim()).await.unwrap();
}

/// Nobody was paged; a person asks again while that is told.
#[tokio::test]
async fn a_page_that_is_asked_for_again_while_its_failure_is_told_is_opened() {
    for asked_first in [false, true] {
        let two = Two::new().await;
        let run = two.disk.run("Q1").await;
        two.one.request_page("Q1", &run, None).await.unwrap();
        let lease = two.one.claim_page().await.unwrap().unwrap();
        let failed = PageResult { page: None, joined: false, reason: Some("refused") };
        two.one.finish_page(&lease, &failed).await.unwrap();
        let (one, other) = (two.one.clone(), two.other.clone());
        let mine = lease.clone();
        let telling = async move { one.set_page_told(&mine).await };
        let asking = async move { other.request_page("Q1", &run, Some("olivia")).await };
        // Who asks ends a hold as well, and so has the item before it comes to the alert.
        let (telling, asking, hand) = if asked_first {
            let hand = two.hand("SELECT incident_id FROM alerts FOR UPDATE").await;
            let asking = two.meanwhile(1, asking).await;
            (two.meanwhile(2, telling).await, asking, hand)
        } else {
            let hand = two.hand("SELECT incident_id FROM pages FOR UPDATE").await;
            let telling = two.meanwhile(1, telling).await;
            (telling, two.meanwhile(2, asking).await, hand)
        };
        hand.off().await;
        telling.await.unwrap().unwrap();
        assert_eq!(asking.await.unwrap().unwrap().state, PageState::Requested);
        two.one.page_rests(&lease).await.unwrap();
        let again = two.one.claim_page().await.unwrap().expect("it is wanted, and due");
        two.one.finish_page(&again, &failed).await.unwrap();
        two.one.release_page(&again, Duration::ZERO).await.unwrap();
        assert!(two.other.claim_page().await.unwrap().is_some(), "of that it is to be told yet");
    }
}

#[tokio::test]
async fn a_person_who_asks_while_the_run_is_being_parked_does_not_leave_it_asleep() {
    // Parked for the first time, and after a look that found it explained still: each is told by a way of its own.
    for (asked_first, parked_before) in [(false, false), (true, false), (false, true), (true, true)] {
        let two = Two::new().await;
        let mut lease = two.claimed(&two.one).await;
        let (now, hour) = (two.disk.clock.now(), Duration::from_secs(3600));
        if parked_before {
            two.one.park_run(&lease, now, None, None, hour).await.unwrap();
            two.disk.clock.jump(hour);
            lease = two.one.claim_run().await.unwrap().unwrap();
        }
        let run = lease.run_id().to_owned();
        let (one, other) = (two.one.clone(), two.other.clone());
        let parking = async move { one.park_run(&lease, now, None, None, hour).await };
        let asking = async move {
            other.create_run(&rerun_of("Q1"), None).await.map(|created| match created {
                // Whoever asks while it is being parked waits for that, and sees it.
                Created::Now(Reply::SuppressionSkipped(id)) if parked_before || !asked_first => id,
                Created::Now(Reply::Active(id)) if !parked_before && asked_first => id,
                created => panic!("{created:?}"),
            })
        };
        let hand = two.hand("SELECT id FROM runs FOR UPDATE").await;
        let (parking, asking) = if asked_first {
            let asking = two.meanwhile(1, asking).await;
            (two.meanwhile(2, parking).await, asking)
        } else {
            let parking = two.meanwhile(1, parking).await;
            (parking, two.meanwhile(2, asking).await)
        };
        hand.off().await;
        parking.await.unwrap().unwrap();
        assert_eq!(asking.await.unwrap().unwrap(), run);
        let awake = two.one.claim_run().await.unwrap().expect("it is due at once");
        assert_eq!(awake.run_id(), run);
        assert!(two.one.suppression(&run).await.unwrap().was.go_on, "and does not wait again");
    }
}
