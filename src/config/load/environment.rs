//! Where settings come from, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use super::names::is_known;
use outbound::text_file::read_text;

/// Where settings come from: the process's environment over a `.env` file.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Names that the `.env` file gives: a name there that nobody knows is a slip worth a warning.
    pub(super) from_file: BTreeSet<String>,
}

/// Every problem that was found, one a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems = if self.0.len() == 1 { "setting is" } else { "settings are" };
        write!(f, "{} {problems} missing or wrong:", self.0.len())?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        write!(f, "\nEvery setting is explained in .env.example and docs/settings.md.")
    }
}

impl Problems {
    /// Whether any of these settings is missing or wrong, itself or its file.
    pub fn concern(&self, names: &[&str]) -> bool {
        self.0.iter().filter_map(|problem| problem.split_once(':')).any(|(of, _)| {
            let of = of.strip_suffix("_FILE").filter(|_| !names.contains(&of)).unwrap_or(of);
            names.contains(&of)
        })
    }
}

impl std::error::Error for Problems {}

impl Environment {
    /// The process's environment, over the `.env` file of the working directory where there is one: whatever can be read,
    /// and what could not: of the `.env` file, or variables that are not UTF-8.
    pub fn of_process() -> (Self, Problems) {
        let mut problems = Vec::new();
        let mut variables = BTreeMap::new();
        let mut from_file = BTreeSet::new();
        match read_text(Path::new(".env")) {
            Ok(text) => {
                for entry in dotenvy::from_read_iter(text.as_bytes()) {
                    match entry {
                        Ok((name, value)) => {
                            from_file.insert(name.clone());
                            variables.insert(name, value);
                        }
                        // The library's message quotes the line, which may hold a secret.
                        Err(_) => problems.push(".env has a line that can't be read: write NAME=value".into()),
                    }
                }
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(_) => problems.push(".env can't be read".into()),
        }
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            match value.into_string() {
                Ok(value) => {
                    variables.insert(name.to_owned(), value);
                }
                Err(_) if is_known(name) => problems.push(format!("{name} is not UTF-8")),
                Err(_) => {}
            }
        }
        (Self { variables, from_file }, Problems(problems))
    }

    /// Settings given directly: for `demo` and the tests.
    pub fn of<N: Into<String>, V: Into<String>>(settings: impl IntoIterator<Item = (N, V)>) -> Self {
        Self {
            variables: settings.into_iter().map(|(n, v)| (n.into(), v.into())).collect(),
            from_file: BTreeSet::new(),
        }
    }

    /// A setting; an empty one counts as not given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
    }
}
