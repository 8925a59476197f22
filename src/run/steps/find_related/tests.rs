use super::*;
use crate::config::fixtures::config;
use pagerduty::{Reference, Status, Urgency};

const OPENED: i64 = 10_000_000;
const DAY: i64 = 24 * 3600;
const REGISTRY: (&str, &str) = ("PREGSTR", "Containers Registry");

const LISTED: &str = "
[[regions]]
name = \"prod-us-south\"
glb_zones = [\"dal\", \"us-south-dal12\"]
[[regions.zones]]
cluster = \"registry-prod-us-south-az1\"
[[regions.zones]]
cluster = \"registry-prod-us-south-az2\"
";

const LISTS_NONE: &str = "
[[regions]]
name = \"prod-us-south\"
[[regions.zones]]
cluster = \"registry-prod-us-south-az1\"
[[regions]]
name = \"prod-eu-de\"
[[regions.zones]]
cluster = \"registry-prod-eu-de-az1\"
";

fn at(second: i64) -> Option<Timestamp> {
    Timestamp::from_second(second).ok()
}

fn incident(title: &str) -> Incident {
    Incident {
        id: "Q1".into(),
        number: 1,
        title: title.into(),
        html_url: "https://x/Q1".into(),
        status: Status::Triggered,
        created_at: at(OPENED - 60),
        service: Some(Reference { id: REGISTRY.0.into(), name: REGISTRY.1.into() }),
        policy_id: None,
        team_ids: Vec::new(),
        incident_key: None,
        urgency: Urgency::High,
        assignments: 1,
        merged_into: None,
        last_status_change_at: None,
        acknowledgements: Vec::new(),
    }
}

fn titled(id: &str, title: &str) -> Incident {
    Incident { id: id.into(), ..incident(title) }
}

fn glb(zone: &str) -> String {
    format!("DOWN | Origin - reg-glob-{zone}-endpoint-01 | Pool - reg-glob | Response code mismatch error")
}

fn south() -> Region {
    "prod-us-south".parse().unwrap()
}

fn sorted(open: &[Incident], settings: &[(&str, &str)], regions: &str) -> Related {
    sorted_at(open, settings, regions, at(OPENED))
}

fn sorted_at(open: &[Incident], settings: &[(&str, &str)], regions: &str, opened: Option<Timestamp>) -> Related {
    let config = config(settings, regions);
    sort_out(open, &config.regions, &config.escalation, &south(), opened)
}

/// What one open incident is: `explains`, `named`, `other region` or nothing.
fn is(open: Incident, settings: &[(&str, &str)], regions: &str) -> &'static str {
    let related = sorted(&[open], settings, regions);
    match (related.explaining.len(), related.named.len(), related.other_regions.len()) {
        (1, 0, 0) => "explains",
        (0, 1, 0) => "named",
        (0, 0, 1) => "other region",
        (0, 0, 0) => "nothing",
        _ => panic!("{related:?}"),
    }
}

#[test]
fn titles() {
    for (title, expected) in [
        ("All Public endpoints down in prod-us-south", "explains"),
        ("[prod] All Public endpoints down in prod-us-south", "explains"),
        ("All Public endpoints down in prod-us-south2", "nothing"),
        ("All Public endpoints down in prod-eu-de", "nothing"),
        ("all public endpoints down in prod-us-south", "explains"),
        ("[FIRING:1] All Public endpoints down in PROD-US-SOUTH (critical)", "explains"),
        ("All Public endpoints down in prod-us-south-2", "nothing"),
        ("RESOLVED? All Public endpoints down in prod-us-south", "nothing"),
        ("All SE endpoints down in prod-us-south", "nothing"),
        ("All SE endpoints down in prod-eu-de", "other region"),
        ("Certificate expires", "nothing"),
        ("", "nothing"),
    ] {
        assert_eq!(is(incident(title), &[], ""), expected, "{title:?}");
    }
}

#[test]
fn glb_zones_by_the_regions_file_or_by_the_regions_name() {
    for (zone, regions, expected) in [
        ("us-south", "", "explains"),
        ("us-south-dal10", "", "explains"),
        ("us-south2", "", "named"),
        ("us-east", "", "named"),
        ("dal", "", "named"),
        ("dal", LISTED, "explains"),
        ("us-south-dal12", LISTED, "explains"),
        // Nobody's, and the file lists none for the region.
        ("mars", LISTS_NONE, "explains"),
        ("eu-de", LISTS_NONE, "named"),
        // A region that lists its zones is mapped by them alone.
        ("mars", LISTED, "named"),
        ("us-south", LISTED, "named"),
        ("us-south-dal10", LISTED, "named"),
    ] {
        assert_eq!(is(incident(&glb(zone)), &[], regions), expected, "{zone} {}", regions.len());
    }
    let related = sorted(&[incident(&glb("us-east"))], &[], "");
    assert!(related.named[0].1.contains("us-east is not known to be one of prod-us-south"), "{related:?}");
}

