//! What happened in the year, and what must come of each alert: sixty of them, a kind after the other.

use jiff::{SignedDuration, Timestamp};
use runbook::backtest::{Judgement, Outcome, Truth};

/// An alert of the year, and all about it. Times are minutes after it.
#[derive(Clone, Debug)]
pub(super) struct Past {
    /// Its region.
    pub(super) region: &'static str,
    /// Its title, where that is not exactly an alert's; `{region}` is the region.
    pub(super) title: Option<&'static str>,
    /// So long after the alert before it; 0 is the next of the year's sixty days for alerts.
    pub(super) after_the_last: i64,
    /// When it resolved, or was merged.
    pub(super) lasted: i64,
    /// It was merged into the alert before it.
    pub(super) merged: bool,
    /// What else was opened.
    pub(super) pages: Vec<Page>,
    /// What Jenkins printed.
    pub(super) consoles: Vec<Seen>,
    /// Whether people say what was the matter.
    pub(super) labelled: bool,
    /// What was the matter.
    pub(super) truth: Truth,
    /// What `auto` would have done.
    pub(super) outcome: Outcome,
    /// Whether that was right.
    pub(super) judgement: Judgement,
}

/// An incident beside an alert.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// Its title; `{region}` is the alert's region.
    pub(super) title: &'static str,
    /// When it opened.
    pub(super) opened: i64,
    /// When it resolved.
    pub(super) closed: i64,
    /// Whether it is on Registry's service, rather than the escalation service.
    pub(super) of_registry: bool,
    /// Whether a person opened it.
    pub(super) by_a_person: bool,
    /// Whether it has a key of this service.
    pub(super) ours: bool,
}

/// A console.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) after: i64,
    /// Statuses of the boxes of the three zones.
    pub(super) boxes: [(i32, i32); 3],
    /// Whose zones it was asked for and shows, where that is not the alert's region.
    pub(super) region: Option<&'static str>,
    pub(super) only_in_jenkins: bool,
    /// Its file's name is of another form.
    pub(super) misnamed: bool,
}

const SOUTH: &str = "prod-us-south";
const DE: &str = "prod-eu-de";
const TOK: &str = "prod-jp-tok";
const SYD: &str = "prod-au-syd";
/// No regions file lists it.
const DAL: &str = "stage-us-dal";

fn seen(after: i64, boxes: [(i32, i32); 3]) -> Seen {
    Seen { after, boxes, region: None, only_in_jenkins: false, misnamed: false }
}

fn built(after: i64, boxes: [(i32, i32); 3]) -> Seen {
    Seen { only_in_jenkins: true, ..seen(after, boxes) }
}

/// A person pages the Service Endpoint team.
fn paged(opened: i64) -> Page {
    let title = "SE endpoints reject in {region}: please look";
    Page { title, opened, closed: opened + 60, of_registry: false, by_a_person: true, ours: false }
}

fn public(opened: i64, closed: i64) -> Page {
    let title = "All Public endpoints down in {region}";
    Page { title, opened, closed, of_registry: true, by_a_person: false, ours: false }
}

/// Every box rejects though its registry answers 200: theirs, where it persists.
const REJECTING: [(i32, i32); 3] = [(0, 1), (0, 1), (0, 1)];
const ACCEPTING: [(i32, i32); 3] = [(1, 1), (1, 1), (1, 1)];
const NOT_WELL: [(i32, i32); 3] = [(1, 0), (1, -1), (1, 1)];
const DOWN: [(i32, i32); 3] = [(0, 0), (0, -1), (0, -1)];
const MIXED: [(i32, i32); 3] = [(0, 1), (1, 1), (1, 0)];

fn persists() -> Vec<Seen> {
    [2, 5, 8].map(|after| seen(after, REJECTING)).to_vec()
}

fn alert(region: &'static str) -> Past {
    Past {
        region,
        title: None,
        after_the_last: 0,
        lasted: 55,
        merged: false,
        pages: vec![],
        consoles: vec![],
        labelled: false,
        truth: Truth::Unknown,
        outcome: Outcome::NoEvidence,
        judgement: Judgement::Unknown,
    }
}

/// It was theirs, and a person paged them after 14 minutes.
fn theirs(region: &'static str) -> Past {
    Past {
        pages: vec![paged(14)],
        consoles: persists(),
        truth: Truth::ServiceEndpoint,
        outcome: Outcome::WouldPage,
        judgement: Judgement::Right,
        ..alert(region)
    }
}

/// It was theirs, as people say who did not page.
fn theirs_as_labelled(region: &'static str) -> Past {
    Past { pages: vec![], labelled: true, ..theirs(region) }
}

fn not_theirs(region: &'static str, consoles: Vec<Seen>, truth: Truth) -> Past {
    Past { consoles, labelled: true, truth, outcome: Outcome::NoPage, judgement: Judgement::Right, ..alert(region) }
}

fn accepting(region: &'static str) -> Past {
    not_theirs(region, vec![seen(3, NOT_WELL)], Truth::Registry)
}

fn down(region: &'static str) -> Past {
    not_theirs(region, vec![seen(3, DOWN), seen(6, DOWN)], Truth::Registry)
}

/// It passed by itself.
fn recovered(region: &'static str) -> Past {
    not_theirs(region, vec![seen(2, REJECTING), seen(4, ACCEPTING)], Truth::Nothing)
}

/// It came and went, within minutes of the one before.
fn flapping(after_the_last: i64) -> Past {
    let past = not_theirs(TOK, vec![seen(2, ACCEPTING)], Truth::Nothing);
    Past { after_the_last, lasted: 6, ..past }
}

