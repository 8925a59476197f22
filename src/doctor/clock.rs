//! Clocks: ours against those of the systems that are asked.

use jiff::SignedDuration;

use super::{Check, State, System};
use runbook::span::show_duration;

/// Less than this nobody notices: answers take as long.
const NOTICED: SignedDuration = SignedDuration::from_secs(5);
/// From here on ages and times in notes are wrong by what a person would see.
const WRONG: SignedDuration = SignedDuration::from_secs(60);

/// How a system's clock stands to ours; `None` where it gave no date.
///
/// How old PagerDuty's and Jenkins' things are is judged by their own clocks. But people compare the times in notes with
/// PagerDuty's, so ours must agree with them. Of a cluster's clock only the lives of credentials hang.
pub(super) fn judge(system: System, ahead: Option<SignedDuration>) -> Option<Check> {
    let ahead = ahead?;
    let off = ahead.abs();
    let length = show_duration(off.unsigned_abs());
    let side = if ahead.is_negative() { "behind" } else { "ahead of" };
    let state = match off {
        off if off < NOTICED => State::Ok,
        off if off >= WRONG && system == System::PagerDuty => State::Failed,
        _ => State::Warning,
    };
    let detail = match state {
        State::Ok if off.is_zero() => "its clock agrees with ours".to_owned(),
        _ => format!("its clock is at least {length} {side} ours"),
    };
    let check = Check::new(system, "clock", state, detail);
    Some(match state {
        State::Ok => check,
        _ => check.mend("see which clock is wrong, and let it be set by NTP; of this machine: timedatectl status"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_counts_by_how_far_it_is_off_and_whose_it_is() {
        let of = |system, seconds| judge(system, Some(SignedDuration::from_secs(seconds))).unwrap();
        for (system, seconds, state) in [
            (System::PagerDuty, 0, State::Ok),
            (System::PagerDuty, -4, State::Ok),
            (System::PagerDuty, 5, State::Warning),
            (System::PagerDuty, -60, State::Failed),
            (System::Jenkins, 3600, State::Warning),
            (System::Cluster, -3600, State::Warning),
        ] {
            let check = of(system, seconds);
            assert_eq!((check.state, check.mend.is_some()), (state, state != State::Ok), "{check:?}");
        }
        assert_eq!(judge(System::Jenkins, None), None);
        assert!(of(System::Jenkins, -90).detail.contains("1 min 30 s behind ours"));
        assert!(of(System::Jenkins, 90).detail.contains("1 min 30 s ahead of ours"));
    }
}
