//! The runbook of the alert "All SE endpoints down in <region>": what people, PagerDuty, Jenkins and the clusters said
//! becomes types, a verdict, a note, and whether to page.
//!
//! It knows titles, regions and zones, the job's console, the decision rules, the note's words and the page gate. It must
//! not know where any of that comes from or goes to: no clock, no sockets, no SQL, no tokio. Time comes in as a value.
//!
//! Begin with [`diagnosis`]: its `Evidence` goes in, its `Diagnosis` comes out of [`diagnosis::verdict`], and
//! [`diagnosis::note`] writes it down. Then [`gate`], which decides about the page. [`alert`] reads titles, [`event`] and
//! [`command`] what a webhook brings, [`run`] is one diagnosis from trigger to note, [`related`] what is open beside the alert, [`page`] which of
//! that is the page already. [`life`] is one
//! alert over all its runs and names, [`plan`] what is done for it beside its runs, [`notify`] who else is told of it. [`record`]
//! and [`decided`] are what is kept of it for people, and to decide it once more; [`timeline`] is what happened to it, afterwards.
//! [`way_in`] is whether webhooks reach us. [`backtest`] replays alerts of the past.

pub mod alert;
pub mod backtest;
pub mod canary;
pub mod command;
pub mod decided;
pub mod diagnosis;
pub mod early_word;
pub mod event;
pub mod gate;
pub mod json;
pub mod life;
pub mod links;
pub mod notify;
pub mod page;
#[cfg(any(test, feature = "facts"))]
pub mod plain;
pub mod plan;
pub mod record;
pub mod related;
pub mod run;
#[cfg(test)]
mod search;
pub mod span;
pub mod suppression;
pub mod text;
pub mod timeline;
pub mod way_in;
pub mod words;
pub mod writes;
