//! One build, whoever started it, followed to its end: what it printed, when it ended, and how.

use std::sync::Arc;

use jiff::Timestamp;

use crate::run::progress::Progress;
use jenkins::{Build, Jenkins};
use outbound::error::Error;
use runbook::diagnosis::Console;
use runbook::span::after;

/// What came of one try for a reading.
#[derive(Debug)]
pub(super) struct Tried {
    /// The build that was tried.
    pub(super) number: Option<u64>,
    /// The build that was read.
    pub(super) build: Option<Build>,
    /// When it ended, or when it was given up.
    pub(super) at: Timestamp,
    /// What it printed; `None` where no build could be read.
    pub(super) console: Option<Console>,
    pub(super) warnings: Vec<String>,
    /// No other zone is asked after it: Jenkins refuses us or the job as such, or what is started can't be remembered.
    pub(super) is_last: bool,
}

/// Why a try ended early.
#[derive(Debug)]
pub(super) enum Trouble {
    Upstream(Error),
    Other(String),
    /// A build, wanted or started, could not be remembered: whoever goes on later looks for it.
    NotRemembered(String),
    Deadline,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Upstream(error)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Upstream(error) => error.fmt(f),
            Self::Other(what) | Self::NotRemembered(what) => f.write_str(what),
            Self::Deadline => f.write_str("the deadline"),
        }
    }
}

/// What is known of a build while it is followed.
#[derive(Debug)]
pub(super) struct Follower<'a> {
    pub(super) jenkins: &'a Jenkins,
    pub(super) progress: &'a Progress,
    deadline: Timestamp,
    console: Arc<Console>,
    /// The build once it is known to be the right one, as last seen.
    build: Option<Build>,
    seen_running_at: Option<Timestamp>,
    warnings: Vec<String>,
    /// The last line of progress.
    said: String,
    /// The last failure that was not the end of it.
    pub(super) last_error: Option<Error>,
}

impl<'a> Follower<'a> {
    pub(super) fn new(jenkins: &'a Jenkins, progress: &'a Progress, deadline: Timestamp) -> Self {
        Self {
            jenkins,
            progress,
            deadline,
            console: Arc::default(),
            build: None,
            seen_running_at: None,
            warnings: Vec::new(),
            said: String::new(),
            last_error: None,
        }
    }

    /// A failure that may pass is borne while there is a build to lose: `None`, and to be asked again.
    pub(super) fn bear<T>(&mut self, answer: Result<T, Error>) -> Result<Option<T>, Trouble> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            // A build runs on, whatever stands between us and Jenkins for a while.
            Err(error)
                if error.may_pass(self.jenkins.settings().token.is_renewable())
                    && self.jenkins.clock().now() < self.deadline =>
            {
                tracing::debug!(error = %error, "still following the build");
                self.last_error = Some(error);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Says what is new.
    pub(super) fn say(&mut self, line: String) {
        if self.said != line {
            self.progress.say(&line);
            self.said = line;
        }
    }

    /// Reads the console of a build that is `right` until it has ended and its console is whole.
    pub(super) async fn read(
        &mut self,
        number: u64,
        right: impl Fn(&Build) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let mut watch = self.jenkins.watch(number);
        loop {
            let sight = watch.next(self.deadline).await;
            if let Some(error) = sight.build_error {
                self.bear::<()>(Err(error))?;
            }
            if sight.is_gone {
                return Err(Trouble::Other(format!("build #{number} is gone")));
            }
            let Some(build) = sight.build else { continue };
            right(&build)?;
            (self.build, self.seen_running_at, self.console) = (Some(build), sight.seen_running_at, sight.console);
            if let Some(error) = sight.console_error {
                self.bear::<()>(Err(error))?;
            }
            match (sight.done_since, sight.grows) {
                (Some(_), Some(false)) => return self.judge(number),
                (Some(since), Some(true)) if self.jenkins.clock().now() >= after(since, self.jenkins.lag()) => {
                    self.warnings.push(format!("the console of build #{number} stayed open after the build's end"));
                    return self.judge(number);
                }
                (None, Some(_)) => {
                    let boxes = self.console.boxes.len();
                    self.say(format!("Jenkins: build #{number} runs, {boxes} boxes so far"));
                }
                _ => {}
            }
        }
    }

    fn judge(&mut self, number: u64) -> Result<(), Trouble> {
        let result = self.build.as_ref().and_then(|build| build.result.as_deref()).unwrap_or("nothing");
        self.progress.say(&format!("Jenkins: build #{number} ended, {result}"));
        match result {
            "SUCCESS" => Ok(()),
            // What it printed still counts.
            other => Err(Trouble::Other(format!("{} ended {other}", self.jenkins.build_url(number)))),
        }
    }

    /// Why there is no whole reading of it when time is up.
    pub(super) fn unfinished(&self, number: u64) -> String {
        let url = self.jenkins.build_url(number);
        if self.build.as_ref().is_some_and(Build::is_done) {
            format!("the console of {url} could not be read to its end")
        } else {
            format!("{url} was still running; what it had printed counts")
        }
    }

    /// The build, as last seen.
    pub(super) fn build(&self) -> Option<&Build> {
        self.build.as_ref()
    }

    /// When the build ended, as far as is known.
    pub(super) fn ended_at(&self) -> Option<Timestamp> {
        let ended = self.build.as_ref()?.ended_at?;
        // Jenkins' sum may be early by a wait that it does not tell; that we saw it running is certain.
        Some(self.seen_running_at.map_or(ended, |seen| seen.max(ended)))
    }

    /// What has been read so far.
    pub(super) fn so_far(&self) -> Console {
        Console::clone(&self.console)
    }

    /// What came of it.
    pub(super) fn finish(self, number: Option<u64>, failed: Option<String>, is_last: bool) -> Tried {
        let now = self.jenkins.clock().now();
        let at = self.ended_at().map_or(now, |ended| ended.min(now));
        let mut warnings = self.warnings;
        warnings.extend(failed);
        let console = self.build.is_some().then(|| Arc::unwrap_or_clone(self.console));
        Tried { number, build: self.build, at, console, warnings, is_last }
    }
}
