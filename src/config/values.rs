//! Values of settings: durations as `500ms`, `30s`, `2m`, `1h`, `90d`; URLs; tokens.

use std::time::Duration;

use url::Url;

/// Reads a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
///
/// # Errors
/// In words: it is something else, or too long to count.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let wrong = || format!("{text:?} is not a duration: write it as 500ms, 30s, 2m, 1h or 90d");
    if milliseconds == 0 || number.is_empty() {
        return Err(wrong());
    }
    let number: u64 = number.parse().map_err(|_| wrong())?;
    // A century is the longest wait that anybody can mean; beyond it sums of times could overflow.
    number
        .checked_mul(milliseconds)
        .filter(|ms| *ms <= 100 * 365 * 86_400_000)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is longer than a century"))
}

/// Checks a `DATABASE_URL`, which may hold a password and so is never repeated; gives a warning where it is risky.
///
/// # Errors
/// In words: what is wrong with it.
pub(super) fn database(text: &str) -> Result<Option<String>, String> {
    let scheme: String = text.chars().take_while(|c| *c != ':').take(20).collect();
    let known = "sqlite://<file> or postgres://<user>:<password>@<host>/<database>";
    match scheme.as_str() {
        "sqlite" => return Ok(None),
        "postgres" | "postgresql" => {}
        other => return Err(format!("{other:?} is not a supported database: use {known}")),
    }
    let url = Url::parse(text)
        .map_err(|e| format!("can't be read: {e}; use {known}, with signs in the password written as %XX"))?;
    let host = url.host_str().unwrap_or_default();
    let here = host.is_empty() || is_loopback(host);
    let socket = url.query_pairs().any(|(name, value)| name == "host" && value.starts_with('/'));
    let insists = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        name.replace('-', "") == "sslmode" && matches!(&*value, "require" | "verify-ca" | "verify-full")
    };
    Ok((!here && !socket && !url.query_pairs().any(insists)).then(|| {
        "DATABASE_URL does not insist on TLS: add ?sslmode=verify-full (and sslrootcert=<file> for a CA of your own)"
            .to_owned()
    }))
}

/// Whether a URL's host is this machine itself.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
}

/// Reads an http(s) URL that carries no credentials.
///
/// # Errors
/// In words: what is wrong with it.
pub(super) fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{text:?} is not a URL: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("{text:?} is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("carries a user or a password: give credentials by their own settings".into());
    }
    Ok(url)
}

/// Reads a Jenkins job's URL as a person copies it: `view/<name>` parts are aliases and taken out, a query dropped.
///
/// # Errors
/// In words: it is no URL, or not a job's.
pub(super) fn job_url(text: &str) -> Result<Url, String> {
    let mut url = web_url(text)?;
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().to_owned();
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let mut kept = Vec::new();
    let mut at = segments.iter().position(|s| matches!(*s, "job" | "view")).unwrap_or(segments.len());
    kept.extend_from_slice(&segments[..at]);
    let mut jobs = 0;
    while at < segments.len() {
        match (segments[at], segments.get(at + 1)) {
            ("job", Some(name)) => {
                kept.extend(["job", name]);
                jobs += 1;
            }
            ("view", Some(_)) => {}
            _ => jobs = 0,
        }
        if !matches!(segments[at], "job" | "view") {
            break;
        }
        at += 2;
    }
    if jobs == 0 {
        return Err(format!("{text:?} is not a job's page: it should end as in …/job/ServiceEndpointStatus/"));
    }
    url.set_path(&format!("/{}/", kept.join("/")));
    Ok(url)
}

/// The secrets of a comma-separated list; lines part them too, as in a file.
pub(crate) fn secrets_in(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '\n']).map(str::trim).filter(|secret| !secret.is_empty())
}

/// A token of fewer characters is refused: it can be guessed, and whoever holds it may page people.
const SHORTEST_TOKEN: usize = 8;
/// A token of fewer characters is warned of.
const LONG_ENOUGH: usize = 16;

