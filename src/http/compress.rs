//! Long answers go compressed to who takes gzip: views, lists, the metrics. Never a stream, whose events must not wait for
//! more to compress; nor where the length could tell a secret: docs/security.md#compression.

use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, NotForContentType, Predicate as _, SizeAbove};

use super::proxied::SignedIn;

/// What is shorter fits into a packet anyway.
const FROM: u64 = 1024;

/// Compresses what [`asked`] lets a client ask for.
pub(super) fn layer() -> CompressionLayer<And<SizeAbove, NotForContentType>> {
    // Somebody waits, and what is repeated in our answers is found at once.
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(FROM).and(NotForContentType::SSE))
}

/// Leaves in a request either that gzip is taken, or nothing: who takes neither that nor the answer as it is gets it as it
/// is, where the layer would make a refusal of what was done.
pub(super) async fn asked(mut request: Request, next: Next) -> Response {
    let gzip = request.method() == Method::GET && takes_gzip(request.headers()) && !tells_by_length(&request);
    let headers = request.headers_mut();
    headers.remove(ACCEPT_ENCODING);
    if gzip {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    next.run(request).await
}

/// What a view shows of a query stands beside the key of its forms: an attacker who has the browser ask, with one guess
/// after the other in the query, would see by the length which was right (BREACH).
fn tells_by_length(request: &Request) -> bool {
    let by_itself = request.headers().contains_key(COOKIE) || request.extensions().get::<SignedIn>().is_some();
    request.uri().query().is_some() && by_itself
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let all = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let weight = weight.trim().to_ascii_lowercase();
        let refused = weight.strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()).is_some_and(|q| q <= 0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_by_who_names_it_and_does_not_refuse_it() {
        for (value, takes) in [
            ("gzip", true),
            ("GZIP;q=0.5", true),
            ("br, deflate , gzip", true),
            ("gzip;q=1, identity;q=0", true),
            ("gzip;q=0", false),
            ("gzip; Q=0.000", false),
            ("br, identity;q=0", false),
            ("*", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(takes_gzip(&headers), takes, "{value:?}");
        }
    }
}
