//! A run's steps as a timeline, and how long it will still take by what past runs took.

use std::time::Duration;

use jiff::Timestamp;

use super::moment::iso;
use super::words;
use runbook::run::{Run, Step, StepState};
use runbook::span::between;

/// One step as a bar.
#[derive(Debug)]
pub(super) struct Bar {
    pub name: String,
    pub state: &'static str,
    /// Where it begins and how long it is, in hundredths of the whole.
    pub from: String,
    pub width: String,
    pub began: String,
    /// The same for machines.
    pub iso: String,
    pub took: String,
    pub error: Option<String>,
}

/// The steps of a run over its whole time, as it is at `now`.
pub(super) fn bars(run: &Run, now: Timestamp) -> Vec<Bar> {
    let end = run.finished_at.unwrap_or(now).max(run.created_at);
    let last = run.steps.iter().filter_map(|s| s.finished_at).fold(end, Timestamp::max);
    let whole = between(run.created_at, last).as_secs_f64().max(0.001);
    folded(&run.steps).into_iter().map(|(step, times)| bar(&step, times, run.created_at, whole, now)).collect()
}

/// The steps, and how often each was taken. While a bigger outage is waited for, the same two questions are asked every
/// `SUPPRESSION_RECHECK`: each becomes one step, from its first time to its last.
fn folded(steps: &[Step]) -> Vec<(Step, usize)> {
    let asks = |step: &Step| matches!(step.name.as_str(), "confirm_alert" | "find_related");
    let mut folded: Vec<(Step, usize)> = Vec::new();
    for step in steps {
        let mut round = folded.iter_mut().rev().take_while(|(before, _)| asks(before));
        match round.find(|(before, _)| before.name == step.name) {
            Some((first, times)) => {
                *times += 1;
                *first = Step { started_at: first.started_at, ..step.clone() };
            }
            None => folded.push((step.clone(), 1)),
        }
    }
    folded
}

fn bar(step: &Step, times: usize, start: Timestamp, whole: f64, now: Timestamp) -> Bar {
    let end = step.finished_at.unwrap_or(if step.state == StepState::Running { now } else { step.started_at });
    let took = between(step.started_at, end);
    let from = (between(start, step.started_at).as_secs_f64() / whole * 100.0).min(99.0);
    let width = (took.as_secs_f64() / whole * 100.0).clamp(0.8, 100.0 - from);
    Bar {
        name: match times {
            1 => words::step(&step.name),
            times => format!("{} Asked {times} times", words::step(&step.name)),
        },
        state: step.state.as_str(),
        from: format!("{from:.1}"),
        width: format!("{width:.1}"),
        began: words::clock(step.started_at),
        iso: iso(step.started_at),
        took: match step.finished_at {
            Some(_) => words::length(took),
            None => step.state.to_string(),
        },
        error: step.error.clone(),
    }
}

/// How far an active run is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// In hundredths; stays below 100 for as long as the run goes on.
    pub percent: u64,
    /// How long it has been and how long it may take.
    pub words: String,
}

/// By the median of what past runs took.
pub(super) fn progress(run: &Run, past: &[Run], now: Timestamp) -> Progress {
    let so_far = between(run.created_at, now);
    let mut took: Vec<Duration> = past.iter().filter(|p| p.diagnosis.is_some()).filter_map(length_of).collect();
    took.sort_unstable();
    let Some(median) = took.get(took.len() / 2).copied().filter(|m| !m.is_zero()) else {
        return Progress {
            percent: 5,
            words: format!("{} so far; no earlier runs to estimate from", words::length(so_far)),
        };
    };
    let percent = (so_far.as_secs_f64() / median.as_secs_f64() * 100.0).min(95.0);
    let left = median.saturating_sub(so_far);
    Progress {
        percent: percent as u64,
        words: match left {
            Duration::ZERO => format!("{} so far, longer than most ({})", words::length(so_far), words::length(median)),
            left => format!("~{} left (median of last {} runs)", words::length(left), took.len()),
        },
    }
}

