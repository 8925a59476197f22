//! `replay`: decides once more, by today's rules, what was decided about a recorded alert. It only reads the database.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};

use super::output::print;
use outbound::clock::Clock;
use outbound::secret::Secret;
use runbook::text::visible;
use store::{Decision, Of, Store};

/// Decisions that are read at a time.
const AT_ONCE: i64 = 500;

/// Replays all that was decided about the alert of this run, and prints where today's rules decide otherwise.
///
/// # Errors
/// Something would be decided otherwise, or can't be read; no such run is known; the database can't be read.
pub async fn replay(database: &Secret, run_id: &str, clock: Clock) -> anyhow::Result<()> {
    let url = database.reveal().context("DATABASE_URL can't be read")?;
    let Some(store) = Store::open_to_read(&url, clock).await? else { bail!("there is no database yet: DATABASE_URL") };
    let mut replayed = Replayed::default();
    loop {
        let from = i64::try_from(replayed.decisions)?;
        let Some(decisions) = store.decisions(Of::AlertOf(run_id), from, AT_ONCE).await? else {
            bail!("run {} is unknown, or older than EVIDENCE_RETENTION", visible(run_id));
        };
        if decisions.is_empty() {
            break;
        }
        print(replayed.more(&decisions).trim_end())?;
    }
    store.close().await;
    let Replayed { decisions, otherwise, unreadable } = replayed;
    if otherwise > 0 {
        bail!("{otherwise} of {decisions} decisions would be different in this version");
    }
    if unreadable > 0 {
        bail!("{unreadable} of {decisions} decisions can't be read by this version");
    }
    print(&match decisions {
        0 => "Nothing was decided about this run, or its record is older than EVIDENCE_RETENTION.".to_owned(),
        _ => format!("{decisions} decisions, all the same by this version."),
    })
}

/// What a replay has come to.
#[derive(Default)]
struct Replayed {
    decisions: usize,
    otherwise: usize,
    unreadable: usize,
}

impl Replayed {
    /// Decides these once more; a line each.
    fn more(&mut self, decisions: &[Decision]) -> String {
        let mut text = String::new();
        for decision in decisions {
            self.decisions += 1;
            let _ = writeln!(text, "{}", visible(&self.line(decision)));
        }
        text
    }

    fn line(&mut self, Decision { at, run_id, decided }: &Decision) -> String {
        let at = at.strftime("%Y-%m-%dT%H:%M:%SZ");
        let whose = run_id.as_deref().map(|id| format!(", run {id}")).unwrap_or_default();
        match decided.as_ref().map(|decided| (decided, decided.again())) {
            Err(error) => {
                self.unreadable += 1;
                format!("{at} UNREADABLE by this version{whose}: {error}")
            }
            Ok((decided, Ok(()))) => format!("{at} same: {}{whose}: {}", decided.what(), decided.said()),
            Ok((decided, Err(otherwise))) => {
                self.otherwise += 1;
                let first = if self.otherwise == 1 { "OTHERWISE, first here" } else { "OTHERWISE" };
                format!("{at} {first}: {}{whose}: {otherwise}", decided.what())
            }
        }
    }
}
