//! The issue of an alert that was probably a CIE, once it has resolved. Contract 9: "`GHE_ISSUES=rca`".

use crate::chronicle::Chronicle;
use crate::run::context::Context;
use store::{AlertSaid, StoreError};

/// The label of our issues.
pub(super) const LABEL: &str = "se-responder";
/// The longest body, in characters: GitHub takes 65,536.
const MAX_BODY: usize = 60_000;

/// By what an alert's issue is found again.
pub(super) fn marker(incident_id: &str) -> String {
    format!("<!-- se-responder:rca:{incident_id} -->")
}

/// Its title and body.
pub(super) async fn of(context: &Context, said: &AlertSaid) -> Result<(String, String), StoreError> {
    let at = said.resolved_at.map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    let title = format!("RCA: all SE endpoints down in {} ({at})", said.region);
    // Which of its names it goes by stays, once it is wanted.
    let known = said.known.iter().find(|known| known.place == runbook::notify::Place::Ghe);
    let alert = known.map_or(said.incident_id.as_str(), |known| known.alert.as_str());
    let timeline = rca_body(context, said).await?;
    let room = MAX_BODY - 200;
    let timeline = match timeline.char_indices().nth(room) {
        Some((end, _)) => format!("{}\n\n… the rest is on the alert's timeline.", &timeline[..end]),
        None => timeline,
    };
    Ok((title, format!("{}\n\n{}\n", unlinked(&timeline), marker(alert))))
}

/// The same text, in which GHE calls nobody (`@name`) and names no other issue (`#12`) by what strangers wrote.
fn unlinked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        shown.push(c);
        // A heading is a `#` before a space.
        let links = c == '@' || c == '#' && rest.peek().is_some_and(|next| !matches!(next, ' ' | '#'));
        if links {
            shown.push_str("<!-- -->");
        }
    }
    shown
}

/// What the issue tells: the alert's timeline.
async fn rca_body(context: &Context, said: &AlertSaid) -> Result<String, StoreError> {
    let mut lines = vec![format!("All SE endpoints were down in {}. Class: pCIE, probably a CIE.", said.region)];
    if let Some(run_id) = &said.newest_run {
        lines.push(format!("Run view: {}", context.config.page_url(run_id)));
    }
    lines.push(String::new());
    let Context { config, store, pagerduty, clock, .. } = context;
    match (Chronicle { config, store, pagerduty, clock }).timeline(&said.incident_id).await? {
        Some(timeline) => lines.push(timeline.markdown()),
        None => lines.push("Nothing is recorded of it.".to_owned()),
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::unlinked;

    #[test]
    fn nobody_is_called_and_no_issue_named_and_headings_stay() {
        let shown = unlinked("# Down: timeline\n## Later\n@who said #12, a/b#3 and ##4 at # 5");
        assert_eq!(
            shown,
            "# Down: timeline\n## Later\n@<!-- -->who said #<!-- -->12, a/b#<!-- -->3 and ##<!-- -->4 at # 5"
        );
    }
}
