//! `backtest`: every alert of a time in PagerDuty, replayed as `ESCALATION_MODE=auto` would have gone. Only reads.
//!
//! [`past`] has what PagerDuty knows, [`evidence`] what Jenkins would have said, [`replaying`] puts both through the rules of
//! `runbook::backtest`. What was asked stands in a [`journal`], so that it can be stopped at any time and goes on where it was.
//! [`earned`] is for `serve` and `doctor`: whether a report is good enough for `auto`.

pub mod earned;
mod evidence;
mod journal;
mod past;
mod replaying;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{BacktestConfig, Problems};
use evidence::Sources;
use journal::{Begun, Journal};
use outbound::clock::Clock;
use past::Past;
use runbook::backtest::labels;
use runbook::backtest::report::Report;
use runbook::span::before;

/// What was given on the command line, but for the state's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// `--since`: how long before the end.
    pub since: Duration,
    /// `--until`; `None` is now.
    pub until: Option<Timestamp>,
    /// `--consoles`.
    pub consoles: Option<PathBuf>,
    /// `--labels`.
    pub labels: Option<PathBuf>,
    /// `--json`.
    pub json: bool,
}

/// A backtest that is done, but whose state is still there: [`Done::forget`] it once the report is printed.
#[derive(Debug)]
pub struct Done {
    /// What came of it.
    pub report: Report,
    /// What a reader must know beside it, a sentence each.
    pub notes: Vec<String>,
    journal: Journal,
}

impl Done {
    /// Removes the state.
    ///
    /// # Errors
    /// The file can't be removed.
    pub fn forget(self) -> anyhow::Result<()> {
        self.journal.remove()
    }
}

/// Replays. `watch` is told what is being done.
///
/// # Errors
/// [`Problems`] where what was given can't be used; else PagerDuty, Jenkins or the database could not be asked. Then it goes
/// on from there when it is started again.
pub async fn run(
    config: &BacktestConfig,
    arguments: &Arguments,
    state: &Path,
    clock: &Clock,
    watch: impl Fn(&str),
) -> anyhow::Result<Done> {
    let labels = match &arguments.labels {
        None => Default::default(),
        Some(path) => {
            let wrong = |what: String| format!("--labels {}: {what}", path.display());
            let text = std::fs::read(path).map_err(|e| Problems(vec![wrong(format!("can't be read: {e}"))]))?;
            labels::parse(&text).map_err(|problems| Problems(problems.into_iter().map(wrong).collect()))?
        }
    };
    let sources = Sources::new(config, arguments.consoles.as_deref(), clock)?;
    let now = whole_seconds(clock.now());
    let begun = Begun::new(arguments, now, arguments.until.map_or(now, whole_seconds));
    let mut journal = Journal::open(state, begun)?;
    let begun = journal.begun().clone();
    let since = before(begun.until, arguments.since);
    let past = Past::read(config, &mut journal, (since, begun.until), begun.at, clock, &watch).await?;
    let evidence = sources.gather(config, &mut journal, &past, &watch).await?;
    watch("replaying");
    let (report, notes) = replaying::replay(config, &past, &evidence, &labels, (since, begun.until), begun.at);
    Ok(Done { report, notes: [notes, sources.notes()].concat(), journal })
}

/// PagerDuty's times are whole seconds, and so are those of the report.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
