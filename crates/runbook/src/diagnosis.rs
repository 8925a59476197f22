//! Station 4: what was read becomes a diagnosis, and the diagnosis becomes a note. Pure: no clock, no I/O, no tokio.
//!
//! [`Diagnosis`] is the one value behind the API, the note and the page; its serialised form is the API's
//! `diagnosis` object.

pub mod client;
pub mod console;
pub mod evidence;
pub mod finding;
pub mod last_good;
pub mod note;
pub mod path;
pub mod verdict;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray, VariantNames};
use utoipa::ToSchema;

use crate::alert::{Region, Zone};
use client::{Client, ClientTimes};
use last_good::SinceLastGood;

pub use evidence::{Earlier, Evidence, Reading};

crate::words! {
    VerdictKind: "kind of verdict";
    Rule: "rule of a verdict";
    Class: "class";
    Finding: "finding";
    BrokenAt: "place where a path is broken";
}

/// One element of the Jenkins job's output: a reverse proxy of the Service Endpoint team in front of one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MagicBox {
    /// `<zone>-<index>`, the element's first field.
    pub name: String,
    /// The Magic Box ID, which the Service Endpoint team wants to hear: the second field.
    pub magic_box_id: String,
    /// The node's state, `Ready` where it is healthy: the third field.
    pub node: String,
    /// The back-end address, the fourth field without its statuses.
    pub backend_ip: String,
    /// The front-end address with its prefix length, the fifth field.
    pub frontend: String,
    /// 1 accepting connections, 0 rejecting connections.
    pub se_status: u8,
    /// What the registry answers the box: 1 with 200, 0 with another status, -1 not at all.
    pub upstream_status: i8,
}

/// What one Jenkins build printed: boxes of whichever regions, in the order of the console.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// Well-formed boxes; the same line printed twice counts once.
    pub boxes: Vec<MagicBox>,
    /// Names (`<zone>-<index>`) of elements that could be told to be a box but not read, or that contradict
    /// themselves: their zone counts as missing.
    pub unreadable: Vec<String>,
    /// What was wrong, each quoting what was seen.
    pub warnings: Vec<String>,
}

/// What the runbook concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum VerdictKind {
    /// Probably a registry problem.
    Registry,
    /// An SE problem: the Service Endpoint team is to be paged.
    ServiceEndpoint,
    /// May be over by itself: look again.
    Transient,
    /// The zones differ: focus on `0:1`, then `1:x`.
    Mixed,
    /// What was read doesn't suffice.
    Inconclusive,
}

/// Which line of the contract's table decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Rule {
    /// No box of the region could be read.
    NoReading,
    /// SE statuses differ.
    MixedStatus,
    /// An expected zone is missing.
    IncompleteReading,
    /// A re-run in which every box is `1:1`.
    RecoveredOnRerun,
    /// Every SE status is 1.
    AllSeAccepting,
    /// Every SE status is 0, every upstream 0 or -1.
    AllSeRejectingUpstreamDown,
    /// Every SE status is 0, at least one upstream is 1.
    AllSeRejectingUpstreamUp,
}

/// The verdict, its rule, and both in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// What the runbook concludes.
    pub kind: VerdictKind,
    /// Which rule led there.
    pub rule: Rule,
    /// One sentence that names the rule's evidence.
    pub summary: String,
}

/// `pCIE` or `pCIE, probably a CIE`: runbook, "RCA and pCIEs".
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
pub enum Class {
    /// Nothing that the run saw shows a fault: it may have been the healthcheck cluster.
    #[strum(to_string = "pCIE")]
    Pcie,
    /// A Magic Box or a cluster showed a fault at some time of the run: it was not the client of the end-to-end test.
    #[strum(to_string = "pCIE, probably a CIE")]
    ProbablyCie,
}

