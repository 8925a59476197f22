//! What may happen in the lives that are searched.

use std::cell::RefCell;
use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::{REGION, now};
use crate::alert::Zone;
use crate::command::Word;
use crate::diagnosis::client::{Answer, Asked, Look, RegionLook, Up};
use crate::diagnosis::verdict::diagnose;
use crate::diagnosis::{Checks, Console, Diagnosis, Earlier, Evidence, Finding, MagicBox, Reading};
use crate::notify::lives;

/// A fault that is planted, which the search must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Planted {
    None,
    /// That the alert is open after all is kept, whatever has come since that was decided.
    OpenUnguarded,
    /// The same by a run.
    RunOpensUnguarded,
    /// What was seen before something came still counts.
    OldLookCounts,
    /// The same of a look that was under way then.
    LookUnderWayCounts,
    /// That a command was obeyed is kept after what it asks for, not with it.
    ObeyedKeptLater,
    /// Of what was under way for an alert that is merged only this is taken over: watches, or commands.
    MergeForgetsWatches,
    MergeForgetsCommands,
    /// A run goes on after its alert was merged, whatever the other's has done.
    BothGoOn,
    /// A follow-up is not counted.
    FollowUpsUncounted,
    /// That a command is refused is not kept before it is said.
    RefusalNotKept,
    /// A note that was about to be sent is sent again, without a look.
    NoteSentBlindly,
    /// A page whose answer was lost is opened again, without a look by its key.
    PageSentBlindly,
    /// Right before a page it is not looked once more what speaks against it.
    LastLookForgotten,
    /// What holds a page is asked without this.
    HoldForgotten,
    AgeForgotten,
    /// What the client said first counts, whatever it says later.
    EarlyClientCounts,
    /// That evidence was taken again is not counted.
    RetakesUncounted,
    /// That a run goes on after a bigger outage is not kept.
    GoOnForgotten,
    /// A run that is taken up with its note tells again.
    NotedForgotten,
}

/// How often each thing may yet happen, and which may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// People resolve an alert, or open it again.
    pub(super) changes: u8,
    /// They merge the first alert into the second.
    pub(super) merges: u8,
    /// They write a command, one of these.
    pub(super) commands: u8,
    pub(super) words: &'static [Word],
    /// They acknowledge or resolve a page.
    pub(super) acts: u8,
    /// Pages that explain the alert open, or close.
    pub(super) related: u8,
    /// Webhooks come before an earlier one, and twice.
    pub(super) late: u8,
    pub(super) twice: u8,
    /// The process dies, or freezes until another works on the alert.
    pub(super) crashes: u8,
    pub(super) freezes: u8,
    /// PagerDuty can't be asked, or takes no note.
    pub(super) fails: u8,
    /// The client is asked, and answers so often; 0: there is none.
    pub(super) client: u8,
    /// Others are told, and what may go wrong with that.
    pub(super) tells: Option<lives::Budget>,
    /// What runs may come to.
    pub(super) verdicts: &'static [Verdict],
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verdict {
    /// It may change by itself.
    MayChange,
    /// The team is to be paged.
    Page,
    /// Neither.
    Settled,
}

/// What was read, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Found {
    pub(super) verdict: Verdict,
    /// Whether the client's test passed, each time that it was asked; `None`: there is no client.
    pub(super) client: Option<Vec<bool>>,
    pub(super) at: Timestamp,
}

/// By the verdict, and what the client said.
type Made = HashMap<(Verdict, Option<Vec<bool>>), Diagnosis>;

thread_local! {
    /// Those that were made, as of [`now`].
    static MADE: RefCell<Made> = RefCell::default();
}

impl Found {
    /// The diagnosis that it comes to, as the run would make it.
    pub(super) fn diagnosis(&self) -> Diagnosis {
        let key = (self.verdict, self.client.clone());
        let made = MADE.with_borrow_mut(|made| made.entry(key).or_insert_with(|| self.diagnose()).clone());
        made.earlier(SignedDuration::try_from(crate::span::between(self.at, now())).unwrap())
    }

    fn diagnose(&self) -> Diagnosis {
        let region = REGION.parse().unwrap();
        let zones: Vec<Zone> = crate::alert::Region::default_zones(&region);
        let reading = || {
            let statuses = |n: usize| match self.verdict {
                Verdict::MayChange => (u8::from(n == 0), 0),
                Verdict::Page => (0, 1),
                Verdict::Settled => (0, 0),
            };
            let magic_box = |(n, zone): (usize, &Zone)| MagicBox {
                name: format!("{zone}-1"),
                magic_box_id: "id".to_owned(),
                node: "Ready".to_owned(),
                backend_ip: "10.94.143.238".to_owned(),
                frontend: "166.9.12.114/23".to_owned(),
                se_status: statuses(n).0,
                upstream_status: statuses(n).1,
            };
            let boxes = zones.iter().enumerate().map(magic_box).collect();
            let console = Console { boxes, ..Console::default() };
            Reading { build_url: None, at: now(), console, warnings: Vec::new(), set_aside: Vec::new() }
        };
        // "The same in the last re-run".
        let readings = [reading(), reading()];
        let checks: Vec<(Zone, Checks)> = zones.iter().map(|zone| (zone.clone(), healthy())).collect();
        let look = |is_up: &bool| {
            let state = Some(if *is_up { Up::Up } else { Up::Down });
            let answer = Answer { state, at: Some(now()), why: None };
            let its = RegionLook { region: REGION.parse().unwrap(), se: answer.clone(), public: answer };
            Look { regions: vec![its], front_ends: Vec::new() }
        };
        let earlier = Earlier {
            client: self.client.as_ref().map(|_| Asked::about(&region, [], false)),
            looks: self.client.iter().flatten().map(look).collect(),
            ..Earlier::default()
        };
        let (readings, listed) = (&readings[..], &[][..]);
        diagnose(&Evidence { region: &region, expected: &zones, readings, checks: &checks, earlier: &earlier, listed })
    }
}

fn healthy() -> Checks {
    Checks {
        finding: Finding::Healthy,
        konicle: None,
        ingress: Vec::new(),
        status: None,
        konicle_pods: Vec::new(),
        registry_pages: Vec::new(),
        warnings: Vec::new(),
        error: None,
        at: now(),
        context: None,
    }
}
