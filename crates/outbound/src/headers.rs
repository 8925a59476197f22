//! What the headers of an answer say.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Response;
use reqwest::header::HeaderMap;
use runbook::span::between;

/// The wait that an answer asks for, an hour at most: `Retry-After` in seconds or as a date, else what is left of the
/// rate limit's minute. A date counts from the answer's own `Date`, so that it does not matter how our clocks differ.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = number(headers, "retry-after").map(Duration::from_secs);
    let by_date = || Some(between(date(headers, "date")?, date(headers, "retry-after")?));
    let reset = || number(headers, "ratelimit-reset").map(Duration::from_secs);
    seconds.or_else(by_date).or_else(reset).map(|wait| wait.min(Duration::from_secs(3600)))
}

/// A header that is a whole number.
pub fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// A header that is a date as HTTP writes it: `Sun, 22 Nov 2026 22:01:43 GMT`.
pub fn date(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(headers.get(name)?.to_str().ok()?).ok().map(|zoned| zoned.timestamp())
}

/// Whether it is an HTML page: a gateway, or a sign-in page, answers in the place of who was asked.
pub fn is_html(response: &Response) -> bool {
    response.headers().get("content-type").and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_that_is_asked_for_is_read_in_seconds_or_as_a_date() {
        let asked = |pairs: &[(&'static str, &str)]| {
            let pair = |(name, value): &(&'static str, &str)| (name.parse().unwrap(), value.parse().unwrap());
            retry_after(&pairs.iter().map(pair).collect::<HeaderMap>()).map(|wait| wait.as_secs())
        };
        let at = ("date", "Sun, 22 Nov 2026 22:01:43 GMT");
        assert_eq!(asked(&[]), None);
        assert_eq!(asked(&[("retry-after", "17"), ("ratelimit-reset", "3")]), Some(17));
        assert_eq!(asked(&[("ratelimit-reset", "3")]), Some(3));
        assert_eq!(asked(&[("retry-after", "Sun, 22 Nov 2026 22:02:00 GMT"), at]), Some(17));
        assert_eq!(asked(&[("retry-after", "Sun, 22 Nov 2026 22:00:00 GMT"), at]), Some(0));
        assert_eq!(asked(&[("retry-after", "Sun, 22 Nov 2026 22:02:00 GMT")]), None, "by whose clock?");
        assert_eq!(asked(&[("retry-after", "soon"), at]), None);
        assert_eq!(asked(&[("retry-after", "99999")]), Some(3600));
    }
}
