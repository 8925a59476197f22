//! What must stand in each short note: a test holds every sample against its row, and every row has a sample.

/// One row.
pub(super) struct ShortFact {
    /// The sample.
    pub(super) note: &'static str,
    /// What must stand in the first three lines.
    pub(super) first: &'static [&'static str],
    /// What must stand anywhere.
    pub(super) anywhere: &'static [&'static str],
    /// Whether somebody may believe, after three lines, that somebody was paged.
    pub(super) paged: bool,
    /// Why: the runbook, the contract or the issue.
    pub(super) source: &'static str,
}

const NOBODY: &str = "Nobody was paged by this command.";
const SE: &str = "Cloud Service Endpoint";
const PAGE: &str = "https://ibm.pagerduty.com/incidents/Q9PAGE";
const RUN: &str = "https://se-responder.example.com/runs/0198a5c2";

/// Every row.
pub(super) const SHORT: &[ShortFact] = &[
    ShortFact {
        note: "suppressed",
        first: &[
            "not diagnosed yet, in prod-us-south: 2 open pages may explain it",
            "deal with these first: \"All Public endpoints down in prod-us-south\" and 1 more",
            "See if this alert resolves with them.",
            "Nobody was paged by this service.",
            "looks again every 30 s, and diagnoses anyway at 2026-08-14 03:27:05 UTC",
        ],
        anywhere: &[
            "- All Public endpoints down in prod-us-south https://ibm.pagerduty.com/incidents/Q2PUBLIC\n",
            "Response code mismatch error https://ibm.pagerduty.com/incidents/Q3ORIGIN\n",
            "closed for 2 min",
            "/rerun",
            RUN,
        ],
        paged: false,
        source: "Runbook: deal with this/these PD/s first and see if this resolves. lifecycle.md#the-note: one short note at once, \
                 naming and linking the related pages, and when it will look again.",
    },
    ShortFact {
        note: "suppressed by one",
        first: &["1 open page may explain it", "deal with \"All Public endpoints down in prod-us-south\" first"],
        anywhere: &["\nOPEN PAGES\n- All Public", "/incidents/Q2PUBLIC"],
        paged: false,
        source: "Runbook: deal with this PD first and see if this resolves.",
    },
    ShortFact {
        note: "early, transient",
        first: &[
            "Still diagnosing prod-us-south. Maybe TRANSIENT",
            "until 2026-08-14 03:19:05 UTC at the latest",
            "The Jenkins job is run again",
            "Nobody was paged",
        ],
        anywhere: &[
            "KNOWN SO FAR\n- All 3 boxes of 3 zones have SE status 0, but 3 have upstream status 1: this can be a transient state.\n",
            "- registry-prod-us-south-az1: SE=0 upstream=1",
            "- No related page is open.",
            "WAITING FOR (by 03:19:05)\n- The second of 3 readings.",
            RUN,
        ],
        paged: false,
        source: "Runbook: this can be a transient state, re-run the job. lifecycle.md#the-note: what is known, what is awaited, and \
                 until when.",
    },
    ShortFact {
        note: "early, nothing yet",
        first: &["No diagnosis yet", "prod-us-south", "until 2026-08-14 03:19:05 UTC", "by hand", "Nobody was paged"],
        anywhere: &["- No related page is open.", "- The second of 3 readings.", RUN],
        paged: false,
        source: "lifecycle.md#the-note: when there is no diagnosis by NOTE_BY.",
    },
    ShortFact {
        note: "early, pages open",
        first: &[
            "No diagnosis yet",
            "deal with these first: \"All Public endpoints down in prod-us-south\" and 1 more",
            "until 2026-08-14 03:19:05 UTC at the latest",
            "Nobody was paged",
        ],
        anywhere: &["\nOPEN PAGES\n- All Public endpoints down in prod-us-south https://", "/incidents/Q3ORIGIN", RUN],
        paged: false,
        source: "Runbook: deal with this/these PD/s first and see if this resolves.",
    },
    ShortFact {
        note: "unacknowledged",
        first: &["NOBODY HAS ACKNOWLEDGED", "prod-us-south", "10 min", SE, "#private-marketplace", PAGE],
        anywhere: &[RUN],
        paged: true,
        source: "lifecycle.md#the-page: not within PAGE_ACK_WAIT is a short note. Runbook: Slack #private-marketplace.",
    },
    ShortFact {
        note: "acknowledged",
        first: &["Page acknowledged for prod-us-south, after 3 min 20 s, by Jane Doe", "stay in touch", PAGE],
        anywhere: &[RUN],
        paged: true,
        source: "lifecycle.md#the-page: acknowledged (by whom).",
    },
    ShortFact {
        note: "alert over",
        first: &["RESOLVED", "prod-us-south", "after 42 min 10 s", "2026-08-14 03:54:15 UTC", "resolve this page"],
        anywhere: &[
            "2026-08-14 03:12:05 UTC",
            "All SE endpoints down in prod-us-south\" https://ibm.pagerduty.com/incidents/Q1ALERT",
            RUN,
        ],
        paged: false,
        source: "Issue 3: when the alert resolves, the page gets a note that says so. Runbook: it will auto-resolve.",
    },
    ShortFact {
        note: "/rerun",
        first: &["Diagnosing prod-us-south again", "/rerun by Jane Doe", NOBODY],
        anywhere: &[RUN],
        paged: false,
        source: "lifecycle.md#commands: a command from that person, answered by a short note.",
    },
    ShortFact {
        note: "/rerun, active",
        first: &["Already diagnosing prod-us-south", "/rerun by Jane Doe", NOBODY],
        anywhere: &[RUN],
        paged: false,
        source: "lifecycle.md#which-incidents-are-alerts: at most one is active for an incident.",
    },
    ShortFact {
        note: "/escalate",
        first: &["Paging Cloud Service Endpoint for prod-us-south", "/escalate by Jane Doe", "Nobody was paged yet."],
        anywhere: &[],
        paged: false,
        source: "Issue 3: pages at once with what is known, and says who asked.",
    },
    ShortFact {
        note: "/escalate, paged",
        first: &["Paged Cloud Service Endpoint for prod-us-south", "asked for by Jane Doe", PAGE],
        anywhere: &[],
        paged: true,
        source: "Issue 3: says who asked.",
    },
    ShortFact {
        note: "/escalate, before",
        first: &["is paged already for prod-us-south", "/escalate by Jane Doe", "No second page", PAGE],
        anywhere: &[],
        paged: true,
        source: "lifecycle.md#the-page: one page an alert, ever.",
    },
    ShortFact {
        note: "/hold",
        first: &[
            "Automatic paging is on hold for prod-us-south",
            "/hold by Jane Doe",
            "until /escalate or until the alert is reopened",
        ],
        anywhere: &["A page that is open already stays open."],
        paged: false,
        source: "lifecycle.md#the-page: somebody said `/hold` (until `/escalate` or `reopened`).",
    },
    ShortFact {
        note: "/status",
        first: &[
            "Status of prod-us-south: the run is done",
            "follow the diagnosis note. Verdict: all 3 boxes",
            "Not paged, the automatic page is held: related pages are open; its evidence is old.",
        ],
        anywhere: &[RUN],
        paged: false,
        source: "lifecycle.md#commands",
    },
    ShortFact {
        note: "/status, /hold",
        first: &[
            "Status of prod-us-south: the run is done",
            "Not paged; Jane Doe said /hold, so no page is opened automatically.",
        ],
        anywhere: &[RUN],
        paged: false,
        source: "lifecycle.md#commands",
    },
    ShortFact {
        note: "/status, suggested",
        first: &["Not paged. To page, reply /escalate."],
        anywhere: &[RUN],
        paged: false,
        source: "lifecycle.md#commands",
    },
    ShortFact {
        note: "/status, opening",
        first: &["The page is being opened."],
        anywhere: &[RUN],
        paged: false,
        source: "lifecycle.md#commands",
    },
    ShortFact {
        note: "/status, paged",
        first: &[
            "The page is open: https://ibm.pagerduty.com/incidents/Q9PAGE (not acknowledged, as far as is known), but it is disabled.",
        ],
        anywhere: &[RUN],
        paged: false,
        source: "lifecycle.md#commands",
    },
    ShortFact {
        note: "/status, acknowledged",
        first: &["The page is open: https://ibm.pagerduty.com/incidents/Q9PAGE (acknowledged by Jane Doe)."],
        anywhere: &[RUN],
        paged: false,
        source: "lifecycle.md#commands",
    },
    ShortFact {
        note: "/status, failed",
        first: &["NOBODY WAS PAGED, the page failed: it is disabled."],
        anywhere: &[RUN],
        paged: false,
        source: "lifecycle.md#commands",
    },
    ShortFact {
        note: "/status, early",
        first: &["Status of prod-us-south: the run is running", "no verdict yet", "Not paged."],
        anywhere: &[RUN],
        paged: false,
        source: "lifecycle.md#commands",
    },
    ShortFact {
        note: "/help",
        first: &[
            "nothing done for prod-us-south (/help by Jane Doe)",
            "/rerun (diagnose again)",
            "/escalate (page Cloud Service Endpoint)",
            "/hold (no automatic page)",
            "/status (where things stand)",
            NOBODY,
        ],
        anywhere: &[],
        paged: false,
        source: "lifecycle.md#commands: another `/word` alone is answered by the list.",
    },
    ShortFact {
        note: "too old",
        first: &[
            "Not obeyed for prod-us-south",
            "too late",
            "15 minutes",
            "/escalate by Jane Doe",
            "NOBODY WAS PAGED by this command.",
        ],
        anywhere: &[],
        paged: false,
        source: "lifecycle.md#commands: not obeyed, but answered: older than 15 minutes",
    },
    ShortFact {
        note: "closed",
        first: &["Not obeyed, the alert of prod-us-south is closed", NOBODY],
        anywhere: &[],
        paged: false,
        source: "lifecycle.md#commands: on a closed alert",
    },
    ShortFact {
        note: "not allowed",
        first: &["Not obeyed for prod-us-south, not allowed", "Jane Doe is not among COMMAND_USERS", NOBODY],
        anywhere: &[],
        paged: false,
        source: "lifecycle.md#commands: from outside `COMMAND_USERS`",
    },
    ShortFact {
        note: "/escalate, failed",
        first: &[
            "FAILED for prod-us-south",
            "/escalate by Jane Doe",
            "page Cloud Service Endpoint by hand",
            "NOBODY WAS PAGED",
            "402",
        ],
        anywhere: &[],
        paged: false,
        source: "Issue 3: nobody may believe that somebody was paged.",
    },
    ShortFact {
        note: "/rerun, failed",
        first: &["FAILED for prod-us-south", "/rerun by Jane Doe", NOBODY, "the store is full."],
        anywhere: &[],
        paged: false,
        source: "lifecycle.md#commands: answered",
    },
];
