//! What one of several processes that share a database looks after for all: items of the queue that never end.

use std::time::Duration;

use strum::{EnumMessage, VariantArray, VariantNames};

use super::work::Claim;
use super::{Kind, Store, StoreError, failed};

runbook::words! { Watch: "watcher"; }

/// What is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Watch {
    /// The reading that is taken without an alert.
    Canary,
    /// Alerts that no webhook told of.
    Reconcile,
    /// Early words that are due.
    EarlyWords,
    /// Whether PagerDuty's webhooks reach us.
    WayIn,
}

impl Watch {
    pub(super) fn key(self) -> String {
        Kind::Watch.key(self.as_str())
    }

    /// The keys of these, one place for each that there is.
    pub(super) fn keys(these: &[Self]) -> [String; Self::ALL.len()] {
        std::array::from_fn(|n| these.get(n).map_or_else(String::new, |watch| watch.key()))
    }
}

/// The right to look after something. Made by a claim only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchLease {
    pub(super) claim: Claim,
    watch: Watch,
}

impl WatchLease {
    /// The claim itself.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// What is looked after.
    pub fn watch(&self) -> Watch {
        self.watch
    }
}

impl Store {
    /// This process looks after these: each is due now.
    ///
    /// # Errors
    /// The database.
    pub async fn begin_watches(&self, watches: &[Watch]) -> Result<(), StoreError> {
        let doing = "beginning to watch";
        let mut tx = self.write_claimed(doing).await?;
        for watch in watches {
            self.want_in(&mut tx, Kind::Watch, watch.as_str(), self.now()).await?;
        }
        // What nobody looks after any more, by other settings than before, has no build.
        let [a, b, c, d] = Watch::keys(watches);
        sqlx::query(
            "UPDATE work SET building = 0
             WHERE kind = 'watch' AND owner IS NULL AND building = 1 AND key NOT IN ($1, $2, $3, $4)",
        )
        .bind(a)
        .bind(b)
        .bind(c)
        .bind(d)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        self.commit_due(tx, doing).await
    }

    /// Claims one of these that is due.
    ///
    /// # Errors
    /// The database.
    pub async fn claim_watch(&self, watches: &[Watch]) -> Result<Option<WatchLease>, StoreError> {
        let doing = "claiming what is watched";
        let mut tx = self.write_claimed(doing).await?;
        let Some(claim) = self.claim_of(&mut tx, Kind::Watch, &Watch::keys(watches), None).await? else {
            return Ok(None);
        };
        let Some(watch) = watches.iter().find(|watch| watch.key() == claim.key).copied() else { return Ok(None) };
        tx.commit().await.map_err(failed(doing))?;
        Ok(Some(WatchLease { claim, watch }))
    }

    /// One that nobody is at is due now.
    ///
    /// # Errors
    /// The database.
    pub async fn wake_watch(&self, watch: Watch) -> Result<(), StoreError> {
        let doing = "waking what is watched";
        let rests = async {
            sqlx::query_as("SELECT due_at FROM work WHERE key = $1 AND owner IS NULL")
                .bind(watch.key())
                .fetch_optional(&self.pool)
                .await
                .map_err(failed(doing))
        };
        let rests: Option<(i64,)> = self.in_time(rests).await?;
        match rests {
            None => return Ok(()),
            // Another process gave it back: nobody here has looked since.
            Some((due,)) if due <= self.now() => {
                self.tell_due();
                return Ok(());
            }
            Some(_) => {}
        }
        let wake = async {
            let mut tx = self.write_claimed(doing).await?;
            self.wake_in(&mut tx, Kind::Watch, watch.as_str()).await?;
            tx.commit().await.map_err(failed(doing))
        };
        self.in_time(wake).await?;
        self.tell_due();
        Ok(())
    }

    /// Gives it back; it is due again after `wait`, for whoever looks after it then.
    ///
    /// # Errors
    /// The database, or the claim is lost.
    pub async fn put_off_watch(&self, lease: &WatchLease, wait: Duration) -> Result<(), StoreError> {
        self.release(&lease.claim, wait).await
    }
}
