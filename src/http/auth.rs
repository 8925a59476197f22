//! Who may read and who may act: bearer tokens, people whom a proxy in front has signed in, the sessions of people who
//! signed in with a token, and links from notes.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};

use super::proxied::SignedIn;
use super::session::Session;
use super::tokens::Person;
use super::{App, Problem};

/// Somebody who may read, by a bearer token or by a proxy's word.
#[derive(Debug)]
pub(super) struct Viewer;

/// Somebody who may act, by a bearer token or by a proxy's word.
#[derive(Debug)]
pub(super) struct Operator {
    /// The name beside the token, or the one that the proxy says.
    pub name: String,
    /// Whose an `Idempotency-Key` of theirs is.
    pub key_holder: String,
}

/// Somebody who may read views.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// Who.
    pub person: Person,
    /// By what.
    pub proof: Proof,
}

/// By what somebody is who they are.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// A bearer token: nothing is done by a form.
    Bearer,
    /// A proxy in front has signed them in.
    Proxy,
    /// They signed in here.
    Session(Session),
}

impl Reader {
    /// What this reader's forms carry, so that no other site can send them; empty where nothing may be done by one.
    pub(super) fn form_key(&self, app: &App) -> String {
        let key = match &self.proof {
            Proof::Bearer => None,
            Proof::Proxy => app.config.link_key.as_ref().and_then(|key| key.signature(&self.of_proxy())),
            Proof::Session(session) => session.form_key(app),
        };
        key.unwrap_or_default()
    }

    /// Whether a form came from this reader's views.
    pub(super) fn sent(&self, form_key: &str, app: &App) -> bool {
        match &self.proof {
            Proof::Bearer => false,
            Proof::Proxy => app.config.link_key.as_ref().is_some_and(|key| key.is_signed(&self.of_proxy(), form_key)),
            Proof::Session(session) => session.sent(form_key, app),
        }
    }

    /// What the forms' key of somebody is made of who has no session here.
    fn of_proxy(&self) -> [&str; 2] {
        ["proxied form", &self.person.name]
    }
}

/// The token of a request, where it has one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Some(token.trim())
        }
        _ => None,
    }
}

fn token(parts: &Parts) -> Result<&str, Problem> {
    let what = "send a token: Authorization: Bearer <token>";
    bearer(&parts.headers).ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, what))
}

fn unknown() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unknown token")
}

/// What somebody is told who may only read.
pub(super) fn only_read(by_proxy: bool) -> Problem {
    let what = if by_proxy {
        "this is for operators: TRUSTED_OPERATORS does not name you, so you may only read"
    } else {
        "this is for operators; your token may only read"
    };
    Problem::new(StatusCode::FORBIDDEN, what)
}

/// Whom a proxy in front has signed in. Whatever a browser sends with it was held against our origin before.
fn signed_in(parts: &Parts) -> Option<Person> {
    parts.extensions.get::<SignedIn>().map(|signed_in| signed_in.0.clone())
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if signed_in(parts).is_some() {
            return Ok(Self);
        }
        app.tokens.holder(token(parts)?).map(|_| Self).ok_or_else(unknown)
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let (person, by_proxy) = match signed_in(parts) {
            Some(person) => (person, true),
            None => (app.tokens.holder(token(parts)?).ok_or_else(unknown)?, false),
        };
        if !person.operator {
            return Err(only_read(by_proxy));
        }
        // No token's name has a colon in it.
        let key_holder = if by_proxy { format!("proxy:{}", person.name) } else { person.name.clone() };
        Ok(Self { name: person.name, key_holder })
    }
}

impl FromRequestParts<App> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if let Some(person) = signed_in(parts) {
            return Ok(Self { person, proof: Proof::Proxy });
        }
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let person = app.tokens.holder(token(parts)?).ok_or_else(unknown)?;
            return Ok(Self { person, proof: Proof::Bearer });
        }
        match Session::of(&parts.headers, app).await? {
            Some((session, person)) => Ok(Self { person, proof: Proof::Session(session) }),
            None => {
                Err(Problem::new(StatusCode::UNAUTHORIZED, "sign in, or send a token: Authorization: Bearer <token>"))
            }
        }
    }
}
