//! Live progress on a terminal.

use std::io::{ErrorKind, IsTerminal, Write};
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
            eprintln!("{line}");
        } else {
            self.0.println(line);
        }
    }

    /// Takes the moving line away.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// Prints on standard output; a reader that has seen enough (`| head`) is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
