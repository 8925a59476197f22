//! The courses, each a story of an alert's life: contract of the service in a few lines.

mod changes;
mod elsewhere;
mod looks;
mod outages;
mod pages;
mod people;

pub use changes::*;
pub use elsewhere::*;
pub use looks::*;
pub use outages::*;
pub use pages::*;
pub use people::*;

use super::Course;

/// The scenarios in which more happens than one alert and one diagnosis, by name.
pub(super) const COURSES: &[(&str, Course)] = &[
    ("suppressed", suppressed),
    ("related-opens-midway", related_opens_midway),
    ("merged", merged),
    ("phone-escalation", phone_escalation),
    ("slack", slack),
    ("flapping", flapping),
    ("all-regions", all_regions),
    ("registry-pages", registry_pages),
    ("retitled", retitled),
    ("resolved-early", resolved_early),
    ("resolved-midway", resolved_midway),
    ("resolved-before-page", resolved_before_page),
    ("reopened", reopened),
    ("hours-late", hours_late),
    ("slow-build", slow_build),
    ("follow-up", follow_up),
    ("no-webhook", no_webhook),
    ("lost-database", lost_database),
    ("subscription-disabled", subscription_disabled),
    ("held-by-phone", held_by_phone),
    ("events-api", events_api),
    ("unacknowledged", unacknowledged),
    ("page-fails", page_fails),
];

const PUBLIC: &str = "All Public endpoints down in prod-us-south";
const ALERT: &str = "All SE endpoints down in prod-us-south";
