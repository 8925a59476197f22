//! Killed at every instant that can be told from outside, and started again: nothing lost, nothing doubled.
//!
//! The real binary works against simulated upstreams that live in this process. It is killed (`SIGKILL`) at the n-th
//! thing that an upstream sees of it, and at its n-th commit, n = 1, 2, … until a run ends unkilled: see `enumerate`.
//! There are no failpoints: nobody chose the instants.

/// The lives are on SQLite; those on PostgreSQL say so.
pub(crate) const POSTGRES: bool = false;

mod enumerate;
#[path = "../it/harness.rs"]
#[expect(dead_code, reason = "shared with the stories of `it`")]
mod harness;
mod life;
mod stories;
