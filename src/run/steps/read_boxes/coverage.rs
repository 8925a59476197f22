//! Which expected zones a console shows.

use crate::alert::Zone;
use crate::diagnosis::Console;

/// Expected zones with at least one box, all of whose boxes could be read.
pub(super) fn present_zones<'a>(expected: &'a [Zone], console: &Console) -> Vec<&'a Zone> {
    let of = |zone: &Zone, name: &str| {
        let index = name.strip_prefix(zone.as_str()).and_then(|rest| rest.strip_prefix('-'));
        index.is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
    };
    let shown = |zone: &&Zone| {
        console.boxes.iter().any(|magic_box| of(zone, &magic_box.name))
            && !console.unreadable.iter().any(|name| of(zone, name))
    };
    expected.iter().filter(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::MagicBox;

    #[test]
    fn a_zone_is_shown_by_its_own_boxes_and_not_if_one_is_unreadable() {
        let zone = |n: u32| Zone::new(format!("registry-prod-us-south-az{n}"));
        let magic_box = |name: &str| MagicBox {
            name: name.into(),
            magic_box_id: "id".into(),
            node: "Ready".into(),
            backend_ip: "10.0.0.1".into(),
            frontend: "166.9.0.1/23".into(),
            se_status: 1,
            upstream_status: 1,
        };
        let console = Console {
            boxes: ["registry-prod-us-south-az1-1", "registry-prod-us-south-az2-1", "registry-prod-us-south-az10-1"]
                .map(magic_box)
                .into(),
            unreadable: vec!["registry-prod-us-south-az2-2".into()],
            warnings: Vec::new(),
        };
        let expected = [zone(1), zone(2), zone(3), zone(10)];
        assert_eq!(present_zones(&expected, &console), [&expected[0], &expected[3]]);
    }
}
