//! Telling others: what has changed becomes an item of the queue, one an alert and one a page; who holds it reads the record, and
//! keeps what becomes of each message. What follows is decided in `runbook::notify`.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe};

use runbook::alert::Region;
use runbook::diagnosis::Diagnosis;
use runbook::life::{Beside, Unreadable};
use runbook::notify::{Digest, Known, Page};

use super::rows::{from_json, parse, time};
use super::timed::Transaction;
use super::told::{TOLD, known};
use super::work::Claim;
use super::{Kind, Store, StoreError, failed};

const DOING: &str = "telling others";
/// How much of what has changed is taken up at once.
const AT_ONCE: i64 = 20;

/// What is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An alert, by our own id.
    Alert(String),
    /// A page, by its id.
    Page(String),
}

impl Subject {
    fn id(&self) -> String {
        match self {
            Self::Alert(id) => format!("alert:{id}"),
            Self::Page(id) => format!("page:{id}"),
        }
    }

    fn of(id: &str) -> Option<Self> {
        match id.split_once(':')? {
            ("alert", id) => Some(Self::Alert(id.to_owned())),
            ("page", id) => Some(Self::Page(id.to_owned())),
            _ => None,
        }
    }
}

/// The right to tell of something. Made by a claim only.
#[derive(Clone, Debug)]
pub struct NotifyLease {
    pub(super) claim: Claim,
    subject: Subject,
}

impl NotifyLease {
    /// The claim itself.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// What is told of.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }
}

/// One thing that was said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Of the write.
    pub key: String,
    /// What it says: of a diagnosis note as it reads now.
    pub digest: Digest,
    /// The run that it is about.
    pub run_id: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What is on disk of an alert, for who tells of it.
#[derive(Clone, Debug)]
pub struct AlertSaid {
    /// The incident that it is now.
    pub incident_id: String,
    /// Its region.
    pub region: Region,
    /// What was said, in order, and the run that each is about.
    pub said: Vec<Said>,
    /// Its newest run.
    pub newest_run: Option<String>,
    /// The newest diagnosis note, as it reads now.
    pub note: Option<String>,
    /// Its page, where one is open.
    pub page: Option<Page>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// A run of it is active.
    pub is_active: bool,
    /// PagerDuty has not confirmed its end yet, or note and page don't tell of it yet.
    pub is_ending: bool,
    /// Some diagnosis of it was probably a CIE.
    pub is_probably_cie: bool,
    /// What was told already.
    pub known: Vec<Known>,
    /// As of these news.
    pub news: i64,
}

/// What is on disk of a page, for who tells of it.
#[derive(Clone, Debug)]
pub struct PageSaid {
    /// Its link.
    pub url: String,
    /// The alerts that are paged with it, the first first.
    pub alerts: Vec<String>,
    /// The region of the first.
    pub region: Region,
    /// When the last of them was paged with it; `None`: that is not known.
    pub paged_at: Option<Timestamp>,
    /// What was found for the first.
    pub diagnosis: Option<Diagnosis>,
    /// What was told already.
    pub known: Vec<Known>,
}

/// key, head, why, its run, the run's note as it reads now, when
type SaidRow = (String, String, Option<String>, Option<String>, Option<String>, i64);

