//! Whether a bigger outage explains the alert, and the run waits for it to end.

use super::Journey;
use crate::run::steps::post_short::post_short;
use crate::run::words;
use runbook::decided::Decided;
use runbook::suppression::{self, Next};
use store::StoreError;

impl Journey<'_> {
    /// Whether the run waits for a bigger outage to end. Runbook: "deal with this PD first and see if this resolves".
    pub(super) async fn is_suppressed(&mut self) -> Result<bool, StoreError> {
        let context = self.context;
        let Some(incident) = self.run.incident.clone() else { return Ok(false) };
        let was = context.store.suppression(&self.run.id).await?.was;
        let open = self.facts.related_unknown.is_none().then_some(self.facts.explaining > 0);
        let now = context.clock.now();
        let settings = context.config.suppression;
        let next = suppression::next(was, open, now, &settings);
        self.has_decided(Decided::Suppression { was, open, now, settings, next });
        match next {
            Next::GoOn => {
                if let Some(since) = was.since
                    && self.facts.suppressed_until.is_none()
                {
                    self.facts.suppressed_since = Some(since);
                    self.facts.suppressed_until = Some(now);
                    self.keep_facts().await?;
                    context.store.end_suppression(self.lease).await?;
                }
                Ok(false)
            }
            Next::Park { since, closed_since, wait } => {
                if was.since.is_none() {
                    self.facts.suppressed_by = self.explaining().iter().map(|page| page.title.clone()).collect();
                    self.keep_facts().await?;
                }
                let key = format!("suppressed:{}", self.run.id);
                if context.store.recorded(&key).await?.is_none_or(|word| word.write.id.is_none()) {
                    let text = words::suppressed(context, &self.run, self.explaining(), since);
                    // Its failure is logged; the run waits all the same, and the next look tries again.
                    let _ = post_short(context, &key, &incident.id, &text).await?;
                }
                context.store.park_run(self.lease, since, closed_since, self.resolution_heard, wait).await?;
                Ok(true)
            }
        }
    }

    /// The related pages that explain the alert: they stand first.
    pub(super) fn explaining(&self) -> &[runbook::diagnosis::RelatedPage] {
        &self.run.related[..self.facts.explaining.min(self.run.related.len())]
    }
}
