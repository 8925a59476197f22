//! What Prometheus answers becomes samples; each entry that can't be read is left out and counted.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use outbound::error::Error;
use runbook::diagnosis::client::sample::{Sample, Vector, milliseconds};
use runbook::json::or_default;
use runbook::text::clean;

/// More samples are not read: an end-to-end test has a handful a region.
const MOST_SAMPLES: usize = 10_000;
/// How much of what Prometheus says is quoted.
const QUOTED: usize = 300;

/// An answer of `/api/v1/query`.
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default, deserialize_with = "or_default")]
    status: String,
    #[serde(default, deserialize_with = "or_default")]
    data: Option<Data>,
    #[serde(default, rename = "errorType", deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    error: String,
    #[serde(default, deserialize_with = "or_default")]
    warnings: Vec<Value>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default, rename = "resultType", deserialize_with = "or_default")]
    kind: String,
    #[serde(default)]
    result: Value,
}

pub(super) fn read(doing: &str, answer: Answer) -> Result<Vector, Error> {
    if answer.status != "success" {
        let got = match (answer.status.as_str(), answer.error.as_str()) {
            ("error", said) => format!("an error, {}: {}", clean(&answer.kind, 60), clean(said, QUOTED)),
            _ => "JSON that is not an answer of Prometheus".to_owned(),
        };
        return Err(Error::malformed(doing, got));
    }
    let Some(Data { kind, result }) = answer.data else {
        return Err(Error::malformed(doing, "an answer without data"));
    };
    let (true, Value::Array(entries)) = (kind == "vector", result) else {
        let got =
            format!("a {} where a vector is needed", if kind.is_empty() { "thing".into() } else { clean(&kind, 40) });
        let advice = Some("query_se and query_public have to give an instant vector, as a selector does");
        return Err(Error { advice, ..Error::malformed(doing, got) });
    };
    if entries.len() > MOST_SAMPLES {
        return Err(Error::malformed(doing, format!("more than {MOST_SAMPLES} samples")));
    }
    let all = entries.len();
    let samples: Vec<Sample> = entries.iter().filter_map(sample).collect();
    let said = answer.warnings.iter().take(5).map(|warning| match warning {
        Value::String(text) => clean(text, QUOTED),
        other => clean(&other.to_string(), QUOTED),
    });
    Ok(Vector { left_out: all - samples.len(), samples, warnings: said.collect() })
}

/// `{"metric": {…}, "value": [<evaluation time>, "<value>"]}`.
fn sample(entry: &Value) -> Option<Sample> {
    let labels: Option<BTreeMap<String, String>> = (entry.get("metric")?.as_object()?.iter())
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let [time, value] = entry.get("value")?.as_array()?.as_slice() else { return None };
    let evaluated_ms = milliseconds(time.as_f64()?)?;
    // "NaN", "+Inf" and "-Inf" are values too.
    let value = value.as_str()?.parse().ok()?;
    Some(Sample { labels: labels?, evaluated_ms, value })
}
