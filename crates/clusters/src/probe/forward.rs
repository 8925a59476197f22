//! The status check by port-forward: kubelet dials the port inside the pod's network namespace, as curl in it would.

use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::http::{self, Head};
use super::{Answer, Miss, Open, PORT, Prober};
use crate::words::tame;
use crate::{INGRESS_NAMESPACE, within};
use runbook::span::show_duration;

/// How long to wait for the end of a stream that is over, and for a sign of life of the API server.
const AFTERMATH: Duration = Duration::from_secs(2);

impl Prober<'_> {
    pub(super) async fn forward(&self, pod: &str) -> Result<Answer, Miss> {
        let clock = self.reader.clock;
        let api = self.api();
        let mut forwarder = within(clock, self.third, api.portforward(pod, &[PORT]))
            .await
            .ok_or_else(|| self.no_way("port-forward", pod, self.third))?
            .map_err(|e| self.miss(&e, "pods/portforward"))?;
        let (stream, error) = (forwarder.take_stream(PORT), forwarder.take_error(PORT));
        let mut open = Open(Some(forwarder));
        let (Some(mut stream), Some(error)) = (stream, error) else { return Err(self.broken(pod)) };
        let mut error = std::pin::pin!(error);
        let mut error_open = true;
        let mut limit = clock.sleep(self.third);
        let mut read = Vec::new();
        let mut piece = [0; 4096];
        // Where the pod is gone by now, the reading shows it.
        let _ = stream.write_all(http::REQUEST).await;
        loop {
            tokio::select! {
                biased;
                count = stream.read(&mut piece) => match count {
                    Ok(count) if count > 0 => {
                        read.extend_from_slice(&piece[..count]);
                        match http::status(&read) {
                            Head::Status(status) => return Ok(Answer::Status(status)),
                            Head::NoHttp => return Ok(Answer::Fault(not_http(&read))),
                            Head::Unfinished => {}
                        }
                    }
                    _ => break,
                },
                said = &mut error, if error_open => match said {
                    Some(said) => return self.judge(pod, &said),
                    None => error_open = false,
                },
                () = &mut limit => return self.silence(pod, read.len()).await,
            }
        }
        // kube ends the stream on the socket's closing, which comes after all that was said: a reason is here already.
        let reason = if error_open { error.now_or_never().flatten() } else { None };
        if let Some(said) = reason {
            return self.judge(pod, &said);
        }
        drop(stream);
        let ended = match open.0.take() {
            Some(forwarder) => within(clock, AFTERMATH.min(self.third), forwarder.join()).await,
            None => None,
        };
        match ended {
            Some(Err(e)) if !is_goodbye(&e) => Err(self.broken(pod)),
            _ if read.is_empty() => {
                Ok(Answer::Fault("empty reply: the connection was closed without an answer".to_owned()))
            }
            _ => Ok(Answer::Fault(format!("the connection was closed before the answer's status: {}", quote(&read)))),
        }
    }

    /// Nothing came in time: the pod is silent, unless it is the API server that is.
    async fn silence(&self, pod: &str, read: usize) -> Result<Answer, Miss> {
        let alive = within(self.reader.clock, AFTERMATH.min(self.third), self.reader.answers(INGRESS_NAMESPACE, pod));
        if alive.await != Some(true) {
            return Err(Miss::Failed(format!(
                "the API server {} stopped answering while {pod} was asked (context {})",
                self.reader.place.server, self.reader.place.context
            )));
        }
        let length = show_duration(self.third);
        Ok(Answer::Fault(match read {
            0 => format!("no answer within {length}"),
            read => format!("no whole answer within {length}, only {read} bytes"),
        }))
    }

    /// What the kubelet says of the port: whether it dialled, and what came of it.
    fn judge(&self, pod: &str, said: &str) -> Result<Answer, Miss> {
        let low = said.to_lowercase();
        let said = tame(said, 300);
        // kubelet names the address that it dialled inside the pod; other time-outs are its own.
        if low.contains("localhost") || low.contains("127.0.0.1") || low.contains("[::1]") {
            for (sign, fault) in [
                ("connection refused", "connection refused"),
                ("connection reset", "connection reset"),
                ("broken pipe", "the connection broke"),
                ("timed out", "no connection in time"),
                ("i/o timeout", "no connection in time"),
            ] {
                if low.contains(sign) {
                    return Ok(Answer::Fault(format!("{fault} on localhost:{PORT}")));
                }
            }
        }
        let context = &self.reader.place.context;
        Err(Miss::Closed(format!("the port-forward to {pod} did not reach its port (context {context}): {said}")))
    }

    fn broken(&self, pod: &str) -> Miss {
        Miss::Failed(format!(
            "the connection to the API server {} broke while {pod} was asked (context {})",
            self.reader.place.server, self.reader.place.context
        ))
    }
}

/// Whether kube failed only at saying goodbye to a socket that the other side had closed properly: it does so at each
/// such end. Its error type can't be named, so its words have to tell.
fn is_goodbye(error: &impl std::error::Error) -> bool {
    error.to_string().starts_with("failed to send a WebSocket message")
}

fn not_http(read: &[u8]) -> String {
    format!("an answer that is not HTTP: {}", quote(read))
}

fn quote(read: &[u8]) -> String {
    format!("{:?}", tame(&String::from_utf8_lossy(&read[..read.len().min(200)]), 60))
}
