//! The status check by exec, as the runbook types it, but without a terminal:
//! `kubectl -n kube-system exec <pod> -c nginx-ingress -- curl -D- http://localhost:10443/status`.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::AttachParams;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::http::{self, MOST_HEAD};
use super::{Answer, CONTAINER, Miss, Prober, URL};
use crate::within;
use crate::words::tame;

/// How much of curl's complaint is kept.
const MOST_COMPLAINT: usize = 4096;
/// How long the streams may take to end once the command has.
const AFTERMATH: Duration = Duration::from_secs(1);

impl Prober<'_> {
    pub(super) async fn exec(&self, pod: &str) -> Result<Answer, Miss> {
        let clock = self.reader.clock;
        let api = self.api();
        let command = ["curl", "-sS", "-m", &seconds(self.third), "-D-", URL].map(str::to_owned);
        let streams = AttachParams::default().container(CONTAINER).stdin(false).tty(false);
        let mut process = within(clock, self.third, api.exec(pod, command, &streams))
            .await
            .ok_or_else(|| self.no_way("exec", pod, self.third))?
            .map_err(|e| self.miss(&e, "pods/exec"))?;
        let Some(mut ended) = process.take_status().map(Box::pin) else { return Err(self.no_end(pod)) };
        let (stdout, stderr) = (process.stdout(), process.stderr());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = {
            let drained = async {
                tokio::join!(drain(stdout, &mut out, MOST_HEAD), drain(stderr, &mut err, MOST_COMPLAINT));
            };
            let mut drained = std::pin::pin!(drained);
            let mut dry = false;
            // curl gives up by itself; the rest is for its word to get here.
            let mut limit = clock.sleep(self.third + self.third / 5);
            let status = loop {
                tokio::select! {
                    biased;
                    status = &mut ended => break status,
                    () = &mut drained, if !dry => dry = true,
                    () = &mut limit => return Err(self.no_end(pod)),
                }
            };
            if !dry && status.is_some() {
                within(clock, AFTERMATH, drained).await;
            }
            status
        };
        // The streams of a connection that died never end, and look like those of a command that said nothing.
        let status = status.ok_or_else(|| self.no_end(pod))?;
        judge(pod, &self.reader.place.context, &status, &out, &tame(&String::from_utf8_lossy(&err), 200))
    }

    fn no_end(&self, pod: &str) -> Miss {
        Miss::Failed(format!(
            "the exec in {pod} ended without a word on how, over {} (context {})",
            self.reader.place.server, self.reader.place.context
        ))
    }
}

/// What curl printed, complained of, and ended with.
fn judge(pod: &str, context: &str, status: &Status, out: &[u8], complaint: &str) -> Result<Answer, Miss> {
    let code = exit_code(status);
    if let (Some(_), Some(answer)) = (code, http::printed_status(out)) {
        return Ok(Answer::Status(answer));
    }
    let complained = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
    match code {
        Some(7) => Ok(Answer::Fault(format!("connection refused (curl exit 7){complained}"))),
        Some(28) => Ok(Answer::Fault(format!("no answer in time (curl exit 28){complained}"))),
        Some(52) => Ok(Answer::Fault(format!("empty reply (curl exit 52){complained}"))),
        // A protocol that is not HTTP, an answer cut off, a connection that broke.
        Some(code @ (1 | 8 | 16 | 18 | 55 | 56 | 92)) => {
            Ok(Answer::Fault(format!("no proper answer (curl exit {code}){complained}")))
        }
        Some(0) => Err(Miss::Failed(format!("curl in {pod} printed no HTTP status (context {context})"))),
        Some(127) => Err(Miss::Failed(no_curl(pod, context))),
        Some(code) => {
            Err(Miss::Failed(format!("curl in {pod} did not ask (exit {code}, context {context}){complained}")))
        }
        None => {
            let said = tame(status.message.as_deref().unwrap_or("nothing more was said"), 300);
            let low = said.to_lowercase();
            if low.contains("executable file not found") || low.contains("no such file") {
                return Err(Miss::Failed(no_curl(pod, context)));
            }
            Err(Miss::Failed(format!("curl was not run in {pod} (context {context}): {said}")))
        }
    }
}

fn no_curl(pod: &str, context: &str) -> String {
    format!("there is no curl in container {CONTAINER} of {pod} (context {context}): use CLUSTER_PROBE=port-forward")
}

/// The exit code of a command that ran; `None` where it never did.
fn exit_code(status: &Status) -> Option<i32> {
    if status.status.as_deref() == Some("Success") {
        return Some(0);
    }
    let causes = status.details.as_ref()?.causes.as_deref()?;
    causes.iter().find(|c| c.reason.as_deref() == Some("ExitCode"))?.message.as_deref()?.trim().parse().ok()
}

/// curl takes seconds with a decimal point.
fn seconds(length: Duration) -> String {
    let ms = length.as_millis().max(1);
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Reads to the end, so that the command is never held up; keeps the first `most` bytes.
async fn drain(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>, most: usize) {
    let Some(mut stream) = stream else { return };
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        let room = most.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&piece[..room]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_s_seconds() {
        for (ms, text) in [(10_000, "10"), (333, "0.333"), (1500, "1.5"), (0, "0.001"), (100_000, "100")] {
            assert_eq!(seconds(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn only_what_curl_met_on_the_way_is_a_fault_of_the_pod() {
        let ended = |code: i32| -> Status {
            serde_json::from_value(serde_json::json!({ "status": "Failure", "reason": "NonZeroExitCode",
                "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] } }))
            .unwrap()
        };
        let head = b"HTTP/1.1 503 Service Unavailable\r\n".as_slice();
        for code in [7, 28, 52, 1, 8, 16, 18, 55, 56, 92] {
            let answer = judge("p", "c", &ended(code), b"", "why");
            assert!(matches!(&answer, Ok(Answer::Fault(f)) if f.contains(&code.to_string())), "{answer:?}");
            assert_eq!(judge("p", "c", &ended(code), head, ""), Ok(Answer::Status(503)), "a status was seen before");
        }
        for code in [2, 3, 5, 6, 126, 127, 137, 143] {
            let answer = judge("p", "c", &ended(code), b"", "why");
            assert!(matches!(answer, Err(Miss::Failed(_))), "{code}: {answer:?}");
        }
        let no_curl = judge("p", "c", &ended(127), b"", "sh: curl: not found").unwrap_err().into_words();
        assert!(no_curl.contains("no curl in container nginx-ingress"), "{no_curl}");
        let success = Status { status: Some("Success".into()), ..Status::default() };
        assert_eq!(judge("p", "c", &success, head, ""), Ok(Answer::Status(503)));
        assert!(matches!(judge("p", "c", &success, b"hello", ""), Err(Miss::Failed(_))));
        let not_run = Status { status: Some("Failure".into()), ..Status::default() };
        assert!(matches!(judge("p", "c", &not_run, head, ""), Err(Miss::Failed(_))), "what never ran printed nothing");
    }
}
