//! What stories and kill tests share: a simulated world, the real service in front of it, and how to wait for either.
//!
//! [`Stage`] has the service in this process; [`binary`] is the real one, as a process of its own.

pub(crate) mod binary;
mod front;
mod never;
pub(crate) mod notes;
mod stage;
mod wait;
mod worlds;

pub(crate) use binary::{Signal, binary, listening, signal};
pub(crate) use front::{Answer, Front};
pub(crate) use never::{is_allowed, nothing_else_was_asked};
pub(crate) use notes::{diagnosis_note, short_notes, told};
pub(crate) use stage::Stage;
pub(crate) use wait::{PATIENCE, until, until_within};
pub(crate) use worlds::{QUICK, free_address, owned, quick, rejecting, settings_of, settings_on_postgres, showing};
