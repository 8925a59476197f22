//! Lists, read to their end, entry by entry, though they change while they are read page by page. Of each page only what
//! is asked for is kept.

use std::collections::HashSet;
use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Error, PagerDuty};
use runbook::json::{LeftOut, entries};

/// The most that PagerDuty gives at once.
const PAGE: usize = 100;
/// `offset + limit` may not be more: what lies beyond can't be listed.
const LAST: usize = 10_000;
/// How far back a list that moved is taken up again, at first; each time twice as far.
const BACK: usize = 8;
/// The most by which pages overlap, so that each still goes on.
const WIDEST: usize = PAGE / 2;
/// How often a list that moved is taken up again.
const MOVED: usize = 24;

/// A list as far as it can be read. It looks like what could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// What could be read.
    pub entries: Vec<T>,
    /// What could not.
    pub left_out: Vec<LeftOut>,
}

impl<T> Deref for Listed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.entries
    }
}

impl PagerDuty {
    /// Reads a list to its end. An entry that can't be read is left out, and the log says so; an incomplete list is
    /// never returned.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        doing: &str,
        segments: &[&str],
        query: &[(&str, &str)],
        field: &str,
    ) -> Result<Listed<T>, Error> {
        self.list_unless_full(doing, segments, query, field).await?.ok_or_else(|| Error {
            advice: Some("PagerDuty lists no more than that: name the services with PAGERDUTY_SERVICE_IDS"),
            ..Error::malformed(doing, format!("more than {LAST} entries"))
        })
    }

    /// The same, `None` where the list has more entries than PagerDuty lists.
    pub(super) async fn list_unless_full<T: DeserializeOwned>(
        &self,
        doing: &str,
        segments: &[&str],
        query: &[(&str, &str)],
        field: &str,
    ) -> Result<Option<Listed<T>>, Error> {
        let Some(listed) = self.whole_list(doing, segments, query, field).await? else { return Ok(None) };
        if let Some(first) = listed.left_out.first() {
            let (why, left_out) = (&first.why, listed.left_out.len());
            tracing::warn!(doing, left_out, why, "entries of a list can't be read and are left out");
        }
        Ok(Some(listed))
    }

    /// All entries, none twice; `None` where there are more than PagerDuty lists.
    ///
    /// What lies before our place in a list may leave it while it is read (an incident is resolved), and the rest moves
    /// up: a page may then begin beyond entries that were never seen. So pages overlap. A list keeps its order, so a
    /// page that shows an entry which was seen before shows all that follows that entry, and none is missed between. A
    /// page that shows none is not taken: the list is taken up again further back, and pages overlap by more from then on.
    async fn whole_list<T: DeserializeOwned>(
        &self,
        doing: &str,
        segments: &[&str],
        query: &[(&str, &str)],
        field: &str,
    ) -> Result<Option<Listed<T>>, Error> {
        let mut list = Places::new();
        let (mut next, mut overlap, mut back, mut moved) = (0, 1, BACK, 0);
        loop {
            let (page, more) = self.page(doing, segments, query, field, next).await?;
            if next > 0 && !list.has_one_of(&page) {
                moved += 1;
                if moved > MOVED {
                    return Err(Error::malformed(doing, "the list changed each time while it was read page by page"));
                }
                next = next.saturating_sub(back);
                overlap = back.min(WIDEST);
                back *= 2;
                continue;
            }
            let got = page.len();
            // The overlap must hold an entry by which it can be told.
            let nameless = page.iter().rev().take_while(|entry| id(entry).is_none()).count();
            list.add(page);
            if !more {
                return Ok(Some(list.listed));
            }
            // A page that has nothing beyond the overlap would be asked for without end.
            if got < 2 {
                return Err(Error::malformed(doing, "an empty page, though more were said to follow"));
            }
            if nameless + 1 >= got {
                return Err(Error::malformed(doing, "a page without an id, though more were said to follow"));
            }
            next += got.saturating_sub(overlap + nameless).max(1);
            if next + 1 >= LAST {
                return Ok(None);
            }
        }
    }

    /// One page from a place on, and whether more follow.
    async fn page(
        &self,
        doing: &str,
        segments: &[&str],
        query: &[(&str, &str)],
        field: &str,
        offset: usize,
    ) -> Result<(Vec<Value>, bool), Error> {
        let limit = PAGE.min(LAST - offset);
        let (shown_limit, shown_offset) = (limit.to_string(), offset.to_string());
        let mut query = query.to_vec();
        query.extend([("limit", shown_limit.as_str()), ("offset", shown_offset.as_str())]);
        let mut answer: Value = self.get(doing, segments, &query).await?;
        let page = answer.get_mut(field).map(Value::take);
        let Some(Value::Array(page)) = page else {
            return Err(Error::malformed(doing, format!("an answer without `{field}`")));
        };
        // A page that is not full is the last one, whether it says so or not.
        let more = answer.get("more").and_then(Value::as_bool).or((page.len() < limit).then_some(false));
        match more {
            Some(more) => Ok((page, more)),
            None => Err(Error::malformed(doing, format!("a full page of `{field}` without `more`"))),
        }
    }
}

/// What was seen of a list.
struct Places<T> {
    listed: Listed<T>,
    ids: HashSet<Box<str>>,
    /// Entries without an id, by which one that is shown again is told.
    nameless: Vec<Value>,
}

impl<T: DeserializeOwned> Places<T> {
    fn new() -> Self {
        let listed = Listed { entries: Vec::new(), left_out: Vec::new() };
        Self { listed, ids: HashSet::new(), nameless: Vec::new() }
    }

    fn has_one_of(&self, page: &[Value]) -> bool {
        page.iter().filter_map(id).any(|id| self.ids.contains(id))
    }

    fn add(&mut self, mut page: Vec<Value>) {
        page.retain(|entry| match id(entry) {
            Some(id) => self.ids.insert(id.into()),
            None if self.nameless.contains(entry) => false,
            None => {
                self.nameless.push(entry.clone());
                true
            }
        });
        let (read, left_out) = entries(page);
        self.listed.entries.extend(read);
        self.listed.left_out.extend(left_out.into_iter().map(cut_down));
    }
}

/// What may be asked of an entry that can't be read: what it is, and where.
const ASKED: [&str; 5] = ["id", "name", "title", "incident_key", "service"];

fn cut_down(mut left: LeftOut) -> LeftOut {
    if let Some(fields) = left.entry.as_object_mut() {
        fields.retain(|name, _| ASKED.contains(&name.as_str()));
    }
    left
}

fn id(entry: &Value) -> Option<&str> {
    entry.get("id")?.as_str().filter(|id| !id.is_empty())
}
