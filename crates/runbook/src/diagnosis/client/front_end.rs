//! Which front ends are asked, and what the exporter's answer says.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::Reached;
use crate::diagnosis::{MagicBox, ZoneDiagnosis};

/// Runbook: "static routes to get to 166.8.0.0/14 over the private network". Nothing else is ever asked.
pub fn is_within(address: &str) -> bool {
    address.parse::<Ipv4Addr>().is_ok_and(|address| {
        let [first, second, ..] = address.octets();
        first == 166 && second & 0b1111_1100 == 8
    })
}

/// A box's front end: "the address before the `/`".
fn address(b: &MagicBox) -> &str {
    b.frontend.split('/').next().unwrap_or_default().trim()
}

/// The addresses of the region's boxes, each once, in the order of the zones.
pub fn addresses(zones: &[ZoneDiagnosis]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let all = zones.iter().flat_map(|zone| &zone.boxes).map(address);
    all.filter(|address| seen.insert(*address)).map(str::to_owned).collect()
}

/// What the exporter's text says: `probe_success 1` or `0`.
///
/// # Errors
/// In words: there is no such line, or it has another value.
pub fn read_probe(text: &str) -> Result<Reached, String> {
    let mut last = None;
    for line in text.lines() {
        let Some(rest) = line.trim().strip_prefix("probe_success") else { continue };
        // Labels, where somebody adds some; then the value, and sometimes a time.
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once('}').map(|(_, value)| value),
            None => rest.starts_with(|c: char| c.is_ascii_whitespace()).then_some(rest),
        };
        last = value.and_then(|value| value.split_ascii_whitespace().next()).or(last);
    }
    let value = last.ok_or("the exporter's answer has no probe_success in it")?;
    match value.parse::<f64>() {
        Ok(1.0) => Ok(Reached::Answers),
        Ok(0.0) => Ok(Reached::Fails),
        _ => Err(format!("the exporter says probe_success {}", crate::text::clean(value, 40))),
    }
}
