//! Stories on PostgreSQL: those of [`life`], [`changes`], [`afterwards`], [`readings`], [`escalation`], [`holds`]
//! and [`api`] once more, and those of several replicas. The server is a private one of this process's tests.

/// Which database the stories of this binary stand on.
pub(crate) const POSTGRES: bool = true;

mod afterwards;
mod api;
mod changes;
mod escalation;
#[expect(dead_code, reason = "some of it only the stories on SQLite need")]
mod harness;
mod holds;
mod life;
#[expect(dead_code, reason = "some of it only the stories on SQLite need")]
mod process;
mod readings;
mod replicas;
