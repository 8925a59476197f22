//! What a reading without an alert comes to.

use strum::{EnumMessage, VariantArray, VariantNames};

use crate::alert::{Region, Zone};
use crate::diagnosis::Reading;
use crate::diagnosis::last_good::GoodReading;
use crate::diagnosis::verdict::{is_complete, zone_of};

crate::words! { Outcome: "outcome of a canary"; }

/// What a canary came to, for the region that the job was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// Every expected zone, every box `1:1`.
    Good,
    /// Every expected zone, and a box that is not `1:1`.
    NotGood,
    /// An expected zone is missing, or a box could not be read.
    Incomplete,
    /// No box of the region could be read.
    Failed,
}

impl Outcome {
    /// Whether a diagnosis now would lack its boxes.
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::Incomplete | Self::Failed)
    }

    /// Of what a reading shows of a region.
    pub fn of(region: &Region, expected: &[Zone], reading: &Reading) -> Self {
        if GoodReading::of(region, expected, reading).is_some() {
            return Self::Good;
        }
        let is_ours = |name: &String| zone_of(region, expected, name).is_some();
        if !reading.console.boxes.iter().any(|b| is_ours(&b.name)) {
            Self::Failed
        } else if !is_complete(region, expected, &reading.console) || reading.console.unreadable.iter().any(is_ours) {
            Self::Incomplete
        } else {
            Self::NotGood
        }
    }
}
