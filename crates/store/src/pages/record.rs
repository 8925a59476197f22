//! A page's row, as it is read.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe};
use strum::{EnumMessage, VariantArray, VariantNames};

use runbook::life::AlertPage;
use runbook::plan::{KnownPage, PageRow};

use crate::rows::{column, time};
use crate::{StoreError, failed};

runbook::words! { PageState: "state of a page"; }

/// What has become of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum PageState {
    /// It is wanted; somebody opens it.
    Requested,
    /// It is open.
    Paged,
    /// Nobody was paged.
    Failed,
    /// What stands in the database is none of these: nothing is done about it, unless a person asks for the page.
    Unreadable,
}

/// What is said of a page whose row can't be read.
pub(crate) const UNREADABLE_PAGE: &str =
    "what became of the page can't be read in the database: look in PagerDuty for its key, se-responder/<incident id>";

/// A page, wanted or open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRecord {
    /// The alert.
    pub incident_id: String,
    /// The run that wanted it first.
    pub run_id: String,
    /// The operator who asked for it; `None` for an automatic one.
    pub asked_by: Option<String>,
    /// What has become of it.
    pub state: PageState,
    /// When an incident was last about to be opened that is, or may be; `None`: none may be. By the ledger of writes.
    pub begun_at: Option<Timestamp>,
    /// Since when it is tried to open or join it, over all workers; `None` where it is not tried yet.
    pub tried_since: Option<Timestamp>,
    /// The alert whose page may still be opened late, for which this one waits; `None`: for none.
    pub waits_for: Option<String>,
    /// When it was wanted.
    pub requested_at: Timestamp,
    /// The page's id; `None` unless it is open.
    pub page_id: Option<String>,
    /// The page's link.
    pub page_url: Option<String>,
    /// An open page was joined, none was opened.
    pub joined: bool,
    /// What is wrong with it.
    pub reason: Option<String>,
    /// It was found open after it had been called failed or held, or while its record named another.
    pub after_all: bool,
    /// The pages of which no look for what shows late makes news any more.
    pub no_news: Vec<String>,
    /// When it was opened or joined, or given up.
    pub finished_at: Option<Timestamp>,
    /// When and by whom it was first seen acknowledged.
    pub acknowledged: Option<(Timestamp, String)>,
}

impl PageRecord {
    /// What it says, for who decides.
    pub fn of_alert(&self) -> AlertPage {
        match self.state {
            PageState::Requested => AlertPage::Wanted,
            PageState::Paged => AlertPage::Paged(self.page_url.clone()),
            PageState::Failed => AlertPage::Failed(self.reason.clone()),
            PageState::Unreadable => AlertPage::Unreadable,
        }
    }

    /// What it says of one that is wanted, or of whose end is to be told.
    pub fn of_plan(&self) -> KnownPage {
        KnownPage {
            name: self.incident_id.clone(),
            state: match self.state {
                PageState::Requested => PageRow::Wanted,
                PageState::Paged | PageState::Failed => PageRow::Ended(self.finished_at.unwrap_or(self.requested_at)),
                PageState::Unreadable => PageRow::Unreadable,
            },
            by_hand: self.asked_by.is_some(),
            tried_since: self.tried_since,
            waits_for: self.waits_for.clone(),
        }
    }
}

/// How a wanted page ended.
#[derive(Clone, Debug)]
pub struct PageResult<'a> {
    /// The page, or `None` where nobody was paged.
    pub page: Option<(&'a str, &'a str)>,
    /// An open page was joined, none was opened.
    pub joined: bool,
    /// What is wrong with it, or why nobody was paged.
    pub reason: Option<&'a str>,
}

pub(super) const COLUMNS: &str = "SELECT incident_id, run_id, asked_by, requested_at, state, (SELECT w.begun_at FROM writes w \
     WHERE w.key = 'open:' || pages.incident_id AND (w.is_open <> 0 OR w.doubt_at IS NOT NULL OR w.made_id IS NOT NULL)) \
     AS begun_at, tried_since, page_id, page_url, joined, reason, finished_at, acknowledged_at, acknowledged_by, after_all, \
     no_news, waits_for FROM pages";

/// The value; where something else stands there nothing, and the record is not readable.
fn kept<T>(readable: &mut bool, read: Result<Option<T>, StoreError>) -> Option<T> {
    *readable &= read.is_ok();
    read.ok().flatten()
}

pub(super) fn record(row: &AnyRow) -> Result<PageRecord, StoreError> {
    let mut readable = true;
    let mut at = |name: &'static str| {
        kept(&mut readable, column::<Option<i64>>(row, name).and_then(|at| at.map(time).transpose()))
    };
    let (begun_at, requested_at) = (at("begun_at"), at("requested_at").unwrap_or_default());
    let (finished_at, acknowledged_at) = (at("finished_at"), at("acknowledged_at"));
    let tried_since = at("tried_since");
    let mut maybe = |name: &'static str| kept(&mut readable, column::<Option<String>>(row, name));
    let (asked_by, reason, acknowledged_by) = (maybe("asked_by"), maybe("reason"), maybe("acknowledged_by"));
    let (page_id, page_url, state) = (maybe("page_id"), maybe("page_url"), maybe("state").unwrap_or_default());
    let (waits_for, run_id) = (maybe("waits_for"), maybe("run_id").unwrap_or_default());
    let no_news = maybe("no_news").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let mut is = |name: &'static str| kept(&mut readable, column::<Option<i64>>(row, name)).unwrap_or_default() != 0;
    let (joined, after_all) = (is("joined"), is("after_all"));
    let state = if readable { state.parse().unwrap_or(PageState::Unreadable) } else { PageState::Unreadable };
    let incident_id: String = column(row, "incident_id")?;
    if state == PageState::Unreadable {
        tracing::error!(incident.id = incident_id, "{UNREADABLE_PAGE}");
    }
    Ok(PageRecord {
        incident_id,
        run_id,
        asked_by,
        state,
        begun_at,
        tried_since,
        waits_for,
        requested_at,
        page_id,
        page_url,
        joined,
        reason: if state == PageState::Unreadable { Some(UNREADABLE_PAGE.to_owned()) } else { reason },
        after_all,
        no_news,
        finished_at,
        acknowledged: acknowledged_at.zip(acknowledged_by),
    })
}

/// The page of this name.
pub(crate) async fn page_of<'c>(
    connection: impl sqlx::Executor<'c, Database = Any>,
    incident_id: &str,
) -> Result<Option<PageRecord>, StoreError> {
    let sql = AssertSqlSafe(format!("{COLUMNS} WHERE incident_id = $1"));
    let row = sqlx::query(sql).bind(incident_id).fetch_optional(connection).await;
    row.map_err(failed("looking for a page"))?.as_ref().map(record).transpose()
}
