//! Which runs are owed their early word.

use std::time::Duration;

use super::{Store, StoreError, failed};

/// Active runs without a diagnosis whose word is not written, the oldest first, and when their time comes: $1 after they were
/// made, or since their suppression ended, or since somebody was to look whether it has ended; for those that want one by
/// themselves it has come. A second look is silent.
const OWED: &str = "SELECT r.id, CASE WHEN s.key IS NOT NULL THEN 0
        WHEN r.suppressed_at IS NULL THEN r.created_at + $1
        WHEN r.go_on = 1 THEN COALESCE(r.suppression_ended_at, r.created_at) + $1
        ELSE w.due_at + $1 END AS at
    FROM runs r JOIN work w ON w.key = 'run/' || r.id LEFT JOIN writes s ON s.key = 'early:' || r.id
    WHERE r.state IN ('queued', 'suppressed', 'running') AND r.incident_id IS NOT NULL AND r.diagnosis IS NULL
    AND r.triggered_by <> 'follow-up' AND s.made_id IS NULL
    AND (s.key IS NOT NULL OR r.suppressed_at IS NULL OR r.go_on = 1 OR r.state = 'suppressed')
    ORDER BY r.created_at, r.id";

/// Who is owed an early word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarlyWords {
    /// The runs whose word is due.
    pub due: Vec<String>,
    /// In how long the next one is, as far as is known; `None`: no other run is owed one.
    pub next: Option<Duration>,
}

impl Store {
    /// The runs, whoever works on them, whose early word is due `note_by` after their begin and is not written yet.
    ///
    /// # Errors
    /// The database.
    pub async fn early_words_due(&self, note_by: Duration) -> Result<EarlyWords, StoreError> {
        let note_by = i64::try_from(note_by.as_millis()).unwrap_or(i64::MAX / 2);
        let look = async {
            sqlx::query_as(OWED)
                .bind(note_by)
                .fetch_all(&self.pool)
                .await
                .map_err(failed("looking for early words that are due"))
        };
        let owed: Vec<(String, i64)> = self.in_time(look).await?;
        let now = self.now();
        let mut words = EarlyWords::default();
        for (id, at) in owed {
            match Duration::try_from(jiff::SignedDuration::from_millis(at.saturating_sub(now))) {
                Ok(wait) if !wait.is_zero() => words.next = Some(words.next.map_or(wait, |next| next.min(wait))),
                _ => words.due.push(id),
            }
        }
        Ok(words)
    }

    /// How long what another process changes may go unseen; `None` where there is none.
    pub fn others_are_seen_within(&self) -> Option<Duration> {
        self.is_shared().then_some(super::work::LOOK_EVERY)
    }
}
