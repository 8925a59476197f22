//! Signing in with a token.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{
    Query, State,
    rejection::{FormRejection, QueryRejection},
};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{Looker, show};
use crate::http::auth::Reader;
use crate::http::session::{Session, from_elsewhere};
use crate::http::{App, Problem};

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

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Given {
    token: String,
    next: Option<String>,
}

pub(super) async fn page(asked: Result<Query<Asked>, QueryRejection>) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    show(&Page { looker: Looker::default(), next: inside(asked.next), error: "" })
}

pub(super) async fn sign_in(
    State(app): State<App>,
    headers: HeaderMap,
    form: Result<Form<Given>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(given) = form.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    if from_elsewhere(&headers, &app) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "another site sent this form: sign in from here"));
    }
    let next = inside(given.next);
    let token = given.token.trim();
    if let Some(person) = app.tokens.holder(token) {
        let Some(cookie) = Session::begin(&person, token, &app) else {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "sessions can't be signed now"));
        };
        tracing::info!(name = person.name, operator = person.operator, "somebody signed in");
        return Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&next)).into_response());
    }
    let Ok(_place) = app.sign_ins.try_acquire() else {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens: wait a few seconds"));
    };
    tracing::warn!("a sign-in was refused: the token is not known");
    app.clock.sleep(THINK).await;
    let page = Page { looker: Looker::default(), next, error: "This token is not known here." };
    Ok((StatusCode::UNAUTHORIZED, show(&page)?).into_response())
}

pub(super) async fn sign_out(
    State(app): State<App>,
    reader: Reader,
    headers: HeaderMap,
    form: Result<Form<super::forms::Sent>, FormRejection>,
) -> Result<Response, Problem> {
    super::forms::check(&app, &reader, &headers, form)?;
    let cookie = match &reader.session {
        Some(session) => session.end(&app).await?,
        None => None,
    };
    let cookie = cookie.into_iter().map(|cookie| (header::SET_COOKIE, cookie));
    let mut response = Redirect::to("/sign-in").into_response();
    response.headers_mut().extend(cookie);
    Ok(response)
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
