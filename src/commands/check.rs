//! `check`: settings and regions file, offline. For a pull request that changes them.

use super::output::print;
use crate::config::Config;

/// Says what is risky in settings that are good.
///
/// # Errors
/// It can't be printed.
pub fn check(config: &Config) -> anyhow::Result<()> {
    for warning in &config.warnings {
        print(&format!("warn  {warning}"))?;
    }
    let regions = config.regions.all().len();
    let of_file = match regions {
        0 => "no regions file".to_owned(),
        1 => "1 region".to_owned(),
        count => format!("{count} regions"),
    };
    print(&format!("ok    settings are good ({of_file})"))
}
