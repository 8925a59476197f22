use serde_json::{Value, json};

use super::*;

const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
const BOX: &str = "us-south-dal10-registry-prod-us-south-az2-1-vm-d4533b5e";

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

fn now() -> Timestamp {
    "2026-11-26T03:00:00Z".parse().expect("a time")
}

/// Asks by the names of an alert in `prod-us-south`, whose zones are its default ones.
fn by_names<T>(ask: impl FnOnce(&Names<'_>) -> T) -> T {
    let here = region("prod-us-south");
    let (zones, is_anothers) = (here.default_zones(), |name: &str| name == "prod-us-south-2");
    ask(&Names { region: &here, zones: &zones, box_ids: &[BOX], is_anothers: &is_anothers })
}

/// One that somebody has opened an hour ago: urgent, and young.
fn theirs(title: &str) -> Candidate<String> {
    Candidate {
        page: title.to_owned(),
        title: title.to_owned(),
        opener: Opener::Another,
        is_urgent: true,
        created_at: Some(now() - jiff::SignedDuration::from_hours(1)),
    }
}

fn joining(open: Vec<Candidate<String>>) -> Joining<String> {
    by_names(|names| join(open, names, MAX_AGE, now()))
}

/// lifecycle.md#the-page: its title names this region, one of its zones or one of the Magic Box IDs.
#[test]
fn of_what_is_urgent_and_young_that_which_names_the_alert_is_joined() {
    for (title, is_joined) in [
        ("prod-us-south rejects connections", true),
        ("SE DOWN IN PROD-US-SOUTH.", true),
        ("prod-us-south-2 and prod-us-south are down", true),
        ("registry-prod-us-south-az2: rejects", true),
        ("registry-prod-us-south-az7 (not listed)", true),
        ("box registry-prod-us-south-az2-1 is down", true),
        ("box us-south-dal10-registry-prod-us-south-az2-1-vm-d4533b5e is down", true),
        ("box another-us-south-dal10-registry-prod-us-south-az2-1-vm-d4533b5e is down", false),
        ("prod-us-south-2 rejects connections", false),
        ("prod-us-south\u{200b}-2 rejects connections", false),
        ("registry-prod-us-south-2-az1-1 rejects connections", false),
        ("prod-us-south1 rejects connections", false),
        ("preprod-us-south rejects connections", false),
        ("dev-prod-us-south rejects connections", false),
        ("prod-us rejects connections", false),
        ("a disk is full", false),
        ("", false),
    ] {
        let joined = is_joined.then(|| title.to_owned());
        assert_eq!(joining(vec![theirs(title)]), Joining { joined, linked: Vec::new() }, "{title}");
    }
}

/// What an incident is, and what becomes of it where its title names the region, one of its boxes only, or neither.
#[test]
fn ours_is_joined_and_of_the_others_what_is_urgent_young_and_names_the_alert() {
    const JOINED: &str = "joined";
    const LINKED: &str = "linked";
    const PASSED: &str = "passed over";
    let here = || Opener::Us(region("prod-us-south"));
    let elsewhere = || Opener::Us(region("prod-us-south-2"));
    let (just_young, just_old) = (Some(MAX_AGE - Duration::from_millis(1)), Some(MAX_AGE));
    for (opener, is_urgent, age, expected) in [
        (Opener::Another, true, just_young, [JOINED, JOINED, PASSED]),
        (Opener::Another, true, just_old, [LINKED, LINKED, PASSED]),
        (Opener::Another, true, None, [LINKED, LINKED, PASSED]),
        (Opener::Another, false, just_young, [LINKED, LINKED, PASSED]),
        (Opener::Another, false, just_old, [LINKED, LINKED, PASSED]),
        // Whatever its urgency, its age and its title.
        (here(), true, just_young, [JOINED; 3]),
        (here(), false, just_old, [JOINED; 3]),
        (here(), false, None, [JOINED; 3]),
        // Of another region it is like anybody's.
        (elsewhere(), true, just_young, [JOINED, JOINED, PASSED]),
        (elsewhere(), false, just_young, [LINKED, LINKED, PASSED]),
        (elsewhere(), true, just_old, [LINKED, LINKED, PASSED]),
        // Of a database that was lost: the region in its title says whose it is, a box's id alone does not.
        (Opener::UsOnce, false, just_old, [JOINED, LINKED, PASSED]),
        (Opener::UsOnce, true, just_young, [JOINED, JOINED, PASSED]),
    ] {
        let titles = ["prod-us-south is down".to_owned(), format!("box {BOX}"), "a disk is full".to_owned()];
        for (title, expected) in titles.iter().zip(expected) {
            let created_at = age.map(|age| crate::span::before(now(), age));
            let page = Candidate { opener: opener.clone(), is_urgent, created_at, ..theirs(title) };
            let came = match joining(vec![page]) {
                Joining { joined: Some(_), .. } => JOINED,
                Joining { linked, .. } if !linked.is_empty() => LINKED,
                Joining { .. } => PASSED,
            };
            assert_eq!(came, expected, "{opener:?} {is_urgent} {age:?} {title}");
        }
    }
}

/// One whose time is after ours was opened just now.
#[test]
fn one_of_a_clock_ahead_of_ours_is_young() {
    let ahead = Candidate { created_at: Some(now() + jiff::SignedDuration::from_hours(48)), ..theirs("prod-us-south") };
    assert!(joining(vec![ahead]).joined.is_some());
}

#[test]
fn of_several_the_oldest_is_joined_and_the_others_are_linked() {
    let opened = |title: &str, hours: i64| Candidate {
        created_at: Some(now() - jiff::SignedDuration::from_hours(hours)),
        ..theirs(title)
    };
    let low = Candidate { is_urgent: false, ..opened("prod-us-south is slow", 5) };
    let ours = Candidate { opener: Opener::Us(region("prod-us-south")), ..opened("incident 42", 1) };
    let open = vec![opened("prod-us-south 2h", 2), ours, opened("prod-us-south 3h", 3), low, opened("a disk", 4)];
    let linked = ["prod-us-south is slow", "prod-us-south 2h", "incident 42"].map(str::to_owned).to_vec();
    assert_eq!(joining(open), Joining { joined: Some("prod-us-south 3h".to_owned()), linked });
    assert_eq!(joining(Vec::new()), Joining { joined: None, linked: Vec::new() });
}

#[test]
fn what_can_not_be_read_may_be_one_where_it_is_ours_or_names_the_alert() {
    let ours = || json!("se-responder/Q7");
    for (service, key, title, expected) in [
        (json!("PSE"), Value::Null, json!("prod-us-south is down"), true),
        (json!("PSE"), ours(), json!("incident 42"), true),
        (json!("PSE"), ours(), Value::Null, true),
        // It does not say of which service it is.
        (Value::Null, Value::Null, json!(format!("box {BOX}")), true),
        (json!(7), ours(), Value::Null, true),
        (json!("POTHER"), ours(), json!("prod-us-south is down"), false),
        (json!("PSE"), json!("their-key"), json!("prod-us-south-2 is down"), false),
        (json!("PSE"), Value::Null, json!(["prod-us-south"]), false),
        (json!("PSE"), Value::Null, Value::Null, false),
    ] {
        let entry = json!({"service": {"id": service}, "incident_key": key, "title": title});
        let left = LeftOut { entry: entry.clone(), why: "no id".to_owned() };
        assert_eq!(by_names(|names| may_be_one(&left, "PSE", names)), expected, "{entry}");
    }
    let bare = LeftOut { entry: json!("prod-us-south"), why: "no object".to_owned() };
    assert!(!by_names(|names| may_be_one(&bare, "PSE", names)));
}

#[test]
fn the_alert_of_a_key_of_ours() {
    assert_eq!(alert_of(Some("se-responder/Q7")), Some("Q7"));
    for none in [None, Some("Q7"), Some("x-se-responder/Q7")] {
        assert_eq!(alert_of(none), None, "{none:?}");
    }
}
