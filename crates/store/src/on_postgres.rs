//! The tests of the store once more, on PostgreSQL, and those of what it alone can do: several processes at once.

use std::time::Duration;

use tempfile::TempDir;

use super::tests::{DiskOn, Engine, lost, of_region, rerun_of, run_of};
use super::*;
use outbound::clock::Source;
use runbook::life::{Beside, FOLLOW_UPS, Input, Reply, Why};
use runbook::run::{AlertIncident, State, Trigger};
use simulators::clock::ManualClock;
use simulators::postgres::Postgres as Server;

#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/accepting.rs"]
mod accepting;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/beside.rs"]
mod beside;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/brought_over.rs"]
mod brought_over;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/builds.rs"]
mod builds;
mod connections;
mod crossing;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/due.rs"]
mod due;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/early_words.rs"]
mod early_words;
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
#[path = "tests/lists.rs"]
mod lists;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/made.rs"]
mod made;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/merging.rs"]
mod merging;
mod opening;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/operator_actions.rs"]
mod operator_actions;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/page_openings.rs"]
mod page_openings;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/paging.rs"]
mod paging;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/past_alerts.rs"]
mod past_alerts;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/rate_limit.rs"]
mod rate_limit;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/reopening.rs"]
mod reopening;
mod replicas;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/seeing.rs"]
mod seeing;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/telling.rs"]
mod telling;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/viewing.rs"]
mod viewing;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/waiting.rs"]
mod waiting;
#[expect(clippy::duplicate_mod, reason = "one suite, once a database")]
#[path = "tests/writes.rs"]
mod writes;

pub(super) struct Postgres;

impl Engine for Postgres {
    fn url(_: &TempDir) -> String {
        Server::shared().database().unwrap()
    }

    const FULL: &'static str = "ALTER TABLE runs ADD CONSTRAINT full_disk CHECK (id = '') NOT VALID";
    const ROOM: &'static str = "ALTER TABLE runs DROP CONSTRAINT full_disk";
}

type Disk = DiskOn<Postgres>;
