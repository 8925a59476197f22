//! What is looked after by one process for all that share the database.

use std::fmt::Debug;
use std::time::Duration;

use futures::future::BoxFuture;

use super::context::Context;
use store::{StoreError, Watch, WatchLease};

/// Looks after something, in turns. Each turn is made under a claim, by whichever process has it; what is worth knowing over
/// turns is in the database, or is lost with the process.
pub trait Watcher: Debug + Send + Sync {
    /// What it looks after.
    fn watch(&self) -> Watch;

    /// Does what is due; in how long it is due again. Dropping the future is well.
    fn turn<'a>(&'a self, context: &'a Context, lease: &'a WatchLease) -> BoxFuture<'a, Result<Duration, StoreError>>;
}