/// What a zone's cluster said, the first that holds. Runbook: "Debugging Registry's Private Ingress".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Finding {
    /// konicle's `ready` or `private-override` is `false`: deliberately disabled by the registry squad.
    Disabled,
    /// The cluster could not be checked.
    Unknown,
    /// No private ingress pod is Running.
    IngressDown,
    /// The status check answers 200.
    Healthy,
    /// The status check answers 404: the zone is unhealthy and was automatically disabled.
    ZoneUnhealthy,
    /// Any other status or a transport fault inside the pod: probably konicle.
    KonicleFault,
}

/// Where a zone's path from client to registry is broken, from its worst box and its finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum BrokenAt {
    /// Everything behind the front end is whole.
    ClientOrFrontEnd,
    /// Private ingress is fine, the Magic Box can't reach it on port 10443.
    #[strum(to_string = "se-to-10443", serialize = "se-to10443")]
    SeTo10443,
    /// The Magic Box rejects connections though its registry answers 200.
    MagicBox,
    /// No private ingress pod runs, and nothing accepts connections.
    PrivateIngress,
    /// The zone behind its ingress is unhealthy.
    Zone,
    /// The registry squad turned the zone off.
    DisabledByRegistry,
    /// Jenkins and the cluster contradict each other.
    Contradiction,
    /// Can't be told.
    Unknown,
}

/// The `konicle` config map's two switches, as written there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Konicle {
    /// `data.ready`; `None` where the key is missing.
    pub ready: Option<String>,
    /// `data.private-override`; `None` where the key is missing.
    pub private_override: Option<String>,
}

/// A pod as `kubectl get pods` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PodLine {
    /// The pod's name.
    pub name: String,
    /// kubectl's STATUS column, which is not the pod's phase: `Running`, `CrashLoopBackOff`, `Terminating`, …
    pub status: String,
    /// kubectl's READY column: `4/4`.
    pub ready: String,
    /// kubectl's RESTARTS column, in all containers.
    pub restarts: u32,
}

/// What one private ingress pod answered when its status check was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusCheck {
    /// The HTTP status; `None` where there was none.
    pub http_status: Option<u16>,
    /// The pod that was asked.
    pub pod: String,
    /// The transport fault inside the pod (refused, timed out, empty reply); `None` where there was a status.
    pub error: Option<String>,
}

/// What one zone's cluster said. All of it was read, nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checks {
    /// What it comes to.
    pub finding: Finding,
    /// The config map; `None` where it is missing or could not be read (a warning says which).
    pub konicle: Option<Konicle>,
    /// The private ingress controllers of `kube-system`.
    pub ingress: Vec<PodLine>,
    /// The answer that decided; `None` where no pod could be asked.
    pub status: Option<StatusCheck>,
    /// konicle's pods in `default`, asked for where the finding is [`Finding::KonicleFault`].
    pub konicle_pods: Vec<PodLine>,
    /// Open registry incidents that name this zone.
    pub registry_pages: Vec<RelatedPage>,
    /// What a person should know beside the finding.
    pub warnings: Vec<String>,
    /// Why the finding is [`Finding::Unknown`], in words to act on; `None` otherwise.
    pub error: Option<String>,
    /// When the checks ended.
    pub at: Timestamp,
    /// The kubeconfig context that was used, for the note's commands; `None` where none was found.
    pub context: Option<String>,
}

/// An incident that is named beside the alert.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct RelatedPage {
    /// PagerDuty's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its page.
    pub html_url: String,
}

/// One zone of the diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZoneDiagnosis {
    /// The registry cluster's name.
    pub cluster: Zone,
    /// Where its path is broken.
    pub broken_at: BrokenAt,
    /// Its boxes, in the order of their names.
    pub boxes: Vec<MagicBox>,
    /// What its cluster said; `None` where clusters were not asked.
    pub checks: Option<Checks>,
    /// Whether the regions file lists the zone (or no file lists the region and it is one of the three by default).
    #[serde(default = "yes")]
    pub expected: bool,
    /// Whether a box of it was printed that could not be read, so that it counts as missing whatever the others say.
    #[serde(default)]
    pub unread: bool,
}

