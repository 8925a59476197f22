//! Stories on PostgreSQL: those of `main.rs` once more that a database has a part in, and those of several replicas. The
//! server is a private one of this process's tests.

/// Which database the stories of this binary stand on.
pub(crate) const POSTGRES: bool = true;

mod afterwards;
mod api;
mod canary;
mod changes;
mod drill;
mod escalation;
#[expect(dead_code, reason = "some of it only the stories on SQLite need")]
mod harness;
mod holds;
mod life;
mod metrics;
mod pages;
#[expect(dead_code, reason = "some of it only the stories on SQLite need")]
mod process;
mod readings;
mod replicas;
mod scenarios;
mod shape;
mod subscription;
mod webhooks;
