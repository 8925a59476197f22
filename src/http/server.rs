//! Serves connections, each within bounds of its own, so that who stalls keeps nobody else from being answered:
//! [`places`] has who may take whose place, [`turn`] how long each may take.

mod places;
mod turn;
mod wire;

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use futures::future::{BoxFuture, FutureExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::{Request, service::Service};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::Problem;
use super::limits::Limits;
use super::proxied::Peer;
use crate::metrics;
use places::{Places, Pool};
use turn::{Over, Turn};
use wire::{Coming, Going, Wire};

/// The largest head. Each connection may make us keep as much.
const MAX_HEAD: usize = 32 * 1024;
/// Connections that are let go at a time where no more files may be open, and how long they have to be gone.
const LET_GO: usize = 16;
const REST: Duration = Duration::from_millis(5);
/// The pause where there is none to let go of.
const LONG_REST: Duration = Duration::from_millis(100);
/// How often that is said while it goes on.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How long who is connected already may still begin a request when the service stops: it may be on its way.
const LAST_REQUEST: Duration = Duration::from_millis(500);
/// The same for a connection that has begun none yet: it was made to send one, by somebody who may be slow. It is part of
/// `SHUTDOWN_GRACE`.
const FIRST_REQUEST: Duration = Duration::from_millis(1500);

/// Serves until `stop`. From then on connections are refused; those that wait to be taken are taken, and all that are
/// there have [`LAST_REQUEST`] to begin a request, or [`FIRST_REQUEST`], and are let go when it is answered.
///
/// # Errors
/// The listener can't be asked for what waits.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    proxies: Vec<IpNet>,
    stop: CancellationToken,
) -> io::Result<()> {
    let stopping = stop.clone();
    let router = router.layer(map_response(move |response| ready(last_of_its_connection(&stopping, response))));
    let places = Arc::new(Places::new(limits, proxies));
    let mut server = Server { router, stop, places, connections: TaskTracker::new(), said: None };
    loop {
        let accepted = tokio::select! {
            () = server.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => server.connected(stream, from.ip()),
            Err(error) => server.not_taken(&error).await,
        }
    }
    // What the kernel has taken for us would be cut off unanswered with the listener.
    let listener = listener.into_std()?;
    while let Ok((stream, from)) = listener.accept() {
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        let Ok(stream) = stream else { continue };
        server.connected(stream, from.ip());
    }
    drop(listener);
    server.connections.close();
    server.connections.wait().await;
    Ok(())
}

/// Once we stop, who is answered must not send its next request the same way.
fn last_of_its_connection(stop: &CancellationToken, mut response: Response) -> Response {
    if stop.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

struct Server {
    router: Router,
    stop: CancellationToken,
    places: Arc<Places>,
    connections: TaskTracker,
    /// When it was last said that connections can't be taken.
    said: Option<Instant>,
}

impl Server {
    fn connected(&self, socket: TcpStream, from: std::net::IpAddr) {
        // A webhook's answer is small and must not wait for more to send.
        let _ = socket.set_nodelay(true);
        let turn = Arc::new(Turn::new(self.places.arrive(from)));
        let requests = Requests { router: self.router.clone(), turn: turn.clone(), peer: Peer(from) };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // The turn has it, and tells a connection that is kept from one whose head has begun.
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Wire { socket, turn: turn.clone() }), requests);
        let stop = self.stop.clone();
        let asked = turn.clone();
        let let_go = async move {
            stop.cancelled().await;
            tokio::time::sleep(LAST_REQUEST).await;
            if asked.is_new() {
                tokio::time::sleep(FIRST_REQUEST - LAST_REQUEST).await;
            }
        };
        self.connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            // First what moves it on, then whether it is over.
            let served = tokio::select! {
                biased;
                served = connection.as_mut() => Ok(served),
                why = turn.over() => Err(why),
                () = let_go => {
                    connection.as_mut().graceful_shutdown();
                    turn.last();
                    tokio::select! {
                        biased;
                        served = connection => Ok(served),
                        why = turn.over() => Err(why),
                    }
                }
            };
            match served {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
                Err(why) => {
                    if why == Over::TooSlow {
                        metrics::connection_closed("time");
                    }
                    tracing::debug!(?why, "a connection was closed");
                }
            }
        });
    }

    /// A connection could not be taken. It does not take the service down, nor keep it busy.
    async fn not_taken(&mut self, error: &io::Error) {
        let scarce = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        let scarce = error.raw_os_error().is_some_and(|code| scarce.iter().any(|e| e.raw_os_error() == code));
        if !scarce {
            // Its client has gone already.
            tracing::debug!(%error, "a connection could not be taken");
            return;
        }
        let let_go = (0..LET_GO).take_while(|_| self.places.let_go_of_one()).count();
        if self.said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
            self.said = Some(Instant::now());
            tracing::error!(
                %error, let_go,
                "connections can't be taken: too many files are open; raise this process's limit (ulimit -n, \
                 LimitNOFILE)"
            );
        }
        tokio::time::sleep(if let_go > 0 { REST } else { LONG_REST }).await;
    }
}

/// Answers the requests of one connection.
struct Requests {
    router: Router,
    turn: Arc<Turn>,
    peer: Peer,
}

impl Service<Request<Incoming>> for Requests {
    type Response = http::Response<Going<Body>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (router, turn) = (self.router.clone(), self.turn.clone());
        let answer = match turn.begin(Pool::of(request.uri().path())) {
            Ok(()) => {
                let mut request = request.map(|body| Body::new(Coming::new(body, turn.clone())));
                request.extensions_mut().insert(self.peer);
                router.oneshot(request).boxed()
            }
            Err(places::Full) => {
                metrics::connection_closed("refused");
                ready(Ok(no_place())).boxed()
            }
        };
        async move { Ok(answer.await?.map(|body| Going { body, turn })) }.boxed()
    }
}

/// Every place for such a request is at work.
fn no_place() -> Response {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests are being answered: try again soon");
    let mut response = problem.into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests;
