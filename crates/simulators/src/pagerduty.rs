//! A simulated PagerDuty account behind real sockets: REST API v2 and Events API v2, over HTTP and HTTPS.
//!
//! It is as strict as the real one, and stricter where the real one forgives in silence: a field or a parameter that it
//! does not know is refused, since a misspelt filter would do nothing. Webhooks are made here ([`PagerDuty::webhook_body`],
//! [`sign`]), and sent by others. To add a call: name it in `faults::Endpoint`, carry it out from `rest`.

mod account;
mod call;
mod events;
mod faults;
mod incidents;
mod knobs;
mod listings;
mod log;
mod moving;
mod notes;
mod rest;
mod shapes;
mod socket;
mod subscriptions;
#[cfg(test)]
mod tests;
mod things;
mod webhook;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::tap::Tap;
use super::tls::Authority;
use account::Account;
use outbound::clock::Clock;

pub use faults::{Endpoint, Fault};
pub use moving::Change;
pub use things::{Incident, Note, Opening, State, Subscription};
pub use webhook::sign;

/// What a simulated account has at its beginning.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Tells its time.
    pub clock: Clock,
    /// The one API token that it knows.
    pub token: String,
    /// Its users.
    pub users: Vec<User>,
    /// Its services.
    pub services: Vec<ServiceSetup>,
    /// By how much lists of incidents and notes lag behind writes.
    pub lag: Duration,
    /// How long after an event its incident is there.
    pub event_delay: Duration,
    /// Requests a minute.
    pub rate_limit: u32,
    /// Who watches its connections.
    pub tap: Tap,
}

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// Its id, `P…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The address that `From` must have.
    pub email: String,
}

/// A service.
#[derive(Clone, Debug)]
pub struct ServiceSetup {
    /// Its id, `P…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `active` (then shown by its open incidents), `maintenance` or `disabled`.
    pub status: String,
    /// Who its incidents are assigned to, a user's id.
    pub on_call: Option<String>,
    /// The key of its Events API v2 integration, 32 characters.
    pub routing_key: Option<String>,
}

impl Setup {
    /// The address that [`Setup::new`]'s account knows for this service's own writes.
    pub const FROM: &str = "se-responder@example.com";
    /// The id of the user with the address [`Setup::FROM`].
    pub const RESPONDER: &str = "PRESPND";
    /// The id of the engineer on call.
    pub const ENGINEER: &str = "PENGINR";
    /// The id of the service that Registry's alerts come from.
    pub const REGISTRY: &str = "PREGSTR";
    /// The id of `Cloud Service Endpoint`.
    pub const SERVICE_ENDPOINT: &str = "PCLOUDS";
    /// The routing key of `Cloud Service Endpoint`.
    pub const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

    /// An account with the services that the runbook names and one beside them, without incidents.
    pub fn new(clock: Clock) -> Self {
        let user = |id: &str, name: &str, email: &str| User { id: id.into(), name: name.into(), email: email.into() };
        let service = |id: &str, name: &str, routing_key: Option<&str>| ServiceSetup {
            id: id.into(),
            name: name.into(),
            status: "active".into(),
            on_call: Some(Self::ENGINEER.into()),
            routing_key: routing_key.map(str::to_owned),
        };
        Self {
            clock,
            token: "u+simulated-token".into(),
            users: vec![
                user(Self::RESPONDER, "SE Responder", Self::FROM),
                user(Self::ENGINEER, "Earline Greenholt", "earline@example.com"),
            ],
            services: vec![
                service(Self::REGISTRY, "Containers Registry", None),
                service(Self::SERVICE_ENDPOINT, "Cloud Service Endpoint", Some(Self::ROUTING_KEY)),
                service("PCLDSTG", "Cloud Service Endpoint (staging)", None),
            ],
            lag: Duration::ZERO,
            event_delay: Duration::ZERO,
            rate_limit: 960,
            tap: Tap::default(),
        }
    }
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// When.
    pub at: Timestamp,
    /// `GET`, …
    pub method: String,
    /// `/incidents`, as sent.
    pub path: String,
    /// Without its `?`, as sent.
    pub query: String,
    /// The header `Accept`.
    pub accept: Option<String>,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// The header `Content-Type`.
    pub content_type: Option<String>,
    /// The header `From`.
    pub from: Option<String>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// The body.
    pub body: String,
}

