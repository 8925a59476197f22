//! Exec and port-forward over WebSocket, as the API server and kubelet speak them.
//!
//! Exec: channels 0 to 3 are stdin, stdout, stderr and the end's `Status`; in v5, 255 closes a channel. Port-forward:
//! two channels a port, data and error, each opened by a frame with the port's number.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::deed::{Deed, status};
use super::inside::{self, Exit, Out};
use super::plan::PodPlan;
use super::{Asked, Shared, lock};

const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
/// How long a client may take to answer our closing.
const GOODBYE: Duration = Duration::from_secs(2);

fn bad_request(message: &str) -> Response {
    status(400, "BadRequest", message, json!({}))
}

/// Checks a request for a stream and opens it.
pub(super) async fn open(shared: &Arc<Shared>, pod: PodPlan, deed: Deed, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        return bad_request("Upgrade request required");
    };
    let (work, protocols) = if deed.resource == "pods/exec" {
        (Exec::check(&pod, &deed).map(Work::Exec), ["v5.channel.k8s.io", "v4.channel.k8s.io"].as_slice())
    } else {
        (ports(&deed).map(Work::Forward), ["v4.channel.k8s.io"].as_slice())
    };
    let work = match work {
        Ok(work) => work,
        Err(why) => return bad_request(&why),
    };
    if !pod.runs() {
        let container = &pod.containers[0];
        let why = format!("unable to upgrade connection: container not found ({container:?})");
        return status(500, "InternalError", &why, json!({}));
    }
    let upgrade = upgrade.protocols(protocols.iter().copied());
    if upgrade.selected_protocol().is_none() {
        return bad_request(&format!("requested protocol(s) are not supported; supports {protocols:?}"));
    }
    let shared = Arc::clone(shared);
    upgrade.max_message_size(1024 * 1024).on_upgrade(async move |socket| {
        let stop = shared.stop.clone();
        stop.run_until_cancelled(async {
            match work {
                Work::Exec(exec) => exec.run(&shared, &pod, socket).await,
                Work::Forward(ports) => forward(&shared, &pod, &ports, socket).await,
            }
        })
        .await;
    })
}

enum Work {
    Exec(Exec),
    Forward(Vec<u16>),
}

struct Exec {
    command: Vec<String>,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Exec {
    fn check(pod: &PodPlan, deed: &Deed) -> Result<Self, String> {
        let on = |name: &str| deed.param(name).is_some_and(|v| matches!(v, "true" | "True" | "1"));
        let command: Vec<String> = deed.params("command").map(str::to_owned).collect();
        if command.is_empty() {
            return Err("you must specify at least 1 command for the container".to_owned());
        }
        let (stdin, stdout, stderr) = (on("stdin"), on("stdout"), on("stderr"));
        if !(stdin || stdout || stderr) {
            return Err("you must specify at least one of stdin, stdout, stderr".to_owned());
        }
        match deed.param("container") {
            Some(name) if !pod.containers.iter().any(|c| c == name) => {
                return Err(format!("container {name} is not valid for pod {}", pod.name));
            }
            None if pod.containers.len() > 1 => {
                return Err(format!(
                    "a container name must be specified for pod {}, choose one of: [{}]",
                    pod.name,
                    pod.containers.join(" ")
                ));
            }
            _ => {}
        }
        Ok(Self { command, stdout, stderr, tty: on("tty") })
    }

    async fn run(self, shared: &Shared, pod: &PodPlan, mut socket: WebSocket) {
        lock(&shared.asked).push(Asked { pod: pod.name.clone(), what: self.command.join(" ") });
        let command: Vec<&str> = self.command.iter().map(String::as_str).collect();
        // The first thing that a client hears: an empty message on the lowest channel that it listens to.
        if send(&mut socket, STDOUT, b"").await.is_err() {
            return;
        }
        let exit = {
            let mut running = std::pin::pin!(inside::run(pod, &command));
            loop {
                tokio::select! {
                    exit = &mut running => break exit,
                    // Standard input, its closing (255), and terminal sizes: curl reads none of them.
                    message = socket.recv() => match message {
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                        Some(Ok(_)) => {}
                    },
                }
            }
        };
        let (out, err, end) = match exit {
            Exit::Cut => return,
            Exit::NotRun(message) => (Vec::new(), String::new(), not_run(&message)),
            Exit::Code { code, out, err } => (out, err, ended(code)),
        };
        let stderr = if self.tty { STDOUT } else { STDERR };
        // A client that has gone needs no more.
        if self.stdout && !out.is_empty() {
            let _ = send(&mut socket, STDOUT, &out).await;
        }
        if (self.stderr || self.tty) && !err.is_empty() {
            let _ = send(&mut socket, stderr, err.as_bytes()).await;
        }
        let _ = send(&mut socket, STATUS, end.to_string().as_bytes()).await;
        say_goodbye(socket).await;
    }
}

fn ended(code: u8) -> Value {
    if code == 0 {
        return json!({ "metadata": {}, "status": "Success" });
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: command terminated with exit code {code}"),
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    })
}

