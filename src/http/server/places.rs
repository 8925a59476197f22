//! Who has which place. A place is either at work, by us, or waits for its client: for a head, for a body, for an answer
//! to be read. Where a pool is full, the connection that has waited longest for its client is let go, so that who keeps
//! up is served however many don't. Where all are at work, who comes is refused.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use crate::http::limits::Limits;
use crate::metrics;

/// What a place is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// No whole head yet.
    Heads,
    /// Webhooks.
    Webhooks,
    /// Whether the process is up: answered at once, whatever else is the matter.
    Alive,
    /// What asks the database how we are.
    Health,
    /// Event streams.
    Streams,
    /// All else.
    Others,
}

impl Pool {
    const ALL: [Self; 6] = [Self::Heads, Self::Others, Self::Streams, Self::Health, Self::Alive, Self::Webhooks];

    /// Where a request belongs, by its path.
    pub(super) fn of(path: &str) -> Self {
        let within = |begin: &str, end: &str| path.strip_prefix(begin).is_some_and(|rest| rest.ends_with(end));
        match path {
            "/webhooks/pagerduty" => Self::Webhooks,
            "/healthz" => Self::Alive,
            "/readyz" | "/metrics" => Self::Health,
            "/api/events" | "/live" => Self::Streams,
            _ if within("/api/runs/", "/events") || within("/runs/", "/live") => Self::Streams,
            _ => Self::Others,
        }
    }
}

/// Every place is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    /// `TRUSTED_PROXIES`: many people come by one address.
    proxies: Vec<IpNet>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts arrivals and waits: the lower, the longer ago.
    count: u64,
    all: HashMap<u64, Taken>,
    pools: [Kept; Pool::ALL.len()],
    peers: HashMap<IpAddr, Kept>,
}

/// The places of a pool or of a peer.
#[derive(Debug, Default)]
struct Kept {
    taken: usize,
    /// Who waits for their client: since when, and who.
    waiting: BTreeMap<u64, u64>,
}

/// A place that is taken.
#[derive(Debug)]
struct Taken {
    pool: Pool,
    peer: Option<IpAddr>,
    /// Since when it waits for its client; `None`: it is at work.
    waits: Option<u64>,
    let_go: CancellationToken,
}

