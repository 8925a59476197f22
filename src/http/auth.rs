//! Who may read and who may act: bearer tokens, the sessions of people who signed in with one, and links from notes.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use sha2::{Digest, Sha256};

use super::session::Session;
use super::{App, Problem};
use crate::config::parse_tokens;
use outbound::secret::Secret;

/// Who may read, and who may act. Read again at each request where they are kept in files.
#[derive(Clone, Debug)]
pub struct Tokens {
    operators: Option<Secret>,
    viewers: Option<Secret>,
}

/// Somebody whose token is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    /// The name beside the token.
    pub name: String,
    /// Whether they may act, not only read.
    pub operator: bool,
}

impl Tokens {
    /// `OPERATOR_TOKENS` and `VIEWER_TOKENS`.
    pub fn new(operators: Option<Secret>, viewers: Option<Secret>) -> Self {
        Self { operators, viewers }
    }

    /// The holder of a token.
    pub(super) fn holder(&self, token: &str) -> Option<Person> {
        // Digests are compared, so that the time it takes tells nothing about a token.
        let digest = Sha256::digest(token);
        self.find(|_, known| Sha256::digest(known) == digest)
    }

    /// The first holder, operators first, whose name and token please.
    pub(super) fn find(&self, pleases: impl Fn(&str, &str) -> bool) -> Option<Person> {
        [(&self.operators, true), (&self.viewers, false)].into_iter().find_map(|(secret, operator)| {
            let text = secret
                .as_ref()?
                .reveal()
                .inspect_err(|e| tracing::error!(error = %e, "tokens can't be read: nobody who holds one can sign in"))
                .ok()?;
            parse_tokens(&text)
                .inspect_err(|e| tracing::error!(error = %e, "tokens can't be read: nobody who holds one can sign in"))
                .ok()?
                .into_iter()
                .find(|(name, token)| pleases(name, token))
                .map(|(name, _)| Person { name, operator })
        })
    }
}

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
