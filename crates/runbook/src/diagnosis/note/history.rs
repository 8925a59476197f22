//! What came before this diagnosis: the pages that the alert waited for, and what earlier runs found.

use super::Context;
use super::alike::rule_name;
use super::limits::Section;
use super::text::{clean, count, link, utc};
use crate::diagnosis::{Diagnosis, VerdictKind};
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
    let mut section = Section::new("WAITED FIRST", 4, 7);
    if c.suppressed_by.is_empty() && c.suppressed_for.is_none() {
        return section;
    }
    let pages = match c.suppressed_by.len() {
        0 => "related pages".into(),
        n => count(n, "related page", "related pages"),
    };
    let length = c.suppressed_for.map(|d| format!("{} ", show_duration(d))).unwrap_or_default();
    let since = match c.related {
        Ok(_) if !c.explaining().is_empty() => "Not all of it is over: see the open pages above.",
        Ok(_) if c.resolved_at.is_some() => "None is open any more.",
        Ok(_) => "None is open any more, this alert still is: another cause, or it needs longer.",
        Err(_) => "Whether one is still open is not known.",
    };
    section.line(format!("This diagnosis waited {length}for {pages}. {since}"));
    for title in c.suppressed_by {
        section.line(format!("- {}", clean(title, 300)));
    }
    section
}

/// Which time this is, and what the last ones found.
pub(super) fn earlier_runs(d: &Diagnosis, c: &Context<'_>) -> Section {
    let title = match time_of_the_hour(c) {
        Some(_) => format!("FLAPPING: the {} alert of this region in an hour", ordinal(c.flaps_last_hour)),
        None => "BEFORE THIS".into(),
    };
    // A third of it is what they come to, and the last of them.
    let mut section = Section::new(title, 6, 7);
    let now = (kind_name(d.verdict.kind), rule_name(d.verdict.rule));
    if c.history.is_empty() {
        if c.flaps_last_hour > 1 {
            section.line("What the earlier ones found is not known.");
        }
        return section;
    }
    let same = c.history.iter().filter(|r| (&r.verdict, &r.rule) == (&now.0, &now.1)).count();
    section.line(match (same, c.history.len()) {
        (same, all) if same == all => "Found before, the same as now:".into(),
        (0, _) => "Found before, and not what is found now:".into(),
        (same, all) => format!("Found before, {same} of {all} the same as now:"),
    });
    for run in c.history.iter().take(SHOWN) {
        let whose = if run.same_incident { "this alert, earlier" } else { "another alert" };
        let took = run.took.map(|took| format!(", took {}", show_duration(took))).unwrap_or_default();
        section.line(format!(
            "- {} {} ({}){took}, {whose}, {}",
            utc(run.at),
            clean(&run.verdict, 40),
            clean(&run.rule, 60),
            link(&run.run_url)
        ));
    }
    if c.history.len() > SHOWN {
        section.line(format!("- and {} before those", c.history.len() - SHOWN));
    }
    section
}

/// The kind as the API writes it.
fn kind_name(kind: VerdictKind) -> String {
    serde_json::to_value(kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
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
