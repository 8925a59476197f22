//! The commands: they put the stations together.

pub mod backtest;
pub mod check;
mod colour;
#[cfg(feature = "sim")]
pub mod demo;
pub mod diagnose;
pub mod doctor;
pub mod healthcheck;
pub mod kubeconfig;
pub mod migrate;
pub mod output;
pub mod replay;
pub mod rerun;
pub mod serve;
pub mod subscribe;
pub mod trigger;
mod watch;

pub use colour::wants_colour;