fn yes() -> bool {
    true
}

/// One reading as the API lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadingSummary {
    /// The build; `None` where no build could be read or the console came from a file.
    pub build_url: Option<String>,
    /// When it was taken.
    pub at: Timestamp,
    /// How many boxes of the region it shows.
    pub boxes: usize,
    /// What was wrong with it.
    pub warnings: Vec<String>,
}

/// Another region, as the same reading shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OtherRegion {
    /// The region.
    pub region: Region,
    /// How many boxes of it the reading shows.
    pub boxes: usize,
    /// How many of these are `1:1`.
    pub whole: usize,
}

/// The diagnosis of one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diagnosis {
    /// The region.
    pub region: Region,
    /// What the runbook concludes.
    pub verdict: Verdict,
    /// pCIE or probably a CIE, by all that the run has seen.
    pub class: Class,
    /// Every reading of the run shows every expected zone and `1:1` in each box, and no finding of it speaks against that:
    /// the end-to-end test's own side is suspected. Where the client can be asked, what it says decides.
    pub client_suspected: bool,
    /// What the client of the end-to-end test says; `None` where the regions file has no `[healthcheck]`.
    #[serde(default)]
    pub client: Option<Client>,
    /// When what `client` shows was so; `None` where nothing is known of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_times: Option<ClientTimes>,
    /// The order in which to look at the zones.
    pub focus: Vec<Zone>,
    /// Expected zones, then unlisted ones that were printed (readable or not), each group by name.
    pub zones: Vec<ZoneDiagnosis>,
    /// One entry a reading or re-run, in the order in which they were taken.
    pub readings: Vec<ReadingSummary>,
    /// The other regions of the reading that `zones` show, by name.
    #[serde(default)]
    pub other_regions: Vec<OtherRegion>,
    /// What differs from the region's last good reading; `None` where none is known, or no box was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_last_good: Option<SinceLastGood>,
}

impl Diagnosis {
    /// The same with all its times earlier: as people are shown it where service time is ahead of their clocks.
    #[must_use]
    pub fn earlier(mut self, by: SignedDuration) -> Self {
        if by.is_zero() {
            return self;
        }
        let readings = self.readings.iter_mut().map(|reading| &mut reading.at);
        let checks = self.zones.iter_mut().filter_map(|zone| zone.checks.as_mut()).map(|checks| &mut checks.at);
        let good = self.since_last_good.iter_mut().map(|since| &mut since.at);
        for time in readings.chain(checks).chain(good) {
            *time = time.checked_sub(by).unwrap_or(*time);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_older_version_wrote_is_still_read() {
        let old: BrokenAt = serde_json::from_value(json!("se-to10443")).unwrap();
        assert_eq!((old, json!(old)), (BrokenAt::SeTo10443, json!("se-to-10443")));
        let unknown = serde_json::from_value::<BrokenAt>(json!("se-to-10444")).unwrap_err();
        assert!(unknown.to_string().contains("unknown place where a path is broken \"se-to-10444\""), "{unknown}");
    }

    #[test]
    fn a_diagnosis_of_a_version_that_asked_no_client() {
        let run: serde_json::Value = serde_json::from_str(include_str!("../../../src/http/example_run.json")).unwrap();
        let mut old = run["diagnosis"].clone();
        old.as_object_mut().unwrap().remove("client");
        let old: Diagnosis = serde_json::from_value(old).unwrap();
        assert_eq!((&old.client, &old.client_times), (&None, &None));
        assert_eq!(json!(old)["client"], json!(null), "null where not configured");
    }

    #[test]
    fn a_zone_of_which_an_older_version_did_not_say_it_was_expected() {
        let zone =
            json!({"cluster": "registry-prod-us-south-az1", "broken_at": "unknown", "boxes": [], "checks": null});
        assert!(serde_json::from_value::<ZoneDiagnosis>(zone).unwrap().expected);
    }
}
