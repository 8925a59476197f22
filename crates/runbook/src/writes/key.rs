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
}

/// The diagnosis note of a run.
pub fn of_note(run_id: &str) -> String {
    format!("note:{run_id}")
}

/// The note by which an alert joins a page.
pub fn of_join(alert_id: &str, page_id: &str) -> String {
    format!("join:{alert_id}:{page_id}")
}

/// By what that is found which is written under this key.
pub fn found_by(key: &str) -> FoundBy<'_> {
    match key.split_once(':') {
        Some(("note", run_id)) => FoundBy::Run(run_id),
        Some(("join", rest)) => FoundBy::Alert(rest.split_once(':').map_or(rest, |(alert_id, _)| alert_id)),
        _ => FoundBy::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_by_what_its_note_is_found() {
        assert_eq!(found_by(&of_note("r1")), FoundBy::Run("r1"));
        assert_eq!(found_by(&of_join("Q1", "Q2")), FoundBy::Alert("Q1"));
        assert_eq!(found_by("early:r1"), FoundBy::Text);
        assert_eq!(found_by("over:Q1:Q2:17"), FoundBy::Text);
    }
}