impl Places {
    pub(super) fn new(limits: Limits, proxies: Vec<IpNet>) -> Self {
        Self { limits, proxies, state: Mutex::default() }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn most(&self, pool: Pool) -> usize {
        match pool {
            Pool::Heads => self.limits.heads,
            Pool::Webhooks => self.limits.webhooks,
            Pool::Alive | Pool::Health => self.limits.health,
            Pool::Streams => self.limits.streams,
            Pool::Others => self.limits.others,
        }
    }

    /// A new connection takes a place, and waits for its first head. Somebody else may be let go for it; where its peer
    /// has too many that are at work, it is let go itself.
    pub(super) fn arrive(self: &Arc<Self>, from: IpAddr) -> Place {
        let from = from.to_canonical();
        let peer = (!self.proxies.iter().any(|proxies| proxies.contains(&from))).then(|| peer_of(from));
        let let_go = CancellationToken::new();
        let mut state = self.state();
        if state.pools[Pool::Heads as usize].taken >= self.limits.heads {
            state.let_go_of_one(Pool::Heads);
        }
        let (id, waits) = (state.next(), state.next());
        state.all.insert(id, Taken { pool: Pool::Heads, peer, waits: Some(waits), let_go: let_go.clone() });
        state.each_kept(id, |kept| {
            kept.taken += 1;
            kept.waiting.insert(waits, id);
        });
        if let Some(peer) = peer
            && let Some(kept) = state.peers.get(&peer)
            && kept.taken > self.limits.a_peer
            && let Some(oldest) = kept.waiting.values().next().copied()
        {
            metrics::connection_closed("peer");
            state.let_go(oldest);
        }
        Place { places: self.clone(), id, let_go }
    }

    /// Lets go of the one that has waited longest for its client, whichever its pool; whether there was one.
    pub(super) fn let_go_of_one(&self) -> bool {
        let mut state = self.state();
        Pool::ALL.into_iter().any(|pool| state.let_go_of_one(pool))
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Does something to the pool and the peer of a place.
    fn each_kept(&mut self, id: u64, change: impl Fn(&mut Kept)) {
        let Some(taken) = self.all.get(&id) else { return };
        change(&mut self.pools[taken.pool as usize]);
        if let Some(peer) = taken.peer {
            change(self.peers.entry(peer).or_default());
        }
    }

    fn let_go_of_one(&mut self, pool: Pool) -> bool {
        let oldest = self.pools[pool as usize].waiting.values().next().copied();
        if let Some(oldest) = oldest {
            metrics::connection_closed("full");
            self.let_go(oldest);
        }
        oldest.is_some()
    }

    fn let_go(&mut self, id: u64) {
        if let Some(taken) = self.leave(id) {
            taken.let_go.cancel();
        }
    }

    /// Gives a place back. Whoever left already has none.
    fn leave(&mut self, id: u64) -> Option<Taken> {
        let waits = self.all.get(&id)?.waits;
        self.each_kept(id, |kept| {
            kept.taken -= 1;
            if let Some(waits) = waits {
                kept.waiting.remove(&waits);
            }
        });
        let taken = self.all.remove(&id)?;
        if let Some(peer) = taken.peer
            && self.peers.get(&peer).is_some_and(|kept| kept.taken == 0)
        {
            self.peers.remove(&peer);
        }
        Some(taken)
    }

    fn set_waits(&mut self, id: u64, waits: bool) {
        let Some(before) = self.all.get(&id).map(|taken| taken.waits) else { return };
        if before.is_some() == waits {
            return;
        }
        let now = waits.then(|| self.next());
        self.each_kept(id, |kept| {
            if let Some(before) = before {
                kept.waiting.remove(&before);
            }
            if let Some(now) = now {
                kept.waiting.insert(now, id);
            }
        });
        if let Some(taken) = self.all.get_mut(&id) {
            taken.waits = now;
        }
    }

    fn set_pool(&mut self, id: u64, pool: Pool) {
        let Some(taken) = self.all.get_mut(&id) else { return };
        let (before, waits) = (std::mem::replace(&mut taken.pool, pool), taken.waits);
        let kept = &mut self.pools[before as usize];
        kept.taken -= 1;
        if let Some(waits) = waits {
            kept.waiting.remove(&waits);
        }
        let kept = &mut self.pools[pool as usize];
        kept.taken += 1;
        if let Some(waits) = waits {
            kept.waiting.insert(waits, id);
        }
    }
}

/// The place of a connection, for as long as it lives.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    let_go: CancellationToken,
}

impl Place {
    pub(super) fn limits(&self) -> &Limits {
        self.places.limits()
    }

    /// Cancelled when it is let go.
    pub(super) fn let_go(&self) -> &CancellationToken {
        &self.let_go
    }

    /// A request's head is there: it is at work in this pool from now on.
    ///
    /// # Errors
    /// Everybody there is at work.
    pub(super) fn begin(&self, pool: Pool) -> Result<(), Full> {
        let mut state = self.places.state();
        if !state.all.contains_key(&self.id) {
            return Ok(());
        }
        if state.pools[pool as usize].taken >= self.places.most(pool) && !state.let_go_of_one(pool) {
            return Err(Full);
        }
        state.set_pool(self.id, pool);
        state.set_waits(self.id, false);
        Ok(())
    }

    /// Whether it waits for its client now.
    pub(super) fn waits(&self, waits: bool) {
        self.places.state().set_waits(self.id, waits);
    }

    /// Its answer is sent: it waits for the next head.
    pub(super) fn end(&self) {
        let mut state = self.places.state();
        state.set_waits(self.id, false);
        state.set_waits(self.id, true);
        state.set_pool(self.id, Pool::Heads);
        if state.pools[Pool::Heads as usize].taken > self.places.limits.heads {
            state.let_go_of_one(Pool::Heads);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.state().leave(self.id);
    }
}

/// Who counts as one: an address, or the network that somebody with IPv6 has for themselves.
fn peer_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests;
