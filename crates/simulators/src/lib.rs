//! Simulated PagerDuty, Jenkins and clusters: state behind real sockets on loopback. For `demo` and the tests only.
//!
//! They know how the real systems answer, and are as strict about a question as those are. They must not know the clients
//! that ask them, nor the service: what is simulated is held against others' clients too (`tests/clients`).
//!
//! Begin with [`world`]: the upstreams of one [`scenario`], running. [`course`] is a story of several turns, [`tap`]
//! watches the connections, [`year`] is a past one, for `backtest`, [`clock`] has clocks that tests move, [`postgres`] is a private server of their own.

pub mod clock;
pub mod cluster;
pub mod course;
pub mod github;
pub mod jenkins;
mod odd;
pub mod pagerduty;
pub mod postgres;
pub mod scenario;
pub mod slack;
pub mod spelling;
pub mod tap;
pub mod tls;
mod web;
pub mod world;
pub mod year;
