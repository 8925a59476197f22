//! The keys of writes: what is written under one key is written once.

/// By what a note is found again that may have been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy<'a> {
    /// Its last line names this run: a diagnosis note.
    Run(&'a str),
    /// A line of it names this alert: a note on a page that is joined.
    Alert(&'a str),
    /// All of its text: any other note.
    Text,
    /// What its own record says of it: a build.
    Build {
        /// For this run.
        run_id: &'a str,
        /// What CLUSTER is set to.
        zone: &'a str,
    },
}

/// The diagnosis note of a run.
pub fn of_note(run_id: &str) -> String {
    format!("note:{run_id}")
}

/// The note by which an alert joins a page.
pub fn of_join(alert_id: &str, page_id: &str) -> String {
    format!("join:{alert_id}:{page_id}")
}

/// The edits of a run's diagnosis note: one write, which replaces.
pub fn of_edit(run_id: &str) -> String {
    format!("{EDIT}{run_id}")
}

/// The run whose diagnosis note is edited under this key; `None`: something else is written under it.
pub fn edited_run(key: &str) -> Option<&str> {
    key.strip_prefix(EDIT)
}

/// The page that is opened for an alert: it is found by its own key, and opened once, ever.
pub fn of_opening(alert_id: &str) -> String {
    format!("{OPENING}{alert_id}")
}

/// The start of a build for a reading of a run, with this CLUSTER: its first, or the n-th after others that became too old.
pub fn of_build(run_id: &str, reading: u32, zone: &str, nth: u32) -> String {
    format!("build:{run_id}:{reading}:{zone}:{nth}")
}

/// The answer to the command with this key.
pub fn of_command(key: &str) -> String {
    format!("command:{key}")
}

/// Whether a page is opened under this key.
pub fn is_opening(key: &str) -> bool {
    key.starts_with(OPENING)
}

const EDIT: &str = "edit:";
/// `store` has it in its SQL.
const OPENING: &str = "open:";

/// By what that is found which is written under this key.
pub fn found_by(key: &str) -> FoundBy<'_> {
    match key.split_once(':') {
        Some(("note", run_id)) => FoundBy::Run(run_id),
        Some(("join", rest)) => FoundBy::Alert(rest.split_once(':').map_or(rest, |(alert_id, _)| alert_id)),
        Some(("build", rest)) => {
            let mut parts = rest.split(':');
            let (run_id, zone) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
            FoundBy::Build { run_id, zone }
        }
        _ => FoundBy::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_of_a_run() {
        assert_eq!(edited_run(&of_edit("r1")), Some("r1"));
        assert_eq!(edited_run(&of_note("r1")), None);
        assert!(is_opening(&of_opening("Q1")) && !is_opening(&of_note("Q1")));
    }

    #[test]
    fn a_key_says_by_what_its_note_is_found() {
        assert_eq!(found_by(&of_note("r1")), FoundBy::Run("r1"));
        assert_eq!(found_by(&of_join("Q1", "Q2")), FoundBy::Alert("Q1"));
        assert_eq!(
            found_by(&of_build("r1", 0, "registry-az1", 2)),
            FoundBy::Build { run_id: "r1", zone: "registry-az1" }
        );
        assert_eq!(found_by("early:r1"), FoundBy::Text);
        assert_eq!(found_by("over:Q1:Q2:17"), FoundBy::Text);
    }
}