fn not_run(message: &str) -> Value {
    json!({
        "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500, "message": message,
        "details": { "causes": [{ "message": message }] },
    })
}

fn ports(deed: &Deed) -> Result<Vec<u16>, String> {
    let ports: Result<Vec<u16>, _> = deed.params("ports").flat_map(|p| p.split(',')).map(str::parse).collect();
    match ports {
        Ok(ports) if ports.is_empty() => Err("query parameter \"ports\" is required".to_owned()),
        Ok(ports) if !ports.contains(&0) => Ok(ports),
        _ => Err("unable to parse the ports: a number from 1 to 65535 is needed".to_owned()),
    }
}

async fn forward(shared: &Shared, pod: &PodPlan, ports: &[u16], mut socket: WebSocket) {
    let (to_us, mut from_ports) = mpsc::channel::<(usize, Out)>(16);
    let mut to_ports = Vec::new();
    let mut running = tokio::task::JoinSet::new();
    for (index, port) in ports.iter().enumerate() {
        let channel = u8::try_from(2 * index).unwrap_or(u8::MAX - 1);
        for channel in [channel, channel + 1] {
            if send(&mut socket, channel, &port.to_le_bytes()).await.is_err() {
                return;
            }
        }
        let (to_port, bytes) = mpsc::channel(16);
        let (out, mut outs) = mpsc::channel(16);
        to_ports.push(Some(to_port));
        running.spawn(inside::connection(pod.clone(), *port, bytes, out));
        let to_us = to_us.clone();
        running.spawn(async move {
            while let Some(out) = outs.recv().await {
                if to_us.send((index, out)).await.is_err() {
                    return;
                }
            }
        });
        lock(&shared.asked).push(Asked { pod: pod.name.clone(), what: format!("port {port}") });
    }
    let mut open = ports.len();
    while open > 0 {
        tokio::select! {
            Some((index, out)) = from_ports.recv() => {
                let channel = u8::try_from(2 * index).unwrap_or_default();
                let sent = match out {
                    Out::Data(bytes) => send(&mut socket, channel, &bytes).await,
                    Out::Error(why) => send(&mut socket, channel + 1, why.as_bytes()).await,
                    Out::End => {
                        open -= 1;
                        Ok(())
                    }
                    Out::Cut => return,
                };
                if sent.is_err() {
                    return;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(frame))) if frame.len() > 1 => {
                    let index = usize::from(frame[0] / 2);
                    let Some(Some(port)) = to_ports.get(index).filter(|_| frame[0].is_multiple_of(2)) else { return };
                    // A port that has closed takes no more.
                    let _ = port.try_send(frame[1..].to_vec());
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
    say_goodbye(socket).await;
}

async fn send(socket: &mut WebSocket, channel: u8, bytes: &[u8]) -> Result<(), axum::Error> {
    let frame = [&[channel], bytes].concat();
    socket.send(Message::Binary(frame.into())).await
}

/// Closes, and waits for the client's own word, so that nothing on its way is lost.
async fn say_goodbye(mut socket: WebSocket) {
    if socket.send(Message::Close(None)).await.is_ok() {
        let heard = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = tokio::time::timeout(GOODBYE, heard).await;
    }
}
