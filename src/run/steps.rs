//! What a run does, a step a file. A step asks, and says what it found; the journey decides on their order.

pub mod confirm_alert;
pub mod edit;
pub mod find_related;
pub mod gate;
pub mod our_notes;
pub mod page;
pub mod post_note;
pub mod post_short;
pub mod read_boxes;
pub mod write;
