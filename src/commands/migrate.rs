//! `migrate --check`: whether a start of this version would change the database. Nothing is changed here, nor made.

use anyhow::{Context as _, bail};

use super::output::print;
use outbound::secret::Secret;
use store::{Examined, Schema, examine};

/// What a start of this version finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrations {
    /// The tables are those of this version.
    None,
    /// There are some to come; a database that is not yet made is one.
    Pending,
}

/// Looks, and prints what is to come.
///
/// # Errors
/// The database can't be reached or read, or was made by another build: this version refuses it.
pub async fn check(database: &Secret) -> anyhow::Result<Migrations> {
    let url = database.reveal().context("DATABASE_URL can't be read")?;
    let (found, said) = match examine(&url, false).await? {
        Examined::Absent { name } => {
            (Migrations::Pending, format!("there is no database {name} yet: `serve` makes it"))
        }
        Examined::Present { name, schema, .. } => match schema {
            Schema::Current => (Migrations::None, format!("the database {name} has the tables of this version")),
            Schema::Behind(1) => (Migrations::Pending, format!("the database {name}: 1 migration is pending")),
            Schema::Behind(n) => (Migrations::Pending, format!("the database {name}: {n} migrations are pending")),
            Schema::Foreign(why) => bail!("the database {name}: {why}"),
        },
    };
    print(&said)?;
    Ok(found)
}
