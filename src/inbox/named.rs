//! How a caller names an incident: by its id, or by its address in PagerDuty (`html_url`), as the browser shows it.

use url::Url;

use runbook::event::is_id;

/// An incident, as somebody named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// PagerDuty's id.
    pub(crate) id: String,
    /// The host and port of the address; `None` where it was named by its id.
    host: Option<(String, Option<u16>)>,
}

impl Named {
    /// Reads an id, or `https://<host>/incidents/<id>` with whatever may stand behind the id there: a final slash, a view
    /// of the same incident, a query, a fragment. `None` for anything else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        // As it was copied out of a chat or a mail, with whatever white space is around it.
        let text = text.trim();
        if is_id(text) {
            return Some(Self { id: text.to_owned(), host: None });
        }
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let mut path = url.path_segments()?;
        let id = path.next().filter(|first| *first == "incidents").and_then(|_| path.next())?;
        is_id(id).then(|| Self { id: id.to_owned(), host: host(&url) })
    }

    /// Whether the address is of the account that this `html_url` is of: another account's incident is never ours.
    pub(crate) fn is_of_account(&self, html_url: &str) -> bool {
        // Where PagerDuty gave no address, its id is all that there is to go by.
        let theirs = Url::parse(html_url).ok().and_then(|url| host(&url));
        self.host.is_none() || theirs.is_none() || self.host == theirs
    }
}

/// The parser writes hosts in lower case, and leaves out a scheme's own port.
fn host(url: &Url) -> Option<(String, Option<u16>)> {
    Some((url.host_str()?.to_owned(), url.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://acme.pagerduty.com/incidents/Q1ABC";

    #[test]
    fn an_id_or_an_address_names_an_incident() {
        for text in [
            "Q1ABC",
            "  Q1ABC ",
            "\tQ1ABC\r\n",
            "\u{a0}Q1ABC\u{a0}",
            URL,
            "https://acme.pagerduty.com/incidents/Q1ABC/",
            "https://acme.pagerduty.com/incidents/Q1ABC?utm_source=slack&x=/incidents/QOTHER",
            "https://acme.pagerduty.com/incidents/Q1ABC#log",
            "https://acme.pagerduty.com/incidents/Q1ABC/timeline",
            "HTTPS://ACME.PagerDuty.com:443/incidents/Q1ABC",
            "http://acme.pagerduty.com/incidents/Q1ABC",
            "  https://acme.pagerduty.com/incidents/Q1ABC\n",
            "\u{a0}https://acme.pagerduty.com/incidents/Q1ABC/\u{2003}",
            " http://acme.pagerduty.com/incidents/Q1ABC/timeline/?x=1#y ",
        ] {
            let named = Named::read(text).unwrap_or_else(|| panic!("{text:?}"));
            assert_eq!(named.id, "Q1ABC", "{text:?}");
            assert!(named.is_of_account(URL), "{text:?}");
            assert!(named.is_of_account(""), "PagerDuty gave no address");
        }
    }

    #[test]
    fn an_address_of_another_account_is_not_of_ours() {
        for text in [
            "https://other.pagerduty.com/incidents/Q1ABC",
            "https://acme.pagerduty.com.example.com/incidents/Q1ABC",
            "https://acme.pagerduty.com@example.com/incidents/Q1ABC",
            "https://acme.pagerduty.com:8443/incidents/Q1ABC",
        ] {
            assert!(!Named::read(text).expect("an incident's address").is_of_account(URL), "{text}");
        }
    }

    #[test]
    fn what_is_neither_names_nothing() {
        for text in [
            "",
            " ",
            "Q1 ABC",
            "../services",
            "acme.pagerduty.com/incidents/Q1ABC",
            "https://acme.pagerduty.com/",
            "https://acme.pagerduty.com/incidents",
            "https://acme.pagerduty.com/incidents/",
            "https://acme.pagerduty.com/incidents//Q1ABC",
            "https://acme.pagerduty.com/incidents/Q1%20ABC",
            "https://acme.pagerduty.com/incidents/../services/Q1ABC",
            "https://acme.pagerduty.com/services/Q1ABC",
            "https://acme.pagerduty.com/Incidents/Q1ABC",
            "https://acme.pagerduty.com/api/v1/incidents/Q1ABC",
            "ftp://acme.pagerduty.com/incidents/Q1ABC",
            "javascript:/incidents/Q1ABC",
        ] {
            assert_eq!(Named::read(text), None, "{text:?}");
        }
    }
}
