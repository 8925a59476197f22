//! The table of findings, the class, the suspicion, what could not be asked, and front ends.

use super::*;

const STATES: [Option<Up>; 4] = [Some(Up::Up), Some(Up::Down), Some(Up::Absent), None];
const OTHER: &str = "prod-eu-de";
const FINDINGS: [Finding; 6] = [
    Finding::Disabled,
    Finding::Unknown,
    Finding::IngressDown,
    Finding::Healthy,
    Finding::ZoneUnhealthy,
    Finding::KonicleFault,
];

fn is_fault(finding: Finding) -> bool {
    matches!(finding, Finding::IngressDown | Finding::ZoneUnhealthy | Finding::KonicleFault)
}

/// The contract's table, written once more in other words.
fn expected(
    se: Option<Up>,
    public: Option<Up>,
    other: (Option<Up>, Option<Up>),
    ill: bool,
    boxes: bool,
) -> ClientFinding {
    match se {
        Some(Up::Up) => ClientFinding::Over,
        _ if ill => ClientFinding::NotClient,
        None => ClientFinding::Unknown,
        _ if !boxes => ClientFinding::Unknown,
        Some(Up::Absent) => ClientFinding::ClientBroken,
        Some(Up::Down) => {
            let known: Vec<Up> = [public, other.0, other.1].into_iter().flatten().collect();
            let second_region = other != (None, None);
            let broken = second_region && known.iter().all(|state| *state != Up::Up);
            if broken { ClientFinding::ClientBroken } else { ClientFinding::FrontEndPath }
        }
    }
}

