//! Bearer tokens: viewers read, operators act.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use sha2::{Digest, Sha256};

use super::{App, Problem};
use crate::config::{Secret, parse_tokens};

/// Who may read, and who may act. Read again at each request where they are kept in files.
#[derive(Clone, Debug)]
pub struct Tokens {
    operators: Option<Secret>,
    viewers: Option<Secret>,
}

impl Tokens {
    /// `OPERATOR_TOKENS` and `VIEWER_TOKENS`.
    pub fn new(operators: Option<Secret>, viewers: Option<Secret>) -> Self {
        Self { operators, viewers }
    }

    fn holder(secret: Option<&Secret>, token: &str) -> Option<String> {
        let text = secret?
            .reveal()
            .inspect_err(|e| tracing::error!(error = %e, "tokens can't be read: nobody who holds one can sign in"))
            .ok()?;
        // Digests are compared, so that the time it takes tells nothing about a token.
        let digest = Sha256::digest(token);
        parse_tokens(&text)
            .inspect_err(|e| tracing::error!(error = %e, "tokens can't be read: nobody who holds one can sign in"))
            .ok()?
            .into_iter()
            .find(|(_, known)| Sha256::digest(known) == digest)
            .map(|(name, _)| name)
    }
}

/// Somebody who may read.
#[derive(Debug)]
pub(super) struct Viewer;

/// Somebody who may act.
#[derive(Debug)]
pub(super) struct Operator {
    /// The name beside the token.
    pub name: String,
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
        let token = token(parts)?;
        let known = [&app.tokens.viewers, &app.tokens.operators];
        known.iter().any(|s| Tokens::holder(s.as_ref(), token).is_some()).then_some(Self).ok_or_else(unknown)
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = token(parts)?;
        if let Some(name) = Tokens::holder(app.tokens.operators.as_ref(), token) {
            return Ok(Self { name });
        }
        match Tokens::holder(app.tokens.viewers.as_ref(), token) {
            Some(_) => Err(Problem::new(StatusCode::FORBIDDEN, "this is for operators; your token may only read")),
            None => Err(unknown()),
        }
    }
}
