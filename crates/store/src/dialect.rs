//! What differs between the two databases. All other SQL is the same text for both.

use std::time::Duration;

use sqlx::AnyConnection;

/// The key of the lock under which writers take turns on PostgreSQL: "se-respo" in ASCII, so that nobody else has it.
const TURN: &str = "SELECT pg_advisory_xact_lock(8314892176759549295)";

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// A file that one process has for itself.
    Sqlite,
    /// A server that several processes share.
    Postgres,
}

impl Dialect {
    /// By the scheme of `DATABASE_URL`.
    pub(super) fn of(url: &str) -> Self {
        match url.split_once(':') {
            Some(("postgres" | "postgresql", _)) => Self::Postgres,
            _ => Self::Sqlite,
        }
    }

    /// How a transaction that will write begins. SQLite would refuse to make a writer of a reader midway.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Taken first by every transaction that decides by what it reads; held until its end. SQLite has one writer
    /// anyway.
    pub(super) fn turn(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(TURN),
        }
    }

    /// Ends the `SELECT` of a claim: the row is ours, and whoever claims at the same time gets the next one.
    pub(super) fn claim(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Ends the `SELECT` of a claim's guard: nobody else can claim it until we have written.
    pub(super) fn hold(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// Taken by whoever counts over all and adds one, and by nobody for anything else. SQLite has one writer anyway.
    pub(super) fn limits(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SELECT id FROM limits WHERE id = 'one' FOR UPDATE"),
        }
    }

    /// Notes that time has come as far as $1 at least; gives how far it has come, and what a server's own clock says.
    pub(super) fn reach(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "INSERT INTO service_time (id, reached) VALUES ('one', $1)
                 ON CONFLICT (id) DO UPDATE SET reached = MAX(service_time.reached, excluded.reached)
                 RETURNING reached, NULL"
            }
            Self::Postgres => {
                "INSERT INTO service_time (id, reached)
                 VALUES ('one', GREATEST($1, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)))
                 ON CONFLICT (id) DO UPDATE SET reached = GREATEST(service_time.reached, excluded.reached)
                 RETURNING reached, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
            }
        }
    }

    /// Connections at most, each for an instant at a time.
    pub(super) fn connections(self) -> u32 {
        match self {
            Self::Sqlite => 4,
            Self::Postgres => 8,
        }
    }

    /// How long a connection is waited for.
    pub(super) fn patience(self) -> Duration {
        match self {
            Self::Sqlite => Duration::from_secs(30),
            // PagerDuty waits 5 s for an answer: it should hear the 503.
            Self::Postgres => Duration::from_secs(3),
        }
    }

    /// What every connection begins with. A 202 means that it is on disk.
    pub(super) async fn set_up(self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let statements: &[&'static str] = match self {
            Self::Sqlite => &[
                // PagerDuty waits 5 s for an answer: it should hear the 503.
                "PRAGMA busy_timeout = 3000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
            ],
            Self::Postgres => &[
                "SET statement_timeout = '4s'",
                "SET lock_timeout = '3s'",
                // A replica that is frozen midway must not keep the others from writing.
                "SET idle_in_transaction_session_timeout = '4s'",
                // Each statement sees what was committed before it; what must not change meanwhile is locked.
                "SET default_transaction_isolation = 'read committed'",
                // Only ever raised: a server may well wait for its standbys too.
                "SELECT set_config('synchronous_commit', 'on', false) \
                 WHERE current_setting('synchronous_commit') = 'off'",
            ],
        };
        for sql in statements {
            sqlx::query(*sql).execute(&mut *connection).await?;
        }
        Ok(())
    }
}
