use super::*;
use runbook::diagnosis::VerdictKind;

const NOW: &str = "2026-12-01T11:00:00Z";

fn mark(region: &str, id: usize, began: &str, end: End, kind: Kind) -> Mark {
    Mark {
        region: region.parse().unwrap(),
        run_id: format!("run-{id:03}"),
        kind,
        began: began.parse().unwrap(),
        end,
        is_awaited: false,
        diagnosed_in: Some(Duration::from_secs(180)),
    }
}

fn at(time: &str) -> End {
    End::At(time.parse().unwrap())
}

fn page(marks: &[Mark], regions: &Regions) -> Page {
    let window = Window::last(LONGEST, NOW.parse().unwrap());
    let seen = Seen { window, recorded: Some(window.from), marks, regions, report: None };
    drawn(&seen, Looker::default(), Vec::new())
}

fn file(regions: usize) -> Regions {
    let entry =
        |n| format!("[[regions]]\nname = \"prod-{n:02}\"\n[[regions.zones]]\ncluster = \"registry-prod-{n:02}-az1\"\n");
    Regions::parse(&(0..regions).map(entry).collect::<String>()).unwrap()
}

#[test]
fn what_is_open_is_first_then_what_alerted_most_and_quiet_regions_are_one_list_where_there_are_many() {
    let day = "2026-11-20T11:00:00Z";
    let over = at("2026-11-20T12:00:00Z");
    let marks = [
        mark("prod-05", 0, day, over, Kind::Registry),
        mark("prod-03", 1, day, over, Kind::Registry),
        mark("prod-03", 2, day, over, Kind::Mixed),
        mark("prod-09", 3, day, End::Open, Kind::Transient),
    ];
    let names = |rows: &[Row]| rows.iter().map(|row| row.region.clone()).collect::<Vec<_>>();
    let few = page(&marks, &file(10));
    assert_eq!(names(&few.rows)[..4], ["prod-09", "prod-03", "prod-05", "prod-00"]);
    assert_eq!((few.rows.len(), few.quiet.len()), (10, 0));
    assert_eq!((few.lead.as_str(), few.open.as_str()), ("4 alerts in 3 of 10 regions.", "1 is open."));
    let many = page(&marks, &file(40));
    assert_eq!((names(&many.rows).len(), many.quiet.len()), (3, 37));
    assert_eq!(many.quiet_says, "37 Unknown");
    // One that no file lists has alerts all the same.
    let none = page(&marks, &Regions::default());
    assert_eq!((names(&none.rows).len(), none.rows[1].now.why.as_str()), (3, "not in the regions file"));
    let all: Vec<Mark> = (0..200).map(|n| mark(&format!("prod-x{n}"), n, day, over, Kind::Mixed)).collect();
    let all = page(&all, &file(40));
    assert_eq!((all.rows.len(), all.folded.len(), all.quiet.len()), (UNFOLDED, 160, 40));
}

#[test]
fn counts_and_medians_are_words() {
    let of = |found: &[Kind]| {
        let marks: Vec<Mark> =
            found.iter().map(|kind| mark("prod-00", 0, "2026-11-20T11:00:00Z", End::Open, *kind)).collect();
        kinds(&marks.iter().collect::<Vec<_>>())
    };
    assert_eq!(of(&[]), "");
    assert_eq!(of(&[Kind::Outage]), "bigger outage");
    assert_eq!(of(&[Kind::Registry, Kind::Registry]), "all Registry");
    assert_eq!(
        of(&[Kind::Undiagnosed, Kind::ServiceEndpoint, Kind::ServiceEndpoint]),
        "2\u{a0}Service Endpoint, 1\u{a0}without diagnosis"
    );
    let one = mark("prod-00", 0, "2026-11-20T11:00:00Z", at("2026-11-20T11:41:00Z"), Kind::Mixed);
    let longer = Mark { end: at("2026-11-20T13:00:00Z"), ..one.clone() };
    let open = Mark { diagnosed_in: None, end: End::Open, ..one.clone() };
    assert_eq!(medians(&[&one, &open]), "Median: diagnosed in 3 min, resolved in 41 min");
    assert_eq!(medians(&[&open]), "");
    assert_eq!((open_for(&[&open]), open_for(&[&one, &open])), (String::new(), "lasted 41 min".to_owned()));
    assert_eq!(open_for(&[&longer, &one, &open]), "median 41 min");
    assert_eq!(lead(0, 0, 1), "No alerts in 1 region.");
    assert_eq!(lead(3, 1, 4), "3 alerts in 1 of 4 regions.");
}

