//! What the first lines must say for a verdict with a finding: what to do now.

use super::{ANY, Fact, INCONCLUSIVE, MIXED, News, REGISTRY, SE, TRANSIENT};
use crate::diagnosis::BrokenAt;
use crate::diagnosis::Finding::*;
use crate::diagnosis::Rule::*;

/// Related pages come before anything else.
const CELL: Fact = Fact { related: Some(false), ..ANY };

/// The rows.
/// What the first lines must say for a verdict with a finding: what to do now.
pub(in crate::diagnosis::note) const CELLS: &[Fact] = &[
    Fact {
        findings: &[Disabled],
        first: &["ask the registry squad", "they have deliberately disabled every zone"],
        runbook: "this zone has been deliberately disabled by the registry squad",
        ..CELL
    },
    Fact {
        kinds: SE,
        findings: &[Unknown, Healthy],
        news: &[News::Suggested],
        first: &[
            "page Cloud Service Endpoint with the Magic Box IDs below",
            "NOBODY WAS PAGED. The page to Cloud Service Endpoint needs approval: reply /escalate as a note on this incident.",
        ],
        runbook: "this is an SE problem and you should page the Service Endpoint team",
        ..CELL
    },
    Fact {
        kinds: SE,
        findings: &[Unknown, Healthy],
        news: &[News::Held],
        first: &["check why the page is held, then page Cloud Service Endpoint with the Magic Box IDs below"],
        runbook: "this is an SE problem and you should page the Service Endpoint team",
        ..CELL
    },
    Fact {
        kinds: SE,
        findings: &[Unknown, Healthy],
        news: &[News::Paged],
        first: &["stay in touch with Cloud Service Endpoint"],
        runbook: "Their PD service is called `Cloud Service Endpoint` and they are in #private-marketplace",
        ..CELL
    },
    Fact {
        kinds: SE,
        findings: &[IngressDown, ZoneUnhealthy, KonicleFault],
        news: &[News::Suggested, News::Held],
        first: &["look yourself before you page Cloud Service Endpoint: the clusters contradict Jenkins"],
        runbook: "at least one has an upstream_status of `1` (1 returning 200 OK)",
        ..CELL
    },
    Fact {
        kinds: SE,
        findings: &[IngressDown, ZoneUnhealthy, KonicleFault],
        news: &[News::Paged],
        first: &["look at the zones yourself (below): the clusters contradict Jenkins"],
        runbook: "at least one has an upstream_status of `1` (1 returning 200 OK)",
        ..CELL
    },
    Fact {
        kinds: TRANSIENT,
        rules: &[AllSeRejectingUpstreamUp],
        findings: &[Unknown, Healthy, IngressDown, ZoneUnhealthy, KonicleFault],
        first: &["run the Jenkins job again. If the result is the same, page Cloud Service Endpoint."],
        runbook: "this can be a transient state, re-run the job. If this condition persists then this is an SE problem",
        ..CELL
    },
    Fact {
        kinds: TRANSIENT,
        rules: &[RecoveredOnRerun],
        findings: &[Unknown, Healthy],
        first: &["nothing, if the alert resolves; "],
        runbook: "this can be a transient state",
        ..CELL
    },
    Fact {
        kinds: TRANSIENT,
        rules: &[RecoveredOnRerun],
        findings: &[IngressDown, ZoneUnhealthy, KonicleFault],
        first: &["yourself before you page anybody", "registry-{region}-az"],
        runbook: "1 returning 200 OK",
        ..CELL
    },
    Fact {
        kinds: INCONCLUSIVE,
        findings: &[Unknown, Healthy],
        first: &["run the Jenkins job yourself with CLUSTER=registry-{region}-az"],
        runbook: "Run the ServiceEndPointStatus Jenkins job with CLUSTER set to the cluster name of one of the registry \
                  clusters",
        ..CELL
    },
    Fact {
        kinds: INCONCLUSIVE,
        findings: &[IngressDown, ZoneUnhealthy, KonicleFault],
        first: &["run the Jenkins job yourself with CLUSTER=registry-{region}-az", "Also: "],
        runbook: "Run the ServiceEndPointStatus Jenkins job",
        ..CELL
    },
    Fact {
        kinds: MIXED,
        findings: &[Unknown, Healthy, IngressDown, ZoneUnhealthy, KonicleFault],
        first: &["start with the "],
        runbook: "you should focus on zones with status of `:0:1` first, then look at zones with `1:x`, then other statuses",
        ..CELL
    },
    Fact {
        kinds: MIXED,
        broken_at: &[BrokenAt::MagicBox],
        findings: &[Healthy],
        news: &[News::NotWanted],
        first: &[
            "look at registry-{region}-az",
            "again, reply /rerun. One reading may be transient; if it still rejects",
            "reply /escalate",
        ],
        anywhere: &["Candidates for Cloud Service Endpoint only: look again, /rerun, then /escalate"],
        runbook: "focus on zones with status of `:0:1` first; this can be a transient state, re-run the job",
        ..CELL
    },
    Fact {
        kinds: REGISTRY,
        findings: &[Unknown],
        client_suspected: Some(false),
        first: &["by hand (commands below), this service could not check its cluster"],
        runbook: "Connect kubectl to that registry cluster",
        ..CELL
    },
    Fact {
        kinds: REGISTRY,
        findings: &[Unknown, Healthy],
        client_suspected: Some(true),
        first: &["the path looks whole"],
        runbook: "the healthcheck-prod cluster (the client in the end-to-end test)",
        ..CELL
    },
    Fact {
        kinds: REGISTRY,
        findings: &[Healthy],
        broken_at: &[BrokenAt::SeTo10443],
        first: &["find what stops SE from reaching registry on port 10443", "Registry itself answers 200"],
        runbook: "probably something is stopping SE from making requests to registry over the private network on port 10443",
        ..CELL
    },
    Fact {
        kinds: REGISTRY,
        findings: &[Healthy],
        broken_at: &[BrokenAt::ClientOrFrontEnd],
        client_suspected: Some(false),
        first: &["check the route from the healthcheck cluster to the front end of registry-{region}-az"],
        runbook: "there is a problem getting from the `registry-healthcheck` cluster to the Magic Box on it's front end IP",
        ..CELL
    },
    Fact {
        kinds: REGISTRY,
        broken_at: &[BrokenAt::Contradiction],
        findings: &[IngressDown, ZoneUnhealthy, KonicleFault],
        first: &["yourself before you page anybody: its cluster contradicts Jenkins"],
        runbook: "1 returning 200 OK",
        ..CELL
    },
    Fact {
        kinds: REGISTRY,
        findings: &[IngressDown],
        broken_at: &[BrokenAt::PrivateIngress, BrokenAt::Unknown],
        first: &["bring up the private ingress of registry-{region}-az", "or page Registry"],
        runbook: "If they're not up you can try to work out why and make them be up, or you can page Registry.",
        ..CELL
    },
    Fact {
        kinds: REGISTRY,
        findings: &[ZoneUnhealthy],
        broken_at: &[BrokenAt::Zone],
        first: &[
            "look for Registry's pages about microservices in registry-{region}-az",
            "the zone is unhealthy (404)",
        ],
        runbook: "there should be one or more pages in Registry's PD related to microservices, deal with that/those pages",
        ..CELL
    },
    Fact {
        kinds: REGISTRY,
        findings: &[KonicleFault],
        broken_at: &[BrokenAt::Zone],
        first: &[
            "look for Registry's pages about konicle in registry-{region}-az",
            "If you can't fix it, page Registry.",
        ],
        runbook: "Probably the \"konicle\" registry microservice is not working. If you can't fix it, page registry.",
        ..CELL
    },
];
