//! Which runs are owed their early word.

use std::time::Duration;

use runbook::early_word::{Recorded, Undiagnosed, Waits, due_at};
use runbook::span::between;

use super::rows::time;
use super::{Store, StoreError, failed};

/// Active runs of alerts that have no diagnosis, the oldest first, with what decides about their word.
const UNDIAGNOSED: &str = "SELECT r.id, r.state, r.triggered_by, r.created_at, w.due_at,
        CASE WHEN r.suppressed_at IS NULL THEN 0 ELSE 1 + r.go_on END, r.suppression_ended_at,
        CASE WHEN s.key IS NULL THEN 0 WHEN s.made_id IS NULL THEN 1 ELSE 2 END
    FROM runs r JOIN work w ON w.key = 'run/' || r.id LEFT JOIN writes s ON s.key = 'early:' || r.id
    WHERE r.state IN ('queued', 'suppressed', 'running') AND r.incident_id IS NOT NULL AND r.diagnosis IS NULL
    ORDER BY r.created_at, r.id";

/// id, state, what made it, when; when it is due; whether it waits (1), or did and goes on (2), and since when that; whether its
/// word is wanted (1) or written (2)
type Row = (String, String, String, i64, i64, i64, Option<i64>, i64);

fn read((_, state, trigger, created_at, due_at, waits, goes_on, word): &Row) -> Result<Undiagnosed, StoreError> {
    Ok(Undiagnosed {
        state: state.parse().ok(),
        trigger: trigger.parse().ok(),
        created_at: time(*created_at)?,
        waits: match waits {
            0 => None,
            1 => Some(Waits::Still),
            _ => Some(Waits::GoesOn(goes_on.map(time).transpose()?)),
        },
        due_at: time(*due_at)?,
        word: match word {
            0 => Recorded::Nothing,
            1 => Recorded::Wanted,
            _ => Recorded::Written,
        },
    })
}

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
        let look = async {
            sqlx::query_as(UNDIAGNOSED)
                .fetch_all(&self.pool)
                .await
                .map_err(failed("looking for early notes that are due"))
        };
        let runs: Vec<Row> = self.in_time(look).await?;
        let now = self.clock.now();
        let mut words = EarlyWords::default();
        for row in runs {
            // One that can't be read must not cost the others theirs.
            let run = match read(&row) {
                Ok(run) => run,
                Err(error) => {
                    tracing::debug!(run.id = row.0, error = &error as &dyn std::error::Error, "no early note");
                    continue;
                }
            };
            let Some(at) = due_at(&run, note_by) else { continue };
            match between(now, at) {
                Duration::ZERO => words.due.push(row.0),
                wait => words.next = Some(words.next.map_or(wait, |next| next.min(wait))),
            }
        }
        Ok(words)
    }

    /// How long what another process changes may go unseen; `None` where there is none.
    pub fn others_are_seen_within(&self) -> Option<Duration> {
        self.is_shared().then_some(super::work::LOOK_EVERY)
    }
}
