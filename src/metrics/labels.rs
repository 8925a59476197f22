//! The words that metrics are labelled with, where no other enum has them already.

use strum::{EnumMessage, VariantArray, VariantNames};

runbook::words! {
    NotStored: "refusal of a webhook";
    Paged: "outcome of a page";
    GivenUp: "kind of what was given up";
    Work: "kind of work";
}

/// Why a webhook was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum NotStored {
    /// No signature matches.
    RefusedSignature,
    /// Its signature header is missing or malformed.
    RefusedMalformed,
    /// Its body is too large.
    RefusedSize,
    /// It could not be read in time, or not be stored.
    Unavailable,
}

/// What became of a wanted page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Paged {
    /// An incident was opened.
    Opened,
    /// An open one was joined.
    Joined,
    /// A person has to say yes.
    Held,
    /// Nobody was paged.
    Failed,
}

/// What was given up and needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum GivenUp {
    /// A diagnosis note.
    Note,
    /// A short note.
    ShortNote,
    /// A task.
    Task,
    /// A second note of ours that could not be removed.
    Twin,
}

/// What is claimed under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Work {
    /// A run.
    Run,
    /// What is under way for an alert beside its runs, its page among it.
    Alert,
    /// A task.
    Task,
    /// Telling others.
    Notify,
}

/// Two lists of words as one.
pub(super) const fn joined<const N: usize>(first: &[&'static str], second: &[&'static str]) -> [&'static str; N] {
    assert!(first.len() + second.len() == N, "so many words there are");
    let mut all = [""; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}
