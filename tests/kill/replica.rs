//! One process of `serve`: killed, frozen, started again.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::harness::binary::binary_at;
use crate::harness::{Signal, binary, listening, signal};

/// A process, to be struck by whoever sees that it is time: also from another thread.
#[derive(Debug, Default)]
pub(crate) struct Victim(Mutex<Option<Child>>);

impl Victim {
    /// `SIGKILL`; returns once it is dead. Whether there was one to kill.
    pub(crate) fn kill(&self) -> bool {
        let Some(mut child) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return false };
        child.kill().expect("it can be killed");
        child.wait().expect("it is dead");
        true
    }

    /// Whether there was one to send this signal to.
    pub(crate) fn signal(&self, which: Signal) -> bool {
        let child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(id) = child.as_ref().map(Child::id) else { return false };
        signal(id, which);
        true
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Its exit code, where it ended without being killed.
    pub(crate) fn ended(&self) -> Option<Option<i32>> {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.as_mut()?.try_wait().expect("a status")?;
        *child = None;
        Some(status.code())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A place for one process after another, all with the same settings.
#[derive(Debug)]
pub(crate) struct Replica {
    name: &'static str,
    folder: PathBuf,
    settings: Vec<(String, String)>,
    /// An older build, until it is replaced.
    older: RefCell<Option<PathBuf>>,
    pub(crate) victim: Arc<Victim>,
    url: RefCell<String>,
    starts: Cell<u32>,
    stopping: Cell<bool>,
}

impl Replica {
    /// Nothing runs yet.
    pub(crate) fn new(name: &'static str, folder: &Path, settings: &[(String, String)]) -> Self {
        Self {
            name,
            folder: folder.to_owned(),
            settings: settings.to_owned(),
            older: RefCell::default(),
            victim: Arc::default(),
            url: RefCell::default(),
            starts: Cell::default(),
            stopping: Cell::default(),
        }
    }

    /// It is to begin as an older build.
    pub(crate) fn begin_as(&self, older: &Path) {
        *self.older.borrow_mut() = Some(older.to_owned());
    }

    /// It is to be this build when it is started again.
    pub(crate) fn upgrade(&self) {
        *self.older.borrow_mut() = None;
    }

    fn log(&self, start: u32) -> PathBuf {
        self.folder.join(format!("log-{}-{start}", self.name))
    }

    /// All that its processes have logged.
    pub(crate) fn said(&self) -> String {
        let logs = (1..=self.starts.get()).map(|n| std::fs::read_to_string(self.log(n)).unwrap_or_default());
        format!("--- {} ---\n{}", self.name, logs.collect::<Vec<_>>().join("\n--- and started again ---\n"))
    }

    fn start(&self) {
        self.starts.set(self.starts.get() + 1);
        let log = File::create(self.log(self.starts.get())).expect("a log");
        let mut command = match self.older.borrow().as_deref() {
            Some(older) => binary_at(older, &self.folder, &self.settings),
            None => binary(&self.folder, &self.settings),
        };
        let child =
            command.arg("serve").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        *self.victim.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        self.url.borrow_mut().clear();
    }

    /// `SIGTERM`; whether there was one to stop, that listened already.
    pub(crate) fn stop(&self) -> bool {
        let stops = !self.url.borrow().is_empty() && self.victim.signal(Signal::TERM);
        self.stopping.set(stops);
        stops
    }

    /// Whether it was told to stop and has not ended yet. Nothing else may end it.
    pub(crate) fn is_stopping(&self) -> bool {
        if let Some(code) = self.victim.ended() {
            let told = self.stopping.replace(false);
            assert!(told && code == Some(0), "told to stop: {told}; it ended with {code:?}:\n{}", self.said());
        } else if self.victim.is_dead() {
            self.stopping.set(false);
        }
        self.stopping.get()
    }

    /// Where it listens; started where it is dead. `None` while it does not listen yet, or any more.
    pub(crate) fn url(&self) -> Option<String> {
        if self.is_stopping() {
            return None;
        }
        if self.victim.is_dead() {
            self.start();
        }
        if self.url.borrow().is_empty() {
            let log = std::fs::read_to_string(self.log(self.starts.get())).ok()?;
            *self.url.borrow_mut() = listening(&log)?;
        }
        Some(self.url.borrow().clone())
    }
}
