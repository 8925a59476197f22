//! The last good reading of each region.

use super::rows::{from_json, plain, time, to_json};
use super::{Store, StoreError, failed};
use runbook::alert::Region;
use runbook::diagnosis::last_good::GoodReading;

impl Store {
    /// Keeps the good readings of regions, but for those of which a newer one is kept already.
    ///
    /// # Errors
    /// The database.
    pub async fn keep_good_readings(&self, readings: &[(&Region, GoodReading)]) -> Result<(), StoreError> {
        let doing = "keeping good readings";
        if readings.is_empty() {
            return Ok(());
        }
        let mut tx = self.write(doing).await?;
        for (region, good) in readings {
            sqlx::query(
                "INSERT INTO good_readings (region, at, build_url, boxes) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (region) DO UPDATE
                 SET at = excluded.at, build_url = excluded.build_url, boxes = excluded.boxes
                 WHERE good_readings.at < excluded.at",
            )
            .bind(region.as_str())
            .bind(good.at.as_millisecond())
            .bind(good.build_url.as_deref().map(plain))
            .bind(plain(&to_json(&good.boxes)?))
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        }
        tx.commit().await.map_err(failed(doing))
    }

    /// The last good reading of a region; `None`: none is known.
    ///
    /// # Errors
    /// The database, or what is kept can't be read.
    pub async fn good_reading(&self, region: &Region) -> Result<Option<GoodReading>, StoreError> {
        let kept: Option<(i64, Option<String>, String)> =
            sqlx::query_as("SELECT at, build_url, boxes FROM good_readings WHERE region = $1")
                .bind(region.as_str())
                .fetch_optional(&self.pool)
                .await
                .map_err(failed("reading the last good reading"))?;
        let of = |(at, build_url, boxes): (i64, Option<String>, String)| {
            Ok(GoodReading { at: time(at)?, build_url, boxes: from_json("the boxes of a good reading", &boxes)? })
        };
        kept.map(of).transpose()
    }
}
