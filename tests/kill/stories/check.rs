//! Holds an alert in its end against what it must be.

use std::collections::HashSet;

use serde_json::Value;
use simulators::pagerduty::Note;
use simulators::world::World;

use super::{End, Story, without_early_words};

/// Everything that there is of an alert.
struct Found<'a> {
    /// Over all incidents that it was.
    notes: Vec<Note>,
    /// Incidents that were opened with a key of it.
    pages: usize,
    builds: usize,
    runs: &'a [Value],
}

/// Whether it came to one of its story's ends; a life that was not struck, to the first.
pub(crate) fn check(world: &World, story: &Story, runs: &[Value], struck: bool) -> Result<(), String> {
    let into = story.into.and_then(|title| world.pagerduty.open_titled(title)).map(|incident| incident.id);
    let incidents: Vec<String> = [world.alert.clone()].into_iter().chain(into).collect();
    let keys: Vec<String> = incidents.iter().map(|id| format!("se-responder/{id}")).collect();
    let pages = world.pagerduty.pages();
    let is_of_alert = |key: &Option<String>| key.as_ref().is_some_and(|key| keys.contains(key));
    let region = runs.first().and_then(|run| run["region"].as_str()).unwrap_or_default();
    let found = Found {
        notes: incidents.iter().flat_map(|id| world.pagerduty.notes_of(id)).collect(),
        pages: pages.iter().filter(|page| is_of_alert(&page.incident_key)).count(),
        // The canary reads other regions too.
        builds: world.jenkins.started().iter().filter(|cluster| cluster.contains(&format!("-{region}-az"))).count(),
        runs,
    };
    let ends = if struck { story.ends } else { &story.ends[..1] };
    let refusals: Vec<String> = ends.iter().filter_map(|end| found.is(end, struck).err()).collect();
    let outcome = if refusals.len() < ends.len() { (story.also)(world, runs) } else { Err(refusals.join("\n")) };
    outcome.map_err(|why| format!("{why}\nnotes: {:#?}\nruns: {runs:#?}\npages: {pages:#?}", found.notes))
}

/// Whether the third line of the run's note says that somebody is paged, or that of a short note after it. A run that only
/// edited the note before has none of its own.
pub(crate) fn tells_of_page(notes: &[Note], run: &Value) -> bool {
    let last = format!("run {}", run["id"].as_str().unwrap_or_default());
    let of_the_run = |note: &&Note| note.content.lines().next_back() == Some(&last);
    let Some(newest) = notes.iter().filter(of_the_run).max_by_key(|note| note.created_at) else { return true };
    let says =
        |note: &Note| note.content.lines().nth(2).is_some_and(|l| l.starts_with("Paged") || l.starts_with("PAGED"));
    says(newest) || notes.iter().any(|note| note.created_at > newest.created_at && says(note))
}

/// Whether the note of a run ends in the run's own line.
fn is_own(notes: &[Note], run: &Value) -> bool {
    let last = format!("run {}", run["id"].as_str().unwrap_or_default());
    let note = notes.iter().find(|note| run["note"]["id"] == note.id.as_str());
    note.is_some_and(|note| note.content.lines().next_back() == Some(&last))
}

impl Found<'_> {
    fn is(&self, end: &End, struck: bool) -> Result<(), String> {
        let Self { notes, pages, builds, runs } = self;
        let others = without_early_words(notes);
        let early = notes.len() - others;
        let found = (runs.len(), others, *pages);
        if found != (end.runs, end.notes, end.pages) {
            return Err(format!("(runs, notes, pages) {found:?} instead of {end:?}"));
        }
        // A second look that finds nothing new is silent.
        let speaking = runs.iter().filter(|run| run["trigger"] != "follow-up").count();
        if early > speaking || early < speaking && !struck && end.builds > end.runs {
            return Err(format!("{early} early words of {speaking} runs"));
        }
        if *builds != end.builds {
            return Err(format!("{builds} builds instead of {}", end.builds));
        }
        for run in *runs {
            let last = format!("run {}", run["id"].as_str().unwrap_or_default());
            let count = notes.iter().filter(|n| n.content.lines().next_back() == Some(&last)).count();
            // A follow-up that found nothing new has edited the note before, which keeps its own last line.
            let is_edit = run["trigger"] == "follow-up" && !is_own(notes, run);
            if is_edit && !notes.iter().any(|note| run["note"]["id"] == note.id.as_str()) {
                return Err(format!("{last} has edited no note that there is: {}", run["note"]));
            }
            let due = usize::from(!is_edit);
            if (run["state"].as_str(), count) != (Some("done"), due) {
                return Err(format!("{count} notes of {last}, {}", run["state"]));
            }
            if run["escalation"]["state"] == "paged" && !tells_of_page(notes, run) {
                return Err(format!("no note tells of the page of {last}"));
            }
        }
        if runs[0]["escalation"]["state"] != end.escalation {
            return Err(format!("{} instead of {end:?}", runs[0]["escalation"]));
        }
        let different: HashSet<&str> = notes.iter().map(|note| note.content.as_str()).collect();
        // The two early words of two runs are alike.
        if end.runs == 1 && different.len() != notes.len() {
            return Err("a note is there twice".to_owned());
        }
        Ok(())
    }
}
