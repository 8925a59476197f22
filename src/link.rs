//! Signed links: a note's link opens its run's view without a sign-in, for that run alone, to read only, and for a
//! while (`LINK_TTL`). Sessions of people who signed in are signed by the same key.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use uuid::Uuid;

use outbound::secret::Secret;
use runbook::span::after;

/// Bytes of a signature that are shown: 128 bits can't be guessed, and the link still fits a line.
const SHOWN: usize = 16;

/// What signs: `LINK_SECRET`, else a key kept in the database.
#[derive(Clone)]
pub struct LinkKey {
    secret: Secret,
    ttl: Duration,
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkKey").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl LinkKey {
    /// A key, and how long its links live.
    pub fn new(secret: Secret, ttl: Duration) -> Self {
        Self { secret, ttl }
    }

    /// The key of a run's link, `<until, in seconds since 1970>-<signature>`: the same for the same run, so that a note
    /// that is written again says the same. `None` where the run's id doesn't tell its age, or the secret's file can't
    /// be read (which is logged).
    pub fn of_run(&self, run_id: &str) -> Option<String> {
        let (seconds, _) = run_id.parse::<Uuid>().ok()?.get_timestamp()?.to_unix();
        let created_at = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
        let until = after(created_at, self.ttl).as_second();
        Some(format!("{until}-{}", self.signature(&["run", run_id, &until.to_string()])?))
    }

    /// Whether this is the key of that run's link, and not over.
    pub fn opens(&self, key: &str, run_id: &str, now: Timestamp) -> bool {
        let Some((until, signature)) = key.split_once('-') else { return false };
        until.parse().is_ok_and(|until: i64| now.as_second() < until)
            && self.is_signed(&["run", run_id, until], signature)
    }

    /// A signature over parts, in hex; parts can't run into each other. `None` where the secret can't be read.
    pub fn signature(&self, parts: &[&str]) -> Option<String> {
        Some(hex::encode(&self.mac(parts)?.finalize().into_bytes()[..SHOWN]))
    }

    /// Whether that is the signature over these parts; compared in constant time.
    pub fn is_signed(&self, parts: &[&str], signature: &str) -> bool {
        let Ok(bytes) = hex::decode(signature) else { return false };
        bytes.len() == SHOWN && self.mac(parts).is_some_and(|mac| mac.verify_truncated_left(&bytes).is_ok())
    }

    fn mac(&self, parts: &[&str]) -> Option<Hmac<Sha256>> {
        let secret = self
            .secret
            .reveal()
            .inspect_err(|e| tracing::error!(error = %e, "links can't be signed or checked: LINK_SECRET_FILE"))
            .ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
        for part in parts {
            mac.update(&part.len().to_be_bytes());
            mac.update(part.as_bytes());
        }
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> LinkKey {
        LinkKey::new(Secret::from("a secret"), Duration::from_secs(60))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Made at second 1,785,000,000.
    const RUN: &str = "019f9a4a-7a00-762a-bf95-9d4254c5d8a3";
    const UNTIL: i64 = 1_785_000_000 + 60;

    #[test]
    fn a_link_opens_its_own_run_until_it_is_over() {
        let link = key().of_run(RUN).unwrap();
        assert!(link.starts_with(&format!("{UNTIL}-")), "{link}");
        assert_eq!(link, key().of_run(RUN).unwrap(), "a note written again says the same");
        assert!(key().opens(&link, RUN, at(UNTIL - 1)));
        assert!(!key().opens(&link, RUN, at(UNTIL)));
        assert!(!key().opens(&link, "019f9a4a-7a00-762a-bf95-9d4254c5d8a4", at(UNTIL - 1)));
        let other = LinkKey::new(Secret::from("another secret"), Duration::from_secs(60));
        assert!(!other.opens(&link, RUN, at(UNTIL - 1)));
    }

    #[test]
    fn nobody_makes_a_link_longer_lived_or_empty() {
        let link = key().of_run(RUN).unwrap();
        let (until, signature) = link.split_once('-').unwrap();
        for forged in [
            format!("9999999999-{signature}"),
            format!("{until}-"),
            format!("{until}-{}", &signature[..30]),
            String::new(),
        ] {
            assert!(!key().opens(&forged, RUN, at(1_000)), "{forged}");
        }
    }

    #[test]
    fn a_run_whose_id_tells_no_time_has_no_link() {
        assert_eq!(key().of_run("id-000001"), None);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(key().signature(&["ab", "c"]), key().signature(&["a", "bc"]));
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", key()), "LinkKey { ttl: 60s, .. }");
    }
}
