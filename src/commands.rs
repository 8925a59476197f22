//! The commands: they put the stations together.

pub mod serve;
