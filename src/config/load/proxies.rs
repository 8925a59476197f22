//! Settings of the proxies in front, and of whom they sign in.

use http::HeaderName;
use ipnet::IpNet;

use super::taker::Taker;

/// Headers that mean something else already.
const OTHERS: [&str; 24] = [
    "authorization",
    "connection",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "idempotency-key",
    "last-event-id",
    "origin",
    "proxy-authorization",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-pagerduty-signature",
    "x-real-ip",
];
/// The same of whole families.
const FAMILIES: [&str; 5] = ["accept", "access-control-", "content-", "if-", "sec-"];

impl Taker<'_> {
    /// `TRUSTED_USER_HEADER`, `TRUSTED_OPERATORS`: by which header these proxies name the signed-in user, and who of them
    /// are operators.
    pub(super) fn proxied_users(&mut self, proxies: &[IpNet]) -> (Option<HeaderName>, Vec<String>) {
        let (name, operators) = ("TRUSTED_USER_HEADER", self.list("TRUSTED_OPERATORS"));
        let Some(given) = self.environment.get(name) else {
            if !operators.is_empty() {
                self.warnings.push(format!("TRUSTED_OPERATORS has no effect: {name} is not set"));
            }
            return (None, operators);
        };
        if self.list("TRUSTED_PROXIES").is_empty() {
            let what = "is set without TRUSTED_PROXIES: anybody could name themselves by it. Set the addresses of the \
                        proxies that may";
            self.problem(name, what);
        }
        let header = match header(given) {
            Ok(header) => header,
            Err(what) => {
                self.problem(name, what);
                return (None, operators);
            }
        };
        for wide in proxies.iter().filter(|network| is_wide(network)) {
            self.warnings.push(format!(
                "TRUSTED_PROXIES has {wide}: whoever reaches the service from there can name themselves an operator by \
                 {header}"
            ));
        }
        (Some(header), operators)
    }
}

/// A header that can name a user.
fn header(given: &str) -> Result<HeaderName, String> {
    // Others may be in one, and are a slip: a proxy's variable, a comma.
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let header: Option<HeaderName> = given.parse().ok().filter(|_| given.chars().all(is_part));
    let header = header
        .ok_or_else(|| format!("{given:?} is not the name of a header: give it alone, as in X-Forwarded-User"))?;
    let name = header.as_str();
    if OTHERS.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family)) {
        return Err(format!("{given:?} has another meaning: give the header in which the proxy names the user"));
    }
    Ok(header)
}

/// Whether it is more than somebody's own network: none of those is wider than 10.0.0.0/8 or fc00::/7.
fn is_wide(network: &IpNet) -> bool {
    network.prefix_len() < if network.addr().is_ipv4() { 8 } else { 7 }
}

#[cfg(test)]
mod tests {
    use super::super::tests::with;
    use super::*;

    #[test]
    fn a_header_names_a_user_where_it_has_no_other_meaning() {
        for (good, name) in [
            ("X-Forwarded-User", "x-forwarded-user"),
            ("x-auth-request-email", "x-auth-request-email"),
            ("Remote-User", "remote-user"),
            ("X-Forwarded-Preferred-Username", "x-forwarded-preferred-username"),
        ] {
            assert_eq!(header(good).unwrap().as_str(), name);
        }
        for bad in ["X-User:", "X User", "X-User,X-Email", "Benutzer-Ä", "$remote_user"] {
            assert!(header(bad).unwrap_err().contains("not the name of a header"), "{bad}");
        }
        for other in ["Authorization", "cookie", "HOST", "X-Forwarded-For", "Sec-Fetch-Site", "Content-Type", "Accept"]
        {
            assert!(header(other).unwrap_err().contains("another meaning"), "{other}");
        }
    }

    #[test]
    fn it_needs_proxies_and_says_so_with_all_else_that_is_wrong() {
        let config = with(&[
            ("TRUSTED_PROXIES", "10.1.2.3"),
            ("TRUSTED_USER_HEADER", "X-Forwarded-User"),
            ("TRUSTED_OPERATORS", " olga, otto ,"),
        ])
        .unwrap();
        assert_eq!(config.user_header.as_ref().unwrap(), "x-forwarded-user");
        assert_eq!(config.trusted_operators, ["olga", "otto"]);
        assert!(!config.warnings.iter().any(|w| w.starts_with("TRUSTED")), "{:?}", config.warnings);

        for proxies in ["", ","] {
            let problems =
                with(&[("TRUSTED_PROXIES", proxies), ("TRUSTED_USER_HEADER", "X User")]).unwrap_err().to_string();
            assert!(problems.contains("TRUSTED_USER_HEADER: is set without TRUSTED_PROXIES"), "{problems}");
            assert!(problems.contains("TRUSTED_USER_HEADER: \"X User\" is not the name"), "{problems}");
        }
        // They are there, and wrong: that is said of them.
        let problems = with(&[("TRUSTED_PROXIES", "proxy"), ("TRUSTED_USER_HEADER", "X-User")]).unwrap_err();
        assert_eq!(problems.0.len(), 1, "{problems}");
        assert!(problems.0[0].starts_with("TRUSTED_PROXIES:"), "{problems}");
    }

    #[test]
    fn what_is_risky_or_in_vain_is_warned_of() {
        let warned = |settings: &[(&'static str, &'static str)]| -> Vec<String> {
            let warnings = with(settings).unwrap().warnings;
            warnings.into_iter().filter(|warning| warning.starts_with("TRUSTED")).collect()
        };
        let header = ("TRUSTED_USER_HEADER", "X-User");
        for wide in ["0.0.0.0/0", "::/0", "0.0.0.0/1", "2000::/3"] {
            assert!(warned(&[("TRUSTED_PROXIES", wide), header])[0].contains(wide), "{wide}");
            assert!(warned(&[("TRUSTED_PROXIES", wide)]).is_empty(), "they only have more connections");
        }
        assert!(warned(&[("TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8,127.0.0.1"), header]).is_empty());
        assert_eq!(
            warned(&[("TRUSTED_OPERATORS", "olga")]),
            ["TRUSTED_OPERATORS has no effect: TRUSTED_USER_HEADER is not set"]
        );
    }
}
