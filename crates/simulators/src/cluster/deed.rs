//! One request in the terms of the access rules, and the answers that say no to one.

use axum::http::{StatusCode, Uri, header};
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

    /// The verbs that the access rules are asked for. Opening a stream needs `get`, and from Kubernetes 1.35 `create`.
    pub(super) fn verbs(&self, method: &str) -> &'static [&'static str] {
        match (method, self.resource.as_str(), &self.name) {
            ("GET", "pods/exec" | "pods/portforward", _) => &["get", "create"],
            ("GET", _, Some(_)) => &["get"],
            ("GET", _, None) => &["list"],
            ("POST", ..) => &["create"],
            ("PUT", ..) => &["update"],
            ("PATCH", ..) => &["patch"],
            _ => &["delete"],
        }
    }

    pub(super) fn read(uri: &Uri) -> Option<Self> {
        let path: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        let ["api", "v1", "namespaces", namespace, kind, rest @ ..] = path.as_slice() else { return None };
        let (name, sub) = match rest {
            [] => (None, None),
            [name] => (Some((*name).to_owned()), None),
            [name, sub] => (Some((*name).to_owned()), Some(*sub)),
            _ => return None,
        };
        let resource = sub.map_or_else(|| (*kind).to_owned(), |sub| format!("{kind}/{sub}"));
        let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
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
