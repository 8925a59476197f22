//! What differs from the last good reading of a region: boxes that came or went, addresses that moved. Not the
//! statuses: those are the verdict.
//!
//! A reading is good where it shows every expected zone of the region and every box of it is `1:1`. One that is complete
//! but not all `1:1` is not good: it may show the fault that the next alert is about.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray, VariantNames};
use utoipa::ToSchema;

use super::verdict::good_boxes;
use super::{MagicBox, Reading, ZoneDiagnosis};
use crate::alert::{Region, Zone};

/// A region's last good reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoodReading {
    /// When its build ended (Jenkins' clock set to ours).
    pub at: Timestamp,
    /// The build.
    pub build_url: Option<String>,
    /// The region's boxes, all `1:1`.
    pub boxes: Vec<MagicBox>,
}

impl GoodReading {
    /// What a reading shows of a region, if that is good.
    pub fn of(region: &Region, expected: &[Zone], reading: &Reading) -> Option<Self> {
        let boxes = good_boxes(region, expected, &reading.console)?;
        Some(Self { at: reading.at, build_url: reading.build_url.clone(), boxes })
    }
}

crate::words! { Changed: "change of a box"; }

/// What has changed about a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Changed {
    /// It is not there any more; `was` is its Magic Box ID.
    Gone,
    /// It was not there; `is` is its Magic Box ID.
    New,
    /// Its Magic Box ID: another machine has its name.
    MagicBoxId,
    /// Its back-end address.
    BackendIp,
    /// Its front-end address.
    Frontend,
    /// Its node's state.
    Node,
}

/// One difference from the last good reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// The box's name.
    pub name: String,
    /// What has changed.
    pub changed: Changed,
    /// What it was; `None` for a new box.
    pub was: Option<String>,
    /// What it is; `None` for a box that is gone.
    pub is: Option<String>,
}

/// What differs from the region's last good reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SinceLastGood {
    /// When the last good reading was taken.
    pub at: Timestamp,
    /// Its build.
    pub build_url: Option<String>,
    /// The differences, by the boxes' names; empty: none.
    pub changes: Vec<Change>,
}

/// Compares a diagnosis' boxes with the last good reading. `None`: no box was read, so nothing can be said.
///
/// Of a zone with a box that could not be read it is not known which of its boxes are gone.
pub fn compare(good: &GoodReading, zones: &[ZoneDiagnosis]) -> Option<SinceLastGood> {
    let now = || zones.iter().flat_map(|zone| &zone.boxes);
    now().next()?;
    let mut by_name: BTreeMap<&str, (Option<&MagicBox>, Option<&MagicBox>)> = BTreeMap::new();
    for was in &good.boxes {
        by_name.entry(&was.name).or_default().0 = Some(was);
    }
    for is in now() {
        by_name.entry(&is.name).or_default().1 = Some(is);
    }
    let unread = |name: &str| {
        let zone = name.rsplit_once('-').map_or(name, |(zone, _)| zone);
        zones.iter().any(|z| z.unread && z.cluster.as_str() == zone)
    };
    let mut changes = Vec::new();
    for (name, pair) in by_name {
        let mut add = |changed, was: Option<&String>, is: Option<&String>| {
            if was != is {
                changes.push(Change { name: name.to_owned(), changed, was: was.cloned(), is: is.cloned() });
            }
        };
        match pair {
            (Some(_), None) if unread(name) => {}
            (Some(was), None) => add(Changed::Gone, Some(&was.magic_box_id), None),
            (was, Some(is)) => match was {
                None => add(Changed::New, None, Some(&is.magic_box_id)),
                Some(was) => {
                    add(Changed::MagicBoxId, Some(&was.magic_box_id), Some(&is.magic_box_id));
                    add(Changed::BackendIp, Some(&was.backend_ip), Some(&is.backend_ip));
                    add(Changed::Frontend, Some(&was.frontend), Some(&is.frontend));
                    add(Changed::Node, Some(&was.node), Some(&is.node));
                }
            },
            (None, None) => {}
        }
    }
    Some(SinceLastGood { at: good.at, build_url: good.build_url.clone(), changes })
}

#[cfg(test)]
mod tests;
