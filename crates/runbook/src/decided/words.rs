//! Decisions in words.

use jiff::Timestamp;

use crate::gate;
use crate::life::{Beside, Reply};
use crate::plan::run::{End, Rung};
use crate::span::show_duration;
use crate::suppression;

pub(super) fn show_gate(decision: &gate::Decision) -> String {
    match decision {
        gate::Decision::NotWanted => "no page wanted".to_owned(),
        gate::Decision::Off => "no page: nobody asks for one here".to_owned(),
        gate::Decision::Suggest(reasons) if reasons.is_empty() => "page suggested".to_owned(),
        gate::Decision::Suggest(reasons) => format!("page suggested; against it: {}", reasons.join("; ")),
        gate::Decision::Hold(reasons) => format!("page held: {}", reasons.join("; ")),
        gate::Decision::Page => "page".to_owned(),
    }
}

pub(super) fn show_plan(actions: &[String], wake_at: Option<Timestamp>) -> String {
    let actions = if actions.is_empty() { "nothing to do".to_owned() } else { actions.join(", ") };
    match wake_at {
        Some(at) => format!("{actions}; looks again at {at}"),
        None => actions,
    }
}

/// What is under way that differs from another, as it is stored.
pub(super) fn under_way(one: &Beside, other: &Beside) -> String {
    let members = |beside: &Beside| match serde_json::to_value(beside) {
        Ok(serde_json::Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    let other = members(other);
    let differing = members(one).into_iter().filter(|(name, value)| other.get(name) != Some(value));
    let shown: Vec<String> = differing.map(|(name, value)| format!("{name} {value}")).collect();
    if shown.is_empty() { "nothing more under way".to_owned() } else { format!("under way: {}", shown.join(", ")) }
}

pub(super) fn show_reply(reply: &Reply) -> String {
    match reply {
        Reply::Started(run_id) => format!("run {run_id} begins"),
        Reply::SuppressionSkipped(run_id) => format!("run {run_id} waits no more"),
        Reply::Active(run_id) => format!("run {run_id} is active"),
        Reply::Paging => "the page is wanted".to_owned(),
        Reply::Paged(_) => "the page is open already".to_owned(),
        Reply::Closed => "the alert is closed".to_owned(),
        Reply::Kept => "kept".to_owned(),
        Reply::Ignored(why) => format!("none: {why}"),
    }
}

pub(super) fn show_wait(next: &suppression::Next) -> String {
    match next {
        suppression::Next::GoOn => "goes on".to_owned(),
        suppression::Next::Park { since, closed_since, wait } => {
            let closed = closed_since.map(|at| format!(", all closed since {at}")).unwrap_or_default();
            format!("waits since {since}{closed}; looks again in {}", show_duration(*wait))
        }
    }
}

pub(super) fn show_rung(rung: Rung) -> &'static str {
    match rung {
        Rung::Confirm => "confirm the alert",
        Rung::Isolate => "look for a bigger outage",
        Rung::Suppressed => "wait for the bigger outage",
        Rung::Read => "read the Magic Boxes and ask the clusters",
        Rung::Settle => "look once more, and decide about the page",
        Rung::Tell => "write the note",
        Rung::Page => "page the Service Endpoint team",
        Rung::Ended(End::Done) => "end: done",
        Rung::Ended(End::Resolved) => "end: the alert has resolved",
        Rung::Ended(End::Elsewhere) => "end: another run has the alert",
        Rung::Ended(End::Refused) => "end: the note was refused",
        Rung::Ended(End::GivenUp) => "end: the note could not be written",
    }
}
