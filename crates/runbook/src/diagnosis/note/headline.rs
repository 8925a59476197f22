//! The three lines that a lock screen shows: the verdict, what to do now, whether somebody was paged.

use jiff::Timestamp;

use super::advice::{self, Target};
use super::alike::{from_earlier_reading, is_faulty, missing_zones, speaks_of_client};
use super::next::REASON_IN_HEAD;
use super::text::{bound, clean, count, link, sentence};
use super::words::{ALREADY_OVER, APPROVE, RULE_IN_SHORT, RULE_SAYS};
use super::{Context, MAX_FIRST_LINE, PageNews, SERVICE_ENDPOINT, client, history, records, words};
use crate::diagnosis::{BrokenAt, Diagnosis, Rule, VerdictKind, ZoneDiagnosis};
use crate::span::{between, show_duration};

/// How a note begins that is written when the alert has closed.
pub(super) const RESOLVED_LEAD: &str = "Alert resolved";

/// Verdict and region, at most [`MAX_FIRST_LINE`] characters: the verdict always, the region as far as there is room,
/// which time in the last hour, then what it rests on.
pub(super) fn verdict(d: &Diagnosis, c: &Context<'_>) -> String {
    let lead = match (c.resolved_at, c.alert_opened_at) {
        (Some(resolved), Some(opened)) => {
            format!("{RESOLVED_LEAD} after {}. ", show_duration(between(opened, resolved)))
        }
        (Some(_), None) => format!("{RESOLVED_LEAD}. "),
        _ => String::new(),
    };
    let is_whole = looks_healthy(d);
    let start = format!("{lead}{} in ", if is_whole { "Path looks healthy" } else { words::verdict(d) });
    if is_whole {
        let again = history::time_of_the_hour(c).map(|time| format!(", {time}")).unwrap_or_default();
        let over = if client::is_over(d) { ALREADY_OVER } else { "" };
        return whole_path(format!("{start}{}{again}{over} ({RULE_SAYS})", bound(d.region.as_str(), MAX_FIRST_LINE)));
    }
    let region = bound(d.region.as_str(), MAX_FIRST_LINE.saturating_sub(start.chars().count()));
    let line = format!("{start}{region}");
    // The first of these that has room: someone who is called again and again must see that before the evidence.
    let again = history::time_of_the_hour(c).map(|time| format!("{line}, {time}")).unwrap_or_else(|| line.clone());
    let fits = |line: &String| line.chars().count() <= MAX_FIRST_LINE;
    [format!("{again}: {}", detail(d)), again].into_iter().find(fits).unwrap_or(line)
}

/// The first line about a path that looks healthy, cut down until it fits: by its words first, then by what the second line
/// says too (that it is over), then by which time this is, then by the region. The verdict, at its end, always stays.
pub(super) fn whole_path(line: String) -> String {
    let endings = [RULE_SAYS, RULE_IN_SHORT].map(|rule| format!(" ({rule})"));
    let Some(said) = endings.iter().find_map(|ending| line.strip_suffix(ending)) else {
        return bound(&line, MAX_FIRST_LINE);
    };
    let ending = &endings[1];
    // A region has no comma: what stands before the first one is it.
    let region = said.split_once(", ").map_or(said, |(region, _)| region);
    let cut = [said.to_owned(), said.replace(ALREADY_OVER, ""), region.to_owned()];
    let shorter = cut.into_iter().map(|said| format!("{said}{ending}"));
    let fits = |line: &String| line.chars().count() <= MAX_FIRST_LINE;
    std::iter::once(line.clone())
        .chain(shorter)
        .find(fits)
        .unwrap_or_else(|| format!("{}{ending}", bound(region, MAX_FIRST_LINE - ending.chars().count())))
}

/// Whether a first line is about such a path.
pub(super) fn is_whole_path(line: &str) -> bool {
    [RULE_SAYS, RULE_IN_SHORT].iter().any(|rule| line.ends_with(&format!(" ({rule})")))
}

/// Whether nothing on the path is broken, though the runbook's rule says that it is registry: nobody is to be alarmed by that.
fn looks_healthy(d: &Diagnosis) -> bool {
    d.verdict.rule == Rule::AllSeAccepting && (d.client_suspected || client::is_over(d))
}

/// What the verdict rests on, in a few words.
pub(super) fn detail(d: &Diagnosis) -> String {
    let all = d.zones.iter().filter(|z| z.expected).count();
    let missing = missing_zones(d).count();
    match d.verdict.rule {
        Rule::NoReading | Rule::IncompleteReading if from_earlier_reading(d) => {
            "the last Jenkins reading failed".into()
        }
        Rule::NoReading => "no Magic Box could be read".into(),
        Rule::IncompleteReading => format!("{missing} of {} missing", count(all, "zone", "zones")),
        Rule::MixedStatus => "some Magic Boxes accept connections, some don't".into(),
        Rule::RecoveredOnRerun => "every Magic Box is healthy again (1:1)".into(),
        Rule::AllSeAccepting => "every Magic Box accepts connections".into(),
        Rule::AllSeRejectingUpstreamDown => "no Magic Box gets 200 from it".into(),
        Rule::AllSeRejectingUpstreamUp => "every Magic Box rejects connections".into(),
    }
}

