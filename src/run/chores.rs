//! Things done for an alert beside its runs: commands by note, second looks, watching a page, the last word.

use crate::store::{Chore, StoreError};

use super::tools::Tools;

/// What became of a chore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is done, or has become pointless.
    Finished,
    /// It is to be looked at again, with this data, in so long.
    Later(String, std::time::Duration),
}

/// Does one chore. It may be done again from its start after a crash.
///
/// # Errors
/// The store.
pub async fn drive(_tools: &Tools, _chore: &Chore) -> Result<Done, StoreError> {
    Ok(Done::Finished)
}