/// Reads `name:token,…`.
///
/// # Errors
/// In words, without quoting a token: an entry without a name or token, a token that is too short, or one given twice.
pub(crate) fn parse_tokens(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut tokens: Vec<(String, String)> = Vec::new();
    for (at, entry) in text.split([',', '\n']).map(str::trim).filter(|e| !e.is_empty()).enumerate() {
        match entry.split_once(':') {
            Some((name, token)) if !name.trim().is_empty() && !token.trim().is_empty() => {
                if tokens.iter().any(|(n, _)| n == name.trim()) {
                    return Err(format!("entry {} has the same name as another", at + 1));
                }
                if tokens.iter().any(|(_, t)| t == token.trim()) {
                    return Err(format!("entry {} has the same token as another", at + 1));
                }
                if token.trim().chars().count() < SHORTEST_TOKEN {
                    let wanted = format!("{SHORTEST_TOKEN} are the least, {LONG_ENOUGH} or more are safe");
                    return Err(format!("the token of entry {} ({}) is too short: {wanted}", at + 1, name.trim()));
                }
                tokens.push((name.trim().to_owned(), token.trim().to_owned()));
            }
            _ => return Err(format!("entry {} is not name:token", at + 1)),
        }
    }
    Ok(tokens)
}

/// Those whose tokens are accepted, but could be guessed in time.
pub(crate) fn weak_tokens(tokens: &[(String, String)]) -> Vec<&str> {
    let weak = tokens.iter().filter(|(_, token)| token.chars().count() < LONG_ENOUGH);
    weak.map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in
            [("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000), ("90d", 7_776_000_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "s", "-5s", "1.5s", "5 s", "5w", "5M", "99999999999999999999s", "36501d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn job_urls_as_people_copy_them() {
        for (given, kept) in [
            ("https://j.example/job/Reg/view/All/job/SES/", "https://j.example/job/Reg/job/SES/"),
            ("https://j.example/job/Reg/job/SES", "https://j.example/job/Reg/job/SES/"),
            ("https://j.example/jenkins/view/x/job/SES/?a=b#c", "https://j.example/jenkins/job/SES/"),
            ("https://j.example/job/a%20b/job/view/", "https://j.example/job/a%20b/job/view/"),
        ] {
            assert_eq!(job_url(given).unwrap().as_str(), kept);
        }
        for wrong in [
            "https://j.example/",
            "https://j.example/job/SES/12/console",
            "https://j.example/view/All/",
            "https://j.example/job/",
            "ftp://j.example/job/SES/",
            "https://me:secret@j.example/job/SES/",
            "SES",
        ] {
            let problem = job_url(wrong).unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn tokens() {
        let two = [("a".into(), "xxxxxxxx".into()), ("b".into(), "y:zzzzzz".into())];
        assert_eq!(parse_tokens(" a:xxxxxxxx, b:y:zzzzzz ,").unwrap(), two);
        for wrong in ["justatoken", ":xxxxxxxx", "a:", "a:xxxxxxxx,b:xxxxxxxx", "a:xxxxxxxx,a:yyyyyyyy"] {
            assert!(parse_tokens(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_that_can_be_guessed_is_refused_and_a_weak_one_is_known() {
        // Characters count, not bytes.
        for short in ["x", "1234567", "äöüäöüä", "  1234567  "] {
            let why = parse_tokens(&format!("a:12345678,me:{short}")).unwrap_err();
            assert!(why.contains("entry 2 (me)") && !why.contains(short.trim()), "{why}");
        }
        let tokens = parse_tokens("a:12345678,b:äöüäöüäöüäöüäöü,c:1234567890123456,d:äöüäöüäöüäöüäöüß").unwrap();
        assert_eq!(weak_tokens(&tokens), ["a", "b"]);
    }

    #[test]
    fn a_database_is_one_that_is_known_and_its_password_is_never_repeated() {
        for good in [
            "sqlite://x.db",
            "postgres://u:p@localhost/d",
            "postgresql://u@[::1]:5433/d",
            "postgres:///d?host=/run/postgresql",
            "postgres://u:p@db.example/d?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "postgres://u:p@db.example/d?sslmode=require",
        ] {
            assert_eq!(database(good), Ok(None), "{good}");
        }
        for risky in ["postgres://u:p@db.example/d", "postgres://u:p@10.0.0.1/d?sslmode=prefer"] {
            assert!(database(risky).unwrap().unwrap().contains("sslmode=verify-full"), "{risky}");
        }
        for bad in ["mysql://u:hunter2@h/d", "postgres://u:hunter2@h:port/d", "postgres://u:hunter/2@h/d", "x.db", ""] {
            let why = database(bad).unwrap_err();
            assert!(why.contains("sqlite://<file>") && !why.contains("hunter"), "{why}");
        }
    }
}
