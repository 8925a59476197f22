//! `OPERATOR_TOKENS` and `VIEWER_TOKENS`: who holds which.

use sha2::{Digest, Sha256};

use crate::config::parse_tokens;
use outbound::secret::Secret;

/// Who may read, and who may act. Read again at each request where they are kept in files.
#[derive(Clone, Debug)]
pub struct Tokens {
    operators: Option<Secret>,
    viewers: Option<Secret>,
}

/// Somebody whose token is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    /// The name beside the token.
    pub name: String,
    /// Whether they may act, not only read.
    pub operator: bool,
}

impl Tokens {
    /// `OPERATOR_TOKENS` and `VIEWER_TOKENS`.
    pub fn new(operators: Option<Secret>, viewers: Option<Secret>) -> Self {
        Self { operators, viewers }
    }

    /// The holder of a token.
    pub(super) fn holder(&self, token: &str) -> Option<Person> {
        // Digests are compared, so that the time it takes tells nothing about a token.
        let digest = Sha256::digest(token);
        self.find(|_, known| Sha256::digest(known) == digest)
    }

    /// The first holder, operators first, whose name and token please.
    pub(super) fn find(&self, pleases: impl Fn(&str, &str) -> bool) -> Option<Person> {
        [(&self.operators, true), (&self.viewers, false)].into_iter().find_map(|(secret, operator)| {
            let text = secret
                .as_ref()?
                .reveal()
                .inspect_err(|e| tracing::error!(error = %e, "tokens can't be read: nobody who holds one can sign in"))
                .ok()?;
            parse_tokens(&text)
                .inspect_err(|e| tracing::error!(error = %e, "tokens can't be read: nobody who holds one can sign in"))
                .ok()?
                .into_iter()
                .find(|(name, token)| pleases(name, token))
                .map(|(name, _)| Person { name, operator })
        })
    }
}
