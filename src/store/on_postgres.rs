//! The tests of the store once more, on PostgreSQL, and those of what it alone can do: several processes at once.

use std::time::Duration;

use tempfile::TempDir;

use super::tests::{DiskOn, Engine, lost, of_region, run_of};
use super::*;
use crate::clock::{ManualClock, Source};
use crate::run::{AlertIncident, State, Trigger};
use crate::sim::postgres::Postgres as Server;

#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/accepting.rs"]
mod accepting;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/good_readings.rs"]
mod good_readings;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/keeping.rs"]
mod keeping;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/leases.rs"]
mod leases;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/merging.rs"]
mod merging;
mod opening;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/paging.rs"]
mod paging;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/reopening.rs"]
mod reopening;
mod replicas;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/turns.rs"]
mod turns;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/viewing.rs"]
mod viewing;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/wishes.rs"]
mod wishes;

struct Postgres;

impl Engine for Postgres {
    fn url(_: &TempDir) -> String {
        Server::shared().database().unwrap()
    }

    const FULL: &'static str = "ALTER TABLE runs ADD CONSTRAINT full_disk CHECK (id = '') NOT VALID";
    const ROOM: &'static str = "ALTER TABLE runs DROP CONSTRAINT full_disk";
}

type Disk = DiskOn<Postgres>;
