//! What a diagnosis note must say of the alert's life, whatever the verdict and the finding.

use std::time::Duration;

use super::super::fixtures::{at, related};
use super::super::{Context, PastRun};
use crate::diagnosis::last_good::{Change, Changed, SinceLastGood};
use crate::diagnosis::{Diagnosis, RelatedPage};

/// One row: what is changed about the usual note, and what must stand in it then.
pub(in super::super) struct LifeFact {
    pub(in super::super) name: &'static str,
    pub(in super::super) change: fn(&mut Diagnosis, &mut Context<'_>),
    /// What must stand in the first three lines.
    pub(in super::super) first: &'static [&'static str],
    /// What must stand anywhere.
    pub(in super::super) anywhere: &'static [&'static str],
    /// What must not stand anywhere.
    pub(in super::super) never: &'static [&'static str],
    /// Why: the runbook, the contract or the issue.
    pub(in super::super) source: &'static str,
}

const PUBLIC: &str = "\n- All Public endpoints down in prod-us-south\n";
const WAITED: &str = "WAITED FOR OTHER PAGES\nThis diagnosis waited 12 min 30 s for 1 related page. ";

/// Every row.
pub(in super::super) const LIFE: &[LifeFact] = &[
    LifeFact {
        name: "the usual note",
        change: |_, _| {},
        first: &[],
        anywhere: &[],
        never: &[
            "WAITED FOR OTHER PAGES",
            "FLAPPING",
            "EARLIER RUNS",
            "time in an hour",
            "resolved after",
            "last good reading",
            "LAST GOOD",
        ],
        source: "what is not so is not said",
    },
    LifeFact {
        name: "suppressed, lifted",
        change: |_, c| suppressed(c),
        first: &[],
        anywhere: &[WAITED, "None is open now, this alert still is", PUBLIC],
        never: &[],
        source: "Issue 3: the diagnosis note says what suppressed it and for how long. Runbook: see if this resolves.",
    },
    LifeFact {
        name: "suppressed, diagnosed all the same",
        change: |_, c| {
            suppressed(c);
            c.related = Ok(related().leak());
        },
        first: &["deal with \"All Public endpoints down in prod-us-south\""],
        anywhere: &[WAITED, "Some of these are still open.", PUBLIC],
        never: &["None is open now"],
        source: "SUPPRESSION_MAX: diagnose anyway after. Runbook: deal with this PD first.",
    },
    LifeFact {
        name: "suppressed, and now unknown",
        change: |_, c| {
            suppressed(c);
            c.related = Err("no answer in time");
        },
        first: &[],
        anywhere: &[WAITED, "Whether one is still open is not known."],
        never: &["None is open now"],
        source: "lifecycle.md#before-the-note: the note says that it is not known.",
    },
    LifeFact {
        name: "suppressed, by what is not known any more",
        change: |_, c| c.suppressed_for = Some(Duration::from_secs(750)),
        first: &[],
        anywhere: &["This diagnosis waited 12 min 30 s for related pages."],
        never: &[],
        source: "Issue 3: for how long",
    },
    LifeFact {
        name: "opened midway",
        change: |_, c| c.related = Ok(related().leak()),
        first: &["Do now: ", "\"All Public endpoints down in prod-us-south\" and 1 more"],
        anywhere: &[
            "\n1. Deal with these pages, and see if this alert resolves:\n   - All Public endpoints down in prod-us-south https://",
        ],
        never: &["WAITED FOR OTHER PAGES"],
        source: "lifecycle.md#before-the-note: one that opened meanwhile is named in the note, first of all.",
    },
    LifeFact {
        name: "open, and only named",
        change: |_, c| {
            c.related = Ok(related().leak());
            c.only_named = 2;
        },
        first: &["Do now: "],
        anywhere: &["\n\nALSO OPEN\n- All Public endpoints down in prod-us-south https://"],
        never: &["deal with \"", "Deal with these pages"],
        source: "lifecycle.md#a-bigger-outage-is-open: named, and holds. lifecycle.md#the-note: a related page that opened meanwhile is dealt with first.",
    },
    LifeFact {
        name: "opened midway, and another only named",
        change: |_, c| {
            c.related = Ok(related().leak());
            c.only_named = 1;
        },
        first: &["Do now: ", "deal with \"All Public endpoints down in prod-us-south\" first"],
        anywhere: &[
            "Deal with these pages, and see if this alert resolves:\n   - All Public",
            "\n\nALSO OPEN\n- DOWN | Origin - reg-glob-us-south-",
        ],
        never: &["and 1 more first"],
        source: "Contract 4: `related` lists all named pages, those that suppress first.",
    },
    LifeFact {
        name: "flapping",
        change: |d, c| {
            let (verdict, rule) = kind_and_rule(d);
            c.flaps_last_hour = 3;
            c.history = vec![past(40, &verdict, &rule, false), past(9, "mixed", "x-rule", false)].leak();
        },
        first: &["in prod-us-south, 3rd time in an hour"],
        anywhere: &[
            "FLAPPING: the 3rd alert of this region in an hour\nFound before, 1 of 2 the same as now:\n- 02:40:00 UTC ",
            ", took 1 min 12 s, another alert, https://se-responder.example.com/runs/past-40",
            "- 02:09:00 UTC mixed (x-rule), another alert, https://",
        ],
        never: &["EARLIER RUNS"],
        source: "Issue 3: the note says which time in the last hour this is, and what the last ones found.",
    },
    LifeFact {
        name: "flapping, nothing found before",
        change: |_, c| c.flaps_last_hour = 2,
        first: &["in prod-us-south, 2nd time in an hour"],
        anywhere: &["FLAPPING: the 2nd alert of this region in an hour\nWhat the earlier ones found is not known."],
        never: &[],
        source: "Issue 3: the note says which time in the last hour this is.",
    },
    LifeFact {
        name: "looked at before",
        change: |d, c| {
            let (verdict, rule) = kind_and_rule(d);
            c.flaps_last_hour = 1;
            c.history = vec![past(40, &verdict, &rule, true)].leak();
        },
        first: &[],
        anywhere: &[
            "EARLIER RUNS\nFound before, the same as now:\n- 02:40:00 UTC ",
            ", took 1 min 12 s, this alert, earlier, https://",
        ],
        never: &["FLAPPING", "time in an hour"],
        source: "Issue 3: what the last ones found.",
    },
    LifeFact {
        name: "nothing has changed since the last good reading",
        change: |d, _| d.since_last_good = Some(since_last_good(vec![])),
        first: &[],
        anywhere: &[
            "\n\nSince the last good reading (2026-08-13 21:00:00 UTC) no box has come, gone, or changed its address.\n\nZONES",
        ],
        never: &["CHANGED"],
        source: "Issue: what differs from the last good reading, with its time.",
    },
    LifeFact {
        name: "boxes have changed since the last good reading",
        change: |d, _| {
            let changes = [
                (1, Changed::MagicBoxId, Some("vm-1"), Some("vm-2")),
                (1, Changed::BackendIp, Some("10.1.1.1"), Some("10.1.1.2")),
                (1, Changed::Frontend, Some("166.9.1.1/23"), Some("166.9.1.2/23")),
                (1, Changed::Node, Some("Ready"), Some("")),
                (2, Changed::Gone, Some("vm-3"), None),
                (3, Changed::New, None, Some("vm-4")),
            ];
            d.since_last_good = Some(since_last_good(changes.map(|(n, c, was, is)| change(n, c, was, is)).into()));
        },
        first: &[],
        anywhere: &[
            "\n\nCHANGED SINCE THE LAST GOOD READING (2026-08-13 21:00:00 UTC)\n- registry-prod-us-south-az1-1: Magic Box ID was vm-1, \
             is vm-2; back end was 10.1.1.1, is 10.1.1.2; front end was 166.9.1.1/23, is 166.9.1.2/23; node was Ready, \
             is not given\n- registry-prod-us-south-az2-1: gone, Magic Box ID vm-3\n- registry-prod-us-south-az3-1: new, \
             Magic Box ID vm-4\n\nZONES",
        ],
        never: &["Since the last"],
        source: "Issue: what differs from the last good reading, with its time.",
    },
    LifeFact {
        name: "resolved",
        change: |_, c| c.resolved_at = Some(at("2026-08-14T03:14:35Z")),
        first: &["Alert resolved after 2 min 30 s. ", "the alert has closed"],
        anywhere: &["- 03:14:35 alert found resolved"],
        never: &[],
        source: "lifecycle.md#the-alert-ends: a first line that says `resolved` and after how long.",
    },
    LifeFact {
        name: "registry's pages",
        change: |d, _| {
            let page = RelatedPage {
                id: "Q5".into(),
                title: "konicle is not working in az1".into(),
                html_url: "https://ibm.pagerduty.com/incidents/Q5".into(),
            };
            for checks in d.zones.iter_mut().filter_map(|z| z.checks.as_mut()) {
                checks.registry_pages = vec![page.clone()];
            }
        },
        first: &[],
        anywhere: &["   - open: konicle is not working in az1 https://ibm.pagerduty.com/incidents/Q5\n"],
        never: &[],
        source: "Runbook: Look for PDs in registry about konicle in this zone; deal with that/those pages.",
    },
];

