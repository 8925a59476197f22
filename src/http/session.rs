//! The sessions of people who signed in: a cookie that says who, until when, signed together with their token. It needs
//! no table, any replica takes it, and it ends when the token is taken away.

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::App;
use super::auth::Person;

/// The cookie's name.
const COOKIE: &str = "se_responder";
/// How long a session lasts, in seconds: a shift.
const LIFE: i64 = 12 * 3600;

/// A session: the cookie's value.
#[derive(Clone, Debug)]
pub(super) struct Session(String);

impl Session {
    /// The session of somebody whose token this is, as a `Set-Cookie` header. `None` where it can't be signed.
    pub(super) fn begin(person: &Person, token: &str, app: &App) -> Option<HeaderValue> {
        let until = app.clock.now().as_second() + LIFE;
        let name = hex::encode(&person.name);
        let signature = sign(app, &person.name, token, until)?;
        set_cookie(app, &format!("{until}.{name}.{signature}"), LIFE)
    }

    /// A `Set-Cookie` header that ends the session.
    pub(super) fn end(app: &App) -> Option<HeaderValue> {
        set_cookie(app, "", 0)
    }

    /// The session that a request carries, and whose it is.
    pub(super) fn of(headers: &HeaderMap, app: &App) -> Option<(Self, Person)> {
        let value = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))?;
        let mut parts = value.splitn(3, '.');
        let (until, name, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let until: i64 = until.parse().ok().filter(|until| *until > app.clock.now().as_second())?;
        let name = String::from_utf8(hex::decode(name).ok()?).ok()?;
        let key = app.config.link_key.as_ref()?;
        let person = app.tokens.find(|known, token| {
            known == name && key.is_signed(&["session", known, &digest(token), &until.to_string()], signature)
        })?;
        Some((Self(value.to_owned()), person))
    }

    /// What a form of this session carries, so that no other site can send it.
    pub(super) fn form_key(&self, app: &App) -> String {
        app.config.link_key.as_ref().and_then(|key| key.signature(&["form", &self.0])).unwrap_or_default()
    }

    /// Whether a form came from this session's pages.
    pub(super) fn sent(&self, form_key: &str, app: &App) -> bool {
        app.config.link_key.as_ref().is_some_and(|key| key.is_signed(&["form", &self.0], form_key))
    }
}

fn sign(app: &App, name: &str, token: &str, until: i64) -> Option<String> {
    app.config.link_key.as_ref()?.signature(&["session", name, &digest(token), &until.to_string()])
}

fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

fn set_cookie(app: &App, value: &str, life: i64) -> Option<HeaderValue> {
    let secure = match &app.config.public_url {
        Some(url) if url.starts_with("https:") => "; Secure",
        _ => "",
    };
    let cookie = format!("{COOKIE}={value}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&cookie).ok()
}

/// Whether the browser says that another site made it send this.
pub(super) fn from_elsewhere(headers: &HeaderMap, app: &App) -> bool {
    let says = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    match (says("sec-fetch-site"), says("origin")) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        // A browser that doesn't say so gives the page's origin at least; a proxy may have changed the host.
        (None, Some(origin)) => {
            let own = app.config.page_url("");
            let by_host = origin.split_once("://").is_some_and(|(_, from)| says("host") == Some(from));
            !by_host && !own.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/'))
        }
        (None, None) => false,
    }
}
