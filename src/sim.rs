//! Simulated PagerDuty, Jenkins and clusters: state behind real sockets on loopback. For `demo` and the tests only.

pub mod cluster;
pub mod course;
pub mod jenkins;
pub mod pagerduty;
pub mod postgres;
pub mod scenario;
pub mod tap;
pub mod tls;
pub mod world;
