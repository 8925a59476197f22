//! The migrations, as `build.rs` embeds them.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Numbers of migrations that no release had: what they did one by one since version 0.1.0 is one migration now.
const NEVER_RELEASED: RangeInclusive<i64> = 110..=300;

/// All files of `migrations/`: number, words, SQL.
const FILES: &[(i64, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// In the order of their numbers.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let migration = |&(number, words, sql): &(i64, &'static str, &'static str)| {
        Migration::new(number, words.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(FILES.iter().map(migration).collect())
});

/// What a database is in which a migration of this number was made, and what to do about it; the number is none of ours.
pub(super) fn foreign(version: i64) -> String {
    if NEVER_RELEASED.contains(&version) {
        return format!(
            "was made by a build between version 0.1.0 and this one that was never released (migration {version}), and \
             can't be brought over: put a backup of version 0.1.0 in its place, or start with an empty database, for which \
             open alerts are found in PagerDuty"
        );
    }
    format!("was made by a newer version of se-responder (migration {version}): run that one")
}
