//! One request, read, and what PagerDuty says no with.

use serde_json::{Map, Value};

/// A request that passed the gate.
pub(super) struct Call<'a> {
    pub(super) path: Vec<&'a str>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
    /// Who a write is from: a user's id.
    pub(super) user_id: String,
}

/// What PagerDuty says no with.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: u32,
    pub(super) message: &'static str,
    pub(super) errors: Vec<String>,
}

impl Refusal {
    /// `Invalid Input Provided`, with what is wrong about it.
    pub(super) fn input(error: impl Into<String>) -> Self {
        Self { status: 400, code: 2001, message: "Invalid Input Provided", errors: vec![error.into()] }
    }

    pub(super) fn not_found() -> Self {
        Self { status: 404, code: 2100, message: "Not Found", errors: Vec::new() }
    }

    pub(super) fn new(status: u16, code: u32, message: &'static str) -> Self {
        Self { status, code, message, errors: Vec::new() }
    }
}

pub(super) type Answer = Result<(u16, Value), Refusal>;

impl Call<'_> {
    /// Every value of a parameter, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn one<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).last()
    }

    /// Only these parameters: a misspelt one would otherwise be a filter that does nothing.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Refusal> {
        match self.query.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            Some((name, _)) => Err(Refusal::input(format!("Unknown parameter {name}"))),
            None => Ok(()),
        }
    }

    /// The object under `name` of the body, which has no other field and no field but `fields`.
    pub(super) fn object(&self, name: &str, fields: &[&str]) -> Result<&Map<String, Value>, Refusal> {
        let whole = self.body.as_object().filter(|whole| whole.len() == 1);
        let object = whole
            .and_then(|whole| whole.get(name)?.as_object())
            .ok_or_else(|| Refusal::input(format!("The body must be {{\"{name}\": {{…}}}}")))?;
        match object.keys().find(|key| !fields.contains(&key.as_str())) {
            Some(key) => Err(Refusal::input(format!("Unknown field {name}.{key}"))),
            None => Ok(object),
        }
    }
}
