//! An alert beside its runs, against a simulated PagerDuty account and a store on disk.

mod commands;
mod left;
mod looks;
mod merged;
mod over;
mod page;
mod together;

use std::time::Duration;

use super::*;
use crate::run::story::*;
use outbound::clock::Source as _;
use runbook::life::Input;
use simulators::pagerduty::{Opening, Setup};
use store::{Accepted, Finish};
