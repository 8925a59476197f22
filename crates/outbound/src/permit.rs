//! Keeps who lost a claim from writing to the outside.
//!
//! The database refuses the writes of a worker that lost its claim; PagerDuty and Jenkins know of no claims. So whatever a
//! client writes takes a [`Permit`], and asks it right before each try. Only who holds a claim gives one ([`Giver`]); what
//! needs no claim says why. A process that was frozen for longer than its lease
//! certainly holds (`SIGSTOP`, a suspended machine) waits here when it wakes, until the lease is renewed. Where somebody else
//! has the claim by then, the permit is over, and what waits for it is not written.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::since_boot;
use crate::error::Error;

/// Until when a lease certainly holds. All permits under it go by this.
#[derive(Debug)]
pub struct Term {
    until: watch::Sender<Until>,
    holds: Duration,
}

/// By two clocks that nobody sets: one also counts while the whole machine is suspended. The wall clock counts for nothing: a
/// claim would be over because somebody sets it forth.
#[derive(Clone, Copy, Debug)]
struct Until {
    steady: Instant,
    up: Duration,
}

impl Until {
    fn holds(asked: Instant, holds: Duration) -> Self {
        let left = (asked + holds).saturating_duration_since(Instant::now());
        Self { steady: asked + holds, up: since_boot() + left }
    }

    fn is_to_come(&self) -> bool {
        Instant::now() < self.steady && since_boot() < self.up
    }
}

impl Term {
    /// Of a lease that was asked for at `asked`, and `holds` from then on.
    pub fn new(asked: Instant, holds: Duration) -> Self {
        Self { until: watch::Sender::new(Until::holds(asked, holds)), holds }
    }

    /// The lease was renewed; that was asked for at `asked`.
    pub fn renewed(&self, asked: Instant) {
        self.until.send_replace(Until::holds(asked, self.holds));
    }

    /// For a claim that is held under the lease.
    pub fn giver(&self) -> Giver {
        Giver { until: self.until.subscribe(), over: watch::Sender::new(false) }
    }
}

/// Gives the permits of one claim. They are over when the claim is, or when this is dropped.
#[derive(Debug)]
pub struct Giver {
    until: watch::Receiver<Until>,
    over: watch::Sender<bool>,
}

impl Giver {
    /// To write while the claim holds.
    pub fn permit(&self) -> Permit {
        Permit(Basis::Claim { until: self.until.clone(), over: self.over.subscribe() })
    }

    /// The claim is lost: nothing is written by its permits any more.
    pub fn lost(&self) {
        self.over.send_replace(true);
    }
}

/// The right to write to the outside. Clones are the same.
#[derive(Clone, Debug)]
pub struct Permit(Basis);

#[derive(Clone, Debug)]
enum Basis {
    Claim { until: watch::Receiver<Until>, over: watch::Receiver<bool> },
    Needless(&'static str),
    None,
}

impl Permit {
    /// For what needs no claim. `why`?
    pub fn needless(why: &'static str) -> Self {
        Self(Basis::Needless(why))
    }

    /// Of who has no claim, and may not write without.
    pub fn none() -> Self {
        Self(Basis::None)
    }

    /// Returns once the claim is over; never where none is needed.
    pub async fn over(&self) {
        match &self.0 {
            // Its giver may be gone.
            Basis::Claim { over, .. } => _ = over.clone().wait_for(|over| *over).await,
            Basis::Needless(_) | Basis::None => std::future::pending().await,
        }
    }

    /// Returns at once while the claim certainly holds, else when it holds again.
    ///
    /// # Errors
    /// The claim is over, or there is none: nothing is written.
    pub async fn held(&self, doing: &str) -> Result<(), Error> {
        match &self.0 {
            Basis::Claim { until, .. } => {
                let mut until = until.clone();
                let held = tokio::select! {
                    biased;
                    () = self.over() => false,
                    held = until.wait_for(Until::is_to_come) => held.is_ok(),
                };
                if held {
                    return Ok(());
                }
                Err(Error::local(doing, "nothing was written: the claim to the work is over"))
            }
            Basis::Needless(why) => {
                tracing::debug!(doing, why, "written without a claim");
                Ok(())
            }
            Basis::None => {
                tracing::error!(doing, "nothing is written by who has no claim: this is a bug");
                Err(Error::local(
                    doing,
                    "nothing was written: who asked for it has no claim to the work, which is a bug",
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn held(permit: &Permit) {
        permit.held("writing").await.unwrap();
    }

    #[tokio::test]
    async fn who_has_a_claim_that_holds_writes_at_once_and_who_has_none_only_where_it_needs_none() {
        let term = Term::new(Instant::now(), HOUR);
        let giver = term.giver();
        assert!(held(&giver.permit()).now_or_never().is_some());
        held(&Permit::needless("a test")).await;
        let refused = Permit::none().held("writing a note").await.unwrap_err();
        assert!(refused.to_string().contains("writing a note"), "{refused}");
    }

    /// What was started beside the work may outlive it, with its permit.
    #[tokio::test]
    async fn a_permit_is_over_when_its_claim_is_lost_or_done_however_long_the_lease_holds() {
        let term = Term::new(Instant::now(), HOUR);
        let (lost, done, other) = (term.giver(), term.giver(), term.giver());
        let (of_lost, of_done, of_other) = (lost.permit(), done.permit(), other.permit());
        assert!(of_lost.over().now_or_never().is_none() && of_done.over().now_or_never().is_none());
        lost.lost();
        drop(done);
        for permit in [of_lost, of_done] {
            permit.over().now_or_never().expect("it is over");
            permit.held("writing").now_or_never().expect("it waits for nothing").unwrap_err();
        }
        held(&of_other).await;
        assert!(of_other.over().now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_waits_for_a_lease_that_may_have_run_out_writes_nothing_once_the_claim_is_lost() {
        let term = Term::new(Instant::now() - HOUR, HOUR);
        let giver = term.giver();
        let permit = giver.permit();
        let mut writing = Box::pin(permit.held("writing"));
        assert!((&mut writing).now_or_never().is_none());
        // The lease is renewed, but without this claim.
        giver.lost();
        term.renewed(Instant::now());
        writing.now_or_never().expect("it waits no more").unwrap_err();
        // Who held the lease is gone.
        let giver = term.giver();
        term.renewed(Instant::now() - HOUR);
        let permit = giver.permit();
        let mut writing = Box::pin(permit.held("writing"));
        assert!((&mut writing).now_or_never().is_none());
        drop(term);
        writing.now_or_never().expect("it waits no more").unwrap_err();
    }

    #[tokio::test]
    async fn who_was_away_for_longer_than_the_claim_holds_waits_until_it_is_renewed() {
        let term = Term::new(Instant::now() - HOUR, HOUR);
        let giver = term.giver();
        let permit = giver.permit();
        let mut writing = Box::pin(held(&permit));
        assert!((&mut writing).now_or_never().is_none());
        // A renewal that was asked for before counts from then.
        term.renewed(Instant::now() - HOUR);
        assert!((&mut writing).now_or_never().is_none());
        term.renewed(Instant::now());
        assert!(writing.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_machine_that_slept_counts_its_sleep() {
        let term = Term::new(Instant::now(), HOUR);
        let giver = term.giver();
        term.until.send_modify(|until| until.up = Duration::ZERO);
        let permit = giver.permit();
        let mut writing = Box::pin(held(&permit));
        assert!((&mut writing).now_or_never().is_none());
        term.renewed(Instant::now());
        assert!(writing.now_or_never().is_some());
    }
}
