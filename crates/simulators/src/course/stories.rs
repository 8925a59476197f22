//! The courses, each a story of an alert's life: contract of the service in a few lines.

mod changes;
mod looks;
mod outages;
mod pages;
mod people;

pub use changes::*;
pub use looks::*;
pub use outages::*;
pub use pages::*;
pub use people::*;

const PUBLIC: &str = "All Public endpoints down in prod-us-south";
const ALERT: &str = "All SE endpoints down in prod-us-south";
