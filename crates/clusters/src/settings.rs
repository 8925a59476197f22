//! How clusters are reached.

use std::path::PathBuf;
use std::time::Duration;

use runbook::alert::Zone;
use strum::{EnumMessage, VariantArray, VariantNames};

runbook::words! { Probe: "probe"; }

/// How the registry clusters are reached.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// `KUBECONFIG` split as kubectl does, or `~/.kube/config`. Read again for each check.
    pub kubeconfig: Vec<PathBuf>,
    /// `CLUSTER_CHECK_TIMEOUT`: one zone's checks in all.
    pub timeout: Duration,
    /// `CLUSTER_PROBE`.
    pub probe: Probe,
}

/// `CLUSTER_PROBE`: how the status check is asked inside a private ingress pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Probe {
    /// Port-forward, and exec where that is refused.
    Auto,
    /// Port-forward only.
    PortForward,
    /// Exec only, as the runbook types it.
    Exec,
}

/// One zone and how kubectl reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneEntry {
    /// The registry cluster.
    pub zone: Zone,
    /// The kubeconfig context; `None` is the one named as the cluster, else the only one that begins with
    /// `<cluster>/`.
    pub context: Option<String>,
}
