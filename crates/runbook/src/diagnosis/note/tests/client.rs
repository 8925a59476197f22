//! What the note says of the client of the end-to-end test.

use super::*;
use crate::diagnosis::client::{Client, ClientFinding, ClientRegion, ClientTimes, FrontEnd, Reached, RegionTimes, Up};
use crate::diagnosis::{Class, Diagnosis, Finding, Rule};

const WELL: [Option<(u8, i8)>; 3] = [Some((1, 1)); 3];

fn said(finding: ClientFinding, se: Option<Up>) -> Diagnosis {
    let mut d = fixtures::uniform(VerdictKind::Registry, Rule::AllSeAccepting, &WELL, Finding::Healthy);
    let region = |name: &str, se, public| ClientRegion { region: fixtures::region(name), se, public };
    let regions = vec![
        region("prod-eu-de", Some(Up::Up), Some(Up::Up)),
        region("prod-us-south", se, Some(Up::Up)),
        region("prod-us-east", Some(Up::Up), Some(Up::Up)),
        region("prod-jp-tok", None, Some(Up::Absent)),
    ];
    let times = ["03:14:01", "03:14:07", "03:14:09"].map(|time| {
        let at = fixtures::at(&format!("2026-08-14T{time}Z"));
        RegionTimes { se: Some(at), public: Some(at) }
    });
    let front_ends = vec![
        FrontEnd { address: "166.9.12.114".into(), result: Reached::Answers },
        FrontEnd { address: "166.9.14.114".into(), result: Reached::Unknown },
    ];
    let error = Some("no connection (SE of prod-jp-tok)".to_owned());
    d.client = Some(Client { finding, error, regions, front_ends });
    let at = fixtures::at("2026-08-14T03:15:06Z");
    d.client_times = Some(ClientTimes { regions: times.to_vec(), front_ends: Some(at) });
    d.client_suspected = !matches!(finding, ClientFinding::Over | ClientFinding::NotClient);
    d.class = if finding == ClientFinding::NotClient { Class::ProbablyCie } else { Class::Pcie };
    d
}

/// What it was is over.
pub(super) fn over() -> Diagnosis {
    said(ClientFinding::Over, Some(Up::Up))
}

/// Calls `with` with a note for each finding.
pub(super) fn every_finding(mut with: impl FnMut(&Case<'_>)) {
    let links = Links::default();
    for (finding, se) in [
        (ClientFinding::Over, Some(Up::Up)),
        (ClientFinding::NotClient, Some(Up::Down)),
        (ClientFinding::Unknown, None),
        (ClientFinding::ClientBroken, Some(Up::Absent)),
        (ClientFinding::FrontEndPath, Some(Up::Down)),
    ] {
        let diagnosis = said(finding, se);
        let note = write(&diagnosis, &fixtures::context(&links));
        let page = PageNews::NotWanted;
        with(&Case { diagnosis: &diagnosis, page, related: &[], run_id: RUN, run_url: RUN_URL, note: &note });
    }
}

#[test]
fn each_findings_note_says_what_the_table_asks_for() {
    every_finding(|case| {
        let lacks = facts::missing(case);
        assert!(lacks.is_empty(), "{}\n--\n{}", lacks.join("\n"), case.note);
    });
}

/// "The alert has resolved, a related page that opened meanwhile, `over`, the client, the runbook's next step."
#[test]
fn the_second_line_in_its_order() {
    let links = Links::default();
    let (related, others) = (fixtures::related(), [fixtures::region("prod-eu-de")]);
    for (finding, words) in [
        (ClientFinding::Over, "wait for this alert to resolve: the path looks whole"),
        (ClientFinding::ClientBroken, "check the healthcheck cluster: the path looks whole"),
        (
            ClientFinding::FrontEndPath,
            "from the healthcheck cluster to the front ends: behind them the path looks whole",
        ),
        (ClientFinding::NotClient, "check the route from the healthcheck cluster to the front end of"),
    ] {
        let d = said(finding, Some(Up::Down));
        let second = |context: &Context<'_>| write(&d, context).lines().nth(1).unwrap_or_default().to_owned();
        let base = || Context { other_regions: &others, ..fixtures::context(&links) };
        let plain = second(&base());
        assert!(plain.contains(words), "{finding}: {plain}");
        let tells_of_others = finding != ClientFinding::NotClient;
        assert_eq!(plain.contains("1 other region alerts now: prod-eu-de."), tells_of_others, "{plain}");
        let meanwhile = second(&Context { related: Ok(&related), ..base() });
        assert!(
            meanwhile.contains("deal with \"All Public endpoints") && !meanwhile.contains("path looks"),
            "{meanwhile}"
        );
        let resolved_at = Some(fixtures::at("2026-08-14T03:14:35Z"));
        let resolved = second(&Context { resolved_at, ..base() });
        assert!(resolved.contains("the alert has closed") && !resolved.contains("path"), "{resolved}");
    }
}

#[test]
fn what_the_client_says_has_its_times() {
    let links = Links::default();
    let note = write(&said(ClientFinding::FrontEndPath, Some(Up::Down)), &fixtures::context(&links));
    check_shape(&note);
    for line in [
        "CLIENT (the end-to-end test, as the healthcheck cluster sees it)",
        "- The test fails, and nothing behind the front ends does: the way to them is broken.",
        "- prod-us-south: SE fails (03:14:07 UTC), public passes (03:14:07 UTC).",
        "- prod-eu-de, prod-us-east: SE passes, public passes (03:14:01 to 03:14:09 UTC).",
        "- prod-jp-tok: SE is not known, public has no fresh sample.",
        "- Of 2 front ends, asked from there: 1 answers (166.9.12.114), 1 not known (166.9.14.114) (03:15:06 UTC).",
        "- What the healthcheck cluster says: no connection (SE of prod-jp-tok).",
    ] {
        assert!(note.lines().any(|known| known == line), "{line}\nin\n{note}");
    }
    let over = write(&said(ClientFinding::Over, Some(Up::Up)), &fixtures::context(&links));
    assert!(over.lines().next().is_some_and(|line| line.contains("already over")), "{over}");
    assert!(over.contains("Nobody was paged: it is already over."), "{over}");
    // Whatever somebody has stored: one line a thing, no forged last line.
    let mut hostile = said(ClientFinding::ClientBroken, Some(Up::Absent));
    let client = hostile.client.as_mut().expect("a client");
    let evil = || format!("x\nrun {RUN}\n\u{202e}evil ").repeat(200);
    client.error = Some(evil());
    client.front_ends[0].address = evil();
    hostile.client_times = Some(ClientTimes::default());
    check_shape(&write(&hostile, &fixtures::context(&links)));
}

/// Without a client the note reads as it did before there was one.
#[test]
fn without_a_client_nothing_is_said_of_it() {
    every_case(|case| assert!(!case.note.contains("CLIENT (") && !case.note.contains("healthcheck cluster says")));
}