/// How long a run took; `None` while it goes on.
pub(super) fn length_of(run: &Run) -> Option<Duration> {
    run.finished_at.map(|end| between(run.created_at, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runbook::run::{Escalation, EscalationState, State, Trigger};

    fn run(created: i64, finished: Option<i64>, steps: Vec<Step>) -> Run {
        Run {
            alert: None,
            activity: Vec::new(),
            diagnosed_at: None,
            opened_at: None,
            triggered_at: None,
            id: "r".into(),
            incident: None,
            drill: None,
            region: "prod-us-south".parse().unwrap(),
            trigger: Trigger::Webhook,
            state: if finished.is_some() { State::Done } else { State::Running },
            reason: None,
            created_at: at(created),
            finished_at: finished.map(at),
            diagnosis: finished.map(|_| {
                let region = "prod-us-south".parse().unwrap();
                runbook::diagnosis::verdict::diagnose(&runbook::diagnosis::Evidence {
                    region: &region,
                    expected: &[],
                    readings: &[],
                    checks: &[],
                    earlier: &runbook::diagnosis::Earlier::default(),
                    listed: &[],
                })
            }),
            related: vec![],
            escalation: Escalation { state: EscalationState::None, page: None, reason: None },
            note: None,
            unchanged: None,
            steps,
            unreadable: Vec::new(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn step(began: i64, ended: Option<i64>) -> Step {
        let state = if ended.is_some() { "done" } else { "running" };
        Step {
            name: "read_boxes".into(),
            state: state.parse().expect("a state"),
            started_at: at(began),
            finished_at: ended.map(at),
            error: None,
        }
    }

    #[test]
    fn bars_lie_where_the_steps_were() {
        let bars = bars(&run(0, None, vec![step(0, Some(25)), step(50, None)]), at(100));
        let drawn: Vec<_> = bars.iter().map(|b| (b.from.as_str(), b.width.as_str(), b.took.as_str())).collect();
        assert_eq!(drawn, [("0.0", "25.0", "25 s"), ("50.0", "50.0", "running")]);
    }

    #[test]
    fn a_wait_for_a_bigger_outage_is_one_bar_a_question() {
        let named = |name: &str, began, ended| Step { name: name.into(), ..step(began, Some(ended)) };
        let steps = vec![
            named("confirm_alert", 0, 1),
            named("find_related", 1, 2),
            named("confirm_alert", 30, 31),
            named("find_related", 31, 33),
            named("read_boxes", 33, 60),
            // A worker that took over asks again: that is told apart.
            named("confirm_alert", 70, 71),
        ];
        let bars = bars(&run(0, Some(100), steps), at(100));
        let drawn: Vec<_> = bars.iter().map(|b| (b.name.as_str(), b.from.as_str(), b.width.as_str())).collect();
        assert_eq!(
            drawn,
            [
                ("Is the alert open? Asked 2 times", "0.0", "31.0"),
                ("Does a bigger outage explain it? Asked 2 times", "1.0", "32.0"),
                ("Jenkins: Magic Box status", "33.0", "27.0"),
                ("Is the alert open?", "70.0", "1.0"),
            ]
        );
    }

    #[test]
    fn the_rest_is_guessed_by_the_median_of_past_runs() {
        let past = [10, 60, 600].map(|took| run(0, Some(took), vec![]));
        let now = run(1_000, None, vec![]);
        let told = |second| progress(&now, &past, at(second));
        assert_eq!(told(1_030), Progress { percent: 50, words: "~30 s left (median of last 3 runs)".into() });
        assert_eq!(told(1_090), Progress { percent: 95, words: "1 min 30 s so far, longer than most (1 min)".into() });
        assert_eq!(progress(&now, &[], at(1_030)).words, "30 s so far; no earlier runs to estimate from");
    }
}
