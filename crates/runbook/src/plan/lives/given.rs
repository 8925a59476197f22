//! What may happen in the lives that are searched.

use crate::command::Word;

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
