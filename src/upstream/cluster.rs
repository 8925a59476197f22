//! Asks cluster.
