//! Secrets: a type that can't be printed, and files that are read again because credentials are renewed on disk.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use crate::text_file::read_text;

/// A secret given as `NAME`, or as a file by `NAME_FILE`.
#[derive(Clone)]
pub enum Secret {
    /// Given in the environment.
    Value(SecretString),
    /// Kept in a file (white space around it and a byte order mark don't count), read at every use so that a renewed one is picked up.
    File(PathBuf),
}

impl Secret {
    /// Whether it may be another one at its next use.
    pub fn is_renewable(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The secret itself, for the one place that sends or compares it.
    ///
    /// # Errors
    /// The file can't be read, or is empty.
    pub fn reveal(&self) -> Result<String, std::io::Error> {
        match self {
            Self::Value(value) => Ok(value.expose_secret().to_owned()),
            Self::File(path) => {
                let text = read_text(path)?;
                let text = text.trim();
                if text.is_empty() {
                    return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the file is empty"));
                }
                Ok(text.to_owned())
            }
        }
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::Value(SecretString::from(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("[secret]"),
            Self::File(path) => write!(f, "[secret in {}]", path.display()),
        }
    }
}
