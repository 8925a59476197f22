//! Watches what the upstreams see of the service, byte by byte: when a request begins and is whole, when its answer
//! begins and is whole. The tests kill the service at such a moment.
//!
//! A watcher is called in place, on the connection's own task: while it runs, the upstream does nothing.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::{io, mem};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What an upstream sees of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The first bytes of a request have come.
    RequestBegun,
    /// The whole request has come, and has had no effect yet.
    RequestWhole,
    /// The effect has taken place, and nothing of the answer was sent.
    AnswerBegun,
    /// The whole answer was sent.
    AnswerWhole,
    /// Bytes of a stream (a WebSocket) have come.
    Received,
    /// Bytes of a stream were sent.
    Sent,
}

/// One thing that an upstream saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Who saw it: `pagerduty`, `jenkins`, `cluster`.
    pub upstream: &'static str,
    /// What of the exchange.
    pub moment: Moment,
    /// The request's first line.
    pub request: String,
}

/// What the upstream does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes on as if nothing had happened.
    GoOn,
    /// It never gets what has just come: the connection is broken. After anything but [`Moment::RequestBegun`] and
    /// [`Moment::Received`] this is the same as going on.
    Lose,
}

/// Told of every sighting.
pub type Watcher = Arc<dyn Fn(&Sighting) -> Then + Send + Sync>;

/// Where a watcher is put; clones share it.
#[derive(Clone, Default)]
pub struct Tap(Arc<Mutex<Option<Watcher>>>);

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

impl Tap {
    /// From now on this watcher is told, and no other.
    pub fn watch(&self, watcher: Watcher) {
        *lock(&self.0) = Some(watcher);
    }

    pub(super) fn line(&self, upstream: &'static str) -> Arc<Line> {
        Arc::new(Line { tap: self.clone(), upstream, state: Mutex::default() })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Asked,
    Answering,
    Stream,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    request: String,
    /// The answer's last bytes are on their way to the socket.
    ended: bool,
    wrote: bool,
    becomes_stream: bool,
}

/// One connection as it is watched.
#[derive(Debug)]
pub(super) struct Line {
    tap: Tap,
    upstream: &'static str,
    state: Mutex<State>,
}

impl Line {
    fn tell(&self, moment: Moment) -> Then {
        let watcher = lock(&self.tap.0).clone();
        let Some(watcher) = watcher else { return Then::GoOn };
        let request = lock(&self.state).request.clone();
        watcher(&Sighting { upstream: self.upstream, moment, request })
    }

    fn came(&self, bytes: &[u8]) -> Then {
        let moment = {
            let mut state = lock(&self.state);
            match state.phase {
                Phase::Idle => {
                    let line = bytes.split(|&b| b == b'\r').next().unwrap_or_default();
                    state.request = String::from_utf8_lossy(line).into_owned();
                    state.phase = Phase::Asked;
                    Moment::RequestBegun
                }
                Phase::Stream => Moment::Received,
                Phase::Asked | Phase::Answering => return Then::GoOn,
            }
        };
        self.tell(moment)
    }

    /// The request is whole.
    pub(super) fn whole(&self) {
        self.tell(Moment::RequestWhole);
    }

    /// The answer is made; the one to be sent.
    pub(super) fn answer(self: &Arc<Self>, response: Response) -> Response {
        self.tell(Moment::AnswerBegun);
        let (parts, body) = response.into_parts();
        {
            let mut state = lock(&self.state);
            state.phase = Phase::Answering;
            state.becomes_stream = parts.status == StatusCode::SWITCHING_PROTOCOLS;
            state.ended = body.is_end_stream();
            state.wrote = false;
        }
        Response::from_parts(parts, Body::new(Watched { body, line: Arc::clone(self) }))
    }

    fn wrote(&self) {
        let streams = {
            let mut state = lock(&self.state);
            state.wrote = true;
            state.phase == Phase::Stream
        };
        if streams {
            self.tell(Moment::Sent);
        }
    }

    fn flushed(&self) {
        {
            let mut state = lock(&self.state);
            if state.phase != Phase::Answering || !(state.ended && state.wrote) {
                return;
            }
            state.phase = if mem::take(&mut state.becomes_stream) { Phase::Stream } else { Phase::Idle };
        }
        self.tell(Moment::AnswerWhole);
    }

    /// Every request of these routes is told of when it is whole, and when its answer begins.
    pub(super) fn over(self: &Arc<Self>, router: Router) -> Router {
        let line = Arc::clone(self);
        router.layer(from_fn(move |request: Request, next: Next| {
            let line = Arc::clone(&line);
            async move {
                let (parts, body) = request.into_parts();
                // What never came whole is nobody's request.
                let Ok(body) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
                line.whole();
                line.answer(next.run(Request::from_parts(parts, Body::from(body))).await)
            }
        }))
    }
}

/// An answer's body, whose end is told.
struct Watched {
    body: Body,
    line: Arc<Line>,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            lock(&self.line.state).ended = true;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's bytes, in the clear.
#[derive(Debug)]
pub(super) struct Tapped<S> {
    pub(super) io: S,
    line: Arc<Line>,
}

impl<S> Tapped<S> {
    pub(super) fn new(io: S, line: &Arc<Line>) -> Self {
        Self { io, line: Arc::clone(line) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        if !new.is_empty() && self.line.came(new) == Then::Lose {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.line.wrote();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.line.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
