//! How far a connection is, and until when it must be further: a head, the answer to it, the next head.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::places::{Full, Place, Pool};

/// Where a connection is in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing of the next request has come.
    Idle,
    /// A head is coming.
    Head,
    /// A request is answered.
    Answer,
    /// The answer is made, and is being sent.
    Sending,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Another needed its place.
    PlaceNeeded,
    /// Nothing more was asked.
    Idle,
    /// Its client was too slow.
    TooSlow,
}

/// A connection's turn, told by whoever sees it move on: its socket, its requests, its answers.
#[derive(Debug)]
pub(super) struct Turn {
    place: Place,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// When this stage is too long.
    until: Instant,
    /// Since when the client takes nothing of what is sent.
    stalled: Option<Instant>,
    /// Since when nothing but what has begun is answered.
    last: Option<Instant>,
    /// No request has begun on it yet.
    new: bool,
}

impl Turn {
    /// A connection that has just come.
    pub(super) fn new(place: Place) -> Self {
        let until = in_a(place.limits().head);
        Self { place, state: Mutex::new(State { stage: Stage::Head, until, stalled: None, last: None, new: true }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        let mut state = self.state();
        if state.stage == Stage::Idle {
            state.stage = Stage::Head;
            state.until = in_a(self.place.limits().head);
        }
    }

    /// A head is there; where there is no place for its request, it is only told so.
    pub(super) fn begin(&self, pool: Pool) -> Result<(), Full> {
        let limits = self.place.limits();
        let mut state = self.state();
        state.stage = Stage::Answer;
        state.new = false;
        state.until = in_a(if pool == Pool::Streams { limits.stream + limits.request } else { limits.request });
        self.place.begin(pool)
    }

    /// Whether no request has begun on it yet.
    pub(super) fn is_new(&self) -> bool {
        self.state().new
    }

    /// Whether the rest of the request is awaited.
    pub(super) fn awaits_body(&self, awaits: bool) {
        if self.state().stage == Stage::Answer {
            self.place.waits(awaits);
        }
    }

    /// The last of the answer is made.
    pub(super) fn made(&self) {
        let mut state = self.state();
        if state.stage == Stage::Answer {
            state.stage = Stage::Sending;
            self.place.waits(true);
        }
    }

    /// The client's side takes nothing now.
    pub(super) fn stalls(&self) {
        let mut state = self.state();
        if state.stalled.is_none() {
            state.stalled = Some(Instant::now());
            self.place.waits(true);
        }
    }

    /// The client's side took some.
    pub(super) fn took(&self) {
        let mut state = self.state();
        if state.stalled.take().is_some() && state.stage == Stage::Answer {
            self.place.waits(false);
        }
    }

    /// All that was made so far is sent.
    pub(super) fn sent(&self) {
        self.took();
        let mut state = self.state();
        if state.stage == Stage::Sending {
            state.stage = Stage::Idle;
            state.until = in_a(self.place.limits().idle);
            self.place.end();
        }
    }

    /// Whoever has not sent a whole head by now is not waited for.
    pub(super) fn last(&self) {
        self.state().last = Some(Instant::now());
    }

    /// When it is over unless it moves on.
    fn deadline(&self) -> Instant {
        let state = self.state();
        match (state.last, state.stalled) {
            (Some(since), _) if matches!(state.stage, Stage::Idle | Stage::Head) => since.min(state.until),
            (_, Some(since)) => state.until.min(since + self.place.limits().write),
            (_, None) => state.until,
        }
    }

    /// Resolves when the connection has no more time, or its place was given to another: why. What moves it on must be
    /// polled before, in the same task.
    pub(super) async fn over(&self) -> Over {
        let mut let_go = pin!(self.place.let_go().cancelled());
        let mut alarm = pin!(sleep_until(self.deadline()));
        poll_fn(|cx| {
            if let_go.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Over::PlaceNeeded);
            }
            loop {
                let deadline = self.deadline();
                // One that rings too soon is only set again.
                if deadline < alarm.deadline() || alarm.is_elapsed() {
                    alarm.as_mut().reset(deadline);
                }
                ready!(alarm.as_mut().poll(cx));
                if self.deadline() <= Instant::now() {
                    let idle = self.state().stage == Stage::Idle;
                    return Poll::Ready(if idle { Over::Idle } else { Over::TooSlow });
                }
            }
        })
        .await
    }
}

fn in_a(length: Duration) -> Instant {
    Instant::now() + length
}
