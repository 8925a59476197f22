//! The words and colours of pages for what the API writes as names.

use std::time::Duration;

use jiff::Timestamp;

use runbook::alert::find_name;
use runbook::diagnosis::note::PageNews;
use runbook::diagnosis::{Rule, VerdictKind};
use runbook::run::{EscalationState, State, Trigger};
use runbook::span::show_duration;

/// The verdict in a few words, and the name of its colour in the style sheet.
pub(super) fn verdict(kind: VerdictKind, rule: Rule) -> (&'static str, &'static str) {
    match kind {
        VerdictKind::Registry => ("Registry", "registry"),
        VerdictKind::ServiceEndpoint => ("Service Endpoint", "se"),
        VerdictKind::Transient if rule == Rule::RecoveredOnRerun => ("Recovered", "transient"),
        VerdictKind::Transient => ("Transient", "transient"),
        VerdictKind::Mixed => ("Mixed", "mixed"),
        VerdictKind::Inconclusive => ("Inconclusive", "inconclusive"),
    }
}

/// A kind of verdict, as a filter's choice.
pub(super) fn verdict_kind(kind: VerdictKind) -> &'static str {
    verdict(kind, Rule::AllSeRejectingUpstreamUp).0
}

/// What a run does, for the badge beside its name.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Suppressed => "Paused: bigger outage open",
        State::Running => "running",
        State::Done => "done",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}

/// What made a run.
pub(super) fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Webhook => "the alert's webhook",
        Trigger::Reconcile => "found open in PagerDuty",
        Trigger::Rerun => "an operator's rerun",
        Trigger::Note => "a person's /rerun",
        Trigger::RelatedResolved => "the related pages have closed",
        Trigger::FollowUp => "a second look",
    }
}

/// What has become of the page, and the name of its colour.
pub(super) fn escalation(state: EscalationState) -> (&'static str, &'static str) {
    match state {
        EscalationState::None => ("No page suggested", "unknown"),
        EscalationState::Suggested => ("Not paged: needs approval", "affected"),
        EscalationState::Held => ("Not paged: automatic page on hold", "affected"),
        EscalationState::Requested => ("The page is being opened", "unknown"),
        EscalationState::Paged => ("Paged", "whole"),
        EscalationState::Failed => ("NOBODY WAS PAGED: it was tried and failed", "broken"),
    }
}

/// What the third line of the head says of the page, in a few words, and the name of its colour.
pub(super) fn page(news: &PageNews<'_>) -> (&'static str, &'static str) {
    match news {
        PageNews::Off => ("Nobody was paged: page by hand", "affected"),
        PageNews::NotWanted => escalation(EscalationState::None),
        PageNews::Suggested { .. } => escalation(EscalationState::Suggested),
        PageNews::Held { .. } => escalation(EscalationState::Held),
        PageNews::Paging { .. } => escalation(EscalationState::Requested),
        PageNews::Paged { .. } => escalation(EscalationState::Paged),
        PageNews::Failed { .. } => escalation(EscalationState::Failed),
        PageNews::Unreadable { .. } => page_unknown(),
    }
}

/// Where what is stored of the page can't be read.
pub(super) fn page_unknown() -> (&'static str, &'static str) {
    ("Not known whether somebody was paged", "broken")
}

/// A step by its name in the log.
pub(super) fn step(name: &str) -> String {
    let (base, again) = match name.rsplit_once("_rerun_") {
        Some((base, n)) => (base, format!(", re-run {n}")),
        None => (name, String::new()),
    };
    let words = match base {
        "confirm_alert" => "Is the alert open?",
        "confirm_alert_again" => "Is it still open?",
        "find_related" => "Does a bigger outage explain it?",
        "find_related_again" => "Has a bigger outage opened meanwhile?",
        "read_boxes" => "Jenkins: Magic Box status",
        "check_clusters" => "Clusters: konicle, ingress, status check",
        "ask_client" => "Healthcheck cluster: is it the client?",
        "ask_client_again" => "Healthcheck cluster, once more",
        "wait_before_rerun" => "Waiting before re-run",
        "post_note" => "Note",
        "page" => "Page",
        other => return format!("{}{again}", other.replace('_', " ")),
    };
    format!("{words}{again}")
}

/// A piece of a text: words, or an address to go to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub text: &'a str,
    pub is_link: bool,
}

