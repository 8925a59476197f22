//! Stories through the front door: simulated upstreams, the real service, real sockets, a real database file.
//!
//! A story stands on a [`harness::Stage`]: one simulated world and one service in front of it, in this process. Stories
//! about the process itself use [`process::Process`], the real binary.

mod api;
mod commands;
mod escalation;
mod harness;
mod holds;
mod life;
mod pages;
mod process;
mod readings;
mod restart;
mod scenarios;
mod shape;
mod webhooks;
