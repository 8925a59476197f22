//! As much of HTTP/1 as a status line. Pure.

/// How much of an answer is kept: a head is at most this long.
pub(super) const MOST_HEAD: usize = 64 * 1024;

/// The request of the status check, as curl would send it.
pub(super) const REQUEST: &[u8] = concat!(
    "GET /status HTTP/1.1\r\nHost: localhost:10443\r\nUser-Agent: se-responder/",
    env!("CARGO_PKG_VERSION"),
    "\r\nAccept: */*\r\nConnection: close\r\n\r\n"
)
.as_bytes();

/// What an answer says so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// More is needed to tell.
    Unfinished,
    /// The status.
    Status(u16),
    /// This is no HTTP answer.
    NoHttp,
}

/// The status of an answer that is still coming: interim ones (1xx) are passed over.
pub(super) fn status(mut bytes: &[u8]) -> Head {
    let all = bytes.len();
    loop {
        let start = &bytes[..bytes.len().min(5)];
        if !b"HTTP/".starts_with(start) {
            return Head::NoHttp;
        }
        let unfinished = if all < MOST_HEAD { Head::Unfinished } else { Head::NoHttp };
        let Some(end) = bytes.iter().position(|b| *b == b'\n') else { return unfinished };
        match status_of_line(&bytes[..end]) {
            None => return Head::NoHttp,
            Some(status) if status >= 200 => return Head::Status(status),
            Some(_) => match after_head(bytes) {
                Some(rest) => bytes = rest,
                None => return unfinished,
            },
        }
    }
}

/// The status of what `curl -D-` printed: the last of the heads at its beginning counts, since interim answers and
/// proxies print theirs first.
pub(super) fn printed_status(mut bytes: &[u8]) -> Option<u16> {
    let mut last = None;
    while bytes.starts_with(b"HTTP/") {
        let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
        last = Some(status_of_line(&bytes[..end])?);
        match after_head(bytes) {
            Some(rest) => bytes = rest,
            None => break,
        }
    }
    last.filter(|status| *status >= 200)
}

fn status_of_line(line: &[u8]) -> Option<u16> {
    // A reason may be in any encoding; the version and the code are ASCII.
    let line = String::from_utf8_lossy(&line[..line.len().min(40)]);
    let mut words = line.trim().split(' ');
    let version = words.next()?.strip_prefix("HTTP/")?;
    let code = words.next()?;
    let valid = version.starts_with(|c: char| c.is_ascii_digit())
        && code.len() == 3
        && code.bytes().all(|b| b.is_ascii_digit());
    code.parse().ok().filter(|code| valid && (100..1000).contains(code))
}

fn after_head(bytes: &[u8]) -> Option<&[u8]> {
    let mut start = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'\n') {
        if bytes[start..at].trim_ascii().is_empty() {
            return Some(&bytes[at + 1..]);
        }
        start = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_tells() {
        for (bytes, head) in [
            ("", Head::Unfinished),
            ("HT", Head::Unfinished),
            ("HTTP/1.1 20", Head::Unfinished),
            ("HTTP/1.1 200 OK\r\n", Head::Status(200)),
            ("HTTP/1.0 404\n", Head::Status(404)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Service Unavailable\r\nx", Head::Status(503)),
            ("HTTP/1.1 100 Continue\r\nA: b\r\n", Head::Unfinished),
            ("HTTP/1.1 100 Continue\r\n\r\n", Head::Unfinished),
            ("HTTP/1.1 2000 OK\r\n", Head::NoHttp),
            ("HTTP/1.1 099 OK\r\n", Head::NoHttp),
            ("HTTP/1.1\r\n", Head::NoHttp),
            ("\u{15}\u{3}\u{1}", Head::NoHttp),
            ("hello", Head::NoHttp),
        ] {
            assert_eq!(status(bytes.as_bytes()), head, "{bytes:?}");
        }
        assert_eq!(status(&[b"HTTP/1.1 ".as_slice(), &vec![b' '; MOST_HEAD]].concat()), Head::NoHttp);
    }

    #[test]
    fn of_what_curl_printed_the_last_head_counts() {
        for (text, status) in [
            ("HTTP/1.1 200 OK\r\nServer: x\r\n\r\nfine", Some(200)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n", Some(404)),
            ("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 503 No\r\n\r\n", Some(503)),
            ("HTTP/1.1 200 OK\r\n\r\nsee HTTP/1.1 500 below", Some(200)),
            ("HTTP/1.1 200 OK\r\nServer", Some(200)),
            ("HTTP/1.1 100 Continue\r\n\r\n", None),
            ("curl: (7) Failed to connect", None),
            ("", None),
        ] {
            assert_eq!(printed_status(text.as_bytes()), status, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = status(&bytes);
            let _ = printed_status(&bytes);
        }
    }
}