#[test]
fn a_mark_can_be_read_aloud() {
    let now: Timestamp = NOW.parse().unwrap();
    let one = mark("prod-00", 0, "2026-11-20T03:12:05Z", at("2026-11-20T03:38:05Z"), Kind::ServiceEndpoint);
    assert_eq!(says(&one, now), "prod-00, 20 Nov 03:12 UTC: Service Endpoint, resolved after 26 min");
    let open = Mark { end: End::Open, is_awaited: true, kind: Kind::Undiagnosed, ..one.clone() };
    assert_eq!(says(&open, now), "prod-00, 20 Nov 03:12 UTC: being diagnosed, open for 11 days");
    let again = Mark { end: End::NotBefore(now), ..one };
    assert_eq!(says(&again, now), "prod-00, 20 Nov 03:12 UTC: Service Endpoint, triggered again later");
}

#[test]
fn what_has_no_place_is_a_number_that_leads_to_the_list_at_its_newest() {
    let over = at("2026-11-20T11:10:00Z");
    let mut marks: Vec<Mark> =
        (0..9).map(|n| mark("prod-00", n, "2026-11-20T11:00:00Z", over, VerdictKind::Mixed.into())).collect();
    let places = |marks: &[Mark]| {
        let row = page(marks, &file(1)).rows.remove(0);
        (row.marks.len(), row.bundles.into_iter().map(|number| (number.count, number.query)).collect::<Vec<_>>())
    };
    assert_eq!(places(&marks), (5, vec![(4, "region=prod-00".to_owned())]));
    marks.push(mark("prod-00", 9, "2026-11-29T11:00:00Z", at("2026-11-29T11:10:00Z"), Kind::Mixed));
    assert_eq!(places(&marks), (6, vec![(4, "region=prod-00&before=run-009".to_owned())]));
}

#[test]
fn the_time_is_said_in_its_days() {
    let dates = |length: Duration| dates(Window::last(length, NOW.parse().unwrap()));
    assert_eq!(dates(LONGEST), "2 Sep to 1 Dec 2026, UTC");
    assert_eq!(dates(LONGEST * 5), "7 Sep 2025 to 1 Dec 2026, UTC");
    assert_eq!(dates(Duration::from_secs(3600)), "1 Dec 10:00 UTC to 1 Dec 11:00 UTC");
}

#[test]
fn where_a_limit_was_hit_it_is_said_and_since_when_the_picture_is_complete() {
    let at = |time: &str| Some(time.parse::<Timestamp>().unwrap());
    let (early, late) = (at("2026-11-01T00:00:00Z"), at("2026-11-20T00:00:00Z"));
    let said = |more_open, more_until, runs_from| {
        cut(&PastAlerts { more_open, more_until, ..PastAlerts::default() }, runs_from).map(|(from, said)| {
            (from.map(|from| from.strftime("%-d").to_string()), said.split(' ').take(2).collect::<Vec<_>>().join(" "))
        })
    };
    let expected = |day: Option<&str>, begin: &str| Some((day.map(str::to_owned), begin.to_owned()));
    assert_eq!(said(false, None, None), None);
    assert_eq!(said(false, early, None), expected(Some("1"), "These are"));
    assert_eq!(said(false, early, late), expected(Some("20"), "Complete since"));
    assert_eq!(said(false, late, early), expected(Some("20"), "These are"));
    assert_eq!(said(false, None, early), expected(Some("1"), "Complete since"));
    assert_eq!(said(true, None, None), expected(None, "Of the"));
}
