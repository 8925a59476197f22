//! One policy for all calls to other systems: time limits, retries, errors, and who may write.
//!
//! It knows how a question is asked: which failures are worth another try ([`retry`]), what a failure means ([`error`]),
//! that credentials go to the configured origin only ([`http`]: redirects are never followed, and links in answers are
//! read for their ids, never dialled), that who lost its claim writes nothing ([`permit`]), how far other clocks are from
//! ours ([`skew`]), and the one [`clock`]. It must not know whom it asks, nor what is asked.
//!
//! Begin with [`error::Error`], then [`retry::retry`].

pub mod builds;
pub mod clock;
pub mod error;
pub mod headers;
pub mod http;
pub mod metrics;
pub mod outage;
pub mod permit;
pub mod retry;
pub mod secret;
pub mod shared;
pub mod skew;
pub mod text_file;
