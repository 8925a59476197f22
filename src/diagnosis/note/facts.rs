//! What must stand in a note: verdict × finding (and where the path is broken), with the runbook's sentence for each.
//!
//! A test writes the note of every combination and holds it against every row that applies. A row applies where each
//! of its selectors is empty or has the case's value. Every combination must meet a row of [`VERDICTS`], one of
//! [`FINDINGS`] and one of [`CELLS`]. [`LIFE`] has a table of its own: what each turn of the alert's life adds.

mod life;

pub(super) use life::LIFE;

use crate::diagnosis::Finding::{self, *};
use crate::diagnosis::Rule::{self, *};
use crate::diagnosis::{BrokenAt, VerdictKind};

/// One row.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) kinds: &'static [VerdictKind],
    pub(super) rules: &'static [Rule],
    /// The finding of the zone to start with (all zones have the same one in the cases).
    pub(super) findings: &'static [Finding],
    /// Where that zone is broken.
    pub(super) broken_at: &'static [BrokenAt],
    /// `None` is either.
    pub(super) client_suspected: Option<bool>,
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
const CM: &str = "/c1234abcd get cm konicle -o yaml";
const PODS: &str = "-n kube-system get po";
const CURL: &str = "-c nginx-ingress -- curl -D- http://localhost:10443/status";

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
            super::fixtures::RUN_URL,
            SE_SLACK,
            REGISTRY_POLICY,
            "https://ibm-argonauts.slack.com/messages/C53RR7TPE",
            "https://github.ibm.com/alchemy-registry/registry-build-squad/issues/new",
            "/job/ServiceEndpointStatus/4211/",
        ],
        runbook: "Escalation Policy",
        ..ANY
    },
    Fact {
        anywhere: &["the alert resolves by itself when the end-to-end test gets 200 again"],
        runbook: "It will auto-resolve when the issue is fixed. No further monitoring is required.",
        ..ANY
    },
    Fact { first: &["prod-us-south", "Do now: "], runbook: "All SE endpoints down in prod-us-south", ..ANY },
];

