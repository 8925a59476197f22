//! What the job prints, and how Jenkins sends it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;

use super::BuildPlan;

/// Lines of noise before what a build prints, made while they are sent: a console of any size costs no memory here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// How many lines; each is 64 bytes of the log.
    pub lines: u64,
}

/// One line of noise, of the sort that a reader of boxes may stumble over; with its line end 64 bytes of the log.
const NOISE: &str = "[Pipeline] + curl -s \"https://10.0.0.1:443/box\", [ \"x\" ] {:1:0}\n";
const _: () = assert!(NOISE.len() == 64);
/// Lines of noise that are sent at once.
const AT_ONCE: u64 = 1024;

impl Noise {
    fn bytes(self) -> u64 {
        self.lines * NOISE.len() as u64
    }
}

/// The console of a build that prints these boxes (zone, index, SE status, upstream status), line by line.
pub fn console_for(boxes: &[(&str, u32, i32, i32)]) -> Vec<String> {
    let mut lines: Vec<String> = [
        "Started by user se-responder",
        "Running as SYSTEM",
        "Building remotely on registry-worker-07 (linux docker) in workspace /home/jenkins/workspace/ServiceEndpointStatus",
        "[ServiceEndpointStatus] $ /bin/sh -xe /tmp/jenkins3141592653589793238.sh",
        "+ ibmcloud login --apikey ****",
        "+ ./magic-boxes.sh --format json",
    ]
    .map(String::from)
    .into();
    for (zone, index, se, upstream) in boxes {
        let mut hasher = DefaultHasher::new();
        (zone, index).hash(&mut hasher);
        let id = hasher.finish();
        let [a, b, c, d, ..] = id.to_be_bytes();
        let region = zone.trim_start_matches("registry-").trim_start_matches("prod-");
        let region = region.rsplit_once("-az").map_or(region, |(region, _)| region);
        lines.extend([
            "[".to_owned(),
            format!("  \"{zone}-{index}\","),
            format!("  \"{region}-{:03}-container-registry-{zone}-{index}-vm-{:08x}\",", b % 14, id >> 32),
            "  \"Ready\",".to_owned(),
            format!("  \"10.{a}.{b}.{c}:{se}:{upstream}\","),
            format!("  \"166.9.{}.{d}/23\"", c % 64),
            "]".to_owned(),
        ]);
    }
    lines.push("Finished: SUCCESS".into());
    lines
}

/// The log of a build that has run for `elapsed`, as Jenkins keeps it: its noise, then this text.
pub(super) fn text(plan: &BuildPlan, elapsed: Duration) -> (Noise, String) {
    let rolled = plan.log_rolls.filter(|at| elapsed >= *at);
    let noise = if rolled.is_some() { Noise::default() } else { plan.noise };
    let printed = plan.console.iter().filter(|(at, _)| *at <= elapsed && rolled.is_none_or(|rolled| *at >= rolled));
    (noise, printed.flat_map(|(_, line)| [line.as_str(), "\n"]).collect())
}

/// The log from byte `start` on, as Jenkins sends it: with CRLF, and the whole of it where it ends before `start`.
/// Gives its size as Jenkins keeps it, too.
pub(super) fn send_from(start: u64, noise: Noise, text: &str) -> (u64, Body) {
    let size = noise.bytes() + text.len() as u64;
    let start = if start > size { 0 } else { start };
    let into_text = usize::try_from(start.saturating_sub(noise.bytes())).unwrap_or(usize::MAX);
    let text = text.as_bytes().get(into_text..).unwrap_or_default();
    let text = Bytes::from(crlf(text));
    if start >= noise.bytes() {
        return (size, Body::from(text));
    }
    let line = NOISE.len() as u64;
    let cut = usize::try_from(start % line).unwrap_or_default();
    let first = Bytes::from(crlf(&NOISE.as_bytes()[cut..]));
    let block = Bytes::from(crlf(NOISE.repeat(1024).as_bytes()));
    let mut left = noise.lines - start / line - 1;
    let mut ends = vec![text, first];
    let pieces = std::iter::from_fn(move || {
        if ends.len() == 2 {
            return ends.pop();
        }
        if left > 0 {
            let lines = left.min(AT_ONCE);
            left -= lines;
            let bytes = block.len() / 1024 * usize::try_from(lines).unwrap_or_default();
            return Some(block.slice(..bytes));
        }
        ends.pop()
    });
    (size, Body::from_stream(stream::iter(pieces.map(Ok::<_, io::Error>))))
}

fn crlf(text: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(text.len() + text.len() / 32);
    for byte in text {
        if *byte == b'\n' {
            sent.push(b'\r');
        }
        sent.push(*byte);
    }
    sent
}
