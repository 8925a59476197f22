//! People whom a proxy in front has signed in: it names them in a header (`TRUSTED_USER_HEADER`). The header counts only
//! from the addresses of `TRUSTED_PROXIES`, and only where it says one name, once; otherwise it is as if it were absent.
//! A browser sends what another site makes it send with it, as it does a cookie: so what changes something must be of our
//! own origin, in the API too.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use tower::{Layer as _, ServiceExt as _};

use super::App;
use super::auth::bearer;
use super::session::OurOrigin;
use super::tokens::Person;
use super::trace::WEBHOOKS;
use crate::config::Config;
use runbook::text::clean;

/// The longest name, in characters.
const LONGEST: usize = 255;
/// How often it is said that the header comes from elsewhere.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Whose socket a request came by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub IpAddr);

/// Who a proxy says is signed in, as the request carries it once it is known.
#[derive(Clone, Debug)]
pub(super) struct SignedIn(pub Person);

/// Finds out whom a trusted proxy names, before anything else looks at the request. A bearer token wins.
pub(super) async fn recognize(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    // A webhook goes by its signature alone.
    if request.uri().path() != WEBHOOKS
        && let Some(person) = named(&app.config, peer, request.headers())
        && bearer(request.headers()).is_none()
    {
        request.extensions_mut().insert(SignedIn(person));
    }
    next.run(request).await
}

/// Refuses what another site made such a person's browser send.
pub(super) async fn of_our_origin(State(ours): State<OurOrigin>, request: Request, next: Next) -> Response {
    if request.extensions().get::<SignedIn>().is_none() {
        return next.run(request).await;
    }
    let answered: Result<Response, Infallible> = ours.layer(next).oneshot(request).await;
    match answered {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Whom the proxy at this address names.
fn named(config: &Config, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<Person> {
    let name = the_one(headers, config.user_header.as_ref()?)?;
    let peer = peer?.to_canonical();
    if !config.trusted_proxies.iter().any(|proxies| proxies.contains(&peer)) {
        from_elsewhere(peer);
        return None;
    }
    let operator = config.trusted_operators.contains(&name);
    Some(Person { name, operator })
}

/// The name in this header, where it is one. Two names joined by a comma are what a proxy may make of a header that was
/// there twice (RFC 9110, 5.3).
fn the_one(headers: &HeaderMap, header: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(header).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let name = std::str::from_utf8(value.as_bytes()).ok()?.trim();
    // Such a name is shown, logged and kept: nothing may hide in it.
    (!name.is_empty() && !name.contains(',') && clean(name, LONGEST) == name).then(|| name.to_owned())
}

/// Says that the header does not count, since who sets it up wonders why nobody is signed in: or somebody tries to be
/// taken for another.
fn from_elsewhere(peer: IpAddr) {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
        *said = Some(Instant::now());
        tracing::warn!(%peer, "TRUSTED_USER_HEADER came from an address outside TRUSTED_PROXIES: it does not count");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    use crate::config::fixtures::config;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-user", HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn of(values: &[&[u8]], peer: &str) -> Option<(String, bool)> {
        let config = config(
            &[
                ("TRUSTED_PROXIES", "10.0.0.0/8,fd00::1"),
                ("TRUSTED_USER_HEADER", "X-Forwarded-User"),
                ("TRUSTED_OPERATORS", "olga@example.com, Übel"),
            ],
            "",
        );
        let person = named(&config, Some(peer.parse().unwrap()), &headers(values))?;
        Some((person.name, person.operator))
    }

    #[test]
    fn one_name_of_a_trusted_proxy_counts() {
        let is = |name: &str, operator| Some((name.to_owned(), operator));
        assert_eq!(of(&[b"olga@example.com"], "10.1.2.3"), is("olga@example.com", true));
        assert_eq!(of(&[b" vera "], "fd00::1"), is("vera", false));
        assert_eq!(of(&["Übel".as_bytes()], "10.1.2.3"), is("Übel", true));
        // A socket that takes both kinds of address shows the older one within the newer.
        assert_eq!(of(&[b"vera"], "::ffff:10.1.2.3"), is("vera", false));
        // Names are compared as they are.
        assert_eq!(of(&[b"Olga@example.com"], "10.1.2.3"), is("Olga@example.com", false));
        assert_eq!(of(&["x".repeat(LONGEST).as_bytes()], "10.1.2.3"), is(&"x".repeat(LONGEST), false));
    }

    #[test]
    fn from_elsewhere_it_is_absent() {
        for peer in ["11.0.0.1", "127.0.0.1", "fd00::2", "::ffff:11.0.0.1", "::1"] {
            assert_eq!(of(&[b"olga@example.com"], peer), None, "{peer}");
        }
        let config = config(&[("TRUSTED_PROXIES", "0.0.0.0/0"), ("TRUSTED_USER_HEADER", "x-forwarded-user")], "");
        assert_eq!(named(&config, None, &headers(&[b"vera"])), None, "whose socket it came by is not known");
    }

    #[test]
    fn what_is_not_one_name_is_absent() {
        let long = "x".repeat(LONGEST + 1);
        let cases: [Vec<&[u8]>; 12] = [
            vec![],
            vec![b""],
            vec![b"  "],
            vec![b"vera", b"vera"],
            vec![b"olga@example.com", b""],
            vec![b"olga@example.com,vera"],
            vec![b"a\tb"],
            vec![b"a  b"],
            vec!["ve\u{202e}ra".as_bytes()],
            vec!["ve\u{200b}ra".as_bytes()],
            vec![b"caf\xe9"],
            vec![long.as_bytes()],
        ];
        for values in cases {
            assert_eq!(of(&values, "10.1.2.3"), None, "{values:?}");
        }
    }
}
