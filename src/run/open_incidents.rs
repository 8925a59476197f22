//! However many runs ask at once which incidents are open, one look serves them: several regions alert together, and
//! PagerDuty's rate limit is shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use crate::upstream::pagerduty::{Incident, PagerDuty};

/// What one look saw, or why it saw nothing.
type Seen = Result<Arc<Vec<Incident>>, String>;

/// Looks at open incidents. A look serves only those who asked before it began, so it is never stale.
#[derive(Debug, Default)]
pub struct OpenIncidents {
    /// Counts those who have asked.
    asked: AtomicU64,
    /// The last look, and how many had asked when it began.
    last: Mutex<Option<(u64, Seen)>>,
}

impl OpenIncidents {
    /// A look that began after this call, shared with whoever asks meanwhile.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn shared(&self, pagerduty: &PagerDuty) -> Seen {
        let mine = self.asked.fetch_add(1, Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if let Some((before, seen)) = &*last
            && *before > mine
        {
            return seen.clone();
        }
        let before = self.asked.load(Ordering::SeqCst);
        let seen = self.fresh(pagerduty).await;
        *last = Some((before, seen.clone()));
        seen
    }

    /// A look of one's own.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn fresh(&self, pagerduty: &PagerDuty) -> Seen {
        pagerduty.open_incidents(&[]).await.map(Arc::new).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests {
    use futures::future::join_all;

    use crate::run::bench::Bench;
    use crate::sim::pagerduty::{Endpoint, Fault, Opening, Setup};

    #[tokio::test]
    async fn one_look_serves_all_that_ask_at_once_and_none_is_stale() {
        let bench = Bench::new().await;
        let (looks, pagerduty) = (&bench.tools.open_incidents, &bench.tools.pagerduty);
        for seen in join_all((0..20).map(|_| looks.shared(pagerduty))).await {
            assert_eq!(seen.unwrap().len(), 1);
        }
        // The first one's, and one for all that asked while it was under way.
        assert!(bench.asked("GET", "/incidents") <= 2, "{}", bench.asked("GET", "/incidents"));

        bench.account.open(Opening::new("another", Setup::REGISTRY));
        assert_eq!(looks.shared(pagerduty).await.unwrap().len(), 2, "what opened before the call is seen");
        bench.account.forget_requests();
        join_all((0..3).map(|_| looks.fresh(pagerduty))).await;
        assert_eq!(bench.asked("GET", "/incidents"), 3, "a second look is one's own");
    }

    #[tokio::test]
    async fn a_look_that_failed_has_failed_for_all_that_asked_at_once() {
        let bench = Bench::new().await;
        let (looks, pagerduty) = (&bench.tools.open_incidents, &bench.tools.pagerduty);
        bench.account.fail(Endpoint::Incidents, Fault::Status(403), 2);
        let seen = join_all((0..20).map(|_| looks.shared(pagerduty))).await;
        assert!(seen.iter().all(Result::is_err), "they don't wait for each other's failures one by one");
        assert!(looks.shared(pagerduty).await.is_ok(), "who asks later looks anew");
    }
}
