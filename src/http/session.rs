//! The sessions of people who signed in: a cookie that says who, until when, and which session, signed together with
//! their token. Any replica takes it. It ends when the token is taken away, and when its person signs out: the database
//! has which sessions were ended, for as long as they would have lasted.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use sha2::{Digest, Sha256};
use tower_http::csrf::{CsrfLayer, ProtectionError};
use url::Url;

use super::tokens::Person;
use super::{App, Problem};
use crate::config::Config;
use store::StoreError;

/// The cookie's name.
pub(super) const COOKIE: &str = "se_responder";
/// How long a session lasts: a shift.
const LIFE: Duration = Duration::from_secs(12 * 3600);

/// A session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The cookie's value.
    value: String,
    /// Tells it from the same person's in another browser.
    id: String,
    /// When it ends by itself, in seconds since 1970.
    until: i64,
}

impl Session {
    /// The session of somebody whose token this is, as a cookie. `None` where it can't be signed.
    pub(super) fn begin(person: &Person, token: &str, app: &App) -> Option<Cookie<'static>> {
        let until = runbook::span::after(app.clock.now(), LIFE).as_second();
        let (name, id) = (hex::encode(&person.name), app.clock.id());
        // Not by a jar that signs: its key is fixed, ours may be a file that is renewed, and the token is signed too, so
        // that who holds the cookie can't guess at it.
        let signature =
            app.config.link_key.as_ref()?.signature(&signed(&person.name, &digest(token), &until.to_string(), &id))?;
        Some(cookie(app, format!("{until}.{name}.{id}.{signature}"), LIFE))
    }

    /// Ends it, in whatever browser and on whatever replica. A cookie that takes its own away.
    ///
    /// # Errors
    /// The database: it is not ended.
    pub(super) async fn end(&self, app: &App) -> Result<Cookie<'static>, StoreError> {
        app.store.end_session(&self.id, self.until).await?;
        Ok(cookie(app, String::new(), Duration::ZERO))
    }

    /// The session that a request carries, and whose it is.
    ///
    /// # Errors
    /// The database can't say whether it was ended.
    pub(super) async fn of(headers: &HeaderMap, app: &App) -> Result<Option<(Self, Person)>, StoreError> {
        let jar = CookieJar::from_headers(headers);
        let read = jar.get(COOKIE).and_then(|cookie| Self::read(cookie.value(), app));
        let Some((session, person)) = read else { return Ok(None) };
        let ended = app.store.is_session_ended(&session.id).await?;
        Ok((!ended).then_some((session, person)))
    }

    /// The session whose cookie has this value, and whose it is, where that was signed and has not ended by itself.
    fn read(value: &str, app: &App) -> Option<(Self, Person)> {
        let mut parts = value.splitn(4, '.');
        let (until, name, id, signature) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let ends: i64 = until.parse().ok().filter(|until| *until > app.clock.now().as_second())?;
        let name = String::from_utf8(hex::decode(name).ok()?).ok()?;
        let key = app.config.link_key.as_ref()?;
        let person = app.tokens.find(|known, token| {
            known == name && key.is_signed(&signed(known, &digest(token), until, id), signature)
        })?;
        Some((Self { value: value.to_owned(), id: id.to_owned(), until: ends }, person))
    }

    /// Whether it still is one: for what is shown on and on.
    pub(super) async fn lasts(&self, app: &App) -> bool {
        Self::read(&self.value, app).is_some() && app.store.is_session_ended(&self.id).await.is_ok_and(|ended| !ended)
    }

    /// What a form of this session carries, so that no other site can send it.
    pub(super) fn form_key(&self, app: &App) -> Option<String> {
        app.config.link_key.as_ref()?.signature(&["form", &self.value])
    }

    /// Whether a form came from this session's pages.
    pub(super) fn sent(&self, form_key: &str, app: &App) -> bool {
        app.config.link_key.as_ref().is_some_and(|key| key.is_signed(&["form", &self.value], form_key))
    }
}

/// What a session's signature is over.
fn signed<'a>(name: &'a str, token: &'a str, until: &'a str, id: &'a str) -> [&'a str; 5] {
    ["session", name, token, until, id]
}

fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

fn cookie(app: &App, value: String, life: Duration) -> Cookie<'static> {
    let secure = app.config.public_url.as_deref().is_some_and(|url| url.starts_with("https:"));
    let cookie = Cookie::build((COOKIE, value)).path("/").http_only(true).same_site(SameSite::Strict).secure(secure);
    cookie.max_age(life.try_into().unwrap_or_default()).build()
}

/// What refuses a request that another site made a browser send.
pub(super) type OurOrigin = CsrfLayer<fn(ProtectionError) -> Response>;

/// Refuses what another site made a browser send: no form acts that is not of our own views. A browser says so by
/// `Sec-Fetch-Site`, an older one by `Origin` at least, which is held against the host that was asked, and against
/// `PUBLIC_URL`, since a proxy may have changed the host. What neither is said of does not come from a browser.
pub(super) fn of_our_origin(config: &Config) -> OurOrigin {
    let ours = Url::parse(&config.page_url("")).map(|url| url.origin().ascii_serialization());
    let layer = CsrfLayer::new().with_rejection_response(elsewhere as fn(_) -> _);
    match ours.map(|ours| layer.clone().add_trusted_origin(ours)) {
        Ok(Ok(trusting)) => trusting,
        _ => layer,
    }
}

fn elsewhere(_: ProtectionError) -> Response {
    let what = "another site sent this: use this service's own view, reload it, and try again";
    Problem::new(StatusCode::FORBIDDEN, what).into_response()
}
