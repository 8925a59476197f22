//! Looks at the database of a `DATABASE_URL` without opening a store on it: nothing is made, migrated or kept. For
//! `doctor`.

use std::path::Path;

use sqlx::migrate::Migrate as _;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Error};

use super::dialect::Dialect;
use super::migrations::{MIGRATIONS, foreign};
use super::open::{existing, read_whole, unusable};
use super::{StoreError, WayIn, way_in};

/// What became of a look at the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Examined {
    /// There is none yet, and it can be made: `serve` does.
    Absent {
        /// What it is called in messages.
        name: String,
    },
    /// It is there.
    Present {
        /// What it is called in messages, never with a password.
        name: String,
        /// What its tables are.
        schema: Schema,
        /// Why it takes no writes; `None` where it does.
        read_only: Option<String>,
    },
}

/// The tables, against those that this version wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Just those.
    Current,
    /// So many migrations are pending: `serve` applies them when it starts.
    Behind(usize),
    /// In words: it was made by a newer version or another build, or a migration broke off.
    Foreign(String),
}

/// Looks; `thorough` reads an SQLite file to its end for damage, which a start does not.
///
/// # Errors
/// In words, without the password: it can't be reached, read or (where there is none yet) made.
pub async fn examine(url: &str, thorough: bool) -> Result<Examined, StoreError> {
    sqlx::any::install_default_drivers();
    let dialect = Dialect::of(url);
    let (url, name) = match existing(url, dialect)? {
        Ok(there) => there,
        Err(path) => {
            may_make(&path)?;
            return Ok(Examined::Absent { name: path.display().to_string() });
        }
    };
    let unusable = |e| unusable(dialect, &name, &e);
    let mut connection = AnyConnection::connect(&url).await.map_err(unusable)?;
    if dialect == Dialect::Sqlite && thorough {
        read_whole(&mut connection, &name).await?;
    }
    let schema = schema(&mut connection, dialect).await.map_err(unusable)?;
    let read_only = read_only(&mut connection, dialect, &schema).await.map_err(unusable)?;
    // Nothing was written: how the connection ends does not matter.
    let _ = connection.close().await;
    Ok(Examined::Present { name, schema, read_only })
}

/// A connection to the database of a `DATABASE_URL` that is there, with its name for messages; `None` where there is none yet.
async fn connect(url: &str) -> Result<Option<(AnyConnection, Dialect, String)>, StoreError> {
    sqlx::any::install_default_drivers();
    let dialect = Dialect::of(url);
    let Ok((url, name)) = existing(url, dialect)? else { return Ok(None) };
    let connection = AnyConnection::connect(&url).await.map_err(|e| unusable(dialect, &name, &e))?;
    Ok(Some((connection, dialect, name)))
}

/// Which of these incidents are known as alerts in the database of a `DATABASE_URL`; none where there is no such database
/// yet, or none with our tables.
///
/// # Errors
/// It can't be reached or read.
pub async fn known_alerts(url: &str, incident_ids: &[String]) -> Result<Vec<String>, StoreError> {
    let Some((mut connection, dialect, name)) = connect(url).await? else { return Ok(Vec::new()) };
    let unusable = |e| unusable(dialect, &name, &e);
    let mut known = Vec::new();
    // One that the version before made knows them as alerts.
    let mut tables = Vec::new();
    for table in ["incidents", "alerts"] {
        if has_table(&mut connection, dialect, table).await.map_err(unusable)? {
            tables.push(table);
        }
    }
    if let Some(table) = tables.first() {
        let sql = format!("SELECT incident_id FROM {table} WHERE incident_id = $1");
        for id in incident_ids {
            let row: Option<(String,)> = sqlx::query_as(AssertSqlSafe(sql.clone()))
                .bind(id)
                .fetch_optional(&mut connection)
                .await
                .map_err(unusable)?;
            known.extend(row.map(|(id,)| id));
        }
    }
    // Nothing was written: how the connection ends does not matter.
    let _ = connection.close().await;
    Ok(known)
}

