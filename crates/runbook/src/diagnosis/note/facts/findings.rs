//! What each finding, and each place where a path breaks, must say, whatever the verdict.

use super::{ANY, CM, CURL, Fact, PODS};
use crate::diagnosis::BrokenAt;
use crate::diagnosis::Finding::*;

/// What each finding must say, whatever the verdict.
pub(in crate::diagnosis::note) const FINDINGS: &[Fact] = &[
    Fact {
        findings: &[Disabled],
        anywhere: &["deliberately disabled by the registry squad (konicle: {switch}: false", "Skip it."],
        runbook: "If the `data` section contains `ready: false` or `private-override: false` then this zone has been \
                  deliberately disabled by the registry squad, go back to step 1 and pick the next zone.",
        ..ANY
    },
    Fact {
        findings: &[Unknown],
        anywhere: &[
            "{zone}: this service could not check the cluster. ",
            "NOT KNOWN",
            "- What the cluster says, ",
            "{error}",
            CM,
            PODS,
            CURL,
        ],
        runbook: "Connect kubectl to that registry cluster and run `kubectl get cm konicle -o yaml`",
        ..ANY
    },
    Fact {
        findings: &[IngressDown],
        anywhere: &[
            "no private ingress pod is Running (2 pods: {ingress_status}",
            PODS,
            "- pod {ingress_pod}: {ingress_status}, {ingress_ready} ready",
        ],
        runbook: "If they're not up you can try to work out why and make them be up, or you can page Registry.",
        ..ANY
    },
    Fact {
        findings: &[Healthy],
        anywhere: &["status check 200 OK", CURL],
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
            "kubectl --context {context} get po -n default | grep konicle",
            "- pod {konicle_pod}: {konicle_status}, {konicle_ready} ready",
        ],
        runbook: "Other HTTP status code or transport fault - Probably the \"konicle\" registry microservice is not working.",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::SeTo10443],
        anywhere: &[
            "It breaks between SE and registry: SE can't reach port 10443.",
            "something stops SE from making requests to registry over the private network on port 10443",
        ],
        runbook: "probably something is stopping SE from making requests to registry over the private network on port 10443",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::ClientOrFrontEnd],
        anywhere: &[
            "Nothing breaks behind the front end.",
            "the route from registry-healthcheck to the front end ",
            "{frontend}",
        ],
        runbook: "Or there is a problem getting from the `registry-healthcheck` cluster to the Magic Box on it's front end IP",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::MagicBox],
        anywhere: &["It breaks at the Magic Box: that rejects connections, registry behind it is fine."],
        runbook: "you can page them, they will need to know the Magic Box ID/s you're working with",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::PrivateIngress],
        anywhere: &[
            "It breaks at the private ingress: nothing accepts connections.",
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
        anywhere: &[
            "It breaks inside the zone, behind the private ingress.",
            "pages about microservices down or not working in this zone: deal with those",
        ],
        runbook: "there should be one or more pages in Registry's PD related to microservices beong down or not working in \
                  this zone, deal with that/those pages.",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::Zone],
        findings: &[KonicleFault],
        anywhere: &[
            "It breaks inside the zone, behind the private ingress.",
            "pages about konicle in this zone, or at konicle's pods in the default namespace. If you can't fix it, page Registry.",
        ],
        runbook: "Look for PDs in registry about konicle in this zone, or look at the konicle pods in the dafault kube \
                  namespace. If you can't fix it, page registry.",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::DisabledByRegistry],
        anywhere: &["It breaks where registry disabled the zone."],
        runbook: "this zone has been deliberately disabled by the registry squad",
        ..ANY
    },
    Fact {
        broken_at: &[BrokenAt::Contradiction],
        anywhere: &[
            "Where it breaks: not known, Jenkins and the cluster contradict each other.",
            "Look yourself before you page anybody",
            PODS,
            CURL,
        ],
        runbook: "1 returning 200 OK",
        ..ANY
    },
    Fact { broken_at: &[BrokenAt::Unknown], anywhere: &["Where it breaks: not known."], runbook: "", ..ANY },
];
