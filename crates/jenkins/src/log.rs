//! A build's console, read as it grows and never held: each piece goes straight into the parser.

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use tokio::sync::Mutex;

use super::{Jenkins, refusal};
use outbound::error::Error;
use outbound::retry::{Retries, retry};
use runbook::diagnosis::Console;
use runbook::diagnosis::console::Parser;

/// How far a build's console has been read, and what it showed.
#[derive(Clone, Debug, Default)]
pub struct LogReader {
    parser: Parser,
    /// The parser before the transfer that is under way. One that breaks off is asked for again from the same start:
    /// bytes received can't be told from bytes of the log, since Jenkins rewrites line ends and drops console notes.
    checkpoint: Option<(Parser, u64)>,
    /// Bytes of the log that have been read: the next start.
    start: u64,
    /// Bytes that the parser has been fed.
    fed: u64,
    /// Bytes that came over the wire, repetitions included.
    received: u64,
}

impl LogReader {
    /// Bytes of the console that were read, each once.
    pub fn read(&self) -> u64 {
        self.fed
    }

    /// What has been read so far.
    pub fn so_far(&self) -> Console {
        self.parser.clone().finish()
    }

    /// What was read, once no more comes.
    pub fn finish(self) -> Console {
        self.parser.finish()
    }

    /// Bytes that came over the wire, repetitions included.
    pub fn received(&self) -> u64 {
        self.received
    }
}

impl Jenkins {
    /// Reads what the console of a build has grown by, and says whether there will be more. Whatever its size, no more
    /// is kept than the parser keeps.
    ///
    /// # Errors
    /// Jenkins could not be asked, refused, or broke off again and again. `log` then has what came; the next call
    /// starts where the last whole answer ended.
    pub async fn read_log(&self, number: u64, log: &mut LogReader, deadline: Timestamp) -> Result<bool, Error> {
        let log = Mutex::new(log);
        let answer = retry(&self.clock, Retries::READ, Some(deadline), || async {
            let mut log = log.lock().await;
            self.read_once(number, &mut log).await
        })
        .await;
        self.outage.observe("GET console", answer.as_ref().err());
        answer
    }

    async fn read_once(&self, number: u64, log: &mut LogReader) -> Result<bool, Error> {
        if let Some(before) = log.checkpoint.take() {
            (log.parser, log.fed) = before;
        }
        let url = self.url(
            &self.settings.job_url,
            &format!("{number}/logText/progressiveText"),
            &[("start", &log.start.to_string())],
        );
        let doing = format!("reading the console of {}", self.build_url(number));
        let mut response = self.send(&doing, Method::GET, url, &[]).await?;
        if response.status() != StatusCode::OK {
            return Err(refusal(&doing, response).await);
        }
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
        let more = header("x-more-data").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let Some(size) = header("x-text-size").and_then(|v| v.trim().parse::<u64>().ok()) else {
            let mut error = Error::malformed(doing, "an answer without X-Text-Size, which is not a console");
            error.advice = Some("a proxy or a sign-in page answers in its place: check JENKINS_JOB_URL");
            return Err(error);
        };
        if size < log.start {
            // The log is shorter than what was read of it: it was begun again, and all of it comes again.
            (log.parser, log.fed, log.start) = (Parser::default(), 0, 0);
        }
        log.checkpoint = Some((log.parser.clone(), log.fed));
        while let Some(chunk) = response.chunk().await.map_err(|e| Error::transport(&doing, e))? {
            log.received += chunk.len() as u64;
            log.fed += chunk.len() as u64;
            log.parser.feed(&chunk);
        }
        log.checkpoint = None;
        log.start = size;
        Ok(more)
    }
}
