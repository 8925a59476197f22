//! Notes that are begun, lost or written by hand: for tests of those who find them so.

use jiff::Timestamp;

use runbook::alert::Region;
use runbook::writes::opening::{Other, Reservation};
use runbook::writes::{Doubt, Moment, Outcome, Times, key};

use super::rows::time;
use super::{AlertLease, Claim, Lease, PageOf, Recorded, Reserving, Right, Store, StoreError, WantedWrite, failed};

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

    /// Claims an alert of which a page is wanted, or is to be told of: the right to that page. What else is due is left.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_page(&self) -> Result<Option<PageOf>, StoreError> {
        self.claim_page_where(|_| true).await
    }

    /// The same of the page with this name.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_page_of(&self, name: &str) -> Result<Option<PageOf>, StoreError> {
        self.claim_page_where(|other| other == name).await
    }

    async fn claim_page_where(&self, is_it: impl Fn(&str) -> bool) -> Result<Option<PageOf>, StoreError> {
        let mut others: Vec<AlertLease> = Vec::new();
        let found = loop {
            let Some(lease) = self.claim_alert().await? else { break None };
            let pages = self.alert_now(&lease).await?.map(|now| now.pages).unwrap_or_default();
            match pages.iter().find(|page| is_it(&page.incident_id)) {
                Some(page) => break Some(lease.page(&page.incident_id)),
                None => others.push(lease),
            }
        };
        for lease in others {
            self.release(&lease.claim, std::time::Duration::ZERO).await?;
        }
        Ok(found)
    }

    /// When the alert is due whose claim this was; `None`: nothing is to be done for it.
    ///
    /// # Errors
    /// The database.
    pub async fn due_of(&self, lease: &AlertLease) -> Result<Option<Timestamp>, StoreError> {
        let due: Option<(i64,)> = sqlx::query_as("SELECT due_at FROM work WHERE key = $1")
            .bind(&lease.claim.key)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("looking for what is due"))?;
        due.map(|(due,)| time(due)).transpose()
    }

    /// What is due for this alert beside its runs is due no more, until something is new about it.
    pub async fn put_off_alert(&self, name: &str) {
        sqlx::query(
            "UPDATE work SET due_at = 4102444800000, set_at = 0
             WHERE key IN (SELECT 'alert/' || alert_id FROM incidents WHERE incident_id = $1)",
        )
        .bind(name)
        .execute(&self.pool)
        .await
        .expect("the test's database answers");
    }

    /// Its alert is given back: what is still wanted of it is due in its time. Nobody watches it.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn page_rests(&self, page: &PageOf) -> Result<(), StoreError> {
        let Some(mut now) = self.alert_now(&page.lease).await? else { return Ok(()) };
        now.beside.pages.retain(|open| now.pages.iter().any(|row| row.incident_id == open.name));
        now.beside.page_watches.clear();
        let due = now.beside.due();
        self.rest_alert(&page.lease, now.version, &now.beside, due, now.related_changed_at, &[]).await
    }

    /// Its alert is due again after `wait`.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn release_page(&self, page: &PageOf, wait: std::time::Duration) -> Result<(), StoreError> {
        self.release(page.claim(), wait).await
    }

    /// The note is about to be written by which this page is joined.
    pub async fn begin_join(&self, lease: &PageOf, page_id: &str) -> Result<Option<u32>, StoreError> {
        let key = key::of_join(lease.incident_id(), page_id);
        let wanted = WantedWrite { key: &key, on: page_id, run_id: None, text: "" };
        self.begin_write(&wanted, Right::Page(lease), 0, self.moment(), &Times::PAGERDUTY).await
    }

    /// The page is about to be opened, by who has seen all that was done for it; these were looked at.
    ///
    /// # Errors
    /// As [`Store::reserve_page`].
    pub async fn begins_page(
        &self,
        lease: &PageOf,
        region: &Region,
        hour: Option<(Timestamp, u32)>,
        looked: &[Other],
    ) -> Result<Reservation, StoreError> {
        let now = self.moment();
        let write = self.take_over_opening(lease, now, &Times::OPENING).await?;
        // It is looked for until it would show.
        let shows = |doubt: Doubt| doubt.since.ours + Times::OPENING.read_lag;
        let began = Moment { ours: write.doubt.map_or(now.ours, shows), theirs: None };
        let hour = hour.unwrap_or((now.ours, u32::MAX));
        let (seen, times) = (write.attempt, &Times::OPENING);
        let by = Reserving { region, seen, began, looked, hour, command_users: &[], now, times };
        self.reserve_page(lease, &by).await
    }

    /// It was certainly not opened.
    pub async fn opens_no_page(&self, lease: &PageOf) {
        self.ends_opening(lease.incident_id(), &Outcome::NotSent("not now".into())).await;
    }

    /// This is what came of the last attempt to open it.
    pub async fn ends_opening(&self, incident_id: &str, outcome: &Outcome) {
        let seen = self.opening_of(incident_id).await.expect("the test's database answers").attempt;
        self.end_opening(incident_id, seen, outcome, self.moment(), &Times::OPENING)
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
