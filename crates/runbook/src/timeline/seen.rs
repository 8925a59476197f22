//! What was read, as entries of the timeline.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Entry, Source};
use crate::alert::{Region, Zone};
use crate::diagnosis::client::{Answer, Look, Up};
use crate::diagnosis::note::of_checks;
use crate::diagnosis::verdict::zone_of;
use crate::diagnosis::{Checks, MagicBox, Reading};

/// A reading of the Jenkins job: its build, and how the boxes of the region, with these zones, stood; all boxes, where the
/// region is not known.
pub fn reading(region: Option<&Region>, expected: &[Zone], reading: &Reading) -> Entry {
    let build = reading.build_url.as_deref().and_then(|url| url.trim_end_matches('/').rsplit('/').next());
    let build = build.filter(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    let build = build.map_or_else(|| "Reading".to_owned(), |number| format!("Build {number}"));
    let mut stood: BTreeMap<(u8, i8), usize> = BTreeMap::new();
    let is_of = |one: &&MagicBox| region.is_none_or(|region| zone_of(region, expected, &one.name).is_some());
    for one in reading.console.boxes.iter().filter(is_of) {
        *stood.entry((one.se_status, one.upstream_status)).or_default() += 1;
    }
    let boxes: usize = stood.values().sum();
    let how = stood.iter().map(|((se, upstream), count)| format!("{count} with SE={se} upstream={upstream}"));
    let of = region.map_or_else(String::new, |region| format!(" of {region}"));
    let how = match boxes {
        0 => format!("no Magic Box{of} could be read"),
        1 => format!("1 Magic Box{of}: {}", how.collect::<Vec<_>>().join(", ")),
        boxes => format!("{boxes} Magic Boxes{of}: {}", how.collect::<Vec<_>>().join(", ")),
    };
    let warnings = match reading.warnings.len() + reading.console.warnings.len() {
        0 => String::new(),
        1 => "; 1 warning".to_owned(),
        count => format!("; {count} warnings"),
    };
    Entry {
        at: reading.at,
        source: Source::Jenkins,
        kind: "reading".to_owned(),
        text: format!("{build}: {how}{warnings}"),
        who: None,
        url: reading.build_url.clone(),
    }
}

/// What the clusters said, all zones that were asked at one time; `None` where none was. It is dated by the last answer.
pub fn checks(checks: &[(Zone, Checks)]) -> Option<Entry> {
    let at = checks.iter().map(|(_, checks)| checks.at).max()?;
    let said: Vec<String> = checks.iter().map(|(zone, checks)| format!("{zone}: {}", of_checks(checks))).collect();
    Some(Entry { at, source: Source::Cluster, kind: "checks".to_owned(), text: said.join("; "), who: None, url: None })
}

/// What the client of the end-to-end test saw, in one look that was kept then; `None` where nothing was asked.
pub fn client(at: Timestamp, look: &Look) -> Option<Entry> {
    let word = |answer: &Answer| answer.state.map_or("not known", Up::as_str);
    let regions = look.regions.iter().map(|one| {
        format!("{}: Service Endpoints {}, public endpoints {}", one.region, word(&one.se), word(&one.public))
    });
    let front_ends = look.front_ends.iter().map(|one| format!("front end {}: {}", one.address, one.result));
    let said: Vec<String> = regions.chain(front_ends).collect();
    (!said.is_empty()).then(|| Entry {
        at,
        source: Source::Client,
        kind: "client".to_owned(),
        text: said.join("; "),
        who: None,
        url: None,
    })
}
