//! A private PostgreSQL server for the tests: nothing simulated, but of their own, and gone with them.

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

const SCRIPT: &str = include_str!("postgres/server.sh");

/// A running server. It ends with this, and with the process that holds this, however that ends.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    binaries: PathBuf,
    made: AtomicU64,
    shell: Mutex<Shell>,
}

/// What watches over the server, and obeys.
#[derive(Debug)]
struct Shell {
    child: Child,
    say: Option<ChildStdin>,
    hear: BufReader<ChildStdout>,
}

impl Postgres {
    /// The one that this process's tests share; started when it is first asked for.
    ///
    /// # Panics
    /// There is none, and why: a test that needs it can't do without.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().expect("a PostgreSQL server: see above"))
    }

    /// Starts one from the installed binaries, as an unprivileged user.
    ///
    /// # Errors
    /// It is not installed, or does not start: what it says is on standard error.
    pub fn start() -> io::Result<Self> {
        let mut child = Command::new("sh").args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (say, Some(hear)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the shell has no standard output"));
        };
        let mut shell = Shell { child, say, hear: BufReader::new(hear) };
        let ready = shell.line()?;
        let Some((folder, binaries)) = ready.split_once(' ') else {
            return Err(io::Error::other("PostgreSQL does not start"));
        };
        Ok(Self { folder: folder.into(), binaries: binaries.into(), made: AtomicU64::new(0), shell: Mutex::new(shell) })
    }

    /// Makes an empty database; gives its `DATABASE_URL`.
    ///
    /// # Errors
    /// The server does not make it.
    pub fn database(&self) -> io::Result<String> {
        let name = format!("t{}", self.made.fetch_add(1, Ordering::Relaxed));
        let made = Command::new(self.binaries.join("createdb"))
            .args(["-U", "postgres", "-h"])
            .arg(&self.folder)
            .arg(&name)
            .output()?;
        if !made.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
        }
        Ok(self.url_of(&name))
    }

    /// The `DATABASE_URL` of a database.
    pub fn url_of(&self, name: &str) -> String {
        format!("postgres://postgres@localhost/{name}?host={}", self.folder.display())
    }

    /// Where it listens: a socket of this machine's.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(".s.PGSQL.5432")
    }

    /// Ends all connections and stops, until [`Postgres::start_again`].
    ///
    /// # Errors
    /// What watches over it is gone.
    pub fn stop(&self) -> io::Result<()> {
        self.tell("stop")
    }

    /// Dies at once, as by a power cut of its machine.
    ///
    /// # Errors
    /// What watches over it is gone.
    pub fn crash(&self) -> io::Result<()> {
        self.tell("crash")
    }

    /// Is there again.
    ///
    /// # Errors
    /// What watches over it is gone.
    pub fn start_again(&self) -> io::Result<()> {
        self.tell("start")
    }

    /// Ends all connections, and is there again as a hot standby, which only reads until `pg_promote()`.
    ///
    /// # Errors
    /// What watches over it is gone.
    pub fn become_standby(&self) -> io::Result<()> {
        self.tell("standby")
    }

    fn tell(&self, word: &str) -> io::Result<()> {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut shell.say {
            Some(say) => writeln!(say, "{word}")?,
            None => return Err(io::Error::other("it has ended")),
        }
        match shell.line()? {
            said if said == word => Ok(()),
            said => Err(io::Error::other(format!("it should have said {word}, not {said:?}"))),
        }
    }
}

impl Shell {
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.hear.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Its standard input ends, and with it the server.
        shell.say = None;
        let _ = shell.child.wait();
    }
}