/// Registry was down for everyone, for longer than the alert.
fn suppressed(region: &'static str) -> Past {
    Past {
        lasted: 12,
        pages: vec![public(-5, 30)],
        consoles: persists(),
        labelled: true,
        truth: Truth::Registry,
        outcome: Outcome::Held,
        judgement: Judgement::Right,
        ..alert(region)
    }
}

/// Registry was down for everyone, and when that was over the Service Endpoint was down still.
fn suppressed_at_first(region: &'static str) -> Past {
    Past {
        pages: vec![public(-10, 4), paged(20)],
        consoles: vec![seen(10, REJECTING), seen(13, REJECTING)],
        ..theirs(region)
    }
}

/// It was merged into the alert before it, which went on.
fn merged(region: &'static str) -> Past {
    Past { after_the_last: 3, lasted: 4, merged: true, pages: vec![], ..theirs(region) }
}

/// What people kept is another region's, or named as they like.
fn wrong_consoles(region: &'static str) -> Past {
    Past {
        consoles: vec![
            Seen { region: Some(SYD), ..seen(2, REJECTING) },
            Seen { misnamed: true, ..seen(4, REJECTING) },
            seen(40, REJECTING),
        ],
        labelled: true,
        truth: Truth::Registry,
        ..alert(region)
    }
}

/// Nobody kept a console; Jenkins still has the builds.
fn only_in_jenkins(region: &'static str) -> Past {
    Past { consoles: vec![built(1, REJECTING), built(4, REJECTING)], ..theirs(region) }
}

/// It was theirs; the job was run once only.
fn looked_once(region: &'static str) -> Past {
    Past {
        consoles: vec![seen(3, REJECTING)],
        outcome: Outcome::NoPage,
        judgement: Judgement::MissedPage,
        ..theirs(region)
    }
}

/// It was theirs, in a region that the regions file does not list, with a title that is not quite an alert's.
fn unlisted() -> Past {
    Past {
        title: Some("[stage] All SE endpoints down in {region} (again)"),
        outcome: Outcome::Held,
        judgement: Judgement::MissedPage,
        ..theirs(DAL)
    }
}

/// It was the healthcheck cluster, whatever Jenkins said.
fn client() -> Past {
    Past {
        pages: vec![Page { by_a_person: false, ..paged(9) }, Page { ours: true, ..paged(11) }],
        labelled: true,
        truth: Truth::Client,
        judgement: Judgement::WrongPage,
        ..theirs(SYD)
    }
}

/// Nobody knows what it was.
fn mixed(region: &'static str) -> Past {
    Past {
        consoles: vec![seen(5, MIXED)],
        outcome: Outcome::NoPage,
        // A machine's page, ours, and a person's about another region tell nothing.
        pages: vec![
            Page { by_a_person: false, ..paged(9) },
            Page { ours: true, ..paged(11) },
            Page { title: "SE endpoints reject in prod-us-south-2", ..paged(12) },
        ],
        ..alert(region)
    }
}

/// The year's alerts, in order.
pub(super) fn alerts() -> Vec<Past> {
    vec![
        theirs(SOUTH),
        accepting(DE),
        theirs(TOK),
        down(SOUTH),
        suppressed(SOUTH),
        theirs_as_labelled(DE),
        recovered(SYD),
        theirs(SOUTH),
        merged(SOUTH),
        mixed(DE),
        accepting(SOUTH),
        flapping(0),
        flapping(9),
        flapping(9),
        flapping(9),
        theirs(DE),
        wrong_consoles(SOUTH),
        down(TOK),
        only_in_jenkins(SOUTH),
        theirs(SYD),
        accepting(SYD),
        suppressed(DE),
        recovered(SOUTH),
        theirs_as_labelled(SOUTH),
        looked_once(DE),
        down(DE),
        suppressed_at_first(SOUTH),
        accepting(TOK),
        theirs(SOUTH),
        unlisted(),
        theirs(TOK),
        recovered(DE),
        accepting(DE),
        theirs(DE),
        merged(DE),
        suppressed(TOK),
        theirs(DE),
        wrong_consoles(DE),
        down(SYD),
        client(),
        theirs_as_labelled(TOK),
        accepting(SOUTH),
        only_in_jenkins(TOK),
        mixed(SOUTH),
        recovered(TOK),
        theirs(SOUTH),
        suppressed_at_first(DE),
        down(SOUTH),
        looked_once(SOUTH),
        accepting(SYD),
        theirs(SYD),
        suppressed(SYD),
        wrong_consoles(TOK),
        theirs(DE),
        down(DE),
        recovered(SOUTH),
        theirs_as_labelled(SYD),
        accepting(TOK),
        theirs(TOK),
        theirs(SOUTH),
    ]
}

/// When each alert was triggered: six days after the one before it, at another time of the day.
pub(super) fn times(alerts: &[Past]) -> Vec<Timestamp> {
    let begin: Timestamp = super::SINCE.parse().unwrap_or_default();
    let (mut days, mut last, mut times) = (0_i64, begin, Vec::new());
    for past in alerts {
        last = match past.after_the_last {
            0 => {
                days += 1;
                begin + SignedDuration::from_mins(days * 6 * 1440 + days * 7 % 24 * 60 + days * 13 % 60)
            }
            minutes => last + SignedDuration::from_mins(minutes),
        };
        times.push(last);
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_year_of_sixty_alerts() {
        let times = times(&alerts());
        assert_eq!(times.len(), 60);
        assert!(times.is_sorted() && times.last().unwrap().to_string().as_str() < super::super::UNTIL);
    }
}
