//! The real binary, as a process of its own.

use std::path::Path;
use std::process::Command;

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// The binary in a working directory, with nothing in its environment but these settings.
pub(crate) fn binary(folder: &Path, settings: &[(String, String)]) -> Command {
    binary_at(Path::new(env!("CARGO_BIN_EXE_se-responder")), folder, settings)
}

/// The same of a binary that was built elsewhere.
pub(crate) fn binary_at(path: &Path, folder: &Path, settings: &[(String, String)]) -> Command {
    let mut command = Command::new(path);
    command.current_dir(folder).env_clear().envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

/// Where `serve` listens, by what it has logged so far.
pub(crate) fn listening(log: &str) -> Option<String> {
    let (address, _) = log.split_once("listening addr=")?.1.split_once(' ')?;
    Some(format!("http://{address}"))
}

/// Sends a signal to a process that was started here and has not been waited for.
pub(crate) fn signal(id: u32, signal: Signal) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).expect("the id of a process");
    kill_process(id, signal).expect("a signal is sent");
}
