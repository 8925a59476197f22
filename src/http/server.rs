//! Serves connections, each within bounds: a client that never ends its request's head is let go, and so are the idle
//! when the service stops.

use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::map_response;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The longest wait for a request's head. PagerDuty sends its webhooks at once.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Connections at a time.
const MOST: usize = 1024;
/// The pause after a connection that could not be taken: no more files may be open, say.
const REST: Duration = Duration::from_millis(100);
/// How long who is connected already may still begin a request when the service stops: it may be on its way.
const LAST_REQUEST: Duration = Duration::from_millis(500);

/// Serves until `stop`. From then on connections are refused; those that wait to be taken are taken, and all that are
/// there have [`LAST_REQUEST`] to begin a request, and are let go when it is answered.
///
/// # Errors
/// The listener can't be asked for what waits.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(MOST));
    let stopping = stop.clone();
    let router = router.layer(map_response(move |response| ready(last_of_its_connection(&stopping, response))));
    let server = Server { router, stop, connections: TaskTracker::new() };
    loop {
        let accepted = tokio::select! {
            () = server.stop.cancelled() => break,
            accepted = async {
                let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
                Ok::<_, io::Error>((place, listener.accept().await?.0))
            } => accepted,
        };
        match accepted {
            Ok((place, stream)) => server.connected(place, stream),
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be taken");
                tokio::time::sleep(REST).await;
            }
        }
    }
    // What the kernel has taken for us would be cut off unanswered with the listener.
    let listener = listener.into_std()?;
    while let Ok(place) = places.clone().try_acquire_owned()
        && let Ok((stream, _)) = listener.accept()
    {
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        let Ok(stream) = stream else { continue };
        server.connected(place, stream);
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
    connections: TaskTracker,
}

impl Server {
    fn connected(&self, place: OwnedSemaphorePermit, stream: TcpStream) {
        // A webhook's answer is small and must not wait for more to send.
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router.clone()));
        let stop = self.stop.clone();
        let let_go = async move {
            stop.cancelled().await;
            tokio::time::sleep(LAST_REQUEST).await;
        };
        self.connections.spawn(async move {
            let _place = place;
            let mut connection = std::pin::pin!(connection);
            let served = tokio::select! {
                served = connection.as_mut() => served,
                () = let_go => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(error = %error, "a connection ended early");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn who_waited_to_be_taken_when_it_stops_is_answered_and_from_then_on_nobody_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Connected by the kernel, and asked, before anybody has taken it.
        let mut waiting = TcpStream::connect(address).await.unwrap();
        waiting.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        let served = tokio::spawn(serve(listener, Router::new().route("/", get(async || "here")), stop));
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, waiting.read_to_string(&mut answer)).await.expect("an end").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("here"), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "its client must not ask on: {answer}");
        // Who says nothing does not keep it.
        tokio::time::timeout(PATIENCE, served).await.expect("an end").unwrap().unwrap();
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
