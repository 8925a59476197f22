//! `GET /regions`: every region over time in one picture: each alert where it was, as long as it lasted, by its verdict.

mod marks;
mod now;
mod picture;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;

use super::moment::age;
use super::words::date;
use super::{Looker, filters, show};
use crate::config::{RegionZones, Regions};
use crate::doctor::Report;
use crate::http::auth::Reader;
use crate::http::{App, Problem};
use marks::{End, Kind, Mark, marks, median};
use now::{Now, now};
use picture::{Tick, Window, height, middle, percent, place};
use runbook::span::after;
use store::{PastAlert, PastAlerts};

/// The longest time that is shown; `RETENTION` may keep less.
const LONGEST: Duration = Duration::from_secs(90 * 86_400);
/// The most alerts that are shown: those that resolved last.
const MOST: i64 = 400;
/// With more regions than this, those without an alert are one list.
const ALL_DRAWN: usize = 12;
/// The most regions with alerts that are shown at once; the rest is folded away.
const UNFOLDED: usize = 40;
/// What is recorded for less than the whole time is said from this share on.
const MISSING: f64 = 0.02;
/// A line that is shorter than a mark's half is not drawn beside it, in shares of the width.
const LEAST_LINE: f64 = 8.0 / picture::LEAST_WIDTH;

#[derive(Template)]
#[template(path = "regions.html")]
struct Page {
    looker: Looker,
    /// How long the time is that is shown: `90 days`.
    length: String,
    /// Its days.
    dates: String,
    /// Why it is no longer, and what else is not there.
    remarks: Vec<String>,
    /// How many alerts, in how many regions; and how many of them are open.
    lead: String,
    open: String,
    medians: String,
    legend: Vec<Entry>,
    /// What the axis says at its begin, and where else.
    first: String,
    ticks: Vec<(String, String)>,
    rows: Vec<Row>,
    folded: Vec<Row>,
    quiet: Vec<(String, Now)>,
    /// How those are.
    quiet_says: String,
}

/// A verdict that is in the picture, and how often.
struct Entry {
    tone: &'static str,
    words: &'static str,
    count: usize,
}

/// A region.
struct Row {
    region: String,
    now: Now,
    count: String,
    /// How long they were open.
    median: String,
    /// What they were.
    kinds: String,
    height: usize,
    /// Where the line begins and stands: nothing is recorded of before.
    since: String,
    base: usize,
    marks: Vec<Shown>,
    bundles: Vec<Number>,
}

/// A mark.
struct Shown {
    run_id: String,
    tone: &'static str,
    says: String,
    x: String,
    y: usize,
    /// How long its line is, where that is more than the mark.
    line: Option<String>,
    is_open: bool,
}

/// How many marks have no place of their own, and where they are listed.
struct Number {
    query: String,
    count: usize,
    says: String,
    x: String,
    y: usize,
}

/// What the picture is drawn from.
struct Seen<'a> {
    window: Window,
    recorded: Option<Timestamp>,
    marks: &'a [Mark],
    regions: &'a Regions,
    report: Option<&'a Report>,
}

/// Every region over time, as a page.
#[utoipa::path(get, path = "/regions", operation_id = "regions_page", tag = "pages", security(("bearer" = []), ("session" = [])), responses(
    (status = 200, description = "The page", content_type = "text/html", body = String),
    (status = 401, response = crate::http::answers::Unauthorized),
    (status = 503, response = crate::http::answers::Unavailable),
))]
pub(super) async fn page(State(app): State<App>, reader: Reader) -> Result<Response, Problem> {
    let retention = app.config.retention;
    let mut window = Window::last(LONGEST.min(retention), app.clock.shown(app.clock.now()));
    let past = app.store.past_alerts(window.from, MOST).await?;
    let recorded = app.store.recorded_since().await?.map(|at| app.clock.shown(at));
    let mut remarks = Vec::new();
    if let Some((from, said)) = cut(&past, past.runs_from.map(|at| app.clock.shown(at))) {
        window.from = from.unwrap_or(window.from).clamp(window.from, window.to);
        remarks.push(said);
    } else if retention < LONGEST {
        remarks.push("RETENTION keeps no more.".to_owned());
    }
    match recorded {
        None => remarks.push("Nothing is recorded yet.".to_owned()),
        Some(at) if window.share(at) > MISSING => remarks.push(format!("Recorded since {}.", date(at))),
        Some(_) => {}
    }
    let marks = marks(&as_shown(past.alerts, &app));
    let marks: Vec<Mark> = marks.into_iter().filter(|mark| mark.until(window.to) >= window.from).collect();
    let health = app.health.last();
    let report = health.as_ref().map(|seen| &seen.report);
    let seen = Seen { window, recorded, marks: &marks, regions: &app.config.regions, report };
    show(&drawn(&seen, Looker::of(&reader, &app), remarks))
}