#[test]
fn the_first_line_of_the_table_that_holds() {
    let ill = |statuses: [Option<(u8, i8)>; 3]| statuses.iter().flatten().any(|status| *status != (1, 1));
    for statuses in [
        [Some((1, 1)); 3],
        [Some((1, 1)), None, None],
        [None; 3],
        [Some((1, 1)), Some((1, 0)), Some((1, 1))],
        [Some((0, 1)); 3],
        [Some((0, -1)), None, Some((1, 1))],
    ] {
        for finding in FINDINGS {
            for se in STATES {
                for public in STATES {
                    for other in STATES.iter().flat_map(|a| STATES.map(|b| (*a, b))) {
                        let shown = Shown { statuses, findings: [Finding::Healthy, finding, Finding::Unknown], ..WELL };
                        let d = shown.seen(&[(REGION, se, public), (OTHER, other.0, other.1)]);
                        let ill = ill(statuses) || is_fault(finding);
                        let boxes = statuses.iter().any(Option::is_some);
                        let found = client(&d).finding;
                        let case = format!("{statuses:?} {finding:?} {se:?} {public:?} {other:?}");
                        assert_eq!(found, expected(se, public, other, ill, boxes), "{case}");

                        let path = Shown { statuses, findings: shown.findings, ..WELL };
                        let without = path.diagnosed(&Asked { regions: vec![], front_ends: false }, vec![]);
                        assert_eq!(d.verdict, without.verdict, "the verdict never changes by it: {case}");
                        let by_path = (if ill { Class::ProbablyCie } else { Class::Pcie }, without.client_suspected);
                        let (class, suspected) = match found {
                            ClientFinding::ClientBroken | ClientFinding::FrontEndPath => (Class::Pcie, true),
                            ClientFinding::NotClient | ClientFinding::Over => (by_path.0, false),
                            ClientFinding::Unknown => by_path,
                        };
                        assert_eq!((d.class, d.client_suspected), (class, suspected), "{case}");
                        let unasked = [se, public, other.0, other.1].contains(&None);
                        assert_eq!(client(&d).error.is_some(), unasked, "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn one_region_alone_is_not_every_region() {
    let d = WELL.seen(&[(REGION, Some(Up::Down), Some(Up::Down))]);
    assert_eq!(client(&d).finding, ClientFinding::FrontEndPath, "there are two regions at least");
    let all = [(REGION, Some(Up::Down), Some(Up::Down)), (OTHER, Some(Up::Down), Some(Up::Absent))];
    assert_eq!(client(&WELL.seen(&all)).finding, ClientFinding::ClientBroken);
    let unasked = [(REGION, Some(Up::Down), Some(Up::Down)), (OTHER, None, None)];
    assert_eq!(
        client(&WELL.seen(&unasked)).finding,
        ClientFinding::FrontEndPath,
        "what could not be asked does not count"
    );
}

#[test]
fn the_alerts_region_is_asked_for_too_where_the_file_lacks_it() {
    let of_file = || ["prod-eu-de", "prod-us-east"].map(region);
    let names = |asked: &Asked| asked.regions.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&Asked::about(&region(REGION), of_file(), false)), ["prod-eu-de", "prod-us-east", REGION]);
    assert_eq!(names(&Asked::about(&region("prod-us-east"), of_file(), false)), ["prod-eu-de", "prod-us-east"]);
    // Whose looks don't show it has no answer for it.
    let asked = Asked::about(&region(REGION), of_file(), false);
    let d = WELL.diagnosed(&asked, vec![look(&[("prod-eu-de", Some(Up::Up), Some(Up::Up))])]);
    assert_eq!(client(&d).finding, ClientFinding::Unknown);
    let error = client(&d).error.as_deref().expect("an error");
    assert!(error.contains("SE of prod-us-south") && error.contains("it was not asked in time"), "{error}");
}

#[test]
fn the_later_answer_counts_and_where_there_is_none_the_earlier_with_its_time() {
    let asked = Asked { regions: vec![region(REGION)], front_ends: true };
    let with = |state: Option<Up>, second: i64, front: Reached| {
        let mut look = look(&[(REGION, state, Some(Up::Up))]);
        look.regions[0].se.at = state.map(|_| at(second));
        look.front_ends = vec![front_end("166.9.12.114", front)];
        look
    };
    let shown = || Shown { front_ends: ["166.9.12.114/23"; 3], ..WELL };
    let d = shown()
        .diagnosed(&asked, vec![with(Some(Up::Down), 1, Reached::Answers), with(Some(Up::Up), 9, Reached::Fails)]);
    let times = d.client_times.as_ref().expect("times");
    assert_eq!((client(&d).finding, times.regions[0].se), (ClientFinding::Over, Some(at(9))));
    assert_eq!(client(&d).front_ends[0].result, Reached::Fails);
    let d = shown().diagnosed(&asked, vec![with(Some(Up::Down), 1, Reached::Answers), with(None, 9, Reached::Unknown)]);
    let times = d.client_times.as_ref().expect("times");
    assert_eq!((client(&d).finding, times.regions[0].se), (ClientFinding::ClientBroken, Some(at(1))));
    assert_eq!((client(&d).front_ends[0].result, &client(&d).error), (Reached::Answers, &None));
}

#[test]
fn front_ends_are_this_readings_each_once_and_only_within_the_routes() {
    let asked = Asked { regions: vec![region(REGION)], front_ends: true };
    let seen = |front_ends: [&'static str; 3], results: &[(&str, Reached)]| {
        let mut look = look(&[(REGION, Some(Up::Down), Some(Up::Up))]);
        look.front_ends = results.iter().map(|(address, result)| front_end(address, *result)).collect();
        Shown { front_ends, ..WELL }.diagnosed(&asked, vec![look])
    };
    let of = |d: &Diagnosis| {
        let all = client(d).front_ends.iter().map(|f| (f.address.clone(), f.result));
        (client(d).finding, all.collect::<Vec<_>>())
    };
    let (one, two) = (("166.9.12.114", Reached::Answers), ("166.9.14.114", Reached::Answers));
    let three = ["166.9.12.114/23", "166.9.14.114/23", "166.9.12.114/23"];
    let named = |all: &[(&str, Reached)]| all.iter().map(|(a, r)| ((*a).to_owned(), *r)).collect::<Vec<_>>();
    let all_answer = seen(three, &[one, two, ("166.9.99.1", Reached::Fails)]);
    assert_eq!(of(&all_answer), (ClientFinding::ClientBroken, named(&[one, two])), "another reading's does not count");
    let one_fails = seen(three, &[one, (two.0, Reached::Fails)]);
    assert_eq!(of(&one_fails).0, ClientFinding::FrontEndPath);
    let one_unknown = seen(three, &[one, (two.0, Reached::Unknown)]);
    // "What could not be asked … does not count."
    assert_eq!(of(&one_unknown), (ClientFinding::ClientBroken, named(&[one, (two.0, Reached::Unknown)])));
    assert!(
        client(&one_unknown).error.as_ref().is_some_and(|e| e.contains("no pod is Running (front end 166.9.14.114)"))
    );
    // One from elsewhere is unknown whatever somebody says of it, and does not count.
    let strange = seen(["166.9.12.114/23", "10.0.0.1/8", "166.12.0.1/14"], &[one, ("10.0.0.1", Reached::Answers)]);
    let unknown = |address| (address, Reached::Unknown);
    assert_eq!(of(&strange), (ClientFinding::ClientBroken, named(&[one, unknown("10.0.0.1"), unknown("166.12.0.1")])));
    assert!(client(&strange).error.as_ref().is_some_and(|error| error.contains("not within 166.8.0.0/14")));
    let only_strange = seen(["10.0.0.1/8"; 3], &[("10.0.0.1", Reached::Answers)]);
    assert_eq!(of(&only_strange).0, ClientFinding::FrontEndPath, "there is none within");
    let without = Asked { front_ends: false, ..asked };
    assert_eq!(client(&WELL.diagnosed(&without, vec![])).front_ends, [], "`[]` without `context`");
}

#[test]
fn the_routes_are_those_of_the_runbook() {
    for (address, within) in [
        ("166.8.0.0", true),
        ("166.8.0.1", true),
        ("166.9.12.114", true),
        ("166.11.255.255", true),
        ("166.7.255.255", false),
        ("166.12.0.0", false),
        ("167.9.12.114", false),
        ("10.94.143.238", false),
        ("127.0.0.1", false),
        ("166.9.12", false),
        ("166.9.12.114 ", false),
        ("166.009.12.114", false),
        ("166.9.12.114@evil", false),
        ("::ffff:166.9.12.114", false),
        ("registry.example", false),
        ("", false),
    ] {
        assert_eq!(front_end::is_within(address), within, "{address:?}");
    }
}

#[test]
fn what_the_exporter_says() {
    let text = "# HELP probe_success Displays whether or not the probe was a success\n# TYPE probe_success gauge\n";
    let read = |line: &str| front_end::read_probe(&format!("probe_duration_seconds 0.02\n{text}{line}\n"));
    assert_eq!(read("probe_success 1"), Ok(Reached::Answers));
    assert_eq!(read("probe_success 0"), Ok(Reached::Fails));
    assert_eq!(read("probe_success{a=\"}\"} 1 1780000000000"), Ok(Reached::Answers));
    for strange in
        ["probe_success", "probe_success 2", "probe_success NaN", "probe_success_total 1", "probe_success{ 1", ""]
    {
        assert!(read(strange).is_err(), "{strange:?}");
    }
    assert!(front_end::read_probe("<html>sign in</html>").is_err());
}

fn any_state() -> impl Strategy<Value = Option<Up>> {
    prop::sample::select(&STATES[..])
}

fn any_look() -> impl Strategy<Value = Look> {
    let reached = prop::sample::select(Reached::ALL);
    let regions = prop::collection::vec((0_usize..3, any_state(), any_state()), 0..4);
    let front_ends = prop::collection::vec((0_usize..3, reached), 0..4);
    (regions, front_ends).prop_map(|(regions, front_ends)| {
        let named: Vec<_> =
            regions.iter().map(|(n, se, public)| ([REGION, OTHER, "prod-us-east"][*n], *se, *public)).collect();
        let mut look = look(&named);
        let address = |n: usize| ["166.9.12.114", "166.9.14.114", "10.0.0.1"][n];
        look.front_ends = front_ends.iter().map(|(n, result)| front_end(address(*n), *result)).collect();
        look
    })
}

fn any_shown() -> impl Strategy<Value = Shown> {
    let status = prop::sample::select(vec![None, Some((1, 1)), Some((1, 0)), Some((0, 1)), Some((0, -1))]);
    let status = prop_oneof![3 => Just(Some((1, 1))), 1 => status];
    let finding = prop_oneof![2 => Just(Finding::Healthy), 1 => prop::sample::select(&FINDINGS[..])];
    (prop::array::uniform3(status), prop::array::uniform3(finding)).prop_map(|(statuses, findings)| Shown {
        statuses,
        findings,
        front_ends: ["166.9.12.114/23", "166.9.14.114/23", "10.0.0.1/8"],
    })
}

proptest! {
    /// Whatever was seen: the client never changes verdict, zones or focus, and suspicion and class go together.
    #[test]
    fn the_client_changes_class_and_suspicion_only(shown in any_shown(), looks in prop::collection::vec(any_look(), 0..4)) {
        let asked = Asked { regions: vec![region(OTHER), region(REGION)], front_ends: true };
        let d = shown.diagnosed(&asked, looks.clone());
        let without = shown.diagnosed(&Asked { regions: vec![], front_ends: false }, vec![]);
        prop_assert_eq!((&d.verdict, &d.zones, &d.focus), (&without.verdict, &without.zones, &without.focus));
        let found = client(&d);
        prop_assert!(!d.client_suspected || d.class == Class::Pcie);
        prop_assert!(found.finding != ClientFinding::NotClient || d.class == Class::ProbablyCie);
        let names: Vec<_> = found.regions.iter().map(|r| r.region.to_string()).collect();
        prop_assert_eq!(names, vec![OTHER.to_owned(), REGION.to_owned()]);
        let missing = found.regions.iter().any(|r| r.se.is_none() || r.public.is_none())
            || found.front_ends.iter().any(|f| f.result == Reached::Unknown);
        prop_assert_eq!(found.error.is_some(), missing);
        prop_assert!(found.front_ends.iter().all(|f| f.address != "10.0.0.1" || f.result == Reached::Unknown));
        // What is kept of a look is what was seen.
        for look in &looks {
            let kept: Look = serde_json::from_value(serde_json::to_value(look).unwrap()).unwrap();
            prop_assert_eq!(&kept, look);
        }
    }

    /// Another look in which nothing could be asked changes nothing.
    #[test]
    fn a_look_in_vain_changes_nothing(shown in any_shown(), looks in prop::collection::vec(any_look(), 1..3)) {
        let asked = Asked { regions: vec![region(REGION), region(OTHER)], front_ends: true };
        let before = shown.diagnosed(&asked, looks.clone());
        let mut vain = look(&[(REGION, None, None), (OTHER, None, None)]);
        vain.front_ends = vec![front_end("166.9.12.114", Reached::Unknown)];
        let after = shown.diagnosed(&asked, [looks, vec![vain]].concat());
        let of = |d: &Diagnosis| (client(d).finding, client(d).regions.clone(), client(d).front_ends.clone(), d.client_times.clone());
        prop_assert_eq!(of(&before), of(&after));
    }
}
