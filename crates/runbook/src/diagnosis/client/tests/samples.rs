//! Samples become up, down, absent, or nothing that counts.

use super::*;

const MAX_AGE: Duration = Duration::from_secs(120);
const NOW_MS: i64 = 1_780_000_000_000;

fn labels(instance: &str) -> std::collections::BTreeMap<String, String> {
    [("job", "se"), ("instance", instance)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

fn sample(instance: &str, value: f64) -> Sample {
    let mut labels = labels(instance);
    labels.insert("__name__".into(), "probe_success".into());
    Sample { labels, evaluated_ms: NOW_MS, value }
}

/// `timestamp()` of a sample that is so many milliseconds old.
fn stamp(instance: &str, age_ms: i64) -> Sample {
    Sample { labels: labels(instance), evaluated_ms: NOW_MS + 40, value: (NOW_MS + 40 - age_ms) as f64 / 1000.0 }
}

fn vector(samples: Vec<Sample>) -> Vector {
    Vector { samples, ..Vector::default() }
}

fn state(samples: &[(&str, f64)], ages: &[(&str, i64)]) -> Answer {
    let samples = samples.iter().map(|(instance, value)| sample(instance, *value)).collect();
    read(&vector(samples), &vector(ages.iter().map(|(instance, age)| stamp(instance, *age)).collect()), MAX_AGE)
}

#[test]
fn some_sample_1_is_up_none_1_is_down_none_or_only_old_ones_absent() {
    for (samples, ages, expected) in [
        (&[("a", 1.0)][..], &[("a", 1_000)][..], Up::Up),
        (&[("a", 0.0)], &[("a", 1_000)], Up::Down),
        (&[("a", f64::NAN)], &[("a", 1_000)], Up::Down),
        (&[("a", 0.999)], &[("a", 1_000)], Up::Down),
        (&[("a", 2.0)], &[("a", 1_000)], Up::Down),
        (&[("a", 0.0), ("b", 1.0)], &[("a", 1_000), ("b", 1_000)], Up::Up),
        (&[("a", 0.0), ("b", 0.0)], &[("a", 1_000), ("b", 1_000)], Up::Down),
        (&[], &[], Up::Absent),
        (&[], &[("a", 1_000)], Up::Absent),
        // "An older sample is none": the bound itself is no older.
        (&[("a", 1.0)], &[("a", 120_000)], Up::Up),
        (&[("a", 1.0)], &[("a", 120_001)], Up::Absent),
        (&[("a", 0.0)], &[("a", 120_001)], Up::Absent),
        (&[("a", 1.0), ("b", 0.0)], &[("a", 120_001), ("b", 1_000)], Up::Down),
        // Ahead of Prometheus' own clock is not old.
        (&[("a", 1.0)], &[("a", -5_000)], Up::Up),
    ] {
        let answer = state(samples, ages);
        assert_eq!((answer.state, answer.why), (Some(expected), None), "{samples:?} {ages:?}");
    }
}

#[test]
fn the_time_is_that_of_the_newest_sample_that_says_so() {
    let ms = |ms: i64| Timestamp::from_millisecond(ms).ok();
    let answer = state(&[("a", 1.0), ("b", 1.0), ("c", 0.0)], &[("a", 9_040), ("b", 5_040), ("c", 1_040)]);
    assert_eq!(answer.at, ms(NOW_MS - 5_000));
    let old = state(&[("a", 1.0), ("b", 0.0)], &[("a", 200_040), ("b", 300_040)]);
    assert_eq!((old.state, old.at), (Some(Up::Absent), ms(NOW_MS - 200_000)));
}

/// Labels that lie: each sample has its own age, whatever the order and whatever others are fresh.
#[test]
fn samples_are_matched_by_their_labels_but_the_name() {
    let old_one = state(&[("a", 1.0), ("b", 0.0)], &[("b", 1_000), ("a", 500_000)]);
    assert_eq!(old_one.state, Some(Up::Down), "b's freshness is not a's");
    let strange = state(&[("a", 1.0)], &[("z", 1_000)]);
    assert_eq!(strange.state, None);
    assert!(strange.why.as_ref().is_some_and(|why| why.contains("how old they are is not known")), "{strange:?}");
    // Two series that only their names tell apart: neither vouches for the other.
    let twice = state(&[("a", 1.0), ("a", 0.0)], &[("a", 1_000), ("a", 500_000)]);
    assert_eq!(twice.state, None);
    let beside = state(&[("a", 1.0), ("a", 1.0), ("b", 0.0)], &[("a", 1_000), ("b", 1_000)]);
    assert_eq!(beside.state, Some(Up::Down), "what can't be told apart is left out, the rest counts");
    // An empty label is none.
    let mut empty = sample("a", 1.0);
    empty.labels.insert("zone".into(), String::new());
    assert_eq!(read(&vector(vec![empty]), &vector(vec![stamp("a", 5)]), MAX_AGE).state, Some(Up::Up));
}

#[test]
fn where_timestamp_is_the_time_of_asking_for_every_sample_the_age_is_not_known() {
    let grouped = state(&[("a", 1.0), ("b", 1.0)], &[("a", 0), ("b", 0)]);
    assert_eq!((grouped.state, grouped.why.as_deref()), (None, Some(NO_AGE)));
    // One that was scraped in that very millisecond says nothing of the others.
    assert_eq!(state(&[("a", 1.0), ("b", 0.0)], &[("a", 0), ("b", 3_000)]).state, Some(Up::Up));
    assert_eq!(state(&[], &[]).state, Some(Up::Absent), "of nothing nothing has to be known");
}

#[test]
fn what_can_not_be_a_time_is_none() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        let stamp = Sample { value, ..stamp("a", 0) };
        assert_eq!(read(&vector(vec![sample("a", 1.0)]), &vector(vec![stamp]), MAX_AGE).state, None, "{value}");
    }
}

