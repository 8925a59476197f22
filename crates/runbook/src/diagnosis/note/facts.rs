//! What must stand in a note: verdict × finding (and where the path is broken), with the runbook's sentence for each.
//!
//! Tests hold the note of every combination, and of every scenario, against every row that applies ([`missing`]). A row
//! applies where each of its selectors is empty or has the case's value. Every case must meet a row of [`VERDICTS`],
//! one of [`FINDINGS`] for each of its zones, and one of [`CELLS`] for the zone to start with.
//!
//! Words in braces, `{zone}`, stand for what the case has there: see `hold.rs`.
//! `life.rs` has a table of its own: what each turn of the alert's life adds.

mod cells;
mod findings;
mod hold;
#[cfg(test)]
mod life;

use super::PageNews;
use crate::diagnosis::Finding;
use crate::diagnosis::Rule::{self, *};
use crate::diagnosis::client::ClientFinding;
use crate::diagnosis::{BrokenAt, VerdictKind};

pub(super) use cells::CELLS;
pub(super) use findings::FINDINGS;
#[cfg(test)]
pub(super) use hold::applies;
pub use hold::{Case, missing};
#[cfg(test)]
pub(super) use life::LIFE;

/// What the note says of the page, as far as rows care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The verdict asks for no page.
    NotWanted,
    /// A person is asked.
    Suggested,
    /// An automatic page is held back.
    Held,
    /// It is open.
    Paged,
    /// Anything else: on its way, failed, or not ours to open.
    Other,
}

impl From<&PageNews<'_>> for News {
    fn from(news: &PageNews<'_>) -> Self {
        match news {
            PageNews::NotWanted => Self::NotWanted,
            PageNews::Suggested { .. } => Self::Suggested,
            PageNews::Held { .. } => Self::Held,
            PageNews::Paged { problem: None, .. } => Self::Paged,
            PageNews::Paged { .. }
            | PageNews::Off
            | PageNews::Paging { .. }
            | PageNews::Failed { .. }
            | PageNews::Unreadable { .. } => Self::Other,
        }
    }
}

/// One row.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) kinds: &'static [VerdictKind],
    pub(super) rules: &'static [Rule],
    /// The finding of the zone that the row is about.
    pub(super) findings: &'static [Finding],
    /// Where that zone is broken.
    pub(super) broken_at: &'static [BrokenAt],
    /// `None` is either.
    pub(super) client_suspected: Option<bool>,
    /// What the client says; `None` in it: it is not asked.
    pub(super) client: &'static [Option<ClientFinding>],
    /// What has become of the page.
    pub(super) news: &'static [News],
    /// Whether related pages are open; `None` is either.
    pub(super) related: Option<bool>,
    /// What must stand in the first three lines.
    pub(super) first: &'static [&'static str],
    /// What must stand anywhere.
    pub(super) anywhere: &'static [&'static str],
    /// Why, in the runbook's words.
    pub(super) runbook: &'static str,
}

const ANY: Fact = Fact {
    kinds: &[],
    rules: &[],
    findings: &[],
    broken_at: &[],
    client_suspected: None,
    client: &[],
    news: &[],
    related: None,
    first: &[],
    anywhere: &[],
    runbook: "",
};

const SE: &[VerdictKind] = &[VerdictKind::ServiceEndpoint];
const REGISTRY: &[VerdictKind] = &[VerdictKind::Registry];
const TRANSIENT: &[VerdictKind] = &[VerdictKind::Transient];
const MIXED: &[VerdictKind] = &[VerdictKind::Mixed];
const INCONCLUSIVE: &[VerdictKind] = &[VerdictKind::Inconclusive];
const SE_SLACK: &str = "https://ibm-cloudplatform.slack.com/messages/C88C6N338";
const REGISTRY_POLICY: &str = "https://ibm.pagerduty.com/escalation_policies#PVHCBN9";
const CM: &str = "kubectl --context {context} get cm konicle -o yaml";
const PODS: &str = "kubectl --context {context} -n kube-system get po";
const CURL: &str = "kubectl --context {context} -n kube-system exec -it {pod} -c nginx-ingress -- curl -D- \
                    http://localhost:10443/status";

