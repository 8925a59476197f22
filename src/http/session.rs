//! The sessions of people who signed in: a cookie that says who, until when, and which session, signed together with
//! their token. Any replica takes it. It ends when the token is taken away, and when its person signs out: the database
//! has which sessions were ended, for as long as they would have lasted.

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::App;
use super::tokens::Person;
use store::StoreError;

/// The cookie's name.
const COOKIE: &str = "se_responder";
/// How long a session lasts, in seconds: a shift.
const LIFE: i64 = 12 * 3600;

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
    /// The session of somebody whose token this is, as a `Set-Cookie` header. `None` where it can't be signed.
    pub(super) fn begin(person: &Person, token: &str, app: &App) -> Option<HeaderValue> {
        let until = app.clock.now().as_second() + LIFE;
        let (name, id) = (hex::encode(&person.name), app.clock.id());
        let signature =
            app.config.link_key.as_ref()?.signature(&signed(&person.name, &digest(token), &until.to_string(), &id))?;
        set_cookie(app, &format!("{until}.{name}.{id}.{signature}"), LIFE)
    }

    /// Ends it, in whatever browser and on whatever replica. A `Set-Cookie` header that takes the cookie away.
    ///
    /// # Errors
    /// The database: it is not ended.
    pub(super) async fn end(&self, app: &App) -> Result<Option<HeaderValue>, StoreError> {
        app.store.end_session(&self.id, self.until).await?;
        Ok(set_cookie(app, "", 0))
    }

    /// The session that a request carries, and whose it is.
    ///
    /// # Errors
    /// The database can't say whether it was ended.
    pub(super) async fn of(headers: &HeaderMap, app: &App) -> Result<Option<(Self, Person)>, StoreError> {
        let value = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        let Some((session, person)) = value.and_then(|value| Self::read(value, app)) else { return Ok(None) };
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
    pub(super) fn form_key(&self, app: &App) -> String {
        app.config.link_key.as_ref().and_then(|key| key.signature(&["form", &self.value])).unwrap_or_default()
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
