//! What Slack answers.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use outbound::clock::Clock;
use serde_json::{Value, json};

use super::{Fault, Message, REGISTRY, SERVICE_ENDPOINT, Shared, Workspace};
use crate::web::{Answers, Reply};

/// The longest text, and the longest of a block.
const MAX_TEXT: usize = 40_000;
const MAX_BLOCK: usize = 3_000;

impl Answers for Shared {
    const NAME: &'static str = "slack";

    fn answer(&self, parts: &Parts, body: &[u8]) -> Reply {
        let method = parts.uri.path().strip_prefix("/api/").unwrap_or_default().to_owned();
        match self.next_fault(&method) {
            Some(Fault::Lost) => Reply::Close,
            Some(Fault::Hang) => Reply::Hang,
            Some(Fault::NotOk(error)) => not_ok(error),
            Some(Fault::Status(status)) => {
                Reply::json(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), &json!({}))
            }
            Some(Fault::TooMany(wait)) => {
                let reply = Reply::json(StatusCode::TOO_MANY_REQUESTS, &json!({"ok": false, "error": "ratelimited"}));
                wait.map_or(Reply::json(StatusCode::TOO_MANY_REQUESTS, &json!({})), |wait| {
                    reply.with("retry-after", &wait.to_string())
                })
            }
            Some(Fault::LostAnswer) => {
                self.call(&method, parts, body);
                Reply::Close
            }
            Some(Fault::Garbage) => {
                self.call(&method, parts, body);
                Reply::json(StatusCode::OK, &json!("<html>")).with("content-type", "text/html")
            }
            None => self.call(&method, parts, body),
        }
    }

    fn latency(&self) -> Duration {
        self.state().latency
    }

    fn clock(&self) -> &Clock {
        &self.setup.clock
    }

    fn away(&self) -> &AtomicBool {
        &self.away
    }
}

fn not_ok(error: &str) -> Reply {
    Reply::json(StatusCode::OK, &json!({"ok": false, "error": error}))
}

impl Shared {
    fn next_fault(&self, method: &str) -> Option<Fault> {
        let mut state = self.state();
        state.requests += 1;
        let (_, fault, times) =
            state.faults.iter_mut().find(|(of, _, times)| *times > 0 && (of.is_empty() || of == method))?;
        *times -= 1;
        Some(*fault)
    }

    /// Whether the bot was put out of the workspace's channel; counted.
    fn refuses(&self, workspace: Workspace) -> bool {
        let mut state = self.state();
        let refuses = state.left.contains(&workspace.channel);
        state.refusals += usize::from(refuses);
        refuses
    }

    fn call(&self, method: &str, parts: &Parts, body: &[u8]) -> Reply {
        let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let Some(token) = header("authorization").strip_prefix("Bearer ") else { return not_ok("not_authed") };
        let Some(workspace) = [REGISTRY, SERVICE_ENDPOINT].into_iter().find(|w| w.token == token) else {
            return not_ok("invalid_auth");
        };
        if method != "auth.test" && self.refuses(workspace) {
            return not_ok("not_in_channel");
        }
        let kind = header("content-type");
        match (method, &parts.method) {
            ("auth.test", _) => {
                ok(json!({"url": "https://slack.example/", "team": workspace.team, "user": "se-responder",
                "team_id": "T1", "user_id": "U1", "bot_id": "B1"}))
            }
            ("chat.postMessage" | "chat.update", &Method::POST) => {
                let arguments = match () {
                    () if kind.starts_with("application/json") => serde_json::from_slice(body).unwrap_or(Value::Null),
                    () if kind.starts_with("application/x-www-form-urlencoded") => form(body),
                    () => return not_ok("invalid_post_type"),
                };
                if !arguments.is_object() {
                    return not_ok("json_not_object");
                }
                if method == "chat.update" {
                    self.update(workspace, &arguments)
                } else {
                    self.post(workspace, &arguments)
                }
            }
            ("conversations.history" | "conversations.replies", &Method::GET | &Method::POST) => {
                let asked = parts.uri.query().unwrap_or_default().as_bytes();
                let arguments = form(if parts.method == Method::GET { asked } else { body });
                self.list(workspace, &arguments, method == "conversations.replies")
            }
            _ => not_ok("unknown_method"),
        }
    }

    fn post(&self, workspace: Workspace, arguments: &Value) -> Reply {
        if let Err(error) = check(workspace, arguments) {
            return not_ok(error);
        }
        let thread = arguments["thread_ts"].as_str();
        if let Some(thread) = thread
            && !self
                .state()
                .messages
                .iter()
                .any(|m| m.ts == thread && m.channel == workspace.channel && m.thread.is_none())
        {
            return not_ok("thread_not_found");
        }
        let message = self.keep(arguments, thread);
        ok(json!({"channel": workspace.channel, "ts": message.ts, "message": shown(&message, true)}))
    }

