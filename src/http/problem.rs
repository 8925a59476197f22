//! Errors as `application/problem+json` (RFC 9457), and as a view for people.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use store::StoreError;

/// How long a client should wait when something of ours is down, in seconds.
const RETRY_AFTER: &str = "5";

/// An error as RFC 9457 has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no run has this id"})))]
pub struct ProblemDetails {
    /// What kind of problem it is; the status says it all.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong, and what to do about it.
    detail: String,
    /// More for programs: `run_id` and `url` of an active run, `page` of one that was paged already.
    #[serde(flatten)]
    #[schema(additional_properties, value_type = BTreeMap<String, Value>)]
    more: BTreeMap<String, Value>,
}

/// An error answer. It travels with the response too, so that people get it as a page.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    more: BTreeMap<String, Value>,
}

impl Problem {
    /// An answer with a status and what is wrong, in words for the one who asked.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), more: BTreeMap::new() }
    }

    /// Adds a member for programs, such as `run_id`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// The database is down, or a row of it can't be read: the cause is for the log, not for the one who asked.
    pub fn store(error: &StoreError) -> Self {
        tracing::error!(error = error as &dyn std::error::Error, "a request could not be served: the database");
        if let StoreError::Corrupt { what, .. } = error {
            // Asking again does not help.
            let what = format!("{what} in the database can't be read: the log says why; the rest is served as before");
            return Self::new(StatusCode::INTERNAL_SERVER_ERROR, what);
        }
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the database can't be reached now: try again in a few seconds")
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::store(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemDetails {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            more: self.more.clone(),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}