/// Where a limit was hit: since when what is shown is complete, and what is said of it.
fn cut(past: &PastAlerts, runs_from: Option<Timestamp>) -> Option<(Option<Timestamp>, String)> {
    // Of those that were over at that very moment some may be missing.
    let over = past.more_until.map(|at| after(at, Duration::from_millis(1)));
    let mut said = Vec::new();
    match (over, runs_from) {
        (Some(over), from) if from.is_none_or(|from| from <= over) => {
            said.push(format!("These are the latest {MOST} alerts; the run list has those of before."));
        }
        (_, Some(from)) => said.push(format!("Complete since {}; the run list has the runs of before.", date(from))),
        _ => {}
    }
    said.extend(past.more_open.then(|| format!("Of the open alerts {MOST} are shown; the run list has the others.")));
    (!said.is_empty()).then(|| (over.max(runs_from), said.join(" ")))
}

/// Times of ours as people are shown them; PagerDuty's are that already.
fn as_shown(mut alerts: Vec<PastAlert>, app: &App) -> Vec<PastAlert> {
    for run in alerts.iter_mut().flat_map(|alert| &mut alert.runs) {
        run.created_at = app.clock.shown(run.created_at);
        run.diagnosed_at = run.diagnosed_at.map(|at| app.clock.shown(at));
        run.finished_at = run.finished_at.map(|at| app.clock.shown(at));
    }
    alerts
}

fn drawn(seen: &Seen<'_>, looker: Looker, remarks: Vec<String>) -> Page {
    let Seen { window, marks, regions, report, .. } = *seen;
    let mut of_region: BTreeMap<&str, Vec<&Mark>> = BTreeMap::new();
    for mark in marks {
        of_region.entry(mark.region.as_str()).or_default().push(mark);
    }
    let with_alerts = of_region.len();
    let listed: BTreeMap<&str, &RegionZones> = regions.all().iter().map(|r| (r.region.as_str(), r)).collect();
    let names: BTreeSet<&str> = of_region.keys().chain(listed.keys()).copied().collect();
    let mut each: Vec<(&str, Vec<&Mark>, Now)> = names
        .iter()
        .map(|name| {
            let own = of_region.remove(name).unwrap_or_default();
            let now = now(&own, listed.get(name).copied(), report, window.to);
            (*name, own, now)
        })
        .collect();
    // What fails is first, then what has failed most.
    let open = |marks: &[&Mark]| marks.iter().filter(|mark| mark.end == End::Open).count();
    each.sort_by_key(|(name, own, _)| (open(own) == 0, std::cmp::Reverse(own.len()), *name));
    let drawn = if names.len() <= ALL_DRAWN { names.len() } else { with_alerts };
    let quiet: Vec<(String, Now)> =
        each.split_off(drawn).into_iter().map(|(name, _, now)| (name.to_owned(), now)).collect();
    let mut rows: Vec<Row> = each.into_iter().map(|(name, own, now)| row(seen, name, &own, now)).collect();
    let folded = rows.split_off(rows.len().min(UNFOLDED));
    let all: Vec<&Mark> = marks.iter().collect();
    let length = window.length();
    Page {
        looker,
        length: age(length),
        dates: dates(window),
        remarks,
        lead: lead(marks.len(), with_alerts, names.len()),
        open: match open(&all) {
            0 => String::new(),
            1 => "1 is open.".to_owned(),
            more => format!("{more} are open."),
        },
        medians: medians(&all),
        legend: legend(&all),
        first: window.first(),
        ticks: window.ticks().into_iter().map(|Tick { x, says, .. }| (percent(x), says)).collect(),
        rows,
        folded,
        quiet_says: quiet_says(&quiet),
        quiet,
    }
}

fn row(seen: &Seen<'_>, region: &str, own: &[&Mark], now: Now) -> Row {
    let window = seen.window;
    let spans: Vec<(f64, f64)> =
        own.iter().map(|mark| (window.share(mark.began), window.share(mark.until(window.to)))).collect();
    let places = place(&spans);
    let shown = own.iter().zip(&spans).zip(&places.lanes).filter_map(|((mark, (from, to)), lane)| {
        Some(Shown {
            run_id: mark.run_id.clone(),
            tone: mark.kind.tone(),
            says: says(mark, window.to),
            x: percent(*from),
            y: middle((*lane)?, places.count),
            line: (to - from > LEAST_LINE).then(|| percent(to - from)),
            is_open: mark.end == End::Open,
        })
    });
    let numbers = places.bundles.iter().map(|bundle| {
        let these: Vec<&Mark> = bundle.marks.iter().map(|n| own[*n]).collect();
        number(region, own, &these, percent(bundle.x), middle(places.count - 1, places.count))
    });
    Row {
        region: region.to_owned(),
        now,
        count: if own.is_empty() { "No alerts".to_owned() } else { alerts(own.len()) },
        median: open_for(own),
        kinds: kinds(own),
        height: height(places.count),
        since: percent(window.share(seen.recorded.unwrap_or(window.to))),
        base: height(places.count) - 5,
        marks: shown.collect(),
        bundles: numbers.collect(),
    }
}