/// What to do now.
pub(super) fn now(d: &Diagnosis, c: &Context<'_>) -> String {
    format!("Do now: {}", now_words(d, c))
}

fn now_words(d: &Diagnosis, c: &Context<'_>) -> String {
    // Runbook: "deal with this PD first and see if this resolves."
    let named = c.explaining().split_first().map(|(first, others)| {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        format!("\"{}\"{more}", clean(&first.title, 140))
    });
    match (c.resolved_at, named) {
        (Some(_), Some(named)) => {
            let are = if c.explaining().len() > 1 { "that are still open" } else { "which is still open" };
            return format!("handle {named} {are}. This alert has closed.");
        }
        (Some(_), None) => return "nothing urgent, the alert has closed. What was found is below.".into(),
        (None, Some(named)) => return format!("deal with {named} first, see if this one resolves with it."),
        (None, None) if speaks_of_client(d, c) => return client::now(d, c),
        (None, None) => {}
    }
    let target = advice::target(d);
    let is_paged = matches!(c.page, PageNews::Paged { .. } | PageNews::Paging { .. });
    if matches!(target, Target::AllDisabled) {
        let before = match d.verdict.kind {
            VerdictKind::ServiceEndpoint if !is_paged => format!(" before you page {SERVICE_ENDPOINT}"),
            _ => String::new(),
        };
        return format!("ask the registry squad{before}: they have deliberately disabled every zone.");
    }
    match d.verdict.kind {
        VerdictKind::ServiceEndpoint if advice::contradicted(d) && is_paged => {
            "look at the zones yourself (below): the clusters contradict Jenkins.".into()
        }
        VerdictKind::ServiceEndpoint if advice::contradicted(d) => {
            format!("look yourself before you page {SERVICE_ENDPOINT}: the clusters contradict Jenkins.")
        }
        VerdictKind::ServiceEndpoint => match &c.page {
            PageNews::Paged { problem: None, .. } => {
                format!("stay in touch with {SERVICE_ENDPOINT}, they have the Magic Box IDs (Slack link below).")
            }
            PageNews::Paging { waits_for: Some(alert) } => {
                format!(
                    "look at the alert {}, whose page may still open; to page now, reply /escalate.",
                    clean(alert, 60)
                )
            }
            PageNews::Paging { waits_for: None } => {
                format!("wait for the page to {SERVICE_ENDPOINT}, then stay in touch with them.")
            }
            PageNews::Held { .. } => {
                format!("check why the page is held, then page {SERVICE_ENDPOINT} with the Magic Box IDs below.")
            }
            _ => format!("page {SERVICE_ENDPOINT} with the Magic Box IDs below."),
        },
        VerdictKind::Transient if d.verdict.rule == Rule::AllSeRejectingUpstreamUp && is_paged => {
            format!("run the Jenkins job again, and tell {SERVICE_ENDPOINT} what it shows.")
        }
        VerdictKind::Transient if d.verdict.rule == Rule::AllSeRejectingUpstreamUp => {
            format!("run the Jenkins job again. If the result is the same, page {SERVICE_ENDPOINT}.")
        }
        VerdictKind::Transient => match target {
            Target::Zone(zone) if is_faulty(zone) => advice::now(zone),
            _ => recovered(c.looks_again_at),
        },
        VerdictKind::Mixed => match target {
            Target::Zone(zone)
                if zone.broken_at == BrokenAt::MagicBox && matches!(c.page, PageNews::Paged { problem: None, .. }) =>
            {
                format!(
                    "check the other zones (below). {} is {SERVICE_ENDPOINT}'s, and they are paged.",
                    clean(zone.cluster.as_str(), 80)
                )
            }
            Target::Zone(zone) if zone.broken_at == BrokenAt::MagicBox => look_again(zone, is_paged),
            Target::Zone(zone) => format!("start with the {} zone: {}", advice::statuses(zone), advice::now(zone)),
            _ => "look at the zones in the order below.".into(),
        },
        VerdictKind::Registry => match target {
            // A zone that is whole comes first in the focus; one that isn't must not be hidden by it.
            Target::Zone(zone) => match d.zones.iter().find(|z| is_faulty(z) && z.cluster != zone.cluster) {
                Some(faulty) if !is_faulty(zone) => {
                    format!("{} Also: {}", advice::now(zone), advice::now(faulty))
                }
                _ => advice::now(zone),
            },
            _ => "page Registry (link below).".into(),
        },
        VerdictKind::Inconclusive => inconclusive(d),
    }
}

/// What to do where every Magic Box is healthy again. An edit finds it by its beginning, and says it again.
pub(super) fn recovered(again: Option<Timestamp>) -> String {
    let then = match again {
        Some(at) => format!("this service looks again at {} UTC.", at.strftime("%H:%M")),
        None => "if it stays open, reply /rerun.".into(),
    };
    format!("{RECOVERED}{then}")
}

