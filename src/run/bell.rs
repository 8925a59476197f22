//! How runs and who writes their early words tell one another.

use tokio::sync::Notify;

/// Between the runs that want their word by themselves and who writes it, within this process.
#[derive(Debug, Default)]
pub struct Bell {
    /// A run wants its word.
    pub wanted: Notify,
    /// A word is written.
    pub written: Notify,
}