/// The list begins with the newest of these: before the run that came next.
fn number(region: &str, own: &[&Mark], these: &[&Mark], x: String, y: usize) -> Number {
    let newest = these.iter().map(|mark| mark.run_id.as_str()).max().unwrap_or_default();
    let next = own.iter().map(|mark| mark.run_id.as_str()).filter(|id| *id > newest).min();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("region", region);
    if let Some(next) = next {
        query.append_pair("before", next);
    }
    let since = these.first().map(|mark| moment(mark.began)).unwrap_or_default();
    let says = format!("+{} more from {since} on in {region}: in the run list", alerts(these.len()));
    Number { query: query.finish(), count: these.len(), says, x, y }
}

fn moment(at: Timestamp) -> String {
    at.strftime("%-d %b %H:%M UTC").to_string()
}

/// The first and the last day; hours, where it is one.
fn dates(window: Window) -> String {
    let day = |at: Timestamp, format: &str| at.strftime(format).to_string();
    if window.length() < Duration::from_secs(86_400) {
        return format!("{} to {}", moment(window.from), moment(window.to));
    }
    let is_one_year = day(window.from, "%Y") == day(window.to, "%Y");
    let first = day(window.from, if is_one_year { "%-d %b" } else { "%-d %b %Y" });
    format!("{first} to {}, UTC", day(window.to, "%-d %b %Y"))
}

fn alerts(count: usize) -> String {
    if count == 1 { "1 alert".to_owned() } else { format!("{count} alerts") }
}

fn lead(count: usize, with_alerts: usize, regions: usize) -> String {
    let all = if regions == 1 { "1 region".to_owned() } else { format!("{regions} regions") };
    if count == 0 { format!("No alerts in {all}.") } else { format!("{} in {with_alerts} of {all}.", alerts(count)) }
}

/// How many of each kind.
fn of_kinds(marks: &[&Mark]) -> Vec<(Kind, usize)> {
    let count = |kind: Kind| (kind, marks.iter().filter(|mark| mark.kind == kind).count());
    Kind::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
}

fn legend(marks: &[&Mark]) -> Vec<Entry> {
    let entry = |(kind, count): (Kind, usize)| Entry { tone: kind.tone(), words: kind.words(), count };
    of_kinds(marks).into_iter().map(entry).collect()
}

/// What a region's alerts were, in a line.
fn kinds(marks: &[&Mark]) -> String {
    let word = |kind: Kind| match kind {
        Kind::Outage => "bigger outage",
        Kind::Undiagnosed => "without diagnosis",
        verdict => verdict.words(),
    };
    match of_kinds(marks)[..] {
        [(kind, 1)] => word(kind).to_owned(),
        [(kind, _)] => format!("all {}", word(kind)),
        ref kinds => {
            // A number and its word are on one line.
            let each: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count}\u{a0}{}", word(*kind))).collect();
            each.join(", ")
        }
    }
}

/// How long a region's alerts were open.
fn open_for(marks: &[&Mark]) -> String {
    let lasted: Vec<Duration> = marks.iter().filter_map(|mark| mark.lasted()).collect();
    let many = if lasted.len() > 1 { "median " } else { "lasted " };
    median(lasted.into_iter()).map(|length| format!("{many}{}", age(length))).unwrap_or_default()
}

/// How long it took over all: half of them no longer.
fn medians(marks: &[&Mark]) -> String {
    let diagnosed =
        median(marks.iter().filter_map(|mark| mark.diagnosed_in)).map(|d| format!("diagnosed in {}", age(d)));
    let resolved = median(marks.iter().filter_map(|mark| mark.lasted())).map(|d| format!("resolved in {}", age(d)));
    let both: Vec<String> = diagnosed.into_iter().chain(resolved).collect();
    if both.is_empty() { String::new() } else { format!("Median: {}", both.join(", ")) }
}

/// A mark in words.
fn says(mark: &Mark, now: Timestamp) -> String {
    let found = if mark.is_awaited { "being diagnosed" } else { mark.kind.words() };
    let length = age(runbook::span::between(mark.began, mark.until(now)));
    let end = match mark.end {
        End::At(_) => format!("resolved after {length}"),
        End::Open => format!("open for {length}"),
        End::NotBefore(_) => "triggered again later".to_owned(),
    };
    format!("{}, {}: {found}, {end}", mark.region, moment(mark.began))
}

/// How many of those without an alert are how.
fn quiet_says(quiet: &[(String, Now)]) -> String {
    let mut words: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, now) in quiet {
        *words.entry(now.says).or_default() += 1;
    }
    let each: Vec<String> = words.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    each.join(", ")
}

#[cfg(test)]
mod tests;
