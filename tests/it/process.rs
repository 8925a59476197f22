//! The real binary, as a process of its own: in an empty working directory, with a cleared environment.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{Front, PATIENCE, Signal, binary, listening, signal, until};

/// The binary with nothing in its environment but these settings; killed when it is dropped.
fn command(folder: &TempDir, settings: &[(String, String)]) -> Command {
    let mut command = Command::from(binary(folder.path(), settings));
    command.kill_on_drop(true);
    command
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// What it left in its working directory.
    pub(crate) left: Vec<String>,
}

/// Runs a command to its end, with `stdin` on its standard input.
pub(crate) async fn run(arguments: &[&str], settings: &[(String, String)], stdin: &str) -> Ended {
    let folder = tempfile::tempdir().expect("a folder");
    run_in(&folder, arguments, settings, stdin).await
}

/// Runs a command to its end on a terminal: what it wrote there.
pub(crate) async fn run_on_a_terminal(argument: &str, settings: &[(String, String)]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("script");
    let inner = format!("'{}' {argument}", env!("CARGO_BIN_EXE_se-responder"));
    command.args(["--quiet", "--return", "--command", &inner, "/dev/null"]).stdin(Stdio::null());
    command.current_dir(folder.path()).env_clear().env("PATH", "/usr/bin:/bin").kill_on_drop(true);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("an end").expect("script (util-linux)");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command to its end whose readers, of both its outputs, are gone: the code that it ends with.
pub(crate) async fn run_unread(arguments: &[&str], settings: &[(String, String)]) -> Option<i32> {
    let folder = tempfile::tempdir().expect("a folder");
    let gone = || Stdio::from(std::io::pipe().expect("a pipe").1);
    let mut command = command(&folder, settings);
    command.args(arguments).stdin(Stdio::null()).stdout(gone()).stderr(gone());
    let mut child = command.spawn().expect("it starts");
    tokio::time::timeout(PATIENCE, child.wait()).await.expect("an end").expect("a status").code()
}

/// Runs a command to its end in this folder, with `stdin` on its standard input.
pub(crate) async fn run_in(folder: &TempDir, arguments: &[&str], settings: &[(String, String)], stdin: &str) -> Ended {
    let mut command = command(folder, settings);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut input = child.stdin.take().expect("its standard input");
    // It may well end without reading it.
    let _ = input.write_all(stdin.as_bytes()).await;
    drop(input);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("an end").expect("an output");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let left = std::fs::read_dir(folder.path()).expect("its folder");
    Ended {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        left: left.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect(),
    }
}

/// `serve`, running. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) front: Front,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    _folder: TempDir,
}

impl Process {
    /// Starts `serve`, and waits until it listens.
    pub(crate) async fn serve(settings: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = command(&folder, settings);
        command.arg("serve");
        Self::spawn(folder, command).await
    }

    /// `serve`, for which a write beyond a limit fails as on a full disk, rather than ends it: see [`Process::limit`].
    pub(crate) async fn serve_within_limits(settings: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" serve", env!("CARGO_BIN_EXE_se-responder")]);
        command.current_dir(folder.path()).env_clear().kill_on_drop(true).envs(settings.iter().cloned());
        Self::spawn(folder, command).await
    }

    /// No file may become longer than this by it; `unlimited` is as before.
    pub(crate) async fn limit(&self, bytes: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let limit = format!("--fsize={bytes}:unlimited");
        let set = Command::new("prlimit").args(["--pid", &id, &limit]).status().await.expect("prlimit (util-linux)");
        assert!(set.success());
    }

    /// No more files than these may be open in it.
    pub(crate) async fn limit_files(&self, files: usize) {
        let id = self.child.id().expect("it runs").to_string();
        let limit = format!("--nofile={files}");
        let set = Command::new("prlimit").args(["--pid", &id, &limit]).status().await.expect("prlimit (util-linux)");
        assert!(set.success());
    }

    /// How many files are open in it.
    pub(crate) fn open_files(&self) -> usize {
        let id = self.child.id().expect("it runs");
        std::fs::read_dir(format!("/proc/{id}/fd")).expect("its files").count()
    }

    async fn spawn(folder: TempDir, mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let said = Arc::<Mutex<Vec<String>>>::default();
        let mut lines = BufReader::new(child.stderr.take().expect("its standard error")).lines();
        let keep = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let url = until("the service to listen, or to end", async || {
            let ended = child.try_wait().expect("its status");
            let said = said.lock().unwrap_or_else(PoisonError::into_inner);
            let url = said.iter().find_map(|line| listening(line));
            url.map(Ok).or_else(|| ended.map(|status| Err(format!("{status}:\n{}", said.join("\n")))))
        })
        .await
        .unwrap_or_else(|ended| panic!("it ended before it listened, with {ended}"));
        Self { front: Front::at(url), child, said, _folder: folder }
    }

    /// `SIGKILL`: it can do nothing about it.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// `SIGTERM`.
    pub(crate) fn terminate(&self) {
        signal(self.child.id().expect("it runs"), Signal::TERM);
    }

    /// Its exit code, once it has ended.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("an end").expect("a status").code()
    }

    /// What it has logged so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}