/// What each verdict must say, whatever the clusters say.
pub(super) const VERDICTS: &[Fact] = &[
    Fact {
        kinds: SE,
        first: &["SERVICE ENDPOINT", "Cloud Service Endpoint", "NOBODY WAS PAGED"],
        anywhere: &[
            "#private-marketplace",
            "Magic Box IDs for Cloud Service Endpoint:\n- us-south-dal1",
            "write a note on this incident that says only /escalate",
            "curl -X POST https://se-responder.example.com/escalate -H \"Authorization: Bearer $TOKEN\"",
            "'{\"incident_id\":\"Q1ALERT\"}'",
        ],
        runbook: "If this condition persists then this is an SE problem and you should page the Service Endpoint team. \
                  They will need to know the Magic Box ID/s you're working with.",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        first: &["Probably REGISTRY", "Nobody was paged"],
        anywhere: &["Registry: escalation policy"],
        runbook: "then this is probably a registry problem.",
        ..ANY
    },
    Fact {
        kinds: TRANSIENT,
        first: &["TRANSIENT", "Nobody was paged: it may be over by itself."],
        anywhere: &["the Jenkins job ServiceEndpointStatus with CLUSTER=registry-prod-us-south-az"],
        client_suspected: Some(false),
        runbook: "this can be a transient state, re-run the job.",
        ..ANY
    },
    Fact {
        kinds: TRANSIENT,
        first: &["TRANSIENT", "Nobody was paged: nothing on the path looks broken."],
        client_suspected: Some(true),
        runbook: "this can be a transient state",
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
        anywhere: &["A mixed reading has no owner by itself. Zone by zone:\n- registry-prod-us-south-az"],
        runbook: "If there is a mix of statuses you should focus on zones with status of `:0:1` first, then look at zones \
                  with `1:x`, then other statuses.",
        ..ANY
    },
    Fact {
        kinds: INCONCLUSIVE,
        first: &["INCONCLUSIVE", "Nobody was paged: not enough is known."],
        anywhere: &[
            "the Jenkins job ServiceEndpointStatus with CLUSTER=registry-prod-us-south-az",
            "Nobody on this alone.",
        ],
        runbook: "Run the ServiceEndPointStatus Jenkins job with CLUSTER set to the cluster name of one of the registry \
                  clusters",
        ..ANY
    },
    Fact {
        client_suspected: Some(true),
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

/// What each finding must say, whatever the verdict.
pub(super) const FINDINGS: &[Fact] = &[
    Fact {
        findings: &[Disabled],
        anywhere: &["deliberately disabled by the registry squad (konicle: ready: false)", "Skip it."],
        runbook: "If the `data` section contains `ready: false` or `private-override: false` then this zone has been \
                  deliberately disabled by the registry squad, go back to step 1 and pick the next zone.",
        ..ANY
    },
    Fact {
        findings: &[Unknown],
        anywhere: &[
            "cluster could not be asked: listing pods in kube-system: 403 Forbidden",
            "COULD NOT BE FOUND OUT",
            CM,
            PODS,
            CURL,
            "<ingress_pod_name>",
        ],
        runbook: "Connect kubectl to that registry cluster and run `kubectl get cm konicle -o yaml`",
        ..ANY
    },
    Fact {
        findings: &[IngressDown],
        anywhere: &[
            "no private ingress pod is Running (2 pods: CrashLoopBackOff)",
            PODS,
            "CrashLoopBackOff, 3/4 ready",
        ],
        runbook: "If they're not up you can try to work out why and make them be up, or you can page Registry.",
        ..ANY
    },
    Fact {
        findings: &[Healthy],
        anywhere: &["status check 200 OK", CURL, "exec -it private-cr386b5d5d469f49eeb991164e1b848a4a-alb1-"],
        runbook: "200 OK - Evertything is fine but SE beleive it is not",
        ..ANY
    },
    Fact {
        findings: &[ZoneUnhealthy],
        anywhere: &["status check 404, unhealthy and automatically disabled", CURL],
        runbook: "404 Not Found - The zone is unhealthy and has been automaticallty disabled",
        ..ANY
    },
    Fact {
        findings: &[KonicleFault],
        anywhere: &[
            "probably konicle",
            "get po -n default | grep konicle",
            "pod konicle-6c5d8f7b9d-x2x7k: CrashLoopBackOff, 0/1 ready",
        ],
        runbook: "Other HTTP status code or transport fault - Probably the \"konicle\" registry microservice is not working.",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::SeTo10443],
        anywhere: &[
            "Broken at se-to-10443",
            "something stops SE from making requests to registry over the private network on port 10443",
        ],
        runbook: "probably something is stopping SE from making requests to registry over the private network on port 10443",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::ClientOrFrontEnd],
        anywhere: &["Broken at client-or-front-end", "way from registry-healthcheck to the front end 166.9."],
        runbook: "Or there is a problem getting from the `registry-healthcheck` cluster to the Magic Box on it's front end IP",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::MagicBox],
        anywhere: &["Broken at magic-box", "that points at Service Endpoint (ID below)"],
        runbook: "you can page them, they will need to know the Magic Box ID/s you're working with",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::PrivateIngress],
        anywhere: &[
            "Broken at private-ingress",
            "Private ingress accepts connections: no (upstream=-1)",
            "or page Registry",
        ],
        runbook: "If the upstream status is `0` or `1` it is accepting connections, if not it's worth looking at the \
                  ingress controllers.",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::Zone],
        findings: &[ZoneUnhealthy],
        anywhere: &["Broken at zone", "pages about microservices down or not working in this zone: deal with those"],
        runbook: "there should be one or more pages in Registry's PD related to microservices beong down or not working in \
                  this zone, deal with that/those pages.",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::Zone],
        findings: &[KonicleFault],
        anywhere: &[
            "Broken at zone",
            "pages about konicle in this zone, or at konicle's pods in the default namespace",
        ],
        runbook: "Look for PDs in registry about konicle in this zone, or look at the konicle pods in the dafault kube \
                  namespace. If you can't fix it, page registry.",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::DisabledByRegistry],
        anywhere: &["Broken at disabled-by-registry"],
        runbook: "this zone has been deliberately disabled by the registry squad",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::Contradiction],
        anywhere: &["Broken at contradiction", "Look yourself before you page anybody", CM, PODS, CURL],
        runbook: "1 returning 200 OK",
        ..ANY
    },
    Fact { broken_at: &[BrokenAt::Unknown], anywhere: &["Broken at unknown"], runbook: "", ..ANY },
];

