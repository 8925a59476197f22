//! Who may read and who may act: bearer tokens, the sessions of people who signed in with one, and links from notes.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

use super::session::Session;
use super::tokens::Person;
use super::{App, Problem};

/// Somebody who may read, by a bearer token.
#[derive(Debug)]
pub(super) struct Viewer;

/// Somebody who may act, by a bearer token.
#[derive(Debug)]
pub(super) struct Operator {
    /// The name beside the token.
    pub name: String,
}

/// Somebody who may read pages: by a bearer token, or signed in.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// Who.
    pub person: Person,
    /// The session, where there is one: without it nothing can be done by a form.
    pub session: Option<Session>,
}

fn token(parts: &Parts) -> Result<&str, Problem> {
    let header = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => Ok(token.trim()),
        _ => Err(Problem::new(StatusCode::UNAUTHORIZED, "send a token: Authorization: Bearer <token>")),
    }
}

fn unknown() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "this token is not known here")
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        app.tokens.holder(token(parts)?).map(|_| Self).ok_or_else(unknown)
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match app.tokens.holder(token(parts)?) {
            Some(Person { name, operator: true }) => Ok(Self { name }),
            Some(_) => Err(Problem::new(StatusCode::FORBIDDEN, "this is for operators; your token may only read")),
            None => Err(unknown()),
        }
    }
}

impl FromRequestParts<App> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let person = app.tokens.holder(token(parts)?).ok_or_else(unknown)?;
            return Ok(Self { person, session: None });
        }
        match Session::of(&parts.headers, app).await? {
            Some((session, person)) => Ok(Self { person, session: Some(session) }),
            None => {
                Err(Problem::new(StatusCode::UNAUTHORIZED, "sign in, or send a token: Authorization: Bearer <token>"))
            }
        }
    }
}
