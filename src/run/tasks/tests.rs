//! Writes in doubt, against a simulated PagerDuty account and a store on disk.

mod edit;
mod twin;
mod twin_build;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::run::story::*;
use outbound::clock::Source as _;
use runbook::run::EscalationState;
use simulators::pagerduty::Setup;
use store::{Finish, Lease, NewTask};
