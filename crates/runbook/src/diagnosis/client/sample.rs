//! Samples of Prometheus become [`Up`]: which of them are fresh, and whether that can be known.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Answer, Up};
use crate::span::show_duration;
use crate::text::clean;

/// The label that `timestamp()` takes away.
const NAME: &str = "__name__";
/// Why the age of a query's samples can't be known.
pub const NO_AGE: &str = "how old its samples are can't be known: the query is not a plain selector, so timestamp() of it is \
                          the time of asking";

/// One sample of the answer to an instant query.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The time at which the query was evaluated, in milliseconds since 1970 by Prometheus' clock.
    pub evaluated_ms: i64,
    /// Its value.
    pub value: f64,
}

/// The answer to an instant query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vector {
    /// Its samples.
    pub samples: Vec<Sample>,
    /// How many could not be read, and were left out.
    pub left_out: usize,
    /// What Prometheus (or what stands before several) warns of: the answer may lack some.
    pub warnings: Vec<String>,
}

/// A sample whose age is known.
#[derive(Clone, Copy)]
struct Dated {
    value: f64,
    taken_ms: i64,
    evaluated_ms: i64,
}

impl Dated {
    /// In milliseconds; of a sample that is ahead of Prometheus' own clock none.
    fn age(self) -> u64 {
        u64::try_from(self.evaluated_ms.saturating_sub(self.taken_ms)).unwrap_or_default()
    }
}

/// What a query's answer comes to, with that of `timestamp(<query>)`: "some sample 1 is `up`, samples but none 1 is `down`, none
/// or only old ones `absent`". Where it is not known how old the samples are, "the answer counts as not asked".
pub fn read(answer: &Vector, stamps: &Vector, max_age: Duration) -> Answer {
    let partial = partial(answer, stamps);
    if answer.samples.is_empty() {
        return match partial {
            Some(why) => Answer::not_asked(why),
            None => Answer { state: Some(Up::Absent), at: None, why: None },
        };
    }
    let dated = dated(answer, stamps);
    if dated.is_empty() {
        let why = "timestamp() of the query shows none of its samples: how old they are is not known";
        return Answer::not_asked(partial.unwrap_or_else(|| why.into()));
    }
    if dated.iter().all(|sample| sample.taken_ms == sample.evaluated_ms) {
        return Answer::not_asked(NO_AGE);
    }
    let max_age = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
    let fresh: Vec<Dated> = dated.iter().copied().filter(|sample| sample.age() <= max_age).collect();
    let is_one = |sample: &&Dated| sample.value == 1.0;
    if let Some(up) = newest(fresh.iter().filter(is_one)) {
        // Whatever is lacking.
        return Answer { state: Some(Up::Up), at: time(up), why: None };
    }
    match (partial, newest(fresh.iter())) {
        (Some(why), _) => Answer::not_asked(why),
        (None, Some(down)) => Answer { state: Some(Up::Down), at: time(down), why: None },
        // One of which it is not known may be fresh.
        (None, None) if dated.len() < answer.samples.len() => Answer::not_asked(
            "timestamp() of the query does not show all of its samples: how old they are is not known",
        ),
        (None, None) => Answer { state: Some(Up::Absent), at: newest(dated.iter()).and_then(time), why: None },
    }
}

/// Whether all samples that both answers show are of the very time of asking: then their age is not known.
pub fn has_no_age(answer: &Vector, stamps: &Vector) -> bool {
    let dated = dated(answer, stamps);
    !dated.is_empty() && dated.iter().all(|sample| sample.taken_ms == sample.evaluated_ms)
}

/// Why the answers may lack samples.
fn partial(answer: &Vector, stamps: &Vector) -> Option<String> {
    let warnings: Vec<String> =
        answer.warnings.iter().chain(&stamps.warnings).take(2).map(|warning| clean(warning, 200)).collect();
    if !warnings.is_empty() {
        return Some(format!("Prometheus warns that its answer may lack some: {}", warnings.join("; ")));
    }
    let left_out = answer.left_out + stamps.left_out;
    (left_out > 0 && (answer.samples.is_empty() || stamps.samples.is_empty()))
        .then(|| format!("none of the samples that Prometheus gave can be read ({left_out})"))
}

/// The samples of an answer whose age is known: "samples matched by their labels but `__name__`". Two that can't be told apart by
/// these are left out: one would vouch for the other.
fn dated(answer: &Vector, stamps: &Vector) -> Vec<Dated> {
    let mut by_labels: BTreeMap<Key<'_>, Both<'_>> = BTreeMap::new();
    for sample in &answer.samples {
        by_labels.entry(key(sample)).or_default().0.push(sample);
    }
    for stamp in &stamps.samples {
        by_labels.entry(key(stamp)).or_default().1.push(stamp);
    }
    let pairs = by_labels.into_values().filter_map(|(samples, stamps)| match (samples.as_slice(), stamps.as_slice()) {
        ([sample], [stamp]) => Some((*sample, *stamp)),
        _ => None,
    });
    pairs
        .filter_map(|(sample, stamp)| {
            Some(Dated { value: sample.value, taken_ms: milliseconds(stamp.value)?, evaluated_ms: stamp.evaluated_ms })
        })
        .collect()
}

/// A sample's labels but its name.
type Key<'a> = Vec<(&'a str, &'a str)>;
/// The samples with the same labels, and the `timestamp()` of such.
type Both<'a> = (Vec<&'a Sample>, Vec<&'a Sample>);

fn key(sample: &Sample) -> Key<'_> {
    let labels = sample.labels.iter().filter(|(name, value)| *name != NAME && !value.is_empty());
    labels.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Seconds since 1970, to the millisecond that Prometheus counts in; `None` where it is no time.
pub fn milliseconds(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    // Within what a time can be.
    (ms.is_finite() && ms.abs() < 2.5e14).then_some(ms as i64)
}

fn newest<'a>(samples: impl Iterator<Item = &'a Dated>) -> Option<Dated> {
    samples.copied().max_by_key(|sample| sample.taken_ms)
}

fn time(sample: Dated) -> Option<Timestamp> {
    Timestamp::from_millisecond(sample.taken_ms).ok()
}

/// That nothing came within a time.
pub fn late(within: Duration) -> String {
    format!("Prometheus did not answer within {}", show_duration(within))
}
