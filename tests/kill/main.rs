//! Struck at every instant that can be told from outside: nothing lost, nothing doubled.
//!
//! The real binary works against simulated upstreams that live in this process. It is killed (`SIGKILL`) and started again
//! at the n-th thing that an upstream sees of it, and at its n-th commit, n = 1, 2, … until a run ends unkilled, on both
//! databases; of two replicas either is killed, or frozen (`SIGSTOP`) until all is over: see `enumerate`. There are no
//! failpoints: nobody chose the instants. `soak` strikes at random, `rolling` restarts as a deployment does.

mod commits;
mod enumerate;
#[path = "../harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the stories of `it` need the rest")]
mod harness;
mod life;
mod replica;
mod rolling;
mod soak;
mod stories;
mod wire;
