//! How fast a console is read: `cargo bench --bench console`.
//!
//! Machines differ, so the result is a ratio: the parser against the cheapest thing that can be done with the same
//! bytes (counting its lines), and against `serde_json` on the same boxes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use runbook::diagnosis::console::Parser;

/// How often each is measured; the best counts, since only noise makes it slower.
const ROUNDS: usize = 7;
const MIB: usize = 1024 * 1024;
/// What the service feeds the parser at a time: about what a socket gives.
const PIECE: usize = 64 * 1024;

fn main() {
    // cargo gives `--bench`; `cargo test --benches` does not, and wants no minutes of work.
    let size = if std::env::args().any(|a| a == "--bench") { 32 * MIB } else { MIB / 4 };
    compare("a busy console: time stamps, colours, a box every 200 lines", &busy(size), false);
    compare("nothing but boxes", &boxes(size), true);
}

fn compare(what: &str, console: &[u8], is_json: bool) {
    let parser = best(|| {
        let mut parser = Parser::default();
        console.chunks(PIECE).for_each(|piece| parser.feed(piece));
        parser.finish()
    });
    let lines = best(|| console.split(|b| *b == b'\n').count());
    println!("{what}, {} MiB:", console.len() / MIB);
    println!("  parser          {:>8.0} MiB/s", speed(console, parser));
    println!("  counting lines  {:>8.0} MiB/s, {:.1} times the parser", speed(console, lines), ratio(parser, lines));
    if is_json {
        let json = best(|| serde_json::Deserializer::from_slice(console).into_iter::<Vec<String>>().count());
        println!("  serde_json      {:>8.0} MiB/s, {:.1} times the parser", speed(console, json), ratio(parser, json));
    }
}

fn best<T>(mut work: impl FnMut() -> T) -> Duration {
    let once = |_| {
        let began = Instant::now();
        black_box(work());
        began.elapsed()
    };
    (0..ROUNDS).map(once).min().unwrap_or_default()
}

fn speed(console: &[u8], time: Duration) -> f64 {
    megabytes(console.len()) / time.as_secs_f64()
}

fn ratio(slow: Duration, fast: Duration) -> f64 {
    slow.as_secs_f64() / fast.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / MIB as f64
}

fn one_box(n: usize) -> String {
    let zone = format!("registry-prod-us-south-az{}", n % 3 + 1);
    format!(
        "[\n  \"{zone}-1\",\n  \"us-south-dal{n:02}-container-registry-{zone}-1-vm-{n:08x}\",\n  \"Ready\",\n  \
         \"10.94.{}.{}:1:1\",\n  \"166.9.12.114/23\"\n]\n",
        n / 250 % 250,
        n % 250
    )
}

fn boxes(size: usize) -> Vec<u8> {
    let mut console = Vec::new();
    for n in 0.. {
        if console.len() >= size {
            break;
        }
        console.extend_from_slice(one_box(n % 90).as_bytes());
    }
    console
}

fn busy(size: usize) -> Vec<u8> {
    let mut console = Vec::new();
    for n in 0.. {
        if console.len() >= size {
            break;
        }
        let stamp = format!("[2026-11-22T22:{:02}:{:02}.123Z] ", n / 60 % 60, n % 60);
        let text = if n % 200 == 0 {
            one_box(n % 90)
        } else {
            format!("\u{1b}[32mTASK\u{1b}[0m [poll] ok: box {n} answered in {} ms, item={{\"a\": [1, 2]}}\n", n % 97)
        };
        for line in text.lines() {
            console.extend_from_slice(format!("{stamp}{line}\r\n").as_bytes());
        }
    }
    console
}