/// What the first lines must say for a verdict with a finding: what to do now.
pub(super) const CELLS: &[Fact] = &[
    Fact {
        findings: &[Disabled],
        first: &["ask the registry squad", "they have deliberately disabled every zone"],
        runbook: "this zone has been deliberately disabled by the registry squad",
        ..ANY
    },
    Fact {
        kinds: SE,
        findings: &[Unknown, Healthy],
        first: &[
            "page Cloud Service Endpoint with the Magic Box IDs below",
            "NOBODY WAS PAGED. The page to Cloud Service Endpoint waits for a yes: a note here that says only /escalate.",
        ],
        runbook: "this is an SE problem and you should page the Service Endpoint team",
        ..ANY
    },
    Fact {
        kinds: SE,
        findings: &[IngressDown, ZoneUnhealthy, KonicleFault],
        first: &["look yourself before you page Cloud Service Endpoint: the clusters contradict Jenkins"],
        runbook: "at least one has an upstream_status of `1` (1 returning 200 OK)",
        ..ANY
    },
    Fact {
        kinds: TRANSIENT,
        rules: &[AllSeRejectingUpstreamUp],
        findings: &[Unknown, Healthy, IngressDown, ZoneUnhealthy, KonicleFault],
        first: &["run the Jenkins job again. The same again: page Cloud Service Endpoint."],
        runbook: "this can be a transient state, re-run the job. If this condition persists then this is an SE problem",
        ..ANY
    },
    Fact {
        kinds: TRANSIENT,
        rules: &[RecoveredOnRerun],
        findings: &[Unknown, Healthy],
        first: &["the path looks whole"],
        runbook: "this can be a transient state",
        ..ANY
    },
    Fact {
        kinds: TRANSIENT,
        rules: &[RecoveredOnRerun],
        findings: &[IngressDown, ZoneUnhealthy, KonicleFault],
        first: &["look at registry-prod-us-south-az1 yourself before you page anybody"],
        runbook: "1 returning 200 OK",
        ..ANY
    },
    Fact {
        kinds: INCONCLUSIVE,
        findings: &[Unknown, Healthy],
        first: &["run the Jenkins job yourself with CLUSTER=registry-prod-us-south-az"],
        runbook: "Run the ServiceEndPointStatus Jenkins job with CLUSTER set to the cluster name of one of the registry \
                  clusters",
        ..ANY
    },
    Fact {
        kinds: INCONCLUSIVE,
        findings: &[IngressDown, ZoneUnhealthy, KonicleFault],
        first: &["run the Jenkins job yourself with CLUSTER=registry-prod-us-south-az", "Also: "],
        runbook: "Run the ServiceEndPointStatus Jenkins job",
        ..ANY
    },
    Fact {
        kinds: MIXED,
        findings: &[Unknown, Healthy, IngressDown, ZoneUnhealthy, KonicleFault],
        first: &["start with the "],
        runbook: "you should focus on zones with status of `:0:1` first, then look at zones with `1:x`, then other statuses",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        findings: &[Unknown],
        client_suspected: Some(false),
        first: &["by hand (commands below), its cluster could not be asked"],
        runbook: "Connect kubectl to that registry cluster",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        findings: &[Unknown, Healthy],
        client_suspected: Some(true),
        first: &["the path looks whole"],
        runbook: "the healthcheck-prod cluster (the client in the end-to-end test)",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        findings: &[Healthy],
        broken_at: &[BrokenAt::SeTo10443],
        first: &["find what stops SE from reaching registry on port 10443", "Registry itself answers 200"],
        runbook: "probably something is stopping SE from making requests to registry over the private network on port 10443",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        findings: &[Healthy],
        broken_at: &[BrokenAt::ClientOrFrontEnd],
        client_suspected: Some(false),
        first: &["is whole behind its front end: check the way there from the healthcheck cluster"],
        runbook: "there is a problem getting from the `registry-healthcheck` cluster to the Magic Box on it's front end IP",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        broken_at: &[BrokenAt::Contradiction],
        findings: &[IngressDown, ZoneUnhealthy, KonicleFault],
        first: &["yourself before you page anybody: its cluster contradicts Jenkins"],
        runbook: "1 returning 200 OK",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        findings: &[IngressDown],
        broken_at: &[BrokenAt::PrivateIngress, BrokenAt::Unknown],
        first: &["bring up the private ingress of registry-prod-us-south-az", "or page Registry"],
        runbook: "If they're not up you can try to work out why and make them be up, or you can page Registry.",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        findings: &[ZoneUnhealthy],
        broken_at: &[BrokenAt::Zone],
        first: &["is unhealthy (404). Deal with Registry's pages about its microservices."],
        runbook: "there should be one or more pages in Registry's PD related to microservices, deal with that/those pages",
        ..ANY
    },
    Fact {
        kinds: REGISTRY,
        findings: &[KonicleFault],
        broken_at: &[BrokenAt::Zone],
        first: &["look for Registry's pages about konicle in registry-prod-us-south-az", "page Registry"],
        runbook: "Probably the \"konicle\" registry microservice is not working. If you can't fix it, page registry.",
        ..ANY
    },
];
