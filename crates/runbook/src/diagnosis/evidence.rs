//! What a diagnosis is made of: readings, checks, and all else that the run has seen.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::client::{Asked, Look};
use super::{Checks, Console, MagicBox};
use crate::alert::{Region, Zone};

/// One reading of a region's boxes, as the run keeps it: the best build of those tried for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The build that was read; `None` where none could be, or where the console came from a file.
    pub build_url: Option<String>,
    /// When the build ended (Jenkins' clock set to ours), or when the last try for it failed.
    pub at: Timestamp,
    /// What the build printed; empty where no build could be read.
    pub console: Console,
    /// What went wrong on the way: a build that failed, a parameter that vanished, a zone that was tried in vain.
    pub warnings: Vec<String>,
    /// Boxes of the region that other builds printed which were read for this reading. They have no say in the verdict
    /// (builds are never mixed), but what they showed was there.
    #[serde(default)]
    pub set_aside: Vec<MagicBox>,
}

/// All that a run has seen, whether or not it still decides: the first checks beside the newest, readings that were
/// taken again since they were too old for a page, and whatever was read before a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Readings and re-runs. What decides now may be among them.
    pub readings: Vec<Reading>,
    /// What clusters said, each time that they were asked.
    pub checks: Vec<(Zone, Checks)>,
    /// What was seen of the client of the end-to-end test, each time that it was asked.
    #[serde(default)]
    pub looks: Vec<Look>,
    /// What is asked of the client; `None`: it is not.
    #[serde(default)]
    pub client: Option<Asked>,
    /// What decides now was taken again, being too old for a page: then its first reading is a re-run of what was read before.
    pub taken_again: bool,
}

/// Everything that a diagnosis is made of.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// The region of the alert.
    pub region: &'a Region,
    /// The zones that it should have, in the order of the regions file.
    pub expected: &'a [Zone],
    /// The first reading and its re-runs, in order. None is a diagnosis without any reading.
    pub readings: &'a [Reading],
    /// What each zone's cluster said (the newest checks); empty where clusters were not asked.
    pub checks: &'a [(Zone, Checks)],
    /// What the run has seen beside these; none where these are all.
    pub earlier: &'a Earlier,
    /// Zones that the regions file lists, whichever region's they are: a box's name alone need not tell its region.
    pub listed: &'a [(Zone, Region)],
}
