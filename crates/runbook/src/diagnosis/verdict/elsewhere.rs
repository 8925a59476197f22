//! The other regions of a reading: whether they are whole tells a region's trouble from everybody's.

use std::collections::BTreeMap;

use super::summary::bounded;
use super::{Evidence, MagicBox, OtherRegion, is_number, is_well, zone_of};
use crate::alert::Region;

/// How many boxes that tell no region a warning names.
const NAMED: usize = 6;

/// The boxes that are not of the alert's region.
pub(super) struct Elsewhere<'a> {
    /// The other regions by name.
    pub(super) regions: Vec<OtherRegion>,
    /// Boxes whose name tells no region.
    nameless: Vec<&'a str>,
}

impl<'a> Elsewhere<'a> {
    pub(super) fn of(evidence: &Evidence<'_>, boxes: &'a [MagicBox]) -> Self {
        let mut regions: BTreeMap<Region, (usize, usize)> = BTreeMap::new();
        let mut nameless = Vec::new();
        for b in boxes.iter().filter(|b| zone_of(evidence.region, evidence.expected, &b.name).is_none()) {
            match region_of(evidence, &b.name) {
                Some(region) => {
                    let (boxes, whole) = regions.entry(region).or_default();
                    *boxes += 1;
                    *whole += usize::from(is_well(b));
                }
                None => nameless.push(b.name.as_str()),
            }
        }
        let regions =
            regions.into_iter().map(|(region, (boxes, whole))| OtherRegion { region, boxes, whole }).collect();
        Self { regions, nameless }
    }

    pub(super) fn warning(&self) -> Option<String> {
        let named: Vec<_> = self.nameless.iter().take(NAMED).map(|name| format!("{name:?}")).collect();
        let more = match self.nameless.len().checked_sub(named.len())? {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let subject = match self.nameless.len() {
            0 => return None,
            1 => "one box has a name that tells no region, so it is left out",
            _ => "some boxes have names that tell no region, so they are left out",
        };
        Some(bounded(format!("{subject}: {}{more}", named.join(", "))))
    }
}

/// `<listed zone>-<i>`, else `registry-<region>-az<n>-<i>`.
fn region_of(evidence: &Evidence<'_>, box_name: &str) -> Option<Region> {
    let (zone, _) = box_name.rsplit_once('-').filter(|(_, index)| is_number(index))?;
    if let Some((_, region)) = evidence.listed.iter().find(|(listed, _)| listed.as_str() == zone) {
        return Some(region.clone());
    }
    let (region, n) = zone.strip_prefix("registry-")?.rsplit_once("-az")?;
    is_number(n).then(|| region.parse().ok()).flatten()
}
