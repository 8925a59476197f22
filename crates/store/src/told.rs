//! How far others are told: one row a message or an issue, changed under the claim of who tells of it. What follows from a row is
//! decided in `runbook::notify`.

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe};

use runbook::notify::{Known, Message, Place, Told};
use runbook::record::{EntryKind, Source};

use super::record::NewEntry;
use super::rows::{column, from_json, parse, time, to_json};
use super::timed::Transaction;
use super::{NotifyLease, Store, StoreError, failed};

pub(super) const TOLD: &str = "SELECT place, incident_id, kind, at, record FROM told";

pub(super) fn known(row: &AnyRow) -> Result<Known, StoreError> {
    Ok(Known {
        place: parse("a place where others are told", &column::<String>(row, "place")?)?,
        alert: column(row, "incident_id")?,
        kind: column(row, "kind")?,
        since: time(column(row, "at")?)?,
        told: from_json("what was told", &column::<String>(row, "record")?)?,
    })
}

impl Store {
    /// Changes what is known of a message, under the claim; gives what it was changed to, and what `change` gave. Nothing is kept where that
    /// is an error. `opened_with` goes with a row that is made, `url` with what people read once the message stands.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn change_told<T, E>(
        &self,
        lease: &NotifyLease,
        message: &Message,
        (opened_with, url): (Option<&str>, Option<&str>),
        change: impl FnOnce(&mut Told) -> Result<T, E>,
    ) -> Result<(Known, Result<T, E>), StoreError> {
        let doing = "keeping what others were told";
        let mut tx = self.write_claimed(doing).await?;
        self.check(&mut tx, &lease.claim).await?;
        let key = message.key();
        let new = Told { opened_with: opened_with.map(str::to_owned), ..Told::default() };
        sqlx::query(
            "INSERT INTO told (key, place, incident_id, kind, page_id, at, record) VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (key) DO NOTHING",
        )
        .bind(&key)
        .bind(message.place.as_str())
        .bind(&message.alert)
        .bind(&message.kind)
        .bind(&message.page_id)
        .bind(self.now())
        .bind(to_json(&new)?)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let sql = format!("{TOLD} WHERE key = $1{}", self.dialect.hold());
        let row = sqlx::query(AssertSqlSafe(sql)).bind(&key).fetch_one(&mut *tx).await.map_err(failed(doing))?;
        let mut now = known(&row)?;
        let stood = now.told.write.id.is_some();
        let changed = change(&mut now.told);
        if changed.is_err() {
            return Ok((now, changed));
        }
        sqlx::query("UPDATE told SET record = $1 WHERE key = $2")
            .bind(to_json(&now.told)?)
            .bind(&key)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        if !stood && now.told.write.id.is_some() {
            self.told_in(&mut tx, message, url).await?;
        }
        tx.commit().await.map_err(failed(doing))?;
        Ok((now, changed))
    }

    /// It was told, for people who read what was done about the alert: one row a message.
    async fn told_in(
        &self,
        tx: &mut Transaction<'static, Any>,
        message: &Message,
        url: Option<&str>,
    ) -> Result<(), StoreError> {
        let (text, source) = match message.place {
            Place::SlackRegistry => ("told Registry's Slack channel", Source::Slack),
            Place::SlackSe => ("told the Service Endpoint team's Slack channel of the page", Source::Slack),
            Place::Ghe => ("opened an issue", Source::Ghe),
        };
        let key = Some(format!("told:{}", message.key()));
        let url = url.map(str::to_owned);
        let told = NewEntry { key, source, url, ..NewEntry::new(&message.alert, EntryKind::Notified, text) };
        self.record_in(tx, told).await
    }
}
