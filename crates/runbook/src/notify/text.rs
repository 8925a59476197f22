//! What is told elsewhere, in the words of the note: Slack's `mrkdwn`, in which `&`, `<` and `>` are escaped.

use jiff::Timestamp;

use super::{AlertRecord, Announcement, PageRecord};
use crate::diagnosis::Diagnosis;
use crate::diagnosis::note::WHY;
use crate::text::{bound, clean};

/// The longest text of a block, in characters: Slack takes 3,000, so it stays under that. Contract 9.
pub const MAX_BLOCK: usize = 2_900;
/// The longest line of a note that is told.
const LINE: usize = 400;
/// The longest link.
const LINK: usize = 600;
/// How many Magic Box IDs are named: each with all that hostile names can be.
const BOXES: usize = 15;
/// The longest link that opens a new issue, in characters: it stays far below 8 KB, and in one line of a note.
const ISSUE_LINK: usize = 640;

/// What is told of a note.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Its first three lines.
    pub head: String,
    /// Its sentence under WHY; `None`: a short note, which says it in its lines.
    pub why: Option<String>,
}

impl Digest {
    /// Of a note's text.
    pub fn of(note: &str) -> Self {
        let head: Vec<&str> = note.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
        let why = note.lines().skip_while(|line| *line != WHY).nth(1).filter(|line| !line.trim().is_empty());
        Self { head: head.join("\n"), why: why.map(str::to_owned) }
    }
}

/// Text of others within Slack's `mrkdwn`. Contract 9: "`& < >` are escaped".
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A link's address; one that is none, or has no room, is left out.
fn address(url: &str) -> Option<String> {
    let is_link = url.starts_with("http://") || url.starts_with("https://");
    let url = escape(&clean(url, LINK + 1).replace(' ', "%20").replace('|', "%7C"));
    (is_link && url.chars().count() <= LINK).then_some(url)
}

/// A link with its name.
fn link(url: &str, name: &str) -> Option<String> {
    Some(format!("<{}|{name}>", address(url)?))
}

fn head(digest: &Digest) -> Vec<String> {
    let lines = digest.head.lines().map(|line| escape(&clean(line, LINE)));
    lines.enumerate().map(|(n, line)| if n == 0 { format!("*{}*", line.replace('*', "")) } else { line }).collect()
}

/// As many of the lines as there is room for before the last ones. An escaped text may be five times as long: what is too long
/// loses whole lines, never half a link.
fn fit(mut lines: Vec<String>, last: Vec<String>) -> String {
    let size = |lines: &[String]| lines.iter().map(|line| line.chars().count() + 1).sum::<usize>();
    while size(&lines) + size(&last) > MAX_BLOCK && lines.pop().is_some() {}
    lines.extend(last);
    lines.join("\n")
}

fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The root message: the note's first three lines as they read now, how the alert and its page stand, the run's view.
pub(super) fn root(record: &AlertRecord, first: &Announcement) -> String {
    let digest = record.note.as_ref().unwrap_or(&first.digest);
    let region = escape(record.region.as_str());
    let alert = match record.resolved_at {
        Some(at) => format!("Alert in {region}: resolved, {}.", utc(at)),
        None => format!("Alert in {region}: open."),
    };
    let page = record.page.as_ref().map(|page| {
        let name = link(&page.url, "the page").unwrap_or_else(|| "the page".to_owned());
        match &page.acknowledged_by {
            Some(who) => format!("Paged Cloud Service Endpoint: {name}, acknowledged by {}.", escape(&clean(who, 60))),
            None => format!("Paged Cloud Service Endpoint: {name}, not acknowledged yet."),
        }
    });
    let last = [alert].into_iter().chain(page).chain(link(&record.view, "Run view")).collect();
    fit(head(digest), last)
}

/// A reply: the note's first three lines, why, the run's view.
pub(super) fn reply(said: &Announcement) -> String {
    let mut lines = head(&said.digest);
    lines.extend(said.digest.why.as_ref().map(|why| format!("Why: {}", escape(&clean(why, LINE)))));
    fit(lines, link(&said.view, "Run view").into_iter().collect())
}

/// The message of a page: region, Magic Box IDs, the page's link. Alerts that join it are counted.
pub(super) fn page(record: &PageRecord) -> String {
    let more = match record.alerts.len().saturating_sub(1) {
        0 => String::new(),
        1 => " and 1 more alert".to_owned(),
        n => format!(" and {n} more alerts"),
    };
    let region = escape(record.region.as_str());
    let mut lines = vec![format!("*Cloud Service Endpoint is paged: all SE endpoints are down in {region}*{more}")];
    lines.extend(address(&record.url).map(|url| format!("The page: <{url}>")));
    let ids = record.diagnosis.as_ref().map(box_ids).unwrap_or_default();
    if ids.is_empty() {
        lines.push("Magic Box IDs: not known yet.".to_owned());
    } else {
        let left_out = ids.len().saturating_sub(BOXES);
        lines.push("Magic Box IDs:".to_owned());
        lines.extend(ids.into_iter().take(BOXES).map(|id| format!("• {}", escape(&id))));
        if left_out > 0 {
            lines.push(format!("… and {left_out} more: they stand on the page."));
        }
    }
    fit(lines, Vec::new())
}

/// The Magic Box IDs to give to the Service Endpoint team, `0:1` first.
fn box_ids(diagnosis: &Diagnosis) -> Vec<String> {
    let mut boxes: Vec<_> = diagnosis.zones.iter().flat_map(|zone| &zone.boxes).collect();
    boxes.sort_by_key(|b| (b.se_status, -b.upstream_status));
    boxes.iter().map(|b| format!("{} ({}:{})", clean(&b.magic_box_id, 120), b.se_status, b.upstream_status)).collect()
}

/// The link that opens a new issue with its title and body filled in, percent-encoded. Contract 9: "under 8 KB"; what is
/// too long for a line of a note loses the end of its body.
pub fn new_issue_url(tracker: &str, title: &str, body: &str) -> String {
    let tracker = clean(tracker, LINK);
    // The list of issues, or the choice of a form, opens none.
    let tracker = match tracker.trim_end_matches('/') {
        list if list.ends_with("/issues") => format!("{list}/new"),
        form if form.ends_with("/issues/new/choose") => form.trim_end_matches("/choose").to_owned(),
        _ => tracker,
    };
    let (tracker, fragment) = tracker.split_once('#').map_or((tracker.as_str(), ""), |(url, rest)| (url, rest));
    let mark = if tracker.contains('?') { '&' } else { '?' };
    let fragment = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
    let bare = format!("{}{mark}title={}&body=", tracker.replace(' ', "%20"), percent(&bound(title, 80)));
    let room = ISSUE_LINK.saturating_sub(bare.len() + fragment.len());
    let mut filled = String::new();
    for c in body.chars() {
        let next = percent(c.encode_utf8(&mut [0; 4]));
        if filled.len() + next.len() > room {
            break;
        }
        filled.push_str(&next);
    }
    format!("{bare}{filled}{fragment}")
}

/// Percent-encoded, all but what is never reserved in a URL.
fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
