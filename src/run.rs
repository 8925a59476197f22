//! Station 3: a run is one diagnosis of one alert, from trigger to note.

pub mod progress;
pub mod steps;
