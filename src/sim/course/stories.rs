//! The courses, each a story of an alert's life: contract of the service in a few lines.

mod changes;
mod outages;
mod pages;

pub use changes::*;
pub use outages::*;
pub use pages::*;

const PUBLIC: &str = "All Public endpoints down in prod-us-south";
const ALERT: &str = "All SE endpoints down in prod-us-south";
