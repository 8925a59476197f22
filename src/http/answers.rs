//! How the description names the problems that many calls answer with.

use utoipa::ToResponse;

use super::problem::ProblemDetails;

/// The answers that many calls share, each a problem.
macro_rules! problems {
    ($($name:ident: $about:literal, $example:tt;)*) => {$(
        #[doc = $about]
        #[derive(Debug, ToResponse)]
        #[response(description = $about, content_type = "application/problem+json", example = json!($example))]
        #[expect(dead_code, reason = "a name for the description")]
        pub(super) struct $name(ProblemDetails);
    )*};
}

problems! {
    BadRequest: "What was asked can't be read", {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "limit must be at least 1"};
    Unauthorized: "No token, or one that is not known", {"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "unknown token"};
    Forbidden: "A viewer's token where an operator's is needed; or another site sent it", {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "this is for operators; your token may only read"};
    NotFound: "It is not known", {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no run has this id"};
    TooLarge: "The body is too large", {"type": "about:blank", "title": "Content Too Large", "status": 413, "detail": "the body is larger than 1 MiB"};
    Unprocessable: "It can be read, and can't be done", {"type": "about:blank", "title": "Unprocessable Entity", "status": 422, "detail": "give either incident_id or region"};
    Unavailable: "The database or PagerDuty can't be reached: try again after `Retry-After`", {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "the database can't be reached now: try again in a few seconds"};
}
