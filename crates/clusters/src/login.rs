//! How a context logs in, and until when its token says that it is good: for `doctor`. Nothing is verified here.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use kube::config::AuthInfo;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Number;

use super::plugin;
use runbook::json;

/// How a context logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// By a token, its own or that of its file.
    Token(TokenTimes),
    /// By a program that is run for each check (an exec plugin).
    Plugin {
        /// The program, as the kubeconfig names it.
        command: String,
        /// Where it is on this machine; `None`: it is not.
        found: Option<PathBuf>,
    },
    /// By a certificate, a password, or nothing.
    Other,
}

/// What a token says of its own life; nothing where it says nothing, as that of a Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenTimes {
    /// When it was issued.
    pub issued: Option<Timestamp>,
    /// When it ends; `None`: it does not, or does not say.
    pub ends: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Claims {
    iat: Option<Number>,
    exp: Option<Number>,
}

impl Login {
    /// Of a user of a kubeconfig, whose token file was read.
    pub(super) fn of(user: &AuthInfo) -> Self {
        if plugin::is_needed(user) {
            let command = user.exec.as_ref().and_then(|exec| exec.command.clone()).unwrap_or_default();
            let found = program(&command, std::env::var_os("PATH").as_deref());
            return Self::Plugin { command, found };
        }
        match &user.token {
            Some(token) => Self::Token(TokenTimes::of(token.expose_secret())),
            None => Self::Other,
        }
    }
}

impl TokenTimes {
    /// Of a token, where it is one that says so (a JWT).
    fn of(token: &str) -> Self {
        let mut parts = token.split('.');
        let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Self::default();
        };
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).unwrap_or_default();
        let Ok(claims) = json::read::<Claims>(&payload) else { return Self::default() };
        let at = |number: Option<Number>| number?.as_f64().and_then(|at| Timestamp::from_second(at as i64).ok());
        Self { issued: at(claims.iat), ends: at(claims.exp) }
    }
}

/// Where a program is that would be run by this name.
fn program(command: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    let is_program = |path: &Path| path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if command.contains(MAIN_SEPARATOR) {
        return Some(PathBuf::from(command)).filter(|path| is_program(path));
    }
    let folders = std::env::split_paths(path.unwrap_or_default());
    folders.map(|folder| folder.join(command)).find(|path| !command.is_empty() && is_program(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_token_says_when_it_ends_or_nothing() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let both = TokenTimes::of(&jwt(r#"{"iat":1755650000,"exp":1755736400,"sub":"system:serviceaccount:a:b"}"#));
        assert_eq!(both, TokenTimes { issued: at(1_755_650_000), ends: at(1_755_736_400) });
        let parts = TokenTimes::of(&jwt(r#"{"exp":1755736400.9}"#));
        assert_eq!(parts, TokenTimes { issued: None, ends: at(1_755_736_400) });
        let secret = jwt(r#"{"iss":"kubernetes/serviceaccount"}"#);
        let far = jwt(r#"{"exp":1e300}"#);
        for silent in
            [secret.as_str(), &far, "opaque", "a.b", "a.!.c", "a.b.c.d", "", &jwt("[]"), &jwt("{\"exp\":\"x\"}")]
        {
            assert_eq!(TokenTimes::of(silent), TokenTimes::default(), "{silent}");
        }
        // Some pad what is not to be padded.
        let padded = jwt(r#"{"exp":1755736400}"#).replacen(".c2ln", "=.c2ln", 1);
        assert_eq!(TokenTimes::of(&padded).ends, at(1_755_736_400));
    }

    #[test]
    fn a_program_is_found_as_it_would_be_run() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("ibmcloud");
        std::fs::write(&there, "").unwrap();
        let path = Some(folder.path().as_os_str());
        assert_eq!(program("ibmcloud", path), None, "it can't be run");
        std::fs::set_permissions(&there, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(program("ibmcloud", path), Some(there.clone()));
        assert_eq!(program(there.to_str().unwrap(), None), Some(there.clone()));
        for missing in ["ibmclou", "", "./ibmcloud-not-there", folder.path().to_str().unwrap()] {
            assert_eq!(program(missing, path), None, "{missing}");
        }
        assert_eq!(program("ibmcloud", None), None);
    }
}
