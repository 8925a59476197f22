//! The steps of a run, in the runbook's order.

pub mod read_boxes;
