//! Each request has a span, so that whatever is logged while it is answered, and its answer sent, tells for which; its id is
//! in the answer too. In the span stand the method, the route as the code writes it, the status and how long it took: never
//! the address as it was asked for, since a signed link has its key there, nor a header or a body.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::trace::{HttpMakeClassifier, TraceLayer};
use tracing::Span;
use tracing::field::Empty;

use super::App;

/// The answer's header with the id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What takes longer is worth a line.
const SLOW: Duration = Duration::from_secs(1);
/// What machines ask every few seconds: why one fails is logged where it was met.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// What becomes of a webhook is logged where it is stored, or refused.
pub(super) const WEBHOOKS: &str = "/webhooks/pagerduty";

type SpanOf = fn(&Request) -> Span;
type Within = TraceLayer<HttpMakeClassifier, SpanOf, (), (), (), (), ()>;

/// Has a request answered, and its answer sent, within the span that [`named`] gave it.
pub(super) fn within() -> Within {
    TraceLayer::new_for_http()
        .make_span_with(given as SpanOf)
        .on_request(())
        .on_response(())
        .on_body_chunk(())
        .on_eos(())
        .on_failure(())
}

fn given(request: &Request) -> Span {
    request.extensions().get().cloned().unwrap_or_else(Span::none)
}

/// Gives a request its span, and says there what came of it.
pub(super) async fn named(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = app.clock.id();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    let method = known(request.method());
    // Whatever the log leaves out: an error tells for which request it was.
    let span = tracing::error_span!(
        "request",
        request.id = id,
        http.method = method,
        http.route = route,
        http.status = Empty,
        took_ms = Empty
    );
    request.extensions_mut().insert(span.clone());
    let mut response = next.run(request).await;
    let (status, took) = (response.status(), began.elapsed());
    span.record("http.status", status.as_u16());
    span.record("took_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    span.in_scope(|| match is_worth_a_line(method, route, status, took) {
        true => tracing::info!("answered"),
        false => tracing::debug!("answered"),
    });
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// A method may be any word, of any length.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// Whether people care about an answer: it changed something, or was refused since something else had changed, it failed,
/// or it was slow. What anybody may have refused as often as they like is none of that.
fn is_worth_a_line(method: &str, route: &str, status: StatusCode, took: Duration) -> bool {
    if PROBES.contains(&route) {
        return false;
    }
    let changes = !matches!(method, "GET" | "HEAD" | "OPTIONS") && route != WEBHOOKS;
    let is_done = status.is_success() || status.is_redirection() || status == StatusCode::CONFLICT;
    status.is_server_error() || (changes && is_done) || (took > SLOW && !status.is_client_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_failures_and_what_is_slow_are_worth_a_line() {
        let soon = Duration::from_millis(3);
        for (method, route, status, took, is) in [
            ("POST", "/rerun", 202, soon, true),
            ("POST", "/rerun", 409, soon, true),
            ("POST", "/runs/{id}/escalate", 303, soon, true),
            ("POST", "/rerun", 401, soon, false),
            ("POST", "/sign-in", 401, SLOW * 2, false),
            ("POST", WEBHOOKS, 202, soon, false),
            ("POST", WEBHOOKS, 503, soon, true),
            ("GET", "/api/runs", 200, soon, false),
            ("GET", "/api/runs", 200, SLOW * 2, true),
            ("GET", "/api/runs", 503, soon, true),
            ("GET", "/readyz", 503, SLOW * 2, false),
            ("GET", "none", 404, soon, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_worth_a_line(method, route, status, took), is, "{method} {route} {status} {took:?}");
        }
    }
}