/// Holds for every note.
pub(super) const ALWAYS: &[Fact] = &[
    Fact {
        anywhere: &["VRF", "166.8.0.0/14", "CLASS: pCIE"],
        runbook: "The private endpoits are only reachable from machines in accounts with VRF enabled that have static \
                  routes to get to 166.8.0.0/14 over the private network. This page is at least a pCIE.",
        ..ANY
    },
    Fact {
        anywhere: &[
            "{run_url}",
            SE_SLACK,
            REGISTRY_POLICY,
            "https://ibm-argonauts.slack.com/messages/C53RR7TPE",
            "https://github.ibm.com/alchemy-registry/registry-build-squad/issues/new",
            "/job/ServiceEndpointStatus/",
        ],
        runbook: "Escalation Policy",
        ..ANY
    },
    Fact {
        anywhere: &["the alert resolves by itself when the end-to-end test gets 200 again"],
        runbook: "It will auto-resolve when the issue is fixed. No further monitoring is required.",
        ..ANY
    },
    Fact { first: &["{region}", "\nDo now: "], runbook: "All SE endpoints down in prod-us-south", ..ANY },
];

/// What each verdict must say, whatever the clusters say.
pub(super) const VERDICTS: &[Fact] = &[
    Fact {
        kinds: SE,
        first: &["SERVICE ENDPOINT problem in {region}"],
        anywhere: &[
            "Cloud Service Endpoint",
            "#private-marketplace",
            "Magic Box IDs for Cloud Service Endpoint:\n- {first_box} (",
        ],
        runbook: "If this condition persists then this is an SE problem and you should page the Service Endpoint team. \
                  They will need to know the Magic Box ID/s you're working with.",
        ..ANY
    },
    Fact {
        news: &[News::Suggested, News::Held],
        first: &["NOBODY WAS PAGED"],
        anywhere: &[
            "reply /escalate as a note on this incident",
            "curl -X POST {base}/escalate -H \"Authorization: Bearer $TOKEN\"",
            "'{\"incident_id\":\"{incident}\"}'",
        ],
        runbook: "you should page the Service Endpoint team",
        ..ANY
    },
    Fact {
        news: &[News::Held],
        first: &["The automatic page to Cloud Service Endpoint is held: {reason}"],
        runbook: "",
        ..ANY
    },
    Fact {
        news: &[News::Paged],
        first: &["\nPaged: ", "Cloud Service Endpoint", "{page}"],
        runbook: "Their PD service is called `Cloud Service Endpoint`",
        ..ANY
    },
    Fact {
        related: Some(true),
        first: &["deal with \"{related}\""],
        anywhere: &["Deal with these pages, and see if this alert resolves:\n   - {related} http"],
        runbook: "deal with this PD first and see if this resolves.",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        first: &["in {region}", "Nobody was paged"],
        anywhere: &["Registry: escalation policy"],
        runbook: "then this is probably a registry problem.",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        client_suspected: Some(false),
        client: &[None, Some(ClientFinding::NotClient), Some(ClientFinding::Unknown)],
        first: &["Probably REGISTRY in {region}: "],
        runbook: "then this is probably a registry problem.",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        client_suspected: Some(true),
        first: &["Path looks healthy in {region} (the runbook's rule says: probably registry)"],
        runbook: "If the problem was not with the healthcheck-prod cluster (the client in the end-to-end test)",
        ..ANY
    },
    Fact {
        rules: &[AllSeAccepting],
        client: &[Some(ClientFinding::Over)],
        first: &["Path looks healthy in {region}, already over (the runbook's rule says: probably registry)"],
        runbook: "It will auto-resolve when the issue is fixed.",
        ..ANY
    },
    Fact {
        kinds: TRANSIENT,
        first: &["TRANSIENT", "Nobody was paged: it may be over by itself."],
        anywhere: &["the Jenkins job ServiceEndpointStatus with CLUSTER=registry-{region}-az"],
        runbook: "this can be a transient state, re-run the job.",
        ..ANY
    },
    Fact {
        rules: &[AllSeRejectingUpstreamUp],
        kinds: TRANSIENT,
        anywhere: &["If it still shows this, page Cloud Service Endpoint", "Magic Box IDs for Cloud Service Endpoint:"],
        runbook: "If this condition persists then this is an SE problem and you should page the Service Endpoint team",
        ..ANY
    },
    Fact {
        kinds: MIXED,
        first: &["MIXED", "Nobody was paged: the zones differ"],
        anywhere: &[
            "Nobody yet, one reading may be transient. If a second look shows the same:\nregistry-{region}-az",
            "reply /rerun on the incident, or run the Jenkins job",
        ],
        runbook: "If there is a mix of statuses you should focus on zones with status of `:0:1` first, then look at zones \
                  with `1:x`, then other statuses.",
        ..ANY
    },
    Fact {
        kinds: INCONCLUSIVE,
        first: &["INCONCLUSIVE", "Nobody was paged: not enough is known."],
        anywhere: &[
            "the Jenkins job ServiceEndpointStatus with CLUSTER=registry-{region}-az",
            "Nobody yet. When the owner is clear:",
        ],
        runbook: "Run the ServiceEndPointStatus Jenkins job with CLUSTER set to the cluster name of one of the registry \
                  clusters",
        ..ANY
    },
    Fact {
        client: &[Some(ClientFinding::Over)],
        related: Some(false),
        first: &["wait for this alert to resolve", "the path looks whole", "already over", "region alerts now."],
        anywhere: &["- The region's test passes: the outage is over.", "- {region}: SE passes ("],
        runbook: "It will auto-resolve when the issue is fixed. No further monitoring is required.",
        ..ANY
    },
    Fact {
        client: &[Some(ClientFinding::ClientBroken)],
        related: Some(false),
        first: &["check the healthcheck cluster: the path looks whole", "client of the test", "region alerts now."],
        anywhere: &["CLASS: pCIE.", "- The client is broken: ", "- {region}: SE "],
        runbook: "If the problem was not with the healthcheck-prod cluster (the client in the end-to-end test)",
        ..ANY
    },
    Fact {
        client: &[Some(ClientFinding::FrontEndPath)],
        related: Some(false),
        first: &["from the healthcheck cluster to the front ends", "the path looks whole", "region alerts now."],
        anywhere: &["CLASS: pCIE.", "the way to them is broken", "- {region}: SE fails ("],
        runbook: "there is a problem getting from the `registry-healthcheck` cluster to the Magic Box on it's front end IP",
        ..ANY
    },
    Fact {
        client: &[Some(ClientFinding::NotClient)],
        anywhere: &["- It was not the client: ", "- {region}: SE "],
        runbook: "If the problem was not with the healthcheck-prod cluster then this probably is a CIE.",
        ..ANY
    },
    Fact {
        client: &[Some(ClientFinding::Unknown)],
        anywhere: &["- Whether it was the client is not known."],
        runbook: "If the problem was not with the healthcheck-prod cluster",
        ..ANY
    },
    Fact {
        client: &[None, Some(ClientFinding::Unknown)],
        client_suspected: Some(true),
        related: Some(false),
        first: &[
            "the path looks whole",
            "healthcheck cluster",
            "front ends",
            "already over",
            "No other region alerts now.",
        ],
        anywhere: &["CLASS: pCIE."],
        runbook: "If the problem was not with the healthcheck-prod cluster (the client in the end-to-end test) then this \
                  probably is a CIE.",
        ..ANY
    },
];
