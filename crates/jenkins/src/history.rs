//! Builds of the past, as far back as Jenkins keeps them.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::build::{BUILD, Build, BuildDoc};
use super::{Jenkins, LogReader};
use outbound::error::Error;
use runbook::diagnosis::Console;
use runbook::json::entries;
use runbook::span::after;

/// How many builds are asked for at once.
const PAGE: usize = 100;
/// The most that are looked at: a job that is run each minute has half a million a year.
const MOST: usize = 1_000_000;
/// How long one question may take, its repetitions included.
const LIMIT: Duration = Duration::from_secs(60);

/// Jenkins lists the newest hundred as `builds` and all of them as `allBuilds`; what is not known it leaves out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HistoryDoc {
    #[serde(default)]
    all_builds: Option<Vec<Value>>,
    #[serde(default)]
    builds: Option<Vec<Value>>,
}

impl Jenkins {
    /// All builds that were scheduled from `since` on, newest first, whoever started them. One that can't be read hides no
    /// other.
    ///
    /// # Errors
    /// Jenkins could not be asked, or refused; or it has a million builds since then.
    pub async fn builds_since(&self, since: Timestamp) -> Result<Vec<Build>, Error> {
        let doing = format!("asking for the builds of {} since {since}", self.settings.job_url);
        let (mut found, mut seen, mut from) = (Vec::new(), HashSet::new(), 0);
        let mut name = "allBuilds";
        while from < MOST {
            let tree = format!("{name}[{BUILD}]{{{from},{}}}", from + PAGE);
            let url = self.url(&self.settings.job_url, "api/json", &[("tree", &tree)]);
            let deadline = after(self.clock.now(), LIMIT);
            let doc: HistoryDoc = self.get(&doing, &url, deadline).await?;
            let page = match (doc.all_builds.or(doc.builds), name) {
                (Some(page), _) => page,
                (None, "allBuilds") => {
                    name = "builds";
                    continue;
                }
                (None, _) => return Err(Error::malformed(doing, "an answer without a list of builds")),
            };
            let whole = page.len() >= PAGE;
            let (docs, left_out) = entries::<BuildDoc>(page);
            if let Some(first) = left_out.first() {
                tracing::warn!(left_out = left_out.len(), why = first.why, "builds that can't be read are left out");
            }
            let new: Vec<Build> =
                docs.into_iter().map(|doc| self.to_build(doc)).filter(|build| seen.insert(build.number)).collect();
            // Builds that are begun meanwhile move the others down: what is seen again is skipped. A whole page of what was
            // seen comes from a server that knows no ranges.
            let over = !whole || new.is_empty() || new.iter().any(|build| build.scheduled_at < since);
            found.extend(new.into_iter().filter(|build| build.scheduled_at >= since));
            if over {
                return Ok(found);
            }
            from += PAGE;
        }
        Err(Error::malformed(doing, format!("more than {MOST} builds")))
    }

    /// What a build printed, read to its end; `None` where Jenkins keeps its console no longer.
    ///
    /// # Errors
    /// Jenkins could not be asked, or refused.
    pub async fn console_of(&self, number: u64) -> Result<Option<Console>, Error> {
        let mut log = LogReader::default();
        match self.read_log(number, &mut log, after(self.clock.now(), LIMIT)).await {
            Ok(_) => Ok(Some(log.finish())),
            Err(error) if error.status() == Some(reqwest::StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
