//! Carries one note through the protocol of [`runbook::writes`]: diagnosis notes, short notes, notes on a page that is
//! joined. PagerDuty has no idempotency key for them.

use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;

use crate::run::context::Context;
use outbound::error::{Error, Kind};
use pagerduty::Note;
use runbook::span::between;
use runbook::writes::key::{FoundBy, found_by};
use runbook::writes::{Next, Outcome, Patience, Settling, Times, Tries, Write};
use store::{Right, StoreError, WantedWrite};

use super::our_notes::{self, Mark};

/// How often it is looked whether a write shows that may have been done.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The note is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its id.
    pub id: String,
    /// Another worker wrote it before: its text may be another.
    pub before: bool,
}

/// The note is not there, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPosted {
    /// PagerDuty does not take it, for good, and why.
    Refused(String),
    /// PagerDuty could not be asked until time was up; the last that went wrong. It may be written later, with a text
    /// that is true then.
    NotYet(String),
    /// It was not written, and nobody needs it any more.
    NotOwed,
}

impl std::fmt::Display for NotPosted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Refused(why) | Self::NotYet(why) => why,
            Self::NotOwed => "it is no longer due",
        })
    }
}

/// A note on its way.
struct Carrier<'a> {
    context: &'a Context,
    times: Times,
    wanted: WantedWrite<'a>,
    mark: Mark,
    /// Where it may have been written: the alert may have been merged since.
    on: String,
    /// What is recorded, and what was seen since.
    write: Write,
}

/// Sees that the note stands; what goes wrong with PagerDuty is borne as long as `patience` says. `undiagnosed`: it is not
/// sent again once that run has a diagnosis or has ended.
///
/// # Errors
/// The store; or, inside, why it is not written.
pub async fn carry(
    context: &Context,
    wanted: WantedWrite<'_>,
    right: Right<'_>,
    patience: Patience,
    undiagnosed: Option<&str>,
) -> Result<Result<Posted, NotPosted>, StoreError> {
    let context = &context.first();
    // A short note is found again by the text that was wanted first.
    let recorded = match found_by(wanted.key) {
        FoundBy::Text => Some(context.store.want_write(&wanted).await?),
        _ => context.store.recorded(wanted.key).await?,
    };
    let first_text = recorded.as_ref().map(|recorded| recorded.text.clone()).filter(|text| !text.is_empty());
    let wanted = WantedWrite { text: first_text.as_deref().unwrap_or(wanted.text), ..wanted };
    let mut carrier = Carrier::new(context, wanted, recorded.map(|recorded| (recorded.on, recorded.write)));
    let mut tries = Tries::new(patience);
    let mut before = true;
    loop {
        let error = match carrier.look_out().await? {
            Err(error) => error,
            Ok(Some(id)) => return Ok(Ok(Posted { id, before })),
            Ok(None) => {
                // It may have been looked for long.
                if let Some(run_id) = undiagnosed
                    && context
                        .store
                        .run(run_id)
                        .await?
                        .is_none_or(|run| run.diagnosis.is_some() || !run.state.is_active())
                {
                    return Ok(Err(NotPosted::NotOwed));
                }
                let Some(sent) = carrier.send(right).await? else { continue };
                before = false;
                match sent {
                    Ok(()) => continue,
                    Err(error) => error,
                }
            }
        };
        // Its work is over: whoever has it next writes it.
        if error.kind == Kind::Local && context.permit.over().now_or_never().is_some() {
            return Err(StoreError::LeaseLost);
        }
        if !context.pagerduty.may_pass(&error) {
            return Ok(Err(NotPosted::Refused(error.to_string())));
        }
        let Some(pause) = tries.failed(context.clock.now()) else {
            return Ok(Err(NotPosted::NotYet(error.to_string())));
        };
        // That PagerDuty can't be asked is said once, for all that ask it.
        tracing::debug!(key = wanted.key, error = %error, wait_s = pause.as_secs(), "a note is not written yet");
        context.clock.sleep(pause.mul_f64(0.5 + context.clock.jitter())).await;
    }
}

