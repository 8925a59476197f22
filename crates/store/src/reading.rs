//! Opens a database to read it only, beside whoever works with it.

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, Connection as _};

use super::dialect::Dialect;
use super::examine::{Schema, schema};
use super::open::{CONNECT_TIME, existing, unusable};
use super::timed::{Access, Pool};
use super::{Store, StoreError};
use outbound::clock::Clock;

impl Store {
    /// Opens the database of a `DATABASE_URL` to read it, also while `serve` uses it: it is neither made nor migrated, and takes no
    /// write by this. `None`: there is none.
    ///
    /// # Errors
    /// In words, without the password: it can't be reached or read, or its tables are not those of this version.
    pub async fn open_to_read(url: &str, clock: Clock) -> Result<Option<Self>, StoreError> {
        sqlx::any::install_default_drivers();
        let dialect = Dialect::of(url);
        let Ok((url, name)) = existing(url, dialect)? else { return Ok(None) };
        let unusable = |e| unusable(dialect, &name, &e);
        let mut first = tokio::time::timeout(CONNECT_TIME, AnyConnection::connect(&url))
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(unusable)?;
        let found = schema(&mut first, dialect).await.map_err(unusable)?;
        let _ = first.close().await;
        match found {
            Schema::Current => {}
            Schema::Behind(_) => {
                let why = "has the tables of an older version: start `serve` of this one once, which migrates it";
                return Err(StoreError::Unusable(format!("the database {name} {why}")));
            }
            Schema::Foreign(why) => return Err(StoreError::Unusable(format!("the database {name}: {why}"))),
        }
        // Not as a writer is set up: that may change the file.
        let only_reads: &[&'static str] = match dialect {
            Dialect::Sqlite => &["PRAGMA busy_timeout = 3000", "PRAGMA query_only = ON"],
            Dialect::Postgres => &["SET statement_timeout = '15s'", "SET default_transaction_read_only = on"],
        };
        let pool = AnyPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(dialect.patience())
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for sql in only_reads {
                        sqlx::query(*sql).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy(&url)
            .map_err(unusable)?;
        let pools = (Pool::of(pool.clone(), Access::Read), Pool::of(pool, Access::Read));
        Ok(Some(Self::over(pools, dialect, clock)))
    }
}
