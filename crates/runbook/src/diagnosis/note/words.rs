//! The words of notes, each once: headings, verdicts, and the places where a path breaks. A sentence for people has none of
//! the API's words: those are here said plainly.

use crate::diagnosis::{BrokenAt, Diagnosis, Rule, VerdictKind};

/// Why: one sentence that names the rule's evidence. What is told elsewhere finds it below this line.
pub(crate) const WHY: &str = "WHY";
/// The owner, and the Magic Box IDs to hand over.
pub(super) const WHO: &str = "WHO TO PAGE";
/// What to do next.
pub(super) const NEXT: &str = "NEXT";
/// A line a box.
pub(super) const BOXES: &str =
    "MAGIC BOXES (SE 1 accepts, 0 rejects; upstream 1 is 200, 0 another status, -1 no answer)";
/// The same, where the last reading failed.
pub(super) const BOXES_OF_EARLIER: &str = "MAGIC BOXES (of an earlier reading: the last one failed)";
/// A line a zone.
pub(super) const ZONES: &str = "ZONES (what each cluster said)";
/// What the client of the end-to-end test says.
pub(super) const CLIENT: &str = "CLIENT (the end-to-end test, as the healthcheck cluster sees it)";
/// Pages that are open, and don't explain the alert.
pub(super) const ALSO_OPEN: &str = "ALSO OPEN";
/// What runs before this one found.
pub(super) const EARLIER_RUNS: &str = "EARLIER RUNS";
/// The pages that the alert waited for.
pub(super) const WAITED: &str = "WAITED FOR OTHER PAGES";
/// What could not be found out, and why.
pub(super) const NOT_KNOWN: &str = "NOT KNOWN";
/// What a person should know beside the diagnosis.
pub(super) const WARNINGS: &str = "WARNINGS";
/// When each piece of evidence was taken; the day behind it is said once.
pub(super) const WHEN: &str = "WHEN";
/// Where to go.
pub(super) const LINKS: &str = "LINKS";
/// The run's view, among the links; an edit finds it by that.
pub(super) const THIS_RUN: &str = "- This run: ";

/// How a person lets this service page.
pub(super) const APPROVE: &str = "reply /escalate as a note on this incident";
/// What a run is told of by its verdict's rule, where nothing on the path is broken.
pub(super) const RULE_SAYS: &str = "the runbook's rule says: probably registry";
/// The same, where there is little room.
pub(super) const RULE_IN_SHORT: &str = "runbook: probably registry";
/// What the client adds to it.
pub(super) const ALREADY_OVER: &str = ", already over";

/// The verdict in two words.
pub(super) fn verdict(d: &Diagnosis) -> &'static str {
    match d.verdict.kind {
        VerdictKind::Registry => "Probably REGISTRY",
        VerdictKind::ServiceEndpoint => "SERVICE ENDPOINT problem",
        VerdictKind::Transient if d.verdict.rule == Rule::RecoveredOnRerun => "TRANSIENT",
        VerdictKind::Transient => "Maybe TRANSIENT",
        VerdictKind::Mixed => "MIXED",
        VerdictKind::Inconclusive => "INCONCLUSIVE",
    }
}

/// What an earlier run found, in a few words; `None` for words that the API does not write.
pub(super) fn found_before(kind: &str, rule: &str) -> Option<&'static str> {
    let kind = VerdictKind::ALL.iter().find(|known| known.as_str() == kind)?;
    let rule = Rule::ALL.iter().find(|known| known.as_str() == rule)?;
    Some(match (kind, rule) {
        (VerdictKind::Registry, Rule::AllSeAccepting) => "probably registry, every Magic Box accepted connections",
        (VerdictKind::Registry, _) => "probably registry, no Magic Box got 200 from it",
        (VerdictKind::ServiceEndpoint, _) => "Service Endpoint problem, every Magic Box rejected connections",
        (VerdictKind::Transient, Rule::RecoveredOnRerun) => "transient, every Magic Box was 1:1 again",
        (VerdictKind::Transient, _) => "maybe transient, every Magic Box rejected connections",
        (VerdictKind::Mixed, _) => "mixed, some Magic Boxes accepted connections",
        (VerdictKind::Inconclusive, Rule::NoReading) => "inconclusive, no Magic Box could be read",
        (VerdictKind::Inconclusive, _) => "inconclusive, a zone was missing",
    })
}

/// Where a zone's path breaks, in one sentence.
pub(super) fn breaks_at(place: BrokenAt) -> &'static str {
    match place {
        BrokenAt::ClientOrFrontEnd => "Nothing breaks behind the front end.",
        BrokenAt::SeTo10443 => "It breaks between SE and registry: SE can't reach port 10443.",
        BrokenAt::MagicBox => "It breaks at the Magic Box: that rejects connections, registry behind it is fine.",
        BrokenAt::PrivateIngress => "It breaks at the private ingress: nothing accepts connections.",
        BrokenAt::Zone => "It breaks inside the zone, behind the private ingress.",
        BrokenAt::DisabledByRegistry => "It breaks where registry disabled the zone.",
        BrokenAt::Contradiction => "Where it breaks: not known, Jenkins and the cluster contradict each other.",
        BrokenAt::Unknown => "Where it breaks: not known.",
    }
}
