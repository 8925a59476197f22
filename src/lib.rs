//! `se-responder` does an on-call engineer's first half hour: a signed webhook becomes one note, and at most one page.
//!
//! The modules stand in the order in which a webhook meets them.

pub mod alert;
pub mod clock;
pub mod config;
// 1 arrives   2 stored, routed   3 a run is made of it   (http, inbox, run: to come)
pub mod diagnosis;
pub mod run;
#[cfg(feature = "sim")]
pub mod sim;
pub mod upstream;
