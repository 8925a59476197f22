//! Signing in with a token.

use std::time::Duration;

use askama::Template;
use axum::extract::{
    Query, State,
    rejection::{FormRejection, QueryRejection},
};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use axum_extra::extract::cookie::CookieJar;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Looker, show};
use crate::http::auth::{Proof, Reader};
use crate::http::proxied::SignedIn;
use crate::http::session::Session;
use crate::http::{App, Problem, answers};

/// Wrong tokens that are being thought over at a time; more are refused at once.
pub(in crate::http) const MOST_SIGN_INS: usize = 8;
/// How long a wrong token is thought over: eight guesses in two seconds are all that anybody gets.
const THINK: Duration = Duration::from_secs(2);

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    looker: Looker,
    next: String,
    error: &'static str,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Where to go then: an address of this service.
    next: Option<String>,
}

/// What the form of signing in carries.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Given {
    /// A token of OPERATOR_TOKENS or VIEWER_TOKENS.
    token: String,
    /// Where to go then: an address of this service.
    next: Option<String>,
}

/// The form of signing in.
#[utoipa::path(get, path = "/sign-in", operation_id = "sign_in_page", tag = "pages", params(Asked), responses(
    (status = 200, description = "The page", content_type = "text/html", body = String),
    (status = 303, description = "The proxy in front has signed them in: to where they came for"),
    (status = 400, response = answers::BadRequest),
))]
pub(super) async fn page(
    by_proxy: Option<Extension<SignedIn>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    if by_proxy.is_some() {
        return Ok(Redirect::to(&inside(asked.next)).into_response());
    }
    show(&Page { looker: Looker::default(), next: inside(asked.next), error: "" })
}

/// Signs in with a token: a cookie for 12 hours. A wrong one is thought over for two seconds.
#[utoipa::path(post, path = "/sign-in", operation_id = "sign_in", tag = "pages",
    request_body(content = Given, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 303, description = "Signed in: to where they came for"),
    (status = 400, response = answers::BadRequest),
    (status = 401, description = "Unknown token: the form again", content_type = "text/html", body = String),
    (status = 403, description = "Another site sent this form", body = crate::http::ProblemDetails,
        content_type = "application/problem+json"),
    (status = 413, response = answers::TooLarge),
    (status = 429, description = "Too many wrong tokens at a time", body = crate::http::ProblemDetails,
        content_type = "application/problem+json"),
    (status = 503, response = answers::Unavailable),
))]
pub(super) async fn sign_in(
    State(app): State<App>,
    by_proxy: Option<Extension<SignedIn>>,
    form: Result<Form<Given>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(given) = form.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let next = inside(given.next);
    if by_proxy.is_some() {
        // Who they are is the proxy's word, whatever token they have.
        return Ok(Redirect::to(&next).into_response());
    }
    let token = given.token.trim();
    if let Some(person) = app.tokens.holder(token) {
        let Some(cookie) = Session::begin(&person, token, &app) else {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "sessions can't be signed now"));
        };
        tracing::info!(name = person.name, operator = person.operator, "somebody signed in");
        return Ok((CookieJar::new().add(cookie), Redirect::to(&next)).into_response());
    }
    let Ok(_place) = app.sign_ins.try_acquire() else {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens: wait a few seconds"));
    };
    tracing::warn!("a sign-in was refused: unknown token");
    app.clock.sleep(THINK).await;
    let page = Page { looker: Looker::default(), next, error: "Unknown token." };
    Ok((StatusCode::UNAUTHORIZED, show(&page)?).into_response())
}

/// Signs out: ends this session, on every replica.
#[utoipa::path(post, path = "/sign-out", operation_id = "sign_out", tag = "pages", security(("session" = [])),
    request_body(content = super::forms::Sent, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 303, description = "Signed out: to the form of signing in"),
    (status = 400, response = answers::BadRequest),
    (status = 401, response = answers::Unauthorized),
    (status = 403, response = answers::Forbidden),
    (status = 409, description = "The proxy in front has signed them in", body = crate::http::ProblemDetails,
        content_type = "application/problem+json"),
    (status = 413, response = answers::TooLarge),
    (status = 503, response = answers::Unavailable),
))]
pub(super) async fn sign_out(
    State(app): State<App>,
    reader: Reader,
    form: Result<Form<super::forms::Sent>, FormRejection>,
) -> Result<(CookieJar, Redirect), Problem> {
    super::forms::check(&app, &reader, form)?;
    let Proof::Session(session) = &reader.proof else {
        let what = "the proxy in front of this service has signed you in: sign out there";
        return Err(Problem::new(StatusCode::CONFLICT, what));
    };
    Ok((CookieJar::new().add(session.end(&app).await?), Redirect::to("/sign-in")))
}

/// An address of ours, whatever was asked for: nobody is sent elsewhere by signing in.
fn inside(next: Option<String>) -> String {
    let ours = |path: &String| {
        path.starts_with('/')
            && !path.starts_with("//")
            && !path.starts_with("/sign-")
            && path.chars().all(|c| c.is_ascii_graphic() && c != '\\')
    };
    next.filter(ours).unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for (next, to) in [
            ("/runs/1?key=2-3", "/runs/1?key=2-3"),
            ("/", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nset-cookie: x", "/"),
            ("/sign-in", "/"),
            ("", "/"),
        ] {
            assert_eq!(inside(Some(next.into())), to, "{next:?}");
        }
        assert_eq!(inside(None), "/");
    }
}
