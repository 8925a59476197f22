//! Inside a pod: a status endpoint on port 10443, and a curl that asks it.

use std::time::Duration;

use tokio::sync::mpsc;

use super::exporter;
use super::plan::{Answer, PodPlan};

const PORT: u16 = 10443;
const GARBAGE: &[u8] = b"\x15\x03\x01\x00\x02\x02\x46 not what you asked for\r\n";

/// What comes back over a port-forward.
#[derive(Debug)]
pub(super) enum Out {
    /// Bytes from the port.
    Data(Vec<u8>),
    /// Why the port can't be used.
    Error(String),
    /// The port closed.
    End,
    /// The connection to the API server breaks.
    Cut,
}

/// One connection to a port inside the pod.
pub(super) async fn connection(pod: PodPlan, port: u16, mut bytes: mpsc::Receiver<Vec<u8>>, out: mpsc::Sender<Out>) {
    // Where nobody listens any more, there is nobody to tell.
    let failed = |why: &str| format!("error forwarding port {port} to pod {}, uid : {why}", pod.name);
    let exporter = pod.exporter.as_ref().filter(|_| port == exporter::PORT);
    if (port != PORT && exporter.is_none()) || pod.answer == Answer::Refused {
        let why = failed(&format!(
            "failed to execute portforward in network namespace \"/var/run/netns/cni-6d4d\": failed to connect to \
             localhost:{port} inside namespace \"6d4d\", IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused \
             IPv6 dial tcp6 [::1]:{port}: connect: connection refused "
        ));
        let _ = out.send(Out::Error(why)).await;
        let _ = out.send(Out::End).await;
        return;
    }
    if pod.answer == Answer::NoSandbox {
        let _ = out.send(Out::Error(failed("failed to find sandbox \"6d4d\" in store: not found"))).await;
        let _ = out.send(Out::End).await;
        return;
    }
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match bytes.recv().await {
            Some(piece) if head.len() < 65_536 => head.extend(piece),
            _ => return,
        }
    }
    if let Some(exporter) = exporter {
        match exporter.answer(&head).await {
            Some(answer) => drop(out.send(Out::Data(answer.into_bytes())).await),
            None => std::future::pending().await,
        }
        let _ = out.send(Out::End).await;
        return;
    }
    match pod.answer {
        Answer::Silent => std::future::pending().await,
        Answer::Cut => {
            let _ = out.send(Out::Cut).await;
        }
        Answer::Drip => {
            let _ = out.send(Out::Data(b"HTTP/1.1 200 ".to_vec())).await;
            while out.send(Out::Data(b"O".to_vec())).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Answer::Empty => {}
        Answer::Garbage => {
            let _ = out.send(Out::Data(GARBAGE.to_vec())).await;
        }
        Answer::Status(code) | Answer::Continue(code) => {
            let code = if is_status_request(&head) { code } else { 400 };
            let _ = out.send(Out::Data(heads_and_body(pod.answer, code).concat().into_bytes())).await;
        }
        Answer::Refused | Answer::NoSandbox => {}
    }
    let _ = out.send(Out::End).await;
}

/// nginx's virtual host is chosen by the Host header: with another one the status check would not be what answers.
fn is_status_request(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    lines.next() == Some("GET /status HTTP/1.1") && lines.any(|l| l.eq_ignore_ascii_case("host: localhost:10443"))
}

/// Interim head, head, body.
fn heads_and_body(answer: Answer, code: u16) -> [String; 3] {
    let interim = if matches!(answer, Answer::Continue(_)) { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
    let reason = http::StatusCode::from_u16(code).ok().and_then(|c| c.canonical_reason()).unwrap_or("Unknown");
    let body = format!("{{\"status\":\"{reason}\"}}\n");
    let head = format!(
        "HTTP/1.1 {code} {reason}\r\nServer: nginx\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    [interim.to_owned(), head, body]
}

/// How a command ended.
#[derive(Debug)]
pub(super) enum Exit {
    /// It ran.
    Code { code: u8, out: Vec<u8>, err: String },
    /// It never ran.
    NotRun(String),
    /// The connection to the API server breaks.
    Cut,
}

/// Runs a command in a container of the pod. There is only curl.
pub(super) async fn run(pod: &PodPlan, command: &[&str]) -> Exit {
    let name = command.first().copied().unwrap_or_default();
    if name != "curl" || !pod.curl {
        return Exit::NotRun(format!(
            "Internal error occurred: error executing command in container: failed to exec in container: failed to \
             start exec \"5f1a\": OCI runtime exec failed: exec failed: unable to start container process: exec: \
             {name:?}: executable file not found in $PATH: unknown"
        ));
    }
    match pod.answer {
        Answer::Cut => return Exit::Cut,
        Answer::NoSandbox => {
            return Exit::NotRun(
                "Internal error occurred: error executing command in container: failed to load task: no running task \
                 found: task 5f1a not found: not found"
                    .to_owned(),
            );
        }
        _ => {}
    }
    match Curl::parse(&command[1..]) {
        Ok(curl) => curl.run(pod.answer).await,
        Err(err) => Exit::Code { code: 2, out: Vec::new(), err },
    }
}

#[derive(Debug, Default)]
struct Curl<'a> {
    heads: bool,
    shows_errors: bool,
    most: Option<Duration>,
    url: &'a str,
}

impl<'a> Curl<'a> {
    fn parse(arguments: &[&'a str]) -> Result<Self, String> {
        let mut curl = Self { shows_errors: true, ..Self::default() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "-s" => curl.shows_errors = false,
                "-S" | "-sS" | "-Ss" => curl.shows_errors = true,
                "-D-" | "-i" => curl.heads = true,
                "-D" => curl.heads = arguments.next() == Some(&"-"),
                "-m" | "--max-time" => {
                    let most = arguments.next().and_then(|s| s.parse().ok());
                    let most = most.and_then(|s| Duration::try_from_secs_f64(s).ok());
                    curl.most = Some(most.ok_or("curl: option -m: expected a proper numerical parameter\n")?);
                }
                option if option.starts_with('-') => {
                    return Err(format!("curl: option {option}: is unknown\ncurl: try 'curl --help'\n"));
                }
                url => curl.url = url,
            }
        }
        if curl.url.is_empty() { Err("curl: no URL specified!\n".to_owned()) } else { Ok(curl) }
    }

    async fn run(self, answer: Answer) -> Exit {
        let failed = |code: u8, why: &str| {
            let err = if self.shows_errors { format!("curl: ({code}) {why}\n") } else { String::new() };
            Exit::Code { code, out: Vec::new(), err }
        };
        let Some(path) = self.url.strip_prefix("http://localhost:10443") else {
            return failed(7, "Failed to connect: Connection refused");
        };
        match answer {
            Answer::Status(code) | Answer::Continue(code) => {
                let code = if path == "/status" { code } else { 400 };
                let [interim, head, body] = heads_and_body(answer, code);
                let heads = if self.heads { interim + &head } else { String::new() };
                Exit::Code { code: 0, out: (heads + &body).into_bytes(), err: String::new() }
            }
            Answer::Refused => failed(7, "Failed to connect to localhost port 10443: Connection refused"),
            Answer::Empty => failed(52, "Empty reply from server"),
            Answer::Garbage => failed(1, "Received HTTP/0.9 when not allowed"),
            _ => {
                let Some(most) = self.most else { return std::future::pending().await };
                tokio::time::sleep(most).await;
                let ms = most.as_millis();
                failed(28, &format!("Operation timed out after {ms} milliseconds with 0 bytes received"))
            }
        }
    }
}
