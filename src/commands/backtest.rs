//! `backtest`: what `ESCALATION_MODE=auto` would have done about the alerts of a time.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::output::{aside, print};
use super::watch::Watch;
use crate::backtest::{Arguments, run};
use crate::config::BacktestConfig;
use outbound::clock::Clock;
use runbook::text::visible;

/// Replays, and prints the report: as text, or as one JSON object.
///
/// # Errors
/// It could not be done, or it has a wrong page.
pub async fn backtest(config: BacktestConfig, arguments: &Arguments, state: &Path, clock: Clock) -> anyhow::Result<()> {
    let watch = Watch::new();
    let done = run(&config, arguments, state, &clock, |line| watch.say(line)).await;
    watch.end();
    let done = done?;
    if arguments.json {
        print(&serde_json::to_string_pretty(&done.report).context("writing the report as JSON")?)?;
        for note in &done.notes {
            aside(format_args!("se-responder: {}", visible(note)));
        }
    } else {
        print(visible(&done.report.text(&done.notes)).trim_end())?;
    }
    let wrong = done.report.sums.wrong_pages;
    done.forget()?;
    match wrong {
        0 => Ok(()),
        1 => bail!("1 wrong page: leave ESCALATION_MODE as it is until you know why"),
        wrong => bail!("{wrong} wrong pages: leave ESCALATION_MODE as it is until you know why"),
    }
}
