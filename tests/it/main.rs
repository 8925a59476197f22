//! Stories through the front door: simulated upstreams, the real service, real sockets, a real database file.
//!
//! A story stands on a [`harness::Stage`]: one simulated world and one service in front of it, in this process. Stories
//! about the process itself use [`process::Process`], the real binary. `STORIES_ON=postgres` has them stand on PostgreSQL.

mod a_minute;
mod addresses;
mod afterwards;
mod api;
mod backtest;
mod brought_over;
mod canary;
mod changes;
mod client;
mod clocks;
mod commands;
mod docs;
mod doctor;
mod drill;
mod early_words;
mod escalation;
mod failover;
mod glossary;
#[path = "../harness/mod.rs"]
mod harness;
mod holds;
mod kubeconfig;
mod life;
mod live;
mod metrics;
mod mixed;
mod notes;
mod older_rows;
mod operator_commands;
mod pages;
mod panics;
mod plain;
mod process;
mod readings;
mod real_prometheus;
mod regions;
mod replay;
mod replicas;
mod requests;
mod restart;
mod scenarios;
mod shape;
mod single_sign_on;
mod stalled;
mod standing;
mod storage;
mod strangers;
mod subscription;
mod timeline;
mod titles;
mod together;
mod told;
mod unreadable;
mod upstreams;
mod views;
mod way_in;
mod webhooks;
mod words;
