//! `se-responder` does an on-call engineer's first half hour: a signed webhook becomes one note, and at most one page.
//!
//! The modules stand in the order in which a webhook meets them.

// The ground: settings, the clock, what is counted, and the names that everything is keyed by.
pub mod config;
pub mod link;
pub mod log;
pub mod metrics;
pub mod traces;

// 1. A webhook arrives, is checked against its signature …
pub mod http;
// 2. … stored together with the run that it starts …
pub mod inbox;
// (what is on disk)
// 3. … which a worker drives, step by step:
pub mod run;

// 4. Afterwards it is told what happened.
pub mod chronicle;

// Beside all that: whether everything is there that it needs.
pub mod doctor;

// What the service would have done about the alerts of the past.
pub mod backtest;

// The commands that put all this together.
pub mod commands;
