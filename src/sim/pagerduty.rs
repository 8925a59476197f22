//! Simulated pagerduty.
