//! Looking again: after a verdict that may change (lifecycle.md#looking-again), and once pages that explained the alert have
//! closed (lifecycle.md#before-the-note).

use std::time::Duration;

use super::{Came, Ended, Look, Newest, Step, What};
use crate::life::{FollowUp, RelatedAgain};
use crate::run::Trigger;
use crate::span::{after, between};

/// How long to wait for the run that wanted another, where it has not quite ended.
const MOMENT: Duration = Duration::from_secs(5);
/// How long pages that explain the alert are waited for: an outage that lasts a day has people on it who look for themselves.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Another run looks, where that is still of use.
pub(super) fn follow_up(follow_up: &mut FollowUp, look: &Look<'_>) -> Step {
    let now = look.now.ours;
    if now < follow_up.due {
        return Step::Wait(follow_up.due);
    }
    if is_another(look.known.newest, &follow_up.run_id) {
        return Step::Over(Ended::Left("another run has looked since: no follow-up"));
    }
    if is_active(look.known.newest) {
        return Step::later(&mut follow_up.due, now, MOMENT);
    }
    match look.answers.incident(follow_up.due) {
        None => Step::Do(What::AskIncident),
        Some(incident) if incident.is_over(look.known.alert) => Step::Over(Ended::Done),
        Some(_) => begin(Trigger::FollowUp, follow_up.due, look),
    }
}

/// Pages that may explain the alert were open when it was diagnosed: once they have been closed for a while and the alert is
/// open, it is diagnosed again.
pub(super) fn related_again(waiting: &mut RelatedAgain, look: &Look<'_>) -> Step {
    let now = look.now.ours;
    // One has opened or closed since the last look.
    if let Some(changed_at) = look.known.related_changed_at
        && changed_at > waiting.changed_at.unwrap_or(waiting.since)
    {
        waiting.changed_at = Some(changed_at);
        waiting.due = now;
    }
    if now < waiting.due {
        return Step::Wait(waiting.due);
    }
    if between(waiting.since, now) >= GIVE_UP_AFTER {
        return Step::Over(Ended::Lost("related pages still open after 24 h: stopped waiting for them".to_owned()));
    }
    // It has looked at these pages itself.
    if is_another(look.known.newest, &waiting.run_id) {
        return Step::Over(Ended::Done);
    }
    let (recheck, settle) = (look.policy.recheck, look.policy.settle);
    if is_active(look.known.newest) {
        return Step::later(&mut waiting.due, now, recheck);
    }
    let alert = look.known.alert;
    if alert.resolved_at.is_some() {
        match look.answers.incident(waiting.due) {
            None => return Step::Do(What::AskIncident),
            Some(incident) if incident.is_over(alert) => return Step::Over(Ended::Done),
            Some(_) => {}
        }
    }
    let find = What::FindRelated(waiting.run_id.clone());
    let Some((began, Came::Explained(explained))) = look.answers.of(&find, waiting.due) else { return Step::Do(find) };
    match explained {
        Some(true) => {
            waiting.closed_since = None;
            return Step::later(&mut waiting.due, now, recheck);
        }
        // That none is open must be known now, not only have been known once.
        None => return Step::later(&mut waiting.due, now, recheck),
        Some(false) => {}
    }
    let settled = after(*waiting.closed_since.get_or_insert(now), settle);
    if now < settled {
        return Step::later(&mut waiting.due, now, recheck.min(between(now, settled)));
    }
    match look.answers.incident(began) {
        None => Step::Do(What::AskIncident),
        Some(incident) if incident.is_over(alert) => Step::Over(Ended::Done),
        Some(_) => begin(Trigger::RelatedResolved, waiting.due, look),
    }
}

fn is_another(newest: Option<&Newest>, run_id: &str) -> bool {
    newest.is_some_and(|newest| newest.run_id != run_id)
}

fn is_active(newest: Option<&Newest>) -> bool {
    newest.is_some_and(|newest| newest.is_active)
}

fn begin(trigger: Trigger, since: jiff::Timestamp, look: &Look<'_>) -> Step {
    let begin = What::Begin(trigger);
    match look.answers.of(&begin, since) {
        None => Step::Do(begin),
        Some(_) => Step::Over(Ended::Done),
    }
}