/// How that begins.
pub(super) const RECOVERED: &str = "nothing, if the alert resolves; ";

/// What to do about a Magic Box that rejects connections while others accept them: one reading sends nobody to page.
fn look_again(zone: &ZoneDiagnosis, is_paged: bool) -> String {
    let then = if is_paged {
        format!("tell {SERVICE_ENDPOINT} what it shows")
    } else {
        "if it still rejects connections, reply /escalate".into()
    };
    format!(
        "start with the {} zone: look at {} again, reply /rerun. One reading may be transient; {then}.",
        advice::statuses(zone),
        advice::name(zone)
    )
}

fn inconclusive(d: &Diagnosis) -> String {
    let zone = missing_zones(d).next().or(d.zones.first()).map(|z| clean(z.cluster.as_str(), 80));
    let again = match &zone {
        Some(zone) => format!("run the Jenkins job yourself with CLUSTER={zone}."),
        None => "run the Jenkins job yourself.".into(),
    };
    // Where a cluster shows a fault, that is worth more than another try.
    match d.zones.iter().find(|z| is_faulty(z)) {
        Some(faulty) => format!("{again} Also: {}", advice::now(faulty)),
        None => again,
    }
}

/// Whether somebody was paged. It must never let anybody believe that somebody was when nobody was.
pub(super) fn paged(d: &Diagnosis, c: &Context<'_>) -> String {
    match &c.page {
        PageNews::NotWanted => format!("Nobody was paged: {}", not_wanted(d, c)),
        PageNews::Off => {
            format!("NOBODY WAS PAGED: this service may not page here. Page {SERVICE_ENDPOINT} by hand.")
        }
        PageNews::Suggested { reasons, .. } => match reasons.split_first() {
            None => {
                format!("NOBODY WAS PAGED. The page to {SERVICE_ENDPOINT} needs approval: {APPROVE}.")
            }
            Some((first, others)) => {
                format!(
                    "NOBODY WAS PAGED. The page to {SERVICE_ENDPOINT} needs approval. Think first: {}{}",
                    sentence(first, REASON_IN_HEAD),
                    more(others)
                )
            }
        },
        PageNews::Held { reasons, .. } => match reasons.split_first() {
            None => format!("NOBODY WAS PAGED. The automatic page to {SERVICE_ENDPOINT} is held."),
            Some((first, others)) => {
                format!(
                    "NOBODY WAS PAGED. The automatic page to {SERVICE_ENDPOINT} is held: {}{}",
                    sentence(first, REASON_IN_HEAD),
                    more(others)
                )
            }
        },
        PageNews::Paging { waits_for: Some(alert) } => format!(
            "Nobody was paged yet. The page waits for that of the alert {}, which may still open late (at most 13 min, as of \
             {}). To open one now, {APPROVE}.",
            clean(alert, 60),
            records::day(d, c).utc(c.now)
        ),
        PageNews::Paging { waits_for: None } => format!(
            "Nobody was paged yet. The page to {SERVICE_ENDPOINT} is being opened (as of {}); this line will say so.",
            records::day(d, c).utc(c.now)
        ),
        PageNews::Paged { html_url, joined, problem, asked_by } => {
            let by = match asked_by {
                Some(name) => format!("asked for by {}", clean(name, 60)),
                None => "automatically".into(),
            };
            let what = if *joined {
                format!("the page that {SERVICE_ENDPOINT} already had was joined, {by}; no other was opened")
            } else {
                format!("{SERVICE_ENDPOINT}, {by}")
            };
            let url = link(html_url);
            match problem {
                None => format!("Paged: {what}. {url}"),
                Some(problem) => {
                    format!("PAGED, BUT MAYBE NOBODY HEARS IT: {} {url} (Paged: {what})", sentence(problem, 200))
                }
            }
        }
        PageNews::Unreadable { reason } => format!("Not known whether somebody was paged: {}", sentence(reason, 250)),
        PageNews::Failed { reason } => {
            format!(
                "NOBODY WAS PAGED: it was tried and failed. Page {SERVICE_ENDPOINT} by hand. {}",
                sentence(reason, 250)
            )
        }
    }
}

fn more(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!(" (and {} below)", count(others.len(), "reason", "reasons")) }
}

fn not_wanted(d: &Diagnosis, c: &Context<'_>) -> &'static str {
    if c.resolved_at.is_some() {
        return "the alert has closed.";
    }
    if d.client_suspected {
        return "nothing on the path looks broken.";
    }
    match d.verdict.kind {
        VerdictKind::Registry if client::is_over(d) => "it is already over.",
        VerdictKind::Registry => "it doesn't look like Service Endpoint's problem.",
        VerdictKind::ServiceEndpoint => "no page was asked for.",
        VerdictKind::Transient => "it may be over by itself.",
        VerdictKind::Mixed => "the zones differ, and one reading may be transient. See WHO TO PAGE for each zone.",
        VerdictKind::Inconclusive => "not enough is known.",
    }
}
