//! `BACKTEST_REPORT`: whether `ESCALATION_MODE=auto` has earned its right. It pages either way: who set it has decided; they
//! are told.

use std::io::Read as _;
use std::path::Path;

use jiff::Timestamp;

use crate::config::Config;
use runbook::backtest::report::earns_auto;
use runbook::gate::EscalationMode;

/// A report is a few hundred bytes an alert.
const MAX_REPORT: u64 = 64 * 1024 * 1024;

/// What to warn of: the mode is `auto`, and no good report is named.
pub fn warning(config: &Config, now: Timestamp) -> Option<String> {
    if config.escalation.mode != EscalationMode::Auto {
        return None;
    }
    let Some(path) = &config.backtest_report else {
        return Some(
            "BACKTEST_REPORT is not set: nothing shows that ESCALATION_MODE=auto would have paged the right people; run \
             `se-responder backtest --since 365d --json` (docs/backtest.md)"
                .to_owned(),
        );
    };
    let why = read(path).map_err(|e| format!("it can't be read: {e}")).and_then(|report| earns_auto(&report, now));
    let advice = "run `se-responder backtest` again before you trust ESCALATION_MODE=auto (docs/backtest.md)";
    why.err().map(|why| format!("BACKTEST_REPORT {}: {why}; {advice}", path.display()))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    // A pipe would keep the service from its start.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let mut report = Vec::new();
    std::fs::File::open(path)?.take(MAX_REPORT).read_to_end(&mut report)?;
    Ok(report)
}
