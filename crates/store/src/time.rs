//! Service time, which never goes back: the database keeps how far it has come.
//!
//! An SQLite file is one process's, and its time runs by that process's machine. Processes that share a PostgreSQL database
//! share its server's clock, whatever their machines' say. Either clock may be set back, or be another machine's after a
//! restart: then time goes on from where it was.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::dialect::Dialect;
use super::rows::time;
use super::{Store, StoreError, failed};
use runbook::span::{between, show_duration};

/// How often it is noted how far service time has come: by so much it may stand still over a restart whose clock went
/// back, or while a server's clock does.
const NOTE_EVERY: Duration = Duration::from_secs(10);
/// Replicas that differ by less agree: a claim certainly holds five seconds less than others think.
const AGREE: SignedDuration = SignedDuration::from_secs(1);
/// A clock that is further off than this is said: times in notes are by it.
const WORTH_SAYING: Duration = Duration::from_secs(2);

impl Store {
    /// Learns what time it is, of the machine's clock or of the server that processes share, and of how far time has
    /// come in the database; and notes it there. To be called before anything is looked at, and every now and then.
    ///
    /// # Errors
    /// The database: time goes on as it did.
    pub async fn set_time(&self) -> Result<(), StoreError> {
        let doing = "noting how far time has come";
        let is_set = self.timed.load(Ordering::Relaxed);
        let reached = match self.dialect {
            Dialect::Sqlite => self.clock.now(),
            // This machine's clock means nothing to the others. What is not known exactly must not push them on.
            Dialect::Postgres if is_set => self.clock.now().checked_sub(AGREE / 2).unwrap_or_default(),
            Dialect::Postgres => Timestamp::UNIX_EPOCH,
        };
        // Ids go on rising: the newest one may be newer than the last note of the time.
        let newest = if is_set { Timestamp::UNIX_EPOCH } else { self.newest_id().await? };
        let mut tx = self.write_claimed(doing).await?;
        let asked = self.clock.now();
        let (reached, server): (i64, Option<i64>) = sqlx::query_as(self.dialect.reach())
            .bind(reached.max(newest).as_millisecond())
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        // It answered somewhere in between.
        let halfway = between(asked, self.clock.now()) / 2;
        let exact = |milliseconds: i64| time(milliseconds.saturating_add(halfway.as_millis() as i64));
        let (now, shown) = match server {
            Some(server) => {
                let (reached, ours) = (exact(reached)?, self.clock.now());
                // An answer's way here is not known exactly, and must not move time to and fro.
                let agree = is_set && ours.duration_since(reached).abs() < AGREE;
                (if agree { ours } else { reached }, exact(server)?)
            }
            // It may have gone on meanwhile.
            None => (time(reached)?.max(self.clock.now()), self.clock.wall()),
        };
        if !is_set && server.is_some() {
            self.say_how_far_off(shown);
        }
        let behind = between(shown, now);
        if behind > WORTH_SAYING && self.clock.ahead().is_zero() {
            let whose = if server.is_some() { "the database server's clock" } else { "this machine's clock" };
            tracing::warn!(
                behind = show_duration(behind),
                "{whose} went back: what is due goes by the time that was reached before; is NTP running there?"
            );
        }
        self.clock.set(now, shown);
        self.timed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Notes the time every now and then; ends never.
    pub async fn keep_time(&self) {
        loop {
            self.clock.sleep(NOTE_EVERY).await;
            if self.dialect == Dialect::Sqlite && !self.written.swap(false, Ordering::Relaxed) {
                // Nothing that is stored is later than what was noted last. What people are shown follows their clock.
                self.clock.set(self.clock.now().max(self.clock.wall()), self.clock.wall());
                continue;
            }
            if let Err(error) = self.keep_time_once().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "the time could not be noted");
            }
        }
    }

    /// It goes on for good: a server that never answers must not end that.
    pub(super) async fn keep_time_once(&self) -> Result<(), StoreError> {
        self.in_time(self.set_time()).await
    }

    /// When the newest run was made, by its id; the beginning of time where there is none.
    async fn newest_id(&self) -> Result<Timestamp, StoreError> {
        let (id,): (Option<String>,) = sqlx::query_as("SELECT MAX(id) FROM runs")
            .fetch_one(&self.pool)
            .await
            .map_err(failed("looking for the newest run"))?;
        let made = id.and_then(|id| Uuid::parse_str(&id).ok()?.get_timestamp());
        let (seconds, nanoseconds) = made.map_or((0, 0), |made| made.to_unix());
        let made = Timestamp::new(seconds.try_into().unwrap_or_default(), nanoseconds.try_into().unwrap_or_default());
        Ok(made.unwrap_or_default())
    }

    /// Says that this machine's clock differs from the server's, where it does.
    fn say_how_far_off(&self, server: Timestamp) {
        let off = server.duration_since(self.clock.wall()).unsigned_abs();
        if off > WORTH_SAYING {
            tracing::warn!(
                off = show_duration(off),
                "this machine's clock differs from the database server's, which counts: is NTP running on both?"
            );
        }
    }
}
