//! The sockets: HTTP/1.1 in the clear and over TLS, in which one exchange can be cut off.

use std::sync::Arc;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::tap::{Line, Tap, Tapped};

/// Given to each request: cuts its connection off, so that the client sees a reset.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut(pub(super) CancellationToken);

/// Serves until `stop`; then every connection is dropped.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    tap: Tap,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let (router, tls, line) = (router.clone(), tls.clone(), tap.line("pagerduty"));
        connections.spawn(async move {
            match tls {
                None => connection(stream, router, &line, |stream: TcpStream| stream).await,
                Some(config) => {
                    // A client that does not trust us is its own business.
                    if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                        connection(stream, router, &line, |stream| stream.into_inner().0).await;
                    }
                }
            }
        });
    }
}

async fn connection<S>(stream: S, router: Router, line: &Arc<Line>, socket: impl FnOnce(S) -> TcpStream)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cut = Cut::default();
    let service = TowerToHyperService::new(line.over(router.layer(Extension(cut.clone()))));
    let mut exchange = http1::Builder::new().serve_connection(TokioIo::new(Tapped::new(stream, line)), service);
    tokio::select! {
        _ = &mut exchange => {}
        () = cut.0.cancelled() => {
            // Without lingering, closing is a reset.
            let socket = socket(exchange.into_parts().io.into_inner().io);
            let _ = socket.set_zero_linger();
        }
    }
}