#[test]
fn a_page_that_was_already_as_old_as_related_max_age_when_the_alert_opened_does_not_explain_it() {
    for title in ["All Public endpoints down in prod-us-south".to_owned(), glb("us-south")] {
        for (created, expected) in [
            (at(OPENED - DAY + 1), "explains"),
            (at(OPENED - DAY), "named"),
            (at(OPENED - DAY - 1), "named"),
            (at(OPENED + 60), "explains"),
            // What is not known doesn't speak against it.
            (None, "explains"),
        ] {
            let open = Incident { created_at: created, ..incident(&title) };
            assert_eq!(is(open, &[], ""), expected, "{title} {created:?}");
        }
        let old = Incident { created_at: at(OPENED - 61), ..incident(&title) };
        assert_eq!(is(old.clone(), &[("RELATED_MAX_AGE", "1m")], ""), "named");
        let related = sorted_at(&[old], &[("RELATED_MAX_AGE", "1m")], "", None);
        assert_eq!(related.explaining.len(), 1, "when the alert opened is not known");
    }
    let old = Incident { created_at: at(OPENED - DAY), ..incident("All Public endpoints down in prod-us-south") };
    assert!(sorted(&[old], &[], "").named[0].1.contains("it was 1 day old"));
}

#[test]
fn our_own_pages_and_the_escalation_services_are_never_related() {
    let title = "All Public endpoints down in prod-us-south";
    let keyed = |key: &str| Incident { incident_key: Some(key.into()), ..incident(title) };
    assert_eq!(is(keyed("se-responder/Q9"), &[], ""), "nothing");
    assert_eq!(is(keyed("monitoring/se-responder/Q9"), &[], ""), "explains");
    let on = |id: &str, name: &str| Incident {
        service: Some(Reference { id: id.into(), name: name.into() }),
        ..incident(title)
    };
    assert_eq!(is(on("PCLOUDS", "Cloud Service Endpoint"), &[], ""), "nothing");
    assert_eq!(is(on("PCLOUDS", "Cloud Service Endpoint (staging)"), &[], ""), "explains");
    assert_eq!(is(on("PCLOUDS", "Renamed"), &[("ESCALATION_SERVICE", "PCLOUDS")], ""), "nothing");
    assert_eq!(is(on("POTHER", "Renamed"), &[("ESCALATION_SERVICE", "PCLOUDS")], ""), "explains");
    assert_eq!(is(Incident { service: None, ..incident(title) }, &[], ""), "explains");
    let alert = "All SE endpoints down in prod-eu-de";
    assert_eq!(is(Incident { title: alert.into(), ..on("PCLOUDS", "Cloud Service Endpoint") }, &[], ""), "nothing");
}

#[test]
fn other_regions_are_told_once_in_order_and_what_explains_stands_first() {
    let open = [
        titled("Q1", &glb("us-east")),
        titled("Q2", "All SE endpoints down in prod-us-east"),
        titled("Q3", "All Public endpoints down in prod-us-south"),
        titled("Q4", "All SE endpoints down in prod-eu-de"),
        titled("Q5", "All SE endpoints down in prod-us-east"),
    ];
    let related = sorted(&open, &[], "");
    let others: Vec<&str> = related.other_regions.iter().map(Region::as_str).collect();
    assert_eq!(others, ["prod-eu-de", "prod-us-east"]);
    let ids: Vec<String> = related.pages().into_iter().map(|page| page.id).collect();
    assert_eq!(ids, ["Q3", "Q1"]);
    assert_eq!(related.titles(), ["All Public endpoints down in prod-us-south".to_owned(), glb("us-east")]);
}

