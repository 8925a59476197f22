//! JSON as some versions and plugins send it: with entries in lists that are none.

use serde_json::{Value, json};

/// Puts `null` and something of another type before and behind the entries of every list, however deep.
pub(super) fn with_odd_entries(document: Value) -> Value {
    match document {
        Value::Array(entries) => {
            let entries = entries.into_iter().map(with_odd_entries);
            [Value::Null].into_iter().chain(entries).chain([json!(7), Value::Null]).collect()
        }
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, with_odd_entries(value))).collect(),
        scalar => scalar,
    }
}
