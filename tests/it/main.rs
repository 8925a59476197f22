//! Stories through the front door: simulated upstreams, the real service, real sockets, a real database file.
//!
//! A story stands on a [`harness::Stage`]: one simulated world and one service in front of it, in this process. Stories
//! about the process itself use [`process::Process`], the real binary.

/// Which database the stories of this binary stand on; those on PostgreSQL: `postgres.rs`.
pub(crate) const POSTGRES: bool = false;

mod afterwards;
mod api;
mod canary;
mod changes;
mod commands;
mod docs;
mod doctor;
mod drill;
mod escalation;
mod harness;
mod holds;
mod life;
mod metrics;
mod pages;
mod panics;
mod process;
mod readings;
mod restart;
mod scenarios;
mod shape;
mod storage;
mod subscription;
mod upstreams;
mod webhooks;
