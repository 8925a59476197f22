//! What is sent to us comes whole, soon, and small, or is not taken. Webhooks see to theirs themselves.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;
use std::error::Error as _;

use super::{App, Problem};

/// The largest form or request of an operator: a token, an id.
const MAX_BODY: usize = 64 * 1024;

/// Reads the body of a request before anything else is done about it.
pub(super) async fn whole(State(app): State<App>, request: Request, next: Next) -> Response {
    let no_body = matches!(*request.method(), Method::GET | Method::HEAD);
    if no_body || request.uri().path() == "/webhooks/pagerduty" {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let problem = match tokio::time::timeout(app.limits.body, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => return next.run(Request::from_parts(parts, Body::from(body))).await,
        Ok(Err(error)) if error.source().is_some_and(<dyn std::error::Error>::is::<LengthLimitError>) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB")
        }
        Ok(Err(_)) => Problem::new(StatusCode::BAD_REQUEST, "the body was cut off"),
        Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    let mut response = problem.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
