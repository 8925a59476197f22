//! However many ask which incidents are open, one look serves all that asked before it began: confirming an alert, finding
//! related pages, joining a page and reconciling read the same. Several regions alert together, and PagerDuty's rate limit
//! is shared.

use std::sync::Arc;

use outbound::error::Error;
use outbound::shared::Shared;
use pagerduty::{Incident, Listed, PagerDuty};

/// Looks at open incidents.
#[derive(Debug, Default)]
pub struct OpenIncidents(Shared<Seen>);

/// What came of a look, or why it is not known what is open.
pub type Seen = Result<Open, Error>;

/// What one look saw: every open incident, cut down to what is asked of one. Clones share it.
#[derive(Clone, Debug)]
pub struct Open(Arc<Listed<Incident>>);

impl OpenIncidents {
    /// A look that began after this call.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn look(&self, pagerduty: &PagerDuty) -> Seen {
        self.0.ask(|| async { pagerduty.open_incidents(&[]).await.map(|listed| Open(Arc::new(listed))) }).await
    }
}

impl Open {
    /// This incident, where it is among them. That it isn't is no proof that it has ended: a restricted token sees less,
    /// and what is new shows late.
    pub fn find(&self, id: &str) -> Option<&Incident> {
        self.iter().find(|incident| incident.id == id)
    }
}

impl std::ops::Deref for Open {
    type Target = Listed<Incident>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests {
    use futures::future::join_all;

    use crate::run::bench::Bench;
    use simulators::pagerduty::{Endpoint, Fault, Opening, Setup};

    #[tokio::test]
    async fn one_look_serves_all_that_ask_at_once_and_none_is_stale() {
        let bench = Bench::new().await;
        let (looks, pagerduty) = (&bench.context.open_incidents, &bench.context.pagerduty);
        for seen in join_all((0..20).map(|_| looks.look(pagerduty))).await {
            assert_eq!(seen.unwrap().len(), 1);
        }
        // The first one's, and one for all that asked while it was under way.
        assert!(bench.asked("GET", "/incidents") <= 2, "{}", bench.asked("GET", "/incidents"));

        bench.account.open(Opening::new("another", Setup::REGISTRY));
        assert_eq!(looks.look(pagerduty).await.unwrap().len(), 2, "what opened before the call is seen");
    }

    #[tokio::test]
    async fn a_look_that_failed_has_failed_for_all_that_asked_at_once() {
        let bench = Bench::new().await;
        let (looks, pagerduty) = (&bench.context.open_incidents, &bench.context.pagerduty);
        bench.account.fail(Endpoint::Incidents, Fault::Status(403), 2);
        let seen = join_all((0..20).map(|_| looks.look(pagerduty))).await;
        assert!(seen.iter().all(Result::is_err), "they don't wait for each other's failures one by one");
        assert!(looks.look(pagerduty).await.is_ok(), "who asks later looks again");
    }
}
