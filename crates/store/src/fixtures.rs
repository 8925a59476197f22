//! Notes that are begun, lost or written by hand: for tests of those who find them so.

use jiff::Timestamp;

use runbook::alert::Region;
use runbook::writes::{Moment, Outcome, Times, key};

use super::{Beginning, Claim, Lease, PageLease, Recorded, Right, Store, StoreError, WantedWrite};

impl Store {
    /// Spoils what is on disk.
    pub async fn spoil(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.pool).await.expect("the test's database answers");
    }

    /// Another process on the same database.
    pub fn as_another(&self) -> Self {
        let (ingest, on_the_way) = Default::default();
        Self { owner: self.clock.id().into(), ingest, on_the_way, ..self.clone() }
    }

    /// How many more runs the worker of this process can begin now, as it has said.
    pub fn room(&self) -> usize {
        self.on_the_way.room()
    }

    /// Fails where the claim is lost.
    ///
    /// # Errors
    /// That it is lost.
    pub async fn check_claim(&self, claim: &Claim) -> Result<(), StoreError> {
        let mut tx = self.write_claimed("checking a claim").await?;
        self.check(&mut tx, claim).await
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { ours: self.clock.now(), theirs: None }
    }

    async fn attempt(&self, key: &str) -> (u32, bool) {
        let write = self
            .recorded(key)
            .await
            .expect("the test's database answers")
            .map(|recorded| recorded.write)
            .unwrap_or_default();
        (write.attempt, write.intent.is_some())
    }

    async fn incident_of(&self, lease: &Lease) -> String {
        self.run(lease.run_id())
            .await
            .expect("the test's database answers")
            .and_then(|run| run.incident)
            .map(|i| i.id)
            .unwrap_or_default()
    }

    /// The diagnosis note is about to be written; whoever does may be cut off then.
    pub async fn begin_note(&self, lease: &Lease) -> Result<u32, StoreError> {
        let (key, on) = (key::of_note(lease.run_id()), self.incident_of(lease).await);
        let wanted = WantedWrite { key: &key, on: &on, run_id: Some(lease.run_id()), text: "" };
        let (seen, _) = self.attempt(&key).await;
        let begun = self.begin_write(&wanted, Right::Run(lease), seen, self.moment(), &Times::PAGERDUTY).await?;
        Ok(begun.expect("it does not stand yet"))
    }

    /// It was sent, and no answer came.
    pub async fn lose_note(&self, lease: &Lease) {
        self.begin_note(lease).await.expect("the test's database answers");
        self.end_note(lease, "", &Outcome::Ambiguous("lost".into())).await;
    }

    /// It is written, with this text.
    pub async fn set_note(&self, lease: &Lease, id: &str, text: &str) -> Result<(), StoreError> {
        if !self.attempt(&key::of_note(lease.run_id())).await.1 {
            self.begin_note(lease).await?;
        }
        self.end_note(lease, text, &Outcome::Done(id.to_owned())).await;
        Ok(())
    }

    async fn end_note(&self, lease: &Lease, text: &str, outcome: &Outcome) {
        let (key, on) = (key::of_note(lease.run_id()), self.incident_of(lease).await);
        let wanted = WantedWrite { key: &key, on: &on, run_id: Some(lease.run_id()), text };
        let (attempt, _) = self.attempt(&key).await;
        self.end_write(&wanted, attempt, outcome, self.moment(), &Times::PAGERDUTY)
            .await
            .expect("the test's database answers");
    }

    /// The note is about to be written by which this page is joined.
    pub async fn begin_join(&self, lease: &PageLease, page_id: &str) -> Result<Option<u32>, StoreError> {
        let key = key::of_join(lease.incident_id(), page_id);
        let wanted = WantedWrite { key: &key, on: page_id, run_id: None, text: "" };
        self.begin_write(&wanted, Right::Page(lease), 0, self.moment(), &Times::PAGERDUTY).await
    }

    /// The page is about to be opened, by who has seen all that was done for it.
    ///
    /// # Errors
    /// As [`Store::begin_page`].
    pub async fn begins_page(
        &self,
        lease: &PageLease,
        region: &Region,
        limit: Option<(Timestamp, u32)>,
        over: Option<&str>,
    ) -> Result<Beginning, StoreError> {
        let seen = self.opening_of(lease.incident_id()).await?.attempt;
        self.begin_page(lease, region, limit, over, seen).await
    }

    /// It was certainly not opened.
    pub async fn opens_no_page(&self, lease: &PageLease) {
        let seen = self.opening_of(lease.incident_id()).await.expect("the test's database answers").attempt;
        let not_sent = Outcome::NotSent("not now".into());
        self.end_opening(lease.incident_id(), seen, &not_sent, self.moment())
            .await
            .expect("the test's database answers");
    }

    /// A short note is wanted.
    pub async fn want_short(&self, key: &str, on: &str, text: &str) -> Recorded {
        self.want_write(&WantedWrite { key, on, run_id: None, text }).await.expect("the test's database answers")
    }

    /// It is about to be written, by who last saw the attempt `seen`.
    pub async fn begin_short(&self, key: &str, on: &str, seen: u32) -> Result<Option<u32>, StoreError> {
        let wanted = WantedWrite { key, on, run_id: None, text: "a word" };
        self.begin_write(&wanted, Right::Seen, seen, self.moment(), &Times::PAGERDUTY).await
    }

    /// It is written.
    pub async fn set_short(&self, key: &str, on: &str, id: &str) {
        let wanted = WantedWrite { key, on, run_id: None, text: "a word" };
        let (attempt, _) = self.attempt(key).await;
        let outcome = Outcome::Done(id.to_owned());
        self.end_write(&wanted, attempt, &outcome, self.moment(), &Times::PAGERDUTY)
            .await
            .expect("the test's database answers");
    }
}
