//! One statement for many rows. Their texts are few, so that each is prepared once: as many rows as a power of two.

use std::collections::HashSet;

use sqlx::{Any, AssertSqlSafe};

use super::timed::Transaction;
use super::{StoreError, failed};

/// The most rows of one statement.
const MOST: usize = 64;

pub(super) type Texts = HashSet<String>;

/// The rows in chunks, each as long as a power of two.
pub(super) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let most = rows.len().min(MOST).checked_ilog2()?;
        let (these, rest) = rows.split_at(1 << most);
        rows = rest;
        Some(these)
    })
}

/// `INSERT INTO <into> VALUES ($1, $2), ($3, $4)`
pub(super) fn insert(into: &str, columns: usize, rows: usize) -> String {
    let row = |n: usize| format!("({})", places(n * columns + 1, columns));
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("INSERT INTO {into} VALUES {}", rows.join(", "))
}

/// `$3, $4, $5`
pub(super) fn places(first: usize, count: usize) -> String {
    let all: Vec<String> = (first..first + count).map(|n| format!("${n}")).collect();
    all.join(", ")
}

/// The texts that a look for `these` finds; `sql` gives it, with its places.
pub(super) async fn texts_in(
    tx: &mut Transaction<'static, Any>,
    doing: &'static str,
    these: &[&str],
    sql: impl Fn(&str) -> String,
) -> Result<Texts, StoreError> {
    let mut found = Texts::new();
    for these in chunks(these) {
        let mut query = sqlx::query_as(AssertSqlSafe(sql(&places(1, these.len()))));
        for text in these {
            query = query.bind(*text);
        }
        let rows: Vec<(String,)> = query.fetch_all(&mut **tx).await.map_err(failed(doing))?;
        found.extend(rows.into_iter().map(|(text,)| text));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_few_lengths_and_none_is_lost() {
        for count in [0, 1, 2, 3, 63, 64, 65, 200] {
            let rows: Vec<usize> = (0..count).collect();
            let parts: Vec<&[usize]> = chunks(&rows).collect();
            assert!(parts.iter().all(|part| part.len().is_power_of_two() && part.len() <= MOST), "{count}");
            assert_eq!(parts.concat(), rows);
        }
    }

    #[test]
    fn each_row_has_its_own_places() {
        assert_eq!(insert("t (a, b)", 2, 2), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)");
    }
}
