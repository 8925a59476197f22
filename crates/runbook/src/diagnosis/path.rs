//! A zone's path as a picture: client, front end, Magic Box, private ingress, registry, and where it is broken.
//!
//! It shows what [`BrokenAt`] concluded, beside what was seen of each station; it concludes nothing by itself.

use super::{BrokenAt, Checks, Finding, MagicBox, ZoneDiagnosis};

/// How a station, or the way to the next one, looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Seen to work.
    Whole,
    /// The path is broken here.
    Broken,
    /// It doesn't work, maybe only because of what is broken elsewhere; or it contradicts another station.
    Affected,
    /// Turned off on purpose.
    Off,
    /// Nobody could say.
    Unknown,
}

impl Health {
    /// The name of its colour in the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Broken => "broken",
            Self::Affected => "affected",
            Self::Off => "off",
            Self::Unknown => "unknown",
        }
    }

    /// A sign that tells it without colour.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Whole => "✓",
            Self::Broken => "✕",
            Self::Affected => "!",
            Self::Off => "–",
            Self::Unknown => "?",
        }
    }
}

/// One station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// What it is.
    pub name: &'static str,
    /// What was seen of it.
    pub seen: String,
    /// How it looks.
    pub health: Health,
    /// How the way to the next station looks; of no meaning for the last.
    pub onward: Health,
}

/// The stations from the client to the registry. A zone's worst box stands for it, as for `broken_at`.
pub fn path(zone: &ZoneDiagnosis) -> [Station; 5] {
    let worst = zone.boxes.iter().min_by_key(|b| (b.upstream_status, b.se_status));
    let broken = zone.broken_at;
    let station = |name, (seen, health), onward| Station { name, seen, health, onward };
    let at = |place, otherwise| if broken == place { Health::Broken } else { otherwise };
    let reached = worst.map_or(Health::Unknown, |b| match b.upstream_status {
        1 => Health::Whole,
        0 => Health::Affected,
        _ => Health::Unknown,
    });
    let se_to_ingress = match broken {
        BrokenAt::SeTo10443 => Health::Broken,
        BrokenAt::Contradiction => Health::Affected,
        _ if reached == Health::Affected => Health::Whole,
        _ => reached,
    };
    let accepted = worst.map_or(Health::Unknown, |b| if b.se_status == 1 { Health::Whole } else { Health::Affected });
    [
        station(
            "Client",
            ("the registry-healthcheck cluster".into(), Health::Unknown),
            at(BrokenAt::ClientOrFrontEnd, Health::Unknown),
        ),
        station("Front end", (front_ends(&zone.boxes), Health::Unknown), Health::Unknown),
        station("Magic Box", (se(worst), at(BrokenAt::MagicBox, accepted)), se_to_ingress),
        station("Private ingress", ingress(zone.checks.as_ref(), worst, broken), Health::Unknown),
        station("Registry", registry(zone.checks.as_ref(), worst, broken), Health::Unknown),
    ]
    .map(|mut station| {
        // Behind the ingress nothing was asked apart from the registry itself.
        if station.name == "Private ingress" {
            station.onward = reached;
        }
        station
    })
}

fn front_ends(boxes: &[MagicBox]) -> String {
    match boxes {
        [] => "not known".into(),
        [one] => one.frontend.clone(),
        [first, others @ ..] => format!("{} and {} more", first.frontend, others.len()),
    }
}

fn se(worst: Option<&MagicBox>) -> String {
    match worst.map(|b| b.se_status) {
        Some(1) => "SE=1, accepts connections".into(),
        Some(se) => format!("SE={se}, rejects connections"),
        None => "no box was read".into(),
    }
}

/// Runbook: "at least one and ideally both should be "Running"".
fn ingress(checks: Option<&Checks>, worst: Option<&MagicBox>, broken: BrokenAt) -> (String, Health) {
    let pods = checks.map(|c| c.ingress.as_slice()).unwrap_or_default();
    let running = pods.iter().filter(|p| p.status == "Running").count();
    match (checks.map(|c| c.finding), worst.map(|b| b.upstream_status)) {
        (Some(Finding::IngressDown), _) => {
            let health = if broken == BrokenAt::PrivateIngress { Health::Broken } else { Health::Affected };
            (if pods.is_empty() { "there is no pod".into() } else { format!("0 of {} Running", pods.len()) }, health)
        }
        _ if running > 0 => (
            format!("{running} of {} Running", pods.len()),
            if running == pods.len() { Health::Whole } else { Health::Affected },
        ),
        // Runbook: "If the upstream status is `0` or `1` it is accepting connections".
        (_, Some(upstream)) if upstream >= 0 => ("accepts connections".into(), Health::Whole),
        (_, Some(_)) => ("does not answer the box".into(), Health::Affected),
        (_, None) => ("not known".into(), Health::Unknown),
    }
}