fn since_last_good(changes: Vec<Change>) -> SinceLastGood {
    SinceLastGood { at: at("2026-08-13T21:00:00Z"), build_url: None, changes }
}

fn change(zone: u8, changed: Changed, was: Option<&str>, is: Option<&str>) -> Change {
    let name = format!("registry-prod-us-south-az{zone}-1");
    Change { name, changed, was: was.map(Into::into), is: is.map(Into::into) }
}

fn suppressed(c: &mut Context<'_>) {
    c.suppressed_by = vec!["All Public endpoints down in prod-us-south".to_owned()].leak();
    c.suppressed_for = Some(Duration::from_secs(750));
}

/// The verdict as the API writes it.
fn kind_and_rule(d: &Diagnosis) -> (String, String) {
    let verdict = serde_json::to_value(&d.verdict).expect("JSON");
    let word = |name: &str| verdict[name].as_str().expect("a word").to_owned();
    (word("kind"), word("rule"))
}

fn past(minute: u8, verdict: &str, rule: &str, same_incident: bool) -> PastRun {
    PastRun {
        at: at(&format!("2026-08-14T02:{minute:02}:00Z")),
        took: (minute > 9).then_some(Duration::from_millis(72_345)),
        verdict: verdict.into(),
        rule: rule.into(),
        run_url: format!("https://se-responder.example.com/runs/past-{minute}"),
        same_incident,
    }
}