/// It could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port of loopback could be had.
    #[error("no port of loopback could be had")]
    Socket(#[from] std::io::Error),
    /// No certificate could be made.
    #[error("no certificate could be made")]
    Tls(#[from] super::tls::Error),
}

/// A simulated account that is up until the last clone of this is dropped.
#[derive(Clone, Debug)]
pub struct PagerDuty {
    shared: Arc<Mutex<Account>>,
    /// `http://127.0.0.1:<port>`, of REST and Events API.
    pub api_url: String,
    /// `https://127.0.0.1:<port>`, of the same account.
    pub https_url: String,
    /// The certificate of the authority that vouches for it.
    pub ca_pem: String,
    _up: Arc<DropGuard>,
}

impl PagerDuty {
    /// Starts on two free ports of 127.0.0.1.
    ///
    /// # Errors
    /// No port or no certificate could be had.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        let authority = Authority::new("simulated PagerDuty")?;
        let tls = authority.server_config(&["127.0.0.1", "localhost"])?;
        let (plain, secure) =
            (TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let api_url = format!("http://{}", plain.local_addr()?);
        let https_url = format!("https://{}", secure.local_addr()?);
        let tap = setup.tap.clone();
        let shared = Arc::new(Mutex::new(Account::new(setup)));
        let router = rest::router(Arc::clone(&shared));
        let stop = CancellationToken::new();
        tokio::spawn(socket::serve(plain, None, router.clone(), tap.clone(), stop.clone()));
        tokio::spawn(socket::serve(secure, Some(Arc::new(tls)), router, tap, stop.clone()));
        Ok(Self { shared, api_url, https_url, ca_pem: authority.pem(), _up: Arc::new(stop.drop_guard()) })
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The webhook subscriptions, to look at and to change.
    pub fn subscriptions<T>(&self, with: impl FnOnce(&mut Vec<Subscription>) -> T) -> T {
        with(&mut self.account().subscriptions)
    }

    /// The address of its API, over HTTP.
    ///
    /// # Panics
    /// Never: the URL is our own.
    #[expect(clippy::unwrap_used, reason = "the URL is our own")]
    pub fn api_url(&self) -> Url {
        Url::parse(&self.api_url).unwrap()
    }

    /// The one API token that it knows.
    pub fn token(&self) -> String {
        self.account().token.clone()
    }

    /// Knows another token from now on, and this one only.
    pub fn renew_token(&self, token: &str) {
        self.account().token = token.to_owned();
    }

    /// Opens an incident as monitoring would.
    pub fn open(&self, opening: Opening) -> Incident {
        let mut account = self.account();
        let now = account.now();
        account.open(opening, now, false)
    }

    /// An incident as it is now, without any lag.
    pub fn incident(&self, id: &str) -> Option<Incident> {
        self.account().incident(id).cloned()
    }

    /// The open incident of this title, without any lag.
    pub fn open_titled(&self, title: &str) -> Option<Incident> {
        let account = self.account();
        account.incidents_at(account.now()).find(|i| i.title == title && i.state != State::Resolved).cloned()
    }

    /// Acknowledges an incident, as this user.
    pub fn acknowledge(&self, id: &str, user_id: &str) {
        self.account().set_state(id, State::Acknowledged, Some(user_id));
    }

    /// Resolves an incident; no user is monitoring's own doing.
    pub fn resolve(&self, id: &str, user_id: Option<&str>) {
        self.account().set_state(id, State::Resolved, user_id);
    }

    /// Opens a resolved incident again.
    pub fn reopen(&self, id: &str, user_id: Option<&str>) {
        self.account().set_state(id, State::Triggered, user_id);
    }

    /// Merges one incident into another, which resolves it.
    pub fn merge(&self, from: &str, into: &str, user_id: Option<&str>) {
        self.account().merge(from, into, user_id);
    }

    /// Gives an incident another title.
    pub fn rename(&self, id: &str, title: &str) {
        self.account().change(id, |incident, _| incident.title = title.to_owned());
    }

    /// Takes an incident from all assignees.
    pub fn unassign(&self, id: &str) {
        self.account().assign(id, "assign", &[], None);
    }

    /// A user gives an incident to others.
    pub fn reassign(&self, id: &str, to: &[&str], by: &str) {
        let to: Vec<String> = to.iter().map(|user| (*user).to_owned()).collect();
        self.account().assign(id, "assign", &to, Some(by));
    }

    /// Nobody acknowledged an incident in time: it goes to these users.
    pub fn escalate(&self, id: &str, to: &[&str]) {
        let to: Vec<String> = to.iter().map(|user| (*user).to_owned()).collect();
        self.account().assign(id, "escalate", &to, None);
    }

    /// Writes a note as a person would; `None` where there is no such incident.
    pub fn annotate(&self, id: &str, user_id: &str, content: &str) -> Option<Note> {
        self.account().add_note(id, user_id, content)
    }

    /// The notes of an incident as they are now, without any lag, oldest first.
    pub fn notes_of(&self, id: &str) -> Vec<Note> {
        let account = self.account();
        account.notes_at(id, account.now()).unwrap_or_default()
    }

    /// The incidents that clients opened over the API, those of the Events API that are on their way included, but
    /// none that comes late.
    pub fn pages(&self) -> Vec<Incident> {
        let account = self.account();
        let (now, there) = (account.now(), Timestamp::MAX);
        let known = account.entries.iter().filter(|entry| !entry.is_to_come(now));
        known.filter_map(|entry| entry.incident.at(there)).filter(|i| i.over_api).cloned().collect()
    }

    /// How many writes were carried out, their answers lost or not.
    pub fn writes(&self) -> usize {
        self.account().writes
    }

    /// Every request so far, refused and spoilt ones included.
    pub fn requests(&self) -> Vec<Recorded> {
        self.account().recorded.clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.account().recorded.clear();
    }
}