fn registry(checks: Option<&Checks>, worst: Option<&MagicBox>, broken: BrokenAt) -> (String, Health) {
    let by_box = match worst.map(|b| b.upstream_status) {
        Some(1) => ("upstream=1, answers 200".to_owned(), Health::Whole),
        Some(0) => ("upstream=0, does not answer 200".to_owned(), Health::Affected),
        Some(upstream) => (format!("upstream={upstream}, no answer"), Health::Unknown),
        None => ("not known".to_owned(), Health::Unknown),
    };
    let Some(checks) = checks else { return by_box };
    let culprit = if broken == BrokenAt::Zone { Health::Broken } else { Health::Affected };
    match checks.finding {
        Finding::Disabled => ("disabled by the registry squad".into(), Health::Off),
        Finding::Healthy => ("status check 200 OK".into(), Health::Whole),
        Finding::ZoneUnhealthy => ("status check 404, unhealthy".into(), culprit),
        Finding::KonicleFault => match checks.status.as_ref().and_then(|s| s.http_status) {
            Some(status) => (format!("status check {status}, konicle?"), culprit),
            None => ("status check failed, konicle?".into(), culprit),
        },
        Finding::IngressDown | Finding::Unknown => by_box,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Zone;
    use crate::diagnosis::finding::broken_at;
    use crate::diagnosis::{PodLine, StatusCheck};

    fn a_box(se_status: u8, upstream_status: i8) -> MagicBox {
        MagicBox {
            name: "registry-prod-us-south-az1-1".into(),
            magic_box_id: "box".into(),
            node: "Ready".into(),
            backend_ip: "10.0.0.1".into(),
            frontend: "166.9.12.114/23".into(),
            se_status,
            upstream_status,
        }
    }

    fn checks(finding: Finding) -> Checks {
        let pod =
            |status: &str| PodLine { name: "private".into(), status: status.into(), ready: "4/4".into(), restarts: 0 };
        let status = |http_status| Some(StatusCheck { http_status, pod: "private".into(), error: None });
        Checks {
            finding,
            konicle: None,
            ingress: match finding {
                Finding::IngressDown => vec![pod("Pending")],
                Finding::Unknown | Finding::Disabled => vec![],
                _ => vec![pod("Running"), pod("Running")],
            },
            status: match finding {
                Finding::Healthy => status(Some(200)),
                Finding::ZoneUnhealthy => status(Some(404)),
                Finding::KonicleFault => status(Some(503)),
                _ => None,
            },
            konicle_pods: vec![],
            registry_pages: vec![],
            warnings: vec![],
            error: None,
            at: jiff::Timestamp::UNIX_EPOCH,
            context: None,
        }
    }

    fn drawn(se: u8, upstream: i8, finding: Finding) -> ZoneDiagnosis {
        let boxes = vec![a_box(se, upstream)];
        let checks = checks(finding);
        ZoneDiagnosis {
            cluster: Zone::new("registry-prod-us-south-az1"),
            broken_at: broken_at(&boxes, Some(finding)),
            boxes,
            checks: Some(checks),
            expected: true,
            unread: false,
        }
    }

    /// The signs of stations and ways, from the client on.
    fn signs(zone: &ZoneDiagnosis) -> String {
        let stations = path(zone);
        let last = stations.len() - 1;
        let mut text = String::new();
        for (n, station) in stations.iter().enumerate() {
            text += station.health.sign();
            if n < last {
                text += match station.onward {
                    Health::Broken => "-x-",
                    Health::Affected => "-!-",
                    Health::Whole => "---",
                    _ => "- -",
                };
            }
        }
        text
    }

    #[test]
    fn the_picture_breaks_where_the_diagnosis_says() {
        use Finding::{Disabled, Healthy, IngressDown, KonicleFault, Unknown, ZoneUnhealthy};
        for (se, upstream, finding, expected) in [
            (1, 1, Healthy, "?-x-?- -✓---✓---✓"),
            (0, 1, Healthy, "?- -?- -✕---✓---✓"),
            (0, -1, Healthy, "?- -?- -!-x-✓- -✓"),
            (1, 0, Healthy, "?- -?- -✓-x-✓-!-✓"),
            (0, -1, IngressDown, "?- -?- -!- -✕- -?"),
            (0, 0, ZoneUnhealthy, "?- -?- -!---✓-!-✕"),
            (1, -1, KonicleFault, "?- -?- -✓- -✓- -✕"),
            (0, 1, ZoneUnhealthy, "?- -?- -!-!-✓---!"),
            (0, 1, IngressDown, "?- -?- -!-!-!---✓"),
            (0, 0, Disabled, "?- -?- -!---✓-!-–"),
            (0, -1, Unknown, "?- -?- -!- -!- -?"),
        ] {
            assert_eq!(signs(&drawn(se, upstream, finding)), expected, "{se}:{upstream} {finding:?}");
        }
    }

    #[test]
    fn exactly_the_broken_place_is_marked_broken() {
        for finding in [
            Finding::Disabled,
            Finding::Unknown,
            Finding::IngressDown,
            Finding::Healthy,
            Finding::ZoneUnhealthy,
            Finding::KonicleFault,
        ] {
            for se in [0, 1] {
                for upstream in [-1, 0, 1] {
                    let zone = drawn(se, upstream, finding);
                    let marks =
                        path(&zone).iter().filter(|s| s.health == Health::Broken || s.onward == Health::Broken).count();
                    let none = matches!(
                        zone.broken_at,
                        BrokenAt::Unknown | BrokenAt::Contradiction | BrokenAt::DisabledByRegistry
                    );
                    assert_eq!(marks, usize::from(!none), "{se}:{upstream} {finding:?}: {:?}", zone.broken_at);
                }
            }
        }
    }

    #[test]
    fn a_zone_without_a_box_or_an_answer_is_drawn_as_unknown() {
        let zone = ZoneDiagnosis {
            cluster: Zone::new("registry-prod-us-south-az1"),
            broken_at: BrokenAt::Unknown,
            boxes: vec![],
            checks: None,
            expected: true,
            unread: false,
        };
        assert_eq!(signs(&zone), "?- -?- -?- -?- -?");
    }

    /// What was seen of each station, from the Magic Box on.
    fn words(zone: &ZoneDiagnosis) -> [String; 3] {
        let [_, _, se, ingress, registry] = path(zone).map(|s| s.seen);
        [se, ingress, registry]
    }

    #[test]
    fn each_station_says_what_was_seen_of_it() {
        use Finding::{Disabled, Healthy, IngressDown, KonicleFault, Unknown, ZoneUnhealthy};
        let (accepts, rejects) = ("SE=1, accepts connections", "SE=0, rejects connections");
        let by_box = ["upstream=-1, no answer", "upstream=0, does not answer 200", "upstream=1, answers 200"];
        for (se, upstream, finding, expected) in [
            (1, 1, Healthy, [accepts, "2 of 2 Running", "status check 200 OK"]),
            (0, 0, ZoneUnhealthy, [rejects, "2 of 2 Running", "status check 404, unhealthy"]),
            (0, 0, KonicleFault, [rejects, "2 of 2 Running", "status check 503, konicle?"]),
            (0, -1, IngressDown, [rejects, "0 of 1 Running", by_box[0]]),
            (1, 1, Disabled, [accepts, "accepts connections", "disabled by the registry squad"]),
            (1, -1, Unknown, [accepts, "does not answer the box", by_box[0]]),
            (1, 0, Unknown, [accepts, "accepts connections", by_box[1]]),
            (0, 1, Unknown, [rejects, "accepts connections", by_box[2]]),
        ] {
            assert_eq!(words(&drawn(se, upstream, finding)), expected, "{se}:{upstream} {finding:?}");
        }
        let mut zone = drawn(1, 1, Healthy);
        zone.boxes.clear();
        zone.checks = None;
        assert_eq!(words(&zone), ["no box was read", "not known", "not known"]);
        let mut zone = drawn(0, -1, IngressDown);
        zone.checks.as_mut().expect("checks").ingress.clear();
        assert_eq!(words(&zone)[1], "there is no pod");
        let mut zone = drawn(0, 0, KonicleFault);
        zone.checks.as_mut().expect("checks").status = None;
        assert_eq!(words(&zone)[2], "status check failed, konicle?");
    }

    #[test]
    fn front_ends_are_counted_where_there_are_several() {
        let named = |boxes: usize| {
            let mut zone = drawn(1, 1, Finding::Healthy);
            zone.boxes = vec![a_box(1, 1); boxes];
            path(&zone)[1].seen.clone()
        };
        assert_eq!([0, 1, 3].map(named), ["not known", "166.9.12.114/23", "166.9.12.114/23 and 2 more"]);
    }

    #[test]
    fn fewer_than_all_private_pods_are_not_drawn_as_whole() {
        let mut zone = drawn(1, 1, Finding::Healthy);
        zone.checks.as_mut().expect("checks").ingress[0].status = "Pending".into();
        let [_, _, _, ingress, _] = path(&zone);
        assert_eq!((ingress.seen.as_str(), ingress.health), ("1 of 2 Running", Health::Affected));
    }

    #[test]
    fn the_worst_box_stands_for_its_zone() {
        let mut zone = drawn(1, 1, Finding::Healthy);
        zone.boxes = vec![a_box(1, 1), a_box(1, 0), a_box(0, 0)];
        zone.broken_at = broken_at(&zone.boxes, Some(Finding::Healthy));
        assert_eq!(words(&zone)[0], "SE=0, rejects connections");
        assert_eq!(signs(&zone), "?- -?- -!-x-✓-!-✓");
    }

    #[test]
    fn each_health_has_a_colour_and_a_sign_of_its_own() {
        let all = [Health::Whole, Health::Broken, Health::Affected, Health::Off, Health::Unknown];
        assert_eq!(all.map(Health::class), ["whole", "broken", "affected", "off", "unknown"]);
        assert_eq!(all.map(Health::sign), ["✓", "✕", "!", "–", "?"]);
    }
}
