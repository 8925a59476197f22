//! As much of PromQL as is asked: a selector with equal labels, `timestamp(…)`, `max by (…) (…)`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::Series;
use runbook::span::before;

/// An instant query looks back so far.
const LOOK_BACK: Duration = Duration::from_secs(300);

/// One sample of an answer: its labels, and its value as it is written.
pub(super) type Sample = (BTreeMap<String, String>, String);

/// A query.
#[derive(Debug)]
enum Expr {
    Selector(Vec<(String, String)>),
    Timestamp(Box<Expr>),
    MaxBy(Vec<String>, Box<Expr>),
}

/// A sample on its way; when it was taken, where it still is one of a series.
struct Value {
    labels: BTreeMap<String, String>,
    value: String,
    taken: Option<Timestamp>,
}

/// Evaluates a query now.
///
/// # Errors
/// It can't be parsed, in Prometheus' manner.
pub(super) fn evaluate(query: &str, series: &[Series], now: Timestamp) -> Result<Vec<Sample>, String> {
    let mut parser = Parser { left: query };
    let expr = parser.expr()?;
    parser.space();
    if !parser.left.is_empty() {
        return Err(parser.unexpected());
    }
    Ok(expr.values(series, now).into_iter().map(|v| (v.labels, v.value)).collect())
}

impl Expr {
    fn values(&self, series: &[Series], now: Timestamp) -> Vec<Value> {
        match self {
            Self::Selector(wanted) => {
                let has = |s: &&Series| wanted.iter().all(|label| s.labels.contains(label)) && s.age <= LOOK_BACK;
                let of = |s: &Series| Value {
                    labels: s.labels.iter().cloned().collect(),
                    value: s.value.clone(),
                    taken: Some(before(now, s.age)),
                };
                series.iter().filter(has).map(of).collect()
            }
            Self::Timestamp(of) => {
                let stamped = |mut value: Value| {
                    value.labels.remove("__name__");
                    // Of anything but a sample of a series, the time of evaluation.
                    value.value = seconds(value.taken.take().unwrap_or(now));
                    value
                };
                of.values(series, now).into_iter().map(stamped).collect()
            }
            Self::MaxBy(names, of) => {
                let mut groups: BTreeMap<BTreeMap<String, String>, f64> = BTreeMap::new();
                for value in of.values(series, now) {
                    let kept = value.labels.into_iter().filter(|(name, _)| names.contains(name)).collect();
                    let number = value.value.parse().unwrap_or(f64::NAN);
                    let most = groups.entry(kept).or_insert(number);
                    *most = most.max(number);
                }
                let group = |(labels, value): (_, f64)| Value { labels, value: value.to_string(), taken: None };
                groups.into_iter().map(group).collect()
            }
        }
    }
}

/// Seconds since 1970 with milliseconds, as Prometheus writes a number.
pub(super) fn seconds(time: Timestamp) -> String {
    (time.as_millisecond() as f64 / 1000.0).to_string()
}

struct Parser<'a> {
    left: &'a str,
}

impl<'a> Parser<'a> {
    fn unexpected(&self) -> String {
        format!("invalid parameter \"query\": 1:1: parse error: unexpected {:?}", self.left.chars().next())
    }

    fn space(&mut self) {
        self.left = self.left.trim_start();
    }

    fn eat(&mut self, text: &str) -> Result<(), String> {
        self.space();
        self.left = self.left.strip_prefix(text).ok_or_else(|| self.unexpected())?;
        Ok(())
    }

    fn word(&mut self) -> &'a str {
        self.space();
        let end = self.left.find(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c))).unwrap_or(self.left.len());
        let (word, left) = self.left.split_at(end);
        self.left = left;
        word
    }

    fn expr(&mut self) -> Result<Expr, String> {
        let word = self.word();
        match word {
            "timestamp" => {
                self.eat("(")?;
                let of = self.expr()?;
                self.eat(")")?;
                Ok(Expr::Timestamp(Box::new(of)))
            }
            "max" => {
                self.eat("by")?;
                self.eat("(")?;
                let mut names = vec![self.word().to_owned()];
                while self.eat(",").is_ok() {
                    names.push(self.word().to_owned());
                }
                self.eat(")")?;
                self.eat("(")?;
                let of = self.expr()?;
                self.eat(")")?;
                Ok(Expr::MaxBy(names, Box::new(of)))
            }
            "" => Err(self.unexpected()),
            name => self.selector(name),
        }
    }

    fn selector(&mut self, name: &str) -> Result<Expr, String> {
        let mut wanted = vec![("__name__".to_owned(), name.to_owned())];
        if self.eat("{").is_ok() {
            while self.eat("}").is_err() {
                let label = self.word().to_owned();
                self.eat("=")?;
                self.eat("\"")?;
                let (value, left) = self.left.split_once('"').ok_or_else(|| self.unexpected())?;
                self.left = left;
                wanted.push((label, value.to_owned()));
                let _ = self.eat(",");
            }
        }
        Ok(Expr::Selector(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Vec<Sample>, String> {
        let now = Timestamp::from_millisecond(1_780_000_000_250).expect("a time");
        let age = Duration::from_millis(7_250);
        let old = Duration::from_secs(301);
        let series = [
            Series::test("se", "prod-us-south", "1", age),
            Series::test("se", "prod-eu-de", "0", age),
            Series::test("se", "prod-old", "1", old),
        ];
        evaluate(query, &series, now)
    }

    #[test]
    fn what_is_asked_is_answered_as_prometheus_does() {
        let south = asked("probe_success{job=\"se\",region=\"prod-us-south\"}").unwrap();
        assert_eq!((south.len(), south[0].1.as_str(), south[0].0["__name__"].as_str()), (1, "1", "probe_success"));
        let stamp = asked("timestamp(probe_success{region=\"prod-us-south\"})").unwrap();
        assert_eq!((stamp[0].1.as_str(), stamp[0].0.contains_key("__name__")), ("1779999993", false));
        let all = asked("max by (region) (probe_success)").unwrap();
        assert_eq!(
            all.iter().map(|(labels, value)| (labels.len(), value.as_str())).collect::<Vec<_>>(),
            [(1, "0"), (1, "1")]
        );
        let grouped = asked("timestamp(max by (region) (probe_success))").unwrap();
        assert!(grouped.iter().all(|(_, value)| value == "1780000000.25"), "{grouped:?}");
        assert!(asked("probe_success{region=\"prod-old\"}").unwrap().is_empty(), "an instant query looks back 5 min");
        for wrong in ["", "probe_success{", "probe_success{a=b}", "timestamp(x", "x)", "max(x)"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }
}
