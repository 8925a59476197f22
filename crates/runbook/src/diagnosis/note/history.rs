//! What came before this diagnosis: the pages that the alert waited for, and what earlier runs found.

use super::Context;
use super::limits::Section;
use super::text::{Day, clean, count, link};
use super::words::{EARLIER_RUNS, WAITED, found_before};
use crate::diagnosis::Diagnosis;
use crate::span::show_duration;

/// How many earlier runs are shown.
const SHOWN: usize = 5;

/// `3rd time in an hour`; `None` the first time.
pub(super) fn time_of_the_hour(c: &Context<'_>) -> Option<String> {
    (c.flaps_last_hour > 1).then(|| format!("{} time in an hour", ordinal(c.flaps_last_hour)))
}

fn ordinal(n: u32) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// What suppressed the alert and for how long.
pub(super) fn suppression(c: &Context<'_>) -> Section {
    let mut section = Section::new(WAITED, 4, 7);
    if c.suppressed_by.is_empty() && c.suppressed_for.is_none() {
        return section;
    }
    let pages = match c.suppressed_by.len() {
        0 => "related pages".into(),
        n => count(n, "related page", "related pages"),
    };
    let length = c.suppressed_for.map(|d| format!("{} ", show_duration(d))).unwrap_or_default();
    let since = match c.related {
        Ok(_) if !c.explaining().is_empty() => "Some of these are still open.",
        Ok(_) if c.resolved_at.is_some() => "None is open now.",
        Ok(_) => "None is open now, this alert still is: another cause, or it needs longer.",
        Err(_) => "Whether one is still open is not known.",
    };
    section.line(format!("This diagnosis waited {length}for {pages}. {since}"));
    for title in c.suppressed_by {
        section.line(format!("- {}", clean(title, 300)));
    }
    section
}

/// Which time this is, and what the last ones found.
pub(super) fn earlier_runs(d: &Diagnosis, c: &Context<'_>, day: Day) -> Section {
    let title = match time_of_the_hour(c) {
        Some(_) => format!("FLAPPING: the {} alert of this region in an hour", ordinal(c.flaps_last_hour)),
        None => EARLIER_RUNS.into(),
    };
    // A third of it is what they come to, and the last of them.
    let mut section = Section::new(title, 6, 7);
    if c.history.is_empty() {
        if c.flaps_last_hour > 1 {
            section.line("What the earlier ones found is not known.");
        }
        return section;
    }
    let now = (d.verdict.kind.as_str(), d.verdict.rule.as_str());
    let same = c.history.iter().filter(|r| (r.verdict.as_str(), r.rule.as_str()) == now).count();
    section.line(match (same, c.history.len()) {
        (same, all) if same == all => "Found before, the same as now:".into(),
        (0, _) => "Found before, and not what is found now:".into(),
        (same, all) => format!("Found before, {same} of {all} the same as now:"),
    });
    for run in c.history.iter().take(SHOWN) {
        let whose = if run.same_incident { "this alert, earlier" } else { "another alert" };
        let took = run.took.map(|took| format!(", took {}", show_duration(took))).unwrap_or_default();
        let found = found_before(&run.verdict, &run.rule).map(str::to_owned);
        let found = found.unwrap_or_else(|| format!("{} ({})", clean(&run.verdict, 40), clean(&run.rule, 60)));
        section.line(format!("- {} {found}{took}, {whose}, {}", day.utc(run.at), link(&run.run_url)));
    }
    if c.history.len() > SHOWN {
        section.line(format!("- and {} before those", c.history.len() - SHOWN));
    }
    section
}

#[cfg(test)]
mod tests {
    use super::ordinal;

    #[test]
    fn ordinals() {
        let all: Vec<_> = [1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 111, 112].into_iter().map(ordinal).collect();
        assert_eq!(all, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "111th", "112th"]);
    }
}
