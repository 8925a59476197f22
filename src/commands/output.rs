//! What commands print. A reader that has seen enough (`| head`) is no failure: nothing here panics where a pipe is closed, as
//! `println!` and `eprintln!` would.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

/// Prints a line on standard output.
///
/// # Errors
/// It can't be written, and not since nobody reads it.
pub fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(format!("{text}\n").as_bytes())
}

/// Prints on standard output, just this.
///
/// # Errors
/// See [`print`].
pub fn print_bytes(text: &[u8]) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Tells whoever watches, on standard error. There is nowhere to say that this went wrong.
pub fn aside(line: impl Display) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
