//! One request in the terms of the access rules, and the answers that say no to one.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A request in the terms of the access rules.
#[derive(Debug)]
pub(super) struct Deed {
    pub namespace: String,
    /// `pods`, `pods/exec`.
    pub resource: String,
    pub name: Option<String>,
    pub query: Vec<(String, String)>,
}

impl Deed {
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn params(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn read(request: &Request) -> Option<Self> {
        let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
        let ["api", "v1", "namespaces", namespace, kind, rest @ ..] = path.as_slice() else { return None };
        let (name, sub) = match rest {
            [] => (None, None),
            [name] => (Some((*name).to_owned()), None),
            [name, sub] => (Some((*name).to_owned()), Some(*sub)),
            _ => return None,
        };
        let resource = sub.map_or_else(|| (*kind).to_owned(), |sub| format!("{kind}/{sub}"));
        let query = url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        Some(Self { namespace: (*namespace).to_owned(), resource, name, query: query.into_owned().collect() })
    }
}

/// A `Status` object.
pub(super) fn status(code: u16, reason: &str, message: &str, details: Value) -> Response {
    let body = failure(code, reason, message, details);
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, json_answer(&body)).into_response()
}

pub(super) fn failure(code: u16, reason: &str, message: &str, details: Value) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code,
    })
}

pub(super) fn json_answer(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
