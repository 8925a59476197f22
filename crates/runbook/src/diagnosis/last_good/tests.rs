use super::*;
use crate::diagnosis::{BrokenAt, Console};

const AZ1: &str = "registry-prod-us-south-az1";
const AZ2: &str = "registry-prod-us-south-az2";

fn region() -> Region {
    "prod-us-south".parse().unwrap()
}

fn expected() -> [Zone; 2] {
    [Zone::new(AZ1), Zone::new(AZ2)]
}

fn at() -> Timestamp {
    "2026-08-14T02:00:00Z".parse().unwrap()
}

fn a_box(name: &str) -> MagicBox {
    MagicBox {
        name: name.into(),
        magic_box_id: format!("vm-of-{name}"),
        node: "Ready".into(),
        backend_ip: "10.94.143.238".into(),
        frontend: "166.9.12.114/23".into(),
        se_status: 1,
        upstream_status: 1,
    }
}

fn good() -> GoodReading {
    GoodReading { at: at(), build_url: Some("https://jenkins/7/".into()), boxes: boxes() }
}

fn boxes() -> Vec<MagicBox> {
    [format!("{AZ1}-1"), format!("{AZ1}-2"), format!("{AZ2}-1")].iter().map(|name| a_box(name)).collect()
}

/// The zones of a diagnosis that shows these boxes.
fn zones(boxes: &[MagicBox]) -> Vec<ZoneDiagnosis> {
    let zone = |zone: Zone| ZoneDiagnosis {
        boxes: boxes.iter().filter(|b| b.name.starts_with(zone.as_str())).cloned().collect(),
        cluster: zone,
        broken_at: BrokenAt::Unknown,
        checks: None,
        expected: true,
        unread: false,
    };
    expected().map(zone).into()
}

/// Name, what, was, is; `-` where there is none.
fn told(zones: &[ZoneDiagnosis]) -> Vec<String> {
    let since = compare(&good(), zones).unwrap();
    assert_eq!((since.at, since.build_url.as_deref()), (at(), Some("https://jenkins/7/")));
    let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    since
        .changes
        .iter()
        .map(|c| {
            let name = c.name.trim_start_matches("registry-prod-us-south-");
            format!("{name} {:?} {} {}", c.changed, word(&c.was), word(&c.is))
        })
        .collect()
}

#[test]
fn the_same_boxes_are_no_difference_whatever_their_statuses_and_their_order() {
    let mut now = boxes();
    now.reverse();
    for b in &mut now {
        (b.se_status, b.upstream_status) = (0, -1);
    }
    assert_eq!(told(&zones(&now)), [""; 0]);
}

#[test]
fn each_thing_that_may_change_is_told_by_itself() {
    type Make = fn(&mut MagicBox);
    let cases: [(Make, &str); 4] = [
        (|b| b.magic_box_id = "vm-new".into(), "az1-2 MagicBoxId vm-of-registry-prod-us-south-az1-2 vm-new"),
        (|b| b.backend_ip = "10.1.1.1".into(), "az1-2 BackendIp 10.94.143.238 10.1.1.1"),
        (|b| b.frontend = "166.9.12.114/24".into(), "az1-2 Frontend 166.9.12.114/23 166.9.12.114/24"),
        (|b| b.node = "NotReady".into(), "az1-2 Node Ready NotReady"),
    ];
    for (change, says) in cases {
        let mut now = boxes();
        change(&mut now[1]);
        assert_eq!(told(&zones(&now)), [says]);
    }
    let mut now = boxes();
    for (change, _) in cases {
        change(&mut now[1]);
    }
    assert_eq!(told(&zones(&now)), cases.map(|(_, says)| says), "and all of them together");
}

#[test]
fn a_box_that_is_gone_and_one_that_is_new() {
    let mut now = boxes();
    now[1].name = format!("{AZ1}-3");
    assert_eq!(
        told(&zones(&now)),
        ["az1-2 Gone vm-of-registry-prod-us-south-az1-2 -", "az1-3 New - vm-of-registry-prod-us-south-az1-2"]
    );
    // A whole zone that the reading does not show: its Magic Box IDs are what its team asks for.
    assert_eq!(told(&zones(&boxes()[..2])), ["az2-1 Gone vm-of-registry-prod-us-south-az2-1 -"]);
}

#[test]
fn a_zone_with_a_box_that_could_not_be_read_has_lost_none() {
    let mut now = zones(&boxes()[..1]);
    now[0].unread = true;
    assert_eq!(told(&now), ["az2-1 Gone vm-of-registry-prod-us-south-az2-1 -"], "of the other zone it is known");
    // What is read of it is compared all the same.
    now[0].boxes[0].node = "NotReady".into();
    assert_eq!(told(&now)[0], "az1-1 Node Ready NotReady");
}

#[test]
fn without_any_box_nothing_can_be_said() {
    assert_eq!(compare(&good(), &zones(&[])), None);
    assert_eq!(compare(&good(), &[]), None);
}

#[test]
fn a_good_reading_is_complete_and_all_well() {
    let reading = |boxes: Vec<MagicBox>, unreadable: &[&str]| Reading {
        build_url: Some("https://jenkins/7/".into()),
        at: at(),
        console: Console {
            boxes,
            unreadable: unreadable.iter().map(|n| (*n).to_owned()).collect(),
            ..Console::default()
        },
        warnings: vec![],
        set_aside: vec![],
    };
    let of = |reading: &Reading| GoodReading::of(&region(), &expected(), reading);
    // Boxes of other regions are none of its business.
    let mut all = boxes();
    all.push(MagicBox { se_status: 0, ..a_box("registry-prod-eu-de-az1-1") });
    assert_eq!(of(&reading(all, &["registry-prod-eu-de-az1-2"])), Some(good()));

    let with = |change: fn(&mut MagicBox)| {
        let mut boxes = boxes();
        change(&mut boxes[1]);
        boxes
    };
    let unlisted = MagicBox { upstream_status: 0, ..a_box("registry-prod-us-south-az9-1") };
    for (name, boxes, unreadable) in [
        ("one rejects", with(|b| b.se_status = 0), vec![]),
        ("one gets no 200", with(|b| b.upstream_status = 0), vec![]),
        ("a zone is missing", boxes()[..2].to_vec(), vec![]),
        ("one can't be read", boxes(), vec!["registry-prod-us-south-az1-3"]),
        ("one of a zone that is not listed can't be read", boxes(), vec!["registry-prod-us-south-az9-1"]),
        ("one of a zone that is not listed is not well", [boxes(), vec![unlisted]].concat(), vec![]),
        ("there is none", vec![], vec![]),
    ] {
        assert_eq!(of(&reading(boxes, &unreadable)), None, "{name}");
    }
    assert_eq!(GoodReading::of(&region(), &[], &reading(vec![], &[])), None, "nothing was expected, nothing seen");
}

#[test]
fn words_of_the_api() {
    let change = Change { name: "n".into(), changed: Changed::MagicBoxId, was: Some("a".into()), is: None };
    let json = serde_json::to_value(&change).unwrap();
    assert_eq!(json, serde_json::json!({"name": "n", "changed": "magic_box_id", "was": "a", "is": null}));
    assert_eq!(serde_json::from_value::<Change>(json).unwrap(), change);
}