/// A partial answer may lack the sample that is 1, never have one too many.
#[test]
fn with_a_warning_only_up_counts() {
    let warned = |value: f64| {
        let answer = Vector { warnings: vec!["a store is away".into()], ..vector(vec![sample("a", value)]) };
        read(&answer, &vector(vec![stamp("a", 1_000)]), MAX_AGE)
    };
    assert_eq!(warned(1.0).state, Some(Up::Up));
    assert!(warned(0.0).state.is_none() && warned(0.0).why.is_some_and(|why| why.contains("a store is away")));
    let empty = Vector { warnings: vec!["a store is away".into()], ..Vector::default() };
    assert_eq!(read(&empty, &Vector::default(), MAX_AGE).state, None);
    let unreadable = Vector { left_out: 2, ..Vector::default() };
    assert_eq!(
        read(&unreadable, &Vector::default(), MAX_AGE).state,
        None,
        "nothing is concluded from what can't be read"
    );
}

proptest! {
    /// Nothing is up but by a fresh 1, whatever Prometheus says.
    #[test]
    fn up_has_a_fresh_sample_of_its_own(
        samples in prop::collection::vec((0_u8..4, prop_oneof![Just(0.0), Just(1.0), any::<f64>()]), 0..5),
        stamps in prop::collection::vec((0_u8..4, prop_oneof![Just(0_i64), -1_000_000_i64..1_000_000]), 0..5),
    ) {
        let name = |n: &u8| ["a", "b", "c", "d"][usize::from(*n)];
        let given: Vec<_> = samples.iter().map(|(n, value)| (name(n), *value)).collect();
        let ages: Vec<_> = stamps.iter().map(|(n, age)| (name(n), *age)).collect();
        let answer = state(&given, &ages);
        let fresh_one = given.iter().any(|(instance, value)| {
            let own: Vec<_> = ages.iter().filter(|(of, _)| of == instance).collect();
            *value == 1.0 && matches!(own.as_slice(), [(_, age)] if *age <= 120_000)
        });
        prop_assert!(answer.state != Some(Up::Up) || fresh_one);
        prop_assert_eq!(answer.state.is_none(), answer.why.is_some());
        prop_assert!(answer.state != Some(Up::Down) || !given.is_empty());
    }
}
