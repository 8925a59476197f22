//! The looks of a run and the path come to the finding of the contract's table, whatever is asked in vain.

use std::time::Duration;

use super::sample::{NO_AGE, Sample, Vector, read};
use super::*;
use crate::alert::Zone;
use crate::diagnosis::verdict::diagnose;
use crate::diagnosis::{Checks, Class, Console, Diagnosis, Earlier, Evidence, Finding, MagicBox, Reading};
use proptest::prelude::*;

mod findings;
mod samples;

const REGION: &str = "prod-us-south";

pub(super) fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).expect("a time")
}

fn answer(state: Option<Up>) -> Answer {
    match state {
        Some(state) => Answer { state: Some(state), at: Some(at(0)), why: None },
        None => Answer::not_asked("no connection"),
    }
}

/// A look that saw these regions so: name, SE, public.
fn look(regions: &[(&str, Option<Up>, Option<Up>)]) -> Look {
    let of = |(name, se, public): &(&str, Option<Up>, Option<Up>)| RegionLook {
        region: region(name),
        se: answer(*se),
        public: answer(*public),
    };
    Look { regions: regions.iter().map(of).collect(), front_ends: Vec::new() }
}

fn front_end(address: &str, result: Reached) -> FrontEndLook {
    let why = (result == Reached::Unknown).then(|| "no pod is Running".to_owned());
    FrontEndLook { address: address.into(), result, why, at: at(5) }
}

/// What is shown of a region with one box a zone.
#[derive(Debug)]
struct Shown {
    statuses: [Option<(u8, i8)>; 3],
    findings: [Finding; 3],
    front_ends: [&'static str; 3],
}

const WELL: Shown = Shown {
    statuses: [Some((1, 1)); 3],
    findings: [Finding::Healthy; 3],
    front_ends: ["166.9.12.114/23", "166.9.14.114/23", "166.9.16.114/23"],
};

impl Shown {
    fn diagnosed(&self, asked: &Asked, looks: Vec<Look>) -> Diagnosis {
        let zones: Vec<Zone> = region(REGION).default_zones();
        let boxes = zones.iter().zip(self.statuses).zip(self.front_ends).filter_map(|((zone, statuses), frontend)| {
            let (se_status, upstream_status) = statuses?;
            Some(MagicBox {
                name: format!("{zone}-1"),
                magic_box_id: format!("us-south-{zone}-1-vm-d4533b5e"),
                node: "Ready".into(),
                backend_ip: "10.94.143.238".into(),
                frontend: frontend.into(),
                se_status,
                upstream_status,
            })
        });
        let console = Console { boxes: boxes.collect(), ..Console::default() };
        let reading = Reading { build_url: None, at: at(0), console, warnings: Vec::new(), set_aside: Vec::new() };
        let checks: Vec<(Zone, Checks)> = zones
            .iter()
            .zip(self.findings)
            .map(|(zone, finding)| {
                let checks = Checks {
                    finding,
                    konicle: None,
                    ingress: Vec::new(),
                    status: None,
                    konicle_pods: Vec::new(),
                    registry_pages: Vec::new(),
                    warnings: Vec::new(),
                    error: None,
                    at: at(0),
                    context: None,
                };
                (zone.clone(), checks)
            })
            .collect();
        diagnose(&Evidence {
            region: &region(REGION),
            expected: &zones,
            readings: &[reading],
            checks: &checks,
            earlier: &Earlier { looks, client: Some(asked.clone()), ..Earlier::default() },
            listed: &[],
        })
    }

    /// With looks at just these regions, front ends aside.
    fn seen(&self, regions: &[(&str, Option<Up>, Option<Up>)]) -> Diagnosis {
        let asked = Asked { regions: regions.iter().map(|(name, ..)| region(name)).collect(), front_ends: false };
        self.diagnosed(&asked, vec![look(regions)])
    }
}

fn client(diagnosis: &Diagnosis) -> &Client {
    diagnosis.client.as_ref().expect("it is asked")
}
