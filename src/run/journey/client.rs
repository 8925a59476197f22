//! Asks the client of the end-to-end test beside Jenkins and the clusters, and once more before the note.

use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::Instrument;

use super::ask::{Checked, Hurry};
use super::{Begun, Journey};
use crate::run::client::ClientAsker;
use runbook::diagnosis::Reading;
use runbook::diagnosis::client::{Look, Reached, front_end};
use runbook::span::{after, between};
use store::{Sight, StoreError};

/// "Once Jenkins and clusters are done the note waits for the client at most 2 s more."
const AT_MOST: Duration = Duration::from_secs(2);

impl Journey<'_> {
    /// What Jenkins and the clusters say, with the client asked beside and once more after them. Front ends are known, and asked
    /// for, then only.
    pub(super) async fn ask_the_client_too(
        &self,
        client: &ClientAsker,
        hurry: Hurry,
    ) -> Result<(Vec<Reading>, Checked), StoreError> {
        let (by, until) = watch::channel(None);
        let mut first = std::pin::pin!(self.ask_client(client, until.clone()).fuse());
        let mut first_is_over = false;
        let (readings, checks) = {
            let mut rest = std::pin::pin!(self.ask_until_sure(hurry.clone()));
            loop {
                tokio::select! {
                    over = &mut first, if !first_is_over => {
                        over?;
                        first_is_over = true;
                    }
                    gathered = &mut rest => break gathered?,
                }
            }
        };
        let now = self.context.clock.now();
        let limit = after(now, AT_MOST);
        // Where the alert has ended, what answers by its time is taken, and no more.
        let limit = (*hurry.borrow()).map_or(limit, |end| limit.min(end.max(now)));
        by.send_replace(Some(limit));
        let addresses = front_end::addresses(&self.diagnose(&readings, &checks).0.zones);
        let step = self.begin("ask_client_again").await?;
        let first = async { if first_is_over { Ok(()) } else { first.await } };
        let look = self.look_at(client, &addresses, between(now, limit), until).instrument(step.span.clone());
        let (over, look) = tokio::join!(first, look);
        over?;
        // Kept last: the later answer counts.
        self.end_look(step, &look).await?;
        Ok((readings, checks))
    }

    /// The first asking: front ends are not known yet.
    async fn ask_client(
        &self,
        client: &ClientAsker,
        until: watch::Receiver<Option<Timestamp>>,
    ) -> Result<(), StoreError> {
        let step = self.begin("ask_client").await?;
        let look = self.look_at(client, &[], Duration::MAX, until).instrument(step.span.clone()).await;
        self.end_look(step, &look).await
    }

    async fn look_at(
        &self,
        client: &ClientAsker,
        addresses: &[String],
        at_most: Duration,
        mut until: watch::Receiver<Option<Timestamp>>,
    ) -> Look {
        let clock = &self.context.clock;
        let time_is_up = async {
            let by = match until.wait_for(Option::is_some).await {
                Ok(by) => *by,
                // Nobody will set a time any more.
                Err(_) => None,
            };
            match by {
                Some(by) => clock.sleep(between(clock.now(), by)).await,
                None => std::future::pending().await,
            }
        };
        client.look(&self.run.region, addresses, at_most, time_is_up).await
    }

    async fn end_look(&self, step: Begun, look: &Look) -> Result<(), StoreError> {
        let error = not_asked(look);
        self.end_having_seen(step, error.as_deref(), Some(Sight::Client(look))).await
    }
}

/// What could not be asked, each reason once.
fn not_asked(look: &Look) -> Option<String> {
    let answers = look.regions.iter().flat_map(|region| [&region.se, &region.public]);
    let of_regions = answers.filter(|answer| answer.state.is_none()).map(|answer| &answer.why);
    let unknown = look.front_ends.iter().filter(|look| look.result == Reached::Unknown).map(|look| &look.why);
    let mut reasons: Vec<&str> = Vec::new();
    for why in of_regions.chain(unknown).flatten() {
        if !reasons.contains(&why.as_str()) {
            reasons.push(why);
        }
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}
