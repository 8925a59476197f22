//! The other regions of a reading.

use super::*;

fn other(readings: Vec<Console>, listed: &[(Zone, Region)]) -> Diagnosis {
    let readings: Vec<_> = readings.into_iter().map(reading).collect();
    let (region, expected, earlier) = (region(), expected(), Earlier::default());
    diagnose(&Evidence {
        region: &region,
        expected: &expected,
        readings: &readings,
        checks: &[],
        earlier: &earlier,
        listed,
    })
}

fn counts(d: &Diagnosis) -> Vec<(&str, usize, usize)> {
    d.other_regions.iter().map(|r| (r.region.as_str(), r.boxes, r.whole)).collect()
}

/// The alert's region, and these boxes beside it.
fn beside(boxes: &[(&str, u8, i8)]) -> Console {
    let mut seen = three([(0, 0); 3]);
    seen.boxes.extend(boxes.iter().map(|(name, se, upstream)| named(name, *se, *upstream)));
    seen
}

#[test]
fn other_regions_are_counted_by_name() {
    let seen = beside(&[
        ("registry-prod-us-east-az1-1", 1, 1),
        ("registry-prod-global-az2-1", 0, 0),
        ("registry-prod-us-east-az1-2", 1, 1),
        ("registry-prod-us-east-az12-1", 1, 0),
        ("registry-prod-us-az1-1", 1, 1),
        ("registry-prod-us-south-2-az1-1", 1, 1),
        ("registry-prod-az1-az3-1", 0, 1),
    ]);
    let d = other(vec![seen], &[]);
    assert_eq!(
        counts(&d),
        [
            ("prod-az1", 1, 0),
            ("prod-global", 1, 0),
            ("prod-us", 1, 1),
            ("prod-us-east", 3, 2),
            ("prod-us-south-2", 1, 1)
        ]
    );
    assert_eq!(d.readings[0].warnings, [""; 0]);
    assert_eq!(d.readings[0].boxes, 3, "they don't count for the verdict");
    assert_eq!(counts(&other(vec![three([(1, 1); 3])], &[])), []);
    assert_eq!(counts(&other(vec![], &[])), []);
}

#[test]
fn a_box_whose_name_tells_no_region_is_left_out_with_a_warning() {
    let names =
        ["dal-a-1", "registry-az1-1", "registry-prod-eu-az-1", "registry-Prod-EU-az1-1", "registry-prod-eu-az1", ""];
    for name in names {
        let d = other(vec![beside(&[(name, 1, 1), ("registry-prod-eu-de-az1-1", 1, 1)])], &[]);
        assert_eq!(counts(&d), [("prod-eu-de", 1, 1)], "{name:?}");
        assert_eq!(
            d.readings[0].warnings,
            [format!("one box has a name that tells no region, so it is left out: {name:?}")]
        );
    }
    let all: Vec<String> = (0..9).map(|n| format!("box{n}")).collect();
    let boxes: Vec<_> = all.iter().map(|name| (name.as_str(), 1, 1)).collect();
    let warnings = other(vec![beside(&boxes)], &[]).readings[0].warnings.clone();
    assert!(warnings[0].starts_with("some boxes have names that tell no region, so they are left out: \"box0\", "));
    assert!(warnings[0].ends_with("\"box5\" and 3 more"), "{warnings:?}");
}

#[test]
fn a_zone_that_the_regions_file_lists_tells_its_region_whatever_its_name() {
    let zone = |name: &str, region: &str| (Zone::new(name), region.parse::<Region>().expect("a region"));
    let listed =
        [zone("dal-a", "prod-eu-de"), zone("registry-prod-eu-gb-az1", "prod-uk"), zone("dal-a-2", "prod-eu-fr")];
    let seen =
        beside(&[("dal-a-1", 1, 1), ("dal-a-2", 1, 0), ("registry-prod-eu-gb-az1-1", 1, 1), ("dal-a-2-1", 0, 1)]);
    let d = other(vec![seen], &listed);
    assert_eq!(counts(&d), [("prod-eu-de", 2, 1), ("prod-eu-fr", 1, 0), ("prod-uk", 1, 1)]);
    assert_eq!(d.readings[0].warnings, [""; 0]);
}

#[test]
fn they_are_those_of_the_reading_that_is_shown() {
    let (first, last) = (beside(&[("registry-prod-eu-de-az1-1", 1, 1), ("odd", 1, 1)]), beside(&[("odd", 1, 1)]));
    let d = other(vec![first.clone(), last.clone()], &[]);
    assert_eq!(counts(&d), []);
    assert_eq!(d.readings.iter().map(|r| r.warnings.len()).collect::<Vec<_>>(), [0, 1], "said once");
    // The last one failed: what is shown is the one before.
    let d = other(vec![first, Console::default()], &[]);
    assert_eq!(counts(&d), [("prod-eu-de", 1, 1)]);
    assert!(d.readings[0].warnings[0].contains("\"odd\""), "{:?}", d.readings);
}