/// Whether the note stands, or may: a worker before us may have been cut off while it wrote it, and whoever can't be asked
/// doesn't say that it is not.
///
/// # Errors
/// The store.
pub async fn may_stand(context: &Context, wanted: WantedWrite<'_>) -> Result<bool, StoreError> {
    let context = &context.first();
    let Some(recorded) = context.store.recorded(wanted.key).await? else { return Ok(false) };
    let mut carrier = Carrier::new(context, wanted, Some((recorded.on, recorded.write)));
    match carrier.look_out().await? {
        Ok(found) => Ok(found.is_some()),
        Err(error) => {
            tracing::debug!(key = wanted.key, error = %error, "whether a note is written is not known");
            Ok(true)
        }
    }
}

impl<'a> Carrier<'a> {
    fn new(context: &'a Context, wanted: WantedWrite<'a>, recorded: Option<(String, Write)>) -> Self {
        let (on, mut write) = recorded.unwrap_or_else(|| (wanted.on.to_owned(), Write::default()));
        let times = context.times();
        write.take_over(context.moment(context.clock.now()), &times);
        Self { context, times, wanted, mark: Mark::of(wanted.key, wanted.text), on, write }
    }

    /// Looks for what may have been written, until it would show; the note that stands.
    async fn look_out(&mut self) -> Result<Result<Option<String>, Error>, StoreError> {
        let clock = &self.context.clock;
        loop {
            match self.write.next(&self.times) {
                Next::Stands(id) => return Ok(Ok(Some(id))),
                Next::Send => return Ok(Ok(None)),
                Next::Look(until) => {
                    let began = clock.now();
                    match self.look().await? {
                        Err(error) => return Ok(Err(error)),
                        Ok(Some(note)) => self.found(&note, began).await?,
                        Ok(None) => {
                            self.write.looked(self.context.moment(began), &Settling::default(), &self.times);
                            if self.write.next(&self.times) == Next::Look(until) {
                                let left = between(clock.now(), until).max(Duration::from_millis(1));
                                clock.sleep(LOOK_EVERY.min(left)).await;
                            }
                        }
                    }
                }
            }
        }
    }

    /// The oldest that may be it.
    async fn look(&self) -> Result<Result<Option<Note>, Error>, StoreError> {
        // Another of ours may say the same words.
        let others = match &self.mark {
            Mark::Text(text) => self.context.store.written_alike(text, self.wanted.key, &self.on).await?,
            _ => Vec::new(),
        };
        Ok(match our_notes::all(self.context, &self.on, &self.mark).await {
            Ok(notes) => Ok(notes.into_iter().find(|note| !others.contains(&note.id))),
            Err(error) => Err(error),
        })
    }

    async fn found(&mut self, note: &Note, began: Timestamp) -> Result<(), StoreError> {
        let wanted = WantedWrite { on: &self.on, text: &note.content, ..self.wanted };
        let moment = self.context.moment(began);
        self.write = self.context.store.found_write(&wanted, &note.id, moment, &self.times).await?.write;
        Ok(())
    }

    /// Sends it once; `None`: it stands already.
    async fn send(&mut self, right: Right<'_>) -> Result<Option<Result<(), Error>>, StoreError> {
        let Self { context, times, wanted, .. } = self;
        let now = context.moment(context.clock.now());
        let Some(attempt) = context.store.begin_write(wanted, right, self.write.attempt, now, times).await? else {
            self.write = context.store.want_write(wanted).await?.write;
            return Ok(None);
        };
        wanted.on.clone_into(&mut self.on);
        let sent = context.pagerduty.add_note(&context.permit, wanted.on, wanted.text).await;
        let now = context.moment(context.clock.now());
        self.write = context.store.end_write(wanted, attempt, &outcome(&sent), now, times).await?.write;
        Ok(Some(sent.map(drop)))
    }
}

/// What an answer says of a note that was sent.
fn outcome(sent: &Result<Note, Error>) -> Outcome {
    match sent {
        Ok(note) => Outcome::Done(note.id.clone()),
        Err(error) => match error.kind {
            Kind::Refused(_) => Outcome::Refused(error.to_string()),
            Kind::Later(_) | Kind::Local => Outcome::NotSent(error.to_string()),
            Kind::Ambiguous | Kind::Malformed => Outcome::Ambiguous(error.to_string()),
        },
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
