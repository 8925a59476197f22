//! Asks pagerduty.