    /// A message is there from now on.
    pub(super) fn keep(&self, arguments: &Value, thread: Option<&str>) -> Message {
        let second = self.setup.clock.now().as_second();
        let mut state = self.state();
        state.next += 1;
        let message = Message {
            channel: arguments["channel"].as_str().unwrap_or_default().to_owned(),
            ts: format!("{second}.{:06}", state.next),
            thread: thread.map(str::to_owned),
            text: arguments["text"].as_str().unwrap_or_default().to_owned(),
            before: Vec::new(),
            blocks: arguments["blocks"].clone(),
            metadata: arguments["metadata"].clone(),
            posted: arguments.clone(),
        };
        state.messages.push(message.clone());
        message
    }

    fn update(&self, workspace: Workspace, arguments: &Value) -> Reply {
        if let Err(error) = check(workspace, arguments) {
            return not_ok(error);
        }
        let mut state = self.state();
        let is_it =
            |m: &&mut Message| m.channel == workspace.channel && Some(m.ts.as_str()) == arguments["ts"].as_str();
        let Some(message) = state.messages.iter_mut().find(is_it) else { return not_ok("message_not_found") };
        let text = arguments["text"].as_str().unwrap_or_default().to_owned();
        message.before.push(std::mem::replace(&mut message.text, text));
        message.blocks = arguments["blocks"].clone();
        if arguments["metadata"].is_object() {
            message.metadata = arguments["metadata"].clone();
        }
        ok(json!({"channel": workspace.channel, "ts": message.ts, "text": message.text}))
    }

    fn list(&self, workspace: Workspace, arguments: &Value, replies: bool) -> Reply {
        if arguments["channel"] != workspace.channel {
            return not_ok("channel_not_found");
        }
        let text = |name: &str| arguments[name].as_str().unwrap_or_default();
        let limit = text("limit").parse().unwrap_or(100_usize);
        if limit == 0 || limit > 999 {
            return not_ok("invalid_limit");
        }
        let with_metadata = ["true", "1"].contains(&text("include_all_metadata"));
        let state = self.state();
        let here = state.messages.iter().filter(|m| m.channel == workspace.channel);
        let list: Vec<&Message> = if replies {
            let root = text("ts");
            let thread: Vec<_> = here.filter(|m| m.ts == root || m.thread.as_deref() == Some(root)).collect();
            if thread.is_empty() {
                return not_ok("thread_not_found");
            }
            thread
        } else {
            let mut all: Vec<_> = here.filter(|m| m.thread.is_none()).collect();
            all.reverse();
            all
        };
        let from = match text("cursor") {
            "" => 0,
            cursor => match cursor.strip_prefix("after-").and_then(|ts| list.iter().position(|m| m.ts == ts)) {
                Some(at) => at + 1,
                None => return not_ok("invalid_cursor"),
            },
        };
        let page: Vec<&Message> = list[from..].iter().take(limit).copied().collect();
        let more = from + page.len() < list.len();
        let cursor = page.last().filter(|_| more).map(|last| format!("after-{}", last.ts)).unwrap_or_default();
        let messages: Vec<Value> = page.into_iter().map(|message| shown(message, with_metadata)).collect();
        // On the last page it is empty, null or not there: which, is Slack's to choose.
        let cursor = if more || !text("ts").is_empty() { Value::from(cursor) } else { Value::Null };
        ok(json!({"messages": messages, "has_more": more, "response_metadata": {"next_cursor": cursor}}))
    }
}

fn ok(mut body: Value) -> Reply {
    body["ok"] = Value::from(true);
    Reply::json(StatusCode::OK, &body)
}

fn shown(message: &Message, with_metadata: bool) -> Value {
    let mut shown = json!({"type": "message", "ts": message.ts, "text": message.text, "bot_id": "B1"});
    if let Some(thread) = &message.thread {
        shown["thread_ts"] = Value::from(thread.as_str());
    }
    if with_metadata && !message.metadata.is_null() {
        shown["metadata"] = message.metadata.clone();
    }
    shown
}

/// What Slack refuses of a message.
fn check(workspace: Workspace, arguments: &Value) -> Result<(), &'static str> {
    if arguments["channel"] != workspace.channel {
        return Err("channel_not_found");
    }
    let text = arguments["text"].as_str().unwrap_or_default();
    if text.is_empty() && !arguments["blocks"].is_array() {
        return Err("no_text");
    }
    if text.chars().count() > MAX_TEXT {
        return Err("msg_too_long");
    }
    for block in arguments["blocks"].as_array().into_iter().flatten() {
        let text = block["text"]["text"].as_str().unwrap_or_default();
        let is_section = block["type"] == "section" && block["text"]["type"] == "mrkdwn";
        if !is_section || text.is_empty() || text.chars().count() > MAX_BLOCK {
            return Err("invalid_blocks");
        }
    }
    let metadata = &arguments["metadata"];
    let has_metadata = metadata["event_type"].is_string() && metadata["event_payload"].is_object();
    if !metadata.is_null() && !has_metadata {
        return Err("invalid_metadata_format");
    }
    Ok(())
}

/// A form's fields; JSON within them is read, as Slack does.
fn form(body: &[u8]) -> Value {
    let fields: HashMap<String, String> =
        url::form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let read = |(name, text): (String, String)| {
        let is_json = ["blocks", "metadata"].contains(&name.as_str());
        let value = if is_json { serde_json::from_str(&text).unwrap_or(Value::Null) } else { Value::from(text) };
        (name, value)
    };
    Value::Object(fields.into_iter().map(read).collect())
}
