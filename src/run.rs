//! Station 3: a run, one diagnosis of one alert from trigger to note. Its states and what the API shows of it.

pub mod alone;
pub mod bell;
#[cfg(test)]
#[cfg(feature = "sim")]
pub(crate) mod bench;
pub mod beside;
pub mod build_log;
pub mod build_places;
pub mod canary;
pub mod client;
pub mod context;
pub mod deadline;
pub mod early_words;
pub mod journey;
pub mod note_text;
pub mod notify;
pub mod open_incidents;
pub mod progress;
pub mod steps;
#[cfg(test)]
#[cfg(feature = "sim")]
pub(crate) mod story;
pub mod tasks;
pub mod waiting;
pub mod watcher;
pub mod words;
pub mod worker;
