//! Live progress on a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::colour::wants_colour;

/// A line that moves while something is awaited, where standard error is a terminal; nothing elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Watch(ProgressBar);

impl Watch {
    pub(super) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        let spinner = if wants_colour(&std::io::stderr()) { "{spinner:.cyan}" } else { "{spinner}" };
        if let Ok(style) = ProgressStyle::with_template(&format!("{spinner} {{elapsed:>4}} {{wide_msg}}")) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// What is awaited now.
    pub(super) fn say(&self, line: &str) {
        self.0.set_message(line.to_owned());
    }

    /// A line that stays.
    #[cfg(feature = "sim")]
    pub(super) fn keep(&self, line: &str) {
        if self.0.is_hidden() {
            super::output::aside(line);
        } else {
            self.0.println(line);
        }
    }

    /// Takes the moving line away.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
