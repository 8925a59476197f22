//! `replay`: decides once more, by today's rules, what was decided about a recorded alert. It only reads the database.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use super::watch::print;
use outbound::clock::Clock;
use outbound::secret::Secret;
use runbook::text::visible;
use store::{Decision, Store};

/// Replays all that was decided about the alert of this run, and prints where today's rules decide otherwise.
///
/// # Errors
/// Something would be decided otherwise, or can't be read; no such run is known; the database can't be read.
pub async fn replay(database: &Secret, run_id: &str, clock: Clock) -> anyhow::Result<()> {
    let url = database.reveal().context("DATABASE_URL can't be read")?;
    let Some(store) = Store::open_to_read(&url, clock).await? else { bail!("there is no database yet: DATABASE_URL") };
    let decisions = store.decisions(run_id).await?;
    store.close().await;
    let Some(decisions) = decisions else {
        bail!("run {} is not known here, or older than EVIDENCE_RETENTION", visible(run_id));
    };
    let replayed = replayed(&decisions);
    print(replayed.text.trim_end())?;
    if replayed.otherwise > 0 {
        bail!("{} of {} decisions would be made otherwise by this version", replayed.otherwise, decisions.len());
    }
    if replayed.unreadable > 0 {
        bail!("{} of {} decisions can't be read by this version", replayed.unreadable, decisions.len());
    }
    Ok(())
}

/// What a replay came to.
struct Replayed {
    text: String,
    otherwise: usize,
    unreadable: usize,
}

fn replayed(decisions: &[Decision]) -> Replayed {
    let mut replayed = Replayed { text: String::new(), otherwise: 0, unreadable: 0 };
    for Decision { at, run_id, decided } in decisions {
        let at = seconds(*at);
        let whose = run_id.as_deref().map(|id| format!(", run {id}")).unwrap_or_default();
        let line = match decided {
            Err(error) => {
                replayed.unreadable += 1;
                format!("{at} UNREADABLE by this version: {error}")
            }
            Ok(decided) => match decided.again() {
                Ok(()) => format!("{at} same: {}{whose}: {}", decided.what(), decided.said()),
                Err(otherwise) => {
                    replayed.otherwise += 1;
                    let first = if replayed.otherwise == 1 { "OTHERWISE, first here" } else { "OTHERWISE" };
                    format!("{at} {first}: {}{whose}: {otherwise}", decided.what())
                }
            },
        };
        let _ = writeln!(replayed.text, "{}", visible(&line));
    }
    if decisions.is_empty() {
        replayed.text.push_str("Nothing was decided about this run, or its record is older than EVIDENCE_RETENTION.");
    } else if replayed.otherwise + replayed.unreadable == 0 {
        let _ = writeln!(replayed.text, "{} decisions, all the same by this version.", decisions.len());
    }
    replayed
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