/// How far it is with proofs of the way in, by the database of a `DATABASE_URL`; `None` where there is no such database yet, or
/// none with our tables.
///
/// # Errors
/// It can't be reached or read.
pub async fn known_way_in(url: &str) -> Result<Option<WayIn>, StoreError> {
    let Some((mut connection, dialect, name)) = connect(url).await? else { return Ok(None) };
    let unusable = |e| unusable(dialect, &name, &e);
    let mut known = None;
    if has_table(&mut connection, dialect, "way_in").await.map_err(unusable)? {
        known = way_in::look(&mut connection).await.map_err(unusable)?;
    }
    let _ = connection.close().await;
    Ok(known)
}

async fn has_table(connection: &mut AnyConnection, dialect: Dialect, name: &str) -> Result<bool, Error> {
    let there = match dialect {
        Dialect::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
        Dialect::Postgres => "SELECT COUNT(to_regclass($1))",
    };
    let (count,): (i64,) = sqlx::query_as(there).bind(name).fetch_one(&mut *connection).await?;
    Ok(count > 0)
}

/// Whether a file could be made there: its folder is there and takes one. What is tried is gone again.
fn may_make(path: &Path) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".doctor");
    let trial = Path::new(&name);
    let made = std::fs::File::options().create_new(true).write(true).open(trial);
    if made.is_ok() {
        // What can be made can be removed.
        let _ = std::fs::remove_file(trial);
    }
    match made {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(StoreError::Unusable(format!(
            "the database {} is not there, and can't be made: {e}; does the folder exist, and may this user write to it?",
            path.display()
        ))),
        _ => Ok(()),
    }
}

pub(super) async fn schema(connection: &mut AnyConnection, dialect: Dialect) -> Result<Schema, Error> {
    let table = &*MIGRATIONS.table_name;
    let wanted: Vec<_> = MIGRATIONS.iter().filter(|m| m.migration_type.is_up_migration()).collect();
    if !has_table(connection, dialect, table).await? {
        return Ok(Schema::Behind(wanted.len()));
    }
    let broken = |e: sqlx::migrate::MigrateError| Error::Migrate(Box::new(e));
    if let Some(version) = connection.dirty_version(table).await.map_err(broken)? {
        return Ok(Schema::Foreign(format!("migration {version} did not finish: put a backup in its place")));
    }
    let applied = connection.list_applied_migrations(table).await.map_err(broken)?;
    for done in &applied {
        match wanted.iter().find(|migration| migration.version == done.version) {
            None => return Ok(Schema::Foreign(format!("it {}", foreign(done.version)))),
            Some(migration) if migration.checksum != done.checksum => {
                return Ok(Schema::Foreign(format!(
                    "it was made by another build of se-responder, whose migration {} differs: run that one",
                    done.version
                )));
            }
            Some(_) => {}
        }
    }
    Ok(match wanted.len() - applied.len() {
        0 => Schema::Current,
        behind => Schema::Behind(behind),
    })
}

/// Why the database takes no writes, by what it says of itself; nothing is written.
async fn read_only(connection: &mut AnyConnection, dialect: Dialect, schema: &Schema) -> Result<Option<String>, Error> {
    match dialect {
        Dialect::Sqlite => {
            // Takes the lock of a writer, which a file that may only be read refuses, and gives it back.
            match sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await {
                Ok(_) => {
                    sqlx::query("ROLLBACK").execute(&mut *connection).await?;
                    Ok(None)
                }
                Err(Error::Database(e)) => Ok(Some(e.message().to_owned())),
                Err(e) => Err(e),
            }
        }
        Dialect::Postgres => {
            let (standby,): (String,) =
                sqlx::query_as("SELECT current_setting('transaction_read_only')").fetch_one(&mut *connection).await?;
            if standby == "on" {
                return Ok(Some("the server takes no writes: it is a standby, or set to read only".to_owned()));
            }
            let (sql, lacks) = match schema {
                Schema::Current => (
                    "SELECT CAST(has_table_privilege('runs', 'INSERT, UPDATE') AS TEXT)",
                    "this user may not write to its tables: GRANT it INSERT, UPDATE and DELETE, or make it their owner",
                ),
                Schema::Behind(_) | Schema::Foreign(_) => (
                    "SELECT CAST(COALESCE(has_schema_privilege(current_schema(), 'CREATE'), false) AS TEXT)",
                    "this user may not make tables in it: GRANT it CREATE on its schema, or make it the database's owner",
                ),
            };
            let (granted,): (String,) = sqlx::query_as(sql).fetch_one(&mut *connection).await?;
            Ok((granted != "true").then(|| lacks.to_owned()))
        }
    }
}