impl Piece<'_> {
    /// As it is shown where there is little room: an incident by its id.
    pub(super) fn short(&self) -> &str {
        match self.text.rsplit_once("/incidents/") {
            Some((_, id)) if self.is_link && !id.is_empty() => id,
            _ => self.text,
        }
    }
}

/// What the runbook's command asks inside a pod: on the reader's machine it is nothing, or something else.
const INSIDE_A_POD: &str = "http://localhost:10443";

/// Cuts a text at a region's name, so that a line is not broken at the hyphens in it: what is before it, the name, and
/// what is behind. Without it all is before.
pub(super) fn around<'a>(text: &'a str, region: &str) -> [&'a str; 3] {
    match find_name(text, region) {
        Some(at) => [&text[..at], &text[at..at + region.len()], &text[at + region.len()..]],
        None => [text, "", ""],
    }
}

/// Cuts a text into words and addresses; nothing is lost.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    let starts = |text: &str| ["https://", "http://"].iter().filter_map(|scheme| text.find(scheme)).min();
    while let Some(at) = starts(rest) {
        let length = rest[at..].find(char::is_whitespace).unwrap_or(rest.len() - at);
        // What ends a sentence or closes a bracket is none of the address.
        let address = rest[at..at + length].trim_end_matches(['.', ',', ')', ';', '"', '\'', '…']);
        found.push(Piece { text: &rest[..at], is_link: false });
        found.push(Piece { text: address, is_link: !address.starts_with(INSIDE_A_POD) });
        rest = &rest[at + address.len()..];
    }
    found.push(Piece { text: rest, is_link: false });
    found.retain(|piece| !piece.text.is_empty());
    found
}

/// A time of day, in UTC.
pub(super) fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M:%S").to_string()
}

/// How a day and a time are written.
pub(super) const DATE: &str = "%Y-%m-%d %H:%M:%S UTC";

/// A day and a time, in UTC.
pub(super) fn date(time: Timestamp) -> String {
    time.strftime(DATE).to_string()
}

/// A length as people say it: a tenth of a second matters up to ten of them.
pub(super) fn length(length: Duration) -> String {
    if length < Duration::from_secs(1) {
        return show_duration(Duration::from_millis(u64::try_from(length.as_millis()).unwrap_or_default()));
    }
    let tenths = length.as_millis() / 100;
    if tenths < 100 && !tenths.is_multiple_of(10) {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    show_duration(Duration::from_secs(length.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_words_and_nothing_is_lost() {
        for (text, links) in [
            ("Paged. https://x/incidents/Q1", &["https://x/incidents/Q1"][..]),
            ("(see https://x/a?b=c-d), or http://y.", &["https://x/a?b=c-d", "http://y"]),
            ("- no address\n  at all", &[]),
            ("https:// and http://", &["https://", "http://"]),
            ("-- curl -D- http://localhost:10443/status", &[]),
            ("", &[]),
        ] {
            let pieces = pieces(text);
            assert_eq!(pieces.iter().map(|p| p.text).collect::<String>(), text);
            let found: Vec<_> = pieces.iter().filter(|p| p.is_link).map(|p| p.text).collect();
            assert_eq!(found, links, "{text:?}");
        }
    }

    #[test]
    fn a_text_is_cut_around_its_region() {
        assert_eq!(around("MIXED in prod-us: some", "prod-us"), ["MIXED in ", "prod-us", ": some"]);
        assert_eq!(around("prod-us-2, prod-us", "prod-us"), ["prod-us-2, ", "prod-us", ""]);
        assert_eq!(around("MIXED in prod-us", "prod-eu"), ["MIXED in prod-us", "", ""]);
    }

    #[test]
    fn lengths_are_as_fine_as_matters() {
        for (ms, said) in
            [(79, "79 ms"), (1_000, "1 s"), (1_290, "1.2 s"), (9_990, "9.9 s"), (10_900, "10 s"), (61_500, "1 min 1 s")]
        {
            assert_eq!(length(Duration::from_millis(ms)), said);
        }
    }

    #[test]
    fn steps_have_words_also_those_that_nobody_named() {
        assert_eq!(step("read_boxes_rerun_2"), "Jenkins: Magic Box status, re-run 2");
        assert_eq!(step("a_new_step"), "a new step");
    }
}
