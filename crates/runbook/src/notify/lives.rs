//! Every life of what others are told of two alerts and their page: notes and pages that come while a message is on its way, a
//! merge, processes that die, answers that are lost, requests that are taken late, a limit, a refusal. What has to stand and what
//! is done next is decided by the real functions; who tells, its rows and Slack do here what `src/run/notify.rs`, `store` and Slack
//! do.

mod elsewhere;
mod slice;

use jiff::Timestamp;

use super::{Known, Place, Places};
use crate::search::Way;

/// By which names PagerDuty has the alerts, and their pages.
const INCIDENTS: [&str; 2] = ["Q1", "Q2"];
const PAGES: [&str; 2] = ["P1", "P2"];
const ALL: Places = Places { registry: true, se: true, ghe: true };

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// A fault that is planted, which the search must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Planted {
    None,
    /// What was about to be sent is sent again, without a look.
    SentBlindly,
    /// One that was cut off is taken for one that has not sent.
    CrashForgotten,
    /// An edit is sent while an older one may yet be taken.
    EditedInDoubt,
    /// Which note a root message was begun with is not kept.
    OpenerForgotten,
    /// A limit is taken for a refusal.
    LimitEnds,
}

/// How often each thing may yet happen to what is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) crashes: u8,
    /// Answers that are lost: it was taken, or was not, or is later.
    pub(crate) lost: u8,
    /// "429 waits as told".
    pub(crate) limits: u8,
    /// "`ok:false` that no retry mends".
    pub(crate) refusals: u8,
}

/// What there is to tell of an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tale {
    /// Which of the incidents it is now.
    pub(crate) incident: usize,
    /// What was said on it, in order.
    pub(crate) said: Vec<String>,
    /// How often its note has changed.
    pub(crate) edits: u8,
    pub(crate) is_over: bool,
}

/// All that there is to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Heard {
    pub(crate) alerts: [Option<Tale>; 2],
    /// Of which alert each incident is a name.
    pub(crate) names: [Option<usize>; 2],
    /// By page, the incidents that are paged with it, the first first.
    pub(crate) pages: [Vec<usize>; 2],
}

/// What stands on the other side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct There {
    place: Place,
    /// Its mark.
    alert: String,
    kind: String,
    page_id: Option<String>,
    text: String,
    /// Of a root message, what it was begun with.
    opened_with: Option<String>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sent {
    Post(There),
    /// Replaces the text of what has this place in the list.
    Edit(usize, String),
}

/// A request on its way, whose intent is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sending {
    row: usize,
    attempt: u32,
    sent: Sent,
}

/// A row of what is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Row {
    known: Known,
    page_id: Option<String>,
}

/// Who tells, and the other side. All times are relative: it is always [`now`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Elsewhere {
    planted: Planted,
    may: Budget,
    stands: Vec<There>,
    /// Taken a little later, or never: until when at the latest.
    late: Vec<(Timestamp, Sent)>,
    rows: Vec<Row>,
    /// Of each alert, and of each page.
    on_the_way: [Option<Sending>; 4],
    /// Where the other side has refused something for good.
    refused: Vec<usize>,
    wrong: Option<&'static str>,
}

type Ways<'a> = Vec<Way<'a, Elsewhere>>;

/// A step that may be taken.
fn way<'a>(name: &'static str, does: impl FnOnce(&mut Elsewhere) + 'a) -> Way<'a, Elsewhere> {
    (name, Box::new(does))
}
