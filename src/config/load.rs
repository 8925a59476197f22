//! Environment variables become settings.

/// Where settings come from.
#[derive(Debug)]
pub struct Environment;
/// Every problem that was found.
#[derive(Debug)]
pub struct Problems;