/// Contract 5: "Where other regions alert within five minutes".
#[test]
fn other_regions_alert_at_once_where_they_opened_or_were_opened_again_within_five_minutes() {
    let config = config(&[], "");
    let opened = |id: &str, region: &str, created: i64| Incident {
        created_at: at(created),
        ..titled(id, &format!("All SE endpoints down in {region}"))
    };
    let again = |incident: Incident, changed: i64, status: Status| Incident {
        last_status_change_at: at(changed),
        status,
        ..incident
    };
    let open = [
        opened("Q0", "prod-us-south", OPENED),
        opened("Q1", "prod-a", OPENED + 300),
        opened("Q2", "prod-b", OPENED + 301),
        opened("Q3", "prod-c", OPENED - 300),
        opened("Q4", "prod-d", OPENED - 301),
        again(opened("Q5", "prod-e", OPENED - DAY), OPENED + 10, Status::Triggered),
        again(opened("Q6", "prod-f", OPENED - DAY), OPENED + 10, Status::Acknowledged),
        Incident { created_at: None, ..opened("Q7", "prod-g", 0) },
        opened("Q8", "prod-a", OPENED),
        Incident { incident_key: Some("se-responder/Q9".into()), ..opened("Q9", "prod-h", OPENED) },
    ];
    let near = |ours| {
        let regions = at_once(&open, &config.escalation, &south(), ours);
        regions.iter().map(|region| region.as_str()[5..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(near([at(OPENED), None]), ["a", "c", "e"]);
    assert_eq!(near([at(OPENED), at(OPENED + 600)]), ["a", "b", "c", "e"], "ours was opened again");
    assert!(near([None, None]).is_empty(), "when ours opened is not known");
}

#[test]
fn pages_of_the_alerts_own_service_that_name_a_zone() {
    let config = config(&[], LISTED);
    let elsewhere = Incident {
        service: Some(Reference { id: "PX".into(), name: "x".into() }),
        ..titled("Q9", "registry-prod-us-south-az1 is down")
    };
    let open = [
        titled("Q0", "All SE endpoints down in prod-us-south"),
        titled("Q1", "pods of registry-prod-us-south-az1 restart"),
        titled("Q2", "registry-prod-us-south-az11 is down"),
        titled("Q3", "Konicle fails in prod-us-south"),
        titled("Q4", "prod-us-south is slow"),
        titled("Q5", "All Public endpoints down in prod-us-south"),
        titled("Q6", "KONICLE down in prod-us-south-2"),
        titled("Q7", "Registry-Prod-US-South-AZ2 is slow"),
        titled("Q8", "konicle-canary fails in prod-us-south"),
        elsewhere,
    ];
    let found = |alert| {
        let owners = open.iter().find(|i| Some(i.id.as_str()) == alert).map(owners_of);
        let pages = registry_pages(&open, alert, owners.as_ref(), &config, &south())?;
        Some(pages.into_iter().map(|(zone, page)| format!("{}:{}", &zone.as_str()[23..], page.id)).collect::<Vec<_>>())
    };
    assert_eq!(found(Some("Q0")).unwrap(), ["az1:Q1", "az1:Q3", "az2:Q3", "az2:Q7"]);
    assert!(found(None).is_none() && found(Some("Q77")).is_none(), "whose service is not known");
}

#[test]
fn registrys_pages_are_of_its_policy_and_teams_too_and_never_of_nobodys() {
    let config = config(&[], LISTED);
    let elsewhere = |id: &str| Incident {
        service: Some(Reference { id: "PX".into(), name: "x".into() }),
        ..Incident { id: id.into(), ..incident("registry-prod-us-south-az1 is down") }
    };
    let of = |policy: &str, teams: &[&str], incident: Incident| Incident {
        policy_id: Some(policy.to_owned()).filter(|id| !id.is_empty()),
        team_ids: teams.iter().map(|team| (*team).to_owned()).collect(),
        ..incident
    };
    let alert = of("POLICY", &["T1", "T2"], Incident { id: "Q0".into(), ..incident("renamed") });
    let open = [
        alert.clone(),
        of("POLICY", &[], elsewhere("Q1")),
        of("", &["T3", "T2"], elsewhere("Q2")),
        of("OTHER", &["T3"], elsewhere("Q3")),
        elsewhere("Q4"),
        Incident { service: None, ..elsewhere("Q5") },
        // Ours, and the escalation service's, though it shares a team.
        Incident { incident_key: Some("se-responder/Q9".into()), ..of("POLICY", &[], elsewhere("Q6")) },
        Incident {
            service: Some(Reference { id: "PCLOUDS".into(), name: "Cloud Service Endpoint".into() }),
            ..of("", &["T1"], elsewhere("Q7"))
        },
    ];
    let ids = |open: &[Incident]| {
        let pages = registry_pages(open, Some("Q0"), Some(&owners_of(&open[0])), &config, &south()).unwrap();
        pages.into_iter().map(|(_, page)| page.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&open), ["Q1", "Q2"]);
    // What the alert's own service, policy and teams are is not known: nothing is Registry's.
    let bare = Incident { service: None, policy_id: None, team_ids: Vec::new(), ..alert };
    let mut open = open.to_vec();
    open[0] = bare;
    assert!(ids(&open).is_empty());
}
