//! How many connections there may be at a time, and how long each may take.

use std::time::Duration;

/// Open files that are left to the rest of the service: the database, requests to other systems.
const FOR_THE_REST: usize = 512;
/// No pool gets smaller than this, however few files may be open.
const LEAST: usize = 8;

/// Places and times of connections. Each place belongs to one pool, so that who fills one leaves the others alone.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections that have not sent a whole head: new ones, and those that are kept for a next request.
    pub heads: usize,
    /// Webhooks.
    pub webhooks: usize,
    /// `/healthz`, and as many for `/readyz` and `/metrics`.
    pub health: usize,
    /// Event streams.
    pub streams: usize,
    /// All other requests.
    pub others: usize,
    /// Connections of one peer (IPv6: of one /64), but not of `TRUSTED_PROXIES`.
    pub a_peer: usize,
    /// From the first byte of a head, or from the connection's begin, to the head's end.
    pub head: Duration,
    /// Without a byte of the next request. Longer than the minute after which most proxies let go, so that they don't
    /// send a request into a connection that is being closed.
    pub idle: Duration,
    /// A request's body, once its head is there.
    pub body: Duration,
    /// Without the client reading anything of what is sent to it.
    pub write: Duration,
    /// A request from its head to the last byte of its answer.
    pub request: Duration,
    /// The same for an event stream; its client comes back by `Last-Event-ID`.
    pub stream: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            heads: 1024,
            webhooks: 256,
            health: 64,
            streams: 256,
            others: 256,
            a_peer: 512,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body: Duration::from_secs(10),
            write: Duration::from_secs(15),
            request: Duration::from_secs(60),
            stream: Duration::from_secs(15 * 60),
        }
    }
}

impl Limits {
    /// The same, as far as this process may open files. The soft limit is raised to the hard one first.
    #[must_use]
    pub fn within_the_file_limit(self) -> Self {
        let files = raised_file_limit();
        let fitting = self.within(files);
        if fitting.places() < self.places() {
            tracing::warn!(
                open_files = files,
                wanted = self.places() + FOR_THE_REST,
                connections = fitting.places(),
                "this process may open few files, so it takes fewer connections at a time: raise its limit \
                 (ulimit -n, LimitNOFILE)"
            );
        }
        fitting
    }

    /// The same, in proportion, where so many files may be open.
    fn within(self, files: usize) -> Self {
        let all = self.places();
        // A low limit is shared half and half.
        let room = files.saturating_sub(FOR_THE_REST).max(files / 2).min(all);
        let share = |pool: usize| (pool * room / all.max(1)).max(LEAST).min(pool);
        Self {
            heads: share(self.heads),
            webhooks: share(self.webhooks),
            health: share(self.health),
            streams: share(self.streams),
            others: share(self.others),
            a_peer: share(self.a_peer),
            ..self
        }
    }

    /// All places.
    fn places(&self) -> usize {
        self.heads + self.webhooks + 2 * self.health + self.streams + self.others
    }
}

/// How many files this process may open, once its soft limit is raised to the hard one.
fn raised_file_limit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current;
    limit.current = limit.maximum;
    let now = match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum,
        // Some systems know a lower one than they say: then it stays as it was.
        Err(error) => {
            tracing::debug!(%error, "the limit of open files can't be raised");
            soft
        }
    };
    now.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_file_limit_makes_every_pool_smaller_and_none_goes() {
        let whole = Limits::default();
        let same = whole.within(20_000);
        assert_eq!((same.heads, same.webhooks, same.health), (whole.heads, whole.webhooks, whole.health));
        for files in [16, 64, 256, 1024, 2000, 2431] {
            let fitting = whole.within(files);
            let pools = |l: Limits| [l.heads, l.webhooks, l.health, l.streams, l.others, l.a_peer];
            assert!(pools(fitting).iter().all(|pool| *pool >= LEAST), "{files}: {fitting:?}");
            assert!(pools(fitting).iter().zip(pools(whole)).all(|(few, all)| *few <= all), "{files}: {fitting:?}");
            let most = (files / 2).max(files.saturating_sub(FOR_THE_REST)) + 6 * LEAST;
            assert!(fitting.places() <= most, "{files}: {fitting:?}");
        }
        assert!(whole.within(1024).places() < whole.within(2048).places());
    }
}