impl Store {
    /// Claims what is due to be told of.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_notify(&self) -> Result<Option<NotifyLease>, StoreError> {
        let doing = "claiming what others are told of";
        let mut tx = self.write_claimed(doing).await?;
        self.take_up_news(&mut tx).await?;
        let claim = self.claim_in(&mut tx, Kind::Notify).await?;
        tx.commit().await.map_err(failed(doing))?;
        let Some(claim) = claim else { return Ok(None) };
        match Subject::of(claim.id()) {
            Some(subject) => Ok(Some(NotifyLease { claim, subject })),
            // Of a newer version.
            None => {
                let tx = self.write_claimed(doing).await?;
                self.leave_alone(tx, &claim).await?;
                Ok(None)
            }
        }
    }

    /// What has changed is in the queue from now on.
    async fn take_up_news(&self, tx: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        let doing = "looking for what others are to be told";
        let sql = format!(
            "SELECT id, incident_id, page_id FROM news WHERE at <= $1 OR at > $1 + 5000 ORDER BY at LIMIT {AT_ONCE}{}",
            self.dialect.claim()
        );
        let news: Vec<(String, Option<String>, Option<String>)> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(self.now()).fetch_all(&mut **tx).await.map_err(failed(doing))?;
        let mut items = std::collections::BTreeSet::new();
        for (id, incident_id, page_id) in news {
            if let Some(page_id) = page_id {
                items.insert(Subject::Page(page_id).id());
            } else if let Some(incident_id) = incident_id {
                let alert: Option<(String,)> = sqlx::query_as("SELECT alert_id FROM incidents WHERE incident_id = $1")
                    .bind(incident_id)
                    .fetch_optional(&mut **tx)
                    .await
                    .map_err(failed(doing))?;
                items.extend(alert.map(|(id,)| Subject::Alert(id).id()));
            }
            sqlx::query("DELETE FROM news WHERE id = $1").bind(id).execute(&mut **tx).await.map_err(failed(doing))?;
        }
        // In order: nobody waits for another in a circle.
        for item in items {
            sqlx::query(
                "INSERT INTO work (key, kind, due_at, set_at, news) VALUES ($1, $2, $3, $3, 1)
                 ON CONFLICT (key) DO UPDATE SET due_at = excluded.due_at, set_at = excluded.set_at, news = work.news + 1",
            )
            .bind(Kind::Notify.key(&item))
            .bind(Kind::Notify.as_str())
            .bind(self.now())
            .execute(&mut **tx)
            .await
            .map_err(failed(doing))?;
        }
        Ok(())
    }

    /// Of which news its holder sees all: read before the record is.
    async fn news_of(&self, lease: &NotifyLease) -> Result<i64, StoreError> {
        let news: Option<(i64,)> = sqlx::query_as("SELECT news FROM work WHERE key = $1")
            .bind(&lease.claim.key)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(DOING))?;
        news.map(|(news,)| news).ok_or(StoreError::LeaseLost)
    }

    /// What is known of the alert; `None`: it is no more, it was merged or pruned.
    ///
    /// # Errors
    /// The database, or what is stored can't be read.
    pub async fn alert_said(&self, lease: &NotifyLease, alert_id: &str) -> Result<Option<AlertSaid>, StoreError> {
        let news = self.news_of(lease).await?;
        let row: Option<(String, String, Option<i64>, String)> =
            sqlx::query_as("SELECT incident_id, region, resolved_at, beside FROM alerts WHERE id = $1")
                .bind(alert_id)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed(DOING))?;
        let Some((incident_id, region, resolved_at, beside)) = row else { return Ok(None) };
        let rows: Vec<SaidRow> = sqlx::query_as(
            "SELECT s.key, s.head, s.why, s.run_id, CASE WHEN s.key = 'note:' || s.run_id THEN r.note_text END, s.at
             FROM incidents i JOIN announcements s ON s.incident_id = i.incident_id LEFT JOIN runs r ON r.id = s.run_id
             WHERE i.alert_id = $1 ORDER BY s.at, s.key",
        )
        .bind(alert_id)
        .fetch_all(&self.pool)
        .await
        .map_err(failed(DOING))?;
        let said = |(key, head, why, run_id, note, at): SaidRow| {
            let digest = note.map_or(Digest { head, why }, |note| Digest::of(&note));
            Ok(Said { key, digest, run_id, at: time(at)? })
        };
        let said = rows.into_iter().map(said).collect::<Result<_, StoreError>>()?;
        let (newest_run, active, cie): (Option<String>, i64, i64) = sqlx::query_as(
            "SELECT MAX(id), COALESCE(SUM(CASE WHEN state IN ('queued', 'suppressed', 'running') THEN 1 ELSE 0 END), 0),
             COALESCE(SUM(CASE WHEN diagnosis LIKE '%\"class\":\"pCIE, probably a CIE\"%' THEN 1 ELSE 0 END), 0)
             FROM runs WHERE alert_id = $1",
        )
        .bind(alert_id)
        .fetch_one(&self.pool)
        .await
        .map_err(failed(DOING))?;
        let note: Option<(Option<String>,)> = sqlx::query_as(
            "SELECT note_text FROM runs WHERE alert_id = $1 AND note_id IS NOT NULL ORDER BY id DESC LIMIT 1",
        )
        .bind(alert_id)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed(DOING))?;
        let page: Option<(Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT p.page_url, p.acknowledged_by FROM incidents i JOIN pages p ON p.incident_id = i.incident_id
             WHERE i.alert_id = $1 AND p.state = 'paged' AND p.page_id IS NOT NULL ORDER BY p.finished_at, p.incident_id LIMIT 1",
        )
        .bind(alert_id)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed(DOING))?;
        let rows = sqlx::query(AssertSqlSafe(format!(
            "{TOLD} WHERE page_id IS NULL AND incident_id IN (SELECT incident_id FROM incidents WHERE alert_id = $1)"
        )))
        .bind(alert_id)
        .fetch_all(&self.pool)
        .await
        .map_err(failed(DOING))?;
        Ok(Some(AlertSaid {
            incident_id,
            region: parse("a region", &region)?,
            said,
            newest_run,
            note: note.and_then(|(text,)| text),
            page: page.map(|(url, who)| Page { url: url.unwrap_or_default(), acknowledged_by: who }),
            resolved_at: resolved_at.map(time).transpose()?,
            is_active: active > 0,
            // A newer version goes on with what only it can read.
            is_ending: match Beside::read(&beside) {
                Ok(beside) => beside.resolution.is_some(),
                Err(unreadable) => matches!(unreadable, Unreadable::Newer(_)),
            },
            is_probably_cie: cie > 0,
            known: rows.iter().map(known).collect::<Result<_, _>>()?,
            news,
        }))
    }

    /// What is known of the page, and as of which news; `None`: it is no alert's, as far as is known then.
    ///
    /// # Errors
    /// The database, or what is stored can't be read.
    pub async fn page_said(&self, lease: &NotifyLease, page_id: &str) -> Result<(i64, Option<PageSaid>), StoreError> {
        let news = self.news_of(lease).await?;
        let rows: Vec<(String, Option<String>, String, Option<i64>)> = sqlx::query_as(
            "SELECT incident_id, page_url, run_id, finished_at FROM pages WHERE page_id = $1 AND state = 'paged'
             ORDER BY finished_at, incident_id",
        )
        .bind(page_id)
        .fetch_all(&self.pool)
        .await
        .map_err(failed(DOING))?;
        let Some((_, url, run_id, _)) = rows.first() else { return Ok((news, None)) };
        let run: Option<(String, Option<String>)> = sqlx::query_as("SELECT region, diagnosis FROM runs WHERE id = $1")
            .bind(run_id)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(DOING))?;
        let Some((region, diagnosis)) = run else { return Ok((news, None)) };
        // That it can't be read keeps nobody from being told that somebody is paged.
        let diagnosis = diagnosis.and_then(|text| from_json("a diagnosis", &text).ok());
        let known_rows = sqlx::query(AssertSqlSafe(format!("{TOLD} WHERE page_id = $1")))
            .bind(page_id)
            .fetch_all(&self.pool)
            .await
            .map_err(failed(DOING))?;
        let said = PageSaid {
            url: url.clone().unwrap_or_default(),
            alerts: rows.iter().map(|(incident_id, ..)| incident_id.clone()).collect(),
            paged_at: rows.iter().filter_map(|(.., at)| *at).max().map(time).transpose()?,
            region: parse("a region", &region)?,
            diagnosis,
            known: known_rows.iter().map(known).collect::<Result<_, _>>()?,
        };
        Ok((news, Some(said)))
    }

    /// There is nothing to tell of it any more.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn drop_notify(&self, lease: &NotifyLease) -> Result<(), StoreError> {
        let mut tx = self.write_claimed(DOING).await?;
        self.end_in(&mut tx, &lease.claim).await?;
        tx.commit().await.map_err(failed(DOING))
    }

    /// There is nothing more to do about it now; again after `wait`, or `None`: when something changes. `false`: something has changed
    /// since these `news`, and it is still claimed.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn rest_notify(
        &self,
        lease: &NotifyLease,
        news: i64,
        wait: Option<Duration>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write_claimed(DOING).await?;
        self.check(&mut tx, &lease.claim).await?;
        let (now,): (i64,) = sqlx::query_as("SELECT news FROM work WHERE key = $1")
            .bind(&lease.claim.key)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        if now != news {
            return Ok(false);
        }
        match wait {
            Some(wait) => self.release_in(&mut tx, &lease.claim, self.in_millis(wait)).await?,
            None => self.end_in(&mut tx, &lease.claim).await?,
        }
        tx.commit().await.map_err(failed(DOING))?;
        self.tell_due();
        Ok(true)
    }
}
